"""Copies of the files that a person trusted, by their digests: they show what changed since then."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from difflib import unified_diff
from pathlib import Path

from prunejuice.code.exclude import exclusion_reason
from prunejuice.system.private import make_private_file, make_private_folder
from prunejuice.workflow.project import Project

MAX_COPY_BYTES = 200_000
"""Longer files are compared by their digests alone."""


def keep_copies(home: Path, project: Project, digests: Mapping[str, str]) -> None:
    """Keep a copy of each file that has its digest still, except of files that usually hold secrets."""
    folder = _folder(home)
    for name, digest in digests.items():
        path, copy = project.root / name, folder / digest
        # Without a copy, only the name of the file is shown.
        with suppress(OSError):
            if _may_hold_secrets(name) or copy.exists() or path.stat().st_size > MAX_COPY_BYTES:
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

    A file that cannot be compared has a line that says so. Without trusted files, nothing is yielded.
    """
    for name in sorted(digests.keys() | trusted.keys()) if trusted else ():
        if digests.get(name) == trusted.get(name):
            continue
        if _may_hold_secrets(name):
            yield f"# {name} is not shown, since it may hold secrets"
            continue
        old = _read(_folder(home) / trusted[name], trusted[name]) if name in trusted else ""
        new = _read(project.root / name, digests[name]) if name in digests else ""
        if old is None or new is None or old == new:  # too long, without a copy, or in bytes of no text
            yield f"# {name} changed, and cannot be compared: read the file"
            continue
        sides = (
            (f"a/{name}" if name in trusted else "/dev/null"),
            (f"b/{name}" if name in digests else "/dev/null"),
        )
        # Other characters than \n end a line for Python, but not for the programs that read the file.
        yield from unified_diff(old.split("\n"), new.split("\n"), *sides, lineterm="")


def _may_hold_secrets(name: str) -> bool:
    return exclusion_reason(name) in {"a key", "may hold secrets"}


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
