"""The change sets that wait in the worktree of a run."""

from collections.abc import Sequence
from pathlib import Path

from prunejuice.app.wiring import App
from prunejuice.changes import pending, tree_state
from prunejuice.changes.change_set_store import ChangeSetRecord, ChangeSetStore
from prunejuice.engine.run import Run
from prunejuice.errors import UsageError
from prunejuice.forges import branch
from prunejuice.text import safe_line
from prunejuice.worktrees.git import Git


def open_run_store(app: App, run: Run) -> ChangeSetStore:
    """Return the change sets of the tree that a run worked in.

    Raises:
        UsageError: the folder of the run is gone.
    """
    return ChangeSetStore(tree_state.find_tree_state(require_folder(run), app.environ))


def has_folder(run: Run) -> bool:
    """Return whether the folder that a run worked in exists."""
    return Path(run.workspace.directory).is_dir()


def require_folder(run: Run) -> Path:
    """Return the folder that a run worked in.

    Raises:
        UsageError: it is gone.
    """
    folder = Path(run.workspace.directory)
    if not has_folder(run):
        fix = "run `prj undo --list` to see whether it can be restored"
        raise UsageError(f"the folder {safe_line(str(folder), 300)} of run {run.id[:8]} is gone", fix)
    return folder


def add_waiting_changes(git: Git, commit: str, records: Sequence[ChangeSetRecord]) -> str:
    """Return a commit, in no branch, of the files of another with change sets that wait.

    Nothing is applied. Change sets that no longer fit are left out.
    """
    statuses, _ = pending.stack_records(records, branch.commit_file_reader(git, commit))
    for status in statuses:
        if status.differences:
            commit = branch.commit_differences(git, commit, status.differences, "waiting")
    return commit


def find_waiting(store: ChangeSetStore, run: Run) -> list[ChangeSetRecord]:
    """Return the change sets of a run that are pending, oldest first.

    In a worktree of its own all are the run's; in a shared tree those that it made.
    """
    records = store.load_in_state("pending")
    if run.workspace.own_worktree:
        return records
    return [record for record in records if record.change_set.run == run.id]
