"""Scratch copies: the files of a tree in another place, where an agent works or a check runs."""

import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from prunejuice.agents.protocol import TASK_FILE
from prunejuice.changes import change_set
from prunejuice.changes.tree_state import TreeState
from prunejuice.edits.diff import FileDiff
from prunejuice.edits.overlay import Overlay
from prunejuice.environments import complete_copy, ignored_files, installed_packages, outside_paths
from prunejuice.environments.checkout_overlay import open_overlay
from prunejuice.environments.place import Place
from prunejuice.errors import PruneJuiceError
from prunejuice.system.deletion import delete_folder
from prunejuice.worktrees import file_listing
from prunejuice.worktrees import git as gits
from prunejuice.worktrees.clone_file import clone_with_metadata
from prunejuice.worktrees.file_listing import FileListing

if TYPE_CHECKING:
    from prunejuice.worktrees.git import Git

_CACHE_FOLDERS = ("__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache")
"""Folders that tools create in any tree they inspect."""


class _FileStamp(NamedTuple):
    """The metadata of a file that shows a change without reading the content."""

    modified: int
    size: int
    inode: int
    mode: int


class ScratchCopy:
    """A copy of the files of a tree below a folder, without those that git ignores.

    A copy that is `whole` has submodules, and what else a check needs; any other has no files that no model
    may see. With `overlay`, code of the copy is executed at the path of the tree if the system allows it.
    """

    def __init__(
        self,
        source: TreeState,
        folder: Path,
        environ: Mapping[str, str],
        *,
        whole: bool = False,
        overlay: bool = False,
    ) -> None:
        self._source, self._environ, self._whole, self._may_overlay = source, environ, whole, overlay
        root = folder / "copy" / (source.root.name or "tree")
        state = folder / "state"
        self.folder = folder
        self.house = TreeState(root, state / "changes", state / "lock", source.key)
        self.place = Place(root, source.root, folder)
        """Where code of the copy is executed."""
        self.lacks_files = False
        """Whether ignored files of the tree are missing, because they are too many to copy."""
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
            shutil.rmtree(self.folder, ignore_errors=True)
            self.house.state_dir.parent.mkdir(parents=True, mode=0o700)
            self.root.mkdir(parents=True)
            self._copy_files(tree_files)
            if self._whole:
                self._complete(tree_files)
            else:
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
                clone_with_metadata(source, target)

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

    def _complete(self, tree_files: Collection[str]) -> None:
        """Let code find what the tree has besides: beneath an overlay, or else in the copy."""
        git = None
        if gits.may_be_in_repository(self._source.root):
            git = gits.open_git(self._source.root, dict(self._environ)).locate()
        scratch = self.folder / "overlay"
        layers = None
        if self._may_overlay:
            # Links out of the tree were not copied: they stay those of the checkout.
            copied = [path for path in tree_files if os.path.lexists(self.root / path)]
            layers = open_overlay(self.root, git, self._source.root, scratch, copied, self._environ)
        self.place = self.place._replace(overlay=layers)
        if layers is None:
            self._copy_packages(tree_files, only_links=True)
            self.lacks_files |= not complete_copy.add_ignored_files(self._source.root, self.root)
            for name in outside_paths.list_missing_links(self._source.root, self.root, tree_files):
                outside_paths.make_link(self._source.root, self.root, name)
            if git:
                complete_copy.make_git_directory(git, self.root)

    def _copy_included_files(self) -> None:
        """Copy the ignored files that `.worktreeinclude` lists, as into a new worktree."""
        if gits.may_be_in_repository(self._source.root):
            git = gits.open_git(self._source.root, dict(self._environ)).locate()
            names = ignored_files.list_included_files(git)
            ignored_files.copy_files(self._source.root, self.root, names)

    def _copy_packages(self, listed: Collection[str], *, only_links: bool = False) -> None:
        """Copy the installed packages, since a check may write to them; or only those that are links."""
        for folder in installed_packages.find_package_folders(self._source.root, listed):
            is_link = (self._source.root / folder).is_symlink()
            if os.path.lexists(self.root / folder) or (is_link and self._is_tracked_link(folder)):
                continue
            if is_link:
                self._package_folders.append(folder)
                is_complete = complete_copy.copy_linked_packages(self._source.root, self.root, folder)
                self.lacks_files |= not is_complete
            elif not only_links:
                self._package_folders.append(folder)
                installed_packages.copy_packages(self._source.root, self.root, folder)

    def _is_tracked_link(self, path: str) -> bool:
        """Return whether git tracks a link: the repository has chosen where it leads, not the user."""
        return _list_folder(self._source.root, self._environ).skipped.get(path) == file_listing.LINK

    def remove(self) -> None:
        """Remove the copy from the disk."""
        delete_folder(self.folder)
        self._baseline = {}


@contextmanager
def open_scratch_copy(
    tree_state: TreeState,
    folder: Path,
    environ: Mapping[str, str],
    *,
    overlay: bool = True,
    declared: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[ScratchCopy]:
    """Yield a copy of a whole tree below a folder, with submodules, and remove it at the end.

    It is judged at the path of the tree if the system allows it, unless `overlay` is false, and with the
    variables in `declared`.
    """
    copy = ScratchCopy(tree_state, folder, environ, whole=True, overlay=overlay)
    copy.place = copy.place._replace(declared=declared)
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
