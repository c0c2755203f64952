"""Asking until a check passes: in a copy of the tree, by us, until there is no getting on."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from prunejuice import asking, change, guard, interpreter, process, replica, rote, settings
from prunejuice.agent import NOTHING, Spent, added
from prunejuice.asking import Means, Request
from prunejuice.behaviour import Held
from prunejuice.context import Bundle
from prunejuice.errors import AgentError, ConflictError, DeniedError, GateError, LimitError, UsageError
from prunejuice.guard import Weakened
from prunejuice.hunk import Difference, diff
from prunejuice.outcome import OPTIONS, outcomes, turned, without_passed
from prunejuice.overlay import Overlay
from prunejuice.text import counted, safe_line
from prunejuice.workspaces.house import House

SECONDS = 900.0
_SHOWN = 12_000
"""Letters of what a check says that an agent sees: its end, where failures are told."""
_LARGEST = 64 << 20
_VARIES = re.compile(r"0x[0-9a-f]+|\b\d+\.\d+ ?s(?:econds)?\b")
"""What differs between two runs of a check that fail alike: addresses and times."""
_PLAIN = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9_.+-]*")
_ALIKE = 3
"""How often a check may say the same before there is no getting on."""


class Check(NamedTuple):
    """A command that has to pass; `first` when it is run before anything is asked, to see what fails.

    `tests` lets a change touch what judges it. `held` compares a copy of what was before with one in which
    some differences were made; without a command that is all that is checked. `before` when the command has
    to pass before anything is asked, for what comes after to say anything.
    """

    command: str
    first: bool = False
    tests: bool = False
    seconds: float = SECONDS
    held: Callable[[Path, Path, Sequence[Difference]], Held] | None = None
    before: bool = False


class Mended(NamedTuple):
    """What would be changed so that the check passes; nothing when it did at once."""

    differences: tuple[Difference, ...]
    text: str
    spent: Spent
    rounds: int
    context: Bundle | None
    evidence: tuple[str, ...] = ()


def mend(request: Request, check: Check, means: Means) -> Mended:
    """Ask, make the changes in a copy, check them there, and ask again with what failed.

    Raises:
        LimitError: the rounds are used up, or nothing changes any more.
        DeniedError: a change weakens what judges it.
        AgentError, LimitError, ConflictError: as asking once does.
    """
    environ = settings.environment()
    with means.place() as place, ExitStack() as held:
        copy = held.enter_context(replica.made(means.house, place / "copy", environ))
        was = copy
        if check.held:
            was = held.enter_context(replica.made(means.house, place / "was", environ))
        return _Mending(request, check, means, copy.house, was.root).mended()


_ONLY_NAMES = "no test and no call says that the behaviour is the same"


class _Mending:
    """One loop: what the tree was, what the copy is, what was said and seen."""

    def __init__(self, request: Request, check: Check, means: Means, copy: House, was: Path) -> None:
        self.request, self.check = request, check
        self.means, self.copy, self.was = means, copy, was
        self.paths: dict[str, None] = {}
        self.seen = {""}
        self.told: Counter[str] = Counter()
        self.spent, self.rounds = NOTHING, 0
        self.evidence: list[str] = []
        self.began = not (check.first or check.before)
        self.before: Mapping[str, str] = {}
        self.after: Mapping[str, str] = {}
        self.faults: tuple[str, ...] = ()
        self.compared = 0

    def mended(self) -> Mended:
        """Ask and judge until it is good; an error that ends it has what was made until then."""
        try:
            return self._mended()
        except (AgentError, LimitError, ConflictError) as error:
            error.answer = self._text() or error.answer
            if isinstance(error, ConflictError) and self.faults:
                raise self._failed(error.message) from error
            raise

    def _mended(self) -> Mended:
        """The rounds count all answers; what is not there to be shown is told before anything is run."""
        self.means.engine.gather(asking.context(self.request))
        self._demand_there()
        if self.check.first:
            passed, said = self._checked()
            if passed:
                return Mended((), f"{self.check.command!r} passes as it is", NOTHING, 0, None)
            self.request = self.request._replace(given=said)
            self.told[_alike(said)] += 1
        self._look_before()
        most = self.request.limits.rounds or asking.ROUNDS
        while self.rounds < most:
            answered = self._asked(most - self.rounds)
            self.spent, self.rounds = added(self.spent, answered.spent), self.rounds + answered.rounds
            if answered.taken is None:
                return self._unchanged(answered)
            self._make(answered.taken.differences)
            passed, failed = self._judged()
            self.means.tell(f"round {self.rounds} of {most}: {self._verdict(passed=passed)}")
            if passed:
                return self._done(self._differences(), answered)
            self._demand_progress(failed)
            self.request = self.request._replace(given=failed)
        raise self._failed(f"{self.check.command!r} still fails after {counted(most, 'round')}")

    def _demand_there(self) -> None:
        """A check whose program is not installed fails whatever is changed.

        Raises:
            UsageError: bash knows no such command.
        """
        word = self.check.command.partition(" ")[0]
        if _PLAIN.fullmatch(word):
            env = settings.passed_on(settings.environment())
            argv = process.bash(f"type {word}", env.get("PATH"))
            if process.capture(process.Call(argv, str(self.copy.root), env, 30)).code:
                fix = "install it, or name another: --check"
                raise UsageError(f"the check {self.check.command!r} cannot be run: there is no {word}", fix)

    def _look_before(self) -> None:
        """A command that fails before any change says nothing about one."""
        if not (self.check.before and self.check.command):
            return
        self.means.tell(f"{self.check.command!r} is run before any change")
        if not self._checked()[0]:
            self.means.tell(f"{self.check.command!r} fails before any change, so it says nothing of one")
            self.check = self.check._replace(command="")

    def _unchanged(self, answered: asking.Answered) -> Mended:
        """That nothing has to be changed, where that is an answer."""
        if self.check.held and not self.paths:
            return self._done((), answered)
        raise self._stuck("the agent says that nothing has to be changed")

    def _done(self, found: tuple[Difference, ...], answered: asking.Answered) -> Mended:
        evidence = tuple(self.evidence)
        return Mended(found, answered.text, self.spent, self.rounds, answered.context, evidence)

    def _verdict(self, *, passed: bool) -> str:
        if self.faults:
            return safe_line(self.faults[0], 300)
        if not self.check.command:
            return "what could be called gives the same" if self.compared else _ONLY_NAMES
        return f"{self.check.command!r} {'passes' if passed else 'fails'}"

    def _judged(self) -> tuple[bool, str]:
        """Whether the check passes and all is kept that has to be, and what is wrong."""
        self.evidence, self.faults = [], ()
        passed, said = self._checked() if self.check.command else (True, "")
        if passed and self.check.command:
            when = "before and after" if self.check.before else "now"
            self.evidence.append(f"{self.check.command} passes {when}")
            self._demand_honesty()
        if self.check.held is None:
            return passed, said
        found = self.check.held(self.was, self.copy.root, self._differences())
        broken = self.check.before and not passed
        self.evidence += found.evidence
        self.compared = found.compared
        if not (found.compared or self.check.command or found.faults):
            self.evidence.append(_ONLY_NAMES)
        failed = [f"{self.check.command!r} passed before, and fails now"] if broken else []
        self.faults = (*found.faults, *failed)
        told = ["The behaviour is not the same:", *self.faults] if self.faults else []
        return passed and not self.faults, "\n\n".join(filter(None, [*told, said]))

    def _demand_honesty(self) -> None:
        """That the check passes has to mean something: tests still run, and no answer is one by rote.

        Raises:
            DeniedError: tests that were run do not pass, or values of tests are written out.
        """
        if self.check.tests:
            return
        what = turned(self.before, self.after)
        if what.lost:
            self._weakened([Weakened(what.lost[0], 0, "the check passes, and this test does not")])
        if self.before:
            mended, kept = len(what.mended), len(what.kept)
            self.evidence.append(f"fail to pass: {mended}; pass to pass: {kept}; lost: 0")
        self._weakened(rote.by_rote(self._differences(), self._tests()))

    def _tests(self) -> Iterator[str]:
        """The files of tests, as text."""
        for path in self.means.engine.listed():
            if path.endswith(".py") and (guard.is_test(path) or path in self.check.command):
                place = self.copy.root / path
                if place.is_file() and not place.is_symlink():
                    yield place.read_text(encoding="utf-8", errors="replace")

    def _failed(self, why: str) -> Exception:
        """The error that it ends with: what is not kept, or that there is no getting on."""
        if not self.faults:
            return self._stuck(why)
        told = safe_line("; ".join(self.faults[:3]), 600)
        fix = "ask again, or ask for the change of behaviour in words: codebot implement"
        return GateError(f"the behaviour is not the same: {told}", fix, answer=self._text())

    def _asked(self, rounds: int) -> asking.Answered:
        left = self.request.limits.less(self.spent)._replace(rounds=rounds)
        words = f"{self.request.words}\n\n{self._so_far()}".strip()
        request = self.request._replace(words=words, limits=left)
        return asking.ask(request, self.means._replace(house=self.copy))

    def _so_far(self) -> str:
        """What was changed already, which the files that are shown do not have yet."""
        shown = "".join(map(diff, self._differences()))
        if not shown:
            return ""
        where = "" if self.means.agent.can.edits else "; write SEARCH as the lines are after them"
        return f"These changes are made already, and are not in the files that are shown{where}:\n\n{shown}"

    def _make(self, found: tuple[Difference, ...]) -> None:
        change.demand_grants(found)
        change.carry_out(self.copy, found)
        self.paths |= dict.fromkeys(name for each in found for name in (each.path, each.to) if name)
        command = self.check.command
        self._weakened([] if self.check.tests else guard.weakened(self._differences(), command))

    def _weakened(self, weak: Sequence[Weakened]) -> None:
        if weak:
            raise DeniedError(
                f"a change weakens what judges it: {guard.shown(weak)}", guard.ALLOW, answer=self._text()
            )

    def _demand_progress(self, failed: str) -> None:
        """Stop when the files, or what fails, have been just so before."""
        state, told = self._text(), _alike(failed)
        self.told[told] += 1
        if state in self.seen or self.told[told] >= _ALIKE:
            raise self._failed(f"there is no getting on: {self.check.command!r} fails as it did before")
        self.seen.add(state)

    def _stuck(self, why: str) -> LimitError:
        return LimitError(why, "ask with other words, or show more with --context", answer=self._text())

    def _differences(self) -> tuple[Difference, ...]:
        with change.seeing(self.means.house) as old, change.seeing(self.copy) as new:
            overlay = Overlay(old)
            for path in self.paths:
                overlay.put(path, new(path))
            return tuple(overlay.differences())

    def _text(self) -> str:
        return "".join(map(diff, self._differences()))

    def _checked(self) -> tuple[bool, str]:
        """Whether the check passes in the copy, and the end of what it says."""
        root = self.copy.root
        env = {**interpreter.surroundings(root, settings.environment()), "PYTEST_ADDOPTS": OPTIONS}
        argv = process.bash(self.check.command, env.get("PATH"))
        call = process.Call(argv, str(root), env, timeout=self.check.seconds, tag=self.means.tag)
        said = bytearray()
        ended = process.run(call, lambda chunk: _append(said, chunk), self.means.stop)
        text = bytes(said).decode("utf-8", "replace").replace(str(root), ".")
        if ended.timed_out:
            text += f"\n{self.check.command!r} was stopped after {self.check.seconds:g} seconds"
        if self.means.stop.requested():
            raise LimitError("stopped")
        self.before, self.after = self.before if self.began else outcomes(text), outcomes(text)
        self.began = True
        return ended.code == 0 and not ended.timed_out, without_passed(text)[-_SHOWN:]


def _alike(said: str) -> str:
    return _VARIES.sub("", said)


def _append(said: bytearray, chunk: bytes) -> None:
    said.extend(chunk)
    if len(said) > 2 * _LARGEST:
        del said[:_LARGEST]
