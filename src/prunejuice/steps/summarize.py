"""The step of the `summarize` verb: a model's summary, or an offline one when no model is set."""

from contextlib import closing
from pathlib import Path
from typing import Any

from prunejuice.agents.registry import UsageLabel, open_agent
from prunejuice.context.engine import Engine
from prunejuice.engine.ports import StepContext, StepResult
from prunejuice.errors import UsageError
from prunejuice.steps import agent_request
from prunejuice.steps.artifacts import write_artifact
from prunejuice.steps.resources import StepResources, make_teller, ok_result
from prunejuice.steps.timeout import time_limit
from prunejuice.text import format_count, safe_line
from prunejuice.verbs import arguments
from prunejuice.verbs.summarize.summaries import (
    DEFAULT_LIMIT,
    LATEST,
    Summarizer,
    SummaryReport,
    SummaryRequest,
)

_AGENTS = ("oneshot", "scripted")


def run_summarize_step(handle: StepContext, resources: StepResources) -> StepResult:
    """Summarize the code that the run works on; store the summary with the run and in the project.

    Raises:
        AgentError: a question was not answered; earlier answers are cached for the next attempt.
        LimitError: a limit was reached.
        UsageError: an argument is invalid.
    """
    with closing(Engine(Path(handle.workspace.directory), resources.environ)) as engine:
        return _run_summarizer(handle, resources, Summarizer(engine))


def _run_summarizer(handle: StepContext, resources: StepResources, summarizer: Summarizer) -> StepResult:
    changes = resources.args.get("changes") or "make"
    if changes not in {"make", "keep"}:
        raise UsageError(f"`changes` of summarize must be make or keep, not {changes!r}")
    with time_limit(handle.stop, handle.timeout) as stop:
        report = _summarize(handle._replace(stop=stop), resources, summarizer)
    published = changes == "make" and summarizer.publish_summary(report.result)
    path = handle.directory / "prompts" / f"{handle.log.stem}-summary.md"
    write_artifact(handle, path, report.result.to_markdown())
    components = format_count(len(report.result.components), "component")
    text = f"{components} in {format_count(report.files, 'file')}, by {report.source}"
    return ok_result(text, **_build_outputs(report), path=LATEST if published else "")


def _summarize(handle: StepContext, resources: StepResources, summarizer: Summarizer) -> SummaryReport:
    args, allowed = resources.args, arguments.arguments_for(arguments.SUMMARIZE)
    if unknown := sorted(args.keys() - allowed.keys()):
        raise UsageError(
            f"summarize does not accept {safe_line(', '.join(unknown), 200)}",
            f"use one of {', '.join(allowed)}",
        )
    limit, jobs = (agent_request.parse_number(args, name) for name in ("token_limit", "jobs"))
    request = SummaryRequest(
        agent_request.parse_texts(args, "paths"),
        int(limit or DEFAULT_LIMIT),
        limits=agent_request.parse_limits(args, resources.settings.output_tokens),
    )
    name = str(args.get("agent") or "oneshot")
    if name not in _AGENTS:
        raise UsageError(f"summarize needs a model, not {name!r}", f"use --agent {' or '.join(_AGENTS)}")
    model = agent_request.find_model(resources, name)
    if args.get("offline") or not model:
        return summarizer.summarize_offline(request)
    request = request._replace(model=model, jobs=int(jobs or request.jobs))
    source, label = (
        agent_request.build_source(handle, resources),
        UsageLabel(handle.plan.command.name, handle.run.id),
    )

    say_line = make_teller(handle, resources)

    def report_progress(done: int, total: int) -> None:
        if total > 1 and (done == total or done % max(1, total // 20) == 0):
            say_line(f"{done} of {total} summarized")

    with open_agent(name, source, label, settings=resources.settings, environ=resources.environ) as agent:
        limits = agent_request.bound_limits(request.limits, model, agent, resources.settings.max_cost)
        request = request._replace(limits=limits)
        return summarizer.summarize_with_agent(request, agent, handle.stop, report_progress)


def _build_outputs(report: SummaryReport) -> dict[str, Any]:
    return {
        "result": report.result.model_dump(mode="json"),
        "summary": report.result.overview,
        "by": report.source,
        "files": report.files,
        "calls": report.calls,
        "known": report.cached,
        **report.usage.to_outputs(),
    }
