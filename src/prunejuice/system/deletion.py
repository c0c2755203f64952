"""Delete folders, whatever the permissions of what is in them."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from prunejuice.errors import StoreError


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
