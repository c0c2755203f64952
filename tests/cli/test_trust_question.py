"""On a terminal, `prj trust` shows what changed since the last time, and asks."""

import os
import sys

import pytest

from terminal import call_on_terminal

STEPS = "steps: [{name: a, script: 'true'}]\n"


def answer_on_terminal(project, words, typed):
    """Call prj on a terminal and type an answer to its question; its exit code and what it showed."""
    environ = os.environ | {"TERM": "xterm", "NO_COLOR": "1"}
    answers = [typed] if typed else []

    def answer(_child, terminal, seen):
        if answers and b"[y/N]" in seen:
            os.write(terminal, answers.pop())

    program = [sys.executable, "-m", "prunejuice", *words]
    code, seen = call_on_terminal(program, project.root, environ, answer)
    return code, seen.decode().replace("\r\n", "\n")


@pytest.fixture
def changed(project):
    (project.root / ".env").write_text("API_KEY=old-secret-value\n")
    project.command("c", "description: Old\n" + STEPS)
    (project.root / ".env").write_text("API_KEY=new-secret-value\n")
    project.command("c", "description: New \x1b[2J\n" + STEPS, trust=False)
    project.command("d", STEPS, trust=False)
    return project


@pytest.mark.parametrize("words", [["trust"], ["run", "d"]])
def test_the_difference_is_shown_and_a_yes_trusts(changed, words):
    code, shown = answer_on_terminal(changed, words, b"y\n")
    assert code == 0, shown
    assert "-description: Old" in shown
    assert "+description: New \\x1b[2J" in shown
    assert "+++ b/.prj/commands/d.yaml" in shown
    assert ".env (changed)" in shown
    assert "secret-value" not in shown  # a copy of secrets is not even kept
    assert changed.prj("run", "d").code == 0


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("# example:\x0ctouch x\n", "# example:\ntouch x\n", "+touch x"),
        ("# example:\u2028touch x\n", "# example:\ntouch x\n", "+touch x"),
        ("echo\n", "echo" + " " * 620 + "; touch x\n", "; touch x"),
        ("echo\n", "echo\r\n", "+echo\\x0d"),
        ("echo\n", "echo\n" + "# long\n" * 40_000, "s.sh changed, and cannot be compared"),
    ],
)
def test_no_change_of_a_step_is_hidden(project, old, new, shown):
    step = project.root / ".prj/steps/s.sh"
    step.parent.mkdir(parents=True, exist_ok=True)
    step.write_bytes(old.encode())
    project.prj("trust")
    step.write_bytes(new.encode())
    assert shown in answer_on_terminal(project, ["trust"], b"\n")[1]


def test_secrets_in_configuration_are_neither_copied_nor_shown(project):
    secret = project.root / ".prj/configs/.env"
    secret.parent.mkdir(parents=True, exist_ok=True)
    secret.write_text("API_TOKEN=old-secret-value\n")
    project.prj("trust")
    secret.write_text("API_TOKEN=new-secret-value\n")
    _, shown = answer_on_terminal(project, ["trust"], b"\n")
    assert "# .prj/configs/.env is not shown" in shown
    assert "secret-value" not in shown
    assert not any("secret-value" in path.read_text() for path in (project.home / "trusted").glob("*"))


def test_a_no_trusts_nothing(changed):
    code, shown = answer_on_terminal(changed, ["trust"], b"\n")
    assert (code, "you declined" in shown) == (7, True)
    assert changed.prj("run", "d").code == 7


def test_no_copy_of_secrets_is_kept(changed):
    changed.prj("trust")
    kept = [path.read_text() for path in (changed.home / "trusted").iterdir()]
    assert any("description: New" in text for text in kept)
    assert not any("secret-value" in text for text in kept)
    assert all(path.stat().st_mode & 0o077 == 0 for path in (changed.home / "trusted").iterdir())


def test_yes_and_pipes_do_not_ask(changed):
    code, shown = answer_on_terminal(changed, ["trust", "--yes"], b"")
    assert (code, "[y/N]" in shown) == (0, False)
    changed.command("d", "description: x\n" + STEPS, trust=False)
    assert changed.prj("trust").out.startswith(".prj/commands/d.yaml (changed)\ntrusted 3 files in ")
