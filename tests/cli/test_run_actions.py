"""Work of runs: diff, undo, compare, conflicts, merge, parallel runs, attach."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import NEEDS_TMUX, git, wait_for
from prunejuice.engine.event import SnapshotTaken
from prunejuice.engine.stores.sqlite import SqliteStore
from prunejuice.system.lock import holder_pid

EDIT = """
arguments: [{name: issue, type: integer, default: 1}]
pre_steps: [create-worktree]
steps:
  - {name: change, script: 'echo "issue $PRUNEJUICE_ARG_ISSUE" >> a.txt; echo new > "new$PRUNEJUICE_ARG_ISSUE.txt"'}
  - {name: look, script: 'cat a.txt'}
  - {name: more, script: 'echo more > more.txt', condition: steps.change.changed and not steps.look.changed}
"""


@pytest.fixture
def edited(project):
    """A project in which one run has changed files in its own worktree."""
    project.command("edit", EDIT)
    answer, run = project.run("edit")
    assert answer.code == 0
    return run


def test_diff_of_a_run_and_of_a_step(project, edited):
    patch = project.prj("diff", edited["id"]).out
    assert "+issue 1" in patch
    assert "more.txt" in patch
    step = project.prj("diff", edited["id"], "change").out
    assert ("+issue 1" in step, "more.txt" in step) == (True, False)
    assert project.prj("diff", edited["id"], "look").out == ""
    stat = project.prj("diff", edited["id"], "--stat").out.split("\n")
    assert [line.split() for line in stat if line] == [
        ["+1", "-0", "a.txt"],
        ["+1", "-0", "more.txt"],
        ["+1", "-0", "new1.txt"],
    ]
    items = project.prj("diff", edited["id"], "--json").json["items"]
    assert items[0] == {"path": "a.txt", "added": 1, "removed": 0}


def test_the_diff_in_a_pipe_is_a_patch_that_git_can_apply(project, edited, tmp_path):
    Path(edited["worktree"], "binary").write_bytes(b"\x00\x01" * 50)
    done = subprocess.run(
        [sys.executable, "-m", "prunejuice", "diff", edited["id"]],
        cwd=project.root,
        capture_output=True,
        check=True,
    )
    subprocess.run(["git", "apply"], input=done.stdout, cwd=project.root, check=True)
    for name in ("a.txt", "new1.txt", "binary"):
        assert (project.root / name).read_bytes() == Path(edited["worktree"], name).read_bytes()


def test_the_diff_on_a_terminal_is_safe_and_in_colour(project, edited, monkeypatch):
    monkeypatch.setenv("PAGER", "cat")
    Path(edited["worktree"], "evil").write_text("\x1b]52;c;x\x07 [/foo]\n")
    out = on_a_terminal(project, "diff", edited["id"])
    assert "\\x1b]52" in out
    assert "\x1b]52" not in out
    assert "\x1b[32m+" in out


def on_a_terminal(project, *words, typed=b""):
    """What a terminal gets from prj."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(project.root)
        os.execv(sys.executable, [sys.executable, "-m", "prunejuice", *words])
    out, begun = b"", time.monotonic()
    while True:
        if typed and time.monotonic() - begun > 1:  # again and again, until the program is ready for it
            os.write(fd, typed)
            begun = time.monotonic()
        if not select.select([fd], [], [], 0.2)[0]:
            continue
        try:
            chunk = os.read(fd, 65536)
        except OSError:
            break
        if not chunk:
            break
        out += chunk
    os.waitpid(pid, 0)
    os.close(fd)
    return out.decode("utf-8", "replace")


