"""Summarize code: purpose, components, dependencies, entry points.

PATHS are files, folders and globs; !PATH excludes one. A model summarizes files, then folders, then the
whole; its answers are cached in .codebot/summaries by content. Without a model, the summary comes from
syntax trees.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prunejuice.cli.param_type import TokenCount
from prunejuice.errors import UsageError
from prunejuice.text import format_count, format_dollars, safe_line

if TYPE_CHECKING:
    from prunejuice.engine.run import Run
    from prunejuice.system.settings import Settings
    from prunejuice.verbs.summarize.summaries import Summarizer, SummaryReport, SummaryRequest


@click.command("summarize")
@click.argument("paths", nargs=-1)
@click.option(
    "-t",
    "--token-limit",
    type=TokenCount(),
    default="2000",
    show_default=True,
    help="Maximum number of tokens of the summary.",
)
@click.option("--offline", is_flag=True, help="Summarize from syntax trees, without a model.")
@click.option("-m", "--model", default="", help="Model to use, as provider:name; A,B uses B when A fails.")
@click.option("--agent", default="oneshot", show_default=True, help="Agent: oneshot or scripted.")
@click.option("--script", default="", metavar="FILE", help="File with the answers of the scripted agent.")
@click.option("--record", default="", metavar="FILE", help="Record every answer in a file.")
@click.option("--replay", default="", metavar="FILE", help="Replay the answers from a recording.")
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    help="Maximum number of calls at once.",
)
@click.option(
    "--max-cost",
    type=click.FloatRange(0, min_open=True),
    metavar="USD",
    help="Stop once this amount is spent.",
)
@click.option(
    "--max-tokens", type=TokenCount(), help="Stop once this many input and output tokens are used."
)
@click.option("--dry-run", is_flag=True, help="Show the number of calls, without making any.")
@click.option(
    "-f",
    "--format",
    "style",
    type=click.Choice(["markdown", "json"]),
    default="markdown",
    show_default=True,
    help="Output format.",
)
@click.option(
    "-p", "piped", is_flag=True, help="Read options from JSON on stdin, and print one JSON object."
)
@click.option("--json", "as_json", is_flag=True, help="Same as --format json.")
def summarize_command(paths: tuple[str, ...], style: str, as_json: bool, **options: Any) -> int:
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.cli.codebot.piped_input import read_piped_json  # noqa: PLC0415
    from prunejuice.context.engine import Engine  # noqa: PLC0415
    from prunejuice.system import settings  # noqa: PLC0415
    from prunejuice.verbs import arguments  # noqa: PLC0415
    from prunejuice.verbs.summarize.summaries import LATEST, Summarizer, SummaryRequest  # noqa: PLC0415
    from prunejuice.workflow import project  # noqa: PLC0415

    if options["piped"]:
        piped_values = read_piped_json(arguments.SUMMARIZE, {"dry_run": "boolean"})
        paths, as_json = (*paths, *piped_values.pop("paths", ())), True
        options |= piped_values
    _require_compatible_options(options)
    environ = settings.environment()
    summarizer = Summarizer(Engine(project.current_directory(), environ))
    configured = settings.load(environ)
    options["script"] = options["script"] or ("" if options["replay"] else configured.script)
    request = SummaryRequest(
        paths, options["token_limit"], _model_name(options, configured), options["jobs"]
    )
    if options["dry_run"]:
        _show_dry_run(summarizer, request, offline=_is_offline(options, request))
        return 0
    as_json = as_json or style == "json"
    if _is_offline(options, request):
        if not options["offline"]:
            render.print_message(
                "no model is set: summarizing from syntax trees; pass --model NAME to use a model"
            )
        summary = summarizer.summarize_offline(request)
        _show_summary(
            summary, LATEST if summarizer.publish_summary(summary.result) else "", as_json=as_json
        )
        return 0
    return _run_summarize(options, paths, as_json=as_json)


def _require_compatible_options(options: dict[str, Any]) -> None:
    if options["agent"] not in {"oneshot", "scripted"}:
        problem = f"summarize does not support the agent {safe_line(options['agent'], 80)!r}"
        raise UsageError(problem, "drop --agent, and choose a model with --model")
    if options["offline"] and (options["model"] or options["script"] or options["replay"]):
        raise UsageError(
            "--offline cannot be combined with --model, --script or --replay",
            "drop --offline or the other option",
        )


def _show_summary(summary: "SummaryReport", path: str, run: str = "", *, as_json: bool) -> None:
    from prunejuice.cli import render  # noqa: PLC0415
    from prunejuice.text import safe_text  # noqa: PLC0415

    if as_json:
        render.print_json("summary", _summary_to_dict(summary, path) | ({"run": run} if run else {}))
    else:
        render.print_text(safe_text(summary.result.to_markdown()))
    render.print_message(_format_totals(summary, path) + (f"; see `prj show {run[:8]}`" if run else ""))


def _model_name(options: dict[str, Any], configured: "Settings") -> str:
    """Return the model that the options or the settings name; a script or a recording needs none."""
    if options["replay"] and not options["model"]:
        from prunejuice.agents.recording import ReplayAgent  # noqa: PLC0415

        return ReplayAgent(Path(options["replay"])).model or "scripted"
    model = options["model"] or configured.model
    return str(model or ("scripted" if options["script"] else ""))


def _is_offline(options: dict[str, Any], request: "SummaryRequest") -> bool:
    return bool(options["offline"] or not request.model)


def _show_dry_run(summarizer: "Summarizer", request: "SummaryRequest", *, offline: bool) -> None:
    from prunejuice.cli import render  # noqa: PLC0415

    if offline:
        render.print_line("no model calls: the summary comes from syntax trees")
        return
    plan = summarizer.estimate_cost(request)
    render.print_line(
        f"{format_count(plan.files, 'file')}, {format_count(plan.calls, 'call')} of {request.model}, "
        f"about {plan.tokens:,} tokens to read"
    )


def _run_summarize(options: dict[str, Any], paths: tuple[str, ...], *, as_json: bool) -> int:
    """Summarize with a model, as a run; return the exit code."""
    from prunejuice.app import verb_run, wiring  # noqa: PLC0415
    from prunejuice.cli import progress_view, signals  # noqa: PLC0415
    from prunejuice.cli.codebot import verb_result  # noqa: PLC0415
    from prunejuice.engine import driver  # noqa: PLC0415
    from prunejuice.verbs import arguments  # noqa: PLC0415
    from prunejuice.workflow import project  # noqa: PLC0415

    app = wiring.open_app()
    values = {
        name: options[name] for name in ("token_limit", "jobs", "model", "agent", "max_cost", "max_tokens")
    }
    files = {
        name: str(Path(options[name]).absolute())
        for name in ("script", "record", "replay")
        if options[name]
    }
    plan = verb_run.plan_verb_run(
        app,
        arguments.SUMMARIZE,
        {**values, **files, "paths": list(paths), "changes": "make"},
        project.current_directory(),
        watched=True,
    )
    with signals.stoppable_tools(
        app, as_json=False, progress=progress_view.OutputProgress(quiet=False)
    ) as (tools, stop):
        run = driver.start_run(plan, tools, stop)
    if run.status != "completed":
        return verb_result.report_failure(run, as_json=as_json)
    _show_summary(*_load_summary(run), run.id, as_json=as_json)
    return 0


def _load_summary(run: "Run") -> "tuple[SummaryReport, str]":
    """Return the summary that a run made, and the path of its file."""
    from prunejuice.agents.protocol import Usage  # noqa: PLC0415
    from prunejuice.app import verb_run  # noqa: PLC0415
    from prunejuice.verbs.summarize.summaries import SummaryReport  # noqa: PLC0415
    from prunejuice.verbs.summarize.summary import SummaryResult  # noqa: PLC0415

    visit = verb_run.find_verb_step(run)
    outputs = visit.outputs if visit else {}
    usage = Usage(**outputs["usage"], cost=outputs["cost"])
    result = SummaryResult.model_validate(outputs["result"])
    return SummaryReport(
        result, outputs["by"], outputs["files"], outputs["calls"], outputs["known"], usage
    ), outputs["path"]


def _summary_to_dict(summary: "SummaryReport", path: str) -> dict[str, Any]:
    usage = summary.usage
    return {
        **summary.result.model_dump(mode="json"),
        "by": summary.source,
        "files": summary.files,
        "calls": summary.calls,
        "known": summary.cached,
        "tokens": {"input": usage.input, "output": usage.output, "cached": usage.cached},
        "cost": usage.cost,
        "path": path,
    }


def _format_totals(summary: "SummaryReport", path: str) -> str:
    components = format_count(len(summary.result.components), "component")
    parts = [f"{format_count(summary.files, 'file')}, {components}, by {summary.source}"]
    if summary.calls:
        cost = "" if summary.usage.cost is None else f", {format_dollars(summary.usage.cost)}"
        tokens = summary.usage.input + summary.usage.output
        parts.append(f"{format_count(summary.calls, 'call')}, {tokens:,} tokens{cost}")
    elif summary.cached:
        parts.append("unchanged since the last summary")
    if path:
        parts.append(f"saved in {path}")
    return "; ".join(parts)
