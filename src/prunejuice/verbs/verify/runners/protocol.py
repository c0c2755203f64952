"""What a runner of generated tests does: it writes a file of tests, runs it, and measures what it runs."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from prunejuice.environments.place import Place
from prunejuice.errors import UsageError
from prunejuice.verbs.results import TestCase, TestGenerationResult

SUITE_SECONDS = 600.0
TEST_SECONDS = 60.0
MAX_REPORT_BYTES = 64 << 20
_MAX_FILES = 99
Lines = frozenset[tuple[str, int, int]]
"""Executed lines: the path of a file, where execution came from, and the line; both numbers from 1.

Where it came from tells two branches of one line apart; it is 0 if a runner does not report it.
"""


class RunnerReport(NamedTuple):
    """What a runner reported: the failure of each test, empty if it passed, and how it ended.

    `output` tells why tests are not reported: the errors of files, and the end of what was printed.
    """

    failures: Mapping[str, str]
    output: str = ""
    code: int = 0


class Measurement(NamedTuple):
    """A report, and the lines that each test ran; None if they cannot be measured."""

    report: RunnerReport
    lines: Mapping[str, Lines] | None


class SuiteMeasurement(NamedTuple):
    """A report of all tests of a tree, and the lines that they run; None if they cannot be measured."""

    report: RunnerReport
    lines: Lines | None


class TestRunner(Protocol):
    """Runs tests of one language in a tree. Paths are relative to the root of the tree.

    A test is called by the name under which it is reported. No method
    raises for a test that fails, hangs or ends the program: its failure is missing in the report.
    """

    @property
    def guidance(self) -> str:
        """What an agent must know to write tests for this runner."""

    @property
    def sources(self) -> Sequence[str]:
        """The files under test: those of the request that the runner can run together."""

    @property
    def file(self) -> str:
        """The path of the file that the tests are written to; there is no such file yet."""

    def name_case(self, case: TestCase) -> TestCase:
        """Return a case with the name under which its code is reported."""

    def find_mistake(self, case: TestCase) -> str:
        """Return why a case cannot be run, such as a syntax error; or an empty text."""

    def list_tests(self, code: str) -> list[str]:
        """Return the names of all that the runner would run in some code of the file, in any form."""

    def normalize(self, case: TestCase) -> str:
        """Return a text that is the same for cases which differ in nothing but names and comments."""

    def render(self, result: TestGenerationResult) -> str:
        """Return the source of a file with all cases."""

    def format_source(self, place: Place, source: str) -> str:
        """Return the source of a file as the formatter of the language writes it, if it has just one."""

    def measure_suite(self, place: Place, seconds: float) -> SuiteMeasurement:
        """Run all tests of the tree, and measure the lines of the sources that they run."""

    def measure_tests(self, place: Place, names: Sequence[str], seconds: float) -> Measurement:
        """Run tests of the file, and measure the lines of the sources that each runs."""

    def run_tests(self, place: Place, names: Collection[str], seconds: float) -> RunnerReport:
        """Run tests of the file, in its order."""

    def run_suite(self, place: Place, seconds: float, *, stops_early: bool) -> RunnerReport:
        """Run all tests of the tree, or until the first failure; the report has those that failed."""

    def is_assertion(self, failure: str) -> bool:
        """Return whether the text of a failure is that of an assertion."""

    def is_missing_name(self, failure: str) -> bool:
        """Return whether a test failed since what it tests does not exist."""

    def shorten(self, failure: str) -> str:
        """Return the line of a failure that says most, for a person."""


def measure_each(
    names: Sequence[str],
    run_tests: Callable[[Sequence[str]], RunnerReport],
    measure_test: Callable[[str], tuple[RunnerReport, Lines]],
) -> Measurement:
    """Run tests together, and measure those that pass alone: for runners that measure whole runs."""
    if len(names) == 1:
        report, lines = measure_test(names[0])
        return Measurement(report, {names[0]: lines})
    report = run_tests(names)
    passed = [name for name in names if report.failures.get(name) == ""]
    return Measurement(report, {name: measure_test(name)[1] for name in passed})


def describe_time(seconds: float, began: float) -> str:
    """Return that a run took all the time that it had, or an empty text."""
    return f"it did not end within {seconds:g} s\n" if time.monotonic() - began >= seconds else ""


def report_file(place: Place, name: str) -> Path:
    """Return the path of a report in the scratch folder of a place, outside of its tree."""
    return place.scratch / "state" / name


def find_unused_path(root: Path, source: str, name_file: Callable[[str], str], mark: str = "_") -> str:
    """Return the first path at which nothing is, of those that `name_file` gives for "", "_2" and so on.

    Raises:
        UsageError: all are in use.
    """
    for number in range(1, _MAX_FILES + 1):
        path = name_file("" if number == 1 else f"{mark}{number}")
        if not (root / path).exists():
            return path
    raise UsageError(f"{source} has {_MAX_FILES} files of tests already", "merge some of them")
