"""A time limit for what takes none: it is asked to stop."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prunejuice.errors import LimitError, PruneJuiceError
from prunejuice.protocols import STOP, Stop

_LOOK = 0.1


@contextmanager
def limited(stop: Stop, seconds: float) -> Iterator[Stop]:
    """A stop that rises with another, and by itself when the seconds are over.

    Raises:
        LimitError: what is done within failed after that.
    """
    own, over, late = Stop(), threading.Event(), threading.Event()
    until = time.monotonic() + seconds

    def watch() -> None:
        while not over.wait(_LOOK):
            if time.monotonic() >= until and not stop.level:
                late.set()
            own.request(STOP if late.is_set() else 0)
            own.request(stop.level)

    thread = threading.Thread(target=watch, name="limit", daemon=True)
    thread.start()
    try:
        yield own
    except PruneJuiceError as error:
        if late.is_set():
            fix = "; ".join(
                filter(None, ("--max-time, or `timeout` of a step, gives it longer", error.fix))
            )
            raise LimitError(f"timed out after {seconds:g} s", fix, answer=error.answer) from error
        raise
    finally:
        over.set()
        thread.join()
        own.close()
