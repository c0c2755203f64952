"""Tell runs that a person has changed or reviewed their work."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prunejuice.changes.change_set_store import ChangeSetRecord, ChangeSetStore
from prunejuice.errors import PruneJuiceError


def record_run_work(store: ChangeSetStore, records: Iterable[ChangeSetRecord]) -> None:
    """Record the work in the worktree of a store for the runs whose change sets were decided on."""
    runs = dict.fromkeys(record.change_set.run for record in records if record.change_set.run)
    if not runs or not is_linked_worktree(store.tree_state.root):
        return
    from prunejuice.app import run_actions, wiring  # noqa: PLC0415 - only for worktrees of runs
    from prunejuice.cli.run_lookup import find_run  # noqa: PLC0415 - only for worktrees of runs

    app = wiring.open_app(store.tree_state.root)
    for run_id in runs:
        with suppress(PruneJuiceError):  # the run may have been deleted
            run_actions.record_work(app, app.build_runtime(), find_run(app, run_id))


def is_linked_worktree(root: Path) -> bool:
    """Return whether a folder is the top of a worktree that git links to its repository."""
    return (root / ".git").is_file()
