"""Scratch copies: the files of a tree in another place, where an agent works or a check runs."""

import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from prunejuice.agents.protocol import TASK_FILE
from prunejuice.changes import change_set
from prunejuice.changes.tree_state import TreeState
from prunejuice.edits.diff import FileDiff
from prunejuice.edits.overlay import Overlay
from prunejuice.errors import PruneJuiceError
from prunejuice.worktrees import file_listing, installed_packages, provision
from prunejuice.worktrees import git as gits
from prunejuice.worktrees.clone_file import clone_file
from prunejuice.worktrees.file_listing import FileListing

if TYPE_CHECKING:
    from prunejuice.worktrees.git import Git

_MOST_IGNORED_FILES = 200_000
_MOST_IGNORED_BYTES = 4 << 30
_CACHE_FOLDERS = ("__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache")
"""Folders that tools create in any tree they inspect."""


class _FileStamp(NamedTuple):
    """The metadata of a file that shows a change without reading the content."""

    modified: int
    size: int
    inode: int
    mode: int


class ScratchCopy:
    """A copy of the files of a tree below `place`, without those that git ignores.

    Unless it is `whole`, files that no model may see and submodules are left out too.
    """

    def __init__(
        self, source: TreeState, place: Path, environ: Mapping[str, str], *, whole: bool = False
    ) -> None:
        self._source, self._environ, self._whole = source, environ, whole
        root = place / (source.root.name or "tree")
        state = place / "state"
        self.house = TreeState(root, state / "changes", state / "lock", source.key)
        self._package_folders: list[str] = []
        self._baseline: dict[str, tuple[_FileStamp | None, _FileStamp | None]] = {}

    @property
    def root(self) -> Path:
        """The root of the copy."""
        return self.house.root

    def sync_from_tree(self) -> None:
        """Make the files equal to those of the tree now; changes made in the copy are lost.

        Raises:
            ConflictError: a file changes while it is read.
            DeniedError: a file may not be written.
        """
        tree_files = _tree_files(self._source.root, self._environ, whole=self._whole)
        if not self._baseline:
            shutil.rmtree(self.root.parent, ignore_errors=True)
            self.house.state_dir.parent.mkdir(parents=True, mode=0o700)
            self.root.mkdir()
            self._copy_files(tree_files)
            self._copy_included_files()
            self._copy_packages(tree_files)
        else:
            paths = [
                path
                for path in (*tree_files, *self._own_files())
                if not (self._source.root / path).is_symlink()
            ]
            differences, errors = self._diff_trees(self.house, self._source, paths)
            if errors:
                raise errors[0]
            change_set.write_diffs(self.house, differences)
        self.record_baseline(tree_files)

    def leftover_diffs(self) -> tuple[FileDiff, ...]:
        """Return how a copy that a dead process left in this place differs from the tree."""
        if not self.root.is_dir():
            return ()
        tree_files = _tree_files(self._source.root, self._environ, whole=self._whole)
        paths = [
            path
            for path in dict.fromkeys([*tree_files, *self._own_files()])
            if not (self.root / path).is_symlink()
        ]
        return self._diff_trees(self._source, self.house, paths)[0]

    def record_baseline(self, listed: Collection[str] = ()) -> None:
        """Record the current files as the baseline that `diffs` compares with."""
        paths = listed or self._baseline
        self._baseline = {
            path: (_read_stamp(self._source.root / path), _read_stamp(self.root / path)) for path in paths
        }

    def diffs(self) -> tuple[tuple[FileDiff, ...], list[PruneJuiceError]]:
        """Return what differs from the tree, and the errors of the files that could not be compared."""
        paths = dict.fromkeys([*self._baseline, *self._own_files()])
        touched = [
            path
            for path in paths
            if path != TASK_FILE and self._baseline.get(path) != self._current_stamps(path)
        ]
        return self._diff_trees(self._source, self.house, touched)

    def _current_stamps(self, path: str) -> tuple[_FileStamp | None, _FileStamp | None]:
        return _read_stamp(self._source.root / path), _read_stamp(self.root / path)

    def _own_files(self) -> Iterator[str]:
        """Yield the files of the copy, except caches and installed packages."""
        packages = tuple(f"{folder}/" for folder in self._package_folders)
        for path in _list_folder(self.root, self._environ, alone=True).files:
            parts = path.split("/")
            if not any(part in _CACHE_FOLDERS for part in parts) and not path.startswith(packages):
                yield path

    @staticmethod
    def _diff_trees(
        before: TreeState, after: TreeState, paths: Sequence[str]
    ) -> tuple[tuple[FileDiff, ...], list[PruneJuiceError]]:
        errors = []
        with (
            change_set.open_version_reader(before) as read_old,
            change_set.open_version_reader(after) as read_new,
        ):
            overlay = Overlay(read_old)
            for path in paths:
                try:
                    overlay.put(path, read_new(path))
                except PruneJuiceError as error:
                    errors.append(error)
            return tuple(overlay.diffs()), errors

    def _copy_files(self, listed: Collection[str]) -> None:
        for path in listed:
            source, target = self._source.root / path, self.root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_symlink():
                self._copy_link(source, target)
            elif source.is_file():
                clone_file(source, target)
                shutil.copymode(source, target)

    def _copy_link(self, source: Path, target: Path) -> None:
        """Copy a link that leads inside the tree; drop any other, which would lead out of the copy."""
        top = self._source.root.resolve()
        if not source.resolve().is_relative_to(top):
            return
        destination = source.readlink()
        if destination.is_absolute():
            inside = source.resolve().relative_to(top)
            # An absolute link would lead back into the original tree.
            destination = Path(os.path.relpath(self.root / inside, target.parent))
        target.symlink_to(destination)

    def _copy_included_files(self) -> None:
        """Copy the ignored files that `.worktreeinclude` lists, as into a new worktree."""
        if gits.may_be_in_repository(self._source.root):
            git = gits.open_git(self._source.root, dict(self._environ)).locate()
            names = provision.list_included_files(git)
            for _line in provision.copy_files(self._source.root, self.root, names):
                pass

    def add_ignored_files(self) -> bool:
        """Copy `.git` and the files that git ignores, too; return False if they are too many to copy."""
        files, size = 0, 0
        for folder, names, entries in os.walk(self._source.root):
            source = Path(folder)
            target = self.root / source.relative_to(self._source.root)
            copied = {Path(path) for path in self._package_folders}
            place = source.relative_to(self._source.root)
            names[:] = [
                name for name in names if not (target / name).is_symlink() and place / name not in copied
            ]
            target.mkdir(exist_ok=True)
            links = [name for name in names if (source / name).is_symlink()]
            for name in (*entries, *links):
                if os.path.lexists(target / name):
                    continue
                files, size = files + 1, size + (source / name).lstat().st_size
                if files > _MOST_IGNORED_FILES or size > _MOST_IGNORED_BYTES:
                    return False
                self._copy_entry(source / name, target / name)
        return True

    def _copy_entry(self, source: Path, target: Path) -> None:
        """Copy a file or a link; a link that leads out, such as that of an interpreter, stays as it is."""
        if source.is_symlink():
            self._copy_link(source, target)
            if not target.is_symlink():
                target.symlink_to(source.readlink())
        elif source.is_file():
            clone_file(source, target)
            shutil.copymode(source, target)

    def _copy_packages(self, listed: Collection[str]) -> None:
        """Copy the installed packages that git ignores: a check needs them, and may write to them."""
        for folder in installed_packages.find_package_folders(self._source.root, listed):
            if not (self.root / folder).exists():
                self._package_folders.append(folder)
                installed_packages.copy_packages(self._source.root, self.root, folder)

    def remove(self) -> None:
        """Remove the copy from the disk."""
        shutil.rmtree(self.root.parent, ignore_errors=True)
        self._baseline = {}


