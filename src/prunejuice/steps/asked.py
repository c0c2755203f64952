"""What a step asks an agent: its arguments, and the settings, as a request."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prunejuice import prices, vocabulary
from prunejuice.agent import Access, Limits
from prunejuice.agents import recorded
from prunejuice.agents.choice import Source
from prunejuice.asking import Request
from prunejuice.errors import HumanNeededError, NotFoundError, StepError, UsageError
from prunejuice.project import Project
from prunejuice.protocols import Agent, Handle
from prunejuice.steps import window
from prunejuice.steps.world import World
from prunejuice.text import safe_line
from prunejuice.told import ARGUMENTS
from prunejuice.verb import Verb
from prunejuice.workspaces import tmux

_LARGEST = 1e15
ROUNDS_AT_MOST = 10


def source(handle: Handle, world: World) -> Source:
    """Where answers come from; without a terminal that is free a person works in a window of tmux."""
    script, record, replay = (str(world.args.get(key) or "") for key in ("script", "record", "replay"))
    found = Source(script or ("" if replay else world.settings.script), record, replay)
    if world.terminal or not tmux.is_installed():
        return found
    return found._replace(elsewhere=lambda call, stop: window.run(handle, world, call, stop))


def agent_name(world: World) -> str:
    """Which agent does it: that of the step, that of the settings, or `oneshot`."""
    return str(world.args.get("agent") or world.settings.agent or "oneshot")


def request(handle: Handle, world: World, own: Verb | None) -> Request:
    """What is asked: for `own`, or for the verb that the step names.

    Raises:
        HumanNeededError: no model is set, or there is no such verb.
        StepError: an argument makes no sense, or the verb has to be told what to do.
    """
    args, step = world.args, handle.step
    verb, who = own or _verb(handle, world), model(handle, world)
    told = [f"{name}: {value}" for name, value in args.items() if name not in ARGUMENTS]
    words = "\n".join(filter(None, [str(args.get("prompt") or ""), *told]))
    if verb.needs and not words.strip():
        raise StepError(f"the agent step {step.id} has to be told what to do", "say it: args: {prompt: …}")
    return Request(
        verb,
        words,
        (*texts(args, "paths"), *texts(args, "context")),
        str(args.get("input") or args.get("output") or ""),
        str(args.get("diff") or ""),
        int(number(args, "budget") or Request._field_defaults["budget"]),
        who,
        limits(args),
        _access(args),
    )


def model(handle: Handle, world: World) -> str:
    """Who is asked. A program that is an agent knows for itself; nothing else is asked without a name.

    Raises:
        HumanNeededError: no model is set.
    """
    agent = agent_name(world)
    found = named(world, agent)
    if not found and agent == "oneshot":
        raise nobody(handle)
    return found


def named(world: World, agent: str) -> str:
    """The model that is named, that of a recording, or the one set for such an agent; or nothing."""
    args = world.args
    recording = "" if args.get("model") else str(args.get("replay") or "")
    if recording and (told := recorded.Replayer(Path(recording)).model):
        return told
    stands_in = args.get("script") or args.get("replay") or world.settings.script
    scripted = "scripted" if agent == "scripted" or (stands_in and agent == "oneshot") else ""
    usual = world.settings.model if agent in {"oneshot", "scripted"} else ""
    return str(args.get("model") or usual or scripted)


def _access(args: Mapping[str, Any]) -> Access:
    match args.get("access") or "edit":
        case "read" | "edit" | "full" as known:
            return known
        case other:
            raise StepError(f"access is none of read, edit, full: {other!r}")


def _verb(handle: Handle, world: World) -> Verb:
    try:
        return vocabulary.find(handle.step.agent, Project(Path(handle.plan.project)), world.environ)
    except NotFoundError:
        raise nobody(handle) from None


def limits(args: Mapping[str, Any]) -> Limits:
    """The limits that the arguments set.

    Raises:
        UsageError: one of them is none.
    """
    tokens, rounds, turns = (number(args, name) for name in ("max_tokens", "max_rounds", "max_turns"))
    return Limits(
        number(args, "max_cost"),
        None if tokens is None else int(tokens),
        number(args, "max_time"),
        None if rounds is None else min(int(rounds), ROUNDS_AT_MOST),
        None if turns is None else int(turns),
    )


def demand_limits(limits: Limits, model: str, agent: Agent) -> None:
    """What an agent cannot be held to is not said to be kept.

    Raises:
        UsageError: there is a limit, or a model, that means nothing to it.
    """
    for name, flag in (("cost", "max-cost"), ("tokens", "max-tokens"), ("turns", "max-turns")):
        if getattr(limits, name) is not None and name not in agent.can.keeps:
            fix = f"leave it out; what {agent.name} keeps: {', '.join(agent.can.keeps) or 'none'}"
            raise UsageError(f"{agent.name} cannot be held to --{flag}", fix)
    if limits.cost is not None and agent.can.priced and prices.cost(model, 1) is None:
        what = f"no price is known of {model or 'the model of ' + agent.name}"
        raise UsageError(
            f"{what}, so --max-cost cannot be kept", "take --max-tokens, or name another --model"
        )
    if model and not agent.can.model:
        raise UsageError(f"{agent.name} takes no model from us", "set it in its own settings")


def number(args: Mapping[str, Any], name: str) -> float | None:
    """A number above 0, None where none is given.

    Raises:
        UsageError: it is none.
    """
    value = args.get(name)
    if value is None or value == "":
        return None
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        found = -1
    if not 0 < found < _LARGEST:
        raise UsageError(f"{name} is no number above 0: {safe_line(repr(value), 80)}", "write one, as 0.5")
    return found


def texts(args: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A list of texts; one text is a list too."""
    value = args.get(name) or ()
    return (value,) if isinstance(value, str) else tuple(map(str, value))


def nobody(handle: Handle) -> HumanNeededError:
    """That nobody is set up to do an agent's step; a person can."""
    run, step = handle.run.id[:8], handle.step
    return HumanNeededError(
        f"no agent is set up that can do {step.agent!r}",
        "set a model (`model: provider:name` in config.yaml, or PRUNEJUICE_MODEL) or an agent "
        f"(`agent: claude`) and resume the run; or let a person do it in {handle.workspace.directory}: "
        f"prj resume {run} --decide {step.id}=done  (or =skip)",
    )
