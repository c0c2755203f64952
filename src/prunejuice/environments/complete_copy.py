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


def add_ignored_files(source_root: Path, target_root: Path) -> bool:
    """Copy every file that the copy lacks, except that of git; return False if they are too many to copy.

    Virtual environments name the copy, and links stay inside.

    Raises:
        OSError: the disk refused.
    """
    files, size = 0, 0
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
            _copy_entry(folder / entry, target / entry, source_root, target_root)
        if "pyvenv.cfg" in entries:
            environments.append(target)
    for environment in environments:
        installed_packages.relocate_packages(environment, source_root, target_root)
    return True


def _copy_entry(source: Path, target: Path, source_root: Path, target_root: Path) -> None:
    if source.is_symlink():
        target.symlink_to(installed_packages.moved_link(source, source_root, target_root))
    elif source.is_file():
        clone_with_metadata(source, target)


def make_git_directory(git: Git, target_root: Path) -> None:
    """Give a copy of a working tree a git directory that borrows the objects of the repository.

    Whatever git does there, the repository stays as it is.
    """
    git_dir, common, own = Path(git.git_dir), Path(git.common), target_root / ".git"
    (own / "objects/info").mkdir(parents=True)
    (own / "objects/info/alternates").write_bytes(os.fsencode(common / "objects") + b"\n")
    (own / "info").mkdir()
    shutil.copytree(common / "refs", own / "refs")
    for name in _GIT_FILES:
        file = git_dir / name if (git_dir / name).is_file() else common / name
        if file.is_file():
            shutil.copyfile(file, own / name)
    (own / "HEAD").write_bytes((git_dir / "HEAD").read_bytes())
