"""What all tests share: an environment of their own, real repositories, and `prj` as a user calls it."""

import gc
import io
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings

from prunejuice.cli import error_boundary
from prunejuice.cli.codebot import codebot as codebot_group
from prunejuice.cli.codeclip import codeclip as codeclip_command
from prunejuice.cli.plum import plum as plum_group
from prunejuice.cli.pots import pots as pots_group
from prunejuice.cli.prj import prj as prj_group
from prunejuice.system.stop_request import Stop

# The background of a shell ignores these signals, and children inherit it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGQUIT) == signal.SIG_IGN:
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)

# The same examples each time, so that a run tells of a change and not of luck; new ones by --hypothesis-profile=new.
settings.register_profile("same", derandomize=True)
settings.register_profile("new", derandomize=False)
settings.register_profile("fast", derandomize=True, max_examples=10)
settings.load_profile("same")

SLOW = (
    "test_acp_programs",
    "test_agent",
    "test_agent_steps",
    "test_agents",
    "test_bad_input",
    "test_change_set",
    "test_context",
    "test_context_limits",
    "test_context_score",
    "test_docs",
    "test_environments",
    "test_example_extensions",
    "test_exercises",
    "test_file_limit",
    "test_fix",
    "test_git_config",
    "test_human_eval",
    "test_installed_packages",
    "test_interactive_steps",
    "test_kill",
    "test_library",
    "test_linear_patterns",
    "test_local_model",
    "test_mcp",
    "test_obedient_model",
    "test_paths",
    "test_process",
    "test_programs",
    "test_protected_check",
    "test_protected_check_languages",
    "test_proxies",
    "test_refactor",
    "test_regressions",
    "test_regressions_resume",
    "test_regressions_work",
    "test_run_actions",
    "test_snapshot",
    "test_submit",
    "test_summarize",
    "test_templates",
    "test_transaction",
    "test_tutorial",
    "test_trust_and_secrets",
    "test_unfinished_answers",
    "test_verbs",
    "test_verbs_on_terminal",
    "test_worktree_regressions",
)
"""Files with agents, model servers and whole runs, storms of processes, or a crash at every call."""


def pytest_xdist_auto_num_workers():
    """One worker more than cores: most tests wait for a process half of their time."""
    return (os.cpu_count() or 1) + 1


_ended = itertools.count(1)


def pytest_runtest_teardown():
    """Close now and then what commands of this process left open: it would end with the process of a user."""
    if next(_ended) % 25 == 0:
        gc.collect()


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.stem in SLOW:
            item.add_marker(pytest.mark.slow)
    # The longest file first: at the end, one worker would be left alone with it.
    items.sort(key=lambda item: item.path.stem != "test_environments")


NEEDS_TMUX = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


@pytest.fixture(autouse=True)
def surroundings(tmp_path_factory, monkeypatch):
    """A home, a state directory and a tmux server that belong to one test alone."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(("PRUNEJUICE_", "GIT_", "XDG_", "TMUX")):
            monkeypatch.delenv(name)
    gitconfig = home / ".gitconfig"
    gitconfig.write_text("[user]\nname = tester\nemail = tester@localhost\n[init]\ndefaultBranch = main\n")
    socket = f"prj-test-{uuid.uuid4().hex[:8]}"
    values = {
        "HOME": str(home),
        "PRUNEJUICE_HOME": str(home / "state"),
        "PRUNEJUICE_CONFIG": str(home / "config"),
        "PRUNEJUICE_TMUX_SOCKET": socket,
        "PRUNEJUICE_GRACE": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    yield home
    if Path(f"/tmp/tmux-{os.getuid()}/{socket}").exists():
        subprocess.run(["tmux", "-L", socket, "kill-server"], capture_output=True, check=False)


def wait_for(check, seconds=120):
    """Call `check` until its result is true; that result."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := check():
            return found
        time.sleep(0.03)
    raise AssertionError(f"{check} did not come true in {seconds} seconds")


def git(directory, *args):
    """Run git; what it printed."""
    done = subprocess.run(["git", *args], cwd=directory, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="session")
