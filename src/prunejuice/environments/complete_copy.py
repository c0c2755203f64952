"""Complete a copy of a tree where no overlay can be had: ignored files, a git directory of its own."""

import os
import shutil
from pathlib import Path

from prunejuice.environments import installed_packages
from prunejuice.worktrees.clone_file import clone_with_metadata
from prunejuice.worktrees.git import Git

_MOST_FILES = 200_000
_MOST_BYTES = 4 << 30
_GIT_FILES = ("index", "config", "packed-refs", "shallow", "info/exclude", "info/attributes")
_TREE_SETTINGS = ("core.bare", "core.worktree")
"""Settings of a repository that would lead git back to its own working tree."""


def add_ignored_files(source_root: Path, target_root: Path) -> bool:
    """Copy every file that the copy lacks, except that of git; return whether all could be copied.

    It stops where they are too many. Virtual environments name the copy, and links stay inside.

    Raises:
        OSError: the disk refused.
    """
    files, size = 0, 0
    is_complete = True
    environments = []
    for name, folders, entries in os.walk(source_root):
        folder = Path(name)
        target = target_root / folder.relative_to(source_root)
        folders[:] = [each for each in folders if each != ".git" and not (target / each).is_symlink()]
        if os.path.lexists(target) and not target.is_dir():
            folders.clear()
            continue
        target.mkdir(exist_ok=True)
        links = [each for each in folders if (folder / each).is_symlink()]
        for entry in (*entries, *links):
            if entry == ".git" or os.path.lexists(target / entry):
                continue
            files, size = files + 1, size + (folder / entry).lstat().st_size
            if files > _MOST_FILES or size > _MOST_BYTES:
                return False
            is_complete &= _copy_entry(folder / entry, target / entry, source_root, target_root)
        if "pyvenv.cfg" in entries:
            environments.append(target)
    for environment in environments:
        installed_packages.relocate_packages(environment, source_root, target_root)
    return is_complete


def copy_linked_packages(source_root: Path, target_root: Path, folder: str) -> bool:
    """Copy a folder that is a link out of a tree; return whether all of it could be copied.

    Where it cannot, the folder is empty: nothing may write to the user's packages.
    """
    source, target = (source_root / folder).resolve(), target_root / folder
    target.mkdir(parents=True)
    if target.resolve().is_relative_to(source):
        return False
    is_complete = add_ignored_files(source, target)
    installed_packages.relocate_packages(target, source_root, target_root)
    return is_complete


def _copy_entry(source: Path, target: Path, source_root: Path, target_root: Path) -> bool:
    """Copy a file or link; return False if it may not be read, as a file of another user."""
    if source.is_symlink():
        target.symlink_to(installed_packages.moved_link(source, source_root, target_root))
    elif source.is_file():
        try:
            clone_with_metadata(source, target)
        except PermissionError:
            target.unlink(missing_ok=True)
            return False
    return True


def make_git_directory(git: Git, target_root: Path) -> None:
    """Give a copy of a working tree a git directory that borrows the objects of the repository.

    Whatever git does there, the repository stays as it is.
    """
    git_dir, common, own = Path(git.git_dir), Path(git.common), target_root / ".git"
    (own / "objects/info").mkdir(parents=True)
    (own / "objects/info/alternates").write_bytes(_quote_path(common / "objects") + b"\n")
    (own / "info").mkdir()
    shutil.copytree(common / "refs", own / "refs")
    for name in _GIT_FILES:
        file = git_dir / name if (git_dir / name).is_file() else common / name
        if file.is_file():
            shutil.copyfile(file, own / name)
    for part in git_dir.glob("sharedindex.*"):  # of an index that is split
        shutil.copyfile(part, own / part.name)
    (own / "HEAD").write_bytes((git_dir / "HEAD").read_bytes())
    for name in _TREE_SETTINGS:
        git.try_run("config", "--file", str(own / "config"), "--unset-all", name)


def _quote_path(path: Path) -> bytes:
    """Return a path as git writes it where a line ends a path."""
    name = os.fsencode(path)
    if b"\n" not in name:
        return name
    return b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n") + b'"'