@pytest.mark.parametrize("form", ["run step", "run/step"])
def test_undo_of_a_step_leaves_the_later_ones(project, edited, form):
    tree = Path(edited["worktree"])
    words = [edited["id"], "change"] if form == "run step" else [f"{edited['id']}/change"]
    answer = project.prj("undo", *words, "--json")
    assert (answer.code, answer.json["undone"]) == (0, edited["id"])
    assert (tree / "a.txt").read_text() == "one\n"
    assert not (tree / "new1.txt").exists()
    assert (tree / "more.txt").exists()
    assert project.prj("undo", answer.json["operation"]).code == 0
    assert (tree / "a.txt").read_text() == "one\nissue 1\n"


def test_undo_of_a_run_and_what_there_is_to_undo(project, edited):
    tree = Path(edited["worktree"])
    assert project.prj("undo", "--list").out == "nothing to undo\n"
    assert "revert this with" in project.prj("undo", edited["id"]).out
    assert git(tree, "status", "--porcelain") == ""
    assert "nothing to undo" in project.prj("undo", edited["id"]).out
    listed = project.prj("undo", "--list").out
    assert listed.startswith("op-")
    assert f"undo run {edited['id'][:8]}" in listed
    operation = listed.split()[0]
    assert project.prj("undo", operation[:8]).code == 0
    assert project.prj("undo", operation).code == 2
    assert "  undone" in project.prj("undo", "--list").out


def test_undo_keeps_what_a_person_did_since_or_refuses(project, edited):
    tree = Path(edited["worktree"])
    (tree / "mine").write_text("mine")
    (tree / "new1.txt").write_text("changed by hand\n")
    answer = project.prj("undo", edited["id"])
    assert answer.code == 4
    assert "new1.txt" in answer.err
    (tree / "new1.txt").write_text("new\n")
    assert project.prj("undo", edited["id"]).code == 0
    assert (tree / "mine").read_text() == "mine"


def test_undo_in_the_users_own_checkout(project):
    project.command("edit", EDIT)
    (project.root / "a.txt").write_text("mine\n")
    _, run = project.run("edit", "--no-worktree")
    assert (project.root / "a.txt").read_text() == "mine\nissue 1\n"
    assert project.prj("undo", run["id"]).code == 0
    assert (project.root / "a.txt").read_text() == "mine\n"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["undo"], 2, "missing RUN"),
        (["undo", "op-nope"], 2, "unknown operation"),
        (["undo", "ffff"], 2, "unknown run"),
        (["diff", "ffff"], 2, "unknown run"),
        (["compare", "ffff"], 2, "two runs"),
        (["merge", "ffff"], 2, "unknown run"),
        (["conflicts", "--base", "nope"], 2, "unknown commit"),
        (["attach", "ffff"], 2, "unknown run"),
    ],
)
def test_unknown_runs_and_operations_are_reported(project, words, code, says):
    answer = project.prj(*words)
    assert (answer.code, says in answer.err) == (code, True), answer.err


def test_steps_and_snapshots_that_are_not_there_are_named(project, edited):
    assert "did you mean" not in project.prj("diff", edited["id"], "chang").out
    assert project.prj("diff", edited["id"], "chang").code == 2
    assert project.prj("undo", edited["id"], "create-worktree").code == 2
    project.command("none", "steps: [setup-environment]")
    _, run = project.run("none")
    for words in (["diff", run["id"]], ["undo", run["id"]], ["merge", run["id"]]):
        answer = project.prj(*words)
        assert (answer.code, "run" in answer.err) == (2, True)


def test_snapshots_can_be_turned_off(project, monkeypatch):
    monkeypatch.setenv("PRUNEJUICE_SNAPSHOTS", "off")
    project.command("edit", EDIT)
    _, run = project.run("edit")
    assert git(project.root, "for-each-ref", "refs/prunejuice/runs") == ""
    assert project.prj("undo", run["id"]).code == 2
    assert "+issue 1" in project.prj("diff", run["id"]).out
    monkeypatch.setenv("PRUNEJUICE_SNAPSHOTS", "maybe")
    assert "true or false" in project.prj("run", "edit").err


