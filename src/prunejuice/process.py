"""The only starter of processes. A process is stopped with everything it started.

Each runs in a session of its own, with stdin closed. Its output is read in chunks and handed on, so
memory does not grow with it. Stopping is TERM to the group, a grace period, KILL, and then a sweep for
whatever carries the tag in its environment: daemons that left the group, and leftovers of a driver
that was killed.
"""

import fcntl
import math
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple, NoReturn, cast

from prunejuice.errors import MissingToolError
from prunejuice.protocols import KILL, STOP, Stop

_LOOK = 0.05
"""Seconds between two looks at a process that has our terminal."""

TAG = "PRUNEJUICE_PROCESS"
CHUNK = 1 << 18
LINGER = 0.5
"""Seconds that output of a process that is gone is still waited for."""

Sink = Callable[[bytes], object]


class Call(NamedTuple):
    """A process to start: `timeout` and `grace` are seconds; `tag` names it for `sweep`.

    `given` is what it reads from its standard input; `keep` are descriptors that it inherits, such as
    that of a lock which is to be held as long as the process lives, even when we die.
    """

    argv: Sequence[str]
    cwd: Path | str
    env: Mapping[str, str]
    timeout: float = 300
    grace: float = 10
    tag: str = ""
    given: bytes = b""
    keep: tuple[int, ...] = ()


class Exit(NamedTuple):
    """How a process ended: its code (128 + signal when it was killed), and whether we ended it."""

    code: int
    timed_out: bool = False
    stopped: bool = False


class Captured(NamedTuple):
    """The end and the output of a process; `cut` when there was more than the limit."""

    code: int
    out: bytes
    err: bytes
    cut: bool = False


def which(name: str, path: str | None = None) -> str:
    """The absolute path of a program.

    Raises:
        MissingToolError: it is not installed.
    """
    found = shutil.which(name, path=path)
    if not found:
        raise MissingToolError(f"{name} is not installed", f"install {name} and run this again")
    return str(Path(found).absolute())


def bash(text: str, path: str | None) -> list[str]:
    """The words that run a text with the bash of a search path, up to its first failure."""
    return [which("bash", path), "--noprofile", "--norc", "-eo", "pipefail", "-c", text]


def run(call: Call, sink: Sink, stop: Stop | None = None, errors: Sink | None = None) -> Exit:
    """Run a process to its end; `sink` gets its output, and its errors too when they have no sink.

    Raises:
        MissingToolError: there is no such program.
        OSError: it cannot be started.
    """
    child, output = _start_kept(call) if errors is None else _start_piped(call)
    watch = _Watch(child, call, stop)
    with watch.streams([(output, sink), (child.stderr, errors)]):
        try:
            watch.until_end()
        finally:
            _end(child.pid, call.tag)
            child.wait()
        watch.drain()
    return watch.exit()


def capture(call: Call, limit: int = 16 << 20, stop: Stop | None = None) -> Captured:
    """Run a process and keep at most `limit` bytes of its output and of its errors."""
    kept: tuple[bytearray, bytearray] = (bytearray(), bytearray())
    seen = [0, 0]

    def keep(which: int) -> Sink:
        def sink(chunk: bytes) -> None:
            kept[which].extend(chunk[: limit - len(kept[which])])
            seen[which] += len(chunk)

        return sink

    ended = run(call, keep(0), stop, keep(1))
    code = 124 if ended.timed_out else ended.code
    return Captured(code, bytes(kept[0]), bytes(kept[1]), max(seen) > limit)


def foreground(call: Call, stop: Stop | None = None) -> int:
    """Run a process in our terminal, as a shell does: the keys are its, Ctrl-C too; its exit code.

    When a key suspends it, we are suspended with it, until the shell that called us goes on.

    Raises:
        MissingToolError: there is no such program.
    """
    ours = os.tcgetpgrp(0)
    settings = termios.tcgetattr(0)
    child = _start_waiting(call)
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        code = _until_gone(child, ours, stop)
        return code if code >= 0 else 128 - code
    finally:
        _end(child.pid, call.tag)
        os.tcsetpgrp(0, ours)
        termios.tcsetattr(0, termios.TCSADRAIN, settings)
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _start_waiting(call: Call) -> "subprocess.Popen[bytes]":
    """A process that has stopped itself, to go on as the program when it has the terminal."""
    program = which(call.argv[0], call.env.get("PATH"))
    waiting = ["/bin/sh", "-c", 'kill -STOP $$; exec "$@"', "sh", program, *call.argv[1:]]
    with _not_there(call):
        return subprocess.Popen(waiting, cwd=call.cwd, env=with_tags(call), process_group=0)


def _until_gone(child: "subprocess.Popen[bytes]", ours: int, stop: Stop | None) -> int:
    started = False
    while True:
        found, status = os.waitpid(child.pid, os.WNOHANG | os.WUNTRACED)
        if found and not os.WIFSTOPPED(status):
            child.returncode = os.waitstatus_to_exitcode(status)
            return child.returncode
        if found:
            if started:
                _suspend(ours)
            started = True
            os.tcsetpgrp(0, child.pid)
            _signal_group(child.pid, signal.SIGCONT)
        if stop is not None and stop.level:
            _signal_group(child.pid, signal.SIGKILL if stop.level > STOP else signal.SIGTERM)
        time.sleep(_LOOK)


