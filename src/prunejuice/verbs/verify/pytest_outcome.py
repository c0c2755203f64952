"""Read the outcome of each test from pytest's JUnit report or summary. Pure."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple
from xml.etree import ElementTree as ET

NO_TESTS_CODE = 5
"""The exit code of pytest when it found no test."""
REPORT_NAME = "pytest-report.xml"
_SUMMARY_OPTIONS = "-rpfEs"
"""The options that make pytest list the outcome of each test in its summary."""
_SUMMARY_LINE = re.compile(r"^(?:(PASSED) (\S+::.+)|(FAILED|ERROR) (\S+::.+?)(?: - .*)?)$", re.M)
_UNINTERESTING_LINE = re.compile(
    rf"^(?:PASSED \S+::.*|-+ generated xml file: .*{re.escape(REPORT_NAME)} -+)\n?", re.M
)
_WORST_FIRST = ("ERROR", "FAILED", "SKIPPED", "PASSED")
_ELEMENTS = {"error": "ERROR", "failure": "FAILED", "skipped": "SKIPPED"}
Outcomes = Mapping[str, str]
"""The outcome of each test by its name: `PASSED`, `FAILED`, `ERROR` or `SKIPPED`.

A name is `tests.test_cart.TestCart::test_a[x]`, as in JUnit reports.
"""


class OutcomeChange(NamedTuple):
    """The effect of a change on tests; `lost` tests ran before and do not pass now."""

    fail_to_pass: tuple[str, ...]
    pass_to_pass: tuple[str, ...]
    lost: tuple[str, ...]


def pytest_options(report: str) -> str:
    """Return the value of `PYTEST_ADDOPTS` with which pytest writes its JUnit report to a path."""
    return f"{_SUMMARY_OPTIONS} --junitxml={report}"


def parse_report(report: bytes) -> Outcomes:
    """Return the outcome of each test in a JUnit report; empty if it is none.

    A report with a document type is refused: its entities could expand without end.
    """
    outcomes: dict[str, str] = {}
    for case in _test_cases(report):
        name = f"{case.get('classname') or ''}::{case.get('name') or ''}".removeprefix("::")
        words = [_ELEMENTS[child.tag] for child in case if child.tag in _ELEMENTS]
        candidates = [*words, *([outcomes[name]] if name in outcomes else [])] or ["PASSED"]
        outcomes[name] = min(candidates, key=_WORST_FIRST.index)
    return outcomes


def parse_failures(report: bytes) -> Mapping[str, str]:
    """Return the text of the failures of each test function in a JUnit report; empty if it passed."""
    failures: dict[str, str] = {}
    for case in _test_cases(report):
        function = _function(case.get("name") or "")
        failed = [child for child in case if child.tag in {"error", "failure"}]
        texts = [f"{child.text or child.get('message') or child.tag}\n" for child in failed]
        failures[function] = failures.get(function, "") + "".join(texts)
    return failures


def parse_groups(report: bytes) -> Mapping[str, str]:
    """Return the text of the failures of each outermost test in a report, with those of its subtests.

    A test that was skipped has no failure, and no entry.
    """
    root = _parse_xml(report)
    outermost = [] if root is None else [each for each in root if each.tag in {"testcase", "testsuite"}]
    return {
        each.get("name") or "": "".join(
            f"{child.text or child.get('message') or child.tag}\n"
            for child in each.iter()
            if child.tag in {"error", "failure"}
        )
        for each in outermost
        if each.find("skipped") is None
    }


def _test_cases(report: bytes) -> list[ET.Element]:
    root = _parse_xml(report)
    return [] if root is None else list(root.iter("testcase"))


def _parse_xml(report: bytes) -> ET.Element | None:
    if b"<!DOCTYPE" in report:
        return None
    try:
        return ET.fromstring(report)  # noqa: S314 - without a document type there are no entities
    except ET.ParseError:
        return None


def parse_summary(output: str) -> Outcomes:
    """Return the outcome of each test in pytest's summary; empty for output of other programs."""
    return {
        _report_name(passed_name or name): passed or word
        for passed, passed_name, word, name in _SUMMARY_LINE.findall(output)
    }


def _report_name(node_id: str) -> str:
    """Return a node id, such as `tests/test_cart.py::test_a[x]`, as a JUnit report names it."""
    path, bracket, parameters = node_id.partition("[")
    file, *classes, function = path.split("::")
    module = file.removesuffix(".py").replace("/", ".")
    return f"{'.'.join([module, *classes])}::{function}{bracket}{parameters}"


def find_failed_tests(output: str) -> list[str]:
    """Return the failed tests in pytest's summary, such as `test_a.py::test_b`, without parameters."""
    lines = _SUMMARY_LINE.findall(output)
    return list(dict.fromkeys(_function(name) for _, _, word, name in lines if word))


def strip_passed_lines(output: str) -> str:
    """Return the output without the lines of passed tests and of the report, to save room."""
    return _UNINTERESTING_LINE.sub("", output)


def compare_outcomes(before: Outcomes, after: Outcomes) -> OutcomeChange:
    """Compare the outcomes of tests before and after a change.

    Parameters of a test may be named differently in each run, so a function is lost only when fewer of its
    cases pass than were run before.
    """
    # A file that could not be imported is reported without a function.
    ran_before = {name for name, word in before.items() if word != "SKIPPED" and "::" in name}
    passed_before = {name for name in ran_before if before[name] == "PASSED"}
    passed_now = {name for name, word in after.items() if word == "PASSED"}
    cases_before, cases_now = Counter(map(_function, ran_before)), Counter(map(_function, passed_now))
    lost = {
        name
        for name in ran_before - passed_now
        if cases_now[_function(name)] < cases_before[_function(name)]
    }
    fixed = (ran_before - passed_before) & passed_now
    return OutcomeChange(
        tuple(sorted(fixed)), tuple(sorted(passed_before & passed_now)), tuple(sorted(lost))
    )


def _function(name: str) -> str:
    return name.partition("[")[0]
