"""Regressions of resuming, ending and cleaning up runs."""

import os
from pathlib import Path

import pytest

from conftest import git

BRANCHED = (
    "arguments: [{name: branch_name}]\npre_steps: [create-worktree]\nsteps: [{name: a, script: 'true'}]"
)


def test_a_worktree_the_user_made_after_git_refused_is_left_alone(project):
    project.command("c", BRANCHED)
    git(project.root, "switch", "-q", "-c", "x")
    answer, run = project.run("c", "branch_name=x")
    assert answer.code == 1
    git(project.root, "switch", "-q", "main")
    place = project.root.parent / "shop-worktrees" / "x"
    git(project.root, "worktree", "add", "-q", str(place), "x")
    (place / "work.txt").write_text("precious")
    answer = project.prj("resume", run["id"], "--json")
    assert (answer.code, "already exists" in answer.json["error"]) == (1, True)
    assert (place / "work.txt").read_text() == "precious"


def test_a_file_at_the_place_of_a_worktree_is_named(project):
    project.command("c", BRANCHED)
    place = project.root.parent / "shop-worktrees"
    place.mkdir()
    (place / "x").write_text("a file")
    answer, run = project.run("c", "branch_name=x")
    assert (answer.code, "already exists" in run["error"]) == (1, True)


@pytest.mark.parametrize("before", [True, False])
def test_only_a_branch_that_was_made_for_the_run_goes_with_its_worktree(project, before):
    project.command("c", BRANCHED)
    if before:
        git(project.root, "branch", "mine")
    _, run = project.run("c", "branch_name=mine")
    project.prj("cleanup")
    assert not Path(run["worktree"]).exists()
    assert bool(git(project.root, "branch", "--list", "mine")) == before


@pytest.mark.parametrize("way", ["stop", "skip"])
def test_ending_an_outer_run_ends_what_waits_inside_it(project, way):
    project.command(
        "inner",
        "pre_steps: [create-worktree]\nsteps: [{name: think, agent: implement}]\ncleanup_on_failure: [{name: k, script: 'touch $PRUNEJUICE_PROJECT_PATH/cleaned'}]",
    )
    project.command("outer", "steps: [{name: call, uses: inner}]")
    _, run = project.run("outer")
    words = ["stop", run["id"]] if way == "stop" else ["resume", run["id"], "--decide", "call=skip"]
    assert project.prj(*words).code == 0
    assert (project.root / "cleaned").exists()
    assert "removed  worktree" in project.prj("cleanup").out
    project.prj("cleanup", "--days", "0")
    assert project.prj("history", "--json").json["items"] == []
    assert list((project.home / "runs").iterdir()) == []


def test_stop_now_of_a_run_without_a_driver_cleans_nothing_up(project):
    project.command(
        "c",
        "steps: [{name: a, agent: implement}]\ncleanup_on_failure: [{name: k, script: 'touch cleaned'}]",
    )
    _, run = project.run("c")
    assert project.prj("stop", "--now", run["id"], "--json").json["status"] == "cancelled"
    assert not (project.root / "cleaned").exists()


def test_an_inner_run_gets_the_time_that_its_step_has_now(project):
    project.command("inner", "steps: [{name: s, script: 'sleep 0.6'}]")
    project.command(
        "outer",
        "timeout: 1.2\nsteps: [{name: slow, script: 'test -e ok || { touch ok; sleep 0.9; }'}, {name: call, uses: inner}]",
    )
    answer, run = project.run("outer")
    assert answer.code == 5
    assert ": :" not in run["error"]
    answer = project.prj("resume", run["id"], "--json")
    assert (answer.code, answer.json["status"]) == (0, "completed"), answer.json.get("error")


def test_condition_is_evaluated_again_on_resume_after_a_failure(project):
    project.command(
        "c",
        "stop_on_failure: false\nsteps: [{name: a, script: 'test -e ok'}, {name: b, condition: steps.a.exit_code == 0, script: 'touch b'}]",
    )
    _, run = project.run("c")
    (project.root / "ok").touch()
    assert project.prj("resume", run["id"]).code == 0
    assert (project.root / "b").exists()


def test_failure_handlers_run_again_completely_on_resume(project):
    project.command(
        "c",
        "steps: [{name: a, script: 'echo a >>trace; false', on_failure: h}, {name: h, script: 'echo h >>trace', on_success: r}, {name: r, script: 'echo r >>trace'}]",
    )
    _, run = project.run("c")
    project.prj("resume", run["id"])
    assert (project.root / "trace").read_text().split() == ["a", "h", "r"] * 2


