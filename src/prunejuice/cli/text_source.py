"""Text that an option names by its source."""

import os
import stat
import sys
from pathlib import Path


def is_stdin_piped() -> bool:
    """Return whether another program or a file is connected to stdin."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def read_source(source: str) -> str:
    """Return the text of a source: `-` (stdin), `clipboard`, `tmux`, a file, or `@` and a file.

    Reads at most `clipboard.MAX_BYTES`; bytes that are not UTF-8 are replaced.

    Raises:
        UsageError: the file could not be read.
    """
    from prunejuice.context import clipboard  # noqa: PLC0415
    from prunejuice.errors import UsageError  # noqa: PLC0415
    from prunejuice.system import settings  # noqa: PLC0415

    if source == "-":
        return sys.stdin.buffer.read(clipboard.MAX_BYTES).decode("utf-8", "replace")
    if source in {"clipboard", "tmux"}:
        return clipboard.read(settings.environment(), "tmux" if source == "tmux" else "")
    try:
        with Path(source.removeprefix("@")).open("rb") as file:
            return file.read(clipboard.MAX_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise UsageError(
            f"could not read {source}: {error.strerror}", "name a file, -, clipboard or tmux"
        ) from error


def read_description(text: str) -> str:
    """Return a text, read from a file (`@FILE`) or stdin (`-`) where it names one."""
    is_file = text == "-" or (text[:1] == "@" and Path(text[1:]).is_file())
    return read_source(text) if is_file else text
