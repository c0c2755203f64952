"""What `prj status`, `history`, `show` and their like say of runs, and how a person is told of them."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from prunejuice.app.wiring import open_app
from prunejuice.engine import event as events
from prunejuice.engine import view
from prunejuice.engine.history import load_run
from prunejuice.engine.run import apply_event
from prunejuice.system.lock import hold_lock
from terminal import call_on_terminal

FAILING = "arguments: [{name: issue, type: integer, default: 1}]\nsteps:\n"
FAILING += "  - {name: good, script: 'true'}\n  - {name: bad, script: 'exit 3'}\n  - {name: late, script: 'true'}\n"


@pytest.fixture
def failing(project):
    project.command("solve", FAILING)
    return project


def on_terminal(project, words, variables=None, interrupt_after=None, times=1):
    """Call a program on a terminal of its own, and press Ctrl-C once it showed a text; what it showed.

    The text has to come a number of times.
    """
    hidden = {"NO_COLOR", "PAGER", "LESS"}
    environ = {name: value for name, value in os.environ.items() if name not in hidden}
    program = [Path(sys.executable).with_name(words[0]), *words[1:]]
    interrupted = []

    def interrupt(child, _terminal, seen):
        if interrupt_after and not interrupted and seen.count(interrupt_after) >= times:
            interrupted.append(child.send_signal(signal.SIGINT))

    _, seen = call_on_terminal(
        program, project.root, environ | {"TERM": "xterm"} | (variables or {}), interrupt
    )
    return seen.decode("utf-8", "replace")


def test_rows_of_a_command_show_its_arguments_and_mask_secrets(project):
    project.command(
        "mend",
        "arguments: [{name: place, type: integer}, {name: api_token, default: ''}]\n"
        "steps: [{name: a, script: 'true'}]",
    )
    for place in (11, 12):
        assert project.prj("run", "mend", f"place={place}", "api_token=abcdefgh12345678").code == 0
    for command in ("status", "history"):
        out = project.prj(command).out
        assert "mend place=11 api_token=***" in out
        assert "mend place=12" in out
        assert "abcdefgh" not in out


def test_columns_that_are_empty_take_no_room(failing):
    failing.prj("run", "solve")
    row = failing.prj("history").out
    assert "ago  bad: exit code 3" in row


def test_rows_are_cut_to_the_width_of_a_terminal_unless_wide(failing, monkeypatch):
    failing.prj("run", "solve", "issue=7")
    monkeypatch.setenv("COLUMNS", "40")
    for command in ("history", "status"):
        cut = on_terminal(failing, ["prj", command], {"NO_COLOR": "1"})
        assert max(map(len, cut.splitlines())) <= 40
        assert "…" in cut
        assert "exit code 3" in on_terminal(failing, ["prj", command, "--wide"])
        assert "exit code 3" in failing.prj(command).out  # a pipe is not cut, whatever COLUMNS says


def test_dismissed_failures_need_nobody_and_stay_in_the_history(failing):
    run = failing.run("solve")[1]["id"]
    assert "needs you (1)" in failing.prj("status").out
    answer = failing.prj("dismiss", run)
    assert (answer.code, f"prj dismiss --undo {run[:8]}" in answer.out) == (0, True)
    out = failing.prj("status").out
    assert "needs you" not in out
    assert "done (1)" in out
    assert run[:8] in failing.prj("history").out
    failing.prj("dismiss", "--undo", run)
    assert "needs you (1)" in failing.prj("status").out
    assert failing.prj("dismiss", "--all", "--json").json["items"][0]["dismissed"] is True
    assert "nothing to dismiss" in failing.prj("dismiss", "--all").out
    assert failing.prj("dismiss").code == 2
    assert failing.prj("resume", run).code == 1  # which lists it again
    assert "needs you (1)" in failing.prj("status").out


def test_each_run_is_dismissed_by_itself_and_every_result_is_reported(failing):
    first, second = (failing.run("solve")[1]["id"] for _ in range(2))
    with hold_lock(failing.home / "runs" / second / "driver.lock", 5, signed=True):
        answer = failing.prj("dismiss", first[:8], second, "ffffffff", first)
        assert answer.code == 2
        assert answer.out.count(f"run {first[:8]} dismissed") == 1
        assert f"prj dismiss --undo {first[:8]}\n" in answer.out
        assert f"run {second[:8]} is being driven" in answer.err
        assert "unknown run 'ffffffff'" in answer.err
        failing.prj("dismiss", "--undo", first)
        answer = failing.prj("dismiss", "--all", "--json")
    assert answer.code == 2
    assert [item["id"] for item in answer.json["items"]] == [first]
    assert [error["run"] for error in answer.json["errors"]] == [second]


def test_the_undo_of_a_dismissal_names_its_runs_alone(failing):
    runs = [failing.run("solve")[1]["id"] for _ in range(6)]
    out = failing.prj("dismiss", *runs).out
    assert f"prj dismiss --undo {' '.join(run[:8] for run in runs)}\n" in out


def test_a_failed_run_does_not_count_its_skipped_and_failed_steps(failing):
    _answer, run = failing.run("solve")
    assert (run["steps_done"], run["steps_total"]) == (1, 3)


def test_a_step_skipped_by_its_condition_counts(project):
    project.command(
        "a", "steps: [{name: a, script: 'true'}, {name: b, script: 'true', condition: 'false'}]"
    )
    _answer, run = project.run("a")
    assert (run["status"], run["steps_done"], run["steps_total"]) == ("completed", 2, 2)


def test_waiting_is_not_working(project):
    project.command("ask", "steps: [{name: a, agent: debug-tests}]")
    run = project.run("ask")[1]["id"]
    loaded = load_run(run, open_app().store)
    assert loaded.status == "waiting"
    worked = view.seconds_worked(loaded, time.time())
    assert view.seconds_worked(view.summarize_run(loaded), time.time() + 86400) == worked
    # Driven once more, the time of the second driver is added, without the wait between them.
    later = loaded.created + 90000
    again = apply_event(loaded, events.RunStarted(at=later, pid=1, host="h", version="v"))
    assert view.seconds_worked(again, later + 5) == pytest.approx(worked + 5)
    ended = apply_event(again, events.RunEnded(at=later + 7, status="failed"))
    assert view.seconds_worked(ended, later + 10**6) == pytest.approx(worked + 7)


def test_resume_is_offered_only_where_it_applies(failing):
    run = failing.run("solve")[1]["id"]
    assert f"prj resume {run[:8]}" in failing.prj("show", run).out
    failing.command("slow", "steps: [{name: a, script: 'touch started; sleep 60'}]")
    child = failing.spawn("run", "slow")
    while not (failing.root / "started").exists():
        assert child.poll() is None
        time.sleep(0.05)
    running = failing.prj("history", "--status", "running", "--json").json["items"][0]["id"]
    try:
        shown = failing.prj("show", running).out
        assert "running" in shown
        assert "prj resume" not in shown
    finally:
        failing.prj("stop", running)
        child.communicate()


def test_an_allowed_failure_says_so_and_is_yellow(project):
    project.command("a", "steps: [{name: lint, script: 'exit 3', continue_on_error: true}]")
    _answer, run = project.run("a")
    assert run["status"] == "completed"
    assert "allowed to fail: exit code 3" in project.prj("show", run["id"]).out
    shown = on_terminal(project, ["prj", "show", run["id"]])
    assert "\x1b[33mfailed" in shown
    assert "\x1b[31mfailed" not in shown


def test_logs_as_json(failing):
    failing.command(
        "talk", "steps: [{name: a, script: 'printf \"\\\\033[2Jhello\\n\"'}, {name: b, script: 'echo b'}]"
    )
    run = failing.run("talk")[1]["id"]
    data = failing.prj("logs", run, "--json").json
    assert [item["step"] for item in data["items"]] == ["a", "b"]
    assert "hello" in data["items"][0]["text"]
    assert [item["step"] for item in failing.prj("logs", run, "b", "--json").json["items"]] == ["b"]
    assert failing.prj("logs", run, "-f", "--json").code == 2


def test_a_diff_is_paged_on_a_terminal_only(project):
    project.command("edit", "steps: [{name: a, script: 'echo two > a.txt'}]")
    run = project.run("edit", "--worktree")[1]["id"]
    pager = project.root.parent / "pager"
    pager.write_text("#!/bin/sh\necho paged by me\ncat\n")
    pager.chmod(0o755)
    shown = on_terminal(project, ["prj", "diff", run], {"PAGER": str(pager)})
    assert "paged by me" in shown
    assert "\x1b[32m+two" in shown
    piped = project.prj("diff", run).out
    assert "paged" not in piped
    for variables in ({"PAGER": "cat"}, {"PAGER": ""}, {}):  # a short text ends `less` by itself
        assert "\x1b[32m+two" in on_terminal(project, ["prj", "diff", run], variables)
    plain = on_terminal(project, ["prj", "diff", run], {"NO_COLOR": "1"})
    assert "\n+two" in plain
    assert "\x1b[32m" not in plain


def test_watching_needs_a_terminal(failing):
    answer = failing.prj("status", "--watch")
    assert (answer.code, "needs a terminal" in answer.err) == (2, True)


def test_watch_redraws_until_interrupted(failing):
    failing.prj("run", "solve")
    shown = on_terminal(failing, ["prj", "status", "--watch"], interrupt_after=b"solve #1")
    assert "needs you" in shown
    assert "interrupted" not in shown


def test_a_dumb_terminal_is_no_terminal_to_redraw(failing):
    shown = on_terminal(failing, ["prj", "status", "--watch"], {"TERM": "dumb"})
    assert "needs a terminal that can redraw" in shown
    assert "bad  failed" in on_terminal(failing, ["prj", "run", "solve"], {"TERM": "dumb"})


WATCH = """
import os
from prunejuice.cli.prj import main, status
status.WATCH_SECONDS = 0.01
try:
    main()
