"""Regressions of the commands."""

import gc
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from test_prj import SLOW, running, wait_for

from conftest import git
from prunejuice.system import lock


def test_a_detached_run_that_was_stopped_at_once_never_runs(project):
    project.command("c", "steps: [{name: a, script: 'touch ran'}]")
    for _ in range(3):
        run_id = project.prj("run", "c", "--detach").out.strip()
        status = project.prj("stop", run_id, "--json").json["status"]
        time.sleep(0.6)
        assert project.prj("show", run_id, "--json").json["status"] == status
        if (project.root / "ran").exists():
            assert status == "completed"
            (project.root / "ran").unlink()


def test_a_detached_run_imports_nothing_from_the_project(project):
    (project.root / "queue.py").write_text("open('imported', 'w')")
    (project.root / "click.py").write_text("open('imported', 'w')")
    project.command("c", "steps: [{name: a, script: 'true'}]")
    run_id = project.prj("run", "c", "--detach").out.strip()
    wait_for(lambda: project.prj("show", run_id, "--json").json["status"] == "completed")
    assert not (project.root / "imported").exists()


def test_interrupted_run_resumes_at_its_unfinished_step(project, statuses):
    project.command(
        "c",
        "steps: [{name: a, script: 'echo a >>trace'}, {name: b, script: 'test -e ok || sleep 60'}]\ncleanup_on_failure: [{name: tidy, script: 'sleep 60'}]",
    )
    for signals in (2, 3):
        child = project.spawn("run", "c", env={**os.environ, "PRUNEJUICE_GRACE": "30"})
        run = running(project, "b")
        for _ in range(signals):
            child.send_signal(signal.SIGINT)
            time.sleep(0.5)
        child.communicate(timeout=120)
        (project.root / "ok").touch()
        answer = project.prj("resume", run["id"], "--json")
        assert (answer.code, answer.json["status"]) == (0, "completed"), answer.err
        (project.root / "ok").unlink()
    assert (project.root / "trace").read_text() == "a\na\n"


def test_a_viewer_that_goes_away_ends_nothing(project):
    project.command(
        "c",
        "steps: [{name: a, script: 'sleep 0.3'}, {name: b, script: 'touch done'}, {name: c, script: 'false'}]",
    )
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m prunejuice run c 2>&1 | true; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "1"
    assert (project.root / "done").exists()
    assert project.prj("status", "--json").json["items"][0]["status"] == "failed"


def test_a_closed_stdout_is_no_bug(project):
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m prunejuice list >&-"], capture_output=True, text=True
    )
    assert "bug" not in done.stderr


def test_ending_an_outer_run_ends_the_inner_one(project):
    mark = f"7{time.time_ns() % 10**9}"
    project.command("inner", f"steps: [{{name: s, script: 'touch began; sleep {mark}'}}]")
    project.command("outer", "steps: [{name: call, uses: inner, on_interrupt: ask}]")
    child = project.spawn("run", "outer")
    wait_for(lambda: (project.root / "began").exists())
    child.kill()
    child.communicate()
    outer = next(r for r in project.prj("history", "--json").json["items"] if r["command"] == "outer")
    assert project.prj("resume", outer["id"]).code == 8
    left = subprocess.run(["pgrep", "-f", f"sleep {mark}"], capture_output=True, text=True)
    assert left.stdout == ""


def test_step_timeout_limits_a_called_command(project):
    project.command("inner", "steps: [{name: s, script: 'sleep 3600'}]")
    project.command("outer", "steps: [{name: call, uses: inner, timeout: 0.5}]")
    answer, run = project.run("outer")
    assert answer.code == 5
    assert "timed out" in run["error"]
    assert "prj show" in run["error"]


def test_an_inner_run_cannot_be_stopped_by_itself(project):
    project.command("inner", "steps: [{name: s, agent: implement}]")
    project.command("outer", "steps: [inner]")
    _, run = project.run("outer")
    inner = project.prj("show", run["id"]).out
    assert f"then run `prj resume {run['id'][:8]}" in inner
    child = next(
        word
        for word in inner.split()
        if len(word) == 8 and word != run["id"][:8] and set(word) <= set("0123456789abcdef")
    )
    answer = project.prj("stop", child)
    assert (answer.code, f"is a step of run {run['id'][:8]}" in answer.err) == (2, True)
    assert project.prj("resume", child, "--decide", "s=done").code == 0
    assert project.prj("resume", run["id"]).code == 0


