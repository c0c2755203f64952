"""What was removed, until it is too old to be had back."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from prunejuice.errors import StoreError
from prunejuice.git import Git
from prunejuice.workspaces import operation
from prunejuice.workspaces.operation import Operation


def empty(git: Git, before: float, *, dry_run: bool = False) -> list[Operation]:
    """Delete what was removed or kept as a backup before a time (seconds since 1970); what it was."""
    every = operation.journal(git).all()
    old = [each for each in every if each.at < before and each.state in {"done", "undone"}]
    for each in () if dry_run else old:
        forget(git, each)
    return old


def forget(git: Git, old: Operation) -> None:
    """Delete what an operation kept; it cannot be taken back any more."""
    if old.trash:
        delete(Path(old.trash))
    if kept := git.resolve(old.backup):
        git.move((old.backup, "", kept))
    operation.journal(git).forget(old)


def delete(path: Path) -> None:
    """Delete a folder with all that is in it, folders that are not writable too.

    Raises:
        StoreError: something in it cannot be deleted.
    """
    with suppress(OSError):
        shutil.rmtree(path)
    if not os.path.lexists(path):
        return
    for folder, _, _ in os.walk(path):
        with suppress(OSError):
            Path(folder).chmod(0o700)
    try:
        shutil.rmtree(path)
    except OSError as error:
        raise StoreError(f"{error.filename} cannot be deleted: {error.strerror}") from error
