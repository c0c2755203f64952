"""Run generated tests together, and find for each a fault that it detects.

Starting a test runner costs much more than a test, so one run serves as many tests as it can.
"""

import io
import re
import time
import tokenize
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from prunejuice.code import grammar, mutant
from prunejuice.code.languages import language_for_path
from prunejuice.code.mutant import Mutant
from prunejuice.environments.place import Place
from prunejuice.verbs.results import TestCase, TestGenerationResult
from prunejuice.verbs.verify.runners.protocol import (
    SUITE_SECONDS,
    TEST_SECONDS,
    Lines,
    RunnerReport,
    TestRunner,
)

_MAX_MUTANTS = 12
"""How many faults are tried for a test."""
_MAX_UNREPORTED = 12
"""How many faults are tried for a test with which it is not reported: they do not compile, or loop."""
_MAX_SUITE_RUNS = 4
"""How many faults are tried on the whole suite, to see whether another test detects them."""
_LEAST_FAULT_SECONDS = 5.0
_FAULT_FACTOR = 10
"""How much longer tests may run on code with a fault, which may loop, than on the code as it is."""

_WORD = re.compile(r"[\w$]+")


class TestRun(NamedTuple):
    """How a test ended: the text of its failure, empty if it passed, and the lines that it ran.

    The lines are None if they cannot be measured. If the test is not reported, the failure is
    what the runner printed.
    """

    failure: str = ""
    lines: Lines | None = frozenset()
    is_reported: bool = True

    def find_new_lines(self, before: Lines | None) -> Lines:
        """Return the lines that no test ran before; none if either is unknown."""
        return self.lines - before if self.lines is not None and before is not None else frozenset()


def fault_time_limit(seconds: float) -> float:
    """Return how many seconds tests may run on code with a fault, by those on the code as it is."""
    return min(TEST_SECONDS, _LEAST_FAULT_SECONDS + _FAULT_FACTOR * seconds)


class TestRuns:
    """Runs the cases of a result, or some of them, in a copy of the tree."""

    def __init__(self, runner: TestRunner, place: Place, result: TestGenerationResult) -> None:
        self.runner, self.place, self.result = runner, place, result
        self.root = place.root
        self.fault_seconds = TEST_SECONDS
        self._written: tuple[TestCase, ...] = ()
        self._suite = RunnerReport({})

    def find_code(self, name: str) -> str:
        """Return the code of a test."""
        return next((case.test_code for case in self.result.test_cases if case.test_name == name), "")

    def write_tests(self, cases: Sequence[TestCase]) -> None:
        """Write the test file with the given cases; without any, remove it."""
        file = self.root / self.runner.file
        self._written = tuple(cases)
        if not cases:
            file.unlink(missing_ok=True)
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        source = self.runner.render(self.result.with_cases(cases))
        file.write_text(source, encoding="utf-8", errors="replace")

    def measure_existing_tests(self) -> Lines | None:
        """Return the lines that the tests of the tree run; None if they cannot be measured.

        Those that fail on the code as it is detect no fault.
        """
        self._suite, lines = self.runner.measure_suite(self.place, SUITE_SECONDS)
        return lines

    def run_case(self, case: TestCase) -> RunnerReport:
        """Run one test in a file of its own."""
        self.write_tests([case])
        return self.runner.run_tests(self.place, [case.test_name], TEST_SECONDS)

    def run_all(self, cases: Sequence[TestCase]) -> RunnerReport:
        """Run tests together, in their order."""
        self.write_tests(cases)
        seconds = min(SUITE_SECONDS, TEST_SECONDS * len(cases))
        return self.runner.run_tests(self.place, [case.test_name for case in cases], seconds)

    def measure_tests(self, cases: Sequence[TestCase], before: Lines | None) -> dict[str, TestRun]:
        """Run tests and measure their lines: together, and those alone that fail or run no line anew.

        Another test may make a test fail, and the code that its fixtures run may only be known alone.
        """
        began = time.monotonic()
        runs = self._measure_together(cases) if len(cases) > 1 else {}
        for case in cases:
            run = runs.get(case.test_name)
            if run is None or run.failure or (run.lines is not None and not run.find_new_lines(before)):
                runs |= self._measure_together([case])
        self.fault_seconds = fault_time_limit(time.monotonic() - began)
        return {case.test_name: runs[case.test_name] for case in cases}

    def _measure_together(self, cases: Sequence[TestCase]) -> dict[str, TestRun]:
        """Return the runs of the tests that were reported; for one test, also of one that was not."""
        self.write_tests(cases)
        names = [case.test_name for case in cases]
        report, lines = self.runner.measure_tests(self.place, names, TEST_SECONDS * len(cases))
        if len(names) == 1 and names[0] not in report.failures:
            problem = report.output or "it ends the program that runs the tests"
            return {names[0]: TestRun(problem, is_reported=False)}
        return {
            name: TestRun(report.failures[name], None if lines is None else lines.get(name, frozenset()))
            for name in names
            if name in report.failures
        }

    def find_failures(self, names: Collection[str]) -> Mapping[str, str]:
        """Run tests on code with a fault; return the failure of each that was reported."""
        return self.runner.run_tests(self.place, sorted(names), self.fault_seconds).failures

    def is_detected_without(self, names: Collection[str]) -> bool:
        """Return whether the suite without some tests fails with the fault that is in the code now."""
        before, written = self._suite, self._written
        self.write_tests([case for case in written if case.test_name not in names])
        try:
            now = self.runner.run_suite(self.place, SUITE_SECONDS, stops_early=not before.code)
        finally:
            self.write_tests(written)
        if not before.code:
            return bool(now.code)
        return any(text and not before.failures.get(name) for name, text in now.failures.items())


