"""The change sets that wait in the worktree of a run."""

from collections.abc import Callable, Sequence
from pathlib import Path

from prunejuice.app.wiring import App
from prunejuice.changes import pending, tree_state
from prunejuice.changes.change_set_store import ChangeSetRecord, ChangeSetStore
from prunejuice.engine.run import Run
from prunejuice.errors import UsageError
from prunejuice.forges import branch
from prunejuice.text import safe_line
from prunejuice.worktrees import git as gits
from prunejuice.worktrees import worktree
from prunejuice.worktrees.git import Git
from prunejuice.worktrees.prune_lock import read_users_lock

Report = Callable[[str], None]


def say_nothing(_line: str) -> None:
    """Take a line and drop it."""


def open_run_store(app: App, run: Run, report: Report = say_nothing) -> ChangeSetStore:
    """Return the change sets of the tree that a run worked in; for `report` see `require_folder`.

    Raises:
        UsageError: the folder of the run is gone.
    """
    return ChangeSetStore(tree_state.find_tree_state(require_folder(app, run, report), app.environ))


def has_folder(run: Run) -> bool:
    """Return whether the folder that a run worked in exists, or can be brought back."""
    return Path(run.workspace.directory).is_dir() or _can_be_rebuilt(run)


def require_folder(app: App, run: Run, report: Report = say_nothing) -> Path:
    """Return the folder that a run worked in.

    A worktree whose folder was deleted is brought back from its last snapshot, and `report` is told.

    Raises:
        UsageError: it is gone.
    """
    folder = Path(run.workspace.directory)
    if folder.is_dir():
        return folder
    if not _can_be_rebuilt(run):
        fix = "mount it if it is elsewhere, or see with `prj undo --list` whether it can be restored"
        raise UsageError(f"the folder {safe_line(str(folder), 300)} of run {run.id[:8]} is gone", fix)
    repository = gits.open_git(run.plan.project, dict(app.environ)).locate()
    git = repository.for_worktree(run.workspace.worktree, run.workspace.git_dir)
    saved = run.snapshot_range()[1] or run.workspace.base
    if not repository.resolve(saved):
        problem = f"the folder of run {run.id[:8]} was deleted, and so was its last snapshot"
        raise UsageError(problem, f"its branch is {run.workspace.branch}")
    worktree.rebuild_folder(git, saved)
    report(
        f"note: the folder of run {run.id[:8]} was deleted; it is back as its last step or review left it"
    )
    return folder


def _can_be_rebuilt(run: Run) -> bool:
    """Return whether the folder of a worktree was deleted, and git still knows what was in it.

    A locked worktree may be on a disk that is not mounted, and so may one without the folder above it.
    """
    workspace = run.workspace
    git_dir, folder = Path(workspace.git_dir or "/nowhere"), Path(workspace.worktree)
    is_missing = bool(workspace.own_worktree) and not folder.exists() and folder.parent.is_dir()
    return is_missing and (git_dir / "index").is_file() and not read_users_lock(git_dir)


def add_waiting_changes(git: Git, commit: str, records: Sequence[ChangeSetRecord]) -> str:
    """Return a commit, in no branch, of the files of another with change sets that wait.

    Nothing is applied. Change sets that no longer fit are left out.
    """
    statuses, _ = pending.stack_records(records, branch.commit_file_reader(git, commit))
    for status in statuses:
        if status.differences:
            tree = branch.write_differences(git, commit, status.differences)
            commit = git.commit_tree(tree, (commit,), "waiting")
    return commit


def find_waiting(store: ChangeSetStore, run: Run) -> list[ChangeSetRecord]:
    """Return the change sets of a run that are pending, oldest first.

    In a worktree of its own all are the run's; in a shared tree those that it made.
    """
    records = store.load_in_state("pending")
    if run.workspace.own_worktree:
        return records
    return [record for record in records if record.change_set.run == run.id]
