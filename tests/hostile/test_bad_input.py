"""Bad input gives a named error at once, and nothing is lost."""

import gc
import os
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

STEERING = {
    "clipboard": r"\033]52;c;AAAA\007",
    "title": r"\033]0;owned\007",
    "clear": r"\033[2J\033[H",
    "c1": r"\302\2332J",
    "return": r"good\rbad",
    "link": r"\033]8;;http://evil\007text\033]8;;\007",
    "markup": r"[/foo] [link=x] [black on black]",
    "bidi": r"\342\200\256gnp",
    "not utf-8": r"\377\376\200",
}


@pytest.mark.parametrize("name", STEERING)
def test_step_output_cannot_send_terminal_control_sequences(project, name):
    project.command(
        "c",
        f"steps: [{{name: a, script: \"printf '{STEERING[name]}\\\\n'; false\"}}]"
        .replace("\\0", "\\\\0")
        .replace("\\3", "\\\\3")
        .replace("\\2", "\\\\2")
        .replace("\\r", "\\\\r"),
    )
    answer, run = project.run("c")
    shown = project.prj("logs", run["id"])
    live = project.prj("run", "c")
    listed = project.prj("status")
    for text in (shown.out, live.out, live.err, listed.out):
        assert text.replace("\n", "").replace("\t", "").isprintable(), repr(text)
    assert "\x1b" not in answer.out


def test_64_mebibytes_on_one_line(project):
    project.command("c", "steps: [{name: a, script: 'head -c 67108864 /dev/zero | tr \"\\\\0\" x'}]")
    answer, run = project.run("c")
    assert answer.code == 0
    assert len(answer.out) < 100_000
    assert len(project.prj("show", run["id"]).out) < 2000


@pytest.mark.parametrize(
    "value",
    [
        "'; DROP TABLE runs; --",
        '"',
        "a\nb",
        "$(touch pwned)",
        "`touch pwned`",
        "--flag",
        "*",
        "\\",
        "\x1b[2J",
        "é漢😀",
        "x" * 100_000,
    ],
)
def test_arguments_are_handled_literally(project, value):
    project.command(
        "c", "arguments: [v]\nsteps: [{name: a, script: 'printf %s \"$PRUNEJUICE_ARG_V\" >got'}]"
    )
    answer, run = project.run("c", f"v={value}")
    assert answer.code == 0, answer.err
    assert (project.root / "got").read_text() == value
    assert not (project.root / "pwned").exists()
    assert project.prj("show", run["id"], "--json").json["arguments"]["v"] == value


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "BASH_ENV", "GIT_DIR", "PYTHONPATH"])
def test_an_argument_cannot_become_a_variable_that_steers(project, name):
    project.command(
        "c",
        f"arguments: [{name}]\nsteps: [{{name: a, script: 'echo \"[${{{name}-}}]\"; echo $PRUNEJUICE_ARG_{name}'}}]",
    )
    answer, run = project.run("c", f"{name}=/evil")
    assert answer.code == 0
    first, second = project.log(run, "a").splitlines()
    assert "/evil" not in first
    assert second == "/evil"


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "/etc/passwd", "..", "-x", "a\0b", "x" * 300, "\x1b[2J", ""]
)
def test_names_of_commands_and_runs_never_leave_their_folder(project, name):
    for words in (
        ["run", "--", name],
        ["explain", "--", name],
        ["show", "--", name],
        ["logs", "--", name],
        ["resume", "--", name],
    ):
        answer = project.prj(*words)
        assert answer.code == 2, (words, answer)
        assert "Traceback" not in answer.err
        assert "\x1b" not in answer.err.replace("\x1b[", "") or "\x1b[2J" not in answer.err


@pytest.mark.parametrize("name", ["../evil", "a/b", "..", "-x"])
def test_names_of_steps_never_leave_their_folder(project, name):
    (project.root / "evil.sh").write_text("touch pwned")
    project.command("c", f"steps: ['{name}']")
    answer = project.prj("run", "c")
    assert answer.code == 2
    assert not (project.root / "pwned").exists()


