"""Run an agent's program and read its output line by line, in a restricted environment."""

import contextlib
import queue
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from prunejuice.agents.protocol import Task
from prunejuice.errors import MissingToolError, PruneJuiceError
from prunejuice.system import process, settings
from prunejuice.system.process import ExitStatus, ProcessSpec
from prunejuice.system.stop_request import KILL, STOP, Stop
from prunejuice.text import safe_line

MAX_SECONDS = 3600.0
"""The time limit of a task if none is set."""
MAX_IDLE_SECONDS = 600.0
"""How long an agent may print nothing: long enough for a slow model, not for a dead network."""
MAX_TURNS = 200
"""How many requests an agent may make if no limit is set: one that loops does not end by itself."""
MAX_ACTIONS = 500
"""How many tools an agent may use whose requests cannot be counted."""
LESS_FIX = "ask for less at once, or look at the log for what it repeats"
_MAX_LINE_BYTES = 32 << 20
"""Bytes of an unfinished line that are kept, so that a program cannot exhaust the memory."""
_LOCAL_URL = re.compile(r"https?://(?:127\.0\.0\.1|localhost|\[::1\]):\d{1,5}(?:/|$)")
_PASSED_VARIABLES = (
    "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
    "http_proxy", "https_proxy", "no_proxy", "all_proxy",
)  # fmt: skip


def agent_environment(environ: Mapping[str, str], prefixes: tuple[str, ...]) -> dict[str, str]:
    """Return the environment of an agent, without the secrets of the caller's environment.

    It has the variables of every step, those for proxies and certificates, those with one of the agent's
    `prefixes`, and those that the setting `agent_env` names.
    """
    configured = settings.load(environ).agent_env
    agent_variables = {
        k: v
        for k, v in environ.items()
        if k.startswith(prefixes) or k in _PASSED_VARIABLES or k in configured
    }
    # Tests that the agent runs must not leave bytecode in the tree, where it would count as a change.
    return {**settings.inherited_environment(environ), **agent_variables, "PYTHONDONTWRITEBYTECODE": "1"}


class AgentProcess:
    """A process whose lines are read as they come; it is stopped with its children when reading ends."""

    def __init__(self, call: ProcessSpec, stop: Stop, idle: float = MAX_IDLE_SECONDS) -> None:
        self.call, self.idle = call, idle
        self.exit: ExitStatus | None = None
        self.silent = False
        self._outer, self._inner = stop, Stop()
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._rest = bytearray()
        self._errors = bytearray()
        self._fault: Exception | None = None

    @property
    def errors(self) -> str:
        """The end of the standard error, as one line."""
        return safe_line(bytes(self._errors[-2000:]).strip(), 500)

    def lines(self) -> Iterator[bytes]:
        """Start the program, and yield its lines until it ends, is stopped, or prints nothing for too long.

        Raises:
            MissingToolError: the program is not installed.
            OSError: the program could not be started.
        """
        thread = threading.Thread(target=self._run, name="agent", daemon=True)
        thread.start()
        last_line_at = time.monotonic()
        try:
            while True:
                with contextlib.suppress(queue.Empty):
                    line = self._lines.get(timeout=0.1)
                    if line is None:
                        break
                    last_line_at = time.monotonic()
                    yield line
                self._forward_stop(time.monotonic() - last_line_at)
        finally:
            self._inner.request(STOP)
            thread.join()
            self._inner.close()
        if self._fault is not None:
            raise self._fault

    def request_stop(self) -> None:
        """Request that the program is stopped."""
        self._inner.request(STOP)

    def _forward_stop(self, idle_seconds: float) -> None:
        if self._outer.level:
            self._inner.request(self._outer.level)
        elif idle_seconds > self.idle:
            self.silent = True
            self._inner.request(KILL)

    def _run(self) -> None:
        try:
            self.exit = process.run(self.call, self._feed, self._inner, self._errors.extend)
            if self._rest:
                self._lines.put(bytes(self._rest))
        except (PruneJuiceError, OSError) as error:
            self._fault = error
        finally:
            self._lines.put(None)

    def _feed(self, chunk: bytes) -> None:
        *lines, rest = (bytes(self._rest) + chunk).split(b"\n")
        self._rest = bytearray(rest[:_MAX_LINE_BYTES])
        for line in lines:
            self._lines.put(line)


def build_process_spec(
    task: Task,
    argv: Sequence[str],
    env: Mapping[str, str],
    stdin: str = "",
    *,
    local_urls: Sequence[str] = (),
    shown: Sequence[str] = (),
) -> ProcessSpec:
    """Return the process of an agent's program for a task, with the task's limit of time and its sandbox.

    There it reaches `local_urls`, and those of its variables, and sees the `shown` files.
    """
    seconds = task.limits.seconds or MAX_SECONDS
    call = ProcessSpec(argv, task.directory, env, seconds, task.grace, task.tag, stdin.encode())
    if task.sandbox is None:
        return call
    ports = (urlsplit(text).port for text in (*local_urls, *env.values()) if _LOCAL_URL.match(text))
    return call._replace(sandbox=task.sandbox, ports=tuple(filter(None, ports)), shown=tuple(shown))


def require_program(name: str, environ: Mapping[str, str], fix: str) -> str:
    """Return the path of an agent's program.

    Raises:
        MissingToolError: the program is not installed; `fix` says how to install it.
    """
    try:
        return process.require_program(name, environ.get("PATH"))
    except MissingToolError as error:
        raise MissingToolError(f"{Path(name).name} is not installed", fix) from error
