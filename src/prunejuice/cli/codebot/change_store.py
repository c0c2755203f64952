"""Access to the change sets of the current tree."""

from prunejuice.changes import tree_state, worktree_stores
from prunejuice.changes.change_set_store import ChangeSetRecord, ChangeSetStore, RecordState
from prunejuice.cli import render
from prunejuice.errors import NotFoundError
from prunejuice.system import settings
from prunejuice.text import safe_line
from prunejuice.workflow import project


def open_change_store() -> ChangeSetStore:
    """Return the change set store of the tree around the current directory."""
    return ChangeSetStore(tree_state.find_tree_state(project.current_directory(), settings.environment()))


def find_change_set(prefix: str) -> tuple[ChangeSetStore, ChangeSetRecord]:
    """Return a change set of this project by its id, in whatever worktree it is, and its store.

    Raises:
        NotFoundError: no change set matches, or several do.
    """
    current, here = open_change_store(), project.current_directory()
    store, record = worktree_stores.find_change_set(current, here, settings.environment(), prefix)
    if store is not current:
        render.print_message(f"{record.id} is in {safe_line(str(store.tree_state.root), 300)}")
    return store, record


def find_latest(state: RecordState, message: str) -> tuple[ChangeSetStore, ChangeSetRecord]:
    """Return the record of the current tree in a state that changed last, and its store.

    Raises:
        NotFoundError: no record is in the state; `message` is the text of the error.
    """
    store = open_change_store()
    records = sorted(store.load_in_state(state), key=lambda record: record.last_action)
    if not records:
        raise NotFoundError(message, "run `codebot pending list --all` to see the change sets")
    return store, records[-1]
