"""Show runs side by side: their results, their changes, how their steps ended."""

from typing import TYPE_CHECKING

import click

from prunejuice.app import run_actions, wiring
from prunejuice.cli import render
from prunejuice.cli.completion import complete_run
from prunejuice.cli.options import json_option
from prunejuice.cli.render import change_to_dict, format_duration, format_status
from prunejuice.cli.run_lookup import find_run
from prunejuice.engine.run_texts import describe_task, list_evidence
from prunejuice.engine.view import summarize_run
from prunejuice.errors import UsageError
from prunejuice.text import format_dollars, safe_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from prunejuice.engine.run import Run
    from prunejuice.worktrees.snapshot import DiffStat

    Row = tuple[str, ...]
    Facts = Mapping[str, Callable[[Run], str]]


def _comparison_rows(sides: "Sequence[tuple[Run, Sequence[DiffStat]]]") -> "Iterable[Row]":
    """Yield the rows of the comparison table, with one column for each run."""
    runs = [run for run, _ in sides]
    yield from _list_facts(runs, _FACTS_BEFORE)
    yield from _list_arguments(runs)
    yield from _list_facts(runs, _FACTS_AFTER)
    for step in dict.fromkeys(visit.step for run in runs for visit in run.visits):
        last = [run.last_visit(step) for run in runs]
        ends = (format_status(visit.status) if visit else "" for visit in last)
        yield f"step {safe_line(step, 30)}", *ends
    tables = [{stat.path: stat for stat in files} for _, files in sides]
    yield "files", *(str(len(table)) for table in tables)
    for path in sorted({path for table in tables for path in table}):
        yield f"  {safe_line(path, 60)}", *(_format_counts(table.get(path)) for table in tables)


def _list_facts(runs: "Sequence[Run]", facts: "Facts") -> "Iterable[Row]":
    for label, describe in facts.items():
        yield label, *map(describe, runs)


def _list_arguments(runs: "Sequence[Run]") -> "Iterable[Row]":
    """Yield the arguments that differ; the task has the first line of a prompt."""
    for name in dict.fromkeys(name for run in runs for name in run.plan.arguments if name != "prompt"):
        values = [safe_line(str(run.plan.arguments.get(name, "")), 40) for run in runs]
        if len(set(values)) > 1:
            yield name, *values


def _describe_time(run: "Run") -> str:
    return format_duration(run.ended - run.started) if run.ended else ""


def _describe_tokens(run: "Run") -> str:
    tokens = summarize_run(run).tokens
    return f"{tokens:,}" if tokens else ""


def _describe_cost(run: "Run") -> str:
    cost = summarize_run(run).cost
    return format_dollars(cost) if cost else ""


_FACTS_BEFORE: "Facts" = {
    "run": lambda run: run.id[:8],
    "command": lambda run: safe_line(run.plan.command.name, 30),
    "task": lambda run: safe_line(describe_task(run), 40),
}
_FACTS_AFTER: "Facts" = {
    "status": lambda run: format_status(run.status),
    "time": _describe_time,
    "tokens": _describe_tokens,
    "cost": _describe_cost,
    "evidence": lambda run: safe_line(next(list_evidence(run), ""), 40),
}


def _format_counts(change: "DiffStat | None") -> str:
    if change is None:
        return "·"
    return "binary" if change.added is None else f"+{change.added} -{change.removed}"


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, shell_complete=complete_run)
@json_option
def compare_command(*, runs: tuple[str, ...], as_json: bool) -> None:
    if len(runs) < 2:
        raise UsageError("compare needs at least two runs", "run `prj history` to list runs")
    app = wiring.open_app()
    comparisons = run_actions.compare_runs(app, [find_run(app, prefix) for prefix in runs])
    if as_json:
        render.print_json("compare", [_run_to_dict(comparison) for comparison in comparisons])
        return
    rows = _comparison_rows([(comparison.run, comparison.files) for comparison in comparisons])
    for row in render.align_columns(row for row in rows if any(row[1:])):
        render.print_line(row)


def _run_to_dict(comparison: run_actions.RunComparison) -> dict[str, object]:
    run = comparison.run
    line = summarize_run(run)
    return {
        "id": run.id,
        "command": run.plan.command.name,
        "arguments": run.plan.arguments,
        "status": run.status,
        "seconds": round(run.ended - run.started, 3) if run.ended else None,
        "added": sum(file.added or 0 for file in comparison.files),
        "removed": sum(file.removed or 0 for file in comparison.files),
        "files": [change_to_dict(file) for file in comparison.files],
        "tokens": line.tokens,
        "cost": line.cost,
        "evidence": list(list_evidence(run)),
        "steps": {visit.step: visit.status for visit in run.visits},
    }