def test_a_step_that_makes_its_output_a_link_or_a_folder(project):
    for trick in (
        "ln -s /etc/passwd $PRUNEJUICE_OUTPUT",
        "mkdir $PRUNEJUICE_OUTPUT",
        "mkfifo $PRUNEJUICE_OUTPUT",
    ):
        project.command("c", f"steps: [{{name: a, script: '{trick}'}}]")
        answer, run = project.run("c")
        assert answer.code == 1
        assert "PRUNEJUICE_OUTPUT must be a regular file" in run["error"]


def test_a_step_that_removes_its_own_log_folder(project):
    project.command(
        "c",
        "steps: [{name: a, script: 'rm -rf \"$PRUNEJUICE_ARTIFACT_DIR/outputs\"'}, {name: b, script: 'true'}]",
    )
    answer, run = project.run("c")
    assert answer.code == 1
    assert run["status"] == "failed"
    assert "Traceback" not in answer.err


def test_a_worktree_that_is_gone_is_named(project):
    project.command(
        "c",
        "steps: [create-worktree, {name: a, script: 'rm -rf \"$PRUNEJUICE_WORKTREE_PATH\"'}, {name: b, script: 'true'}]",
    )
    answer, run = project.run("c")
    assert answer.code == 1
    assert "directory" in run["error"] and "does not exist" in run["error"]


@pytest.mark.parametrize("kind", ["garbage", "folder", "read-only place"])
def test_a_history_that_cannot_be_used_is_named(project, monkeypatch, kind):
    project.command("c", "steps: [{name: a, script: 'true'}]")
    home = project.home
    if kind == "garbage":
        for path in home.glob("prunejuice.db*"):
            path.write_bytes(b"garbage" * 2000)
    elif kind == "folder":
        for path in home.glob("prunejuice.db*"):
            path.unlink()
        (home / "prunejuice.db").mkdir()
    else:
        monkeypatch.setenv("PRUNEJUICE_HOME", "/proc/nowhere")
    for words in (["run", "c"], ["status"], ["trust"]):
        answer = project.prj(*words)
        assert "Traceback" not in answer.err
        assert answer.code in ({0, 1, 7} if words != ["run", "c"] else {1, 7}), (words, answer)


