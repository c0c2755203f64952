"""Worktrees and sessions: made again after any death, and nothing of the user's is touched."""

import os
import subprocess
import sys
import threading

import pytest

from conftest import NEEDS_TMUX, git
from prunejuice import git as gits
from prunejuice.errors import GitError, MissingToolError, StepError, UsageError
from prunejuice.lock import FileLock
from prunejuice.protocols import STOP, Stop
from prunejuice.workspaces import tmux, worktree
from prunejuice.workspaces.worktree import Wanted


@pytest.fixture
def door(repository):
    return gits.git(repository, dict(os.environ))


def wanted(door, repository, branch="pj-x"):
    return Wanted(repository.parent / "trees" / branch, branch, door.head(), "run1")


def test_a_worktree_has_its_branch_and_the_checkout_is_untouched(door, repository):
    (repository / "a.txt").write_text("mine, not committed\n")
    (repository / "new.txt").write_text("new\n")
    git(repository, "add", "new.txt")
    before = git(repository, "status", "--porcelain=v2", "--branch")
    made = worktree.create(door, wanted(door, repository))
    assert git(made.path, "branch", "--show-current") == "pj-x"
    assert (made.path / "a.txt").read_text() == "one\n"
    assert git(repository, "status", "--porcelain=v2", "--branch") == before
    assert not made.reused


def test_making_it_again_finds_it(door, repository):
    worktree.create(door, wanted(door, repository))
    assert worktree.create(door, wanted(door, repository)).reused


def test_a_branch_that_is_there_is_checked_out(door, repository):
    git(repository, "branch", "pj-x")
    assert worktree.create(door, wanted(door, repository)).branch == "pj-x"
    with pytest.raises(GitError, match="worktree failed"):
        worktree.create(door, Wanted(repository.parent / "other", "pj-x", door.head(), "run1"))


def test_what_is_in_the_way_is_named_and_kept(door, repository):
    there = wanted(door, repository).path
    there.mkdir(parents=True)
    (there / "mine").write_text("precious")
    with pytest.raises(StepError, match="in the way"):
        worktree.create(door, wanted(door, repository))
    assert (there / "mine").read_text() == "precious"


def note_of(repository):
    """The note that a creation leaves in the git directory."""
    return next((repository / ".git" / "prunejuice").glob("*.json"))


def unfinished(repository):
    """Make the last creation one that was killed before it was done."""
    note = note_of(repository)
    note.write_text(note.read_text().replace("true", "false"))


@pytest.mark.parametrize("debris", ["empty folder", "branch only", "unfinished", "gone", "locked"])
def test_what_a_killed_creation_of_the_same_run_left_is_cleared_away(door, repository, debris):
    want = wanted(door, repository)
    if debris == "empty folder":
        want.path.mkdir(parents=True)
    elif debris == "branch only":
        git(repository, "branch", "pj-x")
    else:
        worktree.create(door, want)
        git_dir = git(want.path, "rev-parse", "--absolute-git-dir")
        if debris == "unfinished":
            unfinished(repository)
            (want.path / "a.txt").unlink()
            os.rename(f"{git_dir}/index", f"{git_dir}/index.lock")
        elif debris == "gone":
            subprocess.run(["rm", "-rf", str(want.path)], check=True)
        else:
            unfinished(repository)
            git(repository, "worktree", "lock", "--reason", "initializing", str(want.path))
    made = worktree.create(door, want)
    assert git(made.path, "status", "--porcelain") == ""
    assert (made.path / "a.txt").exists()


@pytest.mark.parametrize("change", ["other run", "other branch", "locked", "index lock", "by hand"])
def test_a_worktree_with_work_in_it_is_never_cleared_away(door, repository, change):
    want = wanted(door, repository)
    if change == "by hand":
        git(repository, "worktree", "add", "-q", "-b", "mine", str(want.path))
    else:
        worktree.create(door, want)
    (want.path / "work").write_text("precious")
    if change == "other branch":
        git(want.path, "checkout", "-q", "-b", "wip")
    elif change == "locked":
        git(repository, "worktree", "lock", str(want.path))
    elif change == "index lock":
        git_dir = git(want.path, "rev-parse", "--absolute-git-dir")
        open(f"{git_dir}/index.lock", "w").close()
    if change in {"locked", "index lock"}:
        assert worktree.create(door, want).reused
    else:
        owner = "run2" if change == "other run" else "run1"
        with pytest.raises(StepError, match="in the way"):
            worktree.create(door, want._replace(owner=owner))
    assert (want.path / "work").read_text() == "precious"


def test_a_note_that_is_damaged_clears_nothing(door, repository):
    want = wanted(door, repository)
    worktree.create(door, want)
    note_of(repository).write_text("{")
    with pytest.raises(StepError, match="in the way"):
        worktree.create(door, want)


def test_waiting_for_another_creation_can_be_stopped(door, repository):
    lock = FileLock(repository / ".git" / "prunejuice.lock")
    lock.take()
    stop = Stop()
    threading.Timer(0.5, stop.request, [STOP]).start()
    with pytest.raises(StepError, match="another process holds"):
        worktree.create(door._replace(stop=stop), wanted(door, repository))
    stop.close()
    lock.free()


