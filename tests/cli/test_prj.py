"""`prj`: output, exit codes and effects."""

import contextlib
import json
import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import time

import pytest

from conftest import NEEDS_TMUX, git, wait_for, write_files


def test_version_help_and_unknown_words(project):
    assert project.prj("--version").out.startswith("PruneJuice ")
    assert "Run a command" in project.prj("--help").out
    answer = project.prj("stauts")
    assert (answer.code, "did you mean 'status'" in answer.err) == (2, True)
    assert project.prj("zzz").code == 2
    answer = project.prj("run", "--nope")
    assert (answer.code, "prj run --help" in answer.err or "--help" in answer.err) == (2, True)


def test_init_makes_three_commands_and_changes_nothing_the_second_time(project):
    answer = project.prj("init")
    assert answer.code == 0
    folder = project.root / ".prj"
    assert sorted(p.name for p in folder.iterdir()) == ["commands", "config.yaml", "configs", "steps"]
    names = ["analyze-issue.yaml", "code-review.yaml", "feature-branch.yaml"]
    assert sorted(p.name for p in (folder / "commands").iterdir()) == names
    (folder / "commands" / "code-review.yaml").write_text("mine")
    again = project.prj("init")
    assert "nothing was changed" in again.out
    assert (folder / "commands" / "code-review.yaml").read_text() == "mine"
    assert project.prj("init", "/no/such/place").code == 2


TOOLS = {
    "package.json": '{"scripts": {"test": "node --test"}}',
    "yarn.lock": "",
    "uv.lock": "",
    "ruff.toml": "",
    "mypy.ini": "",
    "tests/test_a.py": "",
    "src/b.py": "",
    "src/c.ts": "",
}


@pytest.mark.parametrize(
    ("files", "url", "expected"),
    [
        (
            TOOLS,
            "git@github.com:octo/shop.git",
            {
                "languages": ["python", "typescript"],
                "managers": ["uv", "yarn"],
                "check": "uv run -q pytest -q && yarn test",
                "lint": "ruff check",
                "types": "mypy .",
                "base": "main",
                "forge": "octo/shop at https://api.github.com",
            },
        ),
        ({"go.mod": "", "a.go": ""}, "", {"languages": ["go"], "check": "go test ./...", "forge": ""}),
        ({"Cargo.toml": "[", "package.json": "[", "pyproject.toml": "["}, "/nowhere", {"check": "cargo test"}),
        ({}, "-x", {"languages": [], "check": "", "base": "main", "forge": ""}),
    ],
)  # fmt: skip
def test_init_looks_at_the_project(project, tmp_path, monkeypatch, files, url, expected):
    write_files(project.root, files)
    git(project.root, "add", ".")
    if url:
        git(project.root, "config", "remote.origin.url", url)
    for name in ("claude", "opencode"):
        write_files(tmp_path, {f"bin/{name}": "#!/bin/sh\nexit 9\n"})
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    found = project.prj("init", "--json").json["found"]
    assert {name: found[name] for name in expected} == expected
    assert found["agents"] == ["claude", "acp:opencode"]
    assert project.prj("config", "get", "check").out.strip() == expected["check"]
    again = project.prj("init")
    assert f"found    tests: {expected['check']}" in again.out or not expected["check"]
    assert ("no tests were found" in again.err) == (not expected["check"])


def test_init_looks_at_its_own_folder_alone(project):
    write_files(
        project.root,
        {"package.json": '{"scripts": {"test": "x"}}', "a.js": "", "sub/go.mod": "", "sub/a.go": ""},
    )
    git(project.root, "add", ".")
    found = project.prj("init", "sub", "--json").json["found"]
    assert (found["languages"], found["check"]) == (["go"], "go test ./...")


def test_init_needs_no_repository(project, tmp_path):
    write_files(tmp_path / "plain", {"go.mod": "module a\n", "\x1b[31m.py": ""})
    answer = project.prj("init", tmp_path / "plain")
    assert answer.code == 0
    assert "found    tests: go test ./..." in answer.out
    assert "--prompt" in answer.err


def test_init_trusts_what_it_made_and_nothing_that_was_there(project):
    assert project.prj("init", "--json").json["trusted"] is True
    answer = project.prj("run", "analyze-issue", "issue_number=1", "--no-worktree")
    assert answer.code == 8
    other = project.root / ".prj" / "commands" / "x.yaml"
    other.write_text("steps: [{name: a, script: 'true'}]")
    assert project.prj("init", "--json").json["trusted"] is False
    assert project.prj("run", "x").code == 7


