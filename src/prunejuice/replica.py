"""A replica: the files of a tree once more, where an agent works or a check is run, apart from the tree."""

import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from prunejuice import change
from prunejuice import git as gits
from prunejuice.agent import TASK
from prunejuice.contexts import files
from prunejuice.contexts.files import Listing
from prunejuice.errors import PruneJuiceError
from prunejuice.hunk import Difference
from prunejuice.overlay import Overlay
from prunejuice.workspaces import usable
from prunejuice.workspaces.house import House

if TYPE_CHECKING:
    from prunejuice.git import Git

_BORROWED = (".venv", "venv", "node_modules")
"""Folders that git ignores and checks need; a replica has links to them."""
_DROPPED = ("__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache")
"""Folders that tools leave behind in whatever tree they look at."""


class _Stamp(NamedTuple):
    """What tells a file from what it was before, without reading it."""

    modified: int
    size: int
    inode: int
    mode: int


class Replica:
    """The files of `house` once more below `place`; what git ignores is not there.

    Where it is not `whole`, neither is what no model should be shown, nor submodules.
    """

    def __init__(
        self, house: House, place: Path, environ: Mapping[str, str], *, whole: bool = False
    ) -> None:
        self._of, self._environ, self._whole = house, environ, whole
        root = place / (house.root.name or "tree")
        state = place / "state"
        self.house = House(root, state / "changes", state / "lock", house.key)
        self._seen: dict[str, tuple[_Stamp | None, _Stamp | None]] = {}

    @property
    def root(self) -> Path:
        """The top of the replica."""
        return self.house.root

    def follow(self) -> None:
        """Make the files those of the tree as it is now; what was done here is gone.

        Raises:
            ConflictError, DeniedError: a file changes while it is read, or may not be written.
        """
        listed = _files(self._of.root, self._environ, whole=self._whole)
        if not self._seen:
            shutil.rmtree(self.root.parent, ignore_errors=True)
            self.house.state.parent.mkdir(parents=True, mode=0o700)
            self.root.mkdir()
            self._copy(listed)
            self._borrow()
        else:
            paths = [path for path in (*listed, *self._own()) if not (self._of.root / path).is_symlink()]
            found, faults = self._between(self.house, self._of, paths)
            if faults:
                raise faults[0]
            change.carry_out(self.house, found)
        self.settle(listed)

    def left(self) -> tuple[Difference, ...]:
        """What differs from the tree in a replica that a dead process left behind here."""
        if not self.root.is_dir():
            return ()
        known = _files(self._of.root, self._environ, whole=self._whole)
        paths = [
            path for path in dict.fromkeys([*known, *self._own()]) if not (self.root / path).is_symlink()
        ]
        return self._between(self._of, self.house, paths)[0]

    def settle(self, listed: Collection[str] = ()) -> None:
        """Take the files as they are now for what is compared with from here on."""
        paths = listed or self._seen
        self._seen = {path: (_stamp(self._of.root / path), _stamp(self.root / path)) for path in paths}

    def differences(self) -> tuple[tuple[Difference, ...], list[PruneJuiceError]]:
        """What is another here than in the tree, and why something is not among it."""
        paths = dict.fromkeys([*self._seen, *self._own()])
        touched = [path for path in paths if path != TASK and self._seen.get(path) != self._now(path)]
        return self._between(self._of, self.house, touched)

    def _now(self, path: str) -> tuple[_Stamp | None, _Stamp | None]:
        return _stamp(self._of.root / path), _stamp(self.root / path)

    def _own(self) -> Iterator[str]:
        """The files that are here, but for what tools leave behind."""
        for path in _listing(self.root, self._environ, alone=True).files:
            parts = path.split("/")
            if not any(part in _DROPPED for part in parts) and parts[0] not in _BORROWED:
                yield path

    @staticmethod
    def _between(
        one: House, other: House, paths: Sequence[str]
    ) -> tuple[tuple[Difference, ...], list[PruneJuiceError]]:
        faults = []
        with change.seeing(one) as old, change.seeing(other) as new:
            overlay = Overlay(old)
            for path in paths:
                try:
                    overlay.put(path, new(path))
                except PruneJuiceError as error:
                    faults.append(error)
            return tuple(overlay.differences()), faults

    def _copy(self, listed: Collection[str]) -> None:
        for path in listed:
            here, there = self._of.root / path, self.root / path
            there.parent.mkdir(parents=True, exist_ok=True)
            if here.is_symlink():
                self._link(here, there)
            elif here.is_file():
                usable.clone(here, there)
                shutil.copymode(here, there)

    def _link(self, here: Path, there: Path) -> None:
        """A link as it is, where it leads to something of the tree; there is no way out of the replica."""
        top = self._of.root.resolve()
        if not here.resolve().is_relative_to(top):
            return
        to = here.readlink()
        if to.is_absolute():
            inside = here.resolve().relative_to(top)
            to = Path(os.path.relpath(self.root / inside, there.parent))
        there.symlink_to(to)

    def _borrow(self) -> None:
        for name in _BORROWED:
            here, there = self._of.root / name, self.root / name
            if here.is_dir() and not there.exists():
                there.symlink_to(here.resolve())

    def remove(self) -> None:
        """Let it be gone."""
        shutil.rmtree(self.root.parent, ignore_errors=True)
        self._seen = {}


@contextmanager
def made(house: House, place: Path, environ: Mapping[str, str]) -> Iterator[Replica]:
    """A replica of a tree as it is, submodules with it, gone at the end."""
    replica = Replica(house, place, environ, whole=True)
    try:
        replica.follow()
        yield replica
    finally:
        replica.remove()


def _files(root: Path, environ: Mapping[str, str], *, whole: bool) -> Collection[str]:
    """The files and links of a tree; those that files of other tools hide where it is the whole."""
    listing = _listing(root, environ)
    found = dict.fromkeys(listing.files)
    for path, why in listing.apart.items():
        if why == files.LINK or (whole and why.startswith(files.HIDDEN)):
            found[path] = None
        elif whole and why == files.SUBMODULE and (root / path / ".git").exists():
            found |= dict.fromkeys(f"{path}/{each}" for each in _files(root / path, environ, whole=True))
    return found


def _listing(root: Path, environ: Mapping[str, str], *, alone: bool = False) -> Listing:
    """The files of a folder that git does not ignore; `alone` is a folder of no repository."""
    found: Git
    if not alone and gits.may_be_inside(root):
        found = gits.git(str(root), dict(environ)).located()
    else:
        found = gits.outside(root, dict(environ))
    return files.listed(found)


def _stamp(path: Path) -> _Stamp | None:
    try:
        stat = os.lstat(path)
    except OSError:
        return None
    return _Stamp(stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_mode)
