"""Checks get the variables of the project's `.env`, of the command and of the worktree, as steps do."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from conftest import git

EDIT = "Say two.\n\na.txt\n<<<<<<< SEARCH\none\n=======\ntwo\n>>>>>>> REPLACE\n"
OTHER = "Say three.\n\na.txt\n<<<<<<< SEARCH\none\n=======\nthree\n>>>>>>> REPLACE\n"
SHOW = 'echo "[$OWN/$FROM_FILE/${PRUNEJUICE_PORT:+port}/$DB_PASSWORD]"'
COMMAND = """
description: Mend
environment: {{OWN: of-command}}
pre_steps: [create-worktree]
steps:
  - {{name: seen, script: {seen}}}
  - {{name: work, agent: implement, args: {{files: [a.txt], prompt: say two, check: {check}}}}}
"""


@pytest.fixture
def shop(project, tmp_path, monkeypatch):
    """A project with a `.env`, whose command runs a check; a function that runs it."""
    (project.root / ".gitignore").write_text(".env\n")
    (project.root / ".env").write_text("FROM_FILE=of-file\nDB_PASSWORD=correct-horse-battery\n")
    path = tmp_path / "answers.yaml"
    monkeypatch.setenv("PRUNEJUICE_SCRIPT", str(path))
    monkeypatch.setenv("PRUNEJUICE_SANDBOX", "off")  # the checks write beside the tree

    def run(check, *answers):
        path.write_text(yaml.safe_dump({"answers": [{"text": text} for text in answers]}))
        project.command("mend", COMMAND.format(seen=json.dumps(SHOW), check=json.dumps(check)))
        git(project.root, "add", ".")
        git(project.root, "commit", "-qm", "command")
        return project.run("mend")

    return project, run


def test_a_check_of_an_agent_sees_what_steps_see(shop, tmp_path):
    project, run = shop
    seen = tmp_path / "seen.txt"
    answer, made = run(f"{SHOW} >> {seen}", EDIT)
    assert answer.code == 0, answer
    assert set(seen.read_text().split()) == {"[of-command/of-file/port/correct-horse-battery]"}
    assert "[of-command/of-file/port/***]" in project.prj("logs", made["id"]).out


def test_secrets_of_the_project_in_the_output_of_a_check_reach_no_model(shop):
    _, run = shop
    answer, made = run(f"{SHOW}; grep -q two a.txt", OTHER, EDIT.replace("\none\n", "\nthree\n"))
    assert answer.code == 0, answer
    folder = Path(made["artifact_dir"])
    texts = {path: path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file()}
    assert any("[of-command/of-file/port/***]" in text for text in texts.values()), "the output is kept"
    assert [path for path, text in texts.items() if "correct-horse" in text] == []


def test_a_check_of_a_merge_sees_the_variables_of_the_project(shop, tmp_path):
    project, run = shop
    answer, made = run("true", EDIT)
    assert answer.code == 0, answer
    seen = tmp_path / "seen.txt"
    assert project.prj("merge", made["id"], "--check", f"{SHOW} > {seen}; false").code == 3
    assert seen.read_text() == "[/of-file//correct-horse-battery]\n"
    failed = project.prj("merge", made["id"], "--check", f"{SHOW}; false")
    assert "[/of-file//***]" in failed.err


@pytest.mark.parametrize("checked", [True, False])
def test_without_trust_in_the_file_a_check_runs_without_it_and_says_so(shop, tmp_path, checked):
    project, _ = shop
    program = tmp_path / "seen.py"
    program.write_text("import os, sys\nsys.exit('FROM_FILE' in os.environ)\n")
    words = ["--check", f"{sys.executable} {program}"] if checked else []
    (tmp_path / "answers.yaml").write_text(yaml.safe_dump({"answers": [{"text": EDIT}]}))
    answer = project.codebot("implement", "a.txt", "--prompt", "say two", *words)
    assert answer.code == 0, answer
    assert ("without the variables of .env" in answer.err) == checked


@pytest.mark.parametrize("password", ["pgpass-99", "pgpass99"])
def test_the_password_in_a_url_is_masked_wherever_it_goes(shop, password):
    project, _ = shop
    (project.root / ".env").write_text(f"DATABASE_URL=postgres://user:{password}@host/db\n")
    project.command(
        "show", "steps: [{name: s, script: 'echo url=$DATABASE_URL | tee $PRUNEJUICE_OUTPUT'}]\n"
    )
    answer, made = project.run("show")
    assert answer.code == 0, answer
    folder = Path(made["artifact_dir"])
    texts = [path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file()]
    assert any("***" in text for text in texts)
    assert not any(password in text for text in texts)


@pytest.mark.parametrize("overlay", ["true", "false"])
def test_a_check_imports_the_project_alike_for_an_agent_and_a_merge(shop, tmp_path, monkeypatch, overlay):
    project, run = shop
    monkeypatch.setenv("PRUNEJUICE_OVERLAY", overlay)
    (project.root / "cart.py").write_text("one = 1\n")
    (project.root / "tests").mkdir()
    (project.root / "tests/test_cart.py").write_text(
        "from cart import one\n\n\ndef test_one():\n    assert one\n"
    )
    check = f"{Path(sys.executable).parent}/pytest -q -p no:cacheprovider"
    answer, made = run(check, EDIT)
    assert answer.code == 0, answer
    merged = project.prj("merge", made["id"], "--check", check)
    assert merged.code == 0, merged