def test_cleanup_deletes_the_refs_of_forgotten_runs(project, edited):
    assert git(project.root, "for-each-ref", "refs/prunejuice/runs") != ""
    git(Path(edited["worktree"]), "checkout", "-q", ".")
    git(Path(edited["worktree"]), "clean", "-qfd")
    assert project.prj("cleanup", "--days", "0").code == 0
    assert git(project.root, "for-each-ref", "refs/prunejuice/runs") == ""


# -- together ---------------------------------------------------------------------------------------


def test_compare_shows_runs_side_by_side(project, edited):
    _, other = project.run("edit", "issue=2")
    table = project.prj("compare", edited["id"], other["id"]).out.splitlines()
    rows = {line.split("  ")[0].strip() or line.split()[0]: line.split()[-2:] for line in table}
    assert rows["issue"] == ["1", "2"]
    assert rows["files"] == ["3", "3"]
    assert "  new2.txt" in "\n".join(table)
    items = project.prj("compare", edited["id"], other["id"], "--json").json["items"]
    assert [(item["added"], item["removed"]) for item in items] == [(3, 0), (3, 0)]


def test_conflicts_and_their_place_in_status(project, edited):
    assert "no conflicts" in project.prj("conflicts").out
    _, other = project.run("edit", "issue=2")
    out = project.prj("conflicts").out
    assert "✗" in out
    assert "a.txt" in out
    found = project.prj("conflicts", "--json").json
    assert {found["items"][0]["one"], found["items"][0]["other"]} == {edited["branch"], other["branch"]}
    assert len(found["worktrees"]) == 2
    status = {item["id"]: item for item in project.prj("status", "--json").json["items"]}
    assert status[edited["id"]]["overlaps"] == [{"run": other["id"], "files": ["a.txt", "more.txt"]}]
    assert "changed the same files as" in project.prj("status").out


def test_status_groups_by_what_a_person_has_to_do(project, edited):
    project.command("fails", "steps: [{name: a, script: 'exit 1'}]")
    project.command("asks", "steps: [{name: a, agent: implement}]")
    _, failed = project.run("fails")
    _, waits = project.run("asks")
    _, plain = project.run("edit", "--no-worktree", "issue=3")
    items = {item["id"]: item for item in project.prj("status", "--json").json["items"]}
    assert {run["id"]: items[run["id"]]["group"] for run in (edited, failed, waits, plain)} == {
        edited["id"]: "ready",
        failed["id"]: "needs you",
        waits["id"]: "needs you",
        plain["id"]: "done",
    }
    assert items[edited["id"]]["files"] == 3
    assert "snapshot: 3 files changed, in no other branch by prj merge" in items[edited["id"]]["evidence"]
    out = project.prj("status").out
    assert [line.split(" (")[0] for line in out.splitlines() if line[0] != " "] == [
        "needs you",
        "ready",
        "done",
    ]
    assert "+3 -0" in out


# -- merge ------------------------------------------------------------------------------------------


def test_merge_brings_the_work_into_the_branch_that_is_checked_out(project, edited):
    answer = project.prj("merge", edited["id"])
    assert answer.code == 0, answer.err
    assert (project.root / "a.txt").read_text() == "one\nissue 1\n"
    assert git(project.root, "status", "--porcelain") == "?? .prj/"
    assert git(project.root, "log", "-1", "--format=%s|%an|%(trailers)").startswith(
        "edit #1|tester|PruneJuice-Run:"
    )
    assert git(Path(edited["worktree"]), "status", "--porcelain") == ""
    item = project.prj("status", "--json").json["items"][0]
    assert (item["group"], item["landed"]) == ("done", "main")
    assert project.prj("merge", edited["id"]).code == 2
    operation = answer.out.split()[-1]
    assert project.prj("undo", operation).code == 0
    assert (project.root / "a.txt").read_text() == "one\n"
    assert project.prj("status", "--json").json["items"][0]["group"] == "ready"


