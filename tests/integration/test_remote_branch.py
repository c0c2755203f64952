"""Branches that only a remote has are continued and tracked, as git does."""

import os

import pytest

from conftest import git
from prunejuice.errors import UsageError
from prunejuice.worktrees import remote_branch
from prunejuice.worktrees.git import open_git


@pytest.fixture
def clone(project, tmp_path):
    """The project, with a branch `topic` that only its remote `origin` has."""
    far = tmp_path / "far"
    git(tmp_path, "clone", "-q", str(project.root), str(far))
    git(far, "checkout", "-qb", "topic")
    (far / "far.txt").write_text("far\n")
    git(far, "add", ".")
    git(far, "-c", "user.name=f", "-c", "user.email=f@x.invalid", "commit", "-qm", "far")
    git(project.root, "remote", "add", "origin", str(far))
    git(project.root, "fetch", "-q", "origin")
    return project


def test_plum_continues_the_branch_of_the_remote(clone):
    made = clone.plum("create", "topic", "--json")
    assert made.code == 0, made.err
    assert made.json["branch"] == "topic"
    assert made.json["base"] == git(clone.root, "rev-parse", "origin/topic")
    assert git(clone.root, "config", "branch.topic.remote") == "origin"
    assert git(clone.root, "config", "branch.topic.merge") == "refs/heads/topic"


def test_a_base_may_be_a_branch_of_the_remote(clone):
    made = clone.plum("create", "own/x", "--from", "topic", "--json")
    assert made.json["base"] == git(clone.root, "rev-parse", "origin/topic")
    assert git(clone.root, "for-each-ref", "--format=%(upstream)", "refs/heads/own/x") == ""


def test_a_branch_on_several_remotes_is_a_question(clone, tmp_path):
    git(clone.root, "remote", "add", "up/stream", str(tmp_path / "far"))
    git(clone.root, "fetch", "-q", "up/stream")
    refused = clone.plum("create", "topic")
    assert refused.code == 2
    assert "origin/topic, up/stream/topic" in refused.err
    made = clone.plum("create", "topic", "--from", "up/stream/topic", "--json")
    assert made.code == 0, made.err
    assert made.json["branch"] == "topic"


def test_default_remote_of_git_decides(clone, tmp_path):
    git(clone.root, "remote", "add", "up", str(tmp_path / "far"))
    git(clone.root, "fetch", "-q", "up")
    found = open_git(str(clone.root), dict(os.environ)).locate()
    with pytest.raises(UsageError, match="several remotes"):
        remote_branch.find_remote_branch(found, "topic")
    git(clone.root, "config", "checkout.defaultRemote", "up")
    assert remote_branch.find_remote_branch(found, "topic").ref == "up/topic"


@pytest.mark.parametrize("name", ["", "main", "nowhere", "../x", "-d"])
def test_a_name_that_no_remote_has_alone_is_none(clone, name):
    assert (
        remote_branch.find_remote_branch(open_git(str(clone.root), dict(os.environ)).locate(), name) is None
    )


def test_step_continues_the_branch_of_the_remote(clone):
    clone.command(
        "go",
        "pre_steps: [{uses: create-worktree, args: {branch_name: topic}}]\nsteps: [{name: s, script: cat far.txt}]\n",
    )
    run = clone.prj("run", "go", "--json")
    assert run.code == 0, run.err
    assert git(clone.root, "config", "branch.topic.remote") == "origin"