def _suspend(ours: int) -> None:
    """Give the terminal back and wait, where a shell is there to go on."""
    os.tcsetpgrp(0, ours)
    if os.getsid(0) != os.getpgrp():
        os.killpg(0, signal.SIGSTOP)


@contextmanager
def conversing(call: Call, errors: Path) -> "Iterator[tuple[IO[bytes], IO[bytes]]]":
    """A process that is talked with over its input and output; gone, with all it started, at the end.

    Raises:
        MissingToolError: there is no such program.
    """
    with errors.open("ab") as said, _not_there(call):
        child = subprocess.Popen(
            list(call.argv),
            cwd=call.cwd,
            env=with_tags(call),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            start_new_session=True,
        )
    try:
        yield cast("IO[bytes]", child.stdin), cast("IO[bytes]", child.stdout)
    finally:
        _signal_group(child.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            child.wait(call.grace)
        _end(child.pid, call.tag)
        child.wait()
        for stream in (child.stdin, child.stdout):
            with suppress(OSError):
                cast("IO[bytes]", stream).close()


@contextmanager
def _not_there(call: Call) -> Iterator[None]:
    """Say what is missing when a process cannot be started."""
    try:
        yield
    except FileNotFoundError as error:
        if Path(call.cwd).is_dir():
            raise MissingToolError(f"there is no program {call.argv[0]!r}") from error
        raise MissingToolError(f"there is no directory {str(call.cwd)!r}") from error


def detach(call: Call, log: Path) -> int:
    """Start a process that outlives us, with its output in `log`; its pid."""
    with log.open("ab") as file:
        child = _start(call, file, subprocess.STDOUT)
    child.returncode = 0  # it is nobody's to wait for
    return child.pid


def _start_kept(call: Call) -> "tuple[subprocess.Popen[bytes], IO[bytes] | None]":
    """Start a process that holds the reading end of its own output open.

    So writing does not fail when we die, and how the process ends is its own doing.
    """
    reader, writer = os.pipe()
    with ExitStack() as stack, os.fdopen(writer, "wb"):
        output = stack.enter_context(os.fdopen(reader, "rb"))
        child = _start(call, writer, subprocess.STDOUT, keep=(reader,))
        stack.pop_all()
    return child, output


def _start_piped(call: Call) -> "tuple[subprocess.Popen[bytes], IO[bytes] | None]":
    child = _start(call, subprocess.PIPE, subprocess.PIPE)
    return child, child.stdout


def _start(
    call: Call, out: "int | IO[bytes]", err: "int | IO[bytes]", keep: tuple[int, ...] = ()
) -> subprocess.Popen[bytes]:
    with _input(call.given) as given, _not_there(call):
        return subprocess.Popen(
            list(call.argv),
            cwd=call.cwd,
            env=with_tags(call),
            stdin=given,
            stdout=out,
            stderr=err,
            start_new_session=True,
            pass_fds=(*keep, *call.keep),
        )


def with_tags(call: Call) -> dict[str, str]:
    """The environment of a process, with the tags of all that it is part of."""
    env = dict(call.env)
    if call.tag:
        env[TAG] = f"{env[TAG]}>{call.tag}" if env.get(TAG) else call.tag
    return env


@contextmanager
def _input(given: bytes) -> "Iterator[int | IO[bytes]]":
    """What a process reads: a file that has no name, so that nobody has to feed it."""
    if not given:
        yield subprocess.DEVNULL
        return
    with tempfile.TemporaryFile() as file:
        file.write(given)
        file.seek(0)
        yield file


class _Watch:
    """Waits for output, the end, the time limit and requests to stop, all at once."""

    def __init__(self, child: subprocess.Popen[bytes], call: Call, stop: Stop | None) -> None:
        self.child = child
        self.call = call
        self.stop = stop
        self.deadline = time.monotonic() + call.timeout
        self.timed_out = False
        self.sent = 0
        self.selector = selectors.DefaultSelector()

    @contextmanager
    def streams(self, pairs: Iterable[tuple[IO[bytes] | None, Sink | None]]) -> Iterator[None]:
        """Listen to the streams that are there; close all of them in the end."""
        with ExitStack() as stack:
            stack.enter_context(self.selector)
            for stream, sink in pairs:
                if stream is not None:
                    stack.enter_context(stream)
                    _enlarge(stream)
                    self.selector.register(stream, selectors.EVENT_READ, sink)
            yield

    def until_end(self) -> None:
        over = self.wait_aside()
        with os.fdopen(over, "rb"):
            self.selector.register(over, selectors.EVENT_READ)
            if self.stop:
                self.selector.register(self.stop, selectors.EVENT_READ)
            while self.child.returncode is None:
                self.turn()
        for key in [key for key in self.selector.get_map().values() if key.data is None]:
            self.selector.unregister(key.fileobj)

    def exit(self) -> Exit:
        code = self.child.returncode
        stopped = bool(self.sent and not self.timed_out)
        return Exit(code if code >= 0 else 128 - code, self.timed_out, stopped)

    def wait_aside(self) -> int:
        """A descriptor that becomes readable when the process has ended; works on every system."""
        reader, writer = os.pipe()

        def wait() -> None:
            self.child.wait()
            os.close(writer)

        threading.Thread(target=wait, daemon=True).start()
        return reader

    def turn(self) -> None:
        for key, _ in self.selector.select(self.patience()):
            if key.fileobj is self.stop:
                self.selector.unregister(self.stop)
            elif key.data is not None:
                self.pass_on(key)
        self.press()

    def patience(self) -> float:
        """Seconds until something must be done; a rising stop level is looked for now and then."""
        pressing = self.stop is not None and self.stop.level > 0
        return max(0.0, min(self.deadline - time.monotonic(), 0.05 if pressing else 3600.0))

    def press(self) -> None:
        """Send what limits and requests call for: TERM, and KILL when the grace is over."""
        level = self.stop.level if self.stop else 0
        if not self.sent and (level or time.monotonic() >= self.deadline):
            self.timed_out = not level
            self.deadline = time.monotonic() + self.call.grace
            self.send(signal.SIGTERM, STOP)
        if self.sent == STOP and (level >= KILL or time.monotonic() >= self.deadline):
            self.deadline = math.inf
            self.send(signal.SIGKILL, KILL)

    def send(self, number: int, level: int) -> None:
        self.sent = level
        _signal_group(self.child.pid, number)

    def pass_on(self, key: selectors.SelectorKey) -> None:
        chunk = os.read(key.fd, CHUNK)
        if chunk:
            key.data(chunk)
        else:
            self.selector.unregister(key.fileobj)

    def drain(self) -> None:
        """Read what is still in the pipes; a stranger that holds one open is not waited for."""
        until = time.monotonic() + LINGER
        while time.monotonic() < until and self.selector.get_map():
            for key, _ in self.selector.select(max(0.0, until - time.monotonic())):
                self.pass_on(key)


def _enlarge(stream: IO[bytes]) -> None:
    """A larger pipe where the system can have one (Linux); fewer, larger reads."""
    if resize := getattr(fcntl, "F_SETPIPE_SZ", None):
        with suppress(OSError):
            fcntl.fcntl(stream, resize, 1 << 20)


def _signal_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _end(group: int, tag: str) -> None:
    """Nothing of a group, and nothing with its tag, is left running after this."""
    if _signal_group(group, signal.SIGTERM):
        until = time.monotonic() + LINGER
        while _signal_group(group, 0) and time.monotonic() < until:
            time.sleep(0.005)
        _signal_group(group, signal.SIGKILL)
    if tag:
        sweep(tag)


def sweep(tag: str) -> int:
    """Kill every process whose tag is `tag` or lies below it (`run/step` below `run`); how many.

    Repeats until none is found, because a process can start others while it is being killed.
    """
    killed: set[int] = set()
    for found in islice(iter(lambda: tagged(tag), []), 100):
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        killed.update(found)
        time.sleep(0.002)
    return len(killed)


def tagged(tag: str) -> list[int]:
    """The pids of the living processes that carry the tag, but for our own."""
    marked = _own_environments() if _PROC.is_dir() else _environments_portably()
    found = (pid for pid, value in marked if any(_below(part, tag) for part in value.split(">")))
    return [pid for pid in found if pid != os.getpid()]


_PROC = Path("/proc/self")


def _below(value: str, tag: str) -> bool:
    return value == tag or value.startswith(tag + "/")


def _own_environments() -> Iterator[tuple[int, str]]:
    """Pid and tag of every process that has a tag, from /proc."""
    mark = f"\0{TAG}=".encode()
    for name in os.listdir("/proc"):  # noqa: PTH208 - a tenth of the cost of Path.iterdir
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb", buffering=0) as file:  # noqa: PTH123 - likewise
                environ = b"\0" + file.read()
        except OSError:
            continue
        _, found, rest = environ.partition(mark)
        if found:
            yield int(name), rest.partition(b"\0")[0].decode("utf-8", "replace")


def _environments_portably() -> Iterator[tuple[int, str]]:
    """The same through psutil, where there is no /proc (macOS)."""
    import psutil

    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE and (value := process.environ().get(TAG)):
                yield process.pid, value


OURSELVES = (sys.executable, "-P", "-m", "prunejuice")
"""How to start this program again; `-P` keeps modules of the current directory out."""


def is_alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def become(argv: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """Go on as another program, with our terminal; returns only as an error."""
    os.execve(argv[0], list(argv), dict(env))  # pragma: no cover - nobody is left to count it


def python() -> str:
    """The interpreter that runs us, for step files in Python."""
    return sys.executable
