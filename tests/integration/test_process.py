"""A process ends with everything that it started, and its output is never held in memory."""

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from conftest import wait_for
from prunejuice.errors import MissingToolError
from prunejuice.system import process, process_tags
from prunejuice.system.process import ProcessSpec
from prunejuice.system.stop_request import KILL, STOP, Stop

ENV = {"PATH": os.environ["PATH"]}


def bash(text, tmp_path, **more):
    return ProcessSpec(["bash", "-c", text], tmp_path, ENV, **{"grace": 0.5, "timeout": 20, **more})


def run(text, tmp_path, stop=None, **more):
    kept = bytearray()
    ended = process.run(bash(text, tmp_path, **more), kept.extend, stop)
    return ended, bytes(kept)


def alive(mark):
    """Processes whose arguments hold a mark."""
    found = subprocess.run(["ps", "-eo", "pid=,args="], capture_output=True, text=True, check=True)
    return [line for line in found.stdout.splitlines() if mark in line and "ps -eo" not in line]


@pytest.fixture
def mark():
    """A number of seconds to sleep that no other test uses."""
    return f"7{time.time_ns() % 10**9:09d}"


@pytest.fixture(params=["proc", "portable"])
def system(request, monkeypatch):
    """Both ways to find processes by their tag and to wait for them: /proc and pidfd, and without."""
    if request.param == "portable":
        monkeypatch.setattr(process_tags, "_PROC", Path("/nowhere"))
        monkeypatch.delattr(os, "pidfd_open", raising=False)


def test_output_and_end_are_handed_on(tmp_path):
    assert run("echo out; echo err >&2; exit 3", tmp_path) == (process.ExitStatus(3), b"out\nerr\n")


def test_errors_can_have_a_sink_of_their_own(tmp_path):
    done = process.capture_output(bash("echo out; echo err >&2; exit 3", tmp_path))
    assert done == process.CapturedOutput(3, b"out\n", b"err\n")


def test_a_capture_is_cut_at_its_limit(tmp_path):
    done = process.capture_output(bash("head -c 100000 /dev/zero", tmp_path), limit=1000)
    assert (len(done.stdout), done.truncated) == (1000, True)
    assert process.capture_output(bash("sleep 20", tmp_path, timeout=0.1)).code == 124


def test_a_signal_is_a_code_above_128(tmp_path):
    assert run("kill -SEGV $$", tmp_path)[0].code == 128 + signal.SIGSEGV


def test_stdin_is_closed(tmp_path):
    assert run("cat; echo done", tmp_path)[1] == b"done\n"


def test_missing_program_or_directory_is_a_named_error(tmp_path):
    with pytest.raises(MissingToolError, match="program not found"):
        process.run(ProcessSpec(["/no/such/program"], tmp_path, ENV), print)
    with pytest.raises(MissingToolError, match="directory not found"):
        process.run(ProcessSpec(["true"], tmp_path / "none", ENV), print)
    with pytest.raises(MissingToolError, match="not installed"):
        process.require_program("no-such-program-at-all")
    assert process.require_program("bash").startswith("/")


TREES = {
    "grandchild": "sleep {mark} & sleep {mark}",
    "daemon": "setsid sleep {mark} >/dev/null 2>&1 & sleep 0.2; sleep {mark}",
    "double fork": "(setsid bash -c 'sleep {mark} & disown' >/dev/null 2>&1 &) ; sleep 0.2; sleep {mark}",
    "ignores TERM": "trap '' TERM; sleep {mark}; sleep {mark}",
    "parent gone": "(sleep {mark} &) ; exit 0",
    "storm": "for i in $(seq 100); do sleep {mark} & done; sleep {mark}",
    "closes stdout": "exec >&- 2>&-; sleep {mark}",
}


@pytest.mark.parametrize("name", TREES)
def test_a_time_limit_ends_the_whole_tree(name, tmp_path, mark, system):
    ended, _ = run(TREES[name].format(mark=mark), tmp_path, timeout=0.6, tag=f"t{mark}/a")
    assert ended.timed_out or name == "parent gone"
    assert alive(mark) == []


@pytest.mark.parametrize("level", [STOP, KILL])
def test_a_request_ends_the_whole_tree(level, tmp_path, mark):
    stop = Stop()
    threading.Timer(0.3, stop.request, [level]).start()
    ended, _ = run(f"trap '' TERM; setsid sleep {mark} & sleep {mark}", tmp_path, stop, tag=f"t{mark}/a")
    assert ended.stopped
    assert not ended.timed_out
    assert alive(mark) == []
    stop.close()


def test_a_second_request_does_not_wait_for_the_grace(tmp_path, mark):
    stop = Stop()
    for after, level in ((0.2, STOP), (0.4, KILL)):
        threading.Timer(after, stop.request, [level]).start()
    ended, _ = run(f"trap '' TERM; while true; do sleep 0.1; done # {mark}", tmp_path, stop, grace=3600)
    assert ended.stopped
    assert alive(mark) == []


