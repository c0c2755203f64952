"""Read and inspect the files of a tree that nobody vouches for: names and contents may be anything."""

import os
from contextlib import suppress
from pathlib import Path

_MAX_BYTES = 1 << 20


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder; `Path.is_dir` fails where a name is too long."""
    return os.path.isdir(path)  # noqa: PTH112


def is_behind_link(root: Path, path: str) -> bool:
    """Return whether a folder in a path, relative to `root`, is a link: it may lead out of the tree."""
    return any((root / parent).is_symlink() for parent in Path(path).parents)


def read_small_text(path: Path, *, follow_link: bool = False) -> str:
    """Return the text of a file of at most 1 MiB; empty if there is none, or none that can be read.

    A link is not followed unless `follow_link` is true. Bytes that are not UTF-8 are replaced.
    """
    with suppress(OSError):
        if (follow_link or not path.is_symlink()) and path.is_file() and path.stat().st_size <= _MAX_BYTES:
            return path.read_text(encoding="utf-8", errors="replace")
    return ""


def read_bounded(path: Path, limit: int) -> bytes:
    """Return the bytes of a file; none if it is missing, a link, or larger than `limit` bytes."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > limit:
        return b""
    return path.read_bytes()
