"""Stop runs in order: end their steps, then run their clean-up."""

import os
import signal
import time
from contextlib import suppress

import click

from prunejuice.app import wiring
from prunejuice.cli import render
from prunejuice.cli.completion import complete_run
from prunejuice.cli.options import json_option
from prunejuice.cli.run_history import find_run_id
from prunejuice.engine import driver, view
from prunejuice.engine.driver import Runtime
from prunejuice.engine.history import RunHistory
from prunejuice.engine.run import FINAL_STATUSES
from prunejuice.errors import UsageError
from prunejuice.system import lock

KILL_AFTER = 10.0
"""Seconds that a driver has to react to `stop --now` before it is killed."""


@click.command("stop")
@click.argument("runs", nargs=-1, metavar="RUN…", shell_complete=complete_run)
@click.option("--all", "every", is_flag=True, help="Stop all unfinished runs of the project.")
@click.option("--now", is_flag=True, help="Kill the runs at once, without clean-up.")
@json_option
def stop_command(*, runs: tuple[str, ...], every: bool, now: bool, as_json: bool) -> int:
    app = wiring.open_app()
    history = RunHistory(app.settings.home, app.store)
    if every == bool(runs):
        raise UsageError("name the runs to stop, or pass --all", "run `prj status` to see the runs")
    # Every name is looked up before anything is stopped.
    run_ids = _unfinished_runs(app) if every else [find_run_id(history, run) for run in dict.fromkeys(runs)]
    for run_id in run_ids:
        _require_outer_run(history, run_id)
    tools = app.build_runtime()
    for run_id in run_ids:
        if history.load_run(run_id).status not in FINAL_STATUSES:
            _stop_run(run_id, tools, now=now)
        if not as_json:
            status = history.load_run(run_id).status
            render.print_line(f"run {run_id[:8]} {render.format_status(status)}")
    if as_json:
        stopped = [view.run_to_dict(history.load_run(run_id)) for run_id in run_ids]
        render.print_json("run" if len(runs) == 1 else "runs", stopped[0] if len(runs) == 1 else stopped)
    elif not run_ids:
        render.print_line("no unfinished runs")
    return 0


def _unfinished_runs(app: wiring.App) -> list[str]:
    project = str(app.project.root)
    summaries = app.store.summaries(limit=100_000)
    return [run.id for run in summaries if run.project == project and run.status not in FINAL_STATUSES]


def _require_outer_run(history: RunHistory, run_id: str) -> None:
    run = history.load_run(run_id)
    if run.parent and history.load_run(run.parent).status not in FINAL_STATUSES:
        outer = run.parent[:8]
        raise UsageError(f"run {run_id[:8]} is a step of run {outer}", f"run `prj stop {outer}`")


def _stop_run(run_id: str, tools: Runtime, *, now: bool) -> None:
    """Ask the driver to stop and wait until it has; without a driver, cancel the run directly."""
    path = tools.registry.lock_path(run_id)
    pid = lock.holder_pid(path)
    if not pid:
        driver.cancel_run(run_id, tools, now=now)
        return
    deadline = time.monotonic() + KILL_AFTER
    tools.registry.request_stop(run_id, now=now)
    with suppress(ProcessLookupError):
        while lock.holder_pid(path) == pid:
            time.sleep(0.05)
            if now and time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
    if now:
        driver.recover_lost_runs(tools)
