"""Changes as text, from a file or stdin."""

import sys
from pathlib import Path
from typing import Any

from prunejuice.changes import change_set
from prunejuice.errors import UsageError


def edit_format(form: str | None) -> Any:
    """Return the edit format that an option names, or None for JSON and for detection."""
    return None if form == "json" else form


def read_changes(source: str) -> str:
    """Return the text of a file, or of stdin for `-`.

    Raises:
        UsageError: the text could not be read, exceeds `change_set.LARGEST` bytes, or is not UTF-8.
    """
    try:
        data = (
            sys.stdin.buffer.read(change_set.LARGEST + 1) if source == "-" else _read_limited(Path(source))
        )
    except OSError as error:
        raise UsageError(f"could not read {source}: {error.strerror}") from error
    if len(data) > change_set.LARGEST:
        raise UsageError(
            f"the changes exceed {change_set.LARGEST // 1_000_000} MB", "split them into smaller parts"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{source} is not UTF-8: byte {error.start}", "convert it to UTF-8") from error


def _read_limited(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(change_set.LARGEST + 1)
