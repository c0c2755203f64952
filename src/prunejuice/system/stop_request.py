"""Stop requests, which threads can poll and selectors can wait for."""

import os
import weakref

STOP = 1
KILL = 2


class Stop:
    """A stop request. Its level only rises: 0 (none), `STOP`, then `KILL`."""

    def __init__(self) -> None:
        self.level = 0
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        # Closed at the latest when nobody has it any more: a long-lived program would run out of files.
        self._close = weakref.finalize(self, _close_pipe, self._reader, self._writer)

    def request(self, level: int) -> None:
        """Request an orderly stop (`STOP`) or an immediate one (`KILL`). Safe in a signal handler."""
        if level > self.level:
            self.level = level
            os.write(self._writer, b"x")

    def is_requested(self) -> bool:
        """Return whether a stop was requested at any level."""
        return self.level > 0

    def fileno(self) -> int:
        """Return a descriptor that is readable once a stop was requested. Waiters need not read from it."""
        return self._reader

    def close(self) -> None:
        """Close the descriptors."""
        self._close()


def _close_pipe(reader: int, writer: int) -> None:
    os.close(reader)
    os.close(writer)
