"""Limits of the processes of a sandbox: read from settings, and watched while they run."""

import os
import re
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import NamedTuple

from prunejuice.errors import LimitError, UsageError
from prunejuice.sandbox.policy import ResourceLimits
from prunejuice.system.process_tags import resident_bytes, tagged_pids
from prunejuice.text import safe_line, spelling_hint

_POLL_SECONDS = 0.1
_CHILD_PID = re.compile(rb'"child-pid":\s*(\d+)')
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(|[KMGT]i?)B?", re.IGNORECASE)
_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SIZES = ("memory", "disk")


def parse_limits(values: Mapping[str, Sequence[str]]) -> ResourceLimits:
    """Return the limits of a mapping such as `{memory: 2GiB, processes: 200, cpu: 600, disk: 1GiB}`.

    Raises:
        UsageError: a name is unknown, or a value is not a number above 0 with a unit that fits.
    """
    numbers: dict[str, int] = {}
    for name, texts in values.items():
        if name not in ResourceLimits._fields:
            hint = spelling_hint(name, ResourceLimits._fields)
            fix = hint or f"use {', '.join(ResourceLimits._fields)}"
            raise UsageError(f"limits: {safe_line(name, 40)!r} is not a limit", fix)
        text = texts[0] if len(texts) == 1 else ""
        numbers[name] = _parse_size(text) if name in _SIZES else _parse_count(text)
        if numbers[name] <= 0:
            example = "2GiB" if name in _SIZES else "200"
            raise UsageError(
                f"limits: {name} is not a number above 0: {safe_line(text, 40)!r}",
                f"write {name}: {example}",
            )
    return ResourceLimits(**numbers)


def _parse_size(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return 0
    unit = match[2].lower()
    factor = 1024 if unit.endswith("i") or not unit else 1000
    return int(float(match[1]) * factor ** _UNITS[unit.removesuffix("i")])


def _parse_count(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0


class LimitWatch(NamedTuple):
    """What a sandbox program needs for a watch: it writes the first pid to `info_fd` as JSON, and waits.

    It starts the process when it has read a byte of `block_fd`. Both are -1 if nothing is watched.
    """

    info_fd: int = -1
    block_fd: int = -1

    @property
    def pass_fds(self) -> tuple[int, ...]:
        """The descriptors that the program inherits."""
        return () if self.info_fd < 0 else (self.info_fd, self.block_fd)


@contextmanager
def watch_limits(limits: ResourceLimits, tag: str, *, reports_pid: bool) -> Iterator[LimitWatch]:
    """End the processes with a tag when all of them together use too much; check that at the end.

    The memory is what is resident. Their other limits are those of each process, which the system keeps.
    With `reports_pid`, the sandbox program says where they are.

    Raises:
        LimitError: they used more memory than allowed, or were too many.
    """
    if not tag or not (limits.memory or limits.processes):
        yield LimitWatch()
        return
    finished = threading.Event()
    problems: list[str] = []
    with ExitStack() as stack:
        watched = _WatchedProcesses(tag)
        watch = LimitWatch()
        if reports_pid:
            info, block = _open_pipe(stack), _open_pipe(stack)
            watch = LimitWatch(info[1], block[0])

        def run() -> None:
            _take_precedence()
            if reports_pid:
                watched.find_first(info[0], block[1])
            watched.kill_when_exceeded(limits, finished, problems)

        thread = threading.Thread(target=run, name="sandbox-limits", daemon=True)
        thread.start()
        try:
            yield watch
        finally:
            finished.set()
            if reports_pid:
                os.write(info[1], b"\n")  # it may have ended before it said anything
            thread.join()
    if problems:
        raise LimitError(problems[0], "raise it in the setting `limits`")


def _take_precedence() -> None:
    """Let this thread run before all others, if it may: a storm of processes would keep it from its work.

    The system limits the processes of other users, but not those of root, who may do this.
    """
    if set_scheduler := getattr(os, "sched_setscheduler", None):  # Linux
        with suppress(OSError):
            set_scheduler(0, os.SCHED_RR, os.sched_param(1))


def _open_pipe(stack: ExitStack) -> tuple[int, int]:
    reader, writer = os.pipe()
    stack.callback(os.close, reader)
    stack.callback(os.close, writer)
    return reader, writer


def _exceeded(limits: ResourceLimits, pids: Sequence[int]) -> str:
    """Return which limit processes exceed, or ""."""
    if limits.processes and len(pids) > limits.processes:
        return f"the processes in the sandbox were more than {limits.processes} (limits: processes)"
    if limits.memory and sum(map(resident_bytes, pids)) > limits.memory:
        mebibytes = limits.memory >> 20
        return f"the processes in the sandbox used more than {mebibytes} MiB of memory (limits: memory)"
    return ""


class _WatchedProcesses:
    """The processes with a tag, or all in the namespace of a first one."""

    def __init__(self, tag: str) -> None:
        self._tag, self._first, self._space = tag, 0, ""

    def find_first(self, info: int, block: int) -> None:
        """Read the first pid that a sandbox program reports, and let it go on."""
        text = b""
        while b"}" not in text and not text.endswith(b"\n\n"):
            if not (chunk := os.read(info, 1024)) or chunk == b"\n":
                return
            text += chunk
        if match := _CHILD_PID.search(text):
            self._first = int(match[1])
            self._space = _namespace_of(self._first)
        os.write(block, b".")

    def kill_when_exceeded(
        self, limits: ResourceLimits, finished: threading.Event, problems: list[str]
    ) -> None:
        """Kill the processes as soon as they exceed a limit, and add the problem, until it is finished."""
        while not finished.wait(_POLL_SECONDS):
            if problem := _exceeded(limits, self.list_pids()):
                problems.append(problem)
                self.kill()

    def list_pids(self) -> list[int]:
        """Return the pids of the processes."""
        if not self._space:
            return tagged_pids(self._tag)
        # A storm of processes would make it slow to read their environments.
        return [pid for pid in _all_pids() if _namespace_of(pid) == self._space]

    def kill(self) -> None:
        """Kill the first process of a namespace, which ends all others in it; without one, kill each."""
        for pid in [self._first] if self._space else self.list_pids():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _all_pids() -> Iterable[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 - only names


def _namespace_of(pid: int | str) -> str:
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/pid")  # noqa: PTH115 - many times a second
    return ""
