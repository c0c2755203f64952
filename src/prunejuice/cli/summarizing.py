"""`codebot summarize`: what code is for, what it is made of, and where it begins."""

from typing import TYPE_CHECKING, Any

import click

from prunejuice.cli.codeclip import Tokens

if TYPE_CHECKING:
    from prunejuice.contexts.summaries import Made, Summaries, Wanted
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
@click.option("--dry-run", is_flag=True, help="Say how many calls it takes, and make none.")
@click.option(
    "-f",
    "--format",
    "style",
    type=click.Choice(["markdown", "json"]),
    default="markdown",
    show_default=True,
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def summarize_command(paths: tuple[str, ...], style: str, as_json: bool, **asked: Any) -> None:
    """Summarize code: its purpose, components, dependencies, conventions and entry points.

    PATHS are files, folders and globs; !PATH leaves something out. A model summarizes files, then folders,
    then the whole; answers are kept in .codebot/summaries, so that only what changed is asked about again.
    Without a model the summary is read out of the syntax trees.
    """
    from prunejuice import project, settings  # noqa: PLC0415
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.contexts.gather import Engine  # noqa: PLC0415
    from prunejuice.contexts.summaries import LATEST, Summaries, Wanted  # noqa: PLC0415

    environ = settings.environment()
    summaries = Summaries(Engine(project.here(), environ))
    found = settings.load(environ)
    asked["script"] = asked["script"] or ("" if asked["replay"] else found.script)
    wanted = Wanted(paths, asked["token_limit"], _model(asked, found), asked["jobs"])
    if asked["dry_run"]:
        _planned(summaries, wanted, offline=_offline(asked, wanted))
        return
    if _offline(asked, wanted):
        if not asked["offline"]:
            render.say("no model is set, so this is read out of the syntax trees; --model NAME asks one")
        made = summaries.offline(wanted)
    else:
        made = _asked(summaries, wanted, asked, found)
    published = summaries.publish(made.result)
    if as_json or style == "json":
        render.json("summary", _object(made, LATEST if published else ""))
    else:
        from prunejuice.text import safe_text  # noqa: PLC0415

        render.raw(safe_text(made.result.to_markdown()))
    render.say(_said(made, LATEST if published else ""))


def _model(asked: dict[str, Any], found: "Settings") -> str:
    """The model that is named, or set; a script or a recording needs none."""
    named = asked["model"] or found.model
    return str(named or ("scripted" if asked["script"] or asked["replay"] else ""))


def _offline(asked: dict[str, Any], wanted: "Wanted") -> bool:
    return bool(asked["offline"] or not wanted.model)


def _planned(summaries: "Summaries", wanted: "Wanted", *, offline: bool) -> None:
    from prunejuice.cli import render  # noqa: PLC0415

    if offline:
        render.out("no call of a model: this is read out of the syntax trees")
        return
    plan = summaries.planned(wanted)
    render.out(
        f"{plan.files} files, {plan.calls} calls of {wanted.model}, about {plan.tokens:,} tokens to read"
    )


def _asked(summaries: "Summaries", wanted: "Wanted", asked: dict[str, Any], found: "Settings") -> "Made":
    from prunejuice import settings  # noqa: PLC0415
    from prunejuice.agents.choice import Billed, Source, chosen  # noqa: PLC0415
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.protocols import Stop  # noqa: PLC0415

    def tell(done: int, total: int) -> None:
        if total > 1 and (done == total or done % max(1, total // 20) == 0):
            render.say(f"{done} of {total} summarized")

    stop = Stop()
    try:
        source = Source(asked["script"], asked["record"], asked["replay"])
        environ = settings.environment()
        with chosen(asked["agent"], source, Billed("summarize"), settings=found, environ=environ) as agent:
            return summaries.asked(wanted, agent, stop, tell)
    finally:
        stop.close()


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
    files = "1 file" if made.files == 1 else f"{made.files} files"
    parts = [f"{files}, {len(made.result.components)} components, by {made.by}"]
    if made.calls:
        cost = "" if made.spent.cost is None else f", ${made.spent.cost:.4f}"
        parts.append(f"{made.calls} calls, {made.spent.input + made.spent.output:,} tokens{cost}")
    elif made.kept:
        parts.append("nothing changed since it was made")
    if place:
        parts.append(f"kept in {place}")
    return "; ".join(parts)