def test_steps_that_mind_a_failure_mind_the_next_one_too(project):
    project.command(
        "c",
        "steps: [{name: a, script: 'false'}, {name: b, condition: failure(), script: 'echo b >>trace'}]\npost_steps: [{name: p, condition: always(), script: 'echo p >>trace'}]",
    )
    _, run = project.run("c")
    project.prj("resume", run["id"])
    assert (project.root / "trace").read_text().split() == ["b", "p"] * 2


def test_a_skip_that_a_person_decided_stays(project):
    project.command("c", "steps: [{name: a, agent: implement}, {name: b, script: 'test -e ok'}]")
    _, run = project.run("c")
    assert project.prj("resume", run["id"], "--decide", "a=skip").code == 1
    (project.root / "ok").touch()
    assert project.prj("resume", run["id"]).code == 0


def test_numbered_names_hit_no_given_id(project, statuses):
    project.command(
        "c", "steps: [gather-context, {name: x, id: gather-context-2, script: 'touch ran'}, gather-context]"
    )
    _, run = project.run("c")
    assert set(statuses(run)) == {"gather-context", "gather-context-2", "gather-context-3"}
    assert (project.root / "ran").exists()


def test_a_matrix_of_linked_steps(project, statuses):
    project.command(
        "c",
        "entry_point: build\nsteps:\n  build: {script: 'true', on_success: test}\n  test: {script: 'true', matrix: {v: ['a b', 'a-b']}}",
    )
    _, run = project.run("c")
    assert set(statuses(run)) == {"build", "test-a-b", "test-a-b-2"}
    project.command("d", "entry_point: test\nsteps:\n  test: {script: 'true', matrix: {v: [1, 2]}}")
    _, run = project.run("d")
    assert set(statuses(run)) == {"test-1", "test-2"}


def test_the_canonical_form_of_a_child_that_empties_something(project):
    project.command(
        "base", "working_directory: sub\npre_steps: [{name: p, script: x}]\nsteps: [{name: a, script: x}]"
    )
    project.command(
        "child", "extends: base\nworking_directory: ''\npre_steps: []\nsteps: [{name: b, script: x}]"
    )
    project.command("again", project.prj("explain", "child").out.replace("name: child", "name: again"))
    form, again = (project.prj("explain", name, "--json").json for name in ("child", "again"))
    assert "pre_steps" not in again
    assert form["steps"] == again["steps"]
    project.command("linked", "extends: tdd\nsteps: [{name: a, script: 'true'}]")
    assert project.prj("explain", "linked").code == 0


def test_a_worktree_is_added_before_a_step_that_took_its_name(project):
    project.command("c", "steps: [{name: create-worktree, script: pwd}]")
    answer = project.prj("run", "c", "--worktree", "--json")
    assert project.log(answer.json, "create-worktree").strip() == answer.json["worktree"]


def test_python_runs_in_an_absolute_directory(project):
    from prunejuice import Step, Workflow, execute

    (project.root / "sub").mkdir()
    flow = Workflow("w", steps={"a": Step(name="a", script="pwd")}, entry_point="a")
    run = execute(flow, directory=Path("sub"))
    assert run.last_visit("a").output.strip() == os.path.realpath(project.root / "sub")


def test_only_files_that_can_be_steps_are_offered(project):
    project.step("notes.txt", "x")
    project.command("c", "steps: [notes]")
    answer = project.prj("explain", "c")
    assert (answer.code, "unknown step or command 'notes'" in answer.err) == (2, True)


def test_numbers_too_large_to_keep_stay_as_they_were_written(project):
    project.command(
        "c", "steps: [{name: a, script: 'echo $PRUNEJUICE_ARG_N', args: {n: 92233720368547758080}}]"
    )
    _, run = project.run("c")
    assert project.log(run, "a").strip() == "92233720368547758080"


@pytest.mark.parametrize("change", ["true", "echo new > new.txt"])
def test_a_run_whose_worktree_was_removed_is_resumed_after_main_moved(project, statuses, change):
    project.command("work", f"""
        pre_steps: [create-worktree]
        steps:
          - {{name: change, script: '{change}'}}
          - {{name: gate, script: 'test -f "$PRUNEJUICE_PROJECT_PATH/allowed"'}}
    """)  # fmt: skip
    _, run = project.run("work")
    assert statuses(run)["gate"] == "failed"
    if change == "true":
        assert project.prj("cleanup").code == 0
    else:
        assert project.plum("remove", run["branch"], "--force").code == 0
    assert not Path(run["worktree"]).exists()
    (project.root / "a.txt").write_text("moved on\n")
    git(project.root, "commit", "-qam", "moved on")
    (project.root / "allowed").touch()
    answer = project.prj("resume", run["id"], "--json")
    assert answer.code == 0, answer.err
    if change != "true":
        assert project.prj("merge", run["id"]).code == 0
        assert (project.root / "new.txt").exists()
    assert (project.root / "a.txt").read_text() == "moved on\n"
