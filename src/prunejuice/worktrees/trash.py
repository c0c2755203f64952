"""Delete removed worktrees and backups for good."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from prunejuice.errors import StoreError
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


def delete_folder(path: Path) -> None:
    """Delete a folder recursively, including folders that are not writable.

    Raises:
        StoreError: a file could not be deleted.
    """
    with suppress(OSError):
        shutil.rmtree(path)
    if not os.path.lexists(path):
        return
    # Entries of a read-only folder cannot be deleted, and those of an unreadable one not even listed.
    with suppress(OSError):
        path.chmod(0o700)
    for folder, names, _ in os.walk(path):
        for name in names:
            inner = Path(folder, name)
            with suppress(OSError):
                if not inner.is_symlink():
                    inner.chmod(0o700)
    try:
        shutil.rmtree(path)
    except OSError as error:
        raise StoreError(f"could not delete {error.filename}: {error.strerror}") from error
