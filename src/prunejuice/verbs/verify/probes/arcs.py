"""Print the arcs of a coverage data file by test function, then by source file, as JSON."""

import json
import sys

from coverage import CoverageData

data = CoverageData(basename=sys.argv[1])
data.read()
found = {}
for context in data.measured_contexts():
    data.set_query_context(context)
    found[context.rpartition(".")[2]] = {path: data.arcs(path) or [] for path in data.measured_files()}
json.dump(found, sys.stdout)
