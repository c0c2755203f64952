"""What the command line answers to slips: unknown options, removed worktrees, checks that cannot start."""

import pytest

EDIT = "pre_steps: [create-worktree]\nsteps: [{name: a, script: 'echo 2 > a.txt'}]\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "edit", "--model", "x"], "write an argument as model=VALUE, without dashes"),
        (["run", "edit", "--dryrun"], "unknown option --dryrun: did you mean --dry-run?"),
        (["run", "edit", "--no-worktre"], "did you mean --no-worktree?"),
        (["status", "--wat"], "did you mean --watch?"),
        (["status", "--zzz"], "unknown option --zzz\n"),
    ],
)
def test_an_unknown_option_is_named_with_what_is_meant(project, words, said):
    project.command("edit", EDIT)
    answer = project.prj(*words)
    assert (answer.code, said in answer.err) == (2, True), answer.err


def test_an_unknown_option_of_a_verb(project):
    answer = project.codebot("fix", "--modle", "x")
    assert (answer.code, "did you mean --model?" in answer.err) == (2, True)


def test_a_removed_worktree_names_the_way_back(project):
    project.plum("create", "fix")
    removed = project.plum("remove", "fix", "--json").json["operation"]
    for name in ("fix", "shop-fix"):
        answer = project.plum("remove", name)
        assert (answer.code, f"prj undo {removed}" in answer.err) == (2, True)
    project.prj("undo", removed)
    assert project.plum("path", "fix").code == 0
    assert "unknown worktree" in project.plum("path", "other").err


def test_a_merge_names_the_removal_or_the_earlier_merge(project):
    project.command("edit", EDIT)
    _answer, run = project.run("edit")
    removed = project.plum("remove", run["worktree"], "--force", "--branch", "--json").json["operation"]
    answer = project.prj("merge", run["id"])
    assert (answer.code, f"prj undo {removed}" in answer.err) == (2, True), answer.err
    _answer, run = project.run("edit")
    landed = project.prj("merge", run["id"], "--json").json["operation"]
    project.prj("cleanup")
    answer = project.prj("merge", run["id"])
    assert (answer.code, "is merged into main already" in answer.err) == (2, True), answer.err
    assert f"prj undo {landed}" in answer.err


def test_a_check_that_cannot_start_is_not_a_failed_check(project):
    project.command("edit", EDIT)
    _answer, run = project.run("edit")
    answer = project.prj("merge", run["id"], "--check", ".venv/bin/pytest")
    assert (answer.code, "the check could not start: .venv/bin/pytest" in answer.err) == (3, True)
    assert "name a program that is installed" in answer.err
    assert "failed on the merged files" in project.prj("merge", run["id"], "--check", "exit 5").err


def test_attaching_to_an_ended_run_leads_to_its_output(project):
    project.command("quick", "steps: [{name: a, script: 'true'}]")
    run = project.run("quick")[1]["id"]
    answer = project.prj("attach", run)
    assert (answer.code, f"has ended\n  fix: read its output: prj logs {run[:8]}" in answer.err) == (
        2,
        True,
    )


def test_a_check_that_passes_already_asks_no_agent(project, monkeypatch):
    monkeypatch.setenv("PRUNEJUICE_AGENT", "claude")  # which is never started
    answer = project.codebot("fix", ".", "--check", "true")
    assert answer.code == 0, answer.err
    assert "no agent was asked" in answer.err
    assert "'true' passes without changes" in answer.err
    assert "changed nothing" not in answer.err
