"""Many runs driven by one process, a few at a time."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from prunejuice import lifecycle
from prunejuice.errors import PruneJuiceError
from prunejuice.lifecycle import Tools
from prunejuice.protocols import KILL, STOP, Stop


def drive(run_ids: Sequence[str], tools: Tools, stop: Stop, at_once: int) -> None:
    """Drive runs that were made for it, `at_once` at a time, each until it ends or is stopped by itself.

    A run that waits for its turn is held by its driver's lock, so that nobody takes it for lost.
    """
    turns = threading.Semaphore(at_once)
    stops = {run_id: Stop() for run_id in run_ids}
    threads = [
        threading.Thread(target=_one, args=(run_id, tools, stops[run_id], turns), name=run_id)
        for run_id in run_ids
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        for each in stops.values():
            if stop.level:
                each.request(KILL if stop.level >= KILL else STOP)
        threads[0].join(timeout=0.1)
        threads = [*threads[1:], threads[0]]
    for each in stops.values():
        each.close()


def _one(run_id: str, tools: Tools, stop: Stop, turns: threading.Semaphore) -> None:
    had: list[bool] = []

    def turn(stopped: Callable[[], bool]) -> None:
        while not stopped():
            if turns.acquire(timeout=0.1):
                had.append(True)
                return

    try:
        with suppress(PruneJuiceError):
            lifecycle.resume(run_id, tools._replace(turn=turn), stop, if_pending=True)
    finally:
        if had:
            turns.release()
