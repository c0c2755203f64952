"""What a runner of generated tests does: it writes a file of tests, runs it, and measures what it runs."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from prunejuice.environments.place import Place
from prunejuice.verbs.results import TestCase, TestGenerationResult

SUITE_SECONDS = 600.0
TEST_SECONDS = 60.0
Lines = frozenset[tuple[str, int, int]]
"""Executed lines: the path of a file, where execution came from, and the line; both numbers from 1.

Where it came from tells two branches of one line apart; it is 0 if a runner does not report it.
"""


class RunnerReport(NamedTuple):
    """What a runner reported: the failure of each test, empty if it passed, and the end of its output."""

    failures: Mapping[str, str]
    output: str = ""


class Measurement(NamedTuple):
    """A report, and the lines that each test ran; None if they cannot be measured."""

    report: RunnerReport
    lines: Mapping[str, Lines] | None


class TestRunner(Protocol):
    """Runs tests of one language in a tree. Paths are relative to the root of the tree.

    `sources` are the files under test. A test is called by the name under which it is reported. No method
    raises for a test that fails, hangs or ends the program: its failure is missing in the report.
    """

    @property
    def guidance(self) -> str:
        """What an agent must know to write tests for this runner."""

    @property
    def file(self) -> str:
        """The path of the file that the tests are written to; there is no such file yet."""

    def name_case(self, case: TestCase) -> TestCase:
        """Return a case with the name under which its code is reported."""

    def find_mistake(self, case: TestCase) -> str:
        """Return why a case cannot be run, such as a syntax error; or an empty text."""

    def normalize(self, case: TestCase) -> str:
        """Return a text that is the same for cases which differ in nothing but names and comments."""

    def render(self, result: TestGenerationResult) -> str:
        """Return the source of a file with all cases."""

    def format_source(self, place: Place, source: str) -> str:
        """Return the source of a file as the formatter of the language writes it, if it has just one."""

    def measure_suite(self, place: Place, seconds: float) -> Lines | None:
        """Return the lines of the sources that the tests of the tree run; None if unknown."""

    def measure_tests(self, place: Place, names: Sequence[str], seconds: float) -> Measurement:
        """Run tests of the file, and measure the lines of the sources that each runs."""

    def run_tests(self, place: Place, names: Collection[str], seconds: float) -> RunnerReport:
        """Run tests of the file, in its order."""

    def passes_suite(self, place: Place, seconds: float) -> bool:
        """Return whether all tests of the tree pass."""

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
