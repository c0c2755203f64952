"""Where the changes of a tree are kept: in its git directory, or without one in the user's state."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from prunejuice import git as gits
from prunejuice import settings
from prunejuice.workspaces import operation
from prunejuice.workspaces.disk import Disk


class House(NamedTuple):
    """A tree with the folder where its changes are kept, and the lock that whoever changes it holds.

    `closed` are folders of git; `key` seals what is kept.
    """

    root: Path
    state: Path
    lock: Path
    key: bytes
    closed: frozenset[Path] = frozenset()
    disk: Disk = Disk()

    @property
    def pending(self) -> Path:
        """The change sets that wait, or were applied."""
        return self.state.with_name("pending")


def around(place: Path, environ: Mapping[str, str]) -> House:
    """The house of the working tree that a folder is in, or of the folder itself outside a repository.

    Raises:
        UsageError: it is in a bare repository.
    """
    key = operation.key(environ)
    if gits.may_be_inside(place):
        git = gits.git(str(place), dict(environ)).located()
        own = Path(git.git_dir)
        closed = frozenset({own, Path(git.common)})
        return House(
            Path(git.directory), own / "prunejuice/changes", own / "prunejuice.exact.lock", key, closed
        )
    root = place.resolve()
    name = hashlib.sha256(str(root).encode("utf-8", "surrogateescape")).hexdigest()[:24]
    own = settings.home(environ) / "trees" / name
    own.mkdir(parents=True, exist_ok=True, mode=0o700)
    return House(root, own / "changes", own / "lock", key)