def test_list_says_where_commands_come_from(project):
    project.command(
        "mine",
        "description: My own\ncategory: x\narguments: [{name: a, description: An a}, {name: b, required: false}, {name: c, default: ''}, {name: d, type: boolean, default: true}]\nsteps: [{name: s, script: 'true'}]",
    )
    project.command("broken", "steps: 3")
    out = project.prj("list", "-v").out
    assert re.search(r"mine +x +project +My own", out)
    assert "a= (string, required)  An a" in out
    assert re.search(
        r"b= \(string, optional\)\n +c= \(string, optional\)\n +d= \(boolean, default true\)", out
    )
    assert "must be a list of steps" in out
    assert re.search(r"tdd +workflow +built-in", out)
    items = {item["name"]: item for item in project.prj("list", "--json").json["items"]}
    assert items["mine"]["source"] == "project"
    assert "error" in items["broken"]


def test_explain_shows_the_canonical_form_which_reads_back_the_same(project):
    habits = """
        description: "Habits: all of them"
        arguments: [n]
        environment: {A: "yes", B: "3", C: }
        steps:
          - {name: one, run: "echo 'a: b'\\necho two", if: args.n == 'x', env: {X: "1"}, with: {k: [1, two, {d: null}]}, timeout-minutes: 2}
          - {name: two, run: x, continue-on-error: true, parallel_with: one}
          - {name: three, uses: cleanup, on_failure: four}
          - {name: four, run: y, on_success: three, max_visits: 2}
        post_steps: [store-artifacts]
        cleanup_on_failure: [cleanup]
    """
    project.command("habits", habits)
    first = project.prj("explain", "habits")
    assert "condition: \"args.n == 'x'\"" in first.out
    assert "# graph" in first.out
    form = project.prj("explain", "habits", "--json").json
    project.command("again", first.out.replace("name: habits", "name: again"))
    again = project.prj("explain", "again", "--json").json
    assert {**form, "name": "", "source": ""} == {**again, "name": "", "source": ""}
    mermaid = project.prj("explain", "habits", "--mermaid").out
    assert mermaid.startswith("flowchart TD")
    assert "-. failure .->" in mermaid


def test_explain_names_every_mistake_by_file_line_and_key(project):
    project.command("bad", "steps:\n- {name: a, scrip: x}\n- {name: b, script: 3}\n")
    answer = project.prj("explain", "bad")
    assert answer.code == 2
    assert "bad.yaml:2: steps.0.scrip: unknown key in a step (did you mean 'script'?)" in answer.err
    assert "bad.yaml:3: steps.1.script" in answer.err
    assert project.prj("explain", "nope").code == 2


SIMPLE = """
    description: Two steps
    arguments: [{name: who, required: false, default: world}]
    steps:
      - {name: greet, script: 'echo "hello $PRUNEJUICE_ARG_WHO"; echo "said=$PRUNEJUICE_ARG_WHO" >>"$PRUNEJUICE_OUTPUT"'}
      - {name: again, script: 'echo "$PRUNEJUICE_ARG_WORD"', args: {word: "${{ steps.greet.said }}!"}}
"""


def test_a_dry_run_shows_the_plan_and_writes_nothing(project):
    project.command("hello", SIMPLE)
    files = lambda: sorted(p.name for p in project.home.rglob("*") if "-" not in p.name)  # noqa: E731
    before = files()
    answer = project.prj("run", "hello", "who=you", "--dry-run")
    assert answer.code == 0
    assert "argument     who = you" in answer.out
    assert "→ greet: script" in answer.out
    plan = project.prj("run", "hello", "--dry-run", "--json").json
    assert plan["arguments"] == {"who": "world"}
    assert files() == before


def test_a_run_shows_its_steps_and_where_things_are(project, statuses):
    project.command("hello", SIMPLE)
    answer = project.prj("run", "hello", "who=a b")
    assert answer.code == 0
    assert re.search(r"run [0-9a-f]{8} completed in", answer.out)
    assert re.search(r"greet  completed .*hello a b", answer.err)
    _, run = project.run("hello")
    assert statuses(run) == {"greet": "completed", "again": "completed"}
    assert run["session_id"] == run["id"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["whom=x"], "did you mean 'who'"),
        (["x"], "expected NAME=VALUE"),
        (["=x"], "expected NAME=VALUE"),
        (["who=1", "who=2"], "duplicate argument"),
    ],
)
def test_wrong_arguments_are_named(project, words, message):
    project.command("hello", SIMPLE)
    answer = project.prj("run", "hello", *words)
    assert (answer.code, message in answer.err) == (2, True)


def test_errors_are_one_object_with_json(project):
    answer = project.prj("run", "helo", "--json")
    assert answer.code == 2
    assert answer.json["schema"] == "prunejuice.error/1"
    assert "unknown command 'helo'" in answer.json["error"]["message"]


