"""Build the request to an agent from the arguments of a step and the settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prunejuice.agents import prices
from prunejuice.agents.protocol import Access, Agent, Limits
from prunejuice.agents.recording import ReplayAgent
from prunejuice.agents.registry import AnswerSource
from prunejuice.engine.ports import StepContext
from prunejuice.errors import HumanNeededError, NotFoundError, StepError, UsageError
from prunejuice.steps import tmux_window
from prunejuice.steps.resources import StepResources
from prunejuice.text import safe_line
from prunejuice.verbs import catalog
from prunejuice.verbs.arguments import ARGUMENTS
from prunejuice.verbs.ask import AskRequest
from prunejuice.verbs.verb import Verb
from prunejuice.workflow.project import Project
from prunejuice.worktrees import tmux

_MAX_NUMBER = 1e15
MAX_ROUNDS = 10


def build_source(handle: StepContext, resources: StepResources) -> AnswerSource:
    """Return where the answers come from.

    Without a free terminal, an interactive agent runs in a tmux window.
    """
    script, record, replay = (str(resources.args.get(key) or "") for key in ("script", "record", "replay"))
    source = AnswerSource(script or ("" if replay else resources.settings.script), record, replay)
    if resources.terminal or not tmux.is_installed():
        return source
    return source._replace(
        elsewhere=lambda call, stop: tmux_window.run_in_window(handle, resources, call, stop)
    )


def agent_name(resources: StepResources) -> str:
    """Return the agent of the step, that of the settings, or `oneshot`."""
    return str(resources.args.get("agent") or resources.settings.agent or "oneshot")


def build_request(handle: StepContext, resources: StepResources, own_verb: Verb | None) -> AskRequest:
    """Return the request for `own_verb`, or for the verb that the step names.

    Raises:
        HumanNeededError: no model is set, or the verb does not exist.
        StepError: an argument is invalid, or the verb needs a prompt and has none.
    """
    args, step = resources.args, handle.step
    verb, model = own_verb or _find_verb(handle, resources), require_model(handle, resources)
    extra_lines = [f"{name}: {value}" for name, value in args.items() if name not in ARGUMENTS]
    words = "\n".join(filter(None, [str(args.get("prompt") or ""), *extra_lines]))
    by_person = agent_name(resources).startswith("interactive")  # who types the prompt there
    if verb.needs and not words.strip() and not by_person:
        raise StepError(f"agent step {step.id} needs a prompt", "add one: args: {prompt: …}")
    return AskRequest(
        verb,
        words,
        (*parse_texts(args, "paths"), *parse_texts(args, "context")),
        str(args.get("input") or args.get("output") or ""),
        str(args.get("diff") or ""),
        int(parse_number(args, "budget") or AskRequest._field_defaults["budget"]),
        model,
        parse_limits(args, resources.settings.output_tokens),
        _parse_access(args),
    )


def require_model(handle: StepContext, resources: StepResources) -> str:
    """Return the name of the model to ask; empty for an agent program, which chooses its model itself.

    Raises:
        HumanNeededError: no model is set.
    """
    agent = agent_name(resources)
    model = find_model(resources, agent)
    if not model and agent == "oneshot":
        raise no_agent_error(handle)
    return model


def find_model(resources: StepResources, agent: str) -> str:
    """Return the model of the arguments, of the recording or of the settings, or "" without one."""
    args = resources.args
    recording = "" if args.get("model") else str(args.get("replay") or "")
    if recording and (recorded := ReplayAgent(Path(recording)).model):
        return recorded
    replacement = args.get("script") or args.get("replay") or resources.settings.script
    scripted = "scripted" if agent == "scripted" or (replacement and agent == "oneshot") else ""
    configured = resources.settings.model if agent in {"oneshot", "scripted"} else ""
    return str(args.get("model") or configured or scripted)


def _parse_access(args: Mapping[str, Any]) -> Access:
    match args.get("access") or "edit":
        case "read" | "edit" | "full" as level:
            return level
        case value:
            raise StepError(f"access must be read, edit or full, not {value!r}")


def _find_verb(handle: StepContext, resources: StepResources) -> Verb:
    try:
        return catalog.find_verb(handle.step.agent, Project(Path(handle.plan.project)), resources.environ)
    except NotFoundError:
        raise no_agent_error(handle) from None


def parse_limits(args: Mapping[str, Any], output_tokens: int = 0) -> Limits:
    """Return the limits that the arguments set, and the limit of one answer unless it is 0.

    Raises:
        UsageError: a limit is not a number above 0.
    """
    tokens, rounds, turns = (parse_number(args, name) for name in ("max_tokens", "max_rounds", "max_turns"))
    return Limits(
        parse_number(args, "max_cost"),
        None if tokens is None else int(tokens),
        parse_number(args, "max_time"),
        None if rounds is None else min(int(rounds), MAX_ROUNDS),
        None if turns is None else int(turns),
        output_tokens or None,
    )


def bound_limits(limits: Limits, model: str, agent: Agent, default_cost: float) -> Limits:
    """Return limits with a default for the cost, in US dollars, where it is known and nothing bounds it.

    A default of 0 is none.

    Raises:
        UsageError: the agent does not support a limit or the model.
    """
    _require_supported(limits, model, agent)
    capabilities = agent.capabilities
    is_bounded = limits.cost is not None or limits.tokens is not None or not default_cost
    if is_bounded or "cost" not in capabilities.enforced_limits:
        return limits
    is_known = not capabilities.priced or (bool(model) and prices.cost(model, 1) is not None)
    return limits._replace(cost=default_cost) if is_known else limits


def _require_supported(limits: Limits, model: str, agent: Agent) -> None:
    for name, flag in (("cost", "max-cost"), ("tokens", "max-tokens"), ("turns", "max-turns")):
        if getattr(limits, name) is not None and name not in agent.capabilities.enforced_limits:
            supported = ", ".join(agent.capabilities.enforced_limits) or "none"
            raise UsageError(
                f"{agent.name} does not support --{flag}",
                f"leave it out; limits that {agent.name} supports: {supported}",
            )
    if limits.cost is not None and agent.capabilities.priced and prices.cost(model, 1) is None:
        priced = model or f"the model of {agent.name}"
        raise UsageError(
            f"--max-cost needs a price, and none is known for {priced}",
            "use --max-tokens, or name another --model",
        )
    if model and not agent.capabilities.model:
        raise UsageError(f"{agent.name} does not accept a model", "set it in its own settings")


def parse_number(args: Mapping[str, Any], name: str) -> float | None:
    """Return a number above 0, or None if the argument is not set.

    Raises:
        UsageError: the argument is not a number above 0.
    """
    value = args.get(name)
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = -1
    if not 0 < number < _MAX_NUMBER:
        raise UsageError(
            f"{name} must be a number above 0, not {safe_line(repr(value), 80)}", "for example 0.5"
        )
    return number


def parse_texts(args: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return an argument as a tuple of texts; a single text becomes a tuple of one."""
    value = args.get(name) or ()
    return (value,) if isinstance(value, str) else tuple(map(str, value))


def no_agent_error(handle: StepContext) -> HumanNeededError:
    """Return the error that no agent is set up for a step, with the ways to go on."""
    run, step = handle.run.id[:8], handle.step
    return HumanNeededError(
        f"no agent is set up for {step.agent!r}",
        "set a model (`model: provider:name` in config.yaml, or PRUNEJUICE_MODEL) or an agent "
        f"(`agent: claude`) and resume the run; or let a person do it in {handle.workspace.directory}: "
        f"prj resume {run} --decide {step.id}=done  (or =skip)",
    )
