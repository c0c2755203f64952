"""Stop a run in order: end its steps, then run its clean-up."""

import os
import signal
import time
from contextlib import suppress

import click

from prunejuice.app import wiring
from prunejuice.cli import render
from prunejuice.cli.options import json_option
from prunejuice.engine import driver, view
from prunejuice.engine.driver import Runtime
from prunejuice.engine.history import RunHistory
from prunejuice.engine.run import FINAL_STATUSES
from prunejuice.errors import UsageError
from prunejuice.system import lock

KILL_AFTER = 10.0
"""Seconds that a driver has to react to `stop --now` before it is killed."""


@click.command("stop")
@click.argument("run")
@click.option("--now", is_flag=True, help="Kill the run at once, without clean-up.")
@json_option
def stop_command(*, run: str, now: bool, as_json: bool) -> int:
    app = wiring.open_app()
    history = RunHistory(app.settings.home, app.store)
    run_id = history.find_run_id(run)
    tools = app.build_runtime()
    run_before = history.load_run(run_id)
    if run_before.parent and history.load_run(run_before.parent).status not in FINAL_STATUSES:
        outer = run_before.parent[:8]
        raise UsageError(f"run {run_id[:8]} is a step of run {outer}", f"run `prj stop {outer}`")
    if run_before.status not in FINAL_STATUSES:
        _stop_run(run_id, tools, now=now)
    stopped = history.load_run(run_id)
    if as_json:
        render.print_json("run", view.run_to_dict(stopped))
    else:
        render.print_line(f"run {run_id[:8]} {render.format_status(stopped.status)}")
    return 0


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
