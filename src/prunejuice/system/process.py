"""Start processes, and stop them together with everything they started.

All processes are started here. Each runs in a new session, with stdin closed. Its output is passed on in
chunks, so memory use does not grow with the output. Stopping sends TERM to the process group, waits for a
grace period, sends KILL, and then kills every process that carries the tag in its environment: daemons
that left the group, and leftovers of a driver that was killed.
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
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, NamedTuple, NoReturn, cast

from prunejuice.errors import MissingToolError
from prunejuice.system.grace_period import DEFAULT_GRACE
from prunejuice.system.process_tags import TAG_VARIABLE, group_members, kill_tagged, signal_followers
from prunejuice.system.stop_request import KILL, STOP, Stop

_POLL_SECONDS = 0.05
"""Seconds between two checks of a foreground process."""

CHUNK = 1 << 18
LINGER_SECONDS = 0.5
"""Seconds to wait for remaining output after a process has ended."""

Sink = Callable[[bytes], object]


class ProcessSpec(NamedTuple):
    """A process to start.

    `timeout` and `grace` are seconds. `tag` identifies the process and its descendants for `kill_tagged`.
    `stdin` is the content of its standard input. `pass_fds` are descriptors that it inherits, such as that
    of a lock that must be held for as long as the process lives, even if this program dies. `sandbox` makes
    of the process the one that runs it in a sandbox, in which it reaches the `ports` of this machine and
    sees the `shown` paths. With `leader_waits`, the first process only waits for
    the others: it gets no TERM, so that they can end by themselves.
    """

    argv: Sequence[str]
    cwd: Path | str
    env: Mapping[str, str]
    timeout: float = 300
    grace: float = DEFAULT_GRACE
    tag: str = ""
    stdin: bytes = b""
    pass_fds: tuple[int, ...] = ()
    sandbox: "SandboxEntry | None" = None
    leader_waits: bool = False
    ports: tuple[int, ...] = ()
    shown: tuple[str, ...] = ()


SandboxEntry = Callable[[ProcessSpec], AbstractContextManager[ProcessSpec]]
"""Opens a sandbox for a process: the context has the process to start in its place."""


class ExitStatus(NamedTuple):
    """The exit code of a process (128 + signal if killed), and whether it timed out or was stopped."""

    code: int
    timed_out: bool = False
    stopped: bool = False


class CapturedOutput(NamedTuple):
    """The exit code and output of a process; `truncated` if the output exceeded the limit."""

    code: int
    stdout: bytes
    stderr: bytes
    truncated: bool = False


def require_program(name: str, path: str | None = None) -> str:
    """Return the absolute path of a program.

    Raises:
        MissingToolError: the program is not installed.
    """
    program = shutil.which(name, path=path)
    if not program:
        raise MissingToolError(f"{name} is not installed", f"install {name} and run this again")
    return str(Path(program).absolute())


def bash_argv(text: str, path: str | None) -> list[str]:
    """Return the arguments that run a script with bash, found in `path`, stopping at the first failure."""
    return [require_program("bash", path), "--noprofile", "--norc", "-eo", "pipefail", "-c", text]


def run(call: ProcessSpec, sink: Sink, stop: Stop | None = None, errors: Sink | None = None) -> ExitStatus:
    """Run a process until it ends, and return its exit status.

    `sink` receives its stdout, and also its stderr unless `errors` is given.

    Raises:
        MissingToolError: the program or the directory does not exist.
        OSError: the process could not be started.
    """
    with enter_sandbox(call) as inner:
        return _run(inner, sink, stop, errors)


def enter_sandbox(call: ProcessSpec) -> AbstractContextManager[ProcessSpec]:
    """Return a context with the process to start: `call`, or the one that runs it in its sandbox."""
    return nullcontext(call) if call.sandbox is None else call.sandbox(call)


def _run(call: ProcessSpec, sink: Sink, stop: Stop | None, errors: Sink | None) -> ExitStatus:
    child, output = _start_with_merged_output(call) if errors is None else _start_with_separate_output(call)
    watcher = _ProcessWatcher(child, call, stop)
    with watcher.watch_streams([(output, sink), (child.stderr, errors)]):
        try:
            watcher.wait_until_exit()
        finally:
            _kill_group(child.pid, call.tag)
            child.wait()
        # Only now: a background process in the group could hold the pipe open.
        watcher.drain_output()
    return watcher.exit_status()


def capture_output(call: ProcessSpec, limit: int = 16 << 20, stop: Stop | None = None) -> CapturedOutput:
    """Run a process and capture at most `limit` bytes each of its stdout and stderr.

    The exit code is 124 if the process timed out, as with `timeout(1)`.
    """
    buffers: tuple[bytearray, bytearray] = (bytearray(), bytearray())
    sizes = [0, 0]

    def buffer_sink(index: int) -> Sink:
        def sink(chunk: bytes) -> None:
            buffers[index].extend(chunk[: limit - len(buffers[index])])
            sizes[index] += len(chunk)

        return sink

    status = run(call, buffer_sink(0), stop, buffer_sink(1))
    code = 124 if status.timed_out else status.code
    return CapturedOutput(code, bytes(buffers[0]), bytes(buffers[1]), max(sizes) > limit)


def run_in_foreground(call: ProcessSpec, stop: Stop | None = None) -> int:
    """Run a process in the foreground of the terminal, as a shell does, and return its exit code.

    The process receives all keys, including Ctrl-C. When a key suspends the process, this program is
    suspended too, until its shell continues it.

    Raises:
        MissingToolError: the program or the directory does not exist.
    """
    with enter_sandbox(call) as inner:
        return _run_in_foreground(inner, stop)


def _run_in_foreground(call: ProcessSpec, stop: Stop | None) -> int:
    own_group = os.tcgetpgrp(0)
    settings = termios.tcgetattr(0)
    child = _start_suspended(call)
    # As a background process, we would be stopped by SIGTTOU when taking the terminal back.
    old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        code = _wait_in_foreground(child, own_group, stop)
        return code if code >= 0 else 128 - code
    finally:
        _kill_group(child.pid, call.tag)
        os.tcsetpgrp(0, own_group)
        termios.tcsetattr(0, termios.TCSADRAIN, settings)
        signal.pthread_sigmask(signal.SIG_SETMASK, old_mask)


def _start_suspended(call: ProcessSpec) -> "subprocess.Popen[bytes]":
    """Start a shell that stops itself, and becomes the program when it is continued.

    So the program does not run before its group has the terminal.
    """
    program = require_program(call.argv[0], call.env.get("PATH"))
    argv = ["/bin/sh", "-c", 'kill -STOP $$; exec "$@"', "sh", program, *call.argv[1:]]
    with _translate_not_found(call):
        env = tagged_environment(call)
        return subprocess.Popen(argv, cwd=call.cwd, env=env, process_group=0, pass_fds=call.pass_fds)


def _wait_in_foreground(child: "subprocess.Popen[bytes]", own_group: int, stop: Stop | None) -> int:
    started = False
    while True:
        pid, status = os.waitpid(child.pid, os.WNOHANG | os.WUNTRACED)
        if pid and not os.WIFSTOPPED(status):
            child.returncode = os.waitstatus_to_exitcode(status)
            return child.returncode
        if pid:
            if started:  # the first stop is that of `_start_suspended`
                _suspend_self(own_group)
            started = True
            os.tcsetpgrp(0, child.pid)
            _signal_group(child.pid, signal.SIGCONT)
        if stop is not None and stop.level:
            _signal_group(child.pid, signal.SIGKILL if stop.level > STOP else signal.SIGTERM)
        time.sleep(_POLL_SECONDS)


def _suspend_self(own_group: int) -> None:
    """Return the terminal to our group, and stop until a shell continues us."""
    os.tcsetpgrp(0, own_group)
    # If our group leads the session, there is no shell that could continue us.
    if os.getsid(0) != os.getpgrp():
        os.killpg(0, signal.SIGSTOP)


@contextmanager
def open_pipes(call: ProcessSpec, errors: Path) -> "Iterator[tuple[IO[bytes], IO[bytes]]]":
    """Run a process for the duration of the context, and yield its stdin and stdout.

    Its stderr is appended to the file `errors`. At the end, the process and its descendants are stopped.

    Raises:
        MissingToolError: the program or the directory does not exist.
    """
    with enter_sandbox(call) as inner, _open_pipes(inner, errors) as pipes:
        yield pipes


@contextmanager
def _open_pipes(call: ProcessSpec, errors: Path) -> "Iterator[tuple[IO[bytes], IO[bytes]]]":
    with errors.open("ab") as stderr, _translate_not_found(call):
        child = subprocess.Popen(
            list(call.argv),
            cwd=call.cwd,
            env=tagged_environment(call),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
            pass_fds=call.pass_fds,
        )
    try:
        yield cast("IO[bytes]", child.stdin), cast("IO[bytes]", child.stdout)
    finally:
        _signal_group(child.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            child.wait(call.grace)
        _kill_group(child.pid, call.tag)
        child.wait()
        for stream in (child.stdin, child.stdout):
            with suppress(OSError):
                cast("IO[bytes]", stream).close()


@contextmanager
def _translate_not_found(call: ProcessSpec) -> Iterator[None]:
    """Turn `FileNotFoundError` into an error that names the missing program or directory."""
    try:
        yield
    except FileNotFoundError as error:
        missing = ("program", call.argv[0]) if Path(call.cwd).is_dir() else ("directory", str(call.cwd))
        raise MissingToolError(f"{missing[0]} not found: {missing[1]!r}") from error


def start_detached(call: ProcessSpec, log: Path) -> int:
    """Start a process that outlives this one, with its output appended to `log`, and return its pid."""
    with log.open("ab") as file:
        child = _start_process(call, file, subprocess.STDOUT)
    child.returncode = 0  # silences the ResourceWarning of a process that is never waited for
    return child.pid


def _start_with_merged_output(call: ProcessSpec) -> "tuple[subprocess.Popen[bytes], IO[bytes] | None]":
    """Start a process that also inherits the reading end of its output pipe.

    If this program dies, the process can still write without SIGPIPE, and so ends with its real status.
    """
    reader, writer = os.pipe()
    with ExitStack() as stack, os.fdopen(writer, "wb"):
        output = stack.enter_context(os.fdopen(reader, "rb"))
        child = _start_process(call, writer, subprocess.STDOUT, pass_fds=(reader,))
        stack.pop_all()
    return child, output


def _start_with_separate_output(call: ProcessSpec) -> "tuple[subprocess.Popen[bytes], IO[bytes] | None]":
    child = _start_process(call, subprocess.PIPE, subprocess.PIPE)
    return child, child.stdout


def _start_process(
    call: ProcessSpec, out: "int | IO[bytes]", err: "int | IO[bytes]", pass_fds: tuple[int, ...] = ()
) -> subprocess.Popen[bytes]:
    with _open_stdin(call.stdin) as stdin, _translate_not_found(call):
        return subprocess.Popen(
            list(call.argv),
            cwd=call.cwd,
            env=tagged_environment(call),
            stdin=stdin,
            stdout=out,
            stderr=err,
            start_new_session=True,
            pass_fds=(*pass_fds, *call.pass_fds),
        )


def tagged_environment(call: ProcessSpec) -> dict[str, str]:
    """Return the environment of a process, with its tag appended to the tags it inherits."""
    env = dict(call.env)
    if call.tag:
        env[TAG_VARIABLE] = f"{env[TAG_VARIABLE]}>{call.tag}" if env.get(TAG_VARIABLE) else call.tag
    return env


@contextmanager
def _open_stdin(content: bytes) -> "Iterator[int | IO[bytes]]":
    """Yield a file with the content of stdin. Unlike a pipe, a file does not have to be fed."""
    if not content:
        yield subprocess.DEVNULL
        return
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        yield file


class _ProcessWatcher:
    """Waits for output, exit, the time limit and stop requests of one process at the same time."""

    def __init__(self, child: subprocess.Popen[bytes], call: ProcessSpec, stop: Stop | None) -> None:
        self.child = child
        self.call = call
        self.stop = stop
        self.deadline = time.monotonic() + call.timeout
        self.timed_out = False
        self.sent_level = 0
        self.selector = selectors.DefaultSelector()

    @contextmanager
    def watch_streams(self, pairs: Iterable[tuple[IO[bytes] | None, Sink | None]]) -> Iterator[None]:
        """Register the streams that are not None, and close them at the end of the context."""
        with ExitStack() as stack:
            stack.enter_context(self.selector)
            for stream, sink in pairs:
                if stream is not None:
                    stack.enter_context(stream)
                    _enlarge_pipe(stream)
                    self.selector.register(stream, selectors.EVENT_READ, sink)
            yield

    def wait_until_exit(self) -> None:
        exit_fd = self.open_exit_descriptor()
        with os.fdopen(exit_fd, "rb"):
            self.selector.register(exit_fd, selectors.EVENT_READ)
            if self.stop:
                self.selector.register(self.stop, selectors.EVENT_READ)
            while self.child.returncode is None:
                self.poll_once()
        for key in [key for key in self.selector.get_map().values() if key.data is None]:
            self.selector.unregister(key.fileobj)

    def exit_status(self) -> ExitStatus:
        code = self.child.returncode
        stopped = bool(self.sent_level and not self.timed_out)
        return ExitStatus(code if code >= 0 else 128 - code, self.timed_out, stopped)

    def open_exit_descriptor(self) -> int:
        """Return a descriptor that becomes readable when the process has ended."""
        if open_pidfd := getattr(os, "pidfd_open", None):  # Linux
            with suppress(OSError):
                return cast("int", open_pidfd(self.child.pid))
        reader, writer = os.pipe()

        def wait() -> None:
            self.child.wait()
            os.close(writer)

        threading.Thread(target=wait, daemon=True).start()
        return reader

    def poll_once(self) -> None:
        for key, _ in self.selector.select(self.poll_timeout()):
            if key.fileobj is self.stop:
                # It stays readable, which would turn the loop into a busy wait.
                self.selector.unregister(self.stop)
            elif key.data is not None:
                self.forward_output(key)
            else:
                self.child.wait()
        self.enforce_limits()

    def poll_timeout(self) -> float:
        """Return the seconds until the next action; a stop level that may still rise is polled."""
        stopping = self.stop is not None and self.stop.level > 0
        return max(0.0, min(self.deadline - time.monotonic(), 0.05 if stopping else 3600.0))

    def enforce_limits(self) -> None:
        """Send TERM on a timeout or stop request, and KILL when the grace period is over."""
        level = self.stop.level if self.stop else 0
        if not self.sent_level and (level or time.monotonic() >= self.deadline):
            self.timed_out = not level
            self.deadline = time.monotonic() + self.call.grace
            self.send_signal(signal.SIGTERM, STOP)
        if self.sent_level == STOP and (level >= KILL or time.monotonic() >= self.deadline):
            self.deadline = math.inf
            self.send_signal(signal.SIGKILL, KILL)

    def send_signal(self, number: int, level: int) -> None:
        self.sent_level = level
        if self.call.leader_waits and level == STOP and signal_followers(self.child.pid, number):
            return
        _signal_group(self.child.pid, number)

    def forward_output(self, key: selectors.SelectorKey) -> None:
        chunk = os.read(key.fd, CHUNK)
        if chunk:
            key.data(chunk)
        else:
            self.selector.unregister(key.fileobj)

    def drain_output(self) -> None:
        """Read the remaining output, for at most `LINGER_SECONDS` if another process holds a pipe open."""
        until = time.monotonic() + LINGER_SECONDS
        while time.monotonic() < until and self.selector.get_map():
            for key, _ in self.selector.select(max(0.0, until - time.monotonic())):
                self.forward_output(key)


def _enlarge_pipe(stream: IO[bytes]) -> None:
    """Enlarge the buffer of a pipe where the system allows it (Linux), for fewer and larger reads."""
    if resize := getattr(fcntl, "F_SETPIPE_SZ", None):
        with suppress(OSError):
            fcntl.fcntl(stream, resize, 1 << 20)


def _signal_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _kill_group(group: int, tag: str) -> None:
    """Kill every process of a group, and every process that carries the tag."""
    if _signal_group(group, signal.SIGTERM):
        until = time.monotonic() + LINGER_SECONDS
        # Where nothing reaps orphans, such as in a container, they remain in the group for ever.
        while _signal_group(group, 0) and group_members(group) and time.monotonic() < until:
            time.sleep(0.005)
        _signal_group(group, signal.SIGKILL)
    if tag:
        kill_tagged(tag)


SELF_ARGV = (sys.executable, "-P", "-m", "prunejuice")  # -P: no imports from the current directory


def is_alive(pid: int) -> bool:
    """Return whether a process with this pid exists."""
    try:
        os.kill(pid, 0)
    except OSError as error:  # without permission it exists, and belongs to another user
        return isinstance(error, PermissionError)
    return True


def exec_program(argv: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """Replace this process with another program. Return only by raising an error."""
    os.execve(argv[0], list(argv), dict(env))  # pragma: no cover - coverage data is lost


def python_executable() -> str:
    """Return the path of the running interpreter, for step files in Python."""
    return sys.executable
