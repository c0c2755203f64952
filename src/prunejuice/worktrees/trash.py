"""Delete removed worktrees and backups for good."""

from pathlib import Path

from prunejuice.system.deletion import delete_folder
from prunejuice.worktrees import oplog
from prunejuice.worktrees.git import Git
from prunejuice.worktrees.oplog import Operation


def empty_trash(git: Git, before: float, *, dry_run: bool = False) -> list[Operation]:
    """Delete trash and backups from before a time, in seconds since 1970. Return their operations."""
    operations = oplog.open_log(git).list_operations()
    expired = [
        operation
        for operation in operations
        if operation.at < before and operation.state in {"done", "undone"}
    ]
    for operation in () if dry_run else expired:
        delete_backup(git, operation)
    return expired


def delete_backup(git: Git, operation: Operation) -> None:
    """Delete what an operation backed up; it can no longer be undone."""
    if operation.trash:
        delete_folder(Path(operation.trash))
    if commit := git.resolve(operation.backup_ref):
        git.update_refs((operation.backup_ref, "", commit))
    oplog.open_log(git).forget(operation)