def test_a_clean_up_that_uses_a_command_runs_each_time(project):
    project.command("tidy", "steps: [{name: s, script: 'echo tidied >>trace'}]")
    project.command("c", "steps: [{name: a, script: 'false'}]\ncleanup_on_failure: [{name: t, uses: tidy}]")
    _, run = project.run("c")
    project.prj("resume", run["id"])
    assert (project.root / "trace").read_text() == "tidied\ntidied\n"


def test_a_worktree_that_was_cleared_away_is_made_again(project):
    project.command(
        "c",
        "steps: [create-worktree, {name: a, script: 'git commit --allow-empty -qm work'}, {name: b, script: 'test -e $PRUNEJUICE_PROJECT_PATH/ok'}]",
    )
    _, run = project.run("c")
    project.prj("cleanup")
    assert not Path(run["worktree"]).exists()
    (project.root / "ok").touch()
    answer = project.prj("resume", run["id"], "--json")
    assert (answer.code, answer.json["worktree"]) == (0, run["worktree"])
    assert git(run["worktree"], "log", "-1", "--format=%s") == "work"


def test_cleanup_leaves_what_another_run_uses(project):
    project.command("c", "steps: [create-worktree, {name: a, script: 'true'}]")
    _, run = project.run("c")
    project.command("slow", SLOW)
    child = subprocess.Popen(
        [sys.executable, "-m", "prunejuice", "run", "slow"],
        cwd=run["worktree"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PRUNEJUICE_CONFIG": str(project.root / ".prj")},
    )
    wait_for(
        lambda: any(
            r["status"] == "running" for r in project.prj("status", "--all", "--json").json["items"]
        )
    )
    assert "another run uses it" in project.prj("cleanup").out
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=120)
    assert Path(run["worktree"]).exists()


def test_a_handler_runs_again_when_its_step_fails_again(project):
    project.command(
        "c",
        "steps: [{name: a, script: 'echo a >>trace; test -e ok', on_failure: fix}, {name: fix, script: 'echo fix >>trace'}]",
    )
    _, run = project.run("c")
    project.prj("resume", run["id"])
    assert (project.root / "trace").read_text().split() == ["a", "fix", "a", "fix"]
    (project.root / "ok").touch()
    assert project.prj("resume", run["id"]).code == 0


def test_stopping_a_run_that_waits_cleans_up(project):
    project.command(
        "c",
        "steps: [{name: a, agent: implement}]\ncleanup_on_failure: [{name: tidy, script: 'touch tidied'}]",
    )
    _, run = project.run("c")
    assert project.prj("stop", run["id"], "--json").json["status"] == "cancelled"
    assert (project.root / "tidied").exists()


def test_the_canonical_form_of_linked_steps_reads_back_the_same(project):
    form = project.prj("explain", "tdd", "--json").json
    project.command("again", project.prj("explain", "tdd").out.replace("name: tdd", "name: again"))
    again = project.prj("explain", "again", "--json").json
    assert {**form, "name": "", "source": ""} == {**again, "name": "", "source": ""}
    project.command("odd", 'steps: [{name: a, script: "  two\\n x", args: {k: {"a: b": 1, "#": [2]}}}]')
    project.command("odd2", project.prj("explain", "odd").out.replace("name: odd", "name: odd2"))
    assert (
        project.prj("explain", "odd2", "--json").json["steps"]
        == project.prj("explain", "odd", "--json").json["steps"]
    )


def test_secrets_are_masked_in_outputs_too(project, monkeypatch):
    monkeypatch.setenv("API_TOKEN", "correct-horse-battery")
    project.command(
        "c",
        "environment: {API_TOKEN: }\nsteps: [{name: a, script: 'echo tok=$API_TOKEN >>$PRUNEJUICE_OUTPUT'}]",
    )
    _, run = project.run("c")
    assert run["steps"][0]["outputs"] == {"tok": "***"}
    assert b"correct-horse" not in (project.home / "prunejuice.db").read_bytes()


def test_the_state_directory_is_the_users_alone(project):
    project.command("c", "steps: [{name: a, script: 'true'}]")
    project.run("c")
    assert project.home.stat().st_mode & 0o077 == 0


