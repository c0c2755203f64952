"""The door to git: what it says when git is not there, too old, refuses, or says too much."""

import os

import pytest

from conftest import git
from prunejuice import git as gits
from prunejuice.errors import GitError, MissingToolError, UsageError
from prunejuice.protocols import KILL, Stop
from prunejuice.workspace import Workspace


@pytest.fixture
def door(repository):
    return gits.git(repository, dict(os.environ)).located()


def test_git_is_named_when_it_is_not_there_or_too_old(tmp_path):
    with pytest.raises(MissingToolError, match="git is not installed"):
        gits.git(tmp_path, {"PATH": "/nowhere"})
    old = tmp_path / "git"
    old.write_text("#!/bin/sh\necho git version 2.31.1\n")
    old.chmod(0o755)
    with pytest.raises(MissingToolError, match=r"is git 2\.31") as refused:
        gits.git("/", {"PATH": str(tmp_path)})
    assert "2.38" in refused.value.fix


def test_what_git_refuses_is_said_with_its_words(door, repository, tmp_path):
    outside = gits.git(tmp_path, dict(os.environ))
    assert not outside.is_repository()
    with pytest.raises(GitError, match="git log failed"):
        outside.run("log")
    with pytest.raises(GitError, match="git cat-file failed"):
        door.write(tmp_path / "out", "cat-file", "blob", "nope")
    with pytest.raises(GitError, match="says more than 0 MiB"):
        door.run("log", limit=3)


def test_where_it_is_found(door, repository, tmp_path):
    assert door.located() is door
    assert door.at(repository).located() == door
    assert (door.branch(), door.main) == ("main", str(repository))
    inside = repository / "deep"
    inside.mkdir()
    assert gits.within(Workspace(str(inside)), dict(os.environ))[4:6] == door[4:6]
    odd = tmp_path / "new\nline"
    odd.mkdir()
    git(odd, "init", "-q")
    found = gits.git(odd, dict(os.environ)).located()
    assert (found.directory, found.common) == (str(odd), f"{odd}/.git")


def test_a_bare_repository_with_worktrees(repository, tmp_path):
    git(tmp_path, "clone", "-q", "--bare", str(repository), "bare.git")
    git(tmp_path / "bare.git", "worktree", "add", "-q", str(tmp_path / "tree"), "-b", "x")
    found = gits.git(tmp_path / "tree", dict(os.environ)).located()
    assert (found.main, found.from_main().directory) == ("", str(tmp_path / "bare.git"))
    with pytest.raises(UsageError, match="in a bare repository"):
        gits.git(tmp_path / "bare.git", dict(os.environ)).located()
    assert gits.git(tmp_path / "tree", dict(os.environ)).located().head() == git(
        repository, "rev-parse", "HEAD"
    )


def test_a_repository_of_another_hash_has_its_own_door(tmp_path):
    git(tmp_path, "init", "-q", "--object-format=sha256")
    (tmp_path / "a").write_text("x")
    door = gits.git(tmp_path, dict(os.environ)).located()
    files = door.apart(tmp_path / "index")
    files.run("update-index", "--add", "a")
    assert len(files.run("write-tree").strip()) == 64


def test_refs_move_all_or_none_and_only_from_where_they_were(door, repository):
    head = door.head()
    git(repository, "branch", "there")
    with pytest.raises(GitError):
        door.move(("refs/heads/new", head, ""), ("refs/heads/there", head, "1" * 40))
    assert door.resolve("refs/heads/new") == ""
    door.move(("refs/heads/new", head, ""), ("refs/heads/there", "", head))
    assert (door.resolve("refs/heads/new"), door.resolve("refs/heads/there")) == (head, "")


def test_no_commit_yet(tmp_path):
    git(tmp_path, "init", "-q")
    with pytest.raises(UsageError, match="no commit yet"):
        gits.git(tmp_path, dict(os.environ)).located().head()


def test_doors_made_at_once_are_one(door, tmp_path):
    files = [door.apart(tmp_path / "i").git_dir for _ in range(2)]
    assert files[0] == files[1]
    gits._built(gits.Path(files[0]), {"HEAD": b"x"})
    assert (gits.Path(files[0]) / "HEAD").read_bytes() == b"ref: refs/heads/none\n"


def test_what_git_could_not_say_is_not_taken_for_nothing(door, tmp_path):
    """A ref that cannot be looked up because of a stop is not a ref that is not there."""
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    stop = Stop()
    stop.request(KILL)
    with pytest.raises(GitError, match="was ended"):
        door._replace(program=str(slow), stop=stop).resolve("HEAD")
    stop.close()


def test_who_has_no_name_is_told_how_to_get_one(door, surroundings):
    (surroundings / ".gitconfig").write_text("[user]\nuseConfigOnly = true\n")
    tree = door.run("rev-parse", "HEAD^{tree}").strip()
    with pytest.raises(GitError, match="no name for you") as refused:
        door.commit(tree, (), "x", author=None)
    assert "user.email" in refused.value.fix
    with pytest.raises(GitError, match="not a valid object"):
        door.commit("1" * 40, (), "x")
