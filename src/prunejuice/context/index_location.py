"""The location of the index: the git directory, or the user's state directory."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from prunejuice.context.index import VERSION
from prunejuice.system import settings
from prunejuice.system.private import make_private_folder
from prunejuice.worktrees import git as gits
from prunejuice.worktrees.git import Git


def locate_index(directory: Path, environ: Mapping[str, str]) -> tuple[Git, Path | None]:
    """Return the git handle for a directory and the path of its index; None to keep the index in memory.

    The index is in the repository's common git directory, so that all worktrees share it. Outside of a
    repository, or if the git directory is read-only, it is in the user's state directory.

    Raises:
        UsageError: the directory is in a bare repository.
    """
    name = f"context/index-{VERSION}.db"
    if gits.may_be_in_repository(directory):
        git = gits.open_git(directory, dict(environ)).locate()
        path = Path(git.common) / "prunejuice" / name
        key = git.common
    else:
        root = directory.resolve()
        if (root / "HEAD").is_file() and (root / "objects").is_dir():
            gits.open_git(root, dict(environ)).locate()  # raises UsageError for a bare repository
        git = gits.open_git_outside_repository(root, dict(environ))
        key, path = str(root), Path()
    if path == Path() or not _is_writable(path):
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:24]
        path = settings.state_directory(environ) / "trees" / digest / name
    return git, path if _is_writable(path) else None


def _is_writable(path: Path) -> bool:
    """Return whether a file and its siblings can be written: SQLite keeps two files beside it."""
    try:
        make_private_folder(path.parent)
        path.touch()
    except OSError:
        return False
    return os.access(path, os.R_OK | os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK)
