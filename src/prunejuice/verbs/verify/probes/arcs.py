"""Print the arcs of a coverage data file by source file, as JSON."""

import json
import sys

from coverage import CoverageData

data = CoverageData(basename=sys.argv[1])
data.read()
json.dump({path: data.arcs(path) or [] for path in data.measured_files()}, sys.stdout)