finally:
    links = [os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
    print("open histories:", sum(link.endswith("prunejuice.db") for link in links))
"""


def test_watch_keeps_one_history_open(failing):
    failing.prj("run", "solve")
    words = ["python", "-c", WATCH, "status", "--watch"]
    shown = on_terminal(failing, words, interrupt_after=b"solve #1", times=20)
    assert "open histories: 1\r\n" in shown


def test_watch_shows_a_history_that_cannot_be_read_and_goes_on(failing):
    failing.prj("run", "solve")
    for suffix in ("-wal", "-shm"):
        (failing.home / f"prunejuice.db{suffix}").unlink(missing_ok=True)
    (failing.home / "prunejuice.db").write_text("no history " * 1000)
    words = ["python", "-c", WATCH, "status", "--watch"]
    shown = on_terminal(failing, words, {"COLUMNS": "300"}, b"is not a SQLite database", times=3)
    assert shown.count("is not a SQLite database") >= 3
    assert "prj doctor --repair" in shown


def test_notify_runs_the_users_command(failing, surroundings):
    told = surroundings / "told"
    config = surroundings / "config" / "config.yaml"
    config.parent.mkdir(exist_ok=True)
    config.write_text(
        f"notify: 'echo $PRUNEJUICE_STATUS $PRUNEJUICE_COMMAND $PRUNEJUICE_RUN_ID >> {told}.new; mv {told}.new {told}'\n"
    )
    run = failing.run("solve")[1]["id"]
    for _ in range(200):
        if told.exists():
            break
        time.sleep(0.05)
    assert told.read_text() == f"failed solve {run}\n"


def test_a_project_cannot_set_what_notifies(failing):
    (failing.root / ".prj" / "config.yaml").write_text("notify: touch owned\n")
    failing.prj("trust")
    answer = failing.prj("run", "solve")
    assert (answer.code, "a project cannot set notify" in answer.err) == (2, True)
    assert not (failing.root / "owned").exists()


def test_several_runs_say_at_once_that_ctrl_c_leaves_them(failing):
    answer = failing.prj("run", "solve", "issue=1,2", "--no-worktree")
    assert "Ctrl-C detaches and leaves them running" in answer.err
    assert "solve #2" in answer.out
