"""The program's own log: one JSON line for each thing a bug report needs, in a file with a size limit.

Nothing is written before `configure`; `--verbose` shows the same on stderr.
"""

import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from prunejuice.text import safe_line

MAX_BYTES = 5_000_000


class _Sink:
    """Where lines go; one for the process."""

    path: Path | None = None
    verbose: bool = False


def configure(path: Path, *, verbose: bool) -> None:
    """Write to `path` from here on; a file over the limit is kept once under `.1`."""
    _Sink.path, _Sink.verbose = path, verbose


def note(what: str, **fields: Any) -> None:
    """Keep a line; a log that cannot be written is no reason to stop."""
    if _Sink.verbose:
        pairs = " ".join(f"{key}={safe_line(str(value))}" for key, value in fields.items())
        sys.stderr.write(f"· {what} {pairs}\n")
    if _Sink.path is None:
        return
    line = json.dumps({"at": round(time.time(), 3), "what": what, **fields}, default=str)
    try:
        _Sink.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if _Sink.path.exists() and _Sink.path.stat().st_size > MAX_BYTES:
            _Sink.path.replace(_Sink.path.with_suffix(".log.1"))
        with _Sink.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(line + "\n")
    except OSError:
        _Sink.path = None


def crash(error: BaseException, **fields: Any) -> Path | None:
    """Keep an unexpected error with its traceback; the file that has it, when there is one."""
    trace = "".join(traceback.format_exception(error))
    note("crash", error=repr(error), trace=trace, python=sys.version, platform=sys.platform, **fields)
    return _Sink.path
