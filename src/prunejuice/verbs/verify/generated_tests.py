"""Gates for tests that an agent wrote; only tests that pass all gates are kept.

A test has to parse, pass, pass again in another order and again, and detect a fault that is put into the
code that it runs: by an assertion, since a fault that raises an error fails any test. It has to run a line
or branch that no test ran before, or to detect a fault that no other test detects.

A test that must fail, because what it tests does not exist yet, has to do so by an assertion or a missing
name.
"""

import ast
import io
import json
import re
import time
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from prunejuice.changes.scratch_copy import ScratchCopy
from prunejuice.code import mutant
from prunejuice.edits.diff import FileDiff, Version
from prunejuice.edits.overlay import Overlay
from prunejuice.errors import UsageError
from prunejuice.text import safe_line
from prunejuice.verbs import report
from prunejuice.verbs.ask import AskContext
from prunejuice.verbs.results import TestCase, TestGenerationResult
from prunejuice.verbs.verify import interpreter
from prunejuice.verbs.verify.interpreter import PythonInterpreter
from prunejuice.verbs.verify.pytest_outcome import NO_TESTS_CODE

_MAX_MUTANTS = 12
_MAX_SUITE_RUNS = 4
"""How many faults are tried on the whole suite, to see whether another test detects them."""
_REPETITIONS = 3
"""How often the kept tests are run once more, to notice those that fail now and then."""
_ASSERTION = re.compile(r"^E\s+(?:assert\b|AssertionError|Failed: DID NOT)", re.MULTILINE)
_MISSING_NAME = re.compile(
    r"^E\s+(?:AttributeError: |ImportError: cannot import name|ModuleNotFoundError: |NameError: )"
    r"|^E\s+NotImplementedError"
    r"|^E\s+TypeError: .*unexpected keyword argument",
    re.MULTILINE,
)
"""How a test fails for want of what it tests."""
_SUITE_SECONDS = 600.0
_TEST_SECONDS = 60.0
_LEAST_FAULT_SECONDS = 5.0
_FAULT_FACTOR = 10
"""How much longer a test may run on code with a fault, which may loop, than on the code as it is."""
Arcs = frozenset[tuple[str, int, int]]
"""Executed jumps from line to line, each with its file."""


def fault_time_limit(seconds: float) -> float:
    """Return how many seconds a test may run on code with a fault, by those on the code as it is."""
    return min(_TEST_SECONDS, _LEAST_FAULT_SECONDS + _FAULT_FACTOR * seconds)


