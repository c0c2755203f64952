"""The run of a verb and its result: changes that are shown, reviewed, applied or kept pending."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from prunejuice.app import verb_run
from prunejuice.changes import change_set, tree_state
from prunejuice.changes.change_set_store import ChangeSetStore
from prunejuice.cli import error_boundary, render
from prunejuice.cli.codebot import apply_changes, change_view
from prunejuice.cli.codebot.verb_request import VerbInvocation
from prunejuice.cli.review.revision import sent_back_to_dict
from prunejuice.engine import driver
from prunejuice.engine.driver import Runtime
from prunejuice.engine.run import Run, StepRun
from prunejuice.errors import AgentError
from prunejuice.system import settings
from prunejuice.system.stop_request import Stop
from prunejuice.text import format_count, format_dollars, safe_text
from prunejuice.verbs import report
from prunejuice.verbs.agent_in_copy import NO_CHANGES
from prunejuice.workflow import project

_NON_EDITING_AGENTS = {"", "oneshot", "scripted", "replay"}
"""Agents that change no files by themselves."""
_LOG_END_LINES = 40
_LOG_END_BYTES = 20_000


def run_verb(invocation: VerbInvocation, tools: Runtime, stop: Stop, **overrides: Any) -> Run:
    """Run a verb as a run of its own; `overrides` replace arguments of its step.

    Raises:
        UsageError: an argument is invalid.
    """
    plan = verb_run.plan_verb_run(
        invocation.app,
        invocation.verb.name,
        {**invocation.arguments, **overrides},
        project.current_directory(),
        watched=True,
    )
    return driver.start_run(plan, tools, stop)


def finish_verb_run(invocation: VerbInvocation, run: Run, tools: Runtime, stop: Stop) -> int:
    """Show the result of a run and handle its changes; return the exit code."""
    visit = verb_run.find_verb_step(run)
    if run.status != "completed" or visit is None:
        return report_failure(run, as_json=invocation.apply_options.as_json)
    if invocation.verbose and (path := verb_run.find_kept_file(tools.home, run, "answer.md")):
        text = path.read_text(encoding="utf-8", errors="replace")
        answer = str(visit.outputs.get("summary", "")) if text.startswith("{") else text
        render.print_message(safe_text(answer))
    render.print_message(f"{_format_usage(visit)}; see `prj show {run.id[:8]}`")
    if "result" in visit.outputs:
        return _show_report(invocation, run, visit)
    if not visit.outputs.get("files"):
        return _report_no_changes(invocation, run, visit)
    return _finish_changes(invocation, run, tools, stop)


def report_failure(run: Run, *, as_json: bool) -> int:
    """Print why a verb run failed and return its exit code."""
    visit = verb_run.find_verb_step(run)
    fix = visit.fix if visit else ""
    message = (run.error or run.status).removesuffix(f" ({fix})")
    short, code = run.id[:8], error_boundary.run_exit_code(run.status, run.reason)
    default_fixes = {"usage": "", "stopped": f"continue it with `prj resume {short}`"}
    fix = fix or default_fixes.get(run.reason, f"see `prj show {short}`")
    details = {"exit_code": code, "run": run.id}
    if output := _read_log_end(run, visit):
        details["output"] = output
    render.print_error(message, fix, as_json=as_json, **details)
    return code


def _read_log_end(run: Run, visit: StepRun | None) -> str:
    """Return the last lines that a verb reported, such as those of a check that fails."""
    home = settings.state_directory(settings.environment())
    log = home / "runs" / run.id / visit.log if visit and visit.log else None
    if log is None or not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LOG_END_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return "\n".join(lines[-_LOG_END_LINES:])


def _show_report(invocation: VerbInvocation, run: Run, visit: StepRun) -> int:
    """Print the report of a verb, as Markdown or JSON; return the exit code."""
    outputs = visit.outputs
    if invocation.apply_options.as_json:
        body = {"result": outputs["result"], "tokens": outputs["usage"], "cost": outputs["cost"]}
        body |= {"left_out": outputs["left_out"]} if "left_out" in outputs else {}
        render.print_json("report", {"verb": invocation.verb.name, "run": run.id, **body})
    else:
        render.print_text(report.render_markdown(invocation.verb.result or {}, outputs["result"]))
    return 0


def _finish_changes(invocation: VerbInvocation, run: Run, tools: Runtime, stop: Stop) -> int:
    tree = tree_state.find_tree_state(Path(run.plan.directory), invocation.app.environ)
    data = _run_to_dict(run)
    if invocation.dry_run:
        differences = change_set.resolve_diffs(
            change_set.parse_change_set(_read_kept_file(tools, run, "changes.json")), tree
        )
        return change_view.show_preview(differences, data, as_json=invocation.apply_options.as_json)
    store = ChangeSetStore(tree)
    record = store.find(data["change_set"])
    if invocation.apply_options.grain:
        again = _revision_callback(invocation, tools, stop, tree.root)
        try:
            return apply_changes.apply_records(
                store, [record], invocation.apply_options._replace(again=again)
            )
        except click.Abort:
            render.print_message(f"{record.id} is pending: apply it with `codebot apply {record.id}`")
            raise
    if invocation.apply:
        return apply_changes.apply_records(store, [record], invocation.apply_options)
    differences = change_set.resolve_diffs(record.change_set, tree)
    change_view.report_pending(record, differences, invocation.apply_options, data)
    return 0


def _read_kept_file(tools: Runtime, run: Run, name: str) -> str:
    path = verb_run.find_kept_file(tools.home, run, name)
    return path.read_text(encoding="utf-8", errors="surrogateescape") if path else ""


def _run_to_dict(run: Run) -> dict[str, Any]:
    """Return the outputs of the verb step, with its token usage as `tokens`."""
    visit = verb_run.find_verb_step(run)
    outputs = dict(visit.outputs) if visit else {}
    outputs["tokens"] = outputs.pop("usage", None)
    return {"run": run.id, **outputs}


def _report_no_changes(invocation: VerbInvocation, run: Run, visit: StepRun) -> int:
    if invocation.apply_options.as_json:
        render.print_json("nothing", {**_run_to_dict(run), "files": []})
    else:
        agent = str(visit.outputs.get("agent", ""))
        summary = str(visit.outputs.get("summary", "")).strip().removeprefix(NO_CHANGES).strip()
        if agent in _NON_EDITING_AGENTS or not _was_asked(visit):
            render.print_message("no changes needed")
        else:
            render.print_message(f"{agent} changed nothing" + ("; it says:" if summary else ""))
        if summary:
            render.print_message(safe_text(summary))
    return 0


def _was_asked(visit: StepRun) -> bool:
    """Return whether an agent was asked: not if the check passed before."""
    return bool(visit.outputs.get("rounds", 1))


def _format_usage(visit: StepRun) -> str:
    outputs = visit.outputs
    if not _was_asked(visit):
        return "no agent was asked"
    cost = "" if outputs.get("cost") is None else f", {format_dollars(outputs['cost'])}"
    return f"{format_count(outputs.get('rounds', 1), 'round')}, {outputs['tokens']:,} tokens{cost}"


def _revision_callback(
    invocation: VerbInvocation, tools: Runtime, stop: Stop, root: Path
) -> Callable[[Sequence[Any]], str]:
    """Return a function that asks the same agent to revise hunks that a review sent back."""

    def revise(sent_back: Sequence[Any]) -> str:
        hunks = [sent_back_to_dict(hunk, decision) for hunk, decision in sent_back]
        shown = "\n\n".join(
            f"{hunk['filepath']}: {hunk['action']}: {hunk['reason']}\n{hunk['diff']}" for hunk in hunks
        )
        prompt = (
            f"{invocation.arguments['prompt']}\n\n"
            "A person looked at your changes. What was approved is in the "
            f"files. These were sent back, with the reason; make them again, and nothing else:\n\n{shown}"
        )
        names = dict.fromkeys(hunk["filepath"] for hunk in hunks)
        # The diff shows the new files; they are not in the tree.
        paths = [os.path.relpath(root / name) for name in names if (root / name).is_file()]
        paths = paths or invocation.arguments.get("paths", [])
        revision_run = run_verb(
            invocation, tools, stop, prompt=prompt, paths=paths, changes="keep", check=""
        )
        if revision_run.status != "completed":
            raise AgentError(
                revision_run.error or revision_run.status, f"see `prj show {revision_run.id[:8]}`"
            )
        return _read_kept_file(tools, revision_run, "changes.json") or _read_kept_file(
            tools, revision_run, "answer.md"
        )

    return revise
