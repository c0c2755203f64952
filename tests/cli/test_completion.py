"""The Tab key offers runs, steps, commands, arguments, settings, worktrees, sessions and verbs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import NEEDS_TMUX

SOLVE = "arguments: [{name: issue, type: integer, default: 1, description: Number}]\n"
SOLVE += "steps: [{name: look, script: 'true'}, {name: act, script: 'true'}]\n"


@pytest.fixture
def offered(project):
    """What bash offers after some words."""

    def offer(*words):
        program = Path(sys.executable).with_name(words[0])
        variables = {
            "COMP_WORDS": " ".join(words),
            "COMP_CWORD": str(len(words) - 1),
            f"_{words[0].upper()}_COMPLETE": "bash_complete",
        }
        done = subprocess.run(
            [program],
            cwd=project.root,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    return offer


def test_runs_steps_and_operations_are_offered(project, offered):
    project.command("solve", SOLVE)
    run = project.run("solve", "--worktree")[1]["id"][:8]
    for command in (
        "show",
        "logs",
        "diff",
        "resume",
        "stop",
        "merge",
        "attach",
        "dismiss",
        "undo",
        "artifacts",
    ):
        assert run in offered("prj", command, run[:2]), command
    assert offered("prj", "logs", run, "") == ["create-worktree", "look", "act"]
    assert offered("prj", "compare", run, run[:3]) == [run]
    project.plum("create", "fix")
    assert offered("plum", "remove", "shop-f") == ["shop-fix"]
    removed = project.plum("remove", "fix", "--json").json["operation"]
    assert offered("prj", "undo", "op-") == [removed]


def test_commands_arguments_settings_and_verbs_are_offered(project, offered):
    project.command("solve", SOLVE)
    assert offered("prj", "run", "sol") == ["solve", "solve-issue"]
    assert offered("prj", "explain", "solve-") == ["solve-issue"]
    assert offered("prj", "run", "solve", "is") == ["issue="]
    assert offered("prj", "config", "get", "trash") == ["trash_days"]
    assert "dismiss" in offered("prj", "dis")
    assert "refactor" in offered("codebot", "ref")
    offered("prj", "zzz", "")  # without a message
    assert not any(offered("prj", "logs", "zzz", ""))  # no such run: nothing, not an error


@pytest.mark.parametrize(
    "name", ["aa$(touch x)", "aa;touch x", "aa`touch x`", "aa&b", "aa b", "aa'b", "aa*"]
)
def test_a_name_that_a_shell_would_run_is_not_offered(project, offered, name):
    project.command("aabb", SOLVE)
    (project.root / ".prj/commands" / f"{name}.yaml").write_text(SOLVE)
    assert offered("prj", "run", "aa") == ["aabb"]


@NEEDS_TMUX
def test_sessions_are_offered(project, offered):
    project.pots("create", ".", "review", "--no-attach")
    (session,) = project.pots("list", "--json").json["items"]
    assert offered("pots", "kill", "shop") == [session["name"]]