def test_a_repository_runs_only_what_was_trusted(project):
    project.command("hello", SIMPLE, trust=False)
    answer = project.prj("run", "hello")
    assert (answer.code, "hello.yaml (new)" in answer.err, "prj trust" in answer.err) == (7, True, True)
    assert project.prj("trust").code == 0
    assert project.prj("run", "hello").code == 0
    project.command("hello", SIMPLE + "# changed\n", trust=False)
    answer = project.prj("run", "hello")
    assert (answer.code, "hello.yaml (changed)" in answer.err) == (7, True)
    changes = project.prj("trust", "--json").json["changes"]
    assert changes == [".prj/commands/hello.yaml (changed)"]
    (project.root / ".prj" / "commands" / "hello.yaml").unlink()
    assert "(gone)" in project.prj("run", "tdd", "feature=x").err


@pytest.mark.parametrize(("word", "code"), [("y", 0), ("n", 7)])
def test_on_a_terminal_the_user_is_asked(project, word, code):
    project.command("hello", SIMPLE, trust=False)
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-m", "prunejuice", "run", "hello"])
    os.write(terminal, f"{word}\n".encode())
    shown = b""
    with contextlib.suppress(OSError):
        while chunk := os.read(terminal, 10_000):
            shown += chunk
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == code
    assert b"hello.yaml (new)" in shown
    assert (project.prj("run", "hello").code == 0) == (word == "y")


def test_failed_run_shows_cause_and_last_output_and_can_be_resumed(project):
    project.command(
        "f",
        "steps: [{name: a, script: 'true'}, {name: b, script: 'echo last words; test -e ok'}]\ncleanup_on_failure: [cleanup]",
    )
    answer = project.prj("run", "f")
    assert answer.code == 1
    assert "b: exit code 1" in answer.out
    assert "last words" in answer.out
    run = project.prj("status", "--json").json["items"][0]
    assert (run["status"], run["step"]) == ("failed", "b")
    (project.root / "ok").touch()
    resumed = project.prj("resume", run["id"][:6], "--json")
    assert (resumed.code, resumed.json["status"]) == (0, "completed")
    assert project.prj("resume", run["id"]).code == 2


def test_an_agent_that_is_not_there_needs_a_person_and_loses_nothing(project, statuses):
    git(project.root, "commit", "--allow-empty", "-qm", "about #12")
    project.prj("init")
    answer, run = project.run("analyze-issue", "issue_number=12")
    assert (answer.code, run["status"]) == (8, "waiting")
    assert statuses(run)["brief"] == "completed"
    assert "about #12" in project.log(run, "brief")
    shown = project.prj("show", run["id"]).out
    assert "--decide analyze=done" in shown
    assert "no agent is set up" in shown
    done = project.prj("resume", run["id"], "--decide", "analyze=done", "--json")
    assert (done.code, done.json["status"]) == (0, "completed")
    names = {a["name"] for a in done.json["artifacts"]}
    assert {"artifacts/changes.patch", "context/context.json", "specs/issue-12.md"} <= names
    assert project.prj("resume", run["id"], "--decide", "x=y").code == 2


def test_every_template_does_all_that_needs_no_model(project):
    project.prj("init")
    (project.root / "b.txt").write_text("two\n")
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "second")
    for name, args in (
        ("code-review", ["check=echo checked"]),
        ("feature-branch", ["branch_name=feat/x", "check=true"]),
    ):
        answer, run = project.run(name, *args)
        assert (answer.code, run["status"]) == (8, "waiting"), answer.err
        waiting = next(s["step"] for s in run["steps"] if s["status"] == "pending")
        assert project.prj("resume", run["id"], "--decide", f"{waiting}=done").code == 0
    review = next(
        r for r in project.prj("history", "--json").json["items"] if r["command"] == "code-review"
    )
    assert "checked" in project.log(project.prj("show", review["id"], "--json").json, "check")
    assert git(project.root, "branch", "--list", "feat/x").strip("+* ") == "feat/x"


def test_the_tdd_workflow_is_complete(project, statuses):
    project.prj("init")
    answer, run = project.run("tdd", "feature=x", "test=test -e made")
    assert answer.code == 8
    script = ["write_test", "implement", "debug", "refactor"]
    for step in script:
        run = project.prj("show", run["id"], "--json").json
        waiting = next(s["step"] for s in run["steps"] if s["status"] == "pending")
        assert waiting == step
        if step == "debug":
            (project.root / "made").touch()
        answer = project.prj("resume", run["id"], "--decide", f"{waiting}=done", "--json")
    assert (answer.code, answer.json["status"]) == (0, "completed")


def test_the_commands_that_look(project):
    project.command("hello", SIMPLE)
    assert "no runs yet" in project.prj("status").out
    _, run = project.run("hello")
    short = run["id"][:8]
    for words in (["status"], ["history"], ["history", "--status", "completed"], ["status", "--all"]):
        assert short in project.prj(*words).out
    assert short not in project.prj("history", "--status", "failed").out
    assert "greet" in project.prj("show", short).out
    assert project.prj("logs", short, "greet").out == "hello world\n"
    assert "── again ──" in project.prj("logs", "-f", short).out
    assert project.prj("logs", short, "gret").code == 2
    assert project.prj("artifacts", short).code == 0
    assert project.prj("artifacts", short, "--json").json["items"] == []
    for prefix in ("zz", "", "ffffffffffff", "../x"):
        assert project.prj("show", prefix).code == 2


