"""Read what node's own test runner, jest and vitest report, in one form. Pure.

Each function returns the failure of each test by its name, empty if it passed, and the errors of files.
"""

import html
import json
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from prunejuice.verbs.verify import pytest_outcome

TEST_FILE = re.compile(r".+[.](test|spec)[.][cm]?[jt]sx?")
"""The name of a file with tests; its group is the word that says so."""


def parse_junit(data: bytes) -> tuple[Mapping[str, str], str]:
    """Return the failures in a report of node, and the errors of files, which have no other name.

    Node escapes quotes in names twice.
    """
    found = {html.unescape(name): text for name, text in pytest_outcome.parse_groups(data).items()}
    files = [name for name in found if TEST_FILE.fullmatch(PurePosixPath(name).name)]
    # Of a file that cannot be loaded, node says no more here; the error is in what the file printed.
    told = (found[name] for name in files if "cause: 'test failed'" not in found[name])
    return found, "".join(f"{text}\n" for text in told if text)


def parse_results(data: bytes) -> tuple[Mapping[str, str], str]:
    """Return the failures in a result of jest or vitest as JSON, and the errors of files."""
    try:
        files = json.loads(data)["testResults"]
        cases = [case for file in files for case in file["assertionResults"]]
        problems = [str(file.get("message") or "") for file in files if not file["assertionResults"]]
        return {_name_result(case): _failure_of_result(case) for case in cases}, "\n".join(problems)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return {}, ""


def _name_result(case: Mapping[str, Any]) -> str:
    return " ".join([*map(str, case.get("ancestorTitles") or ()), str(case["title"])])


def _failure_of_result(case: Mapping[str, Any]) -> str:
    if case["status"] == "passed":
        return ""
    return "\n".join(map(str, case.get("failureMessages") or [f"the test is {case['status']}"]))
