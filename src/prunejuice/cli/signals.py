"""Signals and progress for the commands that drive runs."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prunejuice.app import wiring
from prunejuice.cli import notification, progress_view
from prunejuice.engine import driver
from prunejuice.engine import event as events
from prunejuice.engine.run import Run
from prunejuice.system import diagnostics
from prunejuice.system.stop_request import KILL, STOP, Stop

KILL_SIGNAL = signal.SIGQUIT
"""The signal that kills a run without clean-up, as a second Ctrl-C does."""


@contextmanager
def stoppable_tools(
    app: wiring.App,
    *,
    as_json: bool,
    progress: progress_view.Progress | None = None,
    terminal: bool = False,
) -> Iterator[tuple[driver.Runtime, Stop]]:
    """Provide a runtime that shows progress, and a stop request that signals trigger.

    The first SIGINT, SIGTERM or SIGHUP stops the run in order; the second, or SIGQUIT, kills it. With
    `terminal`, interactive steps may use the terminal of this process.
    """
    progress = progress or progress_view.choose_progress(quiet=as_json)
    stop = Stop()

    def publish(run: Run, event: events.Event) -> None:
        diagnostics.log_event(events.event_kind(event), run=run.id, step=getattr(event, "step", ""))
        progress.show_event(run, event)
        notification.notify_user(app, run, event)

    def on_signal(number: int, _frame: Any) -> None:
        stop.request(KILL if stop.level or number == KILL_SIGNAL else STOP)

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, KILL_SIGNAL)
    numbers = [number for number in signals if not _is_ignored(number)]
    handlers = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield app.build_runtime(publish, progress.show_output, terminal=terminal), stop
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        stop.close()
        progress.close()


def _is_ignored(number: int) -> bool:
    """Tell whether the parent process set the signal to be ignored, as nohup does."""
    return signal.getsignal(number) is signal.SIG_IGN
