"""Commits in the user's name are signed as the user signs, and never as the repository says."""

import shutil
import subprocess

import pytest

from conftest import git
from prunejuice.errors import GitError
from prunejuice.worktrees import user_commit
from prunejuice.worktrees.git import open_git

pytestmark = pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is not installed")


@pytest.fixture
def signer(project, tmp_path, monkeypatch):
    """A user whose own configuration signs commits with an SSH key."""
    config = tmp_path / "gitconfig"
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    values = {
        "user.name": "Me",
        "user.email": "me@x.invalid",
        "gpg.format": "ssh",
        "user.signingkey": f"{key}.pub",
    }
    for name, value in {**values, "commit.gpgsign": "true"}.items():
        subprocess.run(["git", "config", "--file", config, name, value], check=True)
    return config


def commit(project):
    import os

    found = open_git(str(project.root), dict(os.environ)).locate()
    made = user_commit.commit_as_user(found, found.resolve("HEAD") + "^{tree}", (), "mine")
    return git(project.root, "cat-file", "commit", made)


def test_commit_is_signed_where_the_user_signs(project, signer):
    assert "\ngpgsig -----BEGIN SSH SIGNATURE-----" in commit(project)


@pytest.mark.parametrize("value", ["false", "no", "off", "0"])
def test_commit_is_not_signed_where_the_user_does_not(project, signer, value):
    subprocess.run(["git", "config", "--file", signer, "commit.gpgsign", value], check=True)
    assert "gpgsig" not in commit(project)


def test_repository_decides_nothing_about_signing(project, signer, tmp_path):
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\nexit 1\n")
    trap.chmod(0o755)
    for name in ("gpg.program", "gpg.ssh.program", "gpg.x509.program", "gpg.ssh.defaultKeyCommand"):
        git(project.root, "config", name, str(trap))
    git(project.root, "config", "gpg.format", "openpgp")
    assert "BEGIN SSH SIGNATURE" in commit(project)
    subprocess.run(["git", "config", "--file", signer, "--unset", "user.signingkey"], check=True)
    with pytest.raises(GitError):
        commit(project)
    subprocess.run(["git", "config", "--file", signer, "commit.gpgsign", "false"], check=True)
    git(project.root, "config", "commit.gpgsign", "true")
    assert "gpgsig" not in commit(project)
    assert not (tmp_path / "sprung").exists()


def test_a_key_that_cannot_sign_is_named_with_the_way_on(project, signer, tmp_path):
    (tmp_path / "key").unlink()
    with pytest.raises(GitError, match="could not be signed") as failed:
        commit(project)
    assert "commit.gpgsign false" in failed.value.fix


def test_merge_of_a_run_is_signed(project, signer):
    project.command("w", "pre_steps: [create-worktree]\nsteps: [{name: s, script: 'echo n > n.txt'}]\n")
    run = project.prj("run", "w", "--json").json
    merged = project.prj("merge", run["id"], "--no-check")
    assert merged.code == 0, merged.err
    assert "gpgsig" in git(project.root, "cat-file", "commit", "HEAD")