def test_an_id_that_fits_two_runs_is_not_guessed(project):
    project.command("hello", SIMPLE)
    ids = [project.run("hello")[1]["id"] for _ in range(20)]
    first = next(i[0] for i in ids if sum(other[0] == i[0] for other in ids) > 1)
    answer = project.prj("show", first)
    assert (answer.code, "ambiguous run id" in answer.err) == (2, True)


def test_step_files_in_bash_and_python_hand_on_outputs(project, statuses):
    project.step("make.sh", 'echo "n=5" >>"$PRUNEJUICE_OUTPUT"\n')
    project.step(
        "double.py",
        """
        import json, os, pathlib
        n = int(os.environ["PRUNEJUICE_ARG_N"])
        pathlib.Path(os.environ["PRUNEJUICE_OUTPUT"]).write_text(json.dumps({"n": n * 2, "list": [1]}))
    """,
    )
    project.command(
        "c",
        """
        steps:
          - make
          - {name: double, args: {n: "${{ steps.make.n }}"}}
          - {name: check, condition: "steps.double.n == 10 and steps.double.list == [1]", script: "true"}
    """,
    )
    _, run = project.run("c")
    assert statuses(run) == {"make": "completed", "double": "completed", "check": "completed"}


def test_a_command_can_use_another_and_be_resumed_inside_it(project, statuses):
    project.command(
        "inner",
        "arguments: [word]\nsteps: [{name: say, script: 'echo $PRUNEJUICE_ARG_WORD; echo said=$PRUNEJUICE_ARG_WORD >>$PRUNEJUICE_OUTPUT'}, {name: gate, script: 'test -e ok'}]",
    )
    project.command(
        "outer",
        "steps: [{name: call, uses: inner, args: {word: hi}}, {name: after, condition: steps.call.say.said == 'hi', script: 'true'}]",
    )
    answer, run = project.run("outer")
    assert (answer.code, run["status"], "gate" not in statuses(run)) == (1, "failed", True)
    (project.root / "ok").touch()
    answer = project.prj("resume", run["id"], "--json")
    assert (answer.code, statuses(answer.json)) == (0, {"call": "completed", "after": "completed"})
    inner = project.prj("show", answer.json["steps"][0]["outputs"]["run"], "--json").json
    assert (inner["parent"], [s["visit"] for s in inner["steps"]]) == (run["id"], [1, 1])
    assert len(project.prj("history", "--json").json["items"]) == 1
    plan = project.prj("run", "outer", "--dry-run").out
    assert "steps of inner:" in plan


def test_an_agent_inside_a_used_command_makes_the_outer_run_wait(project):
    project.command("inner", "steps: [{name: think, agent: analyze}]")
    project.command("outer", "steps: [inner]")
    answer, run = project.run("outer")
    assert (answer.code, run["status"]) == (8, "waiting")


def test_steps_get_an_allow_listed_environment(project, monkeypatch):
    monkeypatch.setenv("MY_SECRET_TOKEN", "do-not-show-me")
    monkeypatch.setenv("HANDED_TOKEN", "correct-horse")
    monkeypatch.setenv("PYTHONPATH", "/evil")
    (project.root / ".env").write_text(
        "FROM_DOTENV=1\nPATH=/evil\nLD_PRELOAD=/evil.so\nGIT_DIR=/evil\nPRUNEJUICE_HOME=/evil\nDB_PASSWORD=battery-staple\n"
    )
    project.command(
        "e",
        'environment: {HANDED_TOKEN: , OWN: "own ${{ args.a }}"}\narguments: [a]\nsteps: [{name: env, script: "env; echo $HANDED_TOKEN $DB_PASSWORD", environment: {MORE: x}}]',
    )
    _, run = project.run("e", "a=b")
    log = project.log(run, "env")
    assert "MY_SECRET_TOKEN" not in log
    assert "correct-horse" not in log
    assert "battery-staple" not in log
    assert "FROM_DOTENV=1" in log
    assert "OWN=own b" in log
    assert "MORE=x" in log
    assert "/evil" not in log
    for name in (
        "EVENT_ID",
        "SESSION_ID",
        "PROJECT_PATH",
        "ARTIFACT_DIR",
        "COMMAND_NAME",
        "WORKING_DIR",
        "STEP_NAME",
        "RUN_ID",
        "ARG_A",
    ):
        assert f"PRUNEJUICE_{name}=" in log


