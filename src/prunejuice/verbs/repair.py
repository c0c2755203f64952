"""Ask for edits until a check passes: apply them to a copy of the tree, run the check there, and retry."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from prunejuice.agents import budget
from prunejuice.agents.protocol import NO_USAGE, Usage, total_usage
from prunejuice.changes import change_set
from prunejuice.changes.scratch_copy import ScratchCopy
from prunejuice.code.mask_secrets import mask_secrets
from prunejuice.code.testpaths import is_test_path
from prunejuice.context.bundle import Bundle
from prunejuice.edits.diff import FileDiff, format_diff
from prunejuice.edits.overlay import Overlay
from prunejuice.environments.place import Place
from prunejuice.errors import AgentError, ConflictError, DeniedError, GateError, LimitError
from prunejuice.system import settings
from prunejuice.text import format_count, safe_line
from prunejuice.verbs import ask
from prunejuice.verbs.ask import AskContext, AskRequest
from prunejuice.verbs.check_command import CHECK_SECONDS, CheckCommand, CheckRun
from prunejuice.verbs.protected_check import ProtectedCheck
from prunejuice.verbs.verify import hardcoding, rote_probe, tamper
from prunejuice.verbs.verify.equivalence import EquivalenceChecker, EquivalenceResult
from prunejuice.verbs.verify.tamper import TamperFinding

_VOLATILE_TEXT = re.compile(r"0x[0-9a-f]+|\b\d+\.\d+ ?s(?:econds)?\b")
"""Output that differs between two identical failures: addresses and times."""
CHECK_OUTPUT = "check_output"
"""The output of an error that holds what the check printed when it failed last."""
_SHOWN_LINES = 12
"""Lines of the output of a failed check that a person sees; the agent sees more."""
_MAX_SAME_FAILURES = 3
"""How often a check may fail with the same output before the loop stops."""


class RepairCheck(NamedTuple):
    """A command that has to pass, and how to judge the changes.

    With `run_first` the command runs before anything is asked, to see what fails. `allow_test_changes`
    permits changes to tests and checks. `seconds` is the time limit of one run. `compare` compares the
    behaviour of the original tree with that of the changed copy; it is the only check when there is no
    command. With `must_pass_before` the command counts only if it passes before any change.
    """

    command: str
    run_first: bool = False
    allow_test_changes: bool = False
    seconds: float = CHECK_SECONDS
    compare: Callable[[Place, Place, Sequence[FileDiff]], EquivalenceResult] | None = None
    must_pass_before: bool = False


class RepairResult(NamedTuple):
    """The changes that make the check pass; empty when it passed without any."""

    differences: tuple[FileDiff, ...]
    text: str
    usage: Usage
    rounds: int
    context: Bundle | None
    evidence: tuple[str, ...] = ()
    summary: str = ""


def repair_until_passing(request: AskRequest, check: RepairCheck, context: AskContext) -> RepairResult:
    """Ask for edits, apply them to a copy, run the check there, and ask again with the failures.

    Raises:
        LimitError: no rounds are left, or no progress is made.
        DeniedError: a change weakens tests or checks.
        GateError: the behaviour changed in the last round.
        AgentError, ConflictError: asking failed.
    """
    with context.temporary_folder() as folder, ExitStack() as stack:
        copy = stack.enter_context(context.open_copy(folder / "copy"))
        original = copy
        if check.compare:
            original = stack.enter_context(context.open_copy(folder / "was"))
        return _RepairLoop(request, check, context, copy, original.place, folder).run()


_NOTHING_COMPARED = "no test and no call shows that the behaviour is unchanged"


class _RepairLoop:
    """The state of one repair loop."""

    def __init__(
        self,
        request: AskRequest,
        check: RepairCheck,
        context: AskContext,
        copy: ScratchCopy,
        was: Place,
        folder_of_copies: Path,
    ) -> None:
        self.request, self.check = request, check
        self.context, self.copy, self.original = context, copy.house, was
        self.place = copy.place
        here, top = context.engine.directory.resolve(), context.tree.root.resolve()
        folder = str(here.relative_to(top)) if here.is_relative_to(top) else "."
        self.command = CheckCommand(
            check.command,
            context.tree.root,
            context.stop,
            folder,
            check.seconds,
            context.grace,
            context.tag,
            context.hidden,
            context.settings,
        )
        self.protected = ProtectedCheck(self.command, context, folder_of_copies)
        self.paths: dict[str, None] = {}
        self.seen_states = {""}
        self.failure_counts: Counter[str] = Counter()
        self.spent, self.rounds = NO_USAGE, 0
        self.evidence: list[str] = []
        self.faults: tuple[str, ...] = ()
        self.compared_functions = 0
        self.last_failure = ""

    def run(self) -> RepairResult:
        """Run the loop; an error that ends it carries the changes made so far as its answer."""
        try:
            return self._run_rounds()
        except (AgentError, LimitError, ConflictError) as error:
            error.answer = self._diff_text() or error.answer
            error.outputs = {**error.outputs, CHECK_OUTPUT: mask_secrets("", self.last_failure)}
            if isinstance(error, ConflictError) and self.faults:
                raise self._failure_error(error.message) from error
            raise

    def _run_rounds(self) -> RepairResult:
        """Run the rounds, counting the retries of unplaced edits too."""
        # Bad paths are reported here, before a check that may take minutes.
        self.context.engine.gather(ask.context_request(self.request))
        if self.check.command:
            self.command.require_program(self.place)
        if self.check.run_first:
            run = self._run_before_any_change()
            if run.passed:
                return RepairResult((), f"{self.check.command!r} passes without changes", NO_USAGE, 0, None)
            self._show_output(run.output)
            self.request = self.request._replace(input_text=run.output)
            self.failure_counts[_normalize_output(run.output)] += 1
        self._check_baseline()
        max_rounds = self.request.limits.rounds or ask.DEFAULT_ROUNDS
        while self.rounds < max_rounds:
            answer = self._ask_for_edits(max_rounds - self.rounds)
            self.spent, self.rounds = total_usage(self.spent, answer.usage), self.rounds + answer.rounds
            if answer.placed_answer is None:
                return self._result_without_changes(answer)
            self._apply_to_copy(answer.placed_answer.differences)
            passed, failure = self._verify_copy()
            self.context.on_progress(
                f"round {self.rounds} of {max_rounds}: {self._verdict_text(passed=passed)}"
            )
            if passed:
                return self._repair_result(self._file_diffs(), answer)
            self.last_failure = failure
            self._show_output(failure)
            self._require_progress(failure)
            self.request = self.request._replace(input_text=failure)
        raise self._failure_error(
            f"{self.check.command!r} still fails after {format_count(max_rounds, 'round')}"
        )

    def _show_output(self, text: str) -> None:
        """Report the end of the output of a check that failed."""
        for line in text.rstrip().splitlines()[-_SHOWN_LINES:]:
            self.context.on_progress(f"  {mask_secrets('', line)}")

    def _run_before_any_change(self) -> CheckRun:
        run = self.command.run(self.place)
        self.protected.set_baseline(run)
        return run

    def _check_baseline(self) -> None:
        """Drop a command that fails before any change, because it cannot judge one."""
        if not (self.check.must_pass_before and self.check.command):
            return
        self.context.on_progress(f"running {self.check.command!r} before any change")
        if self._run_before_any_change().passed:
            return
        self.context.on_progress(f"{self.check.command!r} fails before any change, so it is ignored")
        self.check = self.check._replace(command="")

    def _result_without_changes(self, answer: ask.AskResult) -> RepairResult:
        """Accept an answer without changes if behaviour has to be kept; otherwise raise an error."""
        if self.check.compare and not self.paths:
            return self._repair_result((), answer)
        raise self._no_progress_error("the agent says that no changes are needed")

    def _repair_result(self, diffs: tuple[FileDiff, ...], answer: ask.AskResult) -> RepairResult:
        evidence = tuple(self.evidence)
        summary = answer.placed_answer.change_set.summary if answer.placed_answer else ""
        return RepairResult(diffs, answer.text, self.spent, self.rounds, answer.context, evidence, summary)

    def _verdict_text(self, *, passed: bool) -> str:
        if self.faults:
            return safe_line(self.faults[0], 300)
        if not self.check.command:
            compared = format_count(self.compared_functions, "function")
            same = f"the calls of {compared} give the same results; nothing else was compared"
            return same if self.compared_functions else _NOTHING_COMPARED
        return f"{self.check.command!r} {'passes' if passed else 'fails'}"

    def _verify_copy(self) -> tuple[bool, str]:
        """Return whether the copy passes all checks, and the failures for the next prompt."""
        self.evidence, self.faults = [], ()
        passed, output = True, ""
        if self.check.command:
            run = self.command.run(self.place)
            passed, output = run.passed, run.output
            if passed:
                when = "before and after" if self.check.must_pass_before else "now"
                self.evidence.append(f"{self.check.command} passes {when}")
                self._require_honest_pass(run)
        if self.check.compare is None:
            return passed, output
        comparison = self.check.compare(self.original, self.place, self._file_diffs())
        broken = self.check.must_pass_before and not passed
        self.evidence += comparison.evidence
        self.compared_functions = comparison.compared_functions
        if not (comparison.compared_functions or self.check.command or comparison.faults):
            self.evidence.append(_NOTHING_COMPARED)
        failed = [f"{self.check.command!r} passed before, and fails now"] if broken else []
        self.faults = (*comparison.faults, *failed)
        report = ["The behaviour has changed:", *self.faults] if self.faults else []
        return passed and not self.faults, "\n\n".join(filter(None, [*report, output]))

    def _require_honest_pass(self, run: CheckRun) -> None:
        """Refuse a pass that the tests as they were do not support, and hard-coded results.

        Raises:
            DeniedError: the check passes because of what judges it, a test that ran before does not pass,
                or the code contains results of tests.
        """
        if self.check.allow_test_changes:
            return
        diffs = self._file_diffs()
        verdict = self.protected.judge_pass(diffs, run)
        self._deny_if_weakened(verdict.findings)
        self.evidence += verdict.evidence
        tests = list(self._test_sources())
        self._deny_if_weakened(hardcoding.find_hardcoded_answers(diffs, tests))
        self.evidence += self._describe_rote(diffs, tests)

    def _describe_rote(self, diffs: Sequence[FileDiff], tests: Sequence[str]) -> list[str]:
        """Return what shows that functions changed for the values of tests only."""
        functions = rote_probe.find_changed_functions(diffs, tests)
        if not functions:
            return []
        probe = rote_probe.RoteProbe(EquivalenceChecker(settings.environment(), self.context.stop))
        with (
            self.context.temporary_folder() as folder,
            self.context.open_copy(folder / "before") as before,
        ):
            return probe.describe_rote(before.place, self.place, functions)

    def _test_sources(self) -> Iterator[str]:
        """Yield the sources of the test files."""
        for path in self.context.engine.listed_files():
            if path.endswith(".py") and (is_test_path(path) or path in self.check.command):
                file = self.copy.root / path
                if file.is_file() and not file.is_symlink():
                    yield file.read_text(encoding="utf-8", errors="replace")

    def _failure_error(self, why: str) -> Exception:
        """Return the error that ends the loop: changed behaviour, or no progress."""
        if not self.faults and self._fails_without_changes():
            return LimitError(
                f"{why}, as it does without any change",
                "see that the check can pass here, or name another with --check",
                answer=self._diff_text(),
            )
        if not self.faults:
            return self._no_progress_error(why)
        faults = safe_line("; ".join(self.faults[:3]), 600)
        fix = "ask again, or use `codebot implement` to change behaviour on purpose"
        return GateError(f"the behaviour has changed: {faults}", fix, answer=self._diff_text())

    def _fails_without_changes(self) -> bool:
        """Return whether a check that never passed fails on the unchanged files in the same way."""
        if not self.check.command or self.check.run_first:
            return False
        run = self.protected.baseline()
        return not run.passed and self.failure_counts[_normalize_output(run.output)] > 0

    def _ask_for_edits(self, rounds: int) -> ask.AskResult:
        budget.require_rest(self.request.limits, self.spent)
        remaining = self.request.limits.remaining(self.spent)._replace(rounds=rounds)
        words = f"{self.request.words}\n\n{self._previous_changes_prompt()}".strip()
        request = self.request._replace(words=words, limits=remaining)
        return ask.ask_for_edits(request, self.context._replace(tree=self.copy))

    def _previous_changes_prompt(self) -> str:
        """Return the changes made so far, which the shown files do not contain."""
        shown = "".join(map(format_diff, self._file_diffs()))
        if not shown:
            return ""
        where = (
            ""
            if self.context.agent.capabilities.edits
            else "; match SEARCH to the lines as they are after them"
        )
        return f"These changes are made already, but the files shown do not have them{where}:\n\n{shown}"

    def _apply_to_copy(self, diffs: tuple[FileDiff, ...]) -> None:
        change_set.require_allowed(diffs)
        change_set.write_diffs(self.copy, diffs)
        self.paths |= dict.fromkeys(name for diff in diffs for name in (diff.path, diff.to) if name)
        command = self.check.command
        self._deny_if_weakened(
            []
            if self.check.allow_test_changes
            else tamper.find_weakened_checks(self._file_diffs(), command)
        )

    def _deny_if_weakened(self, findings: Sequence[TamperFinding]) -> None:
        if findings:
            raise DeniedError(
                f"a change weakens tests or checks: {tamper.format_findings(findings)}",
                tamper.ALLOW_HINT,
                answer=self._diff_text(),
            )

    def _require_progress(self, failure: str) -> None:
        """Raise an error when the files or the failures repeat."""
        state, output = self._diff_text(), _normalize_output(failure)
        self.failure_counts[output] += 1
        if state in self.seen_states or self.failure_counts[output] >= _MAX_SAME_FAILURES:
            raise self._failure_error(f"no progress: {self.check.command!r} fails the same way")
        self.seen_states.add(state)

    def _no_progress_error(self, why: str) -> LimitError:
        return LimitError(
            why, "rephrase the task, or show more files with --context", answer=self._diff_text()
        )

    def _file_diffs(self) -> tuple[FileDiff, ...]:
        with (
            change_set.open_version_reader(self.context.tree) as old,
            change_set.open_version_reader(self.copy) as new,
        ):
            overlay = Overlay(old)
            for path in self.paths:
                overlay.put(path, new(path))
            return tuple(overlay.diffs())

    def _diff_text(self) -> str:
        return "".join(map(format_diff, self._file_diffs()))


def _normalize_output(text: str) -> str:
    return _VOLATILE_TEXT.sub("", text)