def test_many_at_once_all_succeed(door, repository):
    failures = []

    def make(number):
        try:
            worktree.create(door, wanted(door, repository, f"pj-{number}"))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=make, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(git(repository, "worktree", "list").splitlines()) == 13


BAD = [
    "-d",
    "@",
    "refs/heads/x",
    "a..b",
    "x" * 300,
    "a b",
    "a~1",
    "HEAD",
    "head",
    "$(id)",
    "é",
    "",
    "a.lock",
    "a//b",
    "/a",
]


@pytest.mark.parametrize("branch", BAD)
def test_a_name_that_is_no_good_for_a_branch_is_refused(door, repository, branch):
    with pytest.raises(UsageError, match="branch"):
        worktree.create(door, wanted(door, repository, branch))
    assert git(repository, "branch", "--format=%(refname:short)") == "main"


def unseen(path):
    git(path, "config", "status.showUntrackedFiles", "no")
    (path / "new").write_text("x")


def skipped(path):
    git(path, "update-index", "--skip-worktree", "a.txt")
    (path / "a.txt").write_text("mine")


def detached(path):
    git(path, "checkout", "-q", "--detach")
    git(path, "commit", "--allow-empty", "-qm", "work")


@pytest.mark.parametrize("work", [unseen, skipped, detached, lambda path: (path / "new").write_text("x")])
def test_removal_keeps_whatever_would_be_lost(door, repository, work):
    made = worktree.create(door, wanted(door, repository))
    work(made.path)
    assert worktree.remove(door, made.path, made.branch, made.base) != ""
    assert made.path.exists()


def test_removal_keeps_a_branch_with_work(door, repository):
    made = worktree.create(door, wanted(door, repository))
    (made.path / "new").write_text("x")
    git(made.path, "add", ".")
    git(made.path, "commit", "-qm", "work")
    assert worktree.remove(door, made.path, made.branch, made.base) == ""
    assert not made.path.exists()
    assert git(repository, "rev-parse", "pj-x") != made.base


def test_removal_takes_a_branch_on_which_nothing_happened(door, repository):
    made = worktree.create(door, wanted(door, repository))
    assert worktree.remove(door, made.path, made.branch, made.base) == ""
    assert git(repository, "branch", "--list", "pj-x") == ""
    assert worktree.remove(door, made.path, made.branch, made.base) == ""


def test_git_is_named_when_it_is_not_there_and_when_it_refuses(tmp_path, repository):
    with pytest.raises(MissingToolError, match="git is not installed"):
        gits.git(tmp_path, {"PATH": "/nowhere"})
    door = gits.git(tmp_path, dict(os.environ))
    assert not door.is_repository()
    with pytest.raises(GitError, match="git log failed"):
        door.run("log")
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q")
    with pytest.raises(UsageError, match="no commit yet"):
        door.at(empty).head()
    assert door.at(repository).branch() == "main"


def test_configuration_of_a_repository_runs_nothing(door, repository):
    marker = repository.parent / "ran"
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {marker}\n")
    hook.chmod(0o755)
    git(repository, "config", "core.fsmonitor", f"touch {marker}; false")
    git(repository, "config", "diff.external", f"touch {marker}; false")
    git(repository, "config", "core.pager", f"touch {marker}")
    worktree.create(door, wanted(door, repository))
    door.is_clean()
    assert not marker.exists()


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("shop", "pj-fix-1", "dev"), "shop-pj-fix-1-dev"),
        (("shop", "shop-fix", "dev"), "shop-fix-dev"),
        (("shop", "shop", "dev"), "shop-dev"),
        (("My Shop!", "a.b:c", "X"), "my-shop-a-b-c-x"),
        (("x" * 90, "y" * 90, "z"), ("x" * 90 + "-" + "y" * 9)),
    ],
)
def test_session_names(parts, name):
    assert tmux.session_name(*parts) == name


@NEEDS_TMUX
def test_a_session_is_made_found_and_ended(tmp_path):
    socket = os.environ["PRUNEJUICE_TMUX_SOCKET"]
    assert tmux.create("one", str(tmp_path), socket) == "one"
    assert tmux.create("one", str(tmp_path), socket) == "one"
    listed = subprocess.run(
        ["tmux", "-L", socket, "list-panes", "-a", "-F", "#{session_name} #{pane_current_path}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout == f"one {tmp_path}\n"
    assert tmux.exists("one", socket)
    assert tmux.kill("one", socket)
    assert not tmux.kill("one", socket)


@NEEDS_TMUX
def test_a_name_that_tmux_does_not_take_is_a_named_error(tmp_path):
    with pytest.raises(StepError, match="tmux cannot make"):
        tmux.create("a:b", str(tmp_path), os.environ["PRUNEJUICE_TMUX_SOCKET"])


def test_no_tmux_is_a_named_error(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable))
    assert not tmux.is_installed()
    assert not tmux.kill("x")
    with pytest.raises(MissingToolError, match="tmux is not installed"):
        tmux.create("x", str(tmp_path))
