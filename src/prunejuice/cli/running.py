"""The commands that make things happen: run, resume, stop."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from prunejuice import app as apps
from prunejuice import diagnostics, lifecycle, lock, process, project, trust, view
from prunejuice import event as events
from prunejuice.cli import boundary, live, planned, render
from prunejuice.errors import UsageError
from prunejuice.history import History
from prunejuice.plan import Plan
from prunejuice.protocols import KILL, STOP, Stop
from prunejuice.run import ENDED, Run
from prunejuice.text import safe_line

AT_ONCE = signal.SIGQUIT
"""The signal that ends a run without clean-up, as a second Ctrl-C does."""
PATIENCE = 10.0
"""Seconds that a driver has to heed `stop --now` before it is killed."""

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
_VERBOSE = click.option("--verbose", is_flag=True, help="Show what the program itself does.")


@click.command("run")
@click.argument("command")
@click.argument("arguments", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--dry-run", is_flag=True, help="Show the plan; nothing is written.")
@click.option("--detach", is_flag=True, help="Go on in the background; prints the run's id.")
@click.option(
    "--worktree/--no-worktree",
    default=None,
    help="Give the run a worktree of its own, or turn such steps off.",
)
@_JSON
@_VERBOSE
def run_command(  # noqa: PLR0913 - one for each option
    *,
    command: str,
    arguments: tuple[str, ...],
    dry_run: bool,
    detach: bool,
    worktree: bool | None,
    as_json: bool,
    verbose: bool,
) -> int:
    """Run COMMAND. Ctrl-C ends it in order, a second Ctrl-C at once."""
    app = apps.open_app()
    plan = apps.make_plan(app, command, given(arguments), project.here(), worktree)
    if dry_run:
        planned.show(plan, as_json=as_json)
        return 0
    demand_trust(app)
    diagnostics.configure(boundary.log_file(), verbose=verbose)
    if detach:
        return _detached(app, plan, as_json=as_json)
    with watched(app, as_json=as_json) as (tools, stop):
        run = lifecycle.start(plan, tools, stop)
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
@_JSON
@_VERBOSE
def resume_command(
    *, run: str, decisions: tuple[str, ...], if_pending: bool, as_json: bool, verbose: bool
) -> int:
    """Go on with RUN where it was: interrupted, waiting, failed or cancelled."""
    app = apps.open_app()
    history = History(app.settings.home, app.store)
    run_id = history.find(run)
    found = history.load(run_id)
    app = apps.open_app(Path(found.plan.project))
    demand_trust(app)
    diagnostics.configure(boundary.log_file(), verbose=verbose)
    with watched(app, as_json=as_json) as (tools, stop):
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


def demand_trust(app: apps.App) -> None:
    """Nothing, when the project may run. On a terminal the user is asked; anywhere else, no means no.

    Raises:
        DeniedError: it may not.
    """
    if sys.stdin and sys.stdin.isatty() and sys.stderr.isatty():
        found = trust.standing(app.project, app.store)
        for change in found.changes:
            render.say(safe_line(change, 300))
        asked = f"let these files of {safe_line(str(app.project.prj), 300)} run?"
        if not found.trusted and click.confirm(asked, err=True):
            trust.trust(app.project, app.store)
    trust.demand(app.project, app.store)


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


@contextmanager
def watched(app: apps.App, *, as_json: bool) -> Iterator[tuple[lifecycle.Tools, Stop]]:
    """Tools that show progress, and a stop that signals raise."""
    progress = live.progress(quiet=as_json)
    stop = Stop()

    def tell(run: Run, event: events.Event) -> None:
        diagnostics.note(events.kind(event), run=run.id, step=getattr(event, "step", ""))
        progress.tell(run, event)

    def on_signal(number: int, _frame: Any) -> None:
        stop.request(KILL if stop.level or number == AT_ONCE else STOP)

    asked = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, AT_ONCE)
    numbers = [number for number in asked if not _is_ignored(number)]
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield app.tools(tell, progress.hear), stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        stop.close()
        progress.close()


def _is_ignored(number: int) -> bool:
    """Whether who started us wants the signal ignored (nohup)."""
    return signal.getsignal(number) is signal.SIG_IGN


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
    tools = app.tools()
    run = lifecycle.create(plan, tools)
    argv = [*process.OURSELVES, "resume", run.id, "--json", "--if-pending"]
    call = process.Call(argv, plan.directory, app.environ)
    process.detach(call, tools.directory(run.id) / "logs" / "driver.log")
    if as_json:
        render.json("run", view.whole(run))
    else:
        render.out(run.id)
        render.say(f"follow it: prj logs -f {run.id[:8]} · end it: prj stop {run.id[:8]}")
    return 0


def _stop(run_id: str, tools: lifecycle.Tools, *, now: bool) -> None:
    """Ask the driver to stop and wait until it has; without a driver, end the run ourselves."""
    path = lifecycle.lock_path(run_id, tools)
    pid = lock.holder(path)
    if not pid:
        lifecycle.cancel(run_id, tools, now=now)
        return
    patience = time.monotonic() + PATIENCE
    with suppress(ProcessLookupError):
        os.kill(pid, AT_ONCE if now else signal.SIGTERM)
        while lock.holder(path) == pid:
            time.sleep(0.05)
            if now and time.monotonic() > patience:
                os.kill(pid, signal.SIGKILL)
    if now:
        lifecycle.recover(tools)