def test_the_context_of_a_run_is_about_its_task(project):
    (project.root / "till.py").write_text("def open_till():\n    ring()\n")
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "till")
    project.command(
        "look", "arguments: [{name: task}]\nsteps: [{name: c, uses: gather-context, args: {budget: 900}}]"
    )
    _, run = project.run("look", "task=the till does not ring")
    kept = project.home / "runs" / run["id"] / "context"
    assert "def open_till():" in (kept / "context.md").read_text()
    bundle = json.loads((kept / "bundle.json").read_text())
    assert bundle["query"] == "the till does not ring"
    assert bundle["used"] <= 900
    assert {"context/context.md", "context/bundle.json"} <= {each["name"] for each in run["artifacts"]}
    project.command("wrong", "steps: [{name: c, uses: gather-context, args: {budget: many}}]")
    answer, _ = project.run("wrong")
    assert "budget must be a number of tokens" in answer.out


def test_a_worktree_of_its_own_and_without(project):
    project.command(
        "w",
        "steps: [create-worktree, {name: work, script: 'echo x >new; pwd'}, {name: ctx, uses: gather-context}, store-artifacts]",
    )
    _, run = project.run("w")
    assert run["branch"].startswith("pj-w-")
    assert project.log(run, "work").strip() == run["worktree"]
    patch = next(a for a in run["artifacts"] if a["name"] == "artifacts/changes.patch")
    assert "+x" in (project.home / "runs" / run["id"] / patch["path"]).read_text()
    assert git(project.root, "status", "--porcelain") == "?? .prj/"
    _, run = project.run("w", "--no-worktree")
    assert "worktree" not in run
    assert project.log(run, "work").strip() == str(project.root)
    project.command("plain", "steps: [{name: work, script: pwd}]")
    _, run = project.run("plain", "--worktree")
    assert project.log(run, "work").strip() == run["worktree"]


def test_in_a_subfolder_and_in_a_linked_worktree(project, monkeypatch):
    (project.root / "sub").mkdir()
    (project.root / "sub" / "f").write_text("x")
    project.command("w", "steps: [create-worktree, {name: work, script: pwd}]")
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "sub")
    monkeypatch.chdir(project.root / "sub")
    _, run = project.run("w")
    assert project.log(run, "work").strip() == run["worktree"] + "/sub"
    monkeypatch.chdir(run["worktree"])
    project.prj("trust")
    _, second = project.run("w")
    assert second["worktree"] != run["worktree"]
    assert os.path.dirname(second["worktree"]) == os.path.dirname(run["worktree"])


@pytest.mark.parametrize("directory", ["../lib", "{top}/lib", ".."])
def test_a_step_may_work_anywhere_in_the_project(project, monkeypatch, directory):
    for name in ("lib", "sub"):
        (project.root / name).mkdir()
    project.command(
        "c", f"steps: [{{name: a, script: pwd, working_directory: '{directory.format(top=project.root)}'}}]"
    )
    monkeypatch.chdir(project.root / "sub")
    assert project.prj("run", "c").code == 0


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("steps: [{name: a, script: sleep 30, timeout: 0.3}]", 5, "timed out after 0.3 s"),
        ("timeout: 0.4\nsteps: [{name: a, script: sleep 30}]", 5, "timed out after"),
        ("steps: [{name: a, script: 'kill -9 $$'}]", 1, "exit code 137"),
        ("steps: [{name: a, script: 'false | true'}]", 1, "exit code 1"),
        ("steps: [{name: a, script: 'echo nonsense >>$PRUNEJUICE_OUTPUT'}]", 1, "not key=value"),
        ("steps: [{name: a, script: 'echo \"{x\" >$PRUNEJUICE_OUTPUT'}]", 1, "is not valid JSON"),
        ("steps: [{name: a, script: 'head -c 2000000 /dev/zero >$PRUNEJUICE_OUTPUT'}]", 1, "at most 1 MiB"),
        ("steps: [{name: a, script: pwd, working_directory: nowhere}]", 1, "nowhere' does not exist"),
        ("steps: [{name: a, script: pwd, working_directory: ../..}]", 1, "is outside of"),
        ("steps: [{name: a, script: pwd, working_directory: /}]", 1, "is outside of"),
        (
            "arguments: [{name: api_token, default: hunter2hunter2}]\n"
            "steps: [{name: a, script: pwd, working_directory: '${{ args.api_token }}'}]",
            1,
            "/***' does not exist",
        ),
        (
            "steps: [{name: validate-prerequisites, args: {tools: [no-such-tool], files: [zz], environment: [ZZ]}}]",
            2,
            "no-such-tool is not installed; file zz does not exist; environment variable ZZ",
        ),
        ("steps: [{name: gather-context, args: {base: zzz}}]", 1, "unknown commit 'zzz'"),
        ("steps: [{name: create-worktree, args: {base: zzz}}]", 1, "unknown base commit 'zzz'"),
        ("steps: [{name: create-worktree, args: {branch_name: -d}}]", 2, "branch name '-d'"),
        ("steps: [{name: store-artifacts, args: {paths: [../x]}}]", 1, "points outside of the workspace"),
    ],
)
def test_step_errors_are_reported_with_their_exit_code(project, text, code, message):
    project.command("c", text)
    answer, run = project.run("c")
    assert (answer.code, message in run["error"]) == (code, True), run["error"]