class FaultSearch:
    """Puts faults into the sources until each of the tests detects one by an assertion.

    No other test may detect the fault of those in `alone`.
    """

    def __init__(
        self, runs: TestRuns, sources: Sequence[str], tests: Mapping[str, TestRun], alone: Collection[str]
    ) -> None:
        self.runs, self.sources, self.tests, self.alone = runs, sources, tests, alone
        self.faults: dict[str, str] = {}
        self.tried = dict.fromkeys(tests, 0)
        self.unreported = dict.fromkeys(tests, 0)
        self.suite_runs = dict.fromkeys(tests, 0)

    def find_faults(self) -> Mapping[str, str]:
        """Return a fault that each test detects; tests that detect none of the tried ones are left out."""
        seen: set[tuple[str, Mutant]] = set()
        for name in self.tests:
            for path in self.sources:
                original = (self.runs.root / path).read_bytes()
                source = _decode_source(path, original)
                lines = self._find_lines(name, path, source)
                for fault in mutant.generate_mutants(source, lines, language_for_path(path)):
                    if not self._is_searching(name):
                        break
                    if (path, fault) not in seen:
                        seen.add((path, fault))
                        self._try_fault(path, fault, source, original)
        return self.faults

    def _is_searching(self, name: str) -> bool:
        has_tries = self.tried[name] < _MAX_MUTANTS and self.suite_runs[name] < _MAX_SUITE_RUNS
        return name not in self.faults and has_tries and self.unreported[name] < _MAX_UNREPORTED

    def _find_lines(self, name: str, path: str, source: str) -> Collection[int]:
        """Return the lines of a file that a test ran; if they are unknown, those of what it names."""
        lines = self.tests[name].lines
        if lines is not None:
            return {line for line_path, _, line in lines if line_path == path}
        words = set(_WORD.findall(self.runs.find_code(name)))
        found = grammar.definitions(language_for_path(path), source.encode("utf-8", "replace"))
        named = [each for each in found if each.name in words]
        spans = [range(each.first, each.last + 1) for each in named] or [range(1, source.count("\n") + 2)]
        return {line for span in spans for line in span}

    def _try_fault(self, path: str, fault: Mutant, source: str, original: bytes) -> None:
        """Run every test that is still searched for and executes the line of a fault."""
        searching = [name for name in self.tests if self._is_searching(name)]
        names = [name for name in searching if fault.line in self._find_lines(name, path, source)]
        shown = f"{path}:{fault.line}: {fault.was} instead of {fault.now}"
        with _changed_file(self.runs.root / path, fault, original):
            failures = dict(self.runs.find_failures(names))
            for name in names:
                if name not in failures and len(names) > 1:  # another test ended the run
                    failures |= self.runs.find_failures([name])
                tries = self.tried if name in failures else self.unreported
                tries[name] += 1
                if self.runs.runner.is_assertion(failures.get(name, "")) and self._is_own_fault(name):
                    self.faults[name] = shown

    def _is_own_fault(self, name: str) -> bool:
        if name not in self.alone:
            return True
        self.suite_runs[name] += 1
        return not self.runs.is_detected_without(self.tests.keys() - self.faults.keys())


@contextmanager
def _changed_file(file: Path, fault: Mutant, original: bytes) -> Iterator[None]:
    """Put a fault into a file for the duration of the context."""
    try:
        file.write_bytes(fault.source.encode(_source_encoding(file.name, original), "replace"))
        yield
    finally:
        file.write_bytes(original)


def _source_encoding(path: str, data: bytes) -> str:
    """Return the encoding of a source file: for Python, that in which it is read."""
    if not path.endswith(".py"):
        return "utf-8"
    try:
        return tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except SyntaxError:
        return "utf-8"


def _decode_source(path: str, data: bytes) -> str:
    return data.decode(_source_encoding(path, data), "replace")
