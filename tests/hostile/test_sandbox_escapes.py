"""Every escape works without a sandbox, and none does in one: whole runs of `prj run`."""

import contextlib
import ctypes
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from escapes import ESCAPES, SECRET_FILES

from conftest import git
from prunejuice.sandbox.programs.bwrap import Bubblewrap

pytestmark = pytest.mark.skipif(
    bool(Bubblewrap().find_problem(os.environ)[0]), reason="no sandbox can be made here"
)
SECRET = "correct-horse-battery-staple"
WATCHED = ("home", "checkout", "outside", "temporary")


class Collector:
    """Servers of this machine that keep what they receive."""

    def __init__(self):
        self.received = bytearray()
        self.sockets = []

    def listen(self, family, address, kind=socket.SOCK_STREAM):
        listener = socket.socket(family, kind)
        listener.bind(address)
        self.sockets.append(listener)
        if kind == socket.SOCK_STREAM:
            listener.listen(16)
        threading.Thread(target=self._serve, args=(listener, kind), daemon=True).start()
        return listener.getsockname()[1] if isinstance(listener.getsockname(), tuple) else address

    def _serve(self, listener, kind):
        with contextlib.suppress(OSError):
            while True:
                if kind == socket.SOCK_DGRAM:
                    self.received += listener.recv(1000)
                    continue
                client, _ = listener.accept()
                threading.Thread(target=self._read, args=(client,), daemon=True).start()

    def _read(self, client):
        client.settimeout(2)
        with client, contextlib.suppress(OSError):
            while data := client.recv(1000):
                self.received += data

    def close(self):
        for each in self.sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@pytest.fixture
def yard(surroundings, project, tmp_path_factory, monkeypatch):
    """A home with secrets, a project with a worktree to come, servers, and a process to attack."""
    home = surroundings
    for name in SECRET_FILES:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(f"{SECRET}\n")
    (home / ".local/bin").mkdir(parents=True)
    (home / ".local/bin/git").write_text("#!/bin/sh\n")
    for folder, name in (("state/runs/other/logs", "1.log"), ("config", "config.yaml")):
        (home / folder).mkdir(parents=True, exist_ok=True)
        (home / folder / name).write_text(f"# {SECRET}\n")
    temporary, outside = tmp_path_factory.mktemp("temporary"), tmp_path_factory.mktemp("outside")
    (temporary / "token").write_text(SECRET)
    (project.root / ".gitignore").write_text(".venv\n")
    (project.root / ".venv/lib").mkdir(parents=True)
    git(project.root, "config", "extensions.worktreeConfig", "true")
    git(project.root, "branch", "other")
    collector = Collector()
    # A path of a socket must be short.
    short = Path("/tmp") / f"prj-{os.getpid()}-{outside.name}"
    short.mkdir()
    sockets = {
        "socket": home / "docker.sock",
        "temporary_socket": short / "s",
        "checkout_socket": project.root / "s.sock",
    }
    for path in sockets.values():
        with contextlib.suppress(OSError):  # one whose path is too long is reached by its folder
            collector.listen(socket.AF_UNIX, str(path))
    name = f"prj-escape-{outside.name}-{os.getpid()}"
    collector.listen(socket.AF_UNIX, f"\0{name}")
    allowed = Collector()
    with (home / ".ssh/id_ed25519").open() as key:
        argv = [sys.executable, "-c", "import time; time.sleep(300)", SECRET]
        victim = subprocess.Popen(argv, env={"HOME": str(home), "KEY": SECRET}, cwd=home, stdin=key)
    shared = Path("/dev/shm") / name
    shared.mkdir()
    made = SimpleNamespace(
        project=project,
        secret=SECRET,
        name=name,
        home=home,
        home_name=home.name,
        state=home / "state",
        config=home / "config",
        temporary=temporary,
        outside=outside,
        shared=shared,
        checkout=project.root,
        git=project.root / ".git",
        victim=victim.pid,
        process=victim,
        collector=collector,
        port=collector.listen(socket.AF_INET, ("0.0.0.0", 0)),
        udp=collector.listen(socket.AF_INET, ("127.0.0.1", 0), socket.SOCK_DGRAM),
        allowed=allowed.listen(socket.AF_INET, ("127.0.0.1", 0)),
        tmux=short / "tmux",
        agent=short / "agent",
        short=short,
        address=own_address(),
        port6=0,
        segment="",
        processes=[],
        **sockets,
    )
    made.direct = made.port
    yield made
    for process in [victim, *made.processes]:
        process.kill()
        process.wait()
    collector.close()
    allowed.close()
    subprocess.run(["tmux", "-S", str(made.tmux), "kill-server"], capture_output=True, check=False)
    for folder in (short, shared):
        shutil.rmtree(folder, ignore_errors=True)
    Path("/usr/local/lib", name).unlink(missing_ok=True)


def own_address():
    """The address of this machine that is not the loopback, or the loopback."""
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return probe.getsockname()[0]


