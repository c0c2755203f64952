"""Gates for tests that an agent wrote; only tests that pass all gates are kept.

A test has to parse, pass, pass again in another order and again, and detect a fault that is put into the
code that it runs: by an assertion, since a fault that raises an error fails any test. It has to run a line
or branch that no test ran before, or to detect a fault that no other test detects.

A test that must fail, because what it tests does not exist yet, has to do so by an assertion or a missing
name.
"""

import ast
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from prunejuice.changes.scratch_copy import ScratchCopy
from prunejuice.edits.diff import FileDiff, Version
from prunejuice.edits.overlay import Overlay
from prunejuice.errors import UsageError
from prunejuice.text import safe_line
from prunejuice.verbs import report
from prunejuice.verbs.ask import AskContext
from prunejuice.verbs.results import TestCase, TestGenerationResult
from prunejuice.verbs.verify import interpreter
from prunejuice.verbs.verify.interpreter import PythonInterpreter
from prunejuice.verbs.verify.test_runs import (
    ASSERTION,
    SUITE_SECONDS,
    TEST_SECONDS,
    Arcs,
    FaultSearch,
    TestRuns,
)

_REPETITIONS = 3
"""How often the kept tests are run once more, to notice those that fail now and then."""
_MISSING_NAME = re.compile(
    r"^E\s+(?:AttributeError: |ImportError: cannot import name|ModuleNotFoundError: |NameError: )"
    r"|^E\s+NotImplementedError"
    r"|^E\s+TypeError: .*unexpected keyword argument",
    re.MULTILINE,
)
"""How a test fails for want of what it tests."""


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
        self.python, self.place, self.sources = python, copy.place, sources
        self.target, self.result, self.context = target, result, context
        self.must_fail = False
        self.runs = TestRuns(python, copy.place, sources, target, result)

    def run_all(self, *, must_fail: bool = False) -> tuple[list[TestCase], list[GateVerdict]]:
        """Return the tests that pass all gates, and the verdict on each test.

        With `must_fail`, the tests have to fail for want of what they test.
        """
        self.must_fail = must_fail
        before: Arcs = frozenset()
        if not self.must_fail:
            self.context.on_progress("running the existing tests to measure their coverage")
            before = self.runs.measure_existing_tests()
        cases = self.result.test_cases
        refused = [self.refuse_test(case) for case in cases]
        runnable = [case for case, verdict in zip(cases, refused, strict=True) if verdict is None]
        judged = self.judge_failing(runnable) if self.must_fail else self.judge_passing(runnable, before)
        pairs = zip(cases, refused, strict=True)
        verdicts = [verdict or judged[case.test_name] for case, verdict in pairs]
        for verdict in verdicts:
            self.report_verdict(verdict)
        passed = [case for case, verdict in zip(cases, verdicts, strict=True) if verdict.kept]
        kept = passed if self.must_fail else self.drop_order_dependent(passed)
        why = "it fails together with the others in another order"
        for number, case in enumerate(cases):
            if verdicts[number].kept and case not in kept:
                verdicts[number] = GateVerdict(case.test_name, False, "order", why)
                self.report_verdict(verdicts[number])
        return kept, verdicts

    def report_verdict(self, verdict: GateVerdict) -> None:
        """Tell the user the verdict on a test."""
        reason = f"kept: {', '.join(verdict.shows)}"
        reason = reason if verdict.kept else f"dropped ({verdict.gate}): {verdict.why}"
        self.context.on_progress(f"{verdict.name}: {reason}")

    def refuse_test(self, case: TestCase) -> GateVerdict | None:
        """Return the verdict on a test that need not be run, or None."""
        name = case.test_name
        if why := _parse_error(case):
            return GateVerdict(name, False, "parses", why)
        if name in {other.test_name for other in self.result.test_cases if other is not case}:
            return GateVerdict(name, False, "parses", "two tests have this name")
        if duplicate := self.find_duplicate(case):
            return GateVerdict(name, False, "covers", f"it duplicates {duplicate}")
        return None

    def judge_failing(self, cases: Sequence[TestCase]) -> dict[str, GateVerdict]:
        """Return the verdicts on tests that must fail; each runs alone: an import may fail the file."""
        verdicts = {}
        for case in cases:
            self.write_tests([case])
            result = self.python.run_pytest(
                self.place, f"{self.target}::{case.test_name}", seconds=TEST_SECONDS
            )
            verdicts[case.test_name] = _judge_failure(case.test_name, result)
        return verdicts

    def judge_passing(self, cases: Sequence[TestCase], before: Arcs) -> dict[str, GateVerdict]:
        """Return the verdicts on tests that must pass and detect a fault."""
        runs = self.runs.measure_tests(cases, before)
        verdicts = {
            name: GateVerdict(name, False, "passes", _why_it_fails(run.failure))
            for name, run in runs.items()
            if run.failure
        }
        passed = {name: run for name, run in runs.items() if name not in verdicts}
        self.write_tests([case for case in cases if case.test_name in passed])
        alone = frozenset(name for name, run in passed.items() if not run.arcs - before)
        faults = FaultSearch(self.runs, self.sources, passed, alone).find_faults()
        return verdicts | {
            name: _judge_detection(name, run.arcs - before, faults.get(name, ""))
            for name, run in passed.items()
        }

    def find_duplicate(self, case: TestCase) -> str:
        """Return the name of an earlier test with the same body, or ""."""
        earlier_cases = self.result.test_cases[: self.result.test_cases.index(case)]
        duplicates = (
            earlier.test_name
            for earlier in earlier_cases
            if not _parse_error(earlier) and _normalized_body(earlier) == _normalized_body(case)
        )
        return next(duplicates, "")

    def drop_order_dependent(self, cases: list[TestCase]) -> list[TestCase]:
        """Return the tests that pass together in reverse order too, and several times."""
        kept = cases
        while kept:
            failed: set[str] = set()
            for order in (kept[::-1], *[kept] * _REPETITIONS):
                self.write_tests(order)
                result = self.python.run_pytest(self.place, "-rf", self.target, seconds=SUITE_SECONDS)
                if result.code:
                    failed |= {case.test_name for case in kept if f"::{case.test_name}" in result.out}
                    failed = failed or {kept[-1].test_name}
            if not failed:
                break
            kept = [case for case in kept if case.test_name not in failed]
        return kept

    def write_tests(self, cases: Sequence[TestCase]) -> None:
        """Write a test file with the given cases."""
        self.runs.write_tests(cases)


