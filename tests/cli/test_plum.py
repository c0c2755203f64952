"""`plum` and `pots`, in both grammars."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from conftest import NEEDS_TMUX, git


def made(project, *words):
    """Create a worktree; its path and branch."""
    answer = project.plum("create", *words, "--json")
    assert answer.code == 0, answer.err
    return Path(answer.json["path"]), answer.json["branch"]


def test_create_names_the_branch_and_says_what_programs_look_for(project):
    answer = project.plum("create", "fix")
    path = project.root.parent / "shop-worktrees" / "shop-fix"
    assert answer.out.splitlines() == [
        "Branch: shop-fix (from main)",
        f"Worktree created at: {path}",
    ]
    assert (path / "a.txt").read_text() == "one\n"


@pytest.mark.parametrize("home", ["a.txt", "a.txt/state", "/proc/nowhere"])
def test_a_state_directory_that_cannot_be_used_is_named(project, monkeypatch, home):
    monkeypatch.setenv("PRUNEJUICE_HOME", str(project.root / home))
    answer = project.plum("create", "fix")
    assert answer.code in {1, 2}
    assert "PRUNEJUICE_HOME" in answer.err
    assert "unexpected" not in answer.err


def test_a_branch_below_another_branch_is_refused_with_a_fix(project):
    git(project.root, "branch", "feat")
    answer = project.plum("create", "feat/x")
    assert answer.code == 1
    assert "choose a branch name that does not begin with feat/" in answer.err


def test_a_filter_that_is_not_installed_is_named(project):
    (project.root / ".gitattributes").write_text("*.bin filter=lfs\n")
    (project.root / "a.bin").write_text("x\n")
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "Add a large file")
    for key, value in (("smudge", "git-lfs-none smudge -- %f"), ("required", "true")):
        git(project.root, "config", "--global", f"filter.lfs.{key}", value)
    answer = project.plum("create", "fix")
    assert answer.code == 1
    assert "install git-lfs-none" in answer.err


def test_a_submodule_is_named_by_its_folder_and_is_said_to_be_empty(project, tmp_path, monkeypatch):
    other = tmp_path / "other"
    git(tmp_path, "init", "-q", str(other))
    git(other, "commit", "-q", "--allow-empty", "-m", "Begin")
    git(project.root, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "mod")
    git(project.root, "commit", "-qm", "Use the other")
    answer = project.plum("create", "fix")
    path = project.root.parent / "shop-worktrees" / "shop-fix"
    assert f"run `git -C {path} submodule update --init`" in answer.out
    monkeypatch.chdir(project.root / "mod")
    listed = project.plum("list").out
    assert listed.startswith(f"{project.root}/mod ")
    assert ".git/modules" not in listed


@pytest.mark.parametrize(
    ("words", "branch"),
    [
        (["fix"], "shop-fix"),
        (["shop-fix"], "shop-fix"),
        (["feature/fix"], "feature/fix"),
        (["there"], "there"),
        (["fix", "--pattern", "{username}/{suffix}"], "shop/fix"),
        (["fix", "--pattern", "{suffix}"], "fix"),
        ([], r"shop-patch-\d+-[0-9a-f]{4}"),
    ],
)
def test_worktree_name_determines_its_branch(project, words, branch):
    git(project.root, "branch", "there")
    assert re.fullmatch(branch, made(project, *words)[1])


def test_the_variables_of_the_shell_tool_count(project, surroundings, monkeypatch, tmp_path):
    (project.root / "mcp-json-templates").mkdir()
    (project.root / "mcp-json-templates" / ".mcp.web.json").write_text('{"web": 1}')
    (project.root / ".vscode").mkdir()
    (project.root / ".vscode" / "tasks.json").write_text("{}")
    git(project.root, "checkout", "-q", "-b", "develop")
    git(project.root, "commit", "-q", "--allow-empty", "-m", "develop")
    git(project.root, "checkout", "-q", "main")
    (surroundings / ".worktree-config").write_text(
        'WORKTREE_NAME_PREFIX="me"\nPLUM_DEFAULT_BRANCH=develop\nPLUM_PARENT_DIR=../trees\n'
        'PLUM_FILES_TO_COPY=(".vscode/tasks.json" "gone")\nPLUM_EDITOR="cp -r"\nPLUM_EDITOR_ARGS=--no-target-directory\n'
    )
    answer = project.plum("create", "fix", "-m", "web")
    path = project.root.parent / "trees" / "me-fix"
    assert git(path, "log", "-1", "--format=%s") == "develop"
    assert "(from develop)" in answer.out
    assert "  ✓ Copied .vscode/tasks.json" in answer.out
    assert "  ⚠ gone not found in source directory" in answer.out
    assert "  Files copied: 1, failed: 1" in answer.out
    assert "Opening in editor: cp -r" in answer.out
    assert (path / ".mcp.json").read_text() == '{"web": 1}'
    monkeypatch.setenv("WORKTREE_NAME_PREFIX", "other")
    answer = project.plum("create", "plain", "--no-copy-files", "--json")
    assert (answer.json["branch"], answer.json["copied"]) == ("other-plain", [])
    shown = project.plum("--config").out
    assert re.search(r"WORKTREE_NAME_PREFIX +other", shown)
    assert re.search(r"PLUM_PARENT_DIR +\.\./trees", shown)


def test_mcp_templates_are_chosen_by_name(project, monkeypatch):
    assert "contains no templates" in project.plum("create", "x", "-m").err
    folder = project.root / "mcp-json-templates"
    folder.mkdir()
    (folder / ".mcp.web.json").write_text("{}")
    assert project.plum("create", "x", "-m", "--dry-run").code == 0
    (folder / ".mcp.db.json").write_text("{}")
    assert "available templates: db, web" in project.plum("create", "x", "-m").err
    assert "did you mean 'web'" in project.plum("create", "x", "--mcp", "wob").err
    monkeypatch.setenv("PLUM_MCP_AUTO_ACTIVATE", "true")
    monkeypatch.setenv("PLUM_MCP_TEMPLATE_DIR", "nowhere")
    assert project.plum("create", "x").code == 2


def test_dry_run_makes_nothing(project):
    (project.root / ".gitignore").write_text(".env\n")
    (project.root / ".env").write_text("x")
    (project.root / ".worktreeinclude").write_text(".env\n")
    before = git(project.root, "for-each-ref")
    answer = project.plum("create", "fix", "--dry-run")
    assert "Would copy .env" in answer.out
    found = project.plum("create", "fix", "--dry-run", "--json").json
    assert (found["dry_run"], found["files"]) == (True, [".env"])
    assert not Path(found["path"]).exists()
    assert git(project.root, "for-each-ref") == before


def test_interactive_asks_for_what_is_not_given(project, monkeypatch):
    answers = iter(["asked", "main"])
    monkeypatch.setattr("click.prompt", lambda *_args, **_more: next(answers))
    assert project.plum("create", "-i").out.endswith("shop-asked\n")


def test_a_worktree_is_usable_at_once(project):
    (project.root / ".gitignore").write_text(".env\n")
    (project.root / ".env").write_text("SECRET=1")
    (project.root / ".worktreeinclude").write_text(".env\n")
    (project.root / ".prj").mkdir()
    (project.root / ".prj" / "config.yaml").write_text(
        "setup: echo $PRUNEJUICE_PORT $PRUNEJUICE_BRANCH_NAME > ready\nsetup_inputs: [lock]\n"
    )
    path, _ = made(project, "untrusted")
    assert not (path / "ready").exists()
    project.prj("trust")
    answer = project.plum("create", "fix", "--json")
    path = Path(answer.json["path"])
    assert (path / "ready").read_text() == f"{answer.json['port']} shop-fix\n"
    assert (path / ".env").read_text() == "SECRET=1"
    project.command(
        "c",
        "pre_steps: [create-worktree]\nsteps: [{name: a, script: 'cat .env ready; echo $PRUNEJUICE_PORT $PRUNEJUICE_PORT_9'}]",
    )
    _, run = project.run("c")
    said = project.log(run, "a").split()
    assert said[0].startswith("SECRET=1")
    assert int(said[-1]) == int(said[-2]) + 9
    assert "Copied .env" in project.log(run, "create-worktree")


def test_run_resumes_after_a_failed_worktree_setup_is_fixed(project):
    (project.root / ".prj").mkdir()
    (project.root / ".prj" / "config.yaml").write_text(
        "setup: echo trying; test -f $PRUNEJUICE_PROJECT_PATH/mended\n"
    )
    project.command("c", "pre_steps: [create-worktree]\nsteps: [{name: a, script: 'echo hi'}]")
    answer, run = project.run("c")
    assert (answer.code, "worktree setup failed: exit 1" in run["error"]) == (1, True)
    assert "trying" in project.log(run, "create-worktree")
    (project.root / "mended").write_text("")
    assert project.prj("resume", run["id"]).code == 0


def test_list_and_path(project, monkeypatch):
    path, branch = made(project, "fix")
    assert f"{path} " in project.plum("list").out
    assert project.plum("list", "-v").code == 0
    items = project.plum("list", "--json").json["items"]
    assert [item["branch"] for item in items] == ["main", "shop-fix"]
    assert (items[0]["main"], items[1]["made_branch"]) == (True, True)
    for name in ("fix", branch, path.name, str(path)):
        assert project.plum("path", name).out == f"{path}\n"
    git(project.root, "worktree", "lock", "--reason", "\x1b[31mred", str(path))
    assert "\x1b" not in project.plum("list", "--json").out + project.plum("list", "-v").out
    assert project.plum("path", "nope").code == 2
    made(project, "a/fix")
    assert "several" in project.plum("path", "fix").err
    monkeypatch.chdir(path)
    assert project.plum("path", "shop-fix").out == f"{path}\n"


def test_remove_refuses_what_would_be_lost_and_undo_brings_back_what_was_forced(project):
    path, branch = made(project, "fix")
    (path / "work").write_text("precious")
    answer = project.plum("remove", "fix")
    assert (answer.code, "uncommitted" in answer.err) == (2, True)
    assert (path / "work").exists()
    answer = project.plum("remove", "fix", "--force", "--json")
    assert (answer.code, answer.json["dropped"]) == (0, True)
    assert not path.exists()
    assert project.prj("undo", answer.json["operation"]).code == 0
    assert (path / "work").read_text() == "precious"
    assert git(path, "branch", "--show-current") == branch


def test_remove_says_how_to_go_back_and_refuses_where_a_run_works(project, tmp_path):
    made(project, "fix")
    assert re.search(r"undo +prj undo op-", project.plum("remove", "fix").out)
    project.command("asks", "pre_steps: [create-worktree]\nsteps: [{name: a, agent: implement}]")
    _, run = project.run("asks")
    answer = project.plum("remove", run["branch"])
    assert (answer.code, f"prj stop {run['id'][:8]}" in answer.err) == (2, True)
    assert project.plum("remove", run["branch"], "-f", "-b").code == 0


def test_prune_lists_the_worktrees_it_forgets(project):
    path, _ = made(project, "fix")
    assert project.plum("prune").out == "nothing to prune\n"
    subprocess.run(["rm", "-rf", str(path)], check=True)
    assert project.plum("prune", "-n").out == f"would prune {path}\n"
    assert project.plum("prune", "--json").json["items"] == [{"path": str(path)}]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ([], 2, "missing command"),
        (["creat"], 2, "create"),
        (["create", "x", "--from", "nope"], 2, "unknown base"),
        (["create", "x", "--pattern", "{nope}"], 2, "{nope}"),
        (["create", "a b"], 2, "branch"),
        (["create", "x" * 300], 2, "longer than"),
        (["remove", "nope"], 2, "unknown worktree"),
        (["create", "\x1b[31m"], 2, "branch"),
    ],
)
def test_invalid_plum_arguments_are_reported(project, words, code, says):
    answer = project.plum(*words)
    assert (answer.code, says in answer.err) == (code, True), answer.err
    assert "\x1b[31m\x1b" not in answer.err


def test_outside_a_repository_and_before_the_first_commit(project, tmp_path, monkeypatch):
    outside = tmp_path / "outside"
    outside.mkdir()
    monkeypatch.chdir(outside)
    assert "not in a git repository" in project.plum("list").err
    git(outside, "init", "-q")
    answer = project.plum("create", "x")
    assert (answer.code, "no commit yet" in answer.err) == (2, True)


def test_help_is_there_for_everything(project):
    for group, names in (
        (project.plum, ("create", "list", "path", "remove", "prune")),
        (project.pots, ("create", "list", "attach", "kill", "cleanup")),
    ):
        assert group("-h").code == 0
        assert group("--version").out.startswith("PruneJuice ")
        for name in names:
            assert group(name, "--help").code == 0


# -- pots -------------------------------------------------------------------------------------------


@NEEDS_TMUX
@pytest.mark.parametrize("grammar", ["flag", "word", "default", "set"])
def test_a_session_is_made_in_either_grammar(project, monkeypatch, grammar):
    path, _ = made(project, "fix")
    words = {"flag": ["-t", "dev"], "word": ["dev"], "default": [], "set": []}[grammar]
    if grammar == "set":
        monkeypatch.setenv("POTS_DEFAULT_TASK", "review")
    task = "review" if grammar == "set" else "dev"
    answer = project.pots("create", str(path), *words, "--no-attach")
    assert answer.out.splitlines() == [
        f"Created session 'shop-fix-{task}' for worktree '{path}'",
        f"Session created: shop-fix-{task}",
    ]
    assert project.pots("create", str(path), *words).out.startswith("Found session")
    assert project.pots("list").out == f"shop-fix-{task}\n"
    item = project.pots("list", "--json").json["items"][0]
    assert (item["directory"], item["task"], item["orphan"]) == (str(path), task, False)
    lines = project.pots("list", "-v", "fix").out.splitlines()
    assert lines[:2] == [f"Session: shop-fix-{task}", f"  Working Directory: {path}"]
    assert lines[3] == "  Attached: No"


@NEEDS_TMUX
def test_only_our_sessions_are_orphans_or_are_ended(project):
    socket = os.environ["PRUNEJUICE_TMUX_SOCKET"]
    path, _ = made(project, "fix")
    other, _ = made(project, "other")
    for each in (path, other):
        project.pots("create", str(each))
    subprocess.run(["tmux", "-L", socket, "new-session", "-d", "-s", "shop-theirs"], check=True)
    assert project.pots("cleanup").out == "No orphaned sessions found\n"
    subprocess.run(["rm", "-rf", str(path)], check=True)
    assert project.pots("cleanup", "-n").out == "Found orphaned sessions:\n  - shop-fix-dev\n"
    assert project.pots("cleanup", "-p", "elsewhere").out == "No orphaned sessions found\n"
    assert project.pots("cleanup", "-y", "-p", "shop", "--json").json["items"] == [
        {"name": "shop-fix-dev", "killed": True}
    ]
    answer = project.pots("kill", "-f", "shop-theirs")
    assert (answer.code, "not made by pots" in answer.err) == (7, True)
    assert project.pots("kill", "-f", "shop-other-dev").out == "Killed session 'shop-other-dev'\n"
    assert project.pots("list").out == "shop-theirs\n"


@NEEDS_TMUX
def test_killing_asks_first(project, monkeypatch):
    path, _ = made(project, "fix")
    project.pots("create", str(path))
    monkeypatch.setattr("click.confirm", lambda *_args, **_more: False)
    assert project.pots("kill", "shop-fix-dev").out == "Cancelled\n"
    subprocess.run(["rm", "-rf", str(path)], check=True)
    assert project.pots("cleanup").out.endswith("Cancelled\n")
    assert project.pots("list").out == "shop-fix-dev\n"
    monkeypatch.setattr("click.confirm", lambda *_args, **_more: True)
    assert project.pots("cleanup").out.endswith("Killed 1 sessions\n")


@NEEDS_TMUX
def test_removing_a_worktree_can_end_its_sessions(project, monkeypatch):
    path, _ = made(project, "fix")
    project.pots("create", str(path))
    monkeypatch.setenv("POTS_CLEANUP_ON_WORKTREE_REMOVE", "true")
    assert project.plum("remove", "fix").code == 0
    assert project.pots("list", "--json").json["items"] == []


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["create", "/nowhere"], 2, "no such directory"),
        (["create", ".", "a", "-t", "b"], 2, "twice"),
        (["list", "-f", "("], 2, "regular expression"),
        (["attach", "nope"], 2, "unknown session"),
        (["kill", "nope"], 2, "unknown session"),
    ],
)
def test_invalid_pots_arguments_are_reported(project, words, code, says):
    answer = project.pots(*words)
    assert (answer.code, says in answer.err) == (code, True), answer.err


@NEEDS_TMUX
def test_attaching_needs_a_terminal(project):
    path, _ = made(project, "fix")
    project.pots("create", str(path))
    assert "needs a terminal" in project.pots("attach", "shop-fix-dev").err


def test_no_tmux_is_said_and_lists_are_empty(project, monkeypatch, tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    os.symlink(
        subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip(),
        folder / "git",
    )
    monkeypatch.setenv("PATH", str(folder))
    answer = project.pots("create", ".")
    assert (answer.code, "tmux is not installed" in answer.err) == (2, True)
    assert "No tmux sessions found" in project.pots("list").err


@NEEDS_TMUX
def test_fifty_sessions_are_asked_for_once(project, monkeypatch):
    from prunejuice.system import process
    from prunejuice.worktrees import tmux

    socket = os.environ["PRUNEJUICE_TMUX_SOCKET"]
    for number in range(50):
        tmux.create_session(
            f"s{number}", str(project.root), socket, tmux.SessionMark("p", str(project.root))
        )
    calls = []
    real = process.capture_output
    monkeypatch.setattr(
        process, "capture_output", lambda call, *rest: calls.append(call.argv) or real(call, *rest)
    )
    assert len(project.pots("list", "--json").json["items"]) == 50
    assert len(calls) == 1


def test_plum_works_at_the_root_of_a_bare_layout(project, tmp_path, monkeypatch):
    root = tmp_path / "bare"
    root.mkdir()
    git(tmp_path, "clone", "-q", "--bare", str(project.root), str(root / ".bare"))
    (root / ".git").write_text("gitdir: ./.bare\n")
    monkeypatch.chdir(root)
    refused = project.plum("list")
    assert refused.code == 2
    assert "git worktree add" in refused.err
    git(root / ".bare", "worktree", "add", "-q", str(root / "main"), "main")
    listed = project.plum("list", "--json")
    assert listed.code == 0, listed.err
    made = project.plum("create", "own/x", "--json")
    assert made.code == 0, made.err
    assert project.plum("path", "own/x").out.strip() == made.json["path"]
    assert project.plum("remove", "own/x").code == 0
