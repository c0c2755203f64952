"""Locks that the kernel frees when their holder dies, however it dies."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

POLL = 0.005


class FileLock:
    """An exclusive lock on a file that is made when it is missing; `signed` keeps the holder's pid."""

    def __init__(self, path: Path, *, signed: bool = False) -> None:
        self.path = path
        self.signed = signed
        self._fd = -1

    def take(self, wait: float = 0, stopped: Callable[[], bool] | None = None) -> bool:
        """Whether the lock was had within `wait` seconds, and before `stopped`."""
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        deadline = time.monotonic() + wait
        while not _locked(fd):
            if time.monotonic() >= deadline or (stopped and stopped()):
                os.close(fd)
                return False
            time.sleep(POLL)
        if self.signed:
            os.ftruncate(fd, 0)
            os.pwrite(fd, str(os.getpid()).encode(), 0)
        self._fd = fd
        return True

    def fileno(self) -> int:
        """The descriptor; a process that inherits it holds the lock too, until it ends."""
        return self._fd

    def free(self) -> None:
        """Let go; nothing when it is not held."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@contextmanager
def locked(
    path: Path, wait: float, *, signed: bool = False, stopped: Callable[[], bool] | None = None
) -> Iterator[FileLock]:
    """Hold the lock of a file.

    Raises:
        TimeoutError: another process held it for longer than `wait` seconds, or until `stopped`.
    """
    lock = FileLock(path, signed=signed)
    if not lock.take(wait, stopped):
        raise TimeoutError(path)
    try:
        yield lock
    finally:
        lock.free()


def holder(path: Path) -> int | None:
    """The pid of the process that holds a signed lock (0 for another); None when nobody does."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        if _locked(fd):
            return None
        with suppress(ValueError):
            return int(os.pread(fd, 20, 0))
        return 0
    finally:
        os.close(fd)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
