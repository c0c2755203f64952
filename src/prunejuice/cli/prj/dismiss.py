"""Take runs out of the list of what needs you.

Nothing is deleted: `prj history` still lists them, and `prj resume` still resumes them.
"""

import time
from collections.abc import Iterable, Mapping, Sequence

import click

from prunejuice.app import wiring
from prunejuice.cli import render
from prunejuice.cli.completion import complete_run
from prunejuice.cli.options import json_option
from prunejuice.cli.run_history import find_run_id
from prunejuice.engine import driver, view
from prunejuice.engine import event as events
from prunejuice.engine.driver import Runtime
from prunejuice.engine.history import RunHistory
from prunejuice.engine.run import Run
from prunejuice.errors import PruneJuiceError, UsageError

_STATUSES = ("failed", "interrupted", "waiting")


@click.command("dismiss")
@click.argument("runs", nargs=-1, metavar="RUN…", shell_complete=complete_run)
@click.option(
    "--all", "every", is_flag=True, help="Dismiss all failed, interrupted and waiting runs of the project."
)
@click.option("--undo", is_flag=True, help="List the runs again under what needs you.")
@json_option
def dismiss_command(*, runs: tuple[str, ...], every: bool, undo: bool, as_json: bool) -> int:
    app = wiring.open_app()
    history = RunHistory(app.settings.home, app.store)
    if every == bool(runs):
        raise UsageError("name the runs to dismiss, or pass --all", "run `prj status` to see the runs")
    tools = app.build_runtime()
    driver.recover_lost_runs(tools)
    project = str(app.project.root)
    names = (
        [line.id for line in history.list_runs(project, _STATUSES, 100_000) if line.dismissed == undo]
        if every
        else dict.fromkeys(runs)
    )
    dismissed, failures = _dismiss_runs(names, tools, undo=undo)
    if as_json:
        _print_json(dismissed, failures)
    else:
        _print_outcomes(dismissed, failures, undo=undo)
    return 2 if failures else 0


def _dismiss_runs(
    names: Iterable[str], tools: Runtime, *, undo: bool
) -> tuple[list[Run], dict[str, PruneJuiceError]]:
    """Dismiss each run by itself; return the new states, and the error of each name that failed."""
    event = events.RunDismissed(at=time.time(), dismissed=not undo)
    dismissed: dict[str, Run] = {}
    failures: dict[str, PruneJuiceError] = {}
    for name in names:
        try:
            run_id = find_run_id(tools.registry, name)
            if run_id not in dismissed:  # two prefixes may name one run
                dismissed[run_id] = driver.record_event(run_id, tools, event)
        except PruneJuiceError as error:
            failures[name] = error
    return list(dismissed.values()), failures


def _print_json(dismissed: Sequence[Run], failures: Mapping[str, PruneJuiceError]) -> None:
    items = [view.summary_to_dict(view.summarize_run(run)) for run in dismissed]
    errors = [{"run": name, "message": error.message, "fix": error.fix} for name, error in failures.items()]
    render.print_json("runs", {"items": items, **({"errors": errors} if errors else {})})


def _print_outcomes(
    dismissed: Sequence[Run], failures: Mapping[str, PruneJuiceError], *, undo: bool
) -> None:
    for run in dismissed:
        render.print_line(f"run {run.id[:8]} {'needs you again' if undo else 'dismissed'}")
    if dismissed and not undo:
        shown = " ".join(run.id[:8] for run in dismissed)
        render.print_line(f"  undo       prj dismiss --undo {shown}")
    for error in failures.values():
        render.print_error(error.message, error.fix, as_json=False)
    if not dismissed and not failures:
        render.print_line("nothing to dismiss")
