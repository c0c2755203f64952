"""The limit on open files of this process: raise it, and tell how many steps it allows at once."""

import os
import resource
from contextlib import suppress

_WANTED_FILES = 4096
_FILES_OF_STEP = 10
"""Files that a running step keeps open: pipes, its log, its locks."""
_RESERVED_FILES = 24
"""Files for the store, git and what a step opens for a moment."""


def raise_file_limit() -> None:
    """Raise the limit on open files as far as the system allows and many steps may need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, _WANTED_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # the system has a lower limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def count_possible_steps() -> int:
    """Return how many steps can run at once with the files that this process may still open, at least 1."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _WANTED_FILES
    try:
        opened = len(os.listdir("/dev/fd"))  # noqa: PTH208 - a special folder
    except OSError:
        opened = 32
    return max(1, (soft - opened - _RESERVED_FILES) // _FILES_OF_STEP)
