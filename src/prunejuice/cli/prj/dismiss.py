"""Take runs out of the list of what needs you.

Nothing is deleted: `prj history` still lists them, and `prj resume` still resumes them.
"""

import time

import click

from prunejuice.app import wiring
from prunejuice.cli import render
from prunejuice.cli.completion import complete_run
from prunejuice.cli.options import json_option
from prunejuice.engine import driver, view
from prunejuice.engine import event as events
from prunejuice.engine.history import RunHistory
from prunejuice.errors import UsageError

_STATUSES = ("failed", "interrupted", "waiting")


@click.command("dismiss")
@click.argument("runs", nargs=-1, metavar="RUN…", shell_complete=complete_run)
@click.option(
    "--all", "every", is_flag=True, help="Dismiss all failed, interrupted and waiting runs of the project."
)
@click.option("--undo", is_flag=True, help="List the runs again under what needs you.")
@json_option
def dismiss_command(*, runs: tuple[str, ...], every: bool, undo: bool, as_json: bool) -> None:
    app = wiring.open_app()
    history = RunHistory(app.settings.home, app.store)
    if every == bool(runs):
        raise UsageError("name the runs to dismiss, or pass --all", "run `prj status` to see the runs")
    tools = app.build_runtime()
    driver.recover_lost_runs(tools)
    project = str(app.project.root)
    run_ids = (
        [line.id for line in history.list_runs(project, _STATUSES, 100_000) if line.dismissed == undo]
        if every
        else [history.find_run_id(run) for run in dict.fromkeys(runs)]
    )
    event = events.RunDismissed(at=time.time(), dismissed=not undo)
    dismissed = [driver.record_event(run_id, tools, event) for run_id in run_ids]
    if as_json:
        render.print_json("runs", [view.summary_to_dict(view.summarize_run(run)) for run in dismissed])
        return
    for run in dismissed:
        outcome = "needs you again" if undo else "dismissed"
        render.print_line(f"run {run.id[:8]} {outcome}")
    if dismissed and not undo:
        shown = " ".join(run.id[:8] for run in dismissed[:5])
        render.print_line(f"  undo       prj dismiss --undo {shown if len(dismissed) <= 5 else '--all'}")
    if not dismissed:
        render.print_line("nothing to dismiss")
