"""File locks that the kernel releases when the holding process ends, even after SIGKILL."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

POLL_SECONDS = 0.005


class FileLock:
    """An exclusive lock on a file, which is created if missing.

    With `signed`, the holder writes its pid into the file.
    """

    def __init__(self, path: Path, *, signed: bool = False) -> None:
        self.path = path
        self.signed = signed
        self._fd = -1

    def acquire(self, wait: float = 0, stopped: Callable[[], bool] | None = None) -> bool:
        """Acquire the lock, and return whether that succeeded.

        Gives up after `wait` seconds, or earlier when `stopped` returns true.
        """
        # O_NOFOLLOW: the file may be truncated below, so a link planted in its place must not be followed.
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        deadline = time.monotonic() + wait
        while not _try_lock(fd):
            if time.monotonic() >= deadline or (stopped and stopped()):
                os.close(fd)
                return False
            time.sleep(POLL_SECONDS)
        if self.signed:
            os.ftruncate(fd, 0)
            os.pwrite(fd, str(os.getpid()).encode(), 0)
        self._fd = fd
        return True

    def fileno(self) -> int:
        """Return the descriptor. A process that inherits it holds the lock until it ends."""
        return self._fd

    def release(self) -> None:
        """Release the lock. Do nothing if it is not held."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@contextmanager
def hold_lock(
    path: Path, wait: float, *, signed: bool = False, stopped: Callable[[], bool] | None = None
) -> Iterator[FileLock]:
    """Hold the lock on a file for the duration of the context.

    Raises:
        TimeoutError: another process held the lock for `wait` seconds, or until `stopped` returned true.
    """
    lock = FileLock(path, signed=signed)
    if not lock.acquire(wait, stopped):
        raise TimeoutError(path)
    try:
        yield lock
    finally:
        lock.release()


def holder_pid(path: Path) -> int | None:
    """Return the pid of the process that holds a lock.

    The pid is 0 when the lock is not signed, and None when nobody holds the lock.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        if _try_lock(fd):
            return None
        with suppress(ValueError):
            return int(os.pread(fd, 20, 0))
        return 0
    finally:
        os.close(fd)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
