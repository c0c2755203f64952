"""Locate the stored changes of a tree: in its git directory, or else in the user's state directory."""

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from prunejuice.changes.filesystem import Disk
from prunejuice.system import settings
from prunejuice.system.private import make_private_folder
from prunejuice.worktrees import git as gits
from prunejuice.worktrees import hidden_files, oplog
from prunejuice.worktrees.git import Git


class TreeState(NamedTuple):
    """A tree, the folder that stores its changes, and the lock file that guards both.

    `git_folders` belong to git and are never written to; `key` signs the stored files. `is_hidden` says
    whether a sparse checkout leaves out a path.
    """

    root: Path
    state_dir: Path
    lock_path: Path
    key: bytes
    git_folders: frozenset[Path] = frozenset()
    disk: Disk = Disk()
    is_hidden: Callable[[str], bool] = lambda _path: False

    @property
    def pending_dir(self) -> Path:
        """The folder of the change sets, pending or applied."""
        return self.state_dir.with_name("pending")

    @property
    def git_dir(self) -> Path | None:
        """The git directory of the tree, if it is one of git."""
        return self.state_dir.parents[1] if self.git_folders else None


def find_tree_state(directory: Path, environ: Mapping[str, str]) -> TreeState:
    """Return the state of the working tree that contains a folder, or of the folder itself outside git.

    Raises:
        UsageError: the folder is in a bare repository.
    """
    if gits.may_be_in_repository(directory):
        return worktree_state(gits.open_git(str(directory), dict(environ)).locate())
    key = oplog.load_key(environ)
    root = directory.resolve()
    name = hashlib.sha256(str(root).encode("utf-8", "surrogateescape")).hexdigest()[:24]
    folder = settings.state_directory(environ) / "trees" / name
    make_private_folder(folder)
    return TreeState(root, folder / "changes", folder / "lock", key)


def worktree_state(git: Git) -> TreeState:
    """Return the state of a worktree: each has its own changes."""
    git_dir = Path(git.git_dir)
    git_folders = frozenset({git_dir, Path(git.common)})
    state_dir, lock_path = git_dir / "prunejuice/changes", git_dir / "prunejuice.exact.lock"
    key, is_hidden = oplog.load_key(git.environ), partial(hidden_files.is_hidden, git)
    return TreeState(Path(git.directory), state_dir, lock_path, key, git_folders, is_hidden=is_hidden)
