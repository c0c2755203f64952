"""Prints as JSON which steps from line to line a file of coverage data has, by file."""

import json
import sys

from coverage import CoverageData

data = CoverageData(basename=sys.argv[1])
data.read()
json.dump({path: data.arcs(path) or [] for path in data.measured_files()}, sys.stdout)
