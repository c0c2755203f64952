"""Steps that an agent does: it is asked for changes, which are made where the run works, or wait."""

import asyncio
import re
import shlex
import shutil
import time
from collections.abc import Coroutine, Sequence
from functools import reduce
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from prunejuice import (
    answer,
    asking,
    change,
    extension,
    formats,
    guard,
    hunk,
    interpreter,
    mending,
    pending,
    proving,
    report,
)
from prunejuice.agent import NOTHING, Spent, Started, added
from prunejuice.agents.choice import Billed, chosen
from prunejuice.answer import Taken
from prunejuice.asking import Answered, Means, Request
from prunejuice.behaviour import Behaviour
from prunejuice.change import ChangeSet, CommandOutput
from prunejuice.context import present
from prunejuice.contexts.gather import Engine
from prunejuice.errors import (
    DeniedError,
    GateError,
    PruneJuiceError,
    StepError,
    UsageError,
)
from prunejuice.event import ConversationBegun
from prunejuice.guard import is_test
from prunejuice.hunk import Difference
from prunejuice.mending import Check
from prunejuice.protocols import Agent, Handle, StepResult, Stop
from prunejuice.replica import Replica
from prunejuice.shelf import Shelf
from prunejuice.steps import asked
from prunejuice.steps.keeping import keep
from prunejuice.steps.limited import limited
from prunejuice.steps.world import World, said, teller, took
from prunejuice.text import counted
from prunejuice.working import NO_CHANGES, Working
from prunejuice.workspaces import house as houses
from prunejuice.workspaces.house import House

_USUAL = {"fix-types": "mypy .", "lint": "ruff check ."}
"""Checks that a verb could go by."""
_KEPT = "what was answered is kept: codebot apply {}"
_EDIT = re.compile(r"<<<<<<<|```|~~~|\*\*\* (?:Begin|Update|Add|Delete)|diff --git |--- \S|@@ ")
"""Lines that an edit begins with, in any format."""
_NAMED = re.compile(r"[\s#*`>-]*[\w./-]+\.\w+[`*:\s]*")
"""A line that only names a file."""


class _Doing(NamedTuple):
    """What one agent step works with."""

    handle: Handle
    world: World
    request: Request
    means: Means

    @property
    def house(self) -> House:
        return self.means.house

    def keep(self, name: str, text: str) -> Path:
        """Keep a file of this visit; where it is."""
        path = self.handle.directory / "prompts" / f"{self.handle.log.stem}-{name}"
        keep(self.handle, path, text)
        return path


def carried_out(handle: Handle, world: World) -> StepResult:
    """Ask, and see to the changes of the answer, all or none; the question and the answer are kept.

    Raises:
        HumanNeededError: no model is set, or nobody knows what the agent is to do.
        AgentError: the model failed.
        LimitError: a limit was reached.
        ConflictError: edits have no place after the last round.
        DeniedError: a file needs a grant, or a check is weakened.
    """
    seconds = asked.limits(world.args).seconds or handle.timeout
    with limited(handle.stop, min(seconds, handle.timeout)) as stop:
        return _carried_out(handle._replace(stop=stop), world)


def _carried_out(handle: Handle, world: World) -> StepResult:
    own = world.extension(handle.plan.project, handle.step.agent)
    request, name = asked.request(handle, world, own and own.verb()), asked.agent_name(world)
    directory = Path(handle.workspace.directory)
    work = handle.directory / "work" / f"{handle.step.id}-{handle.visit}"
    house = houses.around(directory, world.environ)
    _keep_what_was_left(handle, world, house, work)

    def around(agent: Agent) -> Agent:
        return Working(agent, work, world.environ)

    source = asked.source(handle, world)
    environ, billed = world.environ, Billed(handle.plan.command.name, handle.run.id)
    with chosen(name, source, billed, settings=world.settings, environ=environ, around=around) as agent:
        asked.demand_limits(request.limits, request.model, agent)
        engine = Engine(directory, environ)
        told = _conversation(handle, agent.name)
        begun, tell = _begun(handle), teller(handle, world)
        means = Means(engine, house, agent, handle.stop, tell, begun, told, handle.tag, work)
        doing = _Doing(handle, world, request, means)
        if own is not None:
            return _by_code(doing, own)
        return _reported(doing) if request.verb.result is not None else _answered(doing)


def _keep_what_was_left(handle: Handle, world: World, house: House, work: Path) -> None:
    """Keep what an agent had changed by itself when it was killed; it begins with the tree as it is."""
    for place in sorted(work.glob("replica-*")):
        if found := Replica(house, place, world.environ).left():
            path = handle.directory / "prompts" / f"{handle.log.stem}-cut-off.diff"
            keep(handle, path, "".join(map(hunk.diff, found)))
            handle.tell(f"what the agent had done when it was cut off is kept: codebot apply {path}")
    shutil.rmtree(work, ignore_errors=True)