def test_a_check_that_fails_moves_nothing(project, edited):
    before = git(project.root, "for-each-ref", "refs/heads")
    answer = project.prj("merge", edited["id"], "--check", "cat more.txt; ls; exit 1")
    assert answer.code == 3
    assert "more.txt" in answer.err
    assert git(project.root, "for-each-ref", "refs/heads") == before
    assert git(Path(edited["worktree"]), "status", "--porcelain") != ""
    assert len(git(project.root, "worktree", "list").splitlines()) == 2


def test_the_check_of_a_trusted_project_runs_on_the_combined_files(project, edited):
    (project.root / ".prj" / "config.yaml").write_text("check: test -f new1.txt && test -f base.txt\n")
    project.prj("trust")
    (project.root / "base.txt").write_text("base")
    git(project.root, "add", "base.txt")
    git(project.root, "commit", "-qm", "base")
    answer = project.prj("merge", edited["id"], "--squash", "-m", "All of it", "--json")
    assert (answer.code, answer.json["checked"]) == (0, "test -f new1.txt && test -f base.txt")
    assert git(project.root, "log", "-1", "--format=%s %P").split()[:3] == ["All", "of", "it"]


def test_a_conflict_is_exit_4_and_names_the_files(project, edited):
    (project.root / "a.txt").write_text("one\nmain\n")
    git(project.root, "commit", "-qam", "main")
    answer = project.prj("merge", edited["id"])
    assert (answer.code, "a.txt" in answer.err) == (4, True)
    assert (project.root / "a.txt").read_text() == "one\nmain\n"


def test_merge_that_cannot_start_is_refused_with_a_reason(project, edited):
    own = edited["branch"]
    for words, says in (
        (["--into", "nope"], "branch 'nope' does not exist"),
        (["--into", own], "own branch"),
        (["--check", "true", "--no-check"], "cannot be combined"),
    ):
        answer = project.prj("merge", edited["id"], *words)
        assert (answer.code, says in answer.err) == (2, True), answer.err
    project.command("asks", "pre_steps: [create-worktree]\nsteps: [{name: a, agent: implement}]")
    _, waits = project.run("asks")
    assert "is waiting" in project.prj("merge", waits["id"]).err


def test_merge_after_the_worktree_is_gone(project, edited):
    git(Path(edited["worktree"]), "add", "-A")
    git(Path(edited["worktree"]), "commit", "-qm", "by hand")
    assert project.plum("remove", edited["branch"]).code == 0
    assert project.prj("undo", edited["id"]).code == 2
    assert project.prj("merge", edited["id"], "--rebase").code == 0
    assert git(project.root, "log", "-1", "--format=%s") == "by hand"


# -- cut off ----------------------------------------------------------------------------------------

HALF = """
pre_steps: [create-worktree]
steps:
  - {name: before, script: 'echo before > before.txt'}
  - {name: half, script: 'test -f half.txt && echo again > again.txt; echo half >> half.txt; echo half >> a.txt; %s'}
"""


@pytest.mark.parametrize("how", ["driver killed", "stopped at once"])
def test_half_done_changes_are_put_back_before_a_step_runs_again(project, tmp_path, how):
    mark = tmp_path / "go"
    project.command("half", HALF % f"if [ ! -f {mark} ]; then touch {tmp_path}/began; sleep 60; fi")
    child = project.spawn("run", "half")
    wait_for(lambda: (tmp_path / "began").exists())
    child.send_signal(signal.SIGKILL if how == "driver killed" else signal.SIGQUIT)
    child.communicate(timeout=120)
    mark.write_text("")
    run = project.prj("history", "--json").json["items"][0]
    answer = project.prj("resume", run["id"])
    assert answer.code == 0, answer.err
    tree = Path(run["worktree"])
    assert (tree / "a.txt").read_text() == "one\nhalf\n"
    assert not (tree / "again.txt").exists()
    assert (tree / "before.txt").exists()
    assert "restore them with `prj undo op-" in answer.err
    operation = next(word for word in answer.err.split() if word.startswith("op-")).rstrip("`")
    kept = git(project.root, "show", f"refs/prunejuice/backup/{operation}^:half.txt")
    assert kept == "half"


