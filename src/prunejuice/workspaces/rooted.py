"""Files below the root of a tree and nothing else: a path is opened part by part, no link is followed.

This is the part of the rule for paths that the disk must answer; the part that can be read from a name is
in `pathname`.
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

from prunejuice import pathname
from prunejuice.errors import ConflictError, DeniedError
from prunejuice.text import safe_line

LARGEST = 100_000_000
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NONE = {errno.ENOENT}
_NO_FOLDER = {errno.ENOTDIR, errno.ELOOP, errno.EMLINK}


class State(Struct, frozen=True):
    """What is at a path: `digest` is the SHA-256 of the content or of where a link leads."""

    kind: Literal["absent", "file", "link", "other"] = "absent"
    digest: str = ""
    mode: int = 0


ABSENT = State()
OTHER = State("other")


class Seen(NamedTuple):
    """What was at a path, and the bytes of it."""

    state: State
    data: bytes = b""


def state_of(data: bytes, mode: int) -> State:
    """The state of a file with some content."""
    return State("file", hashlib.sha256(data).hexdigest(), mode)


def state_of_link(target: bytes) -> State:
    """The state of a link that leads somewhere."""
    return State("link", hashlib.sha256(target).hexdigest())


class Rooted(NamedTuple):
    """An open tree; nothing may be written in the folders of `closed`, those of git, by any name.

    `names` are those in folders that were listed, under what they have in common with others.
    """

    root: Path
    fd: int
    device: int
    closed: frozenset[tuple[int, int]]
    names: dict[tuple[int, int], dict[str, str]]

    @contextmanager
    def folder(self, path: str) -> Iterator[int]:
        """The descriptor of the folder that a path is in.

        Raises:
            FileNotFoundError: it is not there.
            DeniedError: a part of the path is a link, belongs to git, or lies on another disk.
        """
        fd = os.dup(self.fd)
        try:
            for part in path.split("/")[:-1]:
                inner = self._inner(fd, part, path)
                os.close(fd)
                fd = inner
            yield fd
        finally:
            os.close(fd)

    def _inner(self, fd: int, part: str, path: str) -> int:
        try:
            inner = os.open(part, _FOLDER, dir_fd=fd)
        except OSError as error:
            if error.errno in _NO_FOLDER:
                what = f"{safe_line(path, 120)!r} leads through {safe_line(part, 60)!r}, which is no folder"
                raise DeniedError(what, "name the place itself, not a link to it") from error
            raise
        seen = os.fstat(inner)
        if (seen.st_dev, seen.st_ino) in self.closed or seen.st_dev != self.device:
            os.close(inner)
            why = "belongs to git" if seen.st_dev == self.device else "lies on another file system"
            raise DeniedError(f"{safe_line(path, 120)!r} {why}", "name a file of the tree")
        return inner

    def see(self, path: str, *, content: bool = True) -> Seen:
        """What is at a path now; `content` says whether its bytes are wanted too.

        Raises:
            DeniedError: it is neither a file nor a link nor nothing, or too large.
        """
        try:
            with self.folder(path) as folder:
                return look(folder, path.rpartition("/")[2], content=content)
        except FileNotFoundError:
            return Seen(ABSENT)

    def checked(self, path: str) -> str:
        """A path that may be written, with its names spelled as the disk has them.

        Raises:
            DeniedError: it may not.
            ConflictError: the disk has a name that is the same but for case or accents.
        """
        pathname.checked(path)
        *above, last = path.split("/")
        fd = os.dup(self.fd)
        try:
            for part in above:
                self._spelled(fd, part, path)
                inner = self._inner(fd, part, path)
                os.close(fd)
                fd = inner
            self._spelled(fd, last, path)
        except FileNotFoundError:
            return path
        finally:
            os.close(fd)
        return path

    def _spelled(self, fd: int, part: str, path: str) -> None:
        seen = os.fstat(fd)
        names = self.names.setdefault((seen.st_ino, seen.st_mtime_ns), {})
        if not names:
            names.update((pathname.same(name), name) for name in os.listdir(fd))
        other = names.get(pathname.same(part), part)
        if other != part and part not in os.listdir(fd):
            known = safe_line(other, 80)
            what = f"{safe_line(path, 120)!r} would be the same file as {known!r} on some systems"
            raise ConflictError(what, "write the name as it is there", (path,))


@contextmanager
def opened(root: Path, closed: frozenset[Path] = frozenset()) -> Iterator[Rooted]:
    """A tree, open; `closed` are folders inside or outside it that belong to git."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        places = {*closed, root / ".git"}
        known = [place.stat() for place in places if place.is_dir()]
        identities = frozenset((each.st_dev, each.st_ino) for each in known)
        yield Rooted(root, fd, os.fstat(fd).st_dev, identities, {})
    finally:
        os.close(fd)


def look(folder: int, name: str, *, content: bool = True) -> Seen:
    """What a name in an open folder is.

    Raises:
        FileNotFoundError: there is nothing.
        DeniedError: it is neither a file nor a link, or too large.
    """
    try:
        fd = os.open(name, _FILE, dir_fd=folder)
    except OSError as error:
        if error.errno in _NO_FOLDER:
            target = os.fsencode(os.readlink(name, dir_fd=folder))
            return Seen(state_of_link(target), target)
        if error.errno == errno.ENXIO:
            raise _refused(name, "a socket, a pipe or a device") from error
        raise
    seen = os.fstat(fd)
    if stat.S_ISDIR(seen.st_mode):
        os.close(fd)
        raise _refused(name, "a folder")
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(seen.st_mode):
            raise _refused(name, "a pipe or a device")
        if seen.st_size > LARGEST:
            raise _refused(name, f"larger than {LARGEST // 1_000_000} MB")
        mode = stat.S_IMODE(seen.st_mode)
        if not content:
            return Seen(State("file", hashlib.file_digest(file, "sha256").hexdigest(), mode))
        data = file.read()
        return Seen(state_of(data, mode), data)


def _refused(name: str, what: str) -> DeniedError:
    return DeniedError(f"{safe_line(name, 120)!r} is {what}", "a change can have files of text only")