def test_artifacts_are_files_inside_the_workspace(project):
    (project.root / "out").mkdir()
    (project.root / "out" / "r.txt").write_text("r")
    (project.root / "out" / "link").symlink_to("/etc/passwd")
    project.command("c", "steps: [{name: store-artifacts, args: {paths: ['out/*']}}]")
    _, run = project.run("c")
    assert [a["name"] for a in run["artifacts"] if a["name"].startswith("artifacts")] == [
        "artifacts/out/r.txt"
    ]


def test_outside_a_repository(project, tmp_path, monkeypatch):
    place = tmp_path / "plain"
    place.mkdir()
    monkeypatch.chdir(place)
    assert project.prj("init").code == 0
    answer = project.prj("run", "analyze-issue", "issue_number=1")
    assert (answer.code, "not in a git repository" in answer.out) == (2, True)


def test_missing_tools_are_named(project, monkeypatch):
    project.command("c", "steps: [{name: a, script: 'true'}]")
    project.command("w", "steps: [create-worktree]")
    project.command("s", "steps: [start-session]")
    project.command("r", "steps: [{name: start-session, args: {required: true}}]")
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable))
    for name, tool in (
        ("c", "bash is not installed"),
        ("w", "git is not installed"),
        ("r", "tmux is not installed"),
    ):
        answer, run = project.run(name)
        assert (answer.code, tool in run["error"] or "sh is not" in run["error"]) == (2, True), run["error"]
    assert project.run("s")[0].code == 0


@NEEDS_TMUX
def test_a_session_starts_in_the_workspace_and_clean_up_ends_it(project):
    project.command(
        "s",
        "steps: [create-worktree, start-session, {name: fail, script: 'false'}]\ncleanup_on_failure: [cleanup]",
    )
    _, run = project.run("s")
    assert run["session"].startswith("shop-pj-s-")
    listed = subprocess.run(
        ["tmux", "-L", os.environ["PRUNEJUICE_TMUX_SOCKET"], "ls"], capture_output=True, text=True
    )
    assert listed.stdout == ""
    assert "kept worktree" in project.log(run, "cleanup")


@NEEDS_TMUX
def test_cleanup_removes_clean_worktrees_and_keeps_work(project):
    project.command(
        "s",
        "arguments: [f]\nsteps: [create-worktree, start-session, {name: work, script: '$PRUNEJUICE_ARG_F'}]",
    )
    clean, dirty = project.run("s", "f=true")[1], project.run("s", "f=touch new")[1]
    would = project.prj("cleanup", "-n").out
    assert f"would remove  worktree {clean['worktree']}" in would
    assert pathlib.Path(clean["worktree"]).is_dir()
    answer = project.prj("cleanup", "--days", "0", "--json").json["items"]
    assert not pathlib.Path(clean["worktree"]).is_dir()
    assert pathlib.Path(dirty["worktree"] + "/new").is_file()
    assert {(d["run"] == clean["id"], d["done"]) for d in answer if d["what"].startswith("run ")} <= {
        (True, True),
        (False, False),
    }
    assert project.prj("show", clean["id"]).code == 2
    assert project.prj("show", dirty["id"]).code == 0
    assert "kept" in project.prj("cleanup").out


def test_doctor(project):
    project.prj("init")
    answer = project.prj("doctor")
    assert answer.code == 0, answer.out
    project.command("bad", "steps: 3", trust=False)
    answer = project.prj("doctor", "--json")
    assert answer.code == 1
    found = {c["name"]: c["ok"] for c in answer.json["items"]}
    assert (found["git"], found["project"], found["command bad"]) == (True, False, False)
    (project.home / "prunejuice.db").write_bytes(b"garbage" * 1000)
    for name in ("-wal", "-shm"):
        (project.home / f"prunejuice.db{name}").unlink(missing_ok=True)
    assert project.prj("status").code == 1
    assert project.prj("doctor").code == 1
    assert project.prj("doctor", "--repair").code in {0, 1}
    assert project.prj("status").code == 0
    assert len(list(project.home.glob("prunejuice.db.damaged-*"))) == 1


def test_settings_know_where_they_come_from(project, monkeypatch):
    config = project.root / ".prj" / "config.yaml"
    project.command("c", "steps: [{name: a, script: 'true'}]")
    config.write_text("grace: 3\nlog_limit: 5\n")
    monkeypatch.delenv("PRUNEJUICE_GRACE")
    shown = lambda: {c["name"]: c["found"] for c in project.prj("doctor", "--json").json["items"]}  # noqa: E731
    assert shown()["setting grace"] == "10.0 (default)"
    project.prj("trust")
    assert shown()["setting grace"] == "3.0 (project)"
    monkeypatch.setenv("PRUNEJUICE_GRACE", "4")
    assert shown()["setting grace"] == "4.0 (environment)"
    for text, message in (
        ("grce: 1", "did you mean 'grace'"),
        ("grace: x", "must be of type float"),
        ("grace: -1", "negative"),
        ("- a", "must be a mapping"),
    ):
        config.write_text(text)
        project.prj("trust")
        assert message in project.prj("list").err
    monkeypatch.setenv("PRUNEJUICE_LOG_LIMIT", "x")
    assert project.prj("list").code == 2


