"""Give a new worktree the settings and sparse patterns of the one it is created from, as git does."""

import os
import shutil
from pathlib import Path

from prunejuice.worktrees.clean_git_dir import SPARSE_PATTERNS
from prunejuice.worktrees.git import WORKTREE_CONFIG, Git


def copy_settings(source: Git, git_dir: Path) -> None:
    """Copy the sparse patterns and the settings of one worktree into the git directory of another.

    Raises:
        OSError: a file could not be written.
    """
    patterns = Path(source.git_dir) / SPARSE_PATTERNS
    if patterns.is_file() and _is_on(source, "core.sparseCheckout"):
        (git_dir / SPARSE_PATTERNS).parent.mkdir()
        shutil.copyfile(patterns, git_dir / SPARSE_PATTERNS)
    own, common = Path(source.git_dir) / WORKTREE_CONFIG, Path(source.common) / "config"
    is_bare = _is_on(source, "core.bare", common)
    if not (own.is_file() or is_bare) or not _is_on(source, "extensions.worktreeConfig"):
        return
    if own.is_file():
        shutil.copyfile(own, git_dir / WORKTREE_CONFIG)
        _drop_settings_of_place(source, git_dir / WORKTREE_CONFIG)
    if is_bare:  # with this extension, git takes every worktree of a bare repository for bare
        source.run("config", "--file", str(git_dir / WORKTREE_CONFIG), "core.bare", "false")


def _drop_settings_of_place(source: Git, config: Path) -> None:
    """Remove what is true of the other worktree only: that it is bare, and where its files are."""
    if _is_on(source, "core.bare", config):
        source.try_run("config", "--file", str(config), "--unset-all", "core.bare")
    source.try_run("config", "--file", str(config), "--unset-all", "core.worktree")


def _is_on(git: Git, name: str, file: Path | None = None) -> bool:
    where = ("--file", os.fspath(file)) if file else ()
    return git.try_run("config", *where, "--type=bool", "--get", name).stdout.strip() == b"true"
