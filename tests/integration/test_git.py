"""The git wrapper: git missing, too old, failing, or printing too much."""

import os

import pytest

from conftest import git
from prunejuice.errors import GitError, MissingToolError, UsageError
from prunejuice.system.stop_request import KILL, Stop
from prunejuice.workflow.workspace import Workspace
from prunejuice.worktrees import clean_git_dir
from prunejuice.worktrees import git as gits


@pytest.fixture
def door(repository):
    return gits.open_git(repository, dict(os.environ)).locate()


def test_git_is_named_when_it_is_not_there_or_too_old(tmp_path):
    with pytest.raises(MissingToolError, match="git is not installed"):
        gits.open_git(tmp_path, {"PATH": "/nowhere"})
    old = tmp_path / "git"
    old.write_text("#!/bin/sh\necho git version 2.31.1\n")
    old.chmod(0o755)
    with pytest.raises(MissingToolError, match=r"is git 2\.31") as refused:
        gits.open_git("/", {"PATH": str(tmp_path)})
    assert "2.38" in refused.value.fix


def test_failed_git_command_is_named_in_the_error(door, repository, tmp_path):
    outside = gits.open_git(tmp_path, dict(os.environ))
    assert not outside.is_repository()
    with pytest.raises(GitError, match="git log failed"):
        outside.run("log")
    with pytest.raises(GitError, match="git cat-file failed"):
        door.run_to_file(tmp_path / "out", "cat-file", "blob", "nope")
    with pytest.raises(GitError, match="printed more than 0 MiB"):
        door.run("log", limit=3)


def test_repository_is_located_from_any_directory_inside_it(door, repository, tmp_path):
    assert door.locate() is door
    assert door.for_directory(repository).locate() == door
    assert (door.current_branch(), door.main_worktree) == ("main", str(repository))
    inside = repository / "deep"
    inside.mkdir()
    assert gits.open_workspace_git(Workspace(str(inside)), dict(os.environ))[4:6] == door[4:6]
    odd = tmp_path / "new\nline"
    odd.mkdir()
    git(odd, "init", "-q")
    found = gits.open_git(odd, dict(os.environ)).locate()
    assert (found.directory, found.common) == (str(odd), f"{odd}/.git")


def test_a_bare_repository_with_worktrees(repository, tmp_path):
    git(tmp_path, "clone", "-q", "--bare", str(repository), "bare.git")
    git(tmp_path / "bare.git", "worktree", "add", "-q", str(tmp_path / "tree"), "-b", "x")
    found = gits.open_git(tmp_path / "tree", dict(os.environ)).locate()
    assert (found.main_worktree, found.for_main_worktree().directory) == ("", str(tmp_path / "bare.git"))
    with pytest.raises(UsageError, match="in a bare repository"):
        gits.open_git(tmp_path / "bare.git", dict(os.environ)).locate()
    assert gits.open_git(tmp_path / "tree", dict(os.environ)).locate().head_commit() == git(
        repository, "rev-parse", "HEAD"
    )


def test_sha256_repository_gets_a_clean_git_dir_of_its_format(tmp_path):
    git(tmp_path, "init", "-q", "--object-format=sha256")
    (tmp_path / "a").write_text("x")
    door = gits.open_git(tmp_path, dict(os.environ)).locate()
    files = door.with_clean_config(tmp_path / "index")
    files.run("update-index", "--add", "a")
    assert len(files.run("write-tree").strip()) == 64


def test_refs_move_all_or_none_and_only_from_where_they_were(door, repository):
    head = door.head_commit()
    git(repository, "branch", "there")
    with pytest.raises(GitError):
        door.update_refs(("refs/heads/new", head, ""), ("refs/heads/there", head, "1" * 40))
    assert door.resolve("refs/heads/new") == ""
    door.update_refs(("refs/heads/new", head, ""), ("refs/heads/there", "", head))
    assert (door.resolve("refs/heads/new"), door.resolve("refs/heads/there")) == (head, "")


def test_no_commit_yet(tmp_path):
    git(tmp_path, "init", "-q")
    with pytest.raises(UsageError, match="no commit yet"):
        gits.open_git(tmp_path, dict(os.environ)).locate().head_commit()


def test_clean_git_dir_is_created_once_and_never_overwritten(door, tmp_path):
    files = [door.with_clean_config(tmp_path / "i").git_dir for _ in range(2)]
    assert files[0] == files[1]
    clean_git_dir._create_git_dir(gits.Path(files[0]), {"HEAD": b"x"})
    assert (gits.Path(files[0]) / "HEAD").read_bytes() == b"ref: refs/heads/none\n"


def test_interrupted_ref_lookup_is_not_a_missing_ref(door, tmp_path):
    """A ref that cannot be looked up because of a stop is not a ref that is not there."""
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    stop = Stop()
    stop.request(KILL)
    with pytest.raises(GitError, match="was interrupted"):
        door._replace(program=str(slow), stop=stop).resolve("HEAD")
    stop.close()


def test_commit_without_an_identity_explains_how_to_set_one(door, surroundings):
    (surroundings / ".gitconfig").write_text("[user]\nuseConfigOnly = true\n")
    tree = door.run("rev-parse", "HEAD^{tree}").strip()
    with pytest.raises(GitError, match="no name and email for you") as refused:
        door.commit_tree(tree, (), "x", author=None)
    assert "user.email" in refused.value.fix
    with pytest.raises(GitError, match="not a valid object"):
        door.commit_tree("1" * 40, (), "x")
