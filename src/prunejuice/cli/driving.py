"""What every command needs that drives runs: a project that may run, signals that stop, progress."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from prunejuice import app as apps
from prunejuice import diagnostics, lifecycle, trust
from prunejuice import event as events
from prunejuice.cli import live, render
from prunejuice.protocols import KILL, STOP, Stop
from prunejuice.run import Run
from prunejuice.text import safe_line

AT_ONCE = signal.SIGQUIT
"""The signal that ends a run without clean-up, as a second Ctrl-C does."""


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


@contextmanager
def watched(
    app: apps.App, *, as_json: bool, progress: live.Progress | None = None, terminal: bool = False
) -> Iterator[tuple[lifecycle.Tools, Stop]]:
    """Tools that show progress, and a stop that signals raise; `terminal` leaves ours to a person."""
    progress = progress or live.progress(quiet=as_json)
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
        yield app.tools(tell, progress.hear, terminal=terminal), stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        stop.close()
        progress.close()


def _is_ignored(number: int) -> bool:
    """Whether who started us wants the signal ignored (nohup)."""
    return signal.getsignal(number) is signal.SIG_IGN
