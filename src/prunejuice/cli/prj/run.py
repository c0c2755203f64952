"""Run a command.

Ctrl-C stops it in order, a second Ctrl-C kills it. Several runs at once (-n, --matrix, issue=1,2,3)
each get their own worktree unless you pass --no-worktree; there, Ctrl-C detaches and the runs continue.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from prunejuice.app import wiring
from prunejuice.cli import ask_for_trust, error_boundary, parallel_runs, plan_view, render, signals
from prunejuice.cli.completion import complete_argument, complete_command
from prunejuice.cli.options import json_option, sandbox_option, verbose_option
from prunejuice.cli.param_type import parse_assignments
from prunejuice.cli.run_lookup import driver_session_name
from prunejuice.cli.run_report import report_run
from prunejuice.engine import driver, view
from prunejuice.engine.driver import Runtime
from prunejuice.engine.run import Run
from prunejuice.errors import PruneJuiceError
from prunejuice.system import diagnostics, process, settings
from prunejuice.workflow import matrix, project
from prunejuice.workflow.plan import Plan
from prunejuice.worktrees import tmux


@click.command("run")
@click.argument("command", shell_complete=complete_command)
@click.argument("arguments", nargs=-1, metavar="[NAME=VALUE]...", shell_complete=complete_argument)
@click.option("--dry-run", is_flag=True, help="Show the plan without running it.")
@click.option("--detach", is_flag=True, help="Run in the background, in a session; prints the run's id.")
@click.option(
    "--worktree/--no-worktree",
    default=None,
    help="Give the run its own worktree, or disable steps that create one.",
)
@click.option("-n", "times", type=click.IntRange(1, 1000), default=1, help="Number of runs  [default: 1].")
@click.option(
    "--matrix",
    multiple=True,
    metavar="NAME=A,B",
    help="Run once for each value, or for each combination of values.",
)
@click.option(
    "--max-parallel",
    type=click.IntRange(1, 100),
    default=4,
    help="Maximum number of runs at once  [default: 4].",
)
@sandbox_option
@json_option
@verbose_option
def run_command(
    *, command: str, arguments: tuple[str, ...], dry_run: bool, worktree: bool | None, **options: Any
) -> int:
    app = wiring.open_app()
    loaded = app.catalog.load(command)
    combinations = matrix.argument_combinations(
        loaded, parse_assignments(arguments), options["matrix"], options["times"]
    )
    if len(combinations) > 1 and worktree is None:
        worktree = True
    plans = [
        wiring.make_plan(app, command, values, project.current_directory(), worktree)
        for values in combinations
    ]
    return start_plans(app, plans, dry_run=dry_run, **options)


def start_plans(app: wiring.App, plans: Sequence[Plan], *, dry_run: bool, **options: Any) -> int:
    """Run plans as the options of `prj run` say, and return the exit code."""
    as_json = options["as_json"]
    if dry_run:
        plan_view.show_plans(plans, as_json=as_json)
        return 0
    ask_for_trust.require_trust(app, plans)
    diagnostics.configure(error_boundary.log_file(), verbose=options["verbose"])
    if len(plans) > 1:
        return parallel_runs.start_runs(
            app, plans, options["max_parallel"], detach=options["detach"], as_json=as_json
        )
    if options["detach"]:
        return _start_detached(app, plans[0], as_json=as_json)
    with signals.stoppable_tools(app, as_json=as_json) as (tools, stop):
        run = driver.start_run(plans[0], tools, stop)
    return report_run(run, tools, as_json=as_json)


def _start_detached(app: wiring.App, plan: Plan, *, as_json: bool) -> int:
    """Start the driver of a run in a tmux session, or in the background without tmux."""
    tools = app.build_runtime()
    run = driver.create_run(plan, tools)
    session = _drive_in_session(app, run, tools)
    if not session:
        wiring.drive_in_background(app, run)
    if as_json:
        render.print_json("run", view.run_to_dict(run))
        return 0
    render.print_line(run.id)
    short = run.id[:8]
    attach = f"attach: prj attach {short} · " if session else ""
    render.print_message(f"{attach}follow: prj logs -f {short} · stop: prj stop {short}")
    return 0


def _drive_in_session(app: wiring.App, run: Run, tools: Runtime) -> str:
    """Start the driver in a tmux session and return its name, or nothing if that is not possible."""
    if not tmux.is_installed():
        return ""
    name, project_name = driver_session_name(run), Path(run.plan.project).name
    environment_file = tools.run_directory(run.id) / "environment.json"
    mark = tmux.SessionMark(project_name, run.plan.directory, tmux.DRIVER_TASK, run.id)
    argv = [*process.SELF_ARGV, "resume", run.id, "--if-pending", "--environment", str(environment_file)]
    # tmux starts the driver in its server's environment, so ours is handed over in a file.
    settings.save_environment(environment_file)
    try:
        tmux.create_session(name, run.plan.directory, app.settings.tmux_socket, mark, argv)
    except PruneJuiceError:
        environment_file.unlink(missing_ok=True)
        return ""
    return name
