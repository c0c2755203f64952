"""A project: a directory with `.prj`, where its files are, and how it is found."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from prunejuice.errors import UsageError

FOLDERS = ("commands", "steps", "configs")
MAX_FILES = 2000
MAX_BYTES = 16 * 1024 * 1024


class Project(NamedTuple):
    """`root` is where `.prj` is, or else the top of the repository, or else where one stands."""

    root: Path

    @property
    def prj(self) -> Path:
        """The project's own definitions."""
        return self.root / ".prj"

    @property
    def commands(self) -> Path:
        """One YAML file for each command."""
        return self.prj / "commands"

    @property
    def steps(self) -> Path:
        """One script for each step."""
        return self.prj / "steps"

    @property
    def config(self) -> Path:
        """The project's settings."""
        return self.prj / "config.yaml"


def find(start: Path) -> Project:
    """The project around a directory: the nearest `.prj` upwards, not beyond the repository."""
    start = start.absolute()
    for place in (start, *start.parents):
        if (place / ".prj").is_dir() or (place / ".git").exists():
            return Project(place)
    return Project(start)


def fingerprint(project: Project) -> dict[str, str]:
    """The digest of every file under `.prj`, by path; links by what they point to.

    Raises:
        UsageError: there is more than anybody could have looked through.
    """
    found: dict[str, str] = {}
    size = 0
    for path in _files(project.prj):
        content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
        size += len(content)
        if len(found) >= MAX_FILES or size > MAX_BYTES:
            raise UsageError(
                f"{project.prj} has more than {MAX_FILES} files or {MAX_BYTES >> 20} MiB",
                "keep what runs write out of it",
            )
        kind = b"link:" if path.is_symlink() else b"file:"
        name = str(path.relative_to(project.root))
        found[name] = hashlib.sha256(kind + content).hexdigest()
    return found


def _files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir() or folder.is_symlink():
        return
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            yield from _files(entry)
        elif entry.is_file() or entry.is_symlink():
            yield entry
