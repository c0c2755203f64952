"""The verb `summarize` as a step: by a model where one is set, else read out of the syntax trees."""

from pathlib import Path
from typing import Any

from prunejuice import told
from prunejuice.agents.choice import Billed, chosen
from prunejuice.contexts.gather import Engine
from prunejuice.contexts.summaries import LATEST, LIMIT, Made, Summaries, Wanted
from prunejuice.errors import UsageError
from prunejuice.protocols import Handle, StepResult
from prunejuice.steps import asked
from prunejuice.steps.keeping import keep
from prunejuice.steps.limited import limited
from prunejuice.steps.world import World, said, teller, took
from prunejuice.text import counted, safe_line

_AGENTS = ("oneshot", "scripted")


def carried_out(handle: Handle, world: World) -> StepResult:
    """Summarize what the run works on, and keep it: with the run, and where people look for it.

    Raises:
        AgentError: a question was not answered; what was is known when the step runs again.
        LimitError: a limit was reached.
        UsageError: an argument makes no sense.
    """
    summaries = Summaries(Engine(Path(handle.workspace.directory), world.environ))
    way = world.args.get("changes") or "make"
    if way not in {"make", "keep"}:
        raise UsageError(f"changes of summarize is none of make, keep: {way!r}", "")
    with limited(handle.stop, handle.timeout) as stop:
        made = _made(handle._replace(stop=stop), world, summaries)
    published = way == "make" and summaries.publish(made.result)
    path = handle.directory / "prompts" / f"{handle.log.stem}-summary.md"
    keep(handle, path, made.result.to_markdown())
    found = counted(len(made.result.components), "component")
    text = f"{found} in {counted(made.files, 'file')}, by {made.by}"
    return said(text, **_outputs(made), path=LATEST if published else "")


def _made(handle: Handle, world: World, summaries: Summaries) -> Made:
    args, known = world.args, told.of(told.SUMMARIZE)
    if others := sorted(args.keys() - known.keys()):
        raise UsageError(
            f"summarize takes no {safe_line(', '.join(others), 200)}", f"those: {', '.join(known)}"
        )
    limit, jobs = (asked.number(args, name) for name in ("token_limit", "jobs"))
    wanted = Wanted(asked.texts(args, "paths"), int(limit or LIMIT), limits=asked.limits(args))
    name = str(args.get("agent") or "oneshot")
    if name not in _AGENTS:
        raise UsageError(f"summarize asks a model, not {name!r}", f"--agent {' or '.join(_AGENTS)}")
    model = asked.named(world, name)
    if args.get("offline") or not model:
        return summaries.offline(wanted)
    wanted = wanted._replace(model=model, jobs=int(jobs or wanted.jobs))
    source, billed = asked.source(handle, world), Billed(handle.plan.command.name, handle.run.id)

    say = teller(handle, world)

    def tell(done: int, total: int) -> None:
        if total > 1 and (done == total or done % max(1, total // 20) == 0):
            say(f"{done} of {total} summarized")

    with chosen(name, source, billed, settings=world.settings, environ=world.environ) as agent:
        asked.demand_limits(wanted.limits, model, agent)
        return summaries.asked(wanted, agent, handle.stop, tell)


def _outputs(made: Made) -> dict[str, Any]:
    return {
        "result": made.result.model_dump(mode="json"),
        "summary": made.result.overview,
        "by": made.by,
        "files": made.files,
        "calls": made.calls,
        "known": made.kept,
        **took(made.spent),
    }
