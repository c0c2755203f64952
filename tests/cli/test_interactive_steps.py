"""Interactive agent steps of detached runs: a window of the session of the run."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import NEEDS_TMUX, wait_for
from prunejuice.sandbox.programs.bwrap import Bubblewrap
from prunejuice.steps.agent_place import open_agent_place, open_interrupted_copies
from prunejuice.verbs.verify.probes import window as inside

pytestmark = NEEDS_TMUX

CART = "def total(prices):\n    return 0\n"
HELPER = """#!/bin/sh
grep -q 'sum them' .codebot/task.md && test "$AGENT_KEY" = mine && echo "ready in $TERM"
read line
echo "def total(prices): return sum(prices)  # $line" > cart.py
test "$line" != "no good"
"""


@pytest.fixture
def shop(project, monkeypatch):
    """A project, and a program that a person works with; it reads one line."""
    program = Path(os.environ["HOME"], "bin", "helper")
    program.parent.mkdir()
    program.write_text(HELPER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PRUNEJUICE_AGENT_ENV", "AGENT_KEY")
    monkeypatch.setenv("AGENT_KEY", "mine")
    return project.commit("Open the shop", cart=CART)


class Window:
    """What a person sees of a run, and types."""

    def __init__(self, program="helper"):
        self.program = program

    def tmux(self, *args):
        argv = ["tmux", "-L", os.environ["PRUNEJUICE_TMUX_SOCKET"], *args]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout

    def listed(self):
        return dict(
            line.split(" ", 1)
            for line in self.tmux("list-windows", "-a", "-F", "#{session_name} #{window_name}").splitlines()
            if line.endswith(f" {self.program}")
        )

    def until(self, text):
        """Wait for a text on the program's screen; the session that it is in."""
        until = time.monotonic() + 40
        while time.monotonic() < until:
            for session in self.listed():
                if text in self.tmux("capture-pane", "-p", "-t", f"={session}:"):
                    return session
            time.sleep(0.1)
        raise AssertionError(f"no {text!r} in {self.tmux('list-windows', '-a')}")

    def type(self, session, *keys):
        self.tmux("send-keys", "-t", f"={session}:", *keys)


def build(shop, *steps, **more):
    agent = {
        "name": "build",
        "agent": "implement",
        "args": {"agent": "interactive:helper", "prompt": "sum them"},
    }
    listed = "".join(f"\n      - {each}" for each in (*steps, {**agent, **more}))
    shop.command("build", f"\n    steps:{listed}\n")


def ended(child):
    out, err = child.communicate(timeout=60)
    return child.returncode, out + err


def test_a_person_works_in_the_session_of_the_run(shop):
    build(shop, "create-worktree", "start-session")
    child = shop.spawn("run", "build")
    session = Window().until("ready in ")
    [run] = shop.prj("status", "--json").json["items"]
    call = f"helper is open for you: prj attach {run['id'][:8]}"
    assert (run["group"], run["called"]) == ("needs you", call)
    assert call in shop.prj("status").out
    assert call in shop.prj("show", run["id"]).out
    Window().type(session, "well done", "Enter")
    code, said = ended(child)
    assert code == 0, said
    assert call in said
    [run] = shop.prj("status", "--json").json["items"]
    assert (run["group"], run.get("called", "")) == ("ready", "")
    shown = shop.prj("show", run["id"], "--json").json
    assert shown["session"] == session
    assert "# well done" in Path(shown["worktree"], "cart.py").read_text()
    assert (shop.root / "cart.py").read_text() == CART
    assert not Window().listed(), "the window is gone, the session stays"
    assert session in shop.pots("list", "--json").out


def test_without_a_session_one_is_made_for_it_and_gone_with_it(shop):
    build(shop)
    child = shop.spawn("run", "build")
    session = Window().until("ready in ")
    [run] = shop.prj("history", "--json").json["items"]
    assert f"attach to session {session}" in shop.prj("attach", run["id"]).err, "attaching finds it"
    Window().type(session, "fine", "Enter")
    assert ended(child)[0] == 0
    assert session not in shop.pots("list", "--json").out
    assert "# fine" in (shop.root / "cart.py").read_text()


