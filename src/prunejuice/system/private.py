"""Folders and files that only their owner may read, whichever command creates them."""

import os
import stat
from contextlib import suppress
from pathlib import Path


def make_private_folder(folder: Path) -> None:
    """Create a folder and the missing ones above it, each with mode 0700."""
    if folder.is_dir():
        return
    missing = [each for each in (folder, *folder.parents) if not each.is_dir()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)


def make_private_file(path: Path) -> None:
    """Create an empty file with mode 0600, unless it exists; put its mode right if it is ours."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    _close_to_others(path, 0o600)


def close_folder_to_others(folder: Path) -> None:
    """Take the access of others to a folder of ours away; shared folders and the home folder stay."""
    if folder != Path.home():
        _close_to_others(folder, 0o700)


def _close_to_others(path: Path, mode: int) -> None:
    with suppress(OSError):
        status = path.stat()
        is_shared = bool(status.st_mode & stat.S_ISVTX)
        if status.st_uid == os.getuid() and status.st_mode & 0o077 and not is_shared:
            path.chmod(mode)