@pytest.mark.parametrize("work", ["edit", "commit"])
def test_resume_keeps_changes_a_person_made_after_a_crash(project, tmp_path, work):
    mark = tmp_path / "go"
    project.command("half", HALF % f"if [ ! -f {mark} ]; then touch {tmp_path}/began; sleep 60; fi")
    child = project.spawn("run", "half")
    wait_for(lambda: (tmp_path / "began").exists())
    child.kill()
    child.communicate()
    mark.write_text("")
    run = project.prj("status", "--json").json["items"][0]
    tree = Path(run["worktree"])
    (tree / "mine.txt").write_text("and a person wrote here\n")
    if work == "commit":
        git(tree, "add", ".")
        git(tree, "commit", "-qm", "mine")
        (tree / "mine.txt").write_text("and more\n")
    assert project.prj("resume", run["id"]).code == 0
    assert (tree / "mine.txt").read_text() == (
        "and more\n" if work == "commit" else "and a person wrote here\n"
    )
    assert (tree / "a.txt").read_text() == "one\nhalf\nhalf\n"


def test_a_person_who_decides_keeps_what_was_half_done(project, tmp_path):
    project.command(
        "half",
        (HALF % f"touch {tmp_path}/began; sleep 60").replace(
            "{name: half", "{name: half, on_interrupt: ask"
        ),
    )
    child = project.spawn("run", "half")
    wait_for(lambda: (tmp_path / "began").exists())
    child.kill()
    child.communicate()
    run = project.prj("status", "--json").json["items"][0]
    assert project.prj("resume", run["id"]).code == 8
    assert project.prj("resume", run["id"], "--decide", "half=done").code == 0
    assert (Path(run["worktree"]) / "a.txt").read_text() == "one\nhalf\n"


def test_failed_snapshot_is_recorded_and_the_step_continues(project):
    project.command(
        "block",
        "pre_steps: [create-worktree, {name: in-the-way, uses: setup-environment}]\n"
        'steps: [{name: a, script: \'rm -f "$(git rev-parse --git-dir)"/prunejuice.exact.*; '
        'mkdir "$(git rev-parse --git-dir)/prunejuice.exact.lock"; echo x > f\'}]',
    )
    answer, run = project.run("block")
    assert answer.code == 0
    history = SqliteStore(project.home / "prunejuice.db").read_events(run["id"])
    taken = [event for event in history if isinstance(event, SnapshotTaken)]
    assert [(event.when, bool(event.commit), bool(event.error)) for event in taken] == [
        ("before", True, False),
        ("after", False, True),
    ]
    assert "could not use" in project.prj("undo", run["id"]).err


def test_changes_of_a_command_that_is_used_are_put_back_by_its_own_run(project, tmp_path):
    project.command(
        "inner",
        f"steps: [{{name: one, script: 'echo one > one.txt'}}, {{name: two, script: 'echo two >> a.txt; if [ ! -f {tmp_path}/go ]; then touch {tmp_path}/began; sleep 60; fi'}}]",
        trust=False,
    )
    project.command("outer", "pre_steps: [create-worktree]\nsteps: [{name: use, uses: inner}]")
    child = project.spawn("run", "outer")
    wait_for(lambda: (tmp_path / "began").exists())
    child.kill()
    child.communicate()
    (tmp_path / "go").write_text("")
    run = project.prj("status", "--json").json["items"][0]
    assert project.prj("resume", run["id"]).code == 0
    tree = Path(run["worktree"])
    assert ((tree / "one.txt").exists(), (tree / "a.txt").read_text()) == (True, "one\ntwo\n")


