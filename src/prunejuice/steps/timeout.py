"""A time limit for code without one: a stop that is requested when the time is over."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prunejuice.errors import LimitError, PruneJuiceError
from prunejuice.system.stop_request import STOP, Stop

_POLL_SECONDS = 0.1


@contextmanager
def time_limit(stop: Stop, seconds: float) -> Iterator[Stop]:
    """Yield a stop that follows `stop` and is requested by itself after `seconds`.

    Raises:
        LimitError: the code inside failed after the time was over.
    """
    limited, finished, timed_out = Stop(), threading.Event(), threading.Event()
    deadline = time.monotonic() + seconds

    def watch() -> None:
        while not finished.wait(_POLL_SECONDS):
            if time.monotonic() >= deadline and not stop.level:
                timed_out.set()
            limited.request(STOP if timed_out.is_set() else 0)
            limited.request(stop.level)

    thread = threading.Thread(target=watch, name="limit", daemon=True)
    thread.start()
    try:
        yield limited
    except PruneJuiceError as error:
        if timed_out.is_set():
            fix = "; ".join(filter(None, ("raise --max-time or the step's `timeout`", error.fix)))
            raise LimitError(f"timed out after {seconds:g} s", fix, answer=error.answer) from error
        raise
    finally:
        finished.set()
        thread.join()
        limited.close()
