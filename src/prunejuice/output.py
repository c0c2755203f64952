"""Where the output of a step goes: a log file with a limit, a tail in memory, the last line on screen."""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

from prunejuice.redact import Mask

TAIL = 16 * 1024
REST = 1024 * 1024
"""Bytes of the end that are kept of an output beyond the limit."""


class Log:
    """A sink for output. The file has everything up to `limit` bytes, and then the last mebibyte."""

    def __init__(
        self,
        path: Path,
        limit: int,
        secrets: Iterable[str] = (),
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.limit = limit
        self.written = 0
        self.dropped = 0
        self._mask = Mask(secrets)
        self._tell = tell
        self._told = 0.0
        self._tail = bytearray()
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._file: IO[bytes] = os.fdopen(fd, "ab", buffering=0)

    def __call__(self, chunk: bytes) -> None:
        """Take a chunk of output."""
        self._keep(self._mask.feed(chunk))

    def close(self) -> None:
        """Write what was held back, and the end of an output that was too long."""
        self._keep(self._mask.flush())
        if self.dropped:
            rest = bytes(self._tail[-REST:])
            gap = self.dropped - len(rest)
            if gap > 0:
                self._file.write(f"\n[{gap} bytes left out]\n".encode())
            self._file.write(rest[-self.dropped :])
        self._file.close()

    def text(self) -> str:
        """The last 16 KiB."""
        return bytes(self._tail[-TAIL:]).decode("utf-8", "replace")

    def _keep(self, chunk: bytes) -> None:
        if not chunk:
            return
        room = max(0, self.limit - self.written)
        if room:
            self._file.write(chunk[:room])
            self.written += min(room, len(chunk))
        self.dropped += max(0, len(chunk) - room)
        self._tail += chunk[-REST:]
        if len(self._tail) > 2 * REST:
            del self._tail[:-REST]
        self._say()

    def _say(self) -> None:
        """Tell the last full line, at most ten times a second."""
        now = time.monotonic()
        if self._tell is None or now - self._told < 0.1:
            return
        lines = bytes(self._tail[-4096:]).split(b"\n")
        line = next((each for each in reversed(lines) if each.strip()), b"")
        self._told = now
        self._tell(line.decode("utf-8", "replace"))
