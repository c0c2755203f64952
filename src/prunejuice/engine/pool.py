"""Drive many runs in one process, a few at a time."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from prunejuice.engine import driver
from prunejuice.engine.driver import Runtime
from prunejuice.errors import PruneJuiceError
from prunejuice.system.stop_request import KILL, STOP, Stop


def drive_runs(run_ids: Sequence[str], runtime: Runtime, stop: Stop, at_once: int) -> None:
    """Drive pending runs, at most `at_once` at a time, until each one ends or stops.

    A run that waits for its turn already holds its driver lock, so that it does not look lost.
    """
    turns = threading.Semaphore(at_once)
    runtime = runtime._replace(max_steps=max(1, runtime.max_steps // max(1, min(at_once, len(run_ids)))))
    stops = {run_id: Stop() for run_id in run_ids}
    threads = [
        threading.Thread(target=_drive_one, args=(run_id, runtime, stops[run_id], turns), name=run_id)
        for run_id in run_ids
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        for run_stop in stops.values():
            if stop.level:
                run_stop.request(KILL if stop.level >= KILL else STOP)
        # A short join keeps this thread responsive to signals; rotating waits on each thread in turn.
        threads[0].join(timeout=0.1)
        threads = [*threads[1:], threads[0]]
    for run_stop in stops.values():
        run_stop.close()


def _drive_one(run_id: str, runtime: Runtime, stop: Stop, turns: threading.Semaphore) -> None:
    acquired = threading.Event()

    def wait_for_turn(stopped: Callable[[], bool]) -> None:
        while not stopped():
            if turns.acquire(timeout=0.1):
                acquired.set()
                return

    try:
        with suppress(PruneJuiceError):  # a thread could only print a traceback
            driver.resume_run(run_id, runtime._replace(wait_for_turn=wait_for_turn), stop, if_pending=True)
    finally:
        if acquired.is_set():
            turns.release()
