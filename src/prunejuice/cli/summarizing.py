"""`codebot summarize`: what code is for, what it is made of, and where it begins."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prunejuice.cli.codeclip import Tokens
from prunejuice.errors import UsageError
from prunejuice.text import counted, safe_line

if TYPE_CHECKING:
    from prunejuice.contexts.summaries import Made, Summaries, Wanted
    from prunejuice.run import Run
    from prunejuice.settings import Settings


@click.command("summarize")
@click.argument("paths", nargs=-1)
@click.option(
    "-t", "--token-limit", type=Tokens(), default="2000", show_default=True, help="The most tokens of it."
)
@click.option("--offline", is_flag=True, help="Read it out of syntax trees; no model is asked.")
@click.option("-m", "--model", default="", help="Who is asked, as provider:name; A,B asks B when A fails.")
@click.option("--agent", default="oneshot", show_default=True, help="How it is asked: oneshot or scripted.")
@click.option("--script", default="", metavar="FILE", help="The answers of the agent 'scripted'.")
@click.option("--record", default="", metavar="FILE", help="Keep every answer in a file.")
@click.option("--replay", default="", metavar="FILE", help="Take the answers from such a file.")
@click.option(
    "-j", "--jobs", type=click.IntRange(1, 64), default=8, show_default=True, help="Calls at once."
)
@click.option(
    "--max-cost",
    type=click.FloatRange(0, min_open=True),
    metavar="USD",
    help="Ask no more when it is spent.",
)
@click.option("--max-tokens", type=Tokens(), help="Ask no more when they are spent, in both directions.")
@click.option("--dry-run", is_flag=True, help="Say how many calls it takes, and make none.")
@click.option(
    "-f",
    "--format",
    "style",
    type=click.Choice(["markdown", "json"]),
    default="markdown",
    show_default=True,
)
@click.option("-p", "piped", is_flag=True, help="JSON on stdin, one JSON object out.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def summarize_command(paths: tuple[str, ...], style: str, as_json: bool, **asked: Any) -> int:
    """Summarize code: its purpose, components, dependencies, conventions and entry points.

    PATHS are files, folders and globs; !PATH leaves something out. A model summarizes files, then folders,
    then the whole; answers are kept in .codebot/summaries, so that only what changed is asked about again.
    Without a model the summary is read out of the syntax trees.
    """
    from prunejuice import project, settings, told  # noqa: PLC0415
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.cli.doing import piped  # noqa: PLC0415
    from prunejuice.contexts.gather import Engine  # noqa: PLC0415
    from prunejuice.contexts.summaries import LATEST, Summaries, Wanted  # noqa: PLC0415

    if asked["piped"]:
        given = piped(told.SUMMARIZE, {"dry_run": "boolean"})
        paths, as_json = (*paths, *given.pop("paths", ())), True
        asked |= given
    _demand_sense(asked)
    environ = settings.environment()
    summaries = Summaries(Engine(project.here(), environ))
    found = settings.load(environ)
    asked["script"] = asked["script"] or ("" if asked["replay"] else found.script)
    wanted = Wanted(paths, asked["token_limit"], _model(asked, found), asked["jobs"])
    if asked["dry_run"]:
        _planned(summaries, wanted, offline=_offline(asked, wanted))
        return 0
    as_json = as_json or style == "json"
    if _offline(asked, wanted):
        if not asked["offline"]:
            render.say("no model is set, so this is read out of the syntax trees; --model NAME asks one")
        made = summaries.offline(wanted)
        _show(made, LATEST if summaries.publish(made.result) else "", as_json=as_json)
        return 0
    return _asked(asked, paths, as_json=as_json)


def _demand_sense(asked: dict[str, Any]) -> None:
    if asked["agent"] not in {"oneshot", "scripted"}:
        what = f"summarize asks a model, not {safe_line(asked['agent'], 80)!r}"
        raise UsageError(what, "leave out --agent; --model names who is asked")
    if asked["offline"] and (asked["model"] or asked["script"] or asked["replay"]):
        raise UsageError("--offline asks nobody", "leave it out, or what names somebody")


def _show(made: "Made", place: str, run: str = "", *, as_json: bool) -> None:
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.text import safe_text  # noqa: PLC0415

    if as_json:
        render.json("summary", _object(made, place) | ({"run": run} if run else {}))
    else:
        render.raw(safe_text(made.result.to_markdown()))
    render.say(_said(made, place) + (f"; prj show {run[:8]}" if run else ""))


def _model(asked: dict[str, Any], found: "Settings") -> str:
    """The model that is named, or set; a script or a recording needs none."""
    if asked["replay"] and not asked["model"]:
        from prunejuice.agents.recorded import Replayer  # noqa: PLC0415

        return Replayer(Path(asked["replay"])).model or "scripted"
    named = asked["model"] or found.model
    return str(named or ("scripted" if asked["script"] else ""))


def _offline(asked: dict[str, Any], wanted: "Wanted") -> bool:
    return bool(asked["offline"] or not wanted.model)


def _planned(summaries: "Summaries", wanted: "Wanted", *, offline: bool) -> None:
    from prunejuice.cli import render  # noqa: PLC0415

    if offline:
        render.out("no call of a model: this is read out of the syntax trees")
        return
    plan = summaries.planned(wanted)
    render.out(
        f"{counted(plan.files, 'file')}, {counted(plan.calls, 'call')} of {wanted.model}, "
        f"about {plan.tokens:,} tokens to read"
    )


def _asked(asked: dict[str, Any], paths: tuple[str, ...], *, as_json: bool) -> int:
    """Let a model make it, as a run; the exit code."""
    from prunejuice import app as apps  # noqa: PLC0415
    from prunejuice import errand, lifecycle, project, told  # noqa: PLC0415
    from prunejuice.cli import driving, live, settling  # noqa: PLC0415

    app = apps.open_app()
    given = {
        name: asked[name] for name in ("token_limit", "jobs", "model", "agent", "max_cost", "max_tokens")
    }
    places = {
        name: str(Path(asked[name]).absolute()) for name in ("script", "record", "replay") if asked[name]
    }
    plan = errand.plan(
        app,
        told.SUMMARIZE,
        {**given, **places, "paths": list(paths), "changes": "make"},
        project.here(),
        watched=True,
    )
    with driving.watched(app, as_json=False, progress=live.Lines(quiet=False)) as (tools, stop):
        run = lifecycle.start(plan, tools, stop)
    if run.status != "completed":
        return settling.failed(run, as_json=as_json)
    _show(*_made(run), run.id, as_json=as_json)
    return 0


def _made(run: "Run") -> "tuple[Made, str]":
    """The summary that a run made, and where it is kept."""
    from prunejuice import errand  # noqa: PLC0415
    from prunejuice.agent import Spent  # noqa: PLC0415
    from prunejuice.contexts.summaries import Made  # noqa: PLC0415
    from prunejuice.summary import SummaryResult  # noqa: PLC0415

    visit = errand.outcome(run)
    found = visit.outputs if visit else {}
    spent = Spent(**found["usage"], cost=found["cost"])
    result = SummaryResult.model_validate(found["result"])
    return Made(result, found["by"], found["files"], found["calls"], found["known"], spent), found["path"]


def _object(made: "Made", place: str) -> dict[str, Any]:
    spent = made.spent
    return {
        **made.result.model_dump(mode="json"),
        "by": made.by,
        "files": made.files,
        "calls": made.calls,
        "known": made.kept,
        "tokens": {"input": spent.input, "output": spent.output, "cached": spent.cached},
        "cost": spent.cost,
        "path": place,
    }


def _said(made: "Made", place: str) -> str:
    parts_of = counted(len(made.result.components), "component")
    parts = [f"{counted(made.files, 'file')}, {parts_of}, by {made.by}"]
    if made.calls:
        cost = "" if made.spent.cost is None else f", ${made.spent.cost:.4f}"
        parts.append(
            f"{counted(made.calls, 'call')}, {made.spent.input + made.spent.output:,} tokens{cost}"
        )
    elif made.kept:
        parts.append("nothing changed since it was made")
    if place:
        parts.append(f"kept in {place}")
    return "; ".join(parts)