def _begun(handle: Handle) -> Any:
    def begun(event: Started) -> None:
        fact = ConversationBegun(
            at=time.time(),
            step=handle.step.id,
            visit=handle.visit,
            attempt=handle.attempt,
            agent=event.agent,
            conversation=event.conversation,
        )
        handle.emit(fact)

    return begun


def _conversation(handle: Handle, agent: str) -> str:
    """The conversation that the same attempt had begun before it was cut off."""
    key = (handle.step.id, handle.visit, handle.attempt, agent)
    found = (
        each.conversation
        for each in reversed(handle.run.conversations)
        if (each.step, each.visit, each.attempt, each.agent) == key
    )
    return next(found, "")


# -- reports ----------------------------------------------------------------------------------------


def _reported(doing: _Doing) -> StepResult:
    """Keep the data that an agent answers with, and hand it on as `result`."""
    found = asking.report(doing.request, doing.means)
    text = report.markdown(doing.request.verb.result or {}, found.output)
    doing.keep("context.md", present(found.context, "markdown"))
    doing.keep("report.md", text)
    more = {"left_out": list(found.left_out)} if found.left_out else {}
    return said(text, result=found.output, **took(found.spent), **more)


# -- changes ----------------------------------------------------------------------------------------


def _answered(doing: _Doing) -> StepResult:
    try:
        found = _asked(doing)
    except PruneJuiceError as error:
        if error.answer:
            path = doing.keep("answer.md", error.answer)
            told = _KEPT.format(path) if _has_edits(error.answer) else f"what was answered is kept: {path}"
            error.fix = "; ".join(filter(None, (error.fix, told)))
        raise
    doing.keep("context.md", present(found.context, "markdown"))
    _demand_tests(doing, found.taken, doing.keep("answer.md", found.text))
    return _settled(doing, found)


def _has_edits(text: str) -> bool:
    """Whether an answer can be given to `codebot apply`."""
    try:
        return bool(change.read(text) if text.lstrip().startswith("{") else formats.read(text))
    except PruneJuiceError:
        return False


def _demand_tests(doing: _Doing, taken: Taken | None, kept: Path) -> None:
    """That tests, and what says how they are run, stay as they are; what a person made is theirs to judge.

    Raises:
        DeniedError: they would be others, and that was not allowed.
    """
    if doing.means.agent.name == "interactive" or doing.world.args.get("allow_tests_change"):
        return
    if places := guard.rewritten(taken.differences if taken else ()):
        fix = f"{guard.ALLOW}; {_KEPT.format(kept)}"
        raise DeniedError(f"a change of what judges the code: {guard.shown(places)}", fix)


def _by_code(doing: _Doing, own: extension.Command) -> StepResult:
    """Let Python code of a project ask and answer; what it changes goes the way of every other change."""
    request = doing.request
    context = extension.ExecutionContext(
        working_directory=doing.handle.workspace.directory,
        clipboard=request.given,
        paths=request.paths,
        prompt=request.words,
        model=request.model,
    )
    spent: list[Spent] = []
    means = doing.means._replace(spend=spent.append)
    answering = own.answered(extension.Asking(context, "", {}, means))
    output = asyncio.run(_until_stopped(answering, doing.handle.stop))
    made = output.change_set(own.name, doing.handle.run.id)
    found = tuple(change.resolve(made, doing.house))
    total = reduce(added, spent, NOTHING)
    taken = Taken(made, found, "code") if found else None
    answered = Answered(taken, output.summary, total, len(spent), asking.NO_CONTEXT)
    doing.keep("answer.md", output.summary)
    result = _settled(doing, answered)
    return result._replace(outputs={**result.outputs, "metadata": output.metadata})


async def _until_stopped(answering: Coroutine[Any, Any, CommandOutput], stop: Stop) -> CommandOutput:
    """What code answers; it is cancelled when it has to stop, at the next thing that it awaits."""
    task = asyncio.ensure_future(answering)
    while not (await asyncio.wait({task}, timeout=0.2))[0]:
        if stop.requested():
            task.cancel()
    if task.cancelled():
        raise StepError("stopped")
    return task.result()


def _asked(doing: _Doing) -> Answered:
    """What an agent answers: once, or until a check passes."""
    if doing.request.verb.proves:
        return _proved(doing)
    check = _check(doing)
    if check is None:
        return asking.ask(doing.request, doing.means)
    made = mending.mend(doing.request, check, doing.means)
    taken = _taken(made.differences, made.evidence)
    context = made.context or asking.NO_CONTEXT
    return Answered(taken if made.differences else None, made.text, made.spent, made.rounds, context)


def _proved(doing: _Doing) -> Answered:
    """Tests that hold; the verdict on each is kept."""
    found = proving.prove(doing.request, doing.means, doing.world.environ)
    text = proving.shown(found.verdicts)
    doing.keep("tests.md", text)
    taken = _taken(found.differences, proving.evidence(found.verdicts))
    return Answered(taken, proving.evidence(found.verdicts)[0], found.spent, 1, found.context)


