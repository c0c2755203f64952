"""The diagnostic log: one JSON line per event, in a file with a size limit, for use in bug reports.

Nothing is written to the file before `configure`; `--verbose` shows the same events on stderr.
"""

import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from prunejuice.system.private import make_private_folder
from prunejuice.text import safe_line

MAX_BYTES = 5_000_000


class _LogTarget:
    """The destination of log lines, shared by the whole process."""

    path: Path | None = None
    verbose: bool = False


def configure(path: Path, *, verbose: bool) -> None:
    """Write events to `path`, and also to stderr when `verbose`.

    A file larger than `MAX_BYTES` is renamed to `.log.1`, replacing the previous one.
    """
    _LogTarget.path, _LogTarget.verbose = path, verbose


def log_event(event_name: str, **fields: Any) -> None:
    """Append an event to the log. Logging is switched off when the file cannot be written."""
    if _LogTarget.verbose:
        pairs = " ".join(f"{key}={safe_line(str(value))}" for key, value in fields.items())
        sys.stderr.write(f"· {event_name} {pairs}\n")
    if _LogTarget.path is None:
        return
    line = json.dumps({"at": round(time.time(), 3), "what": event_name, **fields}, default=str)
    try:
        make_private_folder(_LogTarget.path.parent)
        if _LogTarget.path.exists() and _LogTarget.path.stat().st_size > MAX_BYTES:
            _LogTarget.path.replace(_LogTarget.path.with_suffix(".log.1"))
        with _LogTarget.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(line + "\n")
    except OSError:
        # A full disk or a read-only home must not stop the command that is being logged.
        _LogTarget.path = None


def log_crash(error: BaseException, **fields: Any) -> Path | None:
    """Log an unexpected error with its traceback, and return the path of the log file, if any."""
    trace = "".join(traceback.format_exception(error))
    log_event("crash", error=repr(error), trace=trace, python=sys.version, platform=sys.platform, **fields)
    return _LogTarget.path