def _judge_detection(name: str, new_arcs: Arcs, fault: str) -> GateVerdict:
    """Return the verdict on a test that passes, by the code that it alone runs and the fault it detects."""
    if fault:
        shown = f"{len(_lines_of_arcs(new_arcs))} new lines or branches"
        shows = (shown if new_arcs else "a fault that no other test detects", fault)
        return GateVerdict(name, True, shows=shows)
    if new_arcs:
        why = "no assertion of it fails with any fault that was put into the code"
        return GateVerdict(name, False, "notices", why)
    return GateVerdict(
        name, False, "covers", "it runs no line or branch, and detects no fault, that other tests do not"
    )


def _why_it_fails(failure: str) -> str:
    hint = "it may reveal a fault: " if ASSERTION.search(failure) else ""
    return hint + _failure_reason(failure)


def _judge_failure(name: str, result: interpreter.PythonResult) -> GateVerdict:
    """Return the verdict on a test that must fail, for the right reason."""
    if not result.code:
        return GateVerdict(name, False, "fails", "it passes before what it tests exists")
    reason = _failure_reason(result.output_tail)
    if not (ASSERTION.search(result.out) or _MISSING_NAME.search(result.out)):
        return GateVerdict(name, False, "fails", f"it fails for another reason: {reason}")
    return GateVerdict(name, True, shows=(f"fails: {reason}",))


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