# -- in processes of their own --------------------------------------------------------------------


def running(project, step):
    def check():
        items = project.prj("status", "--json").json["items"]
        return next((i for i in items if i["status"] == "running" and i.get("step") == step), None)

    return wait_for(check)


SLOW = "steps: [{name: a, script: 'true'}, {name: slow, script: 'echo began; sleep 60'}, {name: c, script: 'true'}]\ncleanup_on_failure: [{name: tidy, script: 'echo tidied >tidy'}]"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_run_in_order(project, number):
    project.command("slow", SLOW)
    child = project.spawn("run", "slow")
    run = running(project, "slow")
    child.send_signal(number)
    out, err = child.communicate(timeout=120)
    assert child.returncode == 130, err
    assert "cancelled" in out
    assert (project.root / "tidy").exists()
    assert project.prj("show", run["id"], "--json").json["status"] == "cancelled"


def test_a_second_signal_ends_it_at_once(project):
    project.command(
        "slow",
        "steps: [{name: slow, script: \"trap '' TERM; touch began; sleep 60; sleep 60\"}]\ncleanup_on_failure: [{name: tidy, script: 'touch tidy'}]",
    )
    child = project.spawn("run", "slow", env={**os.environ, "PRUNEJUICE_GRACE": "60"})
    run = running(project, "slow")
    wait_for(lambda: (project.root / "began").exists())
    child.send_signal(signal.SIGINT)
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=120)
    assert child.returncode == 130
    assert not (project.root / "tidy").exists()
    assert project.prj("show", run["id"], "--json").json["status"] == "interrupted"


def test_killed_run_is_shown_as_interrupted_and_can_be_resumed(project):
    project.command(
        "slow",
        "steps: [{name: a, script: 'echo a >>trace'}, {name: slow, script: 'echo slow >>trace; test -e ok || sleep 60'}, {name: c, script: 'echo c >>trace'}]",
    )
    child = project.spawn("run", "slow")
    run = running(project, "slow")
    wait_for(lambda: (project.root / "trace").read_text().endswith("slow\n"))
    child.kill()
    child.communicate()
    assert "interrupted" in project.prj("status").out
    (project.root / "ok").touch()
    answer = project.prj("resume", run["id"], "--json")
    assert (answer.code, answer.json["status"]) == (0, "completed")
    assert (project.root / "trace").read_text() == "a\nslow\nslow\nc\n"


def test_a_step_that_finishes_after_its_driver_was_killed_is_not_repeated(project):
    project.command(
        "slow",
        "steps: [{name: slow, script: 'touch began; sleep 0.7; echo slow >>trace; echo k=v >>$PRUNEJUICE_OUTPUT'}, {name: c, condition: steps.slow.k == 'v', script: 'echo c >>trace'}]",
    )
    child = project.spawn("run", "slow")
    run = running(project, "slow")
    wait_for(lambda: (project.root / "began").exists())
    child.kill()
    child.communicate()
    wait_for(lambda: (project.root / "trace").exists())
    time.sleep(0.3)
    assert project.prj("resume", run["id"]).code == 0
    assert (project.root / "trace").read_text() == "slow\nc\n"


def test_detached_run_continues_alone_and_can_be_stopped(project):
    project.command("slow", SLOW)
    run_id = project.prj("run", "slow", "--detach").out.strip()
    running(project, "slow")
    assert project.prj("resume", run_id).code == 2
    answer = project.prj("stop", run_id[:8], "--json")
    assert (answer.code, answer.json["status"]) == (0, "cancelled")
    assert (project.root / "tidy").exists()
    assert project.prj("stop", run_id).code == 0


def test_stop_now_kills_and_stop_ends_a_run_without_a_driver(project):
    project.command("slow", SLOW)
    run_id = project.prj("run", "slow", "--detach", "--json").json["id"]
    running(project, "slow")
    assert project.prj("stop", run_id, "--now", "--json").json["status"] == "interrupted"
    assert project.prj("stop", run_id, "--json").json["status"] == "cancelled"


def test_logs_can_be_followed_to_the_end(project):
    project.command(
        "s", "steps: [{name: a, script: 'echo one; sleep 0.6; echo two'}, {name: b, script: echo three}]"
    )
    run_id = project.prj("run", "s", "--detach").out.strip()
    out = project.prj("logs", "-f", run_id).out
    assert project.prj("show", run_id, "--json").json["status"] == "completed"
    assert [line for line in out.splitlines() if line in {"one", "two", "three"}] == ["one", "two", "three"]