def prepare(yard, escape):
    """Skip what this machine cannot show; start what only some escapes need."""
    if escape.as_root and os.geteuid():
        pytest.skip("it works for root only")
    if escape.needs == "ipv6":
        try:
            yard.port6 = yard.collector.listen(socket.AF_INET6, ("::1", 0))
        except OSError:
            pytest.skip("there is no IPv6 here")
    elif escape.needs and shutil.which(escape.needs) is None:
        pytest.skip(f"{escape.needs} is not installed")
    if escape.needs == "tmux":
        subprocess.run(["tmux", "-S", str(yard.tmux), "new-session", "-d"], check=True)
    if escape.needs == "ssh-agent":
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(yard.agent)], stdout=subprocess.DEVNULL)
        yard.processes.append(agent)
        until = time.monotonic() + 10
        while not yard.agent.exists() and time.monotonic() < until:
            time.sleep(0.01)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", SECRET, "-f", yard.short / "key"],
                       check=True)  # fmt: skip
        subprocess.run(["ssh-add", "-q", yard.short / "key"], env={"SSH_AUTH_SOCK": str(yard.agent),
                       "PATH": os.environ["PATH"]}, check=True)  # fmt: skip
    if escape.needs == "ipcs":
        libc = ctypes.CDLL(None)
        yard.segment = libc.shmget(0, 4096, 0o1600)


def run(yard, escape, mode):
    """Run the script of an escape as a step; its log and the run."""
    text = escape.script.format(**vars(yard))
    allow = f"allow: {{hosts: ['127.0.0.1:{yard.allowed}']}}\n" if mode == "files+net" else ""
    body = "\n".join(f"      {line}" for line in text.splitlines())
    command = (
        f"sandbox: {mode}\n{allow}pre_steps: [create-worktree]\nsteps:\n"
        f"  - name: work\n    script: |\n      set +e +o pipefail\n{body}\n      true\n"
    )
    yard.project.command("t", command)
    git(yard.checkout, "add", ".prj", ".gitignore")
    git(yard.checkout, "commit", "-qm", "commands")
    before = picture(yard)
    answer, made = yard.project.run("t")
    assert made, answer
    return made, before


def picture(yard):
    """A digest of every file outside, without what a run itself writes."""
    found = {}
    for root in (yard.home, yard.checkout, yard.outside, yard.temporary, yard.shared):
        for path in sorted(root.rglob("*")):
            name = str(path)
            if path.is_symlink() or (path.is_file() and not is_of_run(yard, name)):
                content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
                found[name] = hashlib.sha256(content).hexdigest()
    for path in (Path("/usr/local/lib", yard.name), yard.checkout.with_name("shop-worktrees") / "evil"):
        if path.exists():
            found[str(path)] = "there"
    return found


def is_of_run(yard, name):
    """Whether a run may write a file: its history, and its own objects and refs in the repository."""
    if name.endswith(("/evil", "/evil.order")) and "/.git/refs/prunejuice/" not in name:
        return False
    state, git_dir = f"{yard.state}/", f"{yard.git}/"
    own = ("objects/", "worktrees/", "prunejuice", "refs/heads/pj-", "refs/prunejuice/", "logs/", "index")
    if name.startswith(git_dir) and not name.startswith(f"{git_dir}objects/info/"):
        return name.removeprefix(git_dir).startswith(own)
    return name.startswith((state, f"{yard.home}/.cache")) or (
        "/.prj/" not in name and name.endswith(".lock")
    )


def read_log(yard, made):
    entry = next(step for step in made["steps"] if step["step"] == "work")
    return (yard.state / "runs" / made["id"] / entry["log"]).read_text(errors="replace")


def got_out(yard, escape, made, before):
    """Whether an escape did what it is for."""
    log = read_log(yard, made)
    worktree = Path(made["worktree"])
    if escape.kind == "reads":
        return SECRET in log
    if escape.kind == "prints":
        return "ESCAPED" in log
    if escape.kind == "kills":
        time.sleep(0.05)
        return yard.process.poll() is not None
    if escape.kind == "reaches":
        time.sleep(0.1)
        return SECRET.encode() in yard.collector.received
    if escape.kind == "runs":
        for folder in (worktree, worktree / "sub", worktree / "evil"):
            if folder.is_dir():
                subprocess.run(["git", "status"], cwd=folder, capture_output=True, check=False)
        return (yard.outside / "RAN").exists()
    if escape.name == "outlive the step":
        time.sleep(1.3)
    if escape.name == "git: delete objects":
        return (
            subprocess.run(["git", "fsck"], cwd=yard.checkout, capture_output=True, check=False).returncode
            != 0
        )
    if escape.name.startswith("control:"):
        return any("evil" in path.read_text(errors="replace") for path in worktree.rglob("*")
                   if path.is_file() and path.name != "t.yaml") or "evil" in (
                       worktree / ".prj/commands/t.yaml").read_text().splitlines()[-1]  # fmt: skip
    return picture(yard) != before


@pytest.mark.parametrize("escape", ESCAPES, ids=lambda escape: escape.name)
def test_an_escape_works_without_a_sandbox(yard, escape):
    prepare(yard, escape)
    made, before = run(yard, escape, "off")
    assert got_out(yard, escape, made, before), read_log(yard, made)


@pytest.mark.parametrize("escape", ESCAPES, ids=lambda escape: escape.name)
def test_no_escape_works_in_a_sandbox(yard, escape):
    prepare(yard, escape)
    made, before = run(yard, escape, escape.mode)
    log = read_log(yard, made)
    assert not got_out(yard, escape, made, before), log
    assert made["status"] == "completed", log
    # The worktree is still one, and its repository whole.
    assert git(made["worktree"], "rev-parse", "--abbrev-ref", "HEAD") == made["branch"]
    git(yard.checkout, "fsck")


def test_there_are_at_least_sixty():
    assert len({escape.name for escape in ESCAPES}) == len(ESCAPES) >= 60