class GateVerdict(NamedTuple):
    """The verdict on one test: kept, or the gate that it failed and why; `shows` is the evidence for it."""

    name: str
    kept: bool
    gate: str = ""
    why: str = ""
    shows: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as JSON-compatible data."""
        return {**self._asdict(), "shows": list(self.shows)}


def test_file_path(root: Path, source: str) -> str:
    """Return an unused path for the tests of a file, in the folder of the other tests."""
    stem = Path(source).stem
    folder = next((name for name in ("tests", "test") if (root / name).is_dir()), str(Path(source).parent))
    for number in range(1, 100):
        name = f"test_{stem}{'' if number == 1 else f'_{number}'}.py"
        path = name if folder == "." else f"{folder}/{name}"
        if not (root / path).exists():
            return path
    raise UsageError(f"{folder} has 99 test files for {source} already", "merge some of them")


def new_file_diffs(path: str, text: str) -> tuple[FileDiff, ...]:
    """Return the diffs that create a file."""
    overlay = Overlay(lambda _: Version(None))
    overlay.put(path, Version(text.encode(), 0o644))
    return tuple(overlay.diffs())


class TestGates:
    """Runs the gates in a copy of the tree."""

    def __init__(
        self,
        python: PythonInterpreter,
        copy: ScratchCopy,
        sources: Sequence[str],
        target: str,
        result: TestGenerationResult,
        context: AskContext,
    ) -> None:
        self.python, self.root, self.sources = python, copy.root, sources
        self.target, self.result, self.context = target, result, context
        self.must_fail = False
        self.coverage_file = copy.root.parent / "state" / "coverage"
        self.fault_seconds = _TEST_SECONDS

    def run_all(self, *, must_fail: bool = False) -> tuple[list[TestCase], list[GateVerdict]]:
        """Return the tests that pass all gates, and the verdict on each test.

        With `must_fail`, the tests have to fail for want of what they test.
        """
        self.must_fail = must_fail
        before: Arcs = frozenset()
        if not self.must_fail:
            self.context.on_progress("running the existing tests to measure their coverage")
            before = self.baseline_arcs()
        passed: list[tuple[TestCase, tuple[str, ...]]] = []
        verdicts: dict[int, GateVerdict] = {}
        for number, case in enumerate(self.result.test_cases):
            verdict, evidence = self.judge_test(case, before)
            verdicts[number] = verdict
            outcome = (
                f"kept: {', '.join(evidence)}"
                if verdict.kept
                else f"dropped ({verdict.gate}): {verdict.why}"
            )
            self.context.on_progress(f"{case.test_name}: {outcome}")
            if verdict.kept:
                passed.append((case, evidence))
        kept = [case for case, _ in passed]
        kept = kept if self.must_fail else self.drop_order_dependent(kept)
        for number, case in enumerate(self.result.test_cases):
            if verdicts[number].kept and case not in kept:
                why = "it fails together with the others in another order"
                verdicts[number] = GateVerdict(case.test_name, False, "order", why)
                self.context.on_progress(f"{case.test_name}: dropped (order): {why}")
        return kept, [verdicts[number] for number in sorted(verdicts)]

    def baseline_arcs(self) -> Arcs:
        """Return the arcs that the existing tests run."""
        _, arcs = self.run_with_coverage("--continue-on-collection-errors", seconds=_SUITE_SECONDS)
        return arcs

    def judge_test(self, case: TestCase, before: Arcs) -> tuple[GateVerdict, tuple[str, ...]]:
        """Return the verdict on one test, run alone, and the evidence for it."""
        name = case.test_name
        if why := _parse_error(case):
            return GateVerdict(name, False, "parses", why), ()
        if name in {other.test_name for other in self.result.test_cases if other is not case}:
            return GateVerdict(name, False, "parses", "two tests have this name"), ()
        if duplicate := self.find_duplicate(case):
            return GateVerdict(name, False, "covers", f"it duplicates {duplicate}"), ()
        self.write_tests([case])
        began = time.monotonic()
        result, arcs = self.run_with_coverage(f"{self.target}::{name}", seconds=_TEST_SECONDS)
        self.fault_seconds = fault_time_limit(time.monotonic() - began)
        if self.must_fail:
            return _judge_failure(name, result)
        if result.code:
            hint = "it may reveal a fault: " if _ASSERTION.search(result.out) else ""
            return GateVerdict(name, False, "passes", hint + _failure_reason(result.output_tail)), ()
        return self.judge_detection(name, arcs, arcs - before)

    def judge_detection(self, name: str, arcs: Arcs, new_arcs: Arcs) -> tuple[GateVerdict, tuple[str, ...]]:
        """Return the verdict on a test that passes: it has to detect a fault."""
        fault = self.find_noticed_fault(f"{self.target}::{name}", arcs, alone=not new_arcs)
        if fault:
            shown = f"{len(_lines_of_arcs(new_arcs))} new lines or branches"
            shows = (shown if new_arcs else "a fault that no other test detects", fault)
            return GateVerdict(name, True, shows=shows), shows
        if new_arcs:
            why = "no assertion of it fails with any fault that was put into the code"
            return GateVerdict(name, False, "notices", why), ()
        why = "it runs no line or branch, and detects no fault, that other tests do not"
        return GateVerdict(name, False, "covers", why), ()

    def find_duplicate(self, case: TestCase) -> str:
        """Return the name of an earlier test with the same body, or ""."""
        earlier_cases = self.result.test_cases[: self.result.test_cases.index(case)]
        duplicates = (
            earlier.test_name
            for earlier in earlier_cases
            if not _parse_error(earlier) and _normalized_body(earlier) == _normalized_body(case)
        )
        return next(duplicates, "")

    def find_noticed_fault(self, test: str, arcs: Arcs, *, alone: bool = False) -> str:
        """Return the first of the tried faults that the test detects by an assertion, or "".

        With `alone`, no other test may detect it.
        """
        tried, suite_runs = 0, 0
        for path in self.sources:
            file = self.root / path
            original = file.read_bytes()
            text = _decode_source(original)
            try:
                for mutation in mutant.generate_mutants(
                    text, {line for arc_path, _, line in arcs if arc_path == path}
                ):
                    file.write_bytes(mutation.source.encode(_source_encoding(original), "replace"))
                    run = self.python.run_pytest(self.root, test, seconds=self.fault_seconds)
                    is_noticed = bool(run.code and _ASSERTION.search(run.out))
                    if is_noticed and alone:
                        suite_runs += 1
                        is_noticed = not self.is_detected_by_others(test)
                    if is_noticed:
                        return f"{path}:{mutation.line}: {mutation.was} instead of {mutation.now}"
                    tried += 1
                    if tried >= _MAX_MUTANTS or suite_runs >= _MAX_SUITE_RUNS:
                        return ""
            finally:
                file.write_bytes(original)
        return ""

    def is_detected_by_others(self, test: str) -> bool:
        """Return whether the suite without a test fails with the fault that is in the code now."""
        run = self.python.run_pytest(self.root, "-x", f"--deselect={test}", seconds=_SUITE_SECONDS)
        return run.code not in {0, NO_TESTS_CODE}

    def drop_order_dependent(self, cases: list[TestCase]) -> list[TestCase]:
        """Return the tests that pass together, in both their order and the reverse, and several times."""
        kept = cases
        while kept:
            failed: set[str] = set()
            for order in (kept, kept[::-1], *[kept] * _REPETITIONS):
                self.write_tests(order)
                result = self.python.run_pytest(self.root, "-rf", self.target, seconds=_SUITE_SECONDS)
                if result.code:
                    failed |= {case.test_name for case in kept if f"::{case.test_name}" in result.out}
                    failed = failed or {kept[-1].test_name}
            if not failed:
                break
            kept = [case for case in kept if case.test_name not in failed]
        return kept

    def write_tests(self, cases: Sequence[TestCase]) -> None:
        """Write a test file with the given cases."""
        file = self.root / self.target
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.result.with_cases(cases).to_test_file(), encoding="utf-8", errors="replace")

    def run_with_coverage(self, *words: str, seconds: float) -> tuple[interpreter.PythonResult, Arcs]:
        """Run tests under coverage; return the result and the arcs of the source files."""
        self.coverage_file.unlink(missing_ok=True)
        coverage_words = (
            "-m",
            "coverage",
            "run",
            "--branch",
            f"--data-file={self.coverage_file}",
            f"--include={self.include_option()}",
        )
        pytest_words = (*self.python.pytest_options, *words)
        # The settings of the project could omit the sources.
        result = self.python.run(
            self.root, *coverage_words, *pytest_words, seconds=seconds, COVERAGE_RCFILE="/dev/null"
        )
        return result, frozenset(self.read_arcs())

    def include_option(self) -> str:
        """Return the source files as a value of coverage's `--include`."""
        return ",".join(str(self.root / path) for path in self.sources)

    def read_arcs(self) -> Iterator[tuple[str, int, int]]:
        """Yield the recorded arcs, with paths relative to the copy."""
        result = self.python.run(self.root, str(interpreter.PROBES / "arcs.py"), str(self.coverage_file))
        arcs_by_file = json.loads(result.out) if result.code == 0 else {}
        for path, pairs in arcs_by_file.items():
            absolute = Path(path)
            if absolute.is_relative_to(self.root):
                yield from ((str(absolute.relative_to(self.root)), start, end) for start, end in pairs)


