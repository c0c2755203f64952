"""Run generated tests together, and find for each a fault that it detects.

A run of pytest costs much more than a test, so one run serves as many tests as it can.
"""

import io
import json
import re
import time
import tokenize
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from prunejuice.code import mutant
from prunejuice.code.mutant import Mutant
from prunejuice.environments.place import Place
from prunejuice.verbs.results import TestCase, TestGenerationResult
from prunejuice.verbs.verify import interpreter, pytest_outcome
from prunejuice.verbs.verify.interpreter import PythonInterpreter, PythonResult

ASSERTION = re.compile(r"^E\s+(?:assert\b|AssertionError|Failed: DID NOT)", re.MULTILINE)
SUITE_SECONDS = 600.0
TEST_SECONDS = 60.0
_MAX_MUTANTS = 12
"""How many faults are tried for a test."""
_MAX_SUITE_RUNS = 4
"""How many faults are tried on the whole suite, to see whether another test detects them."""
_LEAST_FAULT_SECONDS = 5.0
_FAULT_FACTOR = 10
"""How much longer tests may run on code with a fault, which may loop, than on the code as it is."""
_COVERAGE_SETTINGS = "[run]\ndynamic_context = test_function\n"
Arcs = frozenset[tuple[str, int, int]]
"""Executed jumps from line to line, each with its file."""


class TestRun(NamedTuple):
    """How a test ended: the text of its failure, empty if it passed, and the arcs that it ran."""

    failure: str = ""
    arcs: Arcs = frozenset()


def fault_time_limit(seconds: float) -> float:
    """Return how many seconds tests may run on code with a fault, by those on the code as it is."""
    return min(TEST_SECONDS, _LEAST_FAULT_SECONDS + _FAULT_FACTOR * seconds)


