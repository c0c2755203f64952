"""The change sets of a whole repository: each of its worktrees stores its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from prunejuice.changes import tree_state
from prunejuice.changes.change_set_store import ChangeSetRecord, ChangeSetStore
from prunejuice.errors import NotFoundError
from prunejuice.text import safe_line
from prunejuice.worktrees import git as gits
from prunejuice.worktrees import listing


class WorktreeStore(NamedTuple):
    """The change sets of a worktree, the run that it was made for, if any, and whether it is the first."""

    store: ChangeSetStore
    run: str = ""
    is_current: bool = False

    @property
    def root(self) -> Path:
        """The folder of the worktree."""
        return self.store.tree_state.root


def list_worktree_stores(directory: Path, environ: Mapping[str, str]) -> list[WorktreeStore]:
    """Return the stores of all worktrees of a repository, that of the tree around a folder first."""
    current = ChangeSetStore(tree_state.find_tree_state(directory, environ))
    first = WorktreeStore(current, is_current=True)
    if not gits.may_be_in_repository(directory):
        return [first]
    git = gits.open_git(str(directory), dict(environ)).locate()
    others = []
    for entry in listing.list_worktrees(git):
        owner = entry.record.owner if entry.record and ":" not in entry.record.owner else ""
        if entry.path == current.tree_state.root:
            first = first._replace(run=owner)
        elif entry.is_sound:
            tree = tree_state.worktree_state(git.for_worktree(entry.path, entry.git_dir))
            others.append(WorktreeStore(ChangeSetStore(tree), owner))
    return [first, *others]


def find_change_set(
    directory: Path, environ: Mapping[str, str], prefix: str
) -> tuple[ChangeSetStore, ChangeSetRecord]:
    """Return the change set whose id begins with a prefix, and the store of the worktree that has it.

    The tree around the folder comes first; other worktrees are searched if it has none.

    Raises:
        NotFoundError: no change set of the repository matches, or several do.
    """
    current = ChangeSetStore(tree_state.find_tree_state(directory, environ))
    if current.matches(prefix):
        return current, current.find(prefix)
    stores = [entry.store for entry in list_worktree_stores(directory, environ)]
    found = [(store, record) for store in stores for record in store.matches(prefix)]
    if len(found) == 1:
        return found[0]
    problem = "ambiguous" if found else "unknown"
    fix = "run `codebot pending list --all` to see them"
    raise NotFoundError(f"{problem} change set {safe_line(prefix, 40)!r}", fix)