def _judge_failure(name: str, result: interpreter.PythonResult) -> tuple[GateVerdict, tuple[str, ...]]:
    """Return the verdict on a test that must fail, for the right reason."""
    if not result.code:
        return GateVerdict(name, False, "fails", "it passes before what it tests exists"), ()
    reason = _failure_reason(result.output_tail)
    if not (_ASSERTION.search(result.out) or _MISSING_NAME.search(result.out)):
        return GateVerdict(name, False, "fails", f"it fails for another reason: {reason}"), ()
    return GateVerdict(name, True, shows=(f"fails: {reason}",)), (f"fails: {reason}",)


def _source_encoding(data: bytes) -> str:
    """Return the encoding that Python reads a source file in."""
    try:
        return tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except SyntaxError:
        return "utf-8"


def _decode_source(data: bytes) -> str:
    return data.decode(_source_encoding(data), "replace")


def _parse_error(case: TestCase) -> str:
    """Return why a test does not parse or lacks its function; empty when it is valid."""
    try:
        tree = ast.parse(case.test_code)
        ast.parse("\n".join(case.imports_needed))
    except (SyntaxError, ValueError) as error:
        return safe_line(str(error), 120)
    functions = [
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return "" if case.test_name in functions else f"it does not define {case.test_name}"


def _normalized_body(case: TestCase) -> str:
    """Return the syntax tree of a test as text, without its name, docstrings and names of variables."""
    tree = ast.parse(case.test_code.replace(case.test_name, "test"))
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.setdefault(node.id, f"variable{len(names)}")
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = names.get(node.id, node.id)
    return ast.dump(tree)


def _lines_of_arcs(arcs: Arcs) -> set[tuple[str, int]]:
    return {(path, abs(line)) for path, _, line in arcs}


def _failure_reason(output: str) -> str:
    rows = [row for row in output.splitlines() if row.startswith(("E  ", "ERROR", "FAILED"))]
    return safe_line(rows[0].removeprefix("E").strip() if rows else output[-200:], 200)


def evidence_lines(verdicts: Sequence[GateVerdict]) -> list[str]:
    """Return the verdicts as lines of evidence for reviewers."""
    kept = sum(verdict.kept for verdict in verdicts)
    if any(verdict.shows and verdict.shows[0].startswith("fails: ") for verdict in verdicts):
        failing = (f"{verdict.name} {verdict.shows[0]}" for verdict in verdicts if verdict.kept)
        return [f"{kept} of {len(verdicts)} tests fail until what they test exists", *failing]
    first = f"{kept} of {len(verdicts)} tests pass in any order, run new code, and detect a fault"
    return [
        first,
        *(f"{verdict.name}: detects {verdict.shows[-1]}" for verdict in verdicts if verdict.kept),
    ]


def render_verdicts(verdicts: Sequence[GateVerdict]) -> str:
    """Render the verdicts as Markdown."""
    rows = [
        f"- {'kept' if verdict.kept else f'dropped ({verdict.gate})'} `{verdict.name}`: "
        f"{'; '.join(verdict.shows) if verdict.kept else verdict.why}"
        for verdict in verdicts
    ]
    return report.render_list("Tests", rows)
