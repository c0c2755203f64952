"""`codebot blame` names the run and the step that wrote a line, whoever changed the worktree."""

import contextlib
import shutil
from pathlib import Path

import pytest
import yaml

from conftest import git

SCRIPTED = """
description: Write by a script
pre_steps: [create-worktree]
steps:
  - {name: first, script: "printf 'one\\nby first\\n' > a.txt"}
  - {name: second, script: "printf 'top\\none\\nby first\\nby second\\n' > a.txt; git add a.txt; git commit -qm own"}
"""
WAITING = """
description: Write by an agent
pre_steps: [create-worktree]
steps:
  - {name: work, agent: implement, args: {files: [a.txt], prompt: say two, changes: wait}}
"""
EDIT = "Say two.\n\na.txt\n<<<<<<< SEARCH\none\n=======\none\ntwo\n>>>>>>> REPLACE\n"


def blame(project, place, root=None):
    with contextlib.chdir(root or project.root):
        answer = project.codebot("blame", place, "--json")
    assert answer.code == 0, answer
    assert answer.json["change_set"] is None
    return answer.json["work"]


@pytest.fixture
def done(project):
    """A run whose two steps have changed a file, of which a person changed one more line."""
    project.command("write", SCRIPTED)
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "command")
    answer, run = project.run("write")
    assert answer.code == 0, answer
    return run


LINES = {1: "step second", 3: "step first", 4: "step second"}


@pytest.mark.parametrize("method", ["", "--squash", "--rebase", "--no-ff"])
def test_lines_that_scripts_wrote_are_those_of_their_steps(project, done, method):
    assert project.prj("merge", done["id"], *filter(None, [method]), "--no-check").code == 0
    for line, by in LINES.items():
        work = blame(project, f"a.txt:{line}")
        assert (work["run"], work["command"], work["by"]) == (done["id"][:8], "write", by), work
    assert blame(project, "a.txt:2") is None, "the line was there before"
    shown = project.codebot("blame", "a.txt:3").out
    assert "step first" in shown
    assert done["id"][:8] in shown


def test_lines_in_the_worktree_are_known_before_they_are_committed(project, done):
    root = Path(done["worktree"])
    git(root, "reset", "-q", "--soft", "HEAD~1")
    (root / "a.txt").write_text((root / "a.txt").read_text() + "by a person\n")
    assert {line: blame(project, f"a.txt:{line}", root)["by"] for line in LINES} == LINES
    assert blame(project, "a.txt:5", root)["by"].startswith("a person")
    assert project.prj("diff", done["id"]).code == 0


def test_a_line_that_was_indented_later_keeps_its_author(project, done):
    assert project.prj("merge", done["id"], "--no-check").code == 0
    text = (project.root / "a.txt").read_text()
    (project.root / "a.txt").write_text(text.replace("by first", "    by first"))
    git(project.root, "commit", "-qam", "Indent")
    assert blame(project, "a.txt:3")["by"] == "step first"


def test_work_that_was_never_committed_is_merged_from_its_last_snapshot(project, done):
    project.command(
        "plain", "pre_steps: [create-worktree]\nsteps: [{name: w, script: 'echo kept > b.txt'}]\n"
    )
    _, run = project.run("plain")
    shutil.rmtree(run["worktree"])
    git(project.root, "worktree", "prune")
    assert project.prj("merge", run["id"], "--no-check").code == 0
    assert (project.root / "b.txt").read_text() == "kept\n"


def test_work_that_was_removed_on_purpose_is_not_merged(project, done):
    project.command(
        "plain", "pre_steps: [create-worktree]\nsteps: [{name: w, script: 'echo kept > b.txt'}]\n"
    )
    _, run = project.run("plain")
    assert project.plum("remove", "--force", run["branch"]).code == 0
    project.prj("merge", run["id"], "--no-check")
    assert not (project.root / "b.txt").exists()


def test_a_file_that_is_not_there_is_named(project):
    answer = project.codebot("blame", "nothing.txt:1")
    assert answer.code == 2
    assert "there is no file nothing.txt" in answer.err


def test_lines_of_a_person_are_told_from_those_of_steps(project, done):
    root = Path(done["worktree"])
    (root / "a.txt").write_text((root / "a.txt").read_text() + "by a person\n")
    assert project.prj("merge", done["id"], "--no-check").code == 0
    assert blame(project, "a.txt:5")["by"].startswith("a person")
    assert blame(project, "a.txt:3")["by"] == "step first"


def test_lines_of_an_agent_that_were_reviewed_name_the_change_set(project, tmp_path, monkeypatch):
    path = tmp_path / "answers.yaml"
    path.write_text(yaml.safe_dump({"answers": [{"text": EDIT}]}))
    monkeypatch.setenv("PRUNEJUICE_SCRIPT", str(path))
    project.command("say", WAITING)
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "command")
    _, run = project.run("say")
    [waiting] = project.codebot("pending", "--json").json["items"]
    assert project.prj("review", run["id"], "-y").code == 0
    assert project.prj("land", run["id"], "-y", "--no-check").code == 0
    work = blame(project, "a.txt:2")
    assert (work["by"], work["change_set"], work["summary"]) == ("step work", waiting["id"], "Say two.")
    assert project.prj("cleanup").code == 0
    assert not Path(run["worktree"]).exists()
    assert blame(project, "a.txt:2")["run"] == run["id"][:8], "also without the worktree"


@pytest.mark.parametrize("lost", ["history", "trailer of others", "no repository", "not tracked"])
def test_lines_of_no_known_run_are_those_of_git(project, done, tmp_path, lost):
    root = project.root
    if lost == "trailer of others":
        (root / "a.txt").write_text("one\nother\n")
        git(root, "commit", "-qam", f"other\n\nPruneJuice-Run: {'ab' * 6}")
    elif lost == "history":
        assert project.prj("merge", done["id"], "--no-check").code == 0
        shutil.rmtree(project.home)
    elif lost == "no repository":
        root = tmp_path / "plain"
        root.mkdir()
        (root / "a.txt").write_text("one\nother\n")
    else:
        (root / "b.txt").write_text("one\nother\n")
    place = "b.txt:2" if lost == "not tracked" else "a.txt:2"
    assert blame(project, place, root) is None
    with contextlib.chdir(root):
        assert "git blame" in project.codebot("blame", place).out