# -- many -------------------------------------------------------------------------------------------


def test_many_runs_each_in_a_worktree_of_its_own(project):
    project.command("edit", EDIT.replace("pre_steps: [create-worktree]\n", ""))
    answer = project.prj("run", "edit", "issue=1,2,3", "--max-parallel", "2", "--json")
    assert (answer.code, len(answer.json["items"])) == (0, 3)
    assert len({item["worktree"] for item in answer.json["items"]}) == 3
    for item, issue in zip(answer.json["items"], (1, 2, 3), strict=True):
        assert (Path(item["worktree"]) / "a.txt").read_text() == f"one\nissue {issue}\n"
    assert git(project.root, "status", "--porcelain") == "?? .prj/"


def test_at_most_so_many_at_once_and_each_can_be_stopped_by_itself(project, tmp_path):
    project.command(
        "wait",
        f"steps: [{{name: a, script: 'touch {tmp_path}/$PRUNEJUICE_RUN_ID; while [ ! -f {tmp_path}/go ]; do sleep 0.05; done'}}]",
    )
    out = project.prj("run", "wait", "-n", "3", "--max-parallel", "1", "--detach", "--no-worktree").out
    ids = out.split()
    wait_for(lambda: len(list(tmp_path.glob("*"))) > 1 or any((tmp_path / each).exists() for each in ids))
    running = next(each for each in ids if (tmp_path / each).exists())
    queued = [each for each in ids if each != running]
    assert {holder_pid(project.home / "runs" / each / "driver.lock") is not None for each in ids} == {True}
    assert project.prj("stop", queued[0]).code == 0
    statuses = {item["id"]: item["status"] for item in project.prj("status", "--json").json["items"]}
    assert (statuses[running], statuses[queued[0]], statuses[queued[1]]) == (
        "running",
        "cancelled",
        "pending",
    )
    assert not (tmp_path / queued[1]).exists()
    assert project.prj("stop", running).code == 0
    (tmp_path / "go").write_text("")
    wait_for(lambda: project.prj("show", queued[1], "--json").json["status"] == "completed")


def test_a_failure_among_many_is_the_exit_code_and_dry_run_shows_them_all(project):
    project.command(
        "maybe",
        "arguments: [{name: issue, type: integer}]\nsteps: [{name: a, script: 'exit $((PRUNEJUICE_ARG_ISSUE - 1))'}]",
    )
    dry = project.prj("run", "maybe", "issue=1,2", "--dry-run")
    assert "2 runs:" in dry.out
    assert len(project.prj("run", "maybe", "issue=1,2", "--dry-run", "--json").json["items"]) == 2
    answer = project.prj("run", "maybe", "issue=1,2", "--no-worktree")
    assert answer.code == 1
    assert "failed" in answer.out


def test_ctrl_c_leaves_parallel_runs_running_in_the_background(project, tmp_path):
    place = tmp_path / "marks"
    place.mkdir()
    wait = f"touch {place}/$PRUNEJUICE_RUN_ID; while [ ! -f {tmp_path}/go ]; do sleep 0.05; done"
    project.command("slow", f"steps: [{{name: a, script: '{wait}'}}]")
    child = project.spawn("run", "slow", "-n", "2", "--no-worktree")
    wait_for(lambda: len(list(place.iterdir())) == 2)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=120)
    assert (child.returncode, "continue in the background" in said) == (130, True)
    (tmp_path / "go").write_text("")
    wait_for(lambda: {i["status"] for i in project.prj("status", "--json").json["items"]} == {"completed"})


