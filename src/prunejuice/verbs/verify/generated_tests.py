"""Gates for tests that an agent wrote; only tests that pass all gates are kept.

A test has to parse, pass, pass again in another order and again, and detect a fault that is put into the
code that it runs: by an assertion, since a fault that raises an error fails any test. It has to run a line
or branch that no test ran before, or to detect a fault that no other test detects.

A test that must fail, because what it tests does not exist yet, has to do so by an assertion or a missing
name.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from prunejuice.changes.scratch_copy import ScratchCopy
from prunejuice.edits.diff import FileDiff, Version
from prunejuice.edits.overlay import Overlay
from prunejuice.text import safe_line
from prunejuice.verbs import report
from prunejuice.verbs.ask import AskContext
from prunejuice.verbs.results import TestCase, TestGenerationResult
from prunejuice.verbs.verify.runners.protocol import Lines, RunnerReport, TestRunner
from prunejuice.verbs.verify.test_runs import FaultSearch, TestRun, TestRuns

_REPETITIONS = 3
"""How often the kept tests are run once more, to notice those that fail now and then."""


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


def new_file_diffs(path: str, text: str) -> tuple[FileDiff, ...]:
    """Return the diffs that create a file."""
    overlay = Overlay(lambda _: Version(None))
    overlay.put(path, Version(text.encode("utf-8", "replace"), 0o644))
    return tuple(overlay.diffs())


class TestGates:
    """Runs the gates in a copy of the tree."""

    def __init__(
        self,
        runner: TestRunner,
        copy: ScratchCopy,
        result: TestGenerationResult,
        context: AskContext,
    ) -> None:
        self.runner, self.place, self.context = runner, copy.place, context
        cases = [runner.name_case(case) for case in result.test_cases]
        self.result = result.with_cases(cases)
        self.runs = TestRuns(runner, copy.place, self.result)

    def run_all(self, *, must_fail: bool = False) -> tuple[list[TestCase], list[GateVerdict]]:
        """Return the tests that pass all gates, and the verdict on each test.

        With `must_fail`, the tests have to fail for want of what they test.
        """
        cases = self.result.test_cases
        refused = [self.refuse_test(case) for case in cases]
        runnable = [case for case, verdict in zip(cases, refused, strict=True) if verdict is None]
        judged = self.judge_failing(runnable) if must_fail else self.judge_passing(runnable)
        pairs = zip(cases, refused, strict=True)
        verdicts = [verdict or judged[case.test_name] for case, verdict in pairs]
        for verdict in verdicts:
            self.report_verdict(verdict)
        passed = [case for case, verdict in zip(cases, verdicts, strict=True) if verdict.kept]
        kept = passed if must_fail else self.drop_order_dependent(passed)
        why = "it fails together with the others in another order"
        for number, case in enumerate(cases):
            if verdicts[number].kept and case not in kept:
                verdicts[number] = GateVerdict(case.test_name, False, "order", why)
                self.report_verdict(verdicts[number])
        return kept, verdicts

    def render_file(self, cases: Sequence[TestCase]) -> str:
        """Return the source of the file with tests."""
        source = self.runner.render(self.result.with_cases(cases))
        return self.runner.format_source(self.place, source)

    def report_verdict(self, verdict: GateVerdict) -> None:
        """Tell the user the verdict on a test."""
        reason = f"kept: {', '.join(verdict.shows)}"
        reason = reason if verdict.kept else f"dropped ({verdict.gate}): {verdict.why}"
        self.context.on_progress(f"{verdict.name}: {reason}")

    def refuse_test(self, case: TestCase) -> GateVerdict | None:
        """Return the verdict on a test that need not be run, or None."""
        name = case.test_name
        if why := self.runner.find_mistake(case):
            return GateVerdict(name, False, "parses", why)
        if more := list(map(safe_line, list_further_tests(self.runner, case))):
            return GateVerdict(name, False, "parses", f"it has further tests: {', '.join(more[:3])}")
        earlier = self.result.test_cases[: self.result.test_cases.index(case)]
        if name in {other.test_name for other in earlier}:
            return GateVerdict(name, False, "parses", "another test has this name")
        if duplicate := self.find_duplicate(case):
            return GateVerdict(name, False, "covers", f"it duplicates {duplicate}")
        return None

    def judge_failing(self, cases: Sequence[TestCase]) -> dict[str, GateVerdict]:
        """Return the verdicts on tests that must fail; each runs alone: an import may fail the file."""
        return {
            case.test_name: _judge_failure(case.test_name, self.runs.run_case(case), self.runner)
            for case in cases
        }

    def judge_passing(self, cases: Sequence[TestCase]) -> dict[str, GateVerdict]:
        """Return the verdicts on tests that must pass and detect a fault."""
        self.context.on_progress("running the existing tests to measure their coverage")
        before = self.runs.measure_existing_tests()
        runs = self.runs.measure_tests(cases, before)
        verdicts = {
            name: GateVerdict(name, False, "passes", self.explain_failure(run))
            for name, run in runs.items()
            if run.failure
        }
        verdicts |= self.refuse_clashing([case for case in cases if case.test_name not in verdicts])
        passed = {name: run for name, run in runs.items() if name not in verdicts}
        self.runs.write_tests([case for case in cases if case.test_name in passed])
        alone = frozenset(name for name, run in passed.items() if not run.find_new_lines(before))
        faults = FaultSearch(self.runs, self.runner.sources, passed, alone).find_faults()
        return verdicts | {
            name: _judge_detection(name, run, before, faults.get(name, "")) for name, run in passed.items()
        }

    def refuse_clashing(self, cases: Sequence[TestCase]) -> dict[str, GateVerdict]:
        """Return the verdicts on tests that pass alone, and break the file if others are in it."""
        if len(cases) < 2 or len(self.runs.run_all(cases).failures) == len(cases):
            return {}
        joined: list[TestCase] = []
        verdicts = {}
        for case in cases:
            if len(self.runs.run_all([*joined, case]).failures) == len(joined) + 1:
                joined.append(case)
            else:
                why = f"it cannot stand in one file with {', '.join(each.test_name for each in joined[:3])}"
                verdicts[case.test_name] = GateVerdict(case.test_name, False, "parses", why)
        return verdicts

    def explain_failure(self, run: TestRun) -> str:
        """Return why a test fails that should pass."""
        is_assertion = run.is_reported and self.runner.is_assertion(run.failure)
        return ("it may reveal a fault: " if is_assertion else "") + self.runner.shorten(run.failure)

    def find_duplicate(self, case: TestCase) -> str:
        """Return the name of an earlier test with the same body, or ""."""
        earlier_cases = self.result.test_cases[: self.result.test_cases.index(case)]
        body = self.runner.normalize(case)
        duplicates = (
            earlier.test_name
            for earlier in earlier_cases
            if not self.runner.find_mistake(earlier) and self.runner.normalize(earlier) == body
        )
        return next(duplicates, "")

    def drop_order_dependent(self, cases: list[TestCase]) -> list[TestCase]:
        """Return the tests that pass together in reverse order too, and several times."""
        kept = cases
        while kept:
            failed: set[str] = set()
            for order in (kept[::-1], *[kept] * _REPETITIONS):
                failures = self.runs.run_all(order).failures
                failed |= {case.test_name for case in kept if failures.get(case.test_name)}
                if not failed and len(failures) < len(kept):  # the last one may have ended the run
                    failed = {kept[-1].test_name}
            if not failed:
                break
            kept = [case for case in kept if case.test_name not in failed]
        return kept


def list_further_tests(runner: TestRunner, case: TestCase) -> list[str]:
    """Return what the code of a case has besides its own test that the runner would run."""
    tests = runner.list_tests(case.test_code)
    if case.test_name in tests:
        tests.remove(case.test_name)
    return tests


def require_no_tests_outside(runner: TestRunner, result: TestGenerationResult) -> None:
    """Check that no test stands in the setup, the teardown or a fixture, where no gate would judge it.

    Raises:
        ValueError: one does.
    """
    for part in (result.setup_code, result.teardown_code, *result.additional_fixtures):
        if part and (tests := runner.list_tests(part)):
            raise ValueError(f"{safe_line(tests[0], 80)} belongs into test_cases")


def _judge_detection(name: str, run: TestRun, before: Lines | None, fault: str) -> GateVerdict:
    """Return the verdict on a test that passes, by the code that it alone runs and the fault it detects."""
    new_lines = run.find_new_lines(before)
    if fault:
        shown = f"{len({(path, abs(line)) for path, _, line in new_lines})} new lines or branches"
        shows = (shown if new_lines else "a fault that no other test detects", fault)
        return GateVerdict(name, True, shows=shows)
    if new_lines:
        why = "no assertion of it fails with any fault that was put into the code"
        return GateVerdict(name, False, "notices", why)
    if run.lines is None:
        return GateVerdict(name, False, "notices", "it detects no fault that other tests do not")
    return GateVerdict(
        name, False, "covers", "it runs no line or branch, and detects no fault, that other tests do not"
    )


def _judge_failure(name: str, report: RunnerReport, runner: TestRunner) -> GateVerdict:
    """Return the verdict on a test that must fail, for the right reason."""
    is_reported = name in report.failures
    failure = report.failures.get(name, report.output or "it ends the program that runs the tests")
    if not failure:
        return GateVerdict(name, False, "fails", "it passes before what it tests exists")
    reason = runner.shorten(failure)
    if not ((is_reported and runner.is_assertion(failure)) or runner.is_missing_name(failure)):
        return GateVerdict(name, False, "fails", f"it fails for another reason: {reason}")
    return GateVerdict(name, True, shows=(f"fails: {reason}",))


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
