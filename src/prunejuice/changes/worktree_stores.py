"""The change sets of a whole repository: each of its worktrees stores its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from prunejuice.changes import tree_state
from prunejuice.changes.change_set_store import ChangeSetRecord, ChangeSetStore, require_one_match
from prunejuice.errors import UsageError
from prunejuice.text import safe_line
from prunejuice.worktrees import git as gits
from prunejuice.worktrees import listing


class WorktreeStore(NamedTuple):
    """The change sets of a worktree, the run that it was made for, if any, and whether it is the first.

    `is_gone` means that the folder was deleted: the change sets are still there, in the repository.
    """

    store: ChangeSetStore
    run: str = ""
    is_current: bool = False
    is_gone: bool = False

    @property
    def root(self) -> Path:
        """The folder of the worktree."""
        return self.store.tree_state.root

    def require_folder(self) -> None:
        """Check that the folder exists.

        Raises:
            UsageError: it was deleted.
        """
        if self.is_gone:
            fix = (
                f"run `prj open {self.run[:8]}` to bring it back" if self.run else "make the worktree again"
            )
            raise UsageError(f"the folder {safe_line(str(self.root), 300)} was deleted", fix)


def list_worktree_stores(
    current: ChangeSetStore, directory: Path, environ: Mapping[str, str]
) -> list[WorktreeStore]:
    """Return the stores of all worktrees of a repository, the `current` one of a folder first."""
    first = WorktreeStore(current, is_current=True)
    if not gits.may_be_in_repository(directory):
        return [first]
    git = gits.open_git(str(directory), dict(environ)).locate()
    others = []
    for entry in listing.list_worktrees(git):
        owner = entry.record.owner if entry.record and ":" not in entry.record.owner else ""
        if entry.path == current.tree_state.root:
            first = first._replace(run=owner)
        elif not entry.stray:
            tree = tree_state.worktree_state(git.for_worktree(entry.path, entry.git_dir))
            others.append(WorktreeStore(ChangeSetStore(tree), owner, is_gone=entry.gone))
    return [first, *others]


def find_change_set(
    current: ChangeSetStore, directory: Path, environ: Mapping[str, str], prefix: str
) -> tuple[ChangeSetStore, ChangeSetRecord]:
    """Return the change set whose id begins with a prefix, and the store of the worktree that has it.

    The `current` store of the folder comes first; other worktrees are searched if it has none.

    Raises:
        NotFoundError: no change set of the repository matches, or several do.
        UsageError: the folder of the worktree was deleted.
    """
    found = [(WorktreeStore(current), record) for record in current.matches(prefix)]
    if not found:
        _, *others = list_worktree_stores(current, directory, environ)
        found = [(entry, record) for entry in others for record in entry.store.matches(prefix)]
    entry, record = require_one_match(found, prefix)
    entry.require_folder()
    return entry.store, record
