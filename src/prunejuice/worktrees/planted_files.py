"""Find what contained processes left in a worktree that would run programs outside, and move it away.

A folder that is a repository runs programs of its configuration as soon as somebody asks git about it; a
control file does so when an editor, a shell or an agent opens the worktree.
"""

import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from prunejuice.edits.protected_files import is_protected
from prunejuice.sandbox.policy import is_below
from prunejuice.worktrees.git import Git

_PACKAGE_FOLDERS = frozenset({
    "node_modules",
    "site-packages",
    ".venv",
    "venv",
    ".tox",
    ".nox",
    "__pycache__",
    "target",
})
"""Folders of installed packages, which bring control files that nothing reads."""
_REPOSITORY_PARTS = ("objects", "refs")
_HARMLESS_SETTING = re.compile(
    r"core\.(repositoryformatversion|filemode|bare|logallrefupdates|ignorecase|precomposeunicode|symlinks"
    r"|autocrlf)|remote\..*\.(url|fetch|tagopt)|branch\..*\.(remote|merge|rebase)|user\.(name|email)"
    r"|init\.defaultbranch|extensions\.objectformat"
)
_NOTHING = (0, 0)
_CLOCK_SECONDS = 0.05
"""How far the clock of a file system can be behind."""


class PlantedFile(NamedTuple):
    """A file or folder of a worktree, by its path relative to the top, and where it was moved."""

    path: str
    moved_to: Path


class Kept(NamedTuple):
    """What stays in a worktree: `paths` that a person allowed, and `files` by their inodes."""

    paths: Collection[str] = ()
    files: Collection[tuple[int, int]] = ()

    def covers(self, path: str) -> bool:
        """Return whether a path stays."""
        return any(is_below(path, each) for each in self.paths) or _identify(path) in self.files


def identify_files(paths: Iterable[str]) -> frozenset[tuple[int, int]]:
    """Return the identities of files and folders: another file in their place has another one."""
    return frozenset(map(_identify, paths)) - {_NOTHING}


def _identify(path: str) -> tuple[int, int]:
    with suppress(OSError):
        found = os.lstat(path)
        return found.st_dev, found.st_ino
    return _NOTHING


def move_planted_files(
    git: Git | None, top: Path, since: float, kept: Kept, target: Path
) -> list[PlantedFile]:
    """Move what was planted in a worktree since a time, in seconds since 1970, below `target`.

    What the current commit has stays, too.

    Raises:
        OSError: something could not be moved.
    """
    planted = []
    found = [path for path in _find_planted(git, top, since - _CLOCK_SECONDS) if not kept.covers(path)]
    committed = _list_committed(git, top, found)
    for path in found:
        name = os.path.relpath(path, top)
        if name in committed:
            continue
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, destination)
        planted.append(PlantedFile(name, destination))
    return planted


def _list_committed(git: Git | None, top: Path, paths: Sequence[str]) -> set[str]:
    """Return the paths, relative to the top, whose files are all as in the commit of HEAD."""
    head = git.resolve("HEAD") if git and paths else ""
    if git is None or not head:
        return set()
    names = [os.path.relpath(path, top) for path in paths]
    git = git.with_clean_config(Path(git.git_dir) / "index")
    return {
        name
        for name in names
        if git.run("ls-files", "--", f":(literal){name}")
        and not git.try_run("diff", "--quiet", head, "--", f":(literal){name}").code
        and not git.run("ls-files", "--others", "--", f":(literal){name}")
    }


def _find_planted(git: Git | None, top: Path, since: float) -> Iterator[str]:
    for folder, names, files in os.walk(top):
        relative = "" if folder == str(top) else f"{os.path.relpath(folder, top)}/"
        in_packages = not _PACKAGE_FOLDERS.isdisjoint(Path(relative).parts)
        for name in [*names, *files]:
            path = f"{folder}/{name}"
            is_control = not in_packages and is_protected(relative + name)
            if name == ".git" and not relative:
                continue
            if name == ".git" or is_control or (name in names and _is_repository(path)):
                if _is_planted(git, path, since):
                    yield path
                if name in names:
                    names.remove(name)
        if not relative and ".git" in names:
            names.remove(".git")


def _is_repository(folder: str) -> bool:
    """Return whether git would take a folder for its own: some of it can be elsewhere."""
    if not os.path.lexists(f"{folder}/HEAD"):
        return False
    return os.path.lexists(f"{folder}/commondir") or all(
        os.path.lexists(f"{folder}/{part}") for part in _REPOSITORY_PARTS
    )


def _is_planted(git: Git | None, path: str, since: float) -> bool:
    """Return whether a file or something in a folder is new; a harmless new repository does not count."""
    if not _has_new_file(path, since):
        return False
    return not (os.path.isdir(path) and not os.path.islink(path) and _is_harmless_repository(git, path))  # noqa: PTH112, PTH114


def _has_new_file(path: str, since: float) -> bool:
    """Return whether a file, a folder or something in it is new, was changed, or was moved there."""
    # The time of change cannot be set by a process, unlike that of modification.
    if _is_new(path, since):
        return True
    if os.path.isdir(path) and not os.path.islink(path):  # noqa: PTH112, PTH114
        for folder, names, files in os.walk(path):
            if any(_is_new(f"{folder}/{name}", since) for name in (*names, *files)):
                return True
    return False


def _is_new(path: str, since: float) -> bool:
    with suppress(OSError):
        return os.lstat(path).st_ctime >= since
    return False


def _is_harmless_repository(git: Git | None, folder: str) -> bool:
    """Return whether a repository is as `git clone` or `git init` makes it: without hooks and programs."""
    if git is None or not _is_repository(folder):
        return False
    root = Path(folder)
    hooks = root / "hooks"
    own_hooks = [entry for entry in hooks.iterdir() if entry.suffix != ".sample"] if hooks.is_dir() else []
    linked = [name for name in ("commondir", "config.worktree", "modules") if (root / name).exists()]
    if own_hooks or linked or not (root / "config").is_file():
        return False
    if any(entry.is_symlink() for entry in root.iterdir()):
        return False
    listed = git.try_run("config", "--file", str(root / "config"), "--no-includes", "--name-only", "--list")
    names = listed.stdout.decode("utf-8", "replace").split("\n")
    return not listed.code and all(map(_HARMLESS_SETTING.fullmatch, filter(None, names)))
