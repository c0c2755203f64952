"""Projects: finding the directory with `.prj`, its files, and their fingerprint."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from prunejuice.errors import DeniedError, UsageError

FOLDERS = ("commands", "steps", "configs")
MAX_FILES = 2000
MAX_BYTES = 16 * 1024 * 1024


class Project(NamedTuple):
    """A project. `root` contains `.prj`, or is the top of the repository, or the current directory."""

    root: Path

    @property
    def prj(self) -> Path:
        """Return the folder of the project's definitions."""
        return self.root / ".prj"

    @property
    def commands(self) -> Path:
        """Return the folder of command files, one YAML file per command."""
        return self.prj / "commands"

    @property
    def steps(self) -> Path:
        """Return the folder of step files, one script per step."""
        return self.prj / "steps"

    @property
    def config(self) -> Path:
        """Return the path of the project's settings."""
        return self.prj / "config.yaml"

    @property
    def dotenv(self) -> Path:
        """Return the path of the project's variables for steps."""
        return self.root / ".env"


def current_directory() -> Path:
    """Return the current directory.

    Raises:
        UsageError: the directory no longer exists, or its path is not valid UTF-8.
    """
    try:
        directory = Path.cwd()
    except FileNotFoundError as error:
        raise UsageError("the current directory no longer exists", "change to another directory") from error
    try:
        str(directory).encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            "the path of the current directory is not valid UTF-8", "rename the directory"
        ) from error
    return directory


def find_project(start: Path) -> Project:
    """Return the project of a directory: the nearest parent with `.prj` or `.git`, or the directory."""
    start = start.absolute()
    for directory in (start, *start.parents):
        # In a worktree, `.git` is a file.
        if (directory / ".prj").is_dir() or (directory / ".git").exists():
            return Project(directory)
    return Project(start)


def fingerprint(project: Project) -> dict[str, str]:
    """Return the SHA-256 of `.env` and of every file under `.prj`, by its path relative to the project.

    Raises:
        DeniedError: a file or folder is a symbolic link, whose target could change unnoticed, or a folder
            has compiled files, which nobody can review.
        UsageError: there are more than `MAX_FILES` files or `MAX_BYTES` bytes, too many to review.
    """
    digests: dict[str, str] = {}
    size = 0
    for path in (*_walk_files(project.prj), *_find_dotenv(project)):
        size += path.stat().st_size
        if len(digests) >= MAX_FILES or size > MAX_BYTES:
            raise UsageError(
                f"{project.prj} has more than {MAX_FILES} files or {MAX_BYTES >> 20} MiB",
                "move files that runs write to another folder",
            )
        digests[str(path.relative_to(project.root))] = file_digest(path)
    return digests


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _find_dotenv(project: Project) -> list[Path]:
    return [project.dotenv] if project.dotenv.is_file() and not project.dotenv.is_symlink() else []


def _walk_files(folder: Path) -> Iterator[Path]:
    for entry in sorted(_list_folder(folder)):
        if entry.is_dir():
            yield from _walk_files(entry)
        elif entry.is_file():
            yield entry


def _list_folder(folder: Path) -> list[Path]:
    entries = list(folder.iterdir()) if folder.is_dir() else []
    for path in (folder, *entries):
        if path.is_symlink():
            raise DeniedError(f"{path} is a symbolic link", "replace it with the file or folder itself")
        if path.name == "__pycache__" or path.suffix in {".pyc", ".pyo"}:
            raise DeniedError(f"{path} is compiled and cannot be reviewed", f"delete it: rm -r {path}")
    return entries
