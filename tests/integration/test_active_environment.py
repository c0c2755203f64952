"""The virtual environment of a tree is active in its steps and checks, unless the user chose another."""

import os
import shutil
import subprocess
import sys

import pytest

from conftest import git, write_files
from prunejuice.environments.active_environment import activate_environment

COMMAND = """
name: judge
{worktree}steps:
  - {{name: tool, script: 'which tool && echo "$VIRTUAL_ENV"'}}
"""


@pytest.fixture
def shop(project, monkeypatch):
    """A project with a virtual environment that has a program, and that nobody has activated."""
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV"):
        monkeypatch.delenv(name, raising=False)
    own = os.path.join(sys.prefix, "bin")
    path = [entry for entry in os.environ["PATH"].split(os.pathsep) if entry != own]
    monkeypatch.setenv("PATH", os.pathsep.join(path))
    write_files(project.root, {".gitignore": ".venv/\n", "test_a.py": "", "tool-check": ""})
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "shop")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", project.root / ".venv"], check=True)
    write_files(project.root, {".venv/bin/tool": "#!/bin/sh\necho made\n"})
    (project.root / ".venv/bin/tool").chmod(0o755)
    return project


@pytest.mark.parametrize("worktree", ["", "pre_steps: [create-worktree]\n"])
def test_steps_find_the_programs_of_their_own_tree(shop, worktree):
    shop.command("judge", COMMAND.format(worktree=worktree))
    answer, run = shop.run("judge")
    assert answer.code == 0, run
    folder = run.get("worktree") or str(shop.root)
    assert shop.log(run, "tool").splitlines() == [f"{folder}/.venv/bin/tool", f"{folder}/.venv"]


@pytest.mark.parametrize("overlay", ["1", "0"])
def test_checks_of_merges_find_them(shop, monkeypatch, overlay):
    monkeypatch.setenv("PRUNEJUICE_OVERLAY", overlay)
    shop.command("w", "pre_steps: [create-worktree]\nsteps: [{name: a, script: 'echo 1 > b'}]")
    _, run = shop.run("w")
    answer = shop.prj("merge", run["id"], "--check", "tool && test -f b")
    assert answer.code == 0, answer.err


@pytest.mark.parametrize(
    ("environ", "active"),
    [
        ({}, ".venv"),
        ({"VIRTUAL_ENV": "/chosen"}, "/chosen"),
        ({"CONDA_PREFIX": "/conda"}, None),
        ({"CONDA_PREFIX": "/conda", "CONDA_DEFAULT_ENV": "base"}, ".venv"),
        ({"PATH": "{root}/.venv/bin:/usr/bin:/bin"}, None),
        ({"PATH": ""}, ".venv"),
    ],
)
def test_what_the_user_chose_stays(shop, environ, active):
    given = {"PATH": os.environ["PATH"], **{k: v.format(root=shop.root) for k, v in environ.items()}}
    found = activate_environment(shop.root / "sub", given)
    wanted = str(shop.root / ".venv") if active == ".venv" else active
    assert found.get("VIRTUAL_ENV") == wanted
    assert (found["PATH"] != given["PATH"]) == (active == ".venv")


def test_an_environment_that_git_tracks_is_left_alone(shop):
    """Its programs are what somebody else wrote: a step that calls git would execute them."""
    git(shop.root, "add", "-f", ".venv/pyvenv.cfg", ".venv/bin/tool")
    environ = {"PATH": os.environ["PATH"]}
    assert activate_environment(shop.root, environ) == environ
    git(shop.root, "rm", "-rq", "--cached", ".venv")
    assert activate_environment(shop.root, environ) != environ


def test_a_merge_that_brings_an_environment_does_not_activate_it(shop):
    script = "mkdir -p .venv/bin && echo > .venv/pyvenv.cfg && git add -f .venv && git commit -qm venv"
    shop.command("w", f"pre_steps: [create-worktree]\nsteps: [{{name: a, script: '{script}'}}]")
    shutil.rmtree(shop.root / ".venv/lib")  # a quick copy
    _, run = shop.run("w")
    answer = shop.prj("merge", run["id"], "--check", 'test -z "$VIRTUAL_ENV"')
    assert "failed on the merged" not in answer.err


def test_outside_of_a_repository_nothing_tells_whose_an_environment_is(shop, tmp_path):
    shutil.copytree(shop.root / ".venv", tmp_path / "unpacked/.venv", symlinks=True)
    environ = {"PATH": os.environ["PATH"]}
    assert activate_environment(tmp_path / "unpacked", environ) == environ
