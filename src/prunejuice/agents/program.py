"""A program that says what it does line by line, and what it may know of the caller's environment."""

import contextlib
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from prunejuice import process, settings
from prunejuice.errors import MissingToolError, PruneJuiceError
from prunejuice.process import Call, Exit
from prunejuice.protocols import KILL, STOP, Stop
from prunejuice.text import safe_line

SECONDS = 3600.0
"""The longest that an agent may work on one task when nothing else is said."""
IDLE = 600.0
"""How long an agent may say nothing: a model that thinks long, or a network that is gone."""
_LONGEST = 32 << 20
_PASSED = (
    "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
    "http_proxy", "https_proxy", "no_proxy", "all_proxy",
)  # fmt: skip


def surroundings(environ: Mapping[str, str], prefixes: tuple[str, ...]) -> dict[str, str]:
    """What an agent is given of the caller's environment: as each step, the network, names of its own.

    `agent_env` of the settings names more.
    """
    more = settings.load(environ).agent_env
    own = {k: v for k, v in environ.items() if k.startswith(prefixes) or k in _PASSED or k in more}
    return {**settings.passed_on(environ), **own, "PYTHONDONTWRITEBYTECODE": "1"}


class Program:
    """A program whose lines are read as they come. All that it started is gone when the reading ends."""

    def __init__(self, call: Call, stop: Stop, idle: float = IDLE) -> None:
        self.call, self.idle = call, idle
        self.exit: Exit | None = None
        self.silent = False
        self._outer, self._inner = stop, Stop()
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._rest = bytearray()
        self._errors = bytearray()
        self._fault: Exception | None = None

    @property
    def errors(self) -> str:
        """The end of what it said on its second stream, as one line."""
        return safe_line(bytes(self._errors[-2000:]).strip(), 500)

    def lines(self) -> Iterator[bytes]:
        """Start it, and read its lines until it has ended, is stopped, or says nothing for too long.

        Raises:
            MissingToolError: there is no such program.
        """
        thread = threading.Thread(target=self._run, name="agent", daemon=True)
        thread.start()
        heard = time.monotonic()
        try:
            while True:
                with contextlib.suppress(queue.Empty):
                    line = self._lines.get(timeout=0.1)
                    if line is None:
                        break
                    heard = time.monotonic()
                    yield line
                self._press(time.monotonic() - heard)
        finally:
            self._inner.request(STOP)
            thread.join()
            self._inner.close()
        if self._fault is not None:
            raise self._fault

    def end(self) -> None:
        """Have it stopped."""
        self._inner.request(STOP)

    def _press(self, quiet: float) -> None:
        if self._outer.level:
            self._inner.request(self._outer.level)
        elif quiet > self.idle:
            self.silent = True
            self._inner.request(KILL)

    def _run(self) -> None:
        try:
            self.exit = process.run(self.call, self._heard, self._inner, self._errors.extend)
            if self._rest:
                self._lines.put(bytes(self._rest))
        except (PruneJuiceError, OSError) as error:
            self._fault = error
        finally:
            self._lines.put(None)

    def _heard(self, chunk: bytes) -> None:
        *whole, rest = (bytes(self._rest) + chunk).split(b"\n")
        self._rest = bytearray(rest[:_LONGEST])
        for line in whole:
            self._lines.put(line)


def found(name: str, environ: Mapping[str, str], fix: str) -> str:
    """The path of an agent's program.

    Raises:
        MissingToolError: it is not installed; says how it can be.
    """
    try:
        return process.which(name, environ.get("PATH"))
    except MissingToolError as error:
        raise MissingToolError(f"{Path(name).name} is not installed", fix) from error