@contextmanager
def open_scratch_copy(
    tree_state: TreeState, place: Path, environ: Mapping[str, str]
) -> Iterator[ScratchCopy]:
    """Yield a copy of a whole tree, with submodules, and remove it at the end."""
    copy = ScratchCopy(tree_state, place, environ, whole=True)
    try:
        copy.sync_from_tree()
        yield copy
    finally:
        copy.remove()


def _tree_files(root: Path, environ: Mapping[str, str], *, whole: bool) -> Collection[str]:
    """Return the files and links of a tree.

    `whole` adds submodules, and files that the ignore files of other tools hide.
    """
    listing = _list_folder(root, environ)
    paths = dict.fromkeys(listing.files)
    for path, reason in listing.skipped.items():
        if reason == file_listing.LINK or (whole and reason.startswith(file_listing.HIDDEN)):
            paths[path] = None
        elif whole and reason == file_listing.SUBMODULE and (root / path / ".git").exists():
            paths |= dict.fromkeys(
                f"{path}/{inner}" for inner in _tree_files(root / path, environ, whole=True)
            )
    return paths


def _list_folder(root: Path, environ: Mapping[str, str], *, alone: bool = False) -> FileListing:
    """List the files of a folder that git does not ignore; `alone` treats it as outside any repository."""
    git: Git
    if not alone and gits.may_be_in_repository(root):
        git = gits.open_git(str(root), dict(environ)).locate()
    else:
        git = gits.open_git_outside_repository(root, dict(environ))
    return file_listing.list_files(git)


def _read_stamp(path: Path) -> _FileStamp | None:
    try:
        stat = os.lstat(path)
    except OSError:
        return None
    return _FileStamp(stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_mode)