class TestRuns:
    """Runs tests of the file `target` in a tree; `sources` are the files that they test."""

    def __init__(
        self,
        python: PythonInterpreter,
        place: Place,
        sources: Sequence[str],
        target: str,
        result: TestGenerationResult,
    ) -> None:
        self.python, self.place, self.sources = python, place, sources
        self.root = place.root
        self.target, self.result = target, result
        self.fault_seconds = TEST_SECONDS
        self._state = place.scratch / "state"

    def write_tests(self, cases: Sequence[TestCase]) -> None:
        """Write the test file with the given cases."""
        file = self.root / self.target
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.result.with_cases(cases).to_test_file(), encoding="utf-8", errors="replace")

    def measure_existing_tests(self) -> Arcs:
        """Return the arcs that the tests of the tree run."""
        self._run_with_coverage("--continue-on-collection-errors", seconds=SUITE_SECONDS)
        return frozenset().union(*self._read_arcs().values())

    def measure_tests(self, cases: Sequence[TestCase], before: Arcs) -> dict[str, TestRun]:
        """Run tests under coverage: together, and those alone that fail or run no arc except `before`.

        Another test may make a test fail, and the code that its fixtures run is only known alone.
        """
        began = time.monotonic()
        runs = self._measure_together(cases) if len(cases) > 1 else {}
        for case in cases:
            run = runs.get(case.test_name, TestRun())
            if run.failure or not run.arcs - before:
                runs |= self._measure_together([case])
        self.fault_seconds = fault_time_limit(time.monotonic() - began)
        return {case.test_name: runs[case.test_name] for case in cases}

    def _measure_together(self, cases: Sequence[TestCase]) -> dict[str, TestRun]:
        """Return the runs of the tests that were reported; for one test, also of one that was not."""
        self.write_tests(cases)
        result = self._run_with_coverage(self.target, seconds=TEST_SECONDS * len(cases))
        failures, arcs = self._read_failures(), self._read_arcs()
        if len(cases) == 1:
            [name] = (case.test_name for case in cases)
            failure = failures.get(name, result.output_tail or "it ends the program that runs the tests")
            return {name: TestRun(failure, frozenset().union(*arcs.values()))}
        return {
            case.test_name: TestRun(failures[case.test_name], arcs.get(case.test_name, frozenset()))
            for case in cases
            if case.test_name in failures
        }

    def find_failures(self, names: Collection[str]) -> Mapping[str, str]:
        """Run tests on code with a fault; return the failure of each that was reported."""
        self._report.unlink(missing_ok=True)
        words = (f"{self.target}::{name}" for name in sorted(names))
        self.python.run_pytest(self.place, f"--junitxml={self._report}", *words, seconds=self.fault_seconds)
        return self._read_failures()

    def is_detected_without(self, tests: Collection[str]) -> bool:
        """Return whether the suite without some tests fails with the fault that is in the code now."""
        words = (f"--deselect={self.target}::{test}" for test in sorted(tests))
        run = self.python.run_pytest(self.place, "-x", *words, seconds=SUITE_SECONDS)
        return run.code not in {0, pytest_outcome.NO_TESTS_CODE}

    def _run_with_coverage(self, *words: str, seconds: float) -> PythonResult:
        """Run tests under coverage."""
        for file in (self._coverage_file, self._report):
            file.unlink(missing_ok=True)
        settings_file = self._state / "coverage.ini"
        settings_file.write_text(_COVERAGE_SETTINGS)
        included = ",".join(str(self.place.seen / path) for path in self.sources)
        options = ("--branch", f"--data-file={self._coverage_file}", f"--include={included}")
        pytest_words = (*self.python.pytest_options, f"--junitxml={self._report}", *words)
        # The settings of the project could omit the sources.
        return self.python.run(
            self.place,
            *("-m", "coverage", "run", *options, *pytest_words),
            seconds=seconds,
            COVERAGE_RCFILE=str(settings_file),
        )

    @property
    def _coverage_file(self) -> Path:
        return self._state / "coverage"

    @property
    def _report(self) -> Path:
        return self._state / pytest_outcome.REPORT_NAME

    def _read_failures(self) -> Mapping[str, str]:
        """Return the failure of each reported test of the target, empty if it passed, by its function."""
        return pytest_outcome.parse_failures(self._report.read_bytes()) if self._report.is_file() else {}

    def _read_arcs(self) -> dict[str, Arcs]:
        """Return the recorded arcs by the function of the test that ran them, with relative paths."""
        result = self.python.run(self.place, str(interpreter.PROBES / "arcs.py"), str(self._coverage_file))
        recorded = json.loads(result.out) if result.code == 0 else {}
        return {name: frozenset(self._relative_arcs(by_file)) for name, by_file in recorded.items()}

    def _relative_arcs(self, by_file: Mapping[str, Any]) -> Iterator[tuple[str, int, int]]:
        for path, pairs in by_file.items():
            absolute = Path(path)
            if absolute.is_relative_to(self.place.seen):
                yield from (
                    (str(absolute.relative_to(self.place.seen)), start, end) for start, end in pairs
                )


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
        self.suite_runs = dict.fromkeys(tests, 0)

    def find_faults(self) -> Mapping[str, str]:
        """Return a fault that each test detects; tests that detect none of the tried ones are left out."""
        seen: set[tuple[str, Mutant]] = set()
        for name in self.tests:
            for path in self.sources:
                original = (self.runs.root / path).read_bytes()
                lines = self._executed_lines(name, path)
                for fault in mutant.generate_mutants(_decode_source(original), lines):
                    if not self._is_searching(name):
                        break
                    if (path, fault) not in seen:
                        seen.add((path, fault))
                        self._try_fault(path, fault, original)
        return self.faults

    def _is_searching(self, name: str) -> bool:
        has_tries = self.tried[name] < _MAX_MUTANTS and self.suite_runs[name] < _MAX_SUITE_RUNS
        return name not in self.faults and has_tries

    def _executed_lines(self, name: str, path: str) -> set[int]:
        return {line for arc_path, _, line in self.tests[name].arcs if arc_path == path}

    def _try_fault(self, path: str, fault: Mutant, original: bytes) -> None:
        """Run every test that is still searched for and executes the line of a fault."""
        searching = [name for name in self.tests if self._is_searching(name)]
        names = [name for name in searching if fault.line in self._executed_lines(name, path)]
        shown = f"{path}:{fault.line}: {fault.was} instead of {fault.now}"
        with _changed_file(self.runs.root / path, fault, original):
            failures = dict(self.runs.find_failures(names))
            for name in names:
                if name not in failures and len(names) > 1:  # another test ended the run
                    failures |= self.runs.find_failures([name])
                self.tried[name] += 1
                if ASSERTION.search(failures.get(name, "")) and self._is_own_fault(name):
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
        file.write_bytes(fault.source.encode(_source_encoding(original), "replace"))
        yield
    finally:
        file.write_bytes(original)


def _source_encoding(data: bytes) -> str:
    """Return the encoding that Python reads a source file in."""
    try:
        return tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except SyntaxError:
        return "utf-8"


def _decode_source(data: bytes) -> str:
    return data.decode(_source_encoding(data), "replace")
