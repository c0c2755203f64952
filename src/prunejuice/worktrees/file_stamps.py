"""Notice, without starting git, that the files of a working tree have not changed.

The stamps are read before git reads the files. If later stamps are equal, every file still has the bytes
that git saw. Two writes within one tick of the file system's clock can leave the same times, so a file that
was written shortly before its stamp was read is compared by its content as well. In doubt there are no
stamps, and git decides.
"""

import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from stat import S_ISLNK
from typing import NamedTuple

TICK_NS = 100_000_000
"""More than one tick of a clock that counts in fractions of a second, in nanoseconds."""
COARSE_TICK_NS = 2_500_000_000
"""The same for file systems that store whole seconds."""
MAX_RECENT_BYTES = 4 << 20
MAX_RECENT_FILES = 200
MAX_FILES = 1000
"""Beyond this number git, which uses several threads, is faster."""

Stamp = tuple[int, int, int, int, int]
"""Modification time and change time in nanoseconds, size, inode and mode of a file."""


class FileStamps(NamedTuple):
    """The stamps of the files of a working tree at one moment, by their path below its top.

    `folders` are the folders that were read; `ignored` folders, which end in "/", were not. `recent` has
    the digests of files that are too new for their stamps alone. `rules` are the stamps of files elsewhere
    that decide which files count.
    """

    folders: frozenset[str]
    ignored: frozenset[str]
    stamps: Mapping[str, Stamp]
    recent: Mapping[str, bytes]
    rules: tuple[Stamp | None, ...]


class _NoStampsError(Exception):
    """The stamps cannot be read, or do not tell whether the files changed."""


def read_file_stamps(top: str, ignored: Iterable[str], rule_files: Iterable[str]) -> FileStamps | None:
    """Return the stamps of the files below `top`, or None if git must look at them each time."""
    return _read_stamps(top, frozenset(ignored), tuple(rule_files), None)


def changed_paths(
    old: FileStamps, top: str, rule_files: Iterable[str]
) -> tuple[FileStamps, set[str]] | None:
    """Return the new stamps and the files that changed since `old`, or None if only git can tell.

    The set has changed, added and removed files, also ignored ones.
    """
    new = _read_stamps(top, old.ignored, tuple(rule_files), old)
    if new is None or new.rules != old.rules:
        return None
    changed = {path for path, stamp in new.stamps.items() if old.stamps.get(path) != stamp}
    changed |= {path for path in old.stamps if path not in new.stamps}
    try:
        return new, changed | {path for path in old.recent if _has_other_content(top, path, old, new)}
    except _NoStampsError:
        return None


def _has_other_content(top: str, path: str, old: FileStamps, new: FileStamps) -> bool:
    """Return whether a recent file differs; a file with another stamp is known to."""
    if path not in new.stamps or new.stamps[path] != old.stamps[path]:
        return True
    digest = new.recent.get(path) or _content_digest(os.path.join(top, path), new.stamps[path])  # noqa: PTH118
    return digest != old.recent[path]


def _read_stamps(
    top: str, ignored: frozenset[str], rule_files: tuple[str, ...], known: FileStamps | None
) -> FileStamps | None:
    """Return the stamps; with `known`, None as well if there is a folder that it does not have."""
    now = time.time_ns()
    folders: set[str] = set()
    stamps: dict[str, Stamp] = {}
    try:
        for folder, found in _walk_folders(top, ignored):
            if known is not None and folder not in known.folders:
                return None
            folders.add(folder)
            stamps |= found
            if len(stamps) > MAX_FILES:
                return None
        recent = _recent_digests(top, stamps, now)
    except (OSError, _NoStampsError):
        return None
    return FileStamps(frozenset(folders), ignored, stamps, recent, tuple(map(file_stamp, rule_files)))


def _walk_folders(top: str, ignored: frozenset[str]) -> Iterator[tuple[str, dict[str, Stamp]]]:
    """Yield each folder, "" for the top and others with "/" at the end, with the stamps of its files."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        stamps = {}
        with os.scandir(os.path.join(top, folder)) as entries:  # noqa: PTH118 - names may be any bytes
            for entry in entries:
                path = folder + entry.name
                if entry.name == ".git":
                    if folder:  # a repository in the repository, which may be a submodule
                        raise _NoStampsError
                elif entry.is_dir(follow_symlinks=False):
                    waiting += [f"{path}/"] if f"{path}/" not in ignored else []
                else:
                    stamps[path] = _to_stamp(entry.stat(follow_symlinks=False))
        yield folder, stamps


def _to_stamp(status: os.stat_result) -> Stamp:
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_mode


def file_stamp(path: str) -> Stamp | None:
    """Return the stamp of a file, or None if there is none. Links are followed."""
    with suppress(OSError):
        return _to_stamp(os.stat(path))  # noqa: PTH116 - five times as fast as Path.stat
    return None


def _recent_digests(top: str, stamps: Mapping[str, Stamp], now: int) -> dict[str, bytes]:
    """Return the digests of the files that were written within a tick before `now`, or after it."""
    recent = {path: stamp for path, stamp in stamps.items() if _is_recent(stamp, now)}
    if len(recent) > MAX_RECENT_FILES or sum(stamp[2] for stamp in recent.values()) > MAX_RECENT_BYTES:
        raise _NoStampsError
    return {
        path: _content_digest(os.path.join(top, path), stamp)  # noqa: PTH118
        for path, stamp in recent.items()
    }


def _is_recent(stamp: Stamp, now: int) -> bool:
    tick = COARSE_TICK_NS if stamp[0] % 1_000_000_000 == 0 or stamp[1] % 1_000_000_000 == 0 else TICK_NS
    return max(stamp[0], stamp[1]) > now - tick


def _content_digest(path: str, stamp: Stamp) -> bytes:
    """Return a digest of the bytes of a file or of the target of a link.

    Raises:
        _NoStampsError: it cannot be read, or is neither a file nor a link.
    """
    try:
        if S_ISLNK(stamp[4]):
            return hashlib.blake2b(os.fsencode(os.readlink(path))).digest()  # noqa: PTH115
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            return hashlib.blake2b(file.read(MAX_RECENT_BYTES + 1)).digest()
    except OSError as error:
        raise _NoStampsError from error
