"""A project: a directory with `.prj`, where its files are, and how it is found."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from prunejuice.errors import DeniedError, UsageError

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


def here() -> Path:
    """The current directory.

    Raises:
        UsageError: it is gone, or its name is not UTF-8.
    """
    try:
        place = Path.cwd()
    except FileNotFoundError as error:
        raise UsageError("the current directory is gone", "cd to one that is there") from error
    try:
        str(place).encode()
    except UnicodeEncodeError as error:
        raise UsageError("the name of the current directory is not UTF-8", "rename it") from error
    return place


def find(start: Path) -> Project:
    """The project around a directory: the nearest `.prj` upwards, not beyond the repository."""
    start = start.absolute()
    for place in (start, *start.parents):
        if (place / ".prj").is_dir() or (place / ".git").exists():
            return Project(place)
    return Project(start)


def fingerprint(project: Project) -> dict[str, str]:
    """The digest of every file under `.prj`, by path.

    Raises:
        DeniedError: something there is a link, so that what it stands for could change unseen.
        UsageError: there is more than anybody could have looked through.
    """
    found: dict[str, str] = {}
    size = 0
    for path in _files(project.prj):
        size += path.stat().st_size
        if len(found) >= MAX_FILES or size > MAX_BYTES:
            raise UsageError(
                f"{project.prj} has more than {MAX_FILES} files or {MAX_BYTES >> 20} MiB",
                "keep what runs write out of it",
            )
        found[str(path.relative_to(project.root))] = digest(path)
    return found


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for entry in sorted(_entries(folder)):
        if entry.is_dir():
            yield from _files(entry)
        elif entry.is_file():
            yield entry


def _entries(folder: Path) -> list[Path]:
    entries = list(folder.iterdir()) if folder.is_dir() else []
    for path in (folder, *entries):
        if path.is_symlink():
            raise DeniedError(f"{path} is a link", "put the file or folder itself into .prj")
    return entries
