"""Access to the change sets of the current tree."""

from prunejuice.changes import tree_state
from prunejuice.changes.change_set_store import ChangeSetRecord, ChangeSetStore, RecordState
from prunejuice.errors import NotFoundError
from prunejuice.system import settings
from prunejuice.workflow import project


def open_change_store() -> ChangeSetStore:
    """Return the change set store of the tree around the current directory."""
    return ChangeSetStore(tree_state.find_tree_state(project.current_directory(), settings.environment()))


def find_latest(store: ChangeSetStore, state: RecordState, message: str) -> ChangeSetRecord:
    """Return the record in a state that changed last.

    Raises:
        NotFoundError: no record is in the state; `message` is the text of the error.
    """
    records = sorted(store.load_in_state(state), key=lambda record: record.last_action)
    if not records:
        raise NotFoundError(message, "run `codebot pending list --all` to see the change sets")
    return records[-1]
