"""Open files below the root of a tree, one part of the path at a time and without following links.

This module checks what only the disk can answer; `edits.paths` checks what a name alone shows.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from msgspec import Struct

from prunejuice.edits import path_rules
from prunejuice.errors import ConflictError, DeniedError
from prunejuice.text import safe_line

LARGEST = 100_000_000  # bytes
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a named pipe must not wait for a writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# A link opened with O_NOFOLLOW fails with ELOOP on Linux and macOS, with EMLINK on FreeBSD.
_NOT_A_FOLDER = {errno.ENOTDIR, errno.ELOOP, errno.EMLINK}


class FileState(Struct, frozen=True):
    """The state of a path; `digest` is the SHA-256 of the content, or of the target of a link."""

    kind: Literal["absent", "file", "link", "other"] = "absent"
    digest: str = ""
    mode: int = 0


ABSENT = FileState()
OTHER = FileState("other")


class FileSnapshot(NamedTuple):
    """The state of a path, and the bytes found there."""

    state: FileState
    data: bytes = b""


def file_state(data: bytes, mode: int) -> FileState:
    """Return the state of a file with the given content and mode."""
    return FileState("file", hashlib.sha256(data).hexdigest(), mode)


def link_state(target: bytes) -> FileState:
    """Return the state of a symbolic link with the given target."""
    return FileState("link", hashlib.sha256(target).hexdigest())


class OpenTree(NamedTuple):
    """An open tree, which never enters the folders of git, whatever name leads to them.

    `protected_folders` has the device and inode of those folders. `name_cache` has the names in each listed
    folder, by their collision key.
    """

    root: Path
    fd: int
    device: int
    protected_folders: frozenset[tuple[int, int]]
    name_cache: dict[tuple[int, int], dict[str, str]]

    @contextmanager
    def open_parent(self, path: str) -> Iterator[int]:
        """Open the folder that contains a path, and yield its descriptor.

        Raises:
            FileNotFoundError: the folder does not exist.
            DeniedError: a part of the path is a link, belongs to git, or is on another file system.
        """
        fd = os.dup(self.fd)
        try:
            for part in path.split("/")[:-1]:
                inner = self._open_subfolder(fd, part, path)
                os.close(fd)
                fd = inner
            yield fd
        finally:
            os.close(fd)

    def _open_subfolder(self, fd: int, part: str, path: str) -> int:
        try:
            subfolder = os.open(part, _FOLDER, dir_fd=fd)
        except OSError as error:
            if error.errno in _NOT_A_FOLDER:
                message = (
                    f"{safe_line(path, 120)!r} leads through {safe_line(part, 60)!r}, which is not a folder"
                )
                raise DeniedError(message, "use the real path, not one through a link") from error
            raise
        # The identity of the folder decides, as its name may be another spelling or a mount.
        status = os.fstat(subfolder)
        if (status.st_dev, status.st_ino) in self.protected_folders or status.st_dev != self.device:
            os.close(subfolder)
            reason = "belongs to git" if status.st_dev == self.device else "is on another file system"
            raise DeniedError(f"{safe_line(path, 120)!r} {reason}", "name a file inside the tree")
        return subfolder

    def read_path(self, path: str, *, content: bool = True) -> FileSnapshot:
        """Return the state of a path, with its bytes unless `content` is false; a missing path is `ABSENT`.

        Raises:
            DeniedError: the path is neither a file nor a link, or the file is too large.
        """
        try:
            with self.open_parent(path) as folder:
                return read_entry(folder, path.rpartition("/")[2], content=content)
        except FileNotFoundError:
            return FileSnapshot(ABSENT)

    def require_writable(self, path: str) -> str:
        """Return the path if it may be written.

        Raises:
            DeniedError: the path may not be written.
            ConflictError: the disk has a name that differs only in case or accents.
        """
        path_rules.require_valid_path(path)
        *above, last = path.split("/")
        fd = os.dup(self.fd)
        try:
            for depth, part in enumerate(above):
                if depth and path_rules.collision_key(part) in {"objects", "refs"} and _has_head(fd):
                    reason = "would make a git repository of its folder"
                    raise DeniedError(f"{safe_line(path, 120)!r} {reason}", "name another folder")
                self._require_same_spelling(fd, part, path)
                subfolder = self._open_subfolder(fd, part, path)
                os.close(fd)
                fd = subfolder
            self._require_same_spelling(fd, last, path)
        except FileNotFoundError:
            return path  # the rest of the path is new, so nothing can collide with it
        finally:
            os.close(fd)
        return path

    def _require_same_spelling(self, fd: int, part: str, path: str) -> None:
        status = os.fstat(fd)
        # The modification time is part of the key, so a folder that changed is listed again.
        names = self.name_cache.setdefault((status.st_ino, status.st_mtime_ns), {})
        if not names:
            names.update((path_rules.collision_key(name), name) for name in os.listdir(fd))
        existing = names.get(path_rules.collision_key(part), part)
        if existing != part and part not in os.listdir(fd):
            shown = safe_line(existing, 80)
            message = f"{safe_line(path, 120)!r} would be the same file as {shown!r} on some systems"
            raise ConflictError(message, "use the existing spelling", (path,))


def _has_head(fd: int) -> bool:
    return any(path_rules.collision_key(name) == "head" for name in os.listdir(fd))


@contextmanager
def open_tree(root: Path, protected: frozenset[Path] = frozenset()) -> Iterator[OpenTree]:
    """Open a tree; `protected` are the folders, inside or outside it, that belong to git."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        folders = {*protected, root / ".git"}
        statuses = [folder.stat() for folder in folders if folder.is_dir()]
        identities = frozenset((status.st_dev, status.st_ino) for status in statuses)
        yield OpenTree(root, fd, os.fstat(fd).st_dev, identities, {})
    finally:
        os.close(fd)


def read_entry(folder: int, name: str, *, content: bool = True) -> FileSnapshot:
    """Return the state of an entry of an open folder, with its bytes unless `content` is false.

    Raises:
        FileNotFoundError: the entry does not exist.
        DeniedError: the entry is neither a file nor a link, or the file is too large.
    """
    try:
        fd = os.open(name, _FILE, dir_fd=folder)
    except OSError as error:
        if error.errno in _NOT_A_FOLDER:
            target = os.fsencode(os.readlink(name, dir_fd=folder))
            return FileSnapshot(link_state(target), target)
        if error.errno == errno.ENXIO:
            raise _denied_error(name, "a socket, a pipe or a device") from error
        raise
    status = os.fstat(fd)
    if stat.S_ISDIR(status.st_mode):
        os.close(fd)
        raise _denied_error(name, "a folder")
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(status.st_mode):
            raise _denied_error(name, "a pipe or a device")
        if status.st_size > LARGEST:
            raise _denied_error(name, f"larger than {LARGEST // 1_000_000} MB")
        mode = stat.S_IMODE(status.st_mode)
        if not content:
            return FileSnapshot(FileState("file", hashlib.file_digest(file, "sha256").hexdigest(), mode))
        data = file.read()
        return FileSnapshot(file_state(data, mode), data)


def _denied_error(name: str, description: str) -> DeniedError:
    return DeniedError(
        f"{safe_line(name, 120)!r} is {description}",
        f"change only regular files of up to {LARGEST // 1_000_000} MB",
    )