def test_verbose_shows_what_the_program_does_and_the_log_keeps_it(project):
    project.command("hello", SIMPLE)
    answer = project.prj("run", "hello", "--verbose")
    assert "· step.started" in answer.err
    assert '"what": "step.ended"' in (project.home / "log" / "prunejuice.log").read_text()


def test_runs_of_a_project_that_was_moved_are_named(project, monkeypatch):
    project.command("s", "steps: [{name: a, script: 'true'}]")
    project.run("s")
    moved = project.root.rename(project.root.with_name("moved"))
    monkeypatch.chdir(moved)
    shown = project.prj("status")
    assert f"runs are kept of {project.root}, which is gone: `prj status --all`" in shown.err
    assert "s  completed" in project.prj("status", "--all").out


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
def test_a_stream_that_the_caller_closed_is_no_error(project, closed):
    project.command("s", "steps: [{name: a, script: 'echo one; echo two >&2'}]")
    done = subprocess.run(["bash", "-c", f"{sys.executable} -m prunejuice run s {closed}"], check=False)
    assert done.returncode == 0
    [run] = project.prj("history", "--json").json["items"]
    assert run["status"] == "completed"


def test_a_reader_that_goes_away_is_no_error(project):
    project.command("s", "steps: [{name: a, script: 'seq 200000'}]")
    _, run = project.run("s")
    done = subprocess.run(
        [
            "bash",
            "-c",
            f"{sys.executable} -m prunejuice logs {run['id']} | head -1; echo ${{PIPESTATUS[0]}}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n")[1] == "0"
    assert "Traceback" not in done.stderr


@NEEDS_TMUX
def test_progress_is_drawn_in_place_on_a_terminal(project):
    project.command("hello", SIMPLE)
    socket = os.environ["PRUNEJUICE_TMUX_SOCKET"]
    command = f"{sys.executable} -m prunejuice run hello; sleep 30"
    subprocess.run(
        [
            "tmux",
            "-L",
            socket,
            "new-session",
            "-d",
            "-x",
            "120",
            "-y",
            "40",
            "-c",
            str(project.root),
            command,
        ],
        check=True,
    )

    def screen():
        shown = subprocess.run(
            ["tmux", "-L", socket, "capture-pane", "-p"], capture_output=True, text=True, check=True
        ).stdout
        return shown if "completed in" in shown else ""

    shown = wait_for(screen)
    assert re.search(r"✓ +greet +completed", shown)


def test_an_unexpected_error_is_no_traceback_but_a_report(project, monkeypatch):
    from prunejuice.cli.prj import list as list_module

    def fall():
        raise RuntimeError("boom")

    monkeypatch.setattr(list_module.wiring, "open_app", fall)
    answer = project.prj("list")
    assert (answer.code, "unexpected RuntimeError: boom" in answer.err) == (1, True)
    assert "boom" in (project.home / "log" / "prunejuice.log").read_text()


def test_the_demo_runs(project, tmp_path):
    answer = project.prj("demo", "--keep", tmp_path / "demo")
    assert answer.code == 0, answer.err
    assert "interrupted" in answer.out
    assert answer.out.count("1 change set to review") == 3 + 1
    assert "✗" in answer.out, "the conflict is foreseen"
    assert answer.out.count("checked with: python3 -m unittest") == 2
    shop = tmp_path / "demo/shop"
    assert git(shop, "status", "--porcelain") == "?? .prj/"
    code = (shop / "cart/prices.py").read_text()
    assert "(cents * (100 + percent) + 50) // 100" in code
    assert "min(percent, 100)" in code


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ("echo $#-$1-", 0, "0--"),
        ("trap 'echo bye' EXIT; echo hi", 0, "hi\nbye"),
        ("trap 'echo bye' EXIT; exit 3", 3, "bye"),
        ("exec echo replaced", 0, "replaced"),
        ("set +e; false; echo on", 0, "on"),
        ("false; echo never", 1, ""),
        ("false | cat; echo never", 1, ""),
        ("if [ 1 = 1 ]; then", 1, "syntax error"),
        ("no-such-command-at-all", 127, "not found"),
        ("f() { local x=1; return 4; }; f", 4, ""),
        ("exit 0; echo never", 0, ""),
        ("cat; echo end of input", 0, "end of input"),
    ],
)
def test_scripts_mean_what_bash_says(project, script, code, said):
    project.command("c", f"steps:\n- name: a\n  script: |\n    {script}\n".replace("|\n    ", "|\n      "))
    _, run = project.run("c")
    ended = run["steps"][0].get("exit_code")
    assert ended == code or (code == 1 and ended in {1, 2}), run["steps"]
    assert said in project.log(run, "a")