def test_leftover_children_are_killed_after_a_normal_exit(tmp_path, mark, system):
    ended, out = run(f"setsid sleep {mark} & sleep {mark} & echo done", tmp_path, tag=f"t{mark}/a")
    assert (ended.code, out) == (0, b"done\n")
    assert alive(mark) == []


def test_run_does_not_wait_for_a_foreign_process_on_its_pipe(tmp_path, mark):
    ended, out = run(f"env -i setsid $(command -v sleep) {mark} & echo done", tmp_path, tag=f"t{mark}/a")
    assert (ended.code, out) == (0, b"done\n")
    for line in alive(mark):
        os.kill(int(line.split()[0]), signal.SIGKILL)


def test_kill_tagged_ends_only_processes_below_the_tag(tmp_path, mark, system):
    def start(tag):
        call = ProcessSpec(["sleep", mark], tmp_path, ENV, tag=tag)
        return process.start_detached(call, tmp_path / "log")

    mine, other, similar = start(f"{mark}/a.1"), start("other/a.1"), start(f"{mark}0/a.1")
    until = time.monotonic() + 5
    while mine not in process_tags.tagged_pids(mark) and time.monotonic() < until:
        time.sleep(0.01)
    assert process_tags.kill_tagged(mark) == 1
    assert len(alive(mark)) == 2
    assert process_tags.kill_tagged("other") + process_tags.kill_tagged(f"{mark}0") == 2
    for pid in (mine, other, similar):
        os.waitpid(pid, 0)


def test_nested_process_tag_is_appended_to_the_outer_tag(tmp_path, mark):
    env = {**ENV, process_tags.TAG_VARIABLE: f"{mark}/outer"}
    call = ProcessSpec(["bash", "-c", f"echo ${process_tags.TAG_VARIABLE}"], tmp_path, env, tag="inner/x")
    assert process.capture_output(call).stdout.decode().strip() == f"{mark}/outer>inner/x"


def test_a_sink_that_fails_ends_the_process(tmp_path, mark):
    def full(_chunk):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        process.run(bash(f"echo x; sleep {mark}", tmp_path), full)
    assert alive(mark) == []


def test_much_output_passes_through_little_memory(tmp_path):
    """In a process of its own, because the high-water mark never falls; it begins at that of our parent."""
    script = textwrap.dedent("""
        import os, resource, sys
        from pathlib import Path
        from prunejuice.system import process
        from prunejuice.system.output import OutputLog

        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

        def pass_through(size):
            log = OutputLog(Path(sys.argv[1]), 50_000_000)
            process.run(process.ProcessSpec(["head", "-c", str(size), "/dev/zero"], "/", dict(os.environ)), log)
            log.close()

        pass_through(1)
        before = peak()
        pass_through(1 << 28)
        print(peak() - before)
    """)
    argv = [sys.executable, "-c", script, str(tmp_path / "log")]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 32
    assert 50_000_000 < (tmp_path / "log").stat().st_size < 52_000_000


def test_a_system_without_larger_pipes(tmp_path, monkeypatch):
    monkeypatch.delattr(process.fcntl, "F_SETPIPE_SZ", raising=False)
    assert run("echo out", tmp_path) == (process.ExitStatus(0), b"out\n")


def test_output_of_a_surviving_foreign_process_is_ignored(tmp_path, mark):
    text = f"env -i setsid $(command -v bash) -c 'while echo {mark}; do :; done' & sleep 0.2; echo done"
    ended, _ = run(text, tmp_path, tag=f"t{mark}/a")
    assert ended.code == 0
    for line in alive(mark):
        os.kill(int(line.split()[0]), signal.SIGKILL)


def test_line_of_64_mebibytes_is_streamed_completely(tmp_path):
    seen = 0

    def count(chunk):
        nonlocal seen
        seen += len(chunk)

    process.run(bash("head -c 67108864 /dev/zero | tr '\\0' x", tmp_path), count)
    assert seen == 64 << 20


def test_python_executable_is_the_running_interpreter():
    assert process.python_executable() == sys.executable


def test_exec_program_replaces_the_process_with_arguments_and_environment(tmp_path):
    script = "from prunejuice.system import process; process.exec_program(['/bin/sh', '-c', 'echo $0 $MINE', 'x'], {'MINE': 'y'})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "x y\n"


def test_whether_a_process_is_there(monkeypatch):
    child = subprocess.Popen(["sleep", "60"])
    assert process.is_alive(child.pid)
    child.kill()
    child.wait()
    assert not process.is_alive(child.pid)

    def refuse(_pid, _number):
        raise PermissionError

    monkeypatch.setattr(process.os, "kill", refuse)
    assert process.is_alive(1)


