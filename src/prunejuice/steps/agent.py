"""Steps that an agent does: it is asked for changes where the run works, and they are made there."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prunejuice import asking, change, hunk, report, vocabulary
from prunejuice.agent import Limits
from prunejuice.agents.choice import Source, chosen
from prunejuice.asking import Answered, Means, Request
from prunejuice.context import present
from prunejuice.contexts.gather import Engine
from prunejuice.errors import HumanNeededError, NotFoundError, StepError
from prunejuice.project import Project
from prunejuice.protocols import Handle, StepResult
from prunejuice.steps.keeping import keep
from prunejuice.steps.world import World, said
from prunejuice.text import utf8
from prunejuice.verb import Verb
from prunejuice.workspaces import house as houses

ARGUMENTS = frozenset((
    "prompt", "paths", "context", "input", "output", "diff", "budget", "model", "grant", "max_cost",
    "max_tokens", "max_time", "max_rounds",
))  # fmt: skip
"""Arguments that mean something of their own; any other is told to the agent by its name."""


def carried_out(handle: Handle, world: World) -> StepResult:
    """Ask, and make the changes of the answer, all or none; the question and the answer are kept.

    Raises:
        HumanNeededError: no model is set, or nobody knows what the agent is to do.
        AgentError: the model failed.
        LimitError: a limit was reached.
        ConflictError: edits have no place after the last round.
        DeniedError: a file needs a grant.
    """
    request = _request(handle, world)
    house = houses.around(Path(handle.workspace.directory), world.environ)
    engine = Engine(Path(handle.workspace.directory), world.environ)

    def tell(text: str) -> None:
        world.log(utf8(text).encode() + b"\n")

    name = "scripted" if world.settings.script else "oneshot"
    source, command = Source(world.settings.script), handle.plan.command.name
    with chosen(name, source, command=command, settings=world.settings) as agent:
        means = Means(engine, house, agent, handle.stop, tell)
        if request.verb.result is not None:
            return _reported(handle, request, means)
        try:
            answered = asking.ask(request, means)
        except asking.UnplacedError as error:
            _keep(handle, "answer.md", error.answer)
            raise
    _keep(handle, "context.md", present(answered.context, "markdown"))
    _keep(handle, "answer.md", answered.text)
    return _made(handle, answered, house, _list(world.args, "grant"))


def _reported(handle: Handle, request: Request, means: Means) -> StepResult:
    """Keep the data that an agent answers with, and hand it on as `result`."""
    found = asking.report(request, means)
    text = report.markdown(request.verb.result or {}, found.output)
    _keep(handle, "context.md", present(found.context, "markdown"))
    _keep(handle, "report.md", text)
    used = found.spent.input + found.spent.output
    return said(text, result=found.output, tokens=used, cost=found.spent.cost)


def _made(handle: Handle, answered: Answered, house: houses.House, grant: Sequence[str]) -> StepResult:
    """Make the changes of an answer where the run works."""
    taken = answered.taken
    differences = taken.differences if taken else ()
    if differences:
        change.demand_grants(differences, grant)
        change.carry_out(house, differences)
        _keep(handle, "changes.diff", "".join(map(hunk.diff, differences)))
    spent = answered.spent
    files = sorted({each.to or each.path for each in differences})
    about = f"{len(files)} files changed" if files else "nothing had to be changed"
    return said(
        f"{handle.step.agent}: {about} in {answered.rounds} rounds, {spent.input + spent.output} tokens",
        files=files,
        rounds=answered.rounds,
        tokens=spent.input + spent.output,
        cost=spent.cost,
    )


def _request(handle: Handle, world: World) -> Request:
    args, step = world.args, handle.step
    verb = _verb(handle, world)
    scripted = "scripted" if world.settings.script else ""
    model = str(args.get("model") or world.settings.model or scripted)
    if not model:
        raise nobody(handle)
    told = [f"{name}: {value}" for name, value in args.items() if name not in ARGUMENTS]
    words = "\n".join(filter(None, [str(args.get("prompt") or ""), *told]))
    if verb.needs and not words.strip():
        raise StepError(f"the agent step {step.id} has to be told what to do", "say it: args: {prompt: …}")
    return Request(
        verb,
        words,
        (*_list(args, "paths"), *_list(args, "context")),
        str(args.get("input") or args.get("output") or ""),
        str(args.get("diff") or ""),
        int(_number(args, "budget") or Request._field_defaults["budget"]),
        model,
        _limits(args),
    )


def _verb(handle: Handle, world: World) -> Verb:
    try:
        return vocabulary.find(handle.step.agent, Project(Path(handle.plan.project)), world.environ)
    except NotFoundError:
        raise nobody(handle) from None


def _limits(args: Mapping[str, Any]) -> Limits:
    tokens, rounds = _number(args, "max_tokens"), _number(args, "max_rounds")
    return Limits(
        _number(args, "max_cost"),
        None if tokens is None else int(tokens),
        _number(args, "max_time"),
        None if rounds is None else int(rounds),
    )


def _number(args: Mapping[str, Any], name: str) -> float | None:
    value = args.get(name)
    if value in {None, ""}:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1
    if number <= 0:
        raise StepError(f"{name} is no number above 0: {value!r}", "write one, as 0.5")
    return number


def _list(args: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = args.get(name) or ()
    return (value,) if isinstance(value, str) else tuple(map(str, value))


def _keep(handle: Handle, name: str, text: str) -> None:
    """Keep a file of this visit."""
    keep(handle, handle.directory / "prompts" / f"{handle.log.stem}-{name}", text)


def nobody(handle: Handle) -> HumanNeededError:
    """That nobody is set up to do an agent's step; a person can."""
    run, step = handle.run.id[:8], handle.step
    return HumanNeededError(
        f"no agent is set up that can do {step.agent!r}",
        "set a model (`model: provider:name` in config.yaml, or PRUNEJUICE_MODEL) and resume the run; "
        f"or let a person do it in {handle.workspace.directory}, then: "
        f"prj resume {run} --decide {step.id}=done  (or =skip)",
    )
