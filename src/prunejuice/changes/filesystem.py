"""The system calls through which a change set modifies the disk; tests make each of them fail or stop.

Names are relative to open folders, so no path is resolved twice. `PortableRenames` stands in where the
system cannot exchange two names in one step. It guarantees less: between its steps both names hold the
old file, and a file that another program saves by renaming at that moment is detected, not prevented.
"""

import ctypes
import errno
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Protocol

_EXCLUSIVE = {"linux": 1, "darwin": 4}  # RENAME_NOREPLACE, RENAME_EXCL
_EXCHANGE = 2  # RENAME_EXCHANGE on Linux, RENAME_SWAP on macOS
_UNSUPPORTED_ERRNOS = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
ASIDE_SUFFIX = ".aside"


class RenameCalls(Protocol):
    """Renames that never overwrite a file; each end is the descriptor of a folder and a name in it."""

    def move(self, folder: int, name: str, to: int, new: str) -> None:
        """Rename a file; raise FileExistsError if the new name exists."""
        ...

    def swap(self, folder: int, name: str, to: int, other: str) -> None:
        """Exchange two files."""
        ...


class Disk:
    """The calls on a real disk."""

    def __init__(self, names: RenameCalls | None = None) -> None:
        self.names = names or _platform_renames()

    def write_file(self, folder: int, name: str, data: bytes, mode: int) -> None:
        """Create a file with the given content and mode."""
        fd = os.open(
            name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder
        )
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            os.fchmod(fd, mode)  # unlike the mode given to open, it is not limited by the umask
        finally:
            os.close(fd)

    def create_link(self, folder: int, name: str, target: str) -> None:
        """Create a symbolic link."""
        os.symlink(target, name, dir_fd=folder)

    def make_folder(self, folder: int, name: str, mode: int = 0o777) -> None:
        """Create a folder."""
        os.mkdir(name, mode, dir_fd=folder)

    def move(self, folder: int, name: str, to: int, new: str) -> None:
        """Rename a file; raise FileExistsError if the new name exists."""
        self.names.move(folder, name, to, new)

    def swap(self, folder: int, name: str, to: int, other: str) -> None:
        """Exchange two files."""
        self.names.swap(folder, name, to, other)

    def replace(self, folder: int, name: str, new: str) -> None:
        """Rename one of our own files over another."""
        os.replace(name, new, src_dir_fd=folder, dst_dir_fd=folder)

    def remove(self, folder: int, name: str) -> None:
        """Remove one of our own files."""
        os.unlink(name, dir_fd=folder)

    def remove_folder(self, folder: int, name: str) -> None:
        """Remove an empty folder."""
        os.rmdir(name, dir_fd=folder)

    def sync(self, fd: int) -> None:
        """Wait until a file or folder is on the disk."""
        if sys.platform == "darwin":
            import fcntl  # noqa: PLC0415 - F_FULLFSYNC exists only on macOS

            # fsync does not flush the cache of the drive on macOS.
            with suppress(OSError):
                fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
                return
        os.fsync(fd)

    def sync_all(self, fd: int) -> bool:
        """Flush the whole file system; return False where the system cannot do that."""
        call = getattr(_libc(), "syncfs", None) if sys.platform == "linux" else None
        if call is None:
            return False
        if call(fd):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return True


class NativeRenames:
    """Renames by the calls of Linux and macOS, or by `PortableRenames` where a disk lacks them."""

    def __init__(self, call: Callable[..., int], exclusive: int) -> None:
        self._call = call
        self._exclusive = exclusive
        self._fallback = PortableRenames()

    def move(self, folder: int, name: str, to: int, new: str) -> None:
        """Rename a file; raise FileExistsError if the new name exists."""
        if not self._try_call(folder, name, to, new, self._exclusive):
            self._fallback.move(folder, name, to, new)

    def swap(self, folder: int, name: str, to: int, other: str) -> None:
        """Exchange two files."""
        if not self._try_call(folder, name, to, other, _EXCHANGE):
            self._fallback.swap(folder, name, to, other)

    def _try_call(self, folder: int, name: str, to: int, new: str, flag: int) -> bool:
        if self._call(folder, os.fsencode(name), to, os.fsencode(new), flag) == 0:
            return True
        number = ctypes.get_errno()
        if number in _UNSUPPORTED_ERRNOS:
            return False
        raise OSError(number, os.strerror(number), name, None, new)


class PortableRenames:
    """Renames by hard links, for any system and file system that has them."""

    def move(self, folder: int, name: str, to: int, new: str) -> None:
        """Rename a file; raise FileExistsError if the new name exists."""
        os.link(name, new, src_dir_fd=folder, dst_dir_fd=to, follow_symlinks=False)
        os.unlink(name, dir_fd=folder)

    def swap(self, folder: int, name: str, to: int, other: str) -> None:
        """Exchange two files; `finish_swap` completes an exchange that was interrupted."""
        aside = name + ASIDE_SUFFIX
        os.link(other, aside, src_dir_fd=to, dst_dir_fd=folder, follow_symlinks=False)
        aside_status = os.stat(aside, dir_fd=folder, follow_symlinks=False)
        current_status = os.stat(other, dir_fd=to, follow_symlinks=False)
        # Another program replaced the file between the two calls: leave its version alone.
        if (aside_status.st_dev, aside_status.st_ino) != (current_status.st_dev, current_status.st_ino):
            os.unlink(aside, dir_fd=folder)
            raise InterruptedError(errno.EINTR, "changed during the exchange", other)
        os.replace(name, other, src_dir_fd=folder, dst_dir_fd=to)
        os.replace(aside, name, src_dir_fd=folder, dst_dir_fd=folder)


def finish_swap(folder: int, name: str) -> None:
    """Finish a portable exchange that was interrupted: the name put aside holds the old file."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        with suppress(FileNotFoundError):
            os.replace(name + ASIDE_SUFFIX, name, src_dir_fd=folder, dst_dir_fd=folder)
        return
    with suppress(FileNotFoundError):
        os.unlink(name + ASIDE_SUFFIX, dir_fd=folder)


def finish_move(folder: int, name: str, to: int, new: str) -> None:
    """Finish a portable rename that was interrupted: a file with both names keeps the new one."""
    with suppress(FileNotFoundError):
        old_status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        new_status = os.stat(new, dir_fd=to, follow_symlinks=False)
        if (old_status.st_dev, old_status.st_ino) == (new_status.st_dev, new_status.st_ino):
            os.unlink(name, dir_fd=folder)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)  # None: the C library that is loaded already


def _platform_renames() -> RenameCalls:
    name = {"linux": "renameat2", "darwin": "renameatx_np"}.get(sys.platform, "")
    call = getattr(_libc(), name, None) if name else None
    return PortableRenames() if call is None else NativeRenames(call, _EXCLUSIVE[sys.platform])
