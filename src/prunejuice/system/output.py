"""The output of a step: a log file with a size limit, a tail in memory, and the last line for display."""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

from prunejuice.system.private import make_private_folder
from prunejuice.system.redact import SecretFilter

TAIL_BYTES = 16 * 1024
END_BYTES = 1024 * 1024
"""Bytes kept from the end of an output that exceeds the limit."""


class OutputLog:
    """A sink for the output of a process, with secrets masked.

    The file holds the first `limit` bytes and, when there are more, the last mebibyte (`END_BYTES`).
    `tell` is called with the last full line as output arrives.
    """

    def __init__(
        self,
        path: Path,
        limit: int,
        secrets: Iterable[str] = (),
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.limit = limit
        self.written_bytes = 0
        self.dropped_bytes = 0
        self._mask = SecretFilter(secrets)
        self._on_line = tell
        self._reported_at = 0.0
        self._tail = bytearray()
        make_private_folder(path.parent)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._file: IO[bytes] = os.fdopen(fd, "ab", buffering=0)

    def __call__(self, chunk: bytes) -> None:
        """Write a chunk of output."""
        self._write(self._mask.feed(chunk))

    def close(self) -> None:
        """Write the held back output and, beyond the limit, the end of the output. Close the file."""
        self._write(self._mask.flush())
        if self.dropped_bytes:
            end = bytes(self._tail[-END_BYTES:])
            gap = self.dropped_bytes - len(end)
            if gap > 0:
                self._file.write(f"\n[{gap} bytes left out]\n".encode())
            self._file.write(end[-self.dropped_bytes :])
        self._file.close()

    def tail(self) -> str:
        """Return the last 16 KiB of the output as text."""
        return bytes(self._tail[-TAIL_BYTES:]).decode("utf-8", "replace")

    def _write(self, chunk: bytes) -> None:
        if not chunk:
            return
        remaining = max(0, self.limit - self.written_bytes)
        if remaining:
            self._file.write(chunk[:remaining])
            self.written_bytes += min(remaining, len(chunk))
        self.dropped_bytes += max(0, len(chunk) - remaining)
        self._tail += chunk[-END_BYTES:]
        # Trim only at twice the size, so that the buffer is not moved for every chunk.
        if len(self._tail) > 2 * END_BYTES:
            del self._tail[:-END_BYTES]
        self._report_last_line()

    def _report_last_line(self) -> None:
        """Report the last non-empty line, at most ten times a second."""
        now = time.monotonic()
        if self._on_line is None or now - self._reported_at < 0.1:
            return
        lines = bytes(self._tail[-4096:]).split(b"\n")
        line = next((line for line in reversed(lines) if line.strip()), b"")
        self._reported_at = now
        self._on_line(line.decode("utf-8", "replace"))
