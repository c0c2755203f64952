"""The change sets that wait in the worktree of a run."""

from pathlib import Path

from prunejuice.app.wiring import App
from prunejuice.changes import tree_state
from prunejuice.changes.change_set_store import ChangeSetRecord, ChangeSetStore
from prunejuice.engine.run import Run
from prunejuice.errors import UsageError


def open_run_store(app: App, run: Run) -> ChangeSetStore:
    """Return the change sets of the tree that a run worked in.

    Raises:
        UsageError: the folder of the run is gone.
    """
    workspace = run.workspace
    if not Path(workspace.directory).is_dir():
        raise UsageError(
            f"the folder {workspace.worktree or workspace.directory} is gone",
            "run `prj undo --list` to see whether it can be restored",
        )
    return ChangeSetStore(tree_state.find_tree_state(Path(workspace.directory), app.environ))


def find_waiting(store: ChangeSetStore, run: Run) -> list[ChangeSetRecord]:
    """Return the change sets of a run that are pending, oldest first.

    In a worktree of its own all are the run's; in a shared tree those that it made.
    """
    records = store.load_in_state("pending")
    if run.workspace.worktree and not run.workspace.borrowed:
        return records
    return [record for record in records if record.change_set.run == run.id]