def test_a_history_that_is_locked_by_another_program_is_named(project):
    project.command("c", "steps: [{name: a, script: 'true'}]")
    other = sqlite3.connect(project.home / "prunejuice.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer = project.prj("run", "c")
    assert (answer.code, "locked by another program" in answer.err) == (1, True)
    assert project.prj("status").code == 0
    other.execute("ROLLBACK")
    other.close()
    assert project.prj("run", "c").code == 0


def test_history_failure_during_a_run_interrupts_it_and_allows_resume(project):
    """The disk fills while a step runs: the run stops with a named error, nothing runs on, and it resumes."""
    project.command(
        "c",
        "steps: [{name: a, script: 'touch began; while ! test -e go; do sleep 0.05; done'}, {name: b, script: 'echo b >>trace'}]",
    )
    child = project.spawn("run", "c")
    until = time.monotonic() + 10
    while not (project.root / "began").exists() and time.monotonic() < until:
        time.sleep(0.02)
    other = sqlite3.connect(project.home / "prunejuice.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    (project.root / "go").touch()
    _, err = child.communicate(timeout=120)
    other.execute("ROLLBACK")
    other.close()
    assert (child.returncode, "locked by another program" in err) == (1, True)
    run = project.prj("status", "--json").json["items"][0]
    assert run["status"] == "interrupted"
    assert project.prj("resume", run["id"]).code == 0
    assert (project.root / "trace").read_text() == "b\n"


def test_eight_runs_at_once_on_one_history(project):
    project.command("c", "steps:\n" + "\n".join(f"- {{name: s{n}, script: ':'}}" for n in range(12)))
    children = [project.spawn("run", "c", "--json") for _ in range(8)]
    for child in children:
        _, err = child.communicate(timeout=60)
        assert child.returncode == 0, err
    runs = project.prj("history", "--json").json["items"]
    assert [(r["status"], r["steps_done"]) for r in runs] == [("completed", 12)] * 8


def test_looking_works_while_a_run_writes(project):
    project.command("c", "steps:\n" + "\n".join(f"- {{name: s{n}, script: ':'}}" for n in range(60)))
    child = project.spawn("run", "c", "--json")
    answers = []
    while child.poll() is None:
        answers += [project.prj(word).code for word in ("status", "list", "history")]
    child.communicate()
    assert set(answers) == {0}


@pytest.mark.parametrize("layout", ["a b", "ü漢", "-dash", "quo'te\"", "new\nline", "[/red]", "$(x)"])
def test_projects_in_folders_with_unusual_names(tmp_path, layout):
    place = tmp_path / layout
    (place / ".prj" / "commands").mkdir(parents=True)
    (place / ".prj" / "commands" / "c.yaml").write_text(
        "steps: [create-worktree, {name: a, script: 'pwd >here'}, gather-context, store-artifacts]"
    )
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=place, check=True, capture_output=True)
    for words in (["trust"], ["run", "c"], ["status"], ["list"], ["cleanup"]):
        done = subprocess.run(
            [sys.executable, "-m", "prunejuice", *words], cwd=place, capture_output=True, text=True
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)


def test_a_prj_folder_that_is_a_link_or_too_large(project, tmp_path):
    outside = tmp_path / "outside" / "commands"
    outside.mkdir(parents=True)
    (outside / "evil.yaml").write_text("steps: [{name: a, script: 'touch pwned'}]")
    (project.root / ".prj").symlink_to(outside.parent)
    answer = project.prj("run", "evil")
    assert (answer.code, "is a symbolic link" in answer.err) == (7, True)
    assert not (project.root / "pwned").exists()
    (project.root / ".prj").unlink()
    (project.root / ".prj").mkdir()
    for number in range(2001):
        (project.root / ".prj" / f"f{number}").touch()
    answer = project.prj("trust")
    assert (answer.code, "more than 2000 files" in answer.err) == (2, True)


def test_a_trusted_command_that_is_swapped_for_a_link_is_refused(project, tmp_path):
    project.command("c", "steps: [{name: a, script: 'true'}]")
    file = project.root / ".prj" / "commands" / "c.yaml"
    target = tmp_path / "c.yaml"
    target.write_text(file.read_text())
    file.unlink()
    file.symlink_to(target)
    answer = project.prj("trust")
    assert (answer.code, "c.yaml is a symbolic link" in answer.err) == (7, True)
    target.write_text("steps: [{name: a, script: 'touch pwned'}]")
    assert project.prj("run", "c").code == 7
    assert not (project.root / "pwned").exists()


def test_nothing_of_an_untrusted_repository_is_used(project):
    """A hostile clone: settings, commands, steps and .env are not looked at before trust."""
    prj = project.root / ".prj"
    (prj / "commands").mkdir(parents=True)
    (prj / "steps").mkdir()
    (prj / "config.yaml").write_text("log_limit: 1\nnonsense: 1\n")
    (prj / "commands" / "c.yaml").write_text("steps: [{name: a, script: 'touch pwned'}]")
    (prj / "steps" / "cleanup.sh").write_text("touch pwned")
    (project.root / ".env").write_text("PRUNEJUICE_HOME=/evil\n")
    for words in (
        ["status"],
        ["list", "-v"],
        ["explain", "c"],
        ["history"],
        ["doctor"],
        ["run", "c", "--dry-run"],
        ["cleanup"],
    ):
        assert project.prj(*words).code in {0, 1}, words
    assert project.prj("run", "c").code == 7
    assert not (project.root / "pwned").exists()


def test_many_threads_of_output_and_a_storm_of_processes(project):
    project.command(
        "c",
        "max_parallel: 20\nsteps:\n"
        + "\n".join(
            f"- {{name: s{n}, parallel_with: [s0], script: 'for i in $(seq 50); do sleep 60 & done; seq 2000; exit 0'}}"
            if n
            else "- {name: s0, script: 'true'}"
            for n in range(12)
        ),
    )
    answer, run = project.run("c")
    assert answer.code == 0
    from prunejuice.system import process_tags

    assert process_tags.tagged_pids(run["id"]) == []
    assert threading.active_count() < 20


def test_runs_leave_no_descriptors_and_no_threads_behind(project):
    project.command(
        "c",
        "steps: [{name: a, script: ':'}, {name: b, script: ':', parallel_with: [a]}]\ncleanup_on_failure: [cleanup]",
    )
    project.run("c")
    before = (descriptors(), threading.active_count())
    for _ in range(5):
        project.run("c")
    after = (descriptors(), threading.active_count())
    assert after <= before


def descriptors():
    gc.collect()
    return len(os.listdir("/dev/fd"))