def _taken(found: tuple[Difference, ...], evidence: Sequence[str]) -> Taken:
    known = {"evidence": list(evidence)} if evidence else {}
    return Taken(ChangeSet(change.of_differences(found), metadata=known), found, "checked")


def _check(doing: _Doing) -> Check | None:
    """What has to pass: what is named, or for a verb that mends what is set.

    Raises:
        UsageError: a verb that mends has nothing to go by.
    """
    args, verb = doing.world.args, doing.request.verb
    command = str(args.get("check") or (doing.world.settings.check if verb.mends else ""))
    given = bool(doing.request.given)
    if command:
        first = bool(args.get("first")) or (verb.mends and not given)
        return Check(command, first, bool(args.get("allow_tests_change")), held=_held(doing))
    if verb.keeps and not doing.means.agent.name.startswith("interactive"):  # there a person judges
        return Check(
            _usual_check(doing), tests=bool(args.get("allow_tests_change")), held=_held(doing), before=True
        )
    if verb.mends and not given:
        usual = _USUAL.get(verb.name, "pytest -q")
        fix = f"codebot {verb.name} --check '{usual}', or `check:` in your config.yaml"
        raise UsageError(f"{verb.name} has to know what shall pass", fix)
    return None


def _held(doing: _Doing) -> Any:
    """What compares the behaviour, for a verb that keeps it."""
    if not doing.request.verb.keeps:
        return None
    return Behaviour(doing.world.environ, doing.handle.stop).held


def _usual_check(doing: _Doing) -> str:
    """The tests of a project: as they are set, or those that pytest finds; empty when there are none."""
    if command := doing.world.settings.check:
        return command
    root = doing.house.root
    listed = (path for path in doing.means.engine.listed() if is_test(path) and path.endswith(".py"))
    if next(listed, None) is None:
        return ""
    try:
        found = interpreter.found(root, doing.world.environ, doing.handle.stop)
    except GateError:
        return ""
    return f"{shlex.quote(found.program)} -m pytest -q -p no:cacheprovider"


def _settled(doing: _Doing, found: Answered) -> StepResult:
    """Make the changes of an answer, let them wait, or keep them."""
    taken = found.taken
    differences = taken.differences if taken else ()
    outputs = _about(doing, found)
    if taken and differences:
        named = ChangeSet(
            change.of_differences(differences, change.reasons(taken.change_set)),
            outputs["summary"],
            {**taken.change_set.metadata, "agent": doing.means.agent.name},
            command=doing.request.verb.name,
            run=doing.handle.run.id,
        )
        doing.keep("changes.diff", "".join(map(hunk.diff, differences)))
        doing.keep("changes.json", named.to_json())
        outputs |= {"format": taken.format, "edits": answer.placed(taken)}
        outputs |= _seen_to(doing, named, differences)
    files = len(outputs["files"])
    about = f"{counted(files, 'file')} changed" if files else "nothing had to be changed"
    spent = f"{counted(found.rounds, 'round')}, {outputs['tokens']:,} tokens"
    return said(f"{doing.handle.step.agent}: {about} in {spent}", **outputs)


def _seen_to(doing: _Doing, named: ChangeSet, differences: Sequence[Difference]) -> dict[str, Any]:
    way = doing.world.args.get("changes") or "make"
    if way == "keep":
        return {}
    if way == "wait":
        return {"change_set": pending.propose_once(Shelf(doing.house), named, differences).id}
    if way != "make":
        raise StepError(f"changes is none of make, wait, keep: {way!r}")
    change.demand_grants(differences, asked.texts(doing.world.args, "grant"))
    change.carry_out(doing.house, differences)
    return {}


def _about(doing: _Doing, found: Answered) -> dict[str, Any]:
    """What was shown, what was said, and what it took."""
    taken = found.taken
    differences = taken.differences if taken else ()
    shown = [{"path": item.path, "mode": item.mode} for item in found.context.items]
    return {
        "files": sorted({each.to or each.path for each in differences}),
        "summary": (taken.change_set.summary if taken else "") or _prose(found.text),
        "rounds": found.rounds,
        **took(found.spent),
        "agent": doing.means.agent.name,
        **{k: v for k, v in (taken.change_set.metadata if taken else {}).items() if k == "evidence"},
        "context": {"tokens": found.context.used, "files": shown},
    }


def _prose(text: str) -> str:
    """What an answer says before its first edit; nothing when it is data."""
    if text.lstrip().startswith("{"):
        return ""
    rows = text.removeprefix(NO_CHANGES).lstrip().splitlines()
    said = list(takewhile(lambda row: not _EDIT.match(row), rows))
    while said and (not said[-1].strip() or _NAMED.fullmatch(said[-1])):
        said.pop()
    return "\n".join(said).strip()[:2000]