def test_a_person_finds_the_same_folder_in_each_run(shop):
    program = Path(os.environ["HOME"], "bin", "helper")
    program.write_text(HELPER.replace("read line", 'pwd >> "$HOME/places"; read line'))
    build(shop)
    for _ in range(2):
        child = shop.spawn("run", "build")
        Window().type(Window().until("ready in "), "ok", "Enter")
        assert ended(child)[0] == 0
    places = Path(os.environ["HOME"], "places").read_text().splitlines()
    assert places[0] == places[1]
    assert places[0].startswith(str(shop.home / "interactive"))


def test_no_two_runs_share_a_folder_and_one_that_was_killed_keeps_its(tmp_path):
    home, names = tmp_path / "home", ("first", "second", "third")
    first, second, third = (tmp_path / name for name in names)
    with (
        open_agent_place("interactive:codex", first, home, "/p/shop") as place,
        open_agent_place("interactive", second, home, "/p/shop") as other,
        open_agent_place("interactive", third, home, "/p/elsewhere/shop") as of_another_project,
        open_agent_place("claude", tmp_path / "own", home, "/p/shop") as own,
    ):
        assert len({place, other, of_another_project}) == 3
        assert own == tmp_path / "own"
    (place / "replica-1").mkdir()
    (place / "owner").write_text(str(first))  # as a run that was killed leaves it
    with open_agent_place("interactive", second, home, "/p/shop") as next_place:
        assert next_place == other
    with open_interrupted_copies(third) as copies:
        assert copies == []
    with open_interrupted_copies(first) as copies:
        assert copies == [place / "replica-1"]
    assert not (place / "replica-1").exists()
    with open_agent_place("interactive", second, home, "/p/shop") as again:
        assert again == place


def test_failed_program_is_reported_with_its_exit_code(shop):
    build(shop)
    child = shop.spawn("run", "build")
    Window().type(Window().until("ready in "), "no good", "Enter")
    code, said = ended(child)
    assert (code, "helper exited with code 1" in said) == (6, True), said


def test_a_window_that_is_closed_ends_the_step_and_what_was_done_is_kept(shop):
    save(shop)
    build(shop)
    child = shop.spawn("run", "build")
    session = Window().until("ready in ")
    Window().tmux("kill-window", "-t", f"={session}:")
    code, said = ended(child)
    assert (code, "helper exited with code 129" in said) == (6, True), said
    [run] = shop.prj("history", "--json").json["items"]
    [kept] = (shop.home / "runs" / run["id"] / "prompts").glob("*answer.md")
    assert "saved at the end" in kept.read_text()


def save(shop):
    """Let the program save what it has when it is hung up, which takes it a moment."""
    program = Path(os.environ["HOME"], "bin", "helper")
    last = "sleep 0.4; echo 'x = 1  # saved at the end' > cart.py; exit"
    program.write_text(
        f'#!/bin/sh\ntrap "{last}" HUP TERM\necho ready in $TERM\nwhile :; do sleep 0.1; done\n'
    )


def test_stopped_program_may_save_and_panes_of_the_user_stay_open(shop):
    save(shop)
    build(shop)
    child = shop.spawn("run", "build")
    session = Window().until("ready in ")
    Window().tmux("split-window", "-d", "-t", f"={session}:", "sleep 60")
    [run] = shop.prj("history", "--json").json["items"]
    assert shop.prj("stop", run["id"]).code == 0
    assert ended(child)[0] == 130
    assert "sleep" in Window().tmux("list-panes", "-a", "-F", "#{pane_current_command}")
    [kept] = (shop.home / "runs" / run["id"] / "prompts").glob("*answer.md")
    assert "saved at the end" in kept.read_text()


def test_a_step_of_a_called_command_calls_through_the_run_that_called_it(shop):
    build(shop)
    shop.command("outer", "steps: [{name: call, uses: build}]")
    child = shop.spawn("run", "outer")
    session = Window().until("ready in ")
    [run] = shop.prj("status", "--json").json["items"]
    assert (run["command"], run["group"]) == ("outer", "needs you")
    inner = run["called"].rpartition(" ")[2]
    assert f"attach to session {session}" in shop.prj("attach", inner).err
    Window().type(session, "fine", "Enter")
    assert ended(child)[0] == 0
    [run] = shop.prj("status", "--json").json["items"]
    assert run["group"] == "done"


