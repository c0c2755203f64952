"""Regressions of plum, undo and merge."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import NEEDS_TMUX, git

EDIT = (
    "pre_steps: [create-worktree]\nsteps: [{name: change, script: 'echo x >> a.txt; echo new > new.txt'}]"
)


@pytest.fixture
def edited(project):
    project.command("edit", EDIT)
    return project.run("edit")[1]


def test_a_check_that_is_not_trusted_any_more_is_not_passed_over(project, edited):
    (project.root / ".prj" / "config.yaml").write_text("check: exit 7\n")
    project.prj("trust")
    assert project.prj("merge", edited["id"]).code == 3
    (project.root / ".prj" / "commands" / "other.yaml").write_text("steps: [setup-environment]\n")
    answer = project.prj("merge", edited["id"])
    assert (answer.code, "prj trust" in answer.err) == (7, True)
    assert project.prj("merge", edited["id"], "--no-check").code == 0


def test_merge_can_be_undone_after_its_run_is_deleted(project, edited):
    operation = project.prj("merge", edited["id"], "--json").json["operation"]
    assert project.prj("cleanup", "--days", "0").code == 0
    assert project.prj("undo", operation).code == 0
    assert (project.root / "a.txt").read_text() == "one\n"


def test_tracked_files_matching_gitignore_are_merged(project):
    (project.root / ".gitignore").write_text("dist/\n")
    git(project.root, "add", ".gitignore")
    git(project.root, "commit", "-qm", "rules")
    project.command(
        "ship",
        "pre_steps: [create-worktree, gather-context]\n"
        "steps: [{name: a, script: 'mkdir dist; echo built > dist/x.js; git add -f dist; git commit -qm build; echo x > y'}]",
    )
    _, run = project.run("ship")
    assert project.prj("merge", run["id"]).code == 0
    assert (project.root / "dist" / "x.js").exists()
    assert git(project.root, "status", "--porcelain") == "?? .prj/"


def test_undone_run_is_listed_as_done(project, edited):
    assert project.prj("status", "--json").json["items"][0]["group"] == "ready"
    assert project.prj("undo", edited["id"]).code == 0
    item = project.prj("status", "--json").json["items"][0]
    assert (item["group"], "files" in item) == ("done", False)


def test_a_step_may_write_names_that_are_not_utf_8(project):
    project.command(
        "odd",
        'pre_steps: [create-worktree]\nsteps: [{name: a, script: \'echo 1 > "$(printf "a\\\\377b")"\'}]',
    )
    answer, run = project.run("odd")
    assert (answer.code, run["files"]) == (0, 1)
    assert project.prj("diff", run["id"], "--json").json["items"][0]["path"] == "a\\xffb"
    assert project.prj("compare", run["id"], run["id"], "--json").code == 0
    assert project.prj("conflicts", "--json").code == 0


def test_a_template_is_never_written_through_a_link(project, tmp_path):
    (project.root / "mcp-json-templates").mkdir()
    (project.root / "mcp-json-templates" / ".mcp.x.json").write_text("{}")
    (project.root / "mcp-json-templates" / ".mcp.link.json").symlink_to("/etc/passwd")
    (project.root / ".mcp.json").symlink_to(tmp_path / "pwned")
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "hostile")
    assert project.plum("create", "s", "-m").code == 0
    assert not (tmp_path / "pwned").exists()
    assert (
        "did you mean" in project.plum("create", "t", "-m", "lin").err
        or project.plum("create", "t", "-m", "link").code == 2
    )


@pytest.mark.parametrize(
    ("folder", "branch"), [("my shop", "my-shop-fix"), ("später", "sp-ter-fix"), ("…", "project-fix")]
)
def test_any_folder_name_gives_a_branch(project, tmp_path, monkeypatch, folder, branch):
    place = tmp_path / folder
    project.root.rename(place)
    monkeypatch.chdir(place)
    assert project.plum("create", "fix", "--json").json["branch"] == branch


def test_a_set_up_that_failed_is_tried_again_and_one_that_is_not_trusted_is_said(project):
    (project.root / ".prj").mkdir()
    config = project.root / ".prj" / "config.yaml"
    config.write_text("setup: test -f $PRUNEJUICE_PROJECT_PATH/mended\n")
    assert "is not trusted" in project.plum("create", "first").err
    project.prj("trust")
    answer = project.plum("create", "fix")
    assert (answer.code, "worktree setup failed" in answer.err) == (1, True)
    (project.root / "mended").write_text("")
    assert project.plum("create", "fix").code == 0
    answer = project.plum("create", "fix")
    assert (answer.code, "plum path" in answer.err) == (1, True)


@pytest.mark.parametrize("editor", ["vi 'x", "no-such-editor"])
def test_an_editor_that_does_not_start_is_only_said(project, monkeypatch, editor):
    monkeypatch.setenv("PLUM_EDITOR", editor)
    answer = project.plum("create", "fix")
    assert (answer.code, "could not start the editor" in answer.err) == (0, True)


def test_names_that_name_nothing(project):
    assert "is empty" in project.plum("path", "").err
    path = project.plum("create", "fix", "--json").json["path"]
    assert project.plum("path", f"../{Path(path).parent.name}/{Path(path).name}").out == f"{path}\n"
    assert "not --force" not in project.plum("remove", "main", "--force").err
    assert "--force" not in project.plum("remove", "main", "--force").err
    for _ in range(2):
        assert project.plum("create").code == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has it")
@pytest.mark.parametrize("words", [["status", "--json"], ["status"], ["show", "zz", "--json"]])
def test_an_output_that_cannot_be_written_is_no_traceback(project, words):
    project.command("c", "steps: [setup-environment]")
    project.run("c")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "prunejuice", *words],
            cwd=project.root,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode in {1, 2}
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr


def test_an_interruption_is_json_too(project, monkeypatch):
    import click

    def abort(*_words, **_more):
        raise click.Abort

    monkeypatch.setattr("click.prompt", abort)
    answer = project.plum("create", "-i", "--json")
    assert (answer.code, answer.json["error"]["message"]) == (130, "interrupted")


@NEEDS_TMUX
def test_the_way_to_end_a_foreign_session_names_its_server(project):
    socket = os.environ["PRUNEJUICE_TMUX_SOCKET"]
    subprocess.run(["tmux", "-L", socket, "new-session", "-d", "-s", "theirs"], check=True)
    assert f"tmux -L {socket} kill-session -t =theirs" in project.pots("kill", "-f", "theirs").err


def test_without_a_name_for_the_user_the_fix_is_named(project, edited, surroundings, monkeypatch):
    (surroundings / ".gitconfig").write_text("[user]\nuseConfigOnly = true\n")
    answer = project.prj("merge", edited["id"])
    assert (answer.code, "user.name" in answer.err) == (1, True)


def test_a_bare_repository_is_named_as_one(project, tmp_path, monkeypatch):
    git(tmp_path, "init", "-q", "--bare", "bare.git")
    monkeypatch.chdir(tmp_path / "bare.git")
    assert "in a bare repository" in project.plum("list").err


def test_a_check_that_was_killed_is_cleared_away_with_its_processes(project, edited, tmp_path):
    check = f"touch {tmp_path}/began; exec sleep 61"
    child = project.spawn("merge", edited["id"], "--check", check)
    until = time.monotonic() + 20
    while not (tmp_path / "began").exists() and time.monotonic() < until:
        time.sleep(0.02)
    child.kill()
    child.communicate()
    assert "prunejuice-check" in project.prj("cleanup").out
    assert len(git(project.root, "worktree", "list").splitlines()) == 2
    found = subprocess.run(["pgrep", "-fx", "sleep 61"], capture_output=True, text=True, check=False)
    assert found.stdout == ""
