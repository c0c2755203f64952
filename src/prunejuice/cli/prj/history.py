"""List past runs, newest first."""

import click

from prunejuice.cli import render
from prunejuice.cli.options import all_projects_option, json_option, wide_option
from prunejuice.cli.run_history import open_history, project_filter
from prunejuice.engine import view
from prunejuice.engine.run import RUN_STATUSES


@click.command("history")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=10, help="Maximum number of runs  [default: 10]."
)
@click.option("--status", type=click.Choice(RUN_STATUSES), help="Show only runs with this status.")
@all_projects_option
@wide_option
@json_option
def history_command(*, limit: int, status: str | None, everywhere: bool, wide: bool, as_json: bool) -> None:
    history = open_history()
    statuses = (status,) if status else ()
    summaries = history.list_runs(project_filter(everywhere=everywhere), statuses, limit)
    if as_json:
        render.print_json("runs", [view.summary_to_dict(summary) for summary in summaries])
        return
    render.print_run_rows((render.run_row(summary) for summary in summaries), wide=wide)
