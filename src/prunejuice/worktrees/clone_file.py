"""Copy a file, sharing its blocks where the file system can."""

import contextlib
import fcntl
import shutil
import sys
from pathlib import Path

_FICLONE = 0x40049409  # the ioctl of Linux that shares blocks between files (reflink)


def clone_file(source_path: Path, target_path: Path) -> bool:
    """Copy a file. Return whether the copy shares its blocks (copy on write).

    Raises:
        FileExistsError: the target exists.
    """
    with source_path.open("rb") as source, target_path.open("xb") as target:
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # the file system has no reflinks
                fcntl.ioctl(target, _FICLONE, source.fileno())
                return True
        shutil.copyfileobj(source, target, 1 << 20)
    return False


def clone_with_metadata(source_path: Path, target_path: Path) -> None:
    """Copy a file with its mode and times, so that what was made from it is valid for the copy.

    Raises:
        FileExistsError: the target exists.
    """
    clone_file(source_path, target_path)
    shutil.copystat(source_path, target_path)
