"""Only sessions that were created here are changed."""

import os
import subprocess
import sys
import time

import pytest

from conftest import NEEDS_TMUX
from prunejuice.errors import MissingToolError, NotFoundError, StepError
from prunejuice.worktrees import tmux
from prunejuice.worktrees.tmux import SessionMark


@pytest.fixture
def socket():
    return os.environ["PRUNEJUICE_TMUX_SOCKET"]


def foreign(socket, name):
    """A session of somebody else."""
    subprocess.run(["tmux", "-L", socket, "new-session", "-d", "-s", name], check=True)


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("shop", "pj-fix-1", "dev"), "shop-pj-fix-1-dev"),
        (("shop", "shop-fix", "dev"), "shop-fix-dev"),
        (("shop", "shop", "dev"), "shop-dev"),
        (("My Shop!", "a.b:c", "X"), "my-shop-a-b-c-x"),
        (("x" * 90, "y" * 60, "driver"), ("x" * 32 + "-" + "y" * 60 + "-driver")),
        (("x" * 90, "y" * 120, "z"), ("x" * 8 + "-" + "y" * 91)),
    ],
)
def test_session_names(parts, name):
    assert tmux.session_name(*parts) == name


@NEEDS_TMUX
def test_a_session_is_made_found_and_ended(tmp_path, socket):
    mark = SessionMark("shop", str(tmp_path), "dev", "run1")
    assert tmux.create_session("one", str(tmp_path), socket, mark)
    assert not tmux.create_session("one", str(tmp_path), socket, mark)
    found = tmux.list_sessions(socket)["one"]
    assert (found.mark, found.attached) == (mark, False)
    assert abs(found.created - time.time()) < 60
    listed = subprocess.run(
        ["tmux", "-L", socket, "list-panes", "-a", "-F", "#{session_name} #{pane_current_path}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout == f"one {tmp_path}\n"
    assert tmux.kill_session("one", socket)
    assert not tmux.kill_session("one", socket)


@NEEDS_TMUX
def test_a_session_of_somebody_else_is_never_touched(tmp_path, socket):
    foreign(socket, "theirs")
    assert tmux.list_sessions(socket)["theirs"].mark is None
    assert not tmux.session_exists("theirs", socket)
    assert not tmux.kill_session("theirs", socket)
    with pytest.raises(StepError, match="did not create it"):
        tmux.create_session("theirs", str(tmp_path), socket, SessionMark("p", "d"))
    assert "theirs" in tmux.list_sessions(socket)


@NEEDS_TMUX
def test_session_name_prefix_does_not_match_a_longer_name(tmp_path, socket):
    tmux.create_session("one-long", str(tmp_path), socket, SessionMark("p", "d"))
    assert not tmux.kill_session("one", socket)
    with pytest.raises(NotFoundError):
        tmux.attach_command("one", socket, os.environ)


@NEEDS_TMUX
def test_a_command_runs_in_the_session_as_it_is_written(tmp_path, socket):
    argv = [
        sys.executable,
        "-c",
        "import sys, pathlib; pathlib.Path('said').write_text(sys.argv[1])",
        "a; $b 'c'",
    ]
    tmux.create_session("cmd", str(tmp_path), socket, SessionMark("p", "d"), argv)
    until = time.monotonic() + 10
    while not (tmp_path / "said").exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert (tmp_path / "said").read_text() == "a; $b 'c'"


@NEEDS_TMUX
def test_marks_hold_any_text(tmp_path, socket):
    mark = SessionMark("a\tb\nc", "/x y/#{session_name}", "ü'\"$(id)")
    tmux.create_session("odd", str(tmp_path), socket, mark)
    assert tmux.list_sessions(socket)["odd"].mark == mark


@NEEDS_TMUX
def test_attach_command_switches_client_when_already_inside_tmux(tmp_path, socket):
    tmux.create_session("one", str(tmp_path), socket, SessionMark("p", "d"))
    plain = {"PATH": os.environ["PATH"]}
    assert tmux.attach_command("one", socket, plain)[-3:] == ["attach-session", "-t", "=one"]
    inside = {**plain, "TMUX": f"/tmp/tmux-0/{socket},1,0"}
    assert tmux.attach_command("one", socket, inside)[-3:] == ["switch-client", "-t", "=one"]


@NEEDS_TMUX
def test_session_name_invalid_for_tmux_is_a_named_error(tmp_path, socket):
    with pytest.raises(StepError, match="invalid session name"):
        tmux.create_session("a:b", str(tmp_path), socket, SessionMark("p", "d"))


def test_no_tmux_is_a_named_error(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable))
    assert not tmux.is_installed()
    assert tmux.list_sessions() == {}
    assert not tmux.kill_session("x")
    with pytest.raises(MissingToolError, match="tmux is not installed"):
        tmux.create_session("x", str(tmp_path), "", SessionMark("p", "d"))
