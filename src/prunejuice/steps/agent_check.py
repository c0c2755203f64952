"""Choose the check that the changes of an agent step have to pass."""

import shlex
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from prunejuice.code.testpaths import is_test_path
from prunejuice.edits.path_rules import invalid_path_reason
from prunejuice.errors import GateError, UsageError
from prunejuice.steps.resources import StepResources
from prunejuice.verbs.ask import AskContext, AskRequest
from prunejuice.verbs.repair import RepairCheck
from prunejuice.verbs.verify import default_checks, interpreter, pytest_outcome
from prunejuice.verbs.verify.equivalence import EquivalenceChecker

_MAX_RERUN_TESTS = 50
"""How many of the tests that failed are run as the check."""
_SUGGESTED_CHECKS = {"fix-types": "mypy .", "lint": "ruff check ."}
"""Checks to suggest for a verb; `pytest -q` for the others."""


class CheckChoice(NamedTuple):
    """What decides which check an agent step has: its request, its arguments, and the files of the tree."""

    request: AskRequest
    resources: StepResources
    context: AskContext

    def select(self) -> RepairCheck | None:
        """Return the check of the arguments, of the settings, or that the verb has by default, if any.

        Raises:
            UsageError: the verb fixes a failing check and none is known.
        """
        verb, given = self.request.verb, self.resources.args.get("check")
        if command := self._find_mended_check() if verb.mends else self._resolve(str(given or "")):
            run_first = bool(self.resources.args.get("first")) or (verb.mends and not self._has_input)
            return self._build(command, run_first=run_first)
        if self._is_judged_by_tests():
            return self._build(self._find_tests(), must_pass_before=True)
        if verb.mends and not self._has_input:
            suggested = _SUGGESTED_CHECKS.get(verb.name, "pytest -q")
            fix = f"run `codebot {verb.name} --check '{suggested}'`, or set `check:` in config.yaml"
            raise UsageError(f"{verb.name} needs a check that has to pass", fix)
        return None

    @property
    def _has_input(self) -> bool:
        return bool(self.request.input_text)

    def _build(
        self, command: str, *, run_first: bool = False, must_pass_before: bool = False
    ) -> RepairCheck:
        allows = bool(self.resources.args.get("allow_tests_change"))
        compare = self._find_comparison()
        return RepairCheck(command, run_first, allows, compare=compare, must_pass_before=must_pass_before)

    def _resolve(self, command: str) -> str:
        return default_checks.resolve_check(command, self.resources.settings.check, self.context.tree.root)

    def _find_mended_check(self) -> str:
        """Return the check that a verb mends: one that is set, or that which failed by its input."""
        command = self._resolve(str(self.resources.args.get("check") or self.resources.settings.check))
        if command:
            return command
        if self._has_input:
            return self._find_failed_tests()
        return default_checks.find_default_check(self.request.verb.name, self.context.tree.root)

    def _is_judged_by_tests(self) -> bool:
        """Return whether the tests of the project judge the change, rather than a person."""
        verb = self.request.verb
        makes_edits = not (verb.proves or verb.mends or verb.result)
        by_person = self.context.agent.name.startswith("interactive")
        return bool(verb.keeps or (self.resources.settings.check and makes_edits)) and not by_person

    def _find_comparison(self) -> Callable[..., Any] | None:
        """Return the function that compares behaviour, for a verb that preserves it."""
        if not self.request.verb.keeps:
            return None
        return EquivalenceChecker(self.resources.environ, self.context.stop).compare_trees

    def _find_failed_tests(self) -> str:
        """Return the command that runs the tests which the input says failed; empty if it names none."""
        root = self.context.tree.root
        names = [
            name
            for name in pytest_outcome.find_failed_tests(self.request.input_text)
            if not invalid_path_reason(path := name.partition("::")[0]) and (root / path).is_file()
        ]
        return self._format_pytest(names[:_MAX_RERUN_TESTS]) if names else ""

    def _find_tests(self) -> str:
        """Return the configured test command, or pytest if there are tests, or that of other languages."""
        if command := self.resources.settings.check:
            return command
        listed = self.context.engine.listed_files()
        if any(is_test_path(path) and path.endswith(".py") for path in listed):
            return self._format_pytest(())
        return default_checks.find_test_command(self.context.tree.root)

    def _format_pytest(self, names: Iterable[str]) -> str:
        """Return the command that runs tests with the Python of the tree; empty if it has no pytest."""
        place = self.context.own_place()
        try:
            python = interpreter.find_python(place, self.resources.environ, self.context.stop)
        except GateError:
            return ""
        return shlex.join([python.program, "-m", "pytest", "-q", "-p", "no:cacheprovider", *names])
