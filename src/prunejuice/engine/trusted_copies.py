"""Copies of the files that a person trusted, by their digests: they show what changed since then."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from difflib import unified_diff
from pathlib import Path

from prunejuice.system.private import make_private_file, make_private_folder
from prunejuice.workflow.project import Project

MAX_COPY_BYTES = 200_000
"""Longer files are compared by their digests alone."""


def keep_copies(home: Path, project: Project, digests: Mapping[str, str]) -> None:
    """Keep a copy of each file that has its digest still. `.env`, which may hold secrets, is not copied."""
    folder = _folder(home)
    for name, digest in digests.items():
        path, copy = project.root / name, folder / digest
        # Without a copy, only the name of the file is shown.
        with suppress(OSError):
            if path == project.dotenv or copy.exists() or path.stat().st_size > MAX_COPY_BYTES:
                continue
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() == digest:
                make_private_folder(folder)
                make_private_file(copy)
                copy.write_bytes(content)


def diff_lines(
    home: Path, project: Project, digests: Mapping[str, str], trusted: Mapping[str, str]
) -> Iterator[str]:
    """Yield, as lines of a patch, how the files of a project differ from those that were trusted.

    Files without a copy are left out, and so is everything if nothing was trusted before.
    """
    for name in sorted(digests.keys() | trusted.keys()) if trusted else ():
        if digests.get(name) == trusted.get(name) or project.root / name == project.dotenv:
            continue
        old = _read(_folder(home) / trusted[name], trusted[name]) if name in trusted else ""
        new = _read(project.root / name, digests[name]) if name in digests else ""
        if old is not None and new is not None:
            sides = (
                (f"a/{name}" if name in trusted else "/dev/null"),
                (f"b/{name}" if name in digests else "/dev/null"),
            )
            yield from unified_diff(old.splitlines(), new.splitlines(), *sides, lineterm="")


def _folder(home: Path) -> Path:
    return home / "trusted"


def _read(path: Path, digest: str) -> str | None:
    """Return the text of a file, or None if it is too long or does not have the digest."""
    with suppress(OSError):
        if path.stat().st_size <= MAX_COPY_BYTES:
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() == digest:
                return content.decode("utf-8", "backslashreplace")
    return None