def test_a_person_who_has_left_is_called_no_more(shop):
    build(shop, args={"agent": "interactive:helper", "prompt": "sum them", "check": "sleep 3"})
    child = shop.spawn("run", "build")
    Window().type(Window().until("ready in "), "fine", "Enter")
    until = time.monotonic() + 20
    while Window().listed() and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.5)
    [run] = shop.prj("status", "--json").json["items"]
    assert (run["status"], run["group"]) == ("running", "working")
    assert ended(child)[0] == 0


def test_program_that_cannot_start_is_reported_without_waiting(shop):
    Window().tmux("new-session", "-d", "-s", "theirs", ";", "set-option", "-g", "remain-on-exit", "on")
    Path(os.environ["HOME"], "bin", "helper").write_text("#!/no/such/shell\n")
    build(shop)
    answer, run = shop.run("build")
    assert answer.code == 6
    assert "could not start helper: No such file or directory" in run["error"]


def test_names_of_folders_are_no_formats_of_tmux(shop, monkeypatch):
    place = shop.root.parent / "a#(touch pwned)b"
    shop.root.rename(place)
    monkeypatch.chdir(place)
    shop.root = place
    build(shop)
    child = shop.spawn("run", "build")
    Window().type(Window().until("ready in "), "fine", "Enter")
    assert ended(child)[0] == 0
    assert not list(place.parent.rglob("pwned"))
    assert "# fine" in (place / "cart.py").read_text()


def test_a_window_that_opens_after_the_driver_died_runs_nothing(shop, tmp_path):
    order, ended_at = tmp_path / "order", tmp_path / "ended"
    (tmp_path / "lock").touch()
    given = {"argv": ["/usr/bin/env", "touch", str(tmp_path / "ran")], "cwd": "/", "env": {}}
    order.write_text(json.dumps({**given, "ended": str(ended_at), "lock": str(tmp_path / "lock")}))
    subprocess.run([sys.executable, "-I", inside.__file__, order], check=True)
    assert not any((tmp_path / name).exists() for name in ("ran", "order", "ended"))


def test_a_run_that_is_stopped_closes_it(shop):
    build(shop)
    child = shop.spawn("run", "build")
    Window().until("ready in ")
    [run] = shop.prj("history", "--json").json["items"]
    assert shop.prj("stop", run["id"]).code == 0
    assert ended(child)[0] == 130
    assert not Window().listed()


def test_a_step_has_the_time_that_it_was_given(shop):
    build(shop, timeout=1.5)
    answer, run = shop.run("build")
    assert answer.code == 5
    assert "timed out after 1.5 s" in run["error"]
    assert not Window().listed()


def test_without_tmux_a_terminal_is_needed(shop, tmp_path, monkeypatch):
    for name in ("git", "sh", "bash", "cat", "env", "helper"):
        (tmp_path / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(tmp_path))
    build(shop)
    answer, run = shop.run("build")
    assert (answer.code, "no terminal to work in" in run["error"]) == (6, True), answer.err


def test_a_program_in_a_window_is_contained(shop, tmp_path):
    if Bubblewrap().find_problem(os.environ)[0]:
        pytest.skip("no sandbox can be made here")
    outside = tmp_path / "outside"
    outside.mkdir()
    shop.command("build", "sandbox: files\nsteps:\n  - name: build\n    agent: implement\n    args: "
                 "{agent: 'interactive:helper', prompt: sum them}\n")  # fmt: skip
    Path(os.environ["HOME"], "bin", "helper").write_text(f"#!/bin/sh\necho evil > {outside}/evil\n{HELPER}")
    run_id = shop.prj("run", "build", "--detach").out.strip()
    window = Window()
    window.type(window.until("ready in"), "by hand", "Enter")
    made = wait_for(
        lambda: (run := shop.prj("show", run_id, "--json").json)["status"] == "completed" and run
    )
    assert not list(outside.iterdir())
    waiting = shop.codebot("pending", "--json").json["items"]
    assert "by hand" in (shop.root / "cart.py").read_text() or waiting
    assert made["sandbox"] == "files"
    shop.command("build", "sandbox: files+net\nsteps:\n  - name: build\n    agent: implement\n    args: "
                 "{agent: 'interactive:helper', prompt: sum them}\n")  # fmt: skip
    run_id = shop.prj("run", "build", "--detach").out.strip()
    made = wait_for(lambda: (run := shop.prj("show", run_id, "--json").json)["status"] == "failed" and run)
    assert "a tmux window cannot have the sandbox `files+net`" in made["error"]
