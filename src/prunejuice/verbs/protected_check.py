"""Judge a change by the tests, settings and data that the tree had before it.

A check that passes in the changed tree proves little if the change may also alter what judges it. So the
verdict is taken in a clean place, where every file of the evaluator is as it was: what the change does to
those files has no effect. Tests that the change adds have passed already; they can only add demands.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from prunejuice.changes import change_set
from prunejuice.code.testpaths import is_test_path
from prunejuice.edits.diff import FileDiff
from prunejuice.system.untrusted_files import read_small_text
from prunejuice.text import format_count
from prunejuice.verbs.ask import AskContext
from prunejuice.verbs.check_command import CheckCommand, CheckRun
from prunejuice.verbs.verify import check_files
from prunejuice.verbs.verify.pytest_outcome import compare_outcomes
from prunejuice.verbs.verify.tamper import TamperFinding


class Verdict(NamedTuple):
    """Why a pass does not count, empty if it does, and the evidence for it."""

    findings: Sequence[TamperFinding] = ()
    evidence: Sequence[str] = ()


class ProtectedCheck:
    """Judges changes of the tree of a request with a check, in copies below `folder`."""

    def __init__(self, command: CheckCommand, context: AskContext, folder: Path) -> None:
        self._command, self._context, self._folder = command, context, folder
        self._before: CheckRun | None = None

    def set_baseline(self, run: CheckRun) -> None:
        """Record how the check ended before any change."""
        self._before = run

    def judge_pass(self, diffs: Sequence[FileDiff], run: CheckRun) -> Verdict:
        """Return whether a check that passed in the changed tree counts."""
        judges = self._evaluator_diffs(diffs)
        if not judges and not self._lost_tests(run):
            return Verdict((), self._count_outcomes(run))
        code = [diff for diff in diffs if diff not in judges]
        if self._adds_the_first_tests(judges):
            return Verdict((), ("the check runs only tests that this change adds",))
        clean_run = self._run_with(code)
        if not clean_run.passed:
            return Verdict(_blame(judges, "the check passes only with this change to what judges it"))
        if lost := self._lost_tests(clean_run):
            return Verdict([TamperFinding(lost[0], 0, "the check passes, but this test does not")])
        # With the new files, because settings may name them, except those that the changed code uses.
        used = b"\n".join(diff.new.data or b"" for diff in code if diff.old.data is not None)
        additions = [
            diff
            for diff in diffs
            if diff in judges or (diff.old.data is None and Path(diff.path).stem.encode() not in used)
        ]
        if judges and not self.baseline().passed and self._run_with(additions).passed:
            return Verdict(_blame(judges, "with it, the check passes on the code as it was"))
        kept = f"the check passes with {format_count(len(judges), 'changed test or setting')} as before"
        return Verdict((), (*self._count_outcomes(clean_run), *([kept] if judges else [])))

    def baseline(self) -> CheckRun:
        """Return how the check ends without any change; it is run once."""
        if self._before is None:
            self._before = self._run_with(())
        return self._before

    def _evaluator_diffs(self, diffs: Sequence[FileDiff]) -> list[FileDiff]:
        # The sources of the tree are read only if a changed file may be data.
        has_data = any(map(check_files.may_be_data, diffs))
        test_data = self._find_test_data() if has_data else set()
        return [
            diff
            for diff in diffs
            if check_files.is_part_of_evaluator(diff, self._command.command, test_data)
        ]

    def _find_test_data(self) -> set[str]:
        files = [
            path
            for path in self._context.engine.listed_files()
            if path.endswith((".py", ".js", ".ts", ".rb", ".go"))
        ]
        tests = (read_small_text(self._context.tree.root / path) for path in files if is_test_path(path))
        sources = (
            read_small_text(self._context.tree.root / path) for path in files if not is_test_path(path)
        )
        return check_files.find_test_data(tests, sources)

    def _adds_the_first_tests(self, judges: Sequence[FileDiff]) -> bool:
        """Return whether the tree has no test that could judge, and the change adds test files only."""
        are_new_tests = all(diff.old.data is None and is_test_path(diff.path) for diff in judges)
        return bool(judges) and are_new_tests and self.baseline().found_no_tests

    def _lost_tests(self, run: CheckRun) -> Sequence[str]:
        return compare_outcomes(self._before.outcomes, run.outcomes).lost if self._before else ()

    def _count_outcomes(self, run: CheckRun) -> tuple[str, ...]:
        if not (self._before and self._before.outcomes):
            return ()
        change = compare_outcomes(self._before.outcomes, run.outcomes)
        fixed, still_passing = len(change.fail_to_pass), len(change.pass_to_pass)
        counts = ((fixed, "that failed before"), (still_passing, "that passed before"))
        parts = [f"{format_count(count, 'test')} {which}" for count, which in counts if count]
        return (f"passing now: {', '.join(parts)}",) if parts else ()

    def _run_with(self, diffs: Sequence[FileDiff]) -> CheckRun:
        """Run the check in a clean copy of the tree with some of the changes."""
        with self._context.open_copy(self._folder / "judged") as copy:
            change_set.write_diffs(copy.house, diffs)
            return self._command.run(copy.place)


def _blame(judges: Sequence[FileDiff], reason: str) -> list[TamperFinding]:
    return [TamperFinding(diff.to or diff.path, 1, reason) for diff in judges]