def first_repository(tmp_path_factory):
    """A git repository with one commit, to be copied."""
    place = tmp_path_factory.mktemp("first") / "shop"
    git(place.parent, "-c", "init.defaultBranch=main", "init", "-q", "--template=", str(place))
    (place / ".git" / "info").mkdir()
    (place / "a.txt").write_text("one\n")
    git(place, "add", ".")
    git(place, "-c", "user.name=tester", "-c", "user.email=tester@localhost", "commit", "-qm", "first")
    return place


@pytest.fixture
def repository(first_repository, tmp_path):
    """A git repository with one commit."""
    shutil.copytree(first_repository, tmp_path / "shop")
    git(tmp_path / "shop", "update-index", "-q", "--refresh")
    return tmp_path / "shop"


def write_files(root, files):
    """Write texts to their paths below a folder."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


@pytest.fixture
def remote(tmp_path):
    """An empty bare repository, to push to."""
    git(tmp_path, "init", "-q", "--bare", "remote.git")
    return tmp_path / "remote.git"


@pytest.fixture
def forge(monkeypatch):
    """A forge with issue 12, which every program of the test finds."""
    from prunejuice.testing import Forge

    with Forge(issues={12: ("Totals are wrong", "The sum of [1, 2] is 0.")}) as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made


class Answer(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


class Project:
    """A repository with `.prj`, and `prj` called inside it."""

    def __init__(self, root, capsys, monkeypatch):
        self.root = root
        self.home = Path(os.environ["PRUNEJUICE_HOME"])
        self.capsys = capsys
        monkeypatch.chdir(root)

    def commit(self, message, **files):
        """Commit files of Python by their stems."""
        for stem, text in files.items():
            (self.root / f"{stem}.py").write_text(text)
        git(self.root, "add", ".")
        git(self.root, "commit", "-qm", message)
        return self

    def prj(self, *args):
        """Call prj in this process."""
        return self._call(prj_group, args)

    def plum(self, *args):
        """Call plum in this process."""
        return self._call(plum_group, args)

    def pots(self, *args):
        """Call pots in this process."""
        return self._call(pots_group, args)

    def codebot(self, *args, given=None):
        """Call codebot in this process, with text on stdin."""
        stdin = io.TextIOWrapper(io.BytesIO((given or "").encode()))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", stdin)
            return self._call(codebot_group, args)

    def codeclip(self, *args, given=None):
        """Call codeclip in this process, with text on stdin."""
        stdin = io.TextIOWrapper(io.BytesIO((given or "").encode()))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", stdin)
            return self._call(codeclip_command, args)

    def _call(self, group, args):
        self.capsys.readouterr()
        code = error_boundary.run_command_line(group, [str(arg) for arg in args])
        out, err = self.capsys.readouterr()
        return Answer(code, out, err)

    def command(self, name, text, *, trust=True):
        """Write a command of the project."""
        folder = self.root / ".prj" / "commands"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.yaml").write_text(textwrap.dedent(text))
        if trust:
            self.prj("trust")

    def step(self, name, text):
        """Write a step file of the project."""
        folder = self.root / ".prj" / "steps"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text))
        self.prj("trust")

    def run(self, name, *args):
        """Run a command; its answer and the run as JSON."""
        answer = self.prj("run", name, *args, "--json")
        return answer, (answer.json if answer.out else None)

    def spawn(self, *args, **more):
        """Call prj in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "prunejuice", *args],
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )

    def log(self, run, step):
        """The log of a step of a run."""
        entry = next(s for s in run["steps"] if s["step"] == step)
        return (self.home / "runs" / run["id"] / entry["log"]).read_text()


@pytest.fixture
def project(repository, capsys, monkeypatch):
    return Project(repository, capsys, monkeypatch)


@pytest.fixture
def statuses():
    """The statuses of a run's steps, by step."""
    return lambda run: {s["step"]: s["status"] for s in run["steps"]}


@pytest.fixture
def stop():
    made = Stop()
    yield made
    made.close()


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("PRUNEJUICE_HOME", str(tmp_path / "state"))
    (tmp_path / "tree").mkdir()
    return tmp_path / "tree"
