"""The commands that make things happen: run, resume, stop; attach."""

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from prunejuice import app as apps
from prunejuice import diagnostics, lifecycle, lock, matrix, process, project, settings, view
from prunejuice.cli import boundary, driving, many, planned, render
from prunejuice.errors import PruneJuiceError, UsageError
from prunejuice.history import History
from prunejuice.plan import Plan
from prunejuice.run import ENDED, Run
from prunejuice.text import safe_line
from prunejuice.workspaces import tmux

PATIENCE = 10.0
"""Seconds that a driver has to heed `stop --now` before it is killed."""

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
_VERBOSE = click.option("--verbose", is_flag=True, help="Show what the program itself does.")


@click.command("run")
@click.argument("command")
@click.argument("arguments", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--dry-run", is_flag=True, help="Show the plan; nothing is written.")
@click.option("--detach", is_flag=True, help="Go on in the background, in a session; prints the run's id.")
@click.option(
    "--worktree/--no-worktree",
    default=None,
    help="Give the run a worktree of its own, or turn such steps off.",
)
@click.option("-n", "times", type=click.IntRange(1, 1000), default=1, help="So many runs.  [1]")
@click.option("--matrix", multiple=True, metavar="NAME=A,B", help="A run for each value, with each other.")
@click.option(
    "--max-parallel", type=click.IntRange(1, 100), default=4, help="How many of them at once.  [4]"
)
@_JSON
@_VERBOSE
def run_command(
    *, command: str, arguments: tuple[str, ...], dry_run: bool, worktree: bool | None, **how: Any
) -> int:
    """Run COMMAND. Ctrl-C ends it in order, a second Ctrl-C at once.

    Several runs (-n, --matrix, issue=1,2,3) each get a worktree of their own, unless --no-worktree says
    that they share this one; Ctrl-C lets them go on.
    """
    app = apps.open_app()
    loaded = app.catalog.load(command)
    each = matrix.combinations(loaded, given(arguments), how["matrix"], how["times"])
    if len(each) > 1 and worktree is None:
        worktree = True
    plans = [apps.make_plan(app, command, values, project.here(), worktree) for values in each]
    as_json = how["as_json"]
    if dry_run:
        planned.show_all(plans, as_json=as_json)
        return 0
    driving.demand_trust(app)
    diagnostics.configure(boundary.log_file(), verbose=how["verbose"])
    if len(plans) > 1:
        return many.start(app, plans, how["max_parallel"], detach=how["detach"], as_json=as_json)
    if how["detach"]:
        return _detached(app, plans[0], as_json=as_json)
    with driving.watched(app, as_json=as_json) as (tools, stop):
        run = lifecycle.start(plans[0], tools, stop)
    return closing(run, tools, as_json=as_json)


@click.command("resume")
@click.argument("run")
@click.option(
    "--decide",
    "decisions",
    multiple=True,
    metavar="STEP=rerun|skip|done",
    help="What to do about a step that waits or was cut off.",
)
@click.option("--if-pending", is_flag=True, hidden=True, help="Only when nothing has been done yet.")
@click.option("--environment", type=click.Path(path_type=Path), hidden=True, help="Handed over in a file.")
@_JSON
@_VERBOSE
def resume_command(
    *,
    run: str,
    decisions: tuple[str, ...],
    if_pending: bool,
    environment: Path | None,
    as_json: bool,
    verbose: bool,
) -> int:
    """Go on with RUN where it was: interrupted, waiting, failed or cancelled."""
    if environment:
        settings.take_over(environment)
    app = apps.open_app()
    history = History(app.settings.home, app.store)
    run_id = history.find(run)
    found = history.load(run_id)
    app = apps.open_app(Path(found.plan.project))
    driving.demand_trust(app)
    diagnostics.configure(boundary.log_file(), verbose=verbose)
    with driving.watched(app, as_json=as_json) as (tools, stop):
        done = lifecycle.resume(run_id, tools, stop, _decided(decisions), if_pending=if_pending)
    return closing(done, tools, as_json=as_json)


@click.command("stop")
@click.argument("run")
@click.option("--now", is_flag=True, help="Kill at once, without clean-up.")
@_JSON
def stop_command(*, run: str, now: bool, as_json: bool) -> int:
    """End RUN in order: its steps are stopped and its clean-up runs."""
    app = apps.open_app()
    history = History(app.settings.home, app.store)
    run_id = history.find(run)
    tools = app.tools()
    run_before = history.load(run_id)
    if run_before.parent and history.load(run_before.parent).status not in ENDED:
        outer = run_before.parent[:8]
        raise UsageError(f"run {run_id[:8]} is a step of run {outer}", f"prj stop {outer}")
    if run_before.status not in ENDED:
        _stop(run_id, tools, now=now)
    found = history.load(run_id)
    if as_json:
        render.json("run", view.whole(found))
    else:
        render.out(f"run {run_id[:8]} {render.status(found.status)}")
    return 0


def given(arguments: tuple[str, ...]) -> dict[str, str]:
    """`name=value` words as a mapping.

    Raises:
        UsageError: one has no `=`, or a name comes twice.
    """
    found: dict[str, str] = {}
    for word in arguments:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(f"{safe_line(word, 60)!r} is not NAME=VALUE")
        if name in found:
            raise UsageError(f"argument {safe_line(name, 60)!r} is given twice")
        found[name] = value
    return found


def closing(run: Run, tools: lifecycle.Tools, *, as_json: bool) -> int:
    """The last words about a run, and the exit code that says how it went."""
    directory = str(tools.directory(run.id))
    try:
        if as_json:
            render.json("run", {**view.whole(run), "artifact_dir": directory})
        else:
            for line in (*render.failure_tail(run), *render.summary(run, directory)):
                render.out(line)
    except BrokenPipeError:
        render.drop_stdout()
    return boundary.run_code(run.status, run.reason)


def _decided(decisions: tuple[str, ...]) -> dict[str, str]:
    found = given(decisions)
    for step, word in found.items():
        if word not in {"rerun", "skip", "done"}:
            raise UsageError(f"--decide {step}={word}: it is rerun, skip or done")
    return found


def _detached(app: apps.App, plan: Plan, *, as_json: bool) -> int:
    """Have the run driven in a session of its own, or without tmux in the background."""
    tools = app.tools()
    run = lifecycle.create(plan, tools)
    session = _drive_in_session(app, run, tools)
    if not session:
        apps.drive_apart(app, run)
    if as_json:
        render.json("run", view.whole(run))
        return 0
    render.out(run.id)
    short = run.id[:8]
    watch = f"watch it: prj attach {short} · " if session else ""
    render.say(f"{watch}follow it: prj logs -f {short} · end it: prj stop {short}")
    return 0


def _drive_in_session(app: apps.App, run: Run, tools: lifecycle.Tools) -> str:
    """The name of a session in which the run is driven; nothing when there can be none."""
    if not tmux.is_installed():
        return ""
    name, project_name = driver_session(run), Path(run.plan.project).name
    handed = tools.directory(run.id) / "environment.json"
    mark = tmux.Mark(project_name, run.plan.directory, tmux.DRIVER, run.id)
    argv = [*process.OURSELVES, "resume", run.id, "--if-pending", "--environment", str(handed)]
    settings.hand_over(handed)
    try:
        tmux.create(name, run.plan.directory, app.settings.tmux_socket, mark, argv)
    except PruneJuiceError:
        handed.unlink(missing_ok=True)
        return ""
    return name


def driver_session(run: Run) -> str:
    """The session in which a detached run is driven."""
    return tmux.session_name(Path(run.plan.project).name, run.id[:8], tmux.DRIVER)


@click.command("attach")
@click.argument("run")
@click.option("--driver", is_flag=True, help="The session in which it is driven, not that of its work.")
def attach_command(*, run: str, driver: bool) -> int:
    """Bring this terminal to the session of RUN; leave it again with Ctrl-b d."""
    app = apps.open_app()
    history = History(app.settings.home, app.store)
    found = history.load(history.find(run))
    there = tmux.sessions(app.settings.tmux_socket)
    of_run = [each.name for each in there.values() if each.mark and each.mark.run == found.id]
    names = [driver_session(found)] if driver else [found.workspace.session, driver_session(found), *of_run]
    name = next((each for each in names if each in there), None)
    if name is None:
        raise UsageError(f"run {found.id[:8]} has no session", f"prj logs -f {found.id[:8]} follows it")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("attaching needs a terminal", f"the session is {name}")
    process.become(tmux.attach(name, app.settings.tmux_socket, app.environ), app.environ)


def _stop(run_id: str, tools: lifecycle.Tools, *, now: bool) -> None:
    """Ask the driver to stop and wait until it has; without a driver, end the run ourselves."""
    path = tools.history.lock(run_id)
    pid = lock.holder(path)
    if not pid:
        lifecycle.cancel(run_id, tools, now=now)
        return
    patience = time.monotonic() + PATIENCE
    tools.history.ask_to_stop(run_id, now=now)
    with suppress(ProcessLookupError):
        while lock.holder(path) == pid:
            time.sleep(0.05)
            if now and time.monotonic() > patience:
                os.kill(pid, signal.SIGKILL)
    if now:
        lifecycle.recover(tools)