def test_file_names_that_are_not_utf_8(project):
    project.command(
        "c",
        'steps: [{name: a, script: \'touch "$PRUNEJUICE_ARTIFACT_DIR/$(printf "\\\\377x")"\'}, store-artifacts]',
    )
    answer, run = project.run("c")
    assert answer.code == 0, answer.err
    assert any("\\xffx" in a["name"] for a in run["artifacts"])


def test_arguments_that_are_not_utf_8_are_named(project):
    project.command("c", "arguments: [a]\nsteps: [{name: a, script: 'true'}]")
    done = subprocess.run(
        [sys.executable, "-m", "prunejuice", "run", "c", b"a=\xff"], capture_output=True, text=True
    )
    assert (done.returncode, "not valid UTF-8" in done.stderr) == (2, True)


def test_large_patches_are_whole(project):
    project.command(
        "c",
        "steps: [create-worktree, {name: a, script: 'head -c 20000000 /dev/urandom >big'}, store-artifacts]",
    )
    _, run = project.run("c")
    patch = project.home / "runs" / run["id"] / "artifacts" / "changes.patch"
    assert patch.stat().st_size > 20_000_000
    git(project.root, "apply", "--check", str(patch))


def test_a_step_file_that_a_step_changed_is_not_run(project):
    project.step("two.sh", "touch two")
    project.command("c", "steps: [{name: one, script: 'echo \"touch pwned\" >.prj/steps/two.sh'}, two]")
    answer, run = project.run("c")
    assert answer.code == 7 or "not what was trusted" in run["error"]
    assert not (project.root / "pwned").exists()


def test_a_python_step_leaves_its_project_trusted(project):
    project.step("lib.py", "x = 1")
    project.step("use.py", "import lib")
    project.command("c", "steps: [use]")
    assert project.run("c")[0].code == 0
    assert project.run("c")[0].code == 0


def test_dotenv_cannot_set_what_every_step_is_given(project):
    (project.root / ".env").write_text("HOME=/evil\nA-B=x\nOK=1\n")
    project.command("c", "steps: [{name: a, script: 'echo $HOME $OK'}]")
    _, run = project.run("c")
    assert project.log(run, "a").strip() == f"{os.environ['HOME']} 1"
    (project.root / ".env").write_bytes(b"A=\xff\n")
    project.prj("trust")
    answer, run = project.run("c")
    assert (answer.code, "could not read" in run["error"] and ".env" in run["error"]) == (2, True)


def test_a_worktree_before_parallel_pre_steps(project, statuses):
    project.command(
        "c",
        "pre_steps: [{name: a, script: 'true'}, {name: b, script: pwd, parallel_with: a}]\nsteps: [{name: c, script: 'true'}]",
    )
    answer = project.prj("run", "c", "--worktree", "--json")
    assert set(statuses(answer.json).values()) == {"completed"}
    assert project.log(answer.json, "b").strip() == answer.json["worktree"]


def test_wrong_arguments_for_a_used_command_are_found_before_the_run(project):
    project.command("inner", "arguments: [{name: n, type: integer}]\nsteps: [{name: a, script: 'true'}]")
    for args, message in (
        ("", "missing argument 'n'"),
        ("args: {m: 1}", "unknown argument 'm'"),
        ("args: {n: x}", "not of type integer"),
        ("args: {n: 1}, environment: {A: b}", "set environment in that command instead"),
    ):
        project.command("outer", f"steps: [{{name: call, uses: inner, {args}}}]".replace(", }", "}"))
        answer = project.prj("run", "outer", "--dry-run")
        assert (answer.code, message in answer.err) == (2, True), answer.err
    project.command(
        "outer",
        "steps: [{name: a, script: 'echo n=3 >>$PRUNEJUICE_OUTPUT'}, {name: call, uses: inner, args: {n: '${{ steps.a.n }}'}}]",
    )
    assert project.run("outer")[0].code == 0


def test_unreadable_run_does_not_hide_other_runs(project):
    project.command("c", "steps: [{name: a, script: 'true'}]")
    good, bad, worse = (project.run("c")[1]["id"] for _ in range(3))
    with sqlite3.connect(project.home / "prunejuice.db") as database:
        database.execute(
            'UPDATE events SET data = \'{"kind":"from.the.future"}\' WHERE run = ? AND sequence = 2', [bad]
        )
        database.execute(
            "UPDATE runs SET status = 'running', summary = replace(summary, 'completed', 'running') WHERE id = ?",
            [bad],
        )
        database.execute("UPDATE runs SET summary = '{' WHERE id = ?", [worse])
    database.close()
    for words in (["status"], ["history"], ["cleanup"], ["doctor"]):
        answer = project.prj(*words)
        assert "bug" not in answer.err, answer.err
        if words != ["doctor"]:
            assert answer.code == 0, answer.err
    assert good[:8] in project.prj("history").out
    assert "could not decode" in project.prj("history", "--all").out
    assert project.prj("show", bad).code == 1