def test_a_driver_of_many_that_is_killed_leaves_runs_that_can_be_resumed(project, tmp_path):
    project.command(
        "slow", f"steps: [{{name: a, script: 'touch {tmp_path}/$PRUNEJUICE_RUN_ID; sleep 60'}}]"
    )
    ids = project.prj("run", "slow", "-n", "2", "--no-worktree", "--detach").out.split()
    wait_for(lambda: all((tmp_path / each).exists() for each in ids))
    os.kill(holder_pid(project.home / "runs" / ids[0] / "driver.lock"), signal.SIGKILL)
    wait_for(
        lambda: {i["status"] for i in project.prj("status", "--json").json["items"]} == {"interrupted"}
    )
    for each in ids:
        assert project.prj("stop", each).code == 0


def test_the_live_table_of_many(project):
    project.command(
        "quick", "arguments: [{name: issue, type: integer}]\nsteps: [{name: a, script: 'sleep 0.5'}]"
    )
    out = on_a_terminal(project, "run", "quick", "issue=1,2", "--no-worktree")
    assert "issue=2" in out
    assert "completed" in out


# -- sessions ---------------------------------------------------------------------------------------


@NEEDS_TMUX
def test_a_detached_run_is_driven_in_a_session_with_the_callers_environment(project, monkeypatch, tmp_path):
    project.command(
        "env",
        f"environment: {{MINE: null}}\nsteps: [{{name: a, script: 'echo $MINE > {tmp_path}/mine; while [ ! -f {tmp_path}/go ]; do sleep 0.05; done'}}]",
    )
    monkeypatch.setenv("MINE", "from the caller")
    run_id = project.prj("run", "env", "--detach").out.strip()
    wait_for(lambda: (tmp_path / "mine").exists())
    assert (tmp_path / "mine").read_text() == "from the caller\n"
    names = [item["name"] for item in project.pots("list", "--json").json["items"]]
    assert names == [f"shop-{run_id[:8]}-driver"]
    assert not (project.home / "runs" / run_id / "environment.json").exists()
    answer = project.prj("attach", run_id)
    assert (answer.code, names[0] in answer.err) == (2, True)
    out = on_a_terminal(project, "attach", run_id, typed=b"\x02d")
    assert "running" in out
    (tmp_path / "go").write_text("")
    wait_for(lambda: project.prj("show", run_id, "--json").json["status"] == "completed")
    wait_for(lambda: project.pots("list", "--json").json["items"] == [])
    assert f"has ended\n  fix: read its output: prj logs {run_id[:8]}" in project.prj("attach", run_id).err


def test_detached_run_completes_without_tmux(project, monkeypatch, tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("git", "bash", "sh", "touch", "sleep"):
        os.symlink(
            subprocess.run(["which", name], capture_output=True, text=True, check=True).stdout.strip(),
            folder / name,
        )
    monkeypatch.setenv("PATH", str(folder))
    project.command("c", f"steps: [{{name: a, script: 'touch {tmp_path}/done'}}]")
    run_id = project.prj("run", "c", "--detach").out.strip()
    wait_for(lambda: (tmp_path / "done").exists())
    wait_for(lambda: project.prj("show", run_id, "--json").json["status"] == "completed")
    log = project.home / "runs" / run_id / "logs" / "driver.log"
    wait_for(log.read_text)
    assert json.loads(log.read_text())["status"] == "completed"


def test_several_runs_are_stopped_by_name_or_all_of_them(project):
    project.command("long", "steps: [{name: s, script: 'sleep 300'}]\n")
    started = [project.prj("run", "long", "--detach", "--json").json["id"] for _ in range(4)]
    refused = project.prj("stop", started[0], "nosuch")
    assert refused.code == 2
    assert project.prj("show", started[0], "--json").json["status"] in {"pending", "running"}
    for words in ([], ["--all", started[0]]):
        assert project.prj("stop", *words).code == 2
    two = project.prj("stop", *started[:2], "--json").json["items"]
    assert [run["status"] for run in two] == ["cancelled"] * 2
    rest = project.prj("stop", "--all")
    assert rest.code == 0, rest.err
    assert rest.out.count("cancelled") == 2
    assert "no unfinished runs" in project.prj("stop", "--all").out
