"""Resume a run that was interrupted, is waiting, failed or was cancelled."""

from pathlib import Path

import click

from prunejuice.app import wiring
from prunejuice.cli import ask_for_trust, error_boundary, signals
from prunejuice.cli.completion import complete_run
from prunejuice.cli.options import json_option, verbose_option
from prunejuice.cli.param_type import parse_assignments
from prunejuice.cli.run_history import find_run_id
from prunejuice.cli.run_report import report_run
from prunejuice.engine import driver
from prunejuice.engine.history import RunHistory
from prunejuice.errors import UsageError
from prunejuice.system import diagnostics, settings


@click.command("resume")
@click.argument("run", shell_complete=complete_run)
@click.option(
    "--decide",
    "decisions",
    multiple=True,
    metavar="STEP=rerun|skip|done",
    help="How to continue a step that is waiting or was interrupted.",
)
@click.option("--if-pending", is_flag=True, hidden=True, help="Resume only if no step has started yet.")
@click.option(
    "--environment",
    type=click.Path(path_type=Path),
    hidden=True,
    help="File with the environment of the run.",
)
@json_option
@verbose_option
def resume_command(
    *,
    run: str,
    decisions: tuple[str, ...],
    if_pending: bool,
    environment: Path | None,
    as_json: bool,
    verbose: bool,
) -> int:
    if environment:
        settings.restore_environment(environment)
    app = wiring.open_app()
    history = RunHistory(app.settings.home, app.store)
    run_id = find_run_id(history, run)
    loaded = history.load_run(run_id)
    app = wiring.open_app(Path(loaded.plan.project))  # the run may belong to another project
    ask_for_trust.require_trust(app)
    diagnostics.configure(error_boundary.log_file(), verbose=verbose)
    with signals.stoppable_tools(app, as_json=as_json) as (tools, stop):
        finished = driver.resume_run(
            run_id, tools, stop, _parse_decisions(decisions), if_pending=if_pending
        )
    return report_run(finished, tools, as_json=as_json)


def _parse_decisions(decisions: tuple[str, ...]) -> dict[str, str]:
    by_step = parse_assignments(decisions)
    for step, decision in by_step.items():
        if decision not in {"rerun", "skip", "done"}:
            raise UsageError(f"invalid decision {step}={decision}: use rerun, skip or done")
    return by_step