def test_process_reads_its_stdin_and_inherits_passed_descriptors(tmp_path):
    with open(tmp_path / "kept", "w") as kept:
        call = ProcessSpec(
            ["bash", "-c", f"cat; echo inherited >&{kept.fileno()}"],
            tmp_path,
            ENV,
            stdin=b"x" * 300_000,
            pass_fds=(kept.fileno(),),
        )
        assert process.capture_output(call).stdout == b"x" * 300_000
    assert (tmp_path / "kept").read_text() == "inherited\n"


IN_FRONT = """
import os, sys
from prunejuice.system import process
from prunejuice.system.stop_request import Stop

stop = Stop()
stop.request(int(sys.argv[1])) if sys.argv[1] != "0" else None
call = process.ProcessSpec(sys.argv[2:], ".", dict(os.environ))
print("code", process.run_in_foreground(call, stop), flush=True)
"""


class Terminal:
    """A terminal in which a program leads; what it shows so far."""

    def __init__(self, *words):
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.execvpe(words[0], words, {**os.environ, "PS1": "ready: ", "TERM": "dumb"})
        self.shown = ""

    def until(self, text):
        end = time.monotonic() + 30
        while text not in self.shown:
            assert time.monotonic() < end, self.shown
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.shown += os.read(self.fd, 4096).decode()
                except OSError:  # how Linux says that nobody is there any more
                    assert text in self.shown
        self.shown = self.shown.partition(text)[2]

    def type(self, text):
        os.write(self.fd, text.encode())

    def close(self):
        end = time.monotonic() + 10
        while not (gone := os.waitpid(self.pid, os.WNOHANG)[0]) and time.monotonic() < end:
            with contextlib.suppress(OSError):
                if select.select([self.fd], [], [], 0.05)[0]:
                    os.read(self.fd, 4096)
        if not gone:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.fixture
def terminal():
    made = []

    def opened(*words):
        made.append(Terminal(*words))
        return made[-1]

    yield opened
    for each in made:
        each.close()


def test_in_front_of_a_shell_we_are_suspended_with_what_we_run(terminal, tmp_path):
    program = tmp_path / "front.py"
    program.write_text(IN_FRONT)
    shell = terminal("bash", "--norc", "--noprofile", "-i")
    shell.until("ready: ")
    shell.type(f"{sys.executable} {program} 0 bash -c 'kill -STOP $$; echo went on; exit 3'\n")
    shell.until("Stopped")
    shell.until("ready: ")
    shell.type("fg\n")
    shell.until("\nwent on")
    shell.until("code 3")
    shell.type("exit\n")


@pytest.mark.parametrize(
    ("level", "text", "code"),
    [
        (0, "kill -STOP $$; exit 3", 3),
        (STOP, "sleep 60", 128 + signal.SIGTERM),
        (KILL, "trap '' TERM; sleep 60; sleep 60", 128 + signal.SIGKILL),
    ],
)
def test_program_continues_without_a_job_control_shell_and_stops_on_request(terminal, level, text, code):
    front = terminal(sys.executable, "-c", IN_FRONT, str(level), "bash", "-c", text)
    front.until(f"code {code}")


def test_the_members_of_a_group_are_found_without_those_that_ended(system):
    script = "sleep 30 & sleep 0 & exec sleep 30"
    leader = subprocess.Popen(["bash", "-c", script], start_new_session=True)
    try:
        members = wait_for(lambda: (found := process_tags.group_members(leader.pid))[1:] and found)
        assert leader.pid in members
        assert os.getpid() not in members
        assert all(process_tags.resident_bytes(pid) > 0 for pid in members)
        assert process_tags.signal_followers(leader.pid, signal.SIGKILL)
        wait_for(lambda: process_tags.group_members(leader.pid) == [leader.pid])
        assert not process_tags.signal_followers(leader.pid, signal.SIGKILL)
        assert leader.poll() is None
    finally:
        leader.kill()
        leader.wait()
    assert process_tags.group_members(leader.pid) == []
    assert process_tags.resident_bytes(leader.pid) == 0


@pytest.mark.parametrize("followers", ["sleep 30 & wait", "exec sleep 30"])
def test_a_leader_that_waits_is_ended_last(tmp_path, stop, followers):
    call = bash(followers, tmp_path)._replace(leader_waits=True, grace=20)
    threading.Timer(0.5, stop.request, [STOP]).start()
    began = time.monotonic()
    assert process.run(call, lambda _: None, stop).stopped
    assert time.monotonic() - began < 15


def test_a_process_is_started_in_its_sandbox(tmp_path):
    entered = []

    @contextlib.contextmanager
    def sandbox(call):
        entered.append(call.argv[0])
        yield call._replace(argv=["env", "INSIDE=yes", *call.argv], sandbox=None)

    call = bash("echo $INSIDE", tmp_path)._replace(sandbox=sandbox)
    assert process.capture_output(call).stdout == b"yes\n"
    with process.open_pipes(call, tmp_path / "errors") as (_, out):
        assert out.read() == b"yes\n"
    assert len(entered) == 2
