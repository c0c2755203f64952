"""Every call by which a change set changes a disk. Tests let each of them fail, be the last, or be lost.

Names are relative to open folders, so that no path is looked up twice. What only some systems have,
exchanging two names in one step, has a way around it in `Portable`, which promises less: between its
steps both names are the old file, and a file that is saved by renaming in that moment is found out but
not prevented.
"""

import ctypes
import errno
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Protocol

_EXCLUSIVE = {"linux": 1, "darwin": 4}
_EXCHANGE = 2  # on both
_UNKNOWN = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
ASIDE = ".aside"


class Names(Protocol):
    """The two renames that never destroy anything; each end is a folder's descriptor and a name in it."""

    def move(self, folder: int, name: str, to: int, new: str) -> None:
        """Rename a file; FileExistsError when the new name is taken."""
        ...

    def swap(self, folder: int, name: str, to: int, other: str) -> None:
        """Exchange two files."""
        ...


class Disk:
    """The calls on a real disk."""

    def __init__(self, names: Names | None = None) -> None:
        self.names = names or _names()

    def make(self, folder: int, name: str, data: bytes, mode: int) -> None:
        """Write a new file."""
        fd = os.open(
            name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder
        )
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            os.fchmod(fd, mode)
        finally:
            os.close(fd)

    def link(self, folder: int, name: str, target: str) -> None:
        """Make a symbolic link."""
        os.symlink(target, name, dir_fd=folder)

    def make_folder(self, folder: int, name: str, mode: int = 0o777) -> None:
        """Make a folder."""
        os.mkdir(name, mode, dir_fd=folder)

    def move(self, folder: int, name: str, to: int, new: str) -> None:
        """Rename a file to a name that is free."""
        self.names.move(folder, name, to, new)

    def swap(self, folder: int, name: str, to: int, other: str) -> None:
        """Exchange two files."""
        self.names.swap(folder, name, to, other)

    def replace(self, folder: int, name: str, new: str) -> None:
        """Rename a file of ours over another of ours."""
        os.replace(name, new, src_dir_fd=folder, dst_dir_fd=folder)

    def remove(self, folder: int, name: str) -> None:
        """Remove a file of ours."""
        os.unlink(name, dir_fd=folder)

    def remove_folder(self, folder: int, name: str) -> None:
        """Remove an empty folder."""
        os.rmdir(name, dir_fd=folder)

    def sync(self, fd: int) -> None:
        """Wait until a file or folder is on the disk."""
        if sys.platform == "darwin":
            import fcntl  # noqa: PLC0415 - the name that is needed is only there

            with suppress(OSError):
                fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
                return
        os.fsync(fd)

    def sync_all(self, fd: int) -> bool:
        """Wait until everything of the file system is on the disk; whether that can be asked for."""
        call = getattr(_libc(), "syncfs", None) if sys.platform == "linux" else None
        if call is None:
            return False
        if call(fd):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return True


class Native:
    """The renames that Linux and macOS have a call for; the portable ones where a disk does not know it."""

    def __init__(self, call: Callable[..., int], exclusive: int) -> None:
        self._call = call
        self._exclusive = exclusive
        self._other = Portable()

    def move(self, folder: int, name: str, to: int, new: str) -> None:
        """Rename a file; FileExistsError when the new name is taken."""
        if not self._done(folder, name, to, new, self._exclusive):
            self._other.move(folder, name, to, new)

    def swap(self, folder: int, name: str, to: int, other: str) -> None:
        """Exchange two files."""
        if not self._done(folder, name, to, other, _EXCHANGE):
            self._other.swap(folder, name, to, other)

    def _done(self, folder: int, name: str, to: int, new: str, flag: int) -> bool:
        if self._call(folder, os.fsencode(name), to, os.fsencode(new), flag) == 0:
            return True
        number = ctypes.get_errno()
        if number in _UNKNOWN:
            return False
        raise OSError(number, os.strerror(number), name, None, new)


class Portable:
    """The same renames by hard links, for every system and file system that has those."""

    def move(self, folder: int, name: str, to: int, new: str) -> None:
        """Rename a file; FileExistsError when the new name is taken."""
        os.link(name, new, src_dir_fd=folder, dst_dir_fd=to, follow_symlinks=False)
        os.unlink(name, dir_fd=folder)

    def swap(self, folder: int, name: str, to: int, other: str) -> None:
        """Exchange two files; when it is cut off, `settle` says which of the names is which."""
        aside = name + ASIDE
        os.link(other, aside, src_dir_fd=to, dst_dir_fd=folder, follow_symlinks=False)
        kept = os.stat(aside, dir_fd=folder, follow_symlinks=False)
        now = os.stat(other, dir_fd=to, follow_symlinks=False)
        if (kept.st_dev, kept.st_ino) != (now.st_dev, now.st_ino):
            os.unlink(aside, dir_fd=folder)
            raise InterruptedError(errno.EINTR, "it changed just now", other)
        os.replace(name, other, src_dir_fd=folder, dst_dir_fd=to)
        os.replace(aside, name, src_dir_fd=folder, dst_dir_fd=folder)


def settle(folder: int, name: str) -> None:
    """Finish a portable exchange that was cut off: what was put aside is the old file."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        with suppress(FileNotFoundError):
            os.replace(name + ASIDE, name, src_dir_fd=folder, dst_dir_fd=folder)
        return
    with suppress(FileNotFoundError):
        os.unlink(name + ASIDE, dir_fd=folder)


def settle_move(folder: int, name: str, to: int, new: str) -> None:
    """Finish a portable rename that was cut off: where one file has both names, it keeps the second."""
    with suppress(FileNotFoundError):
        ours = os.stat(name, dir_fd=folder, follow_symlinks=False)
        theirs = os.stat(new, dir_fd=to, follow_symlinks=False)
        if (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino):
            os.unlink(name, dir_fd=folder)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _names() -> Names:
    name = {"linux": "renameat2", "darwin": "renameatx_np"}.get(sys.platform, "")
    call = getattr(_libc(), name, None) if name else None
    return Portable() if call is None else Native(call, _EXCLUSIVE[sys.platform])