def test_a_run_whose_folder_is_gone_can_be_ended(project):
    project.command("slow", SLOW)
    child = project.spawn("run", "slow")
    run = running(project, "slow")
    child.kill()
    child.communicate()
    subprocess.run(["rm", "-rf", str(project.home / "runs" / run["id"])], check=True)
    assert "interrupted" in project.prj("status").out
    assert project.prj("stop", run["id"], "--json").json["status"] == "cancelled"


def test_a_driver_that_does_not_answer_is_killed_by_stop_now(project, monkeypatch):
    from prunejuice.cli.prj import stop as commands

    monkeypatch.setattr(commands, "KILL_AFTER", 0.5)
    project.command("slow", SLOW)
    run_id = project.prj("run", "slow", "--detach").out.strip()
    running(project, "slow")
    pid = lock.holder_pid(project.home / "runs" / run_id / "driver.lock")
    os.kill(pid, signal.SIGSTOP)
    assert project.prj("stop", run_id, "--now", "--json").json["status"] == "interrupted"


def test_nohup_is_heeded(project):
    project.command("slow", "steps: [{name: slow, script: 'touch began; sleep 1; touch done'}]")
    child = project.spawn("run", "slow", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    wait_for(lambda: (project.root / "began").exists())
    child.send_signal(signal.SIGHUP)
    child.communicate(timeout=120)
    assert (child.returncode, (project.root / "done").exists()) == (0, True)


def test_missing_or_blocked_directories_are_reported(project, tmp_path, monkeypatch):
    place = tmp_path / "gone"
    place.mkdir()
    done = subprocess.run(
        ["bash", "-c", f"cd {place}; rmdir {place}; {sys.executable} -m prunejuice status"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, "current directory no longer exists" in done.stderr) == (2, True)
    other = tmp_path / "other"
    other.mkdir()
    (other / ".prj").write_text("a file")
    answer = project.prj("init", other)
    assert (answer.code, "bug" in answer.err) == (2, False)
    monkeypatch.setenv("PRUNEJUICE_HOME", str(other / ".prj"))
    assert project.prj("status").code == 1


def test_doctor_repairs_a_damaged_history_of_a_project_with_settings(project):
    project.command("c", "steps: [{name: a, script: 'true'}]")
    (project.root / ".prj" / "config.yaml").write_text("grace: 3")
    for path in project.home.glob("prunejuice.db*"):
        path.write_bytes(b"garbage" * 3000)
    answer = project.prj("doctor")
    assert (answer.code, "git" in answer.out, "--repair" in answer.out) == (1, True, True)
    project.prj("doctor", "--repair")
    project.prj("trust")
    assert project.prj("run", "c").code == 0


def test_doctor_leaves_a_history_alone_that_is_only_locked(project):
    project.command("c", "steps: [{name: a, script: 'true'}]")
    gc.collect()  # our own connections keep it from being locked whole
    other = sqlite3.connect(project.home / "prunejuice.db", isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    project.prj("doctor", "--repair")
    other.execute("ROLLBACK")
    other.close()
    assert list(project.home.glob("*.damaged-*")) == []


def test_json_steers_no_terminal_either(project):
    project.command(
        "c", "steps: [{name: a, script: 'printf \"k=\\\\302\\\\2332J\\\\n\" >>$PRUNEJUICE_OUTPUT'}]"
    )
    answer, run = project.run("c")
    assert "\x9b" not in answer.out
    assert run["steps"][0]["outputs"]["k"] == "\x9b2J"


def test_characters_are_whole_in_long_logs(project):
    project.command(
        "c",
        "steps: [{name: a, script: 'head -c 1048575 /dev/zero | tr \"\\\\0\" x; printf é'}, {name: b, script: echo b}]",
    )
    _, run = project.run("c")
    out = project.prj("logs", run["id"]).out
    assert "xé\n── b ──" in out


def test_a_bare_prj_shows_its_help(project):
    answer = project.prj()
    assert (answer.code, "error:" in answer.err, "Commands" in answer.err) == (2, False, True)
