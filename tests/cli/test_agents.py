"""`codebot --agent` and agent steps with the real Claude Code and Codex, against a local model server."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from test_programs import environment

from conftest import NEEDS_TMUX
from prunejuice.agents.claude import ClaudeAgent
from prunejuice.agents.codex import CodexAgent
from prunejuice.agents.protocol import Task
from prunejuice.testing import Call, ModelServer, Reply

CART = "def total(prices):\n    return 0\n"
DONE = "def total(prices):\n    return sum(prices)\n"
GOLD = "It was missing.\n\ncart.py\n<<<<<<< SEARCH\n    return 0\n=======\n    return sum(prices)\n>>>>>>> REPLACE\n"
SAID = "It was missing."


@pytest.fixture
def shop(project):
    return project.commit("Open the shop", cart=CART)


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A model behind all agents; `answer` says what it does by what it is asked."""
    held = []
    with ModelServer(lambda asked: held[0](asked)) as server:
        environ = environment(tmp_path / "agent-home", server, "claude", "codex")
        path = f"{environ.pop('PATH')}:{os.environ['PATH']}"
        own = {**environ, "PATH": path, "PRUNEJUICE_AGENT_ENV": "CLAUDE_CODE_MAX_RETRIES"}
        gitconfig = Path(os.environ["HOME"], ".gitconfig").read_text()
        for name, value in own.items():
            monkeypatch.setenv(name, value)
        Path(environ["HOME"], ".gitconfig").write_text(gitconfig)

        def answers(answer):
            held[:] = [answer]
            return server

        yield answers


def place(asked):
    """Where the agent works, as it tells its model."""
    text = json.dumps(asked.body)
    return re.search(r"(/[^\"\\ <>]*/(?:work|interactive)/[^/]+/replica-\d+/copy/shop)", text)[1]


def edits(asked):
    """Write the file with the tools of the program, then say what was done."""
    if asked.wire == "chat":
        return Reply(GOLD)
    text = json.dumps(asked.body)
    if "tool_result" in text or "function_call_output" in text:
        return Reply(SAID)
    if asked.wire == "messages":
        return Reply("", [Call("Write", {"file_path": f"{place(asked)}/cart.py", "content": DONE})])
    return Reply("", [Call("exec_command", {"cmd": f"cat > cart.py <<'END'\n{DONE}END\n"})])


FLAGS = {
    "oneshot": ["--model", "openai-chat:gpt-5.6-luna"],
    "claudesdk": ["--claudesdk"],
    "codex": ["--agent", "codex"],
}


@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
def test_every_agent_gives_an_equal_change_set(shop, model, flags, tmp_path):
    model(edits)
    recording = tmp_path / "recording"
    answer = shop.codebot("optimize-perf", "cart.py", *flags, "--record", recording, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["diff"].count("\n+    return sum(prices)\n") == 1
    assert answer.json["files"] == [{"filepath": "cart.py", "operation": "write", "added": 1, "removed": 1}]
    assert answer.json["summary"] == SAID
    assert (shop.root / "cart.py").read_text() == CART
    [first] = shop.codebot("pending", "--json").json["items"]
    shop.codebot("pending", "drop", first["id"])
    again = shop.codebot("optimize-perf", "cart.py", *flags, "--replay", recording, "--json")
    assert again.code == 0, again.err
    assert again.json["diff"] == answer.json["diff"]
    assert shop.codebot("apply", again.json["id"]).code == 0
    assert (shop.root / "cart.py").read_text() == DONE


def test_a_run_of_codebot_is_a_run(shop, model):
    model(edits)
    answer = shop.codebot("optimize-perf", "cart.py", "--agent", "claude", "--apply", "--json")
    assert answer.code == 0, answer.err
    assert (shop.root / "cart.py").read_text() == DONE
    [run] = shop.prj("history", "--json").json["items"]
    assert run["command"] == "optimize-perf"
    shown = shop.prj("show", run["id"]).out
    assert "completed" in shown
    assert "Write" in shop.prj("logs", run["id"], "ask").out
    assert "sum(prices)" in shop.prj("diff", run["id"]).out
    undone = shop.prj("undo", run["id"])
    assert undone.code == 0, undone.err
    assert (shop.root / "cart.py").read_text() == CART


def test_a_step_of_a_run_is_done_by_the_agent_that_is_set(shop, model, monkeypatch):
    model(edits)
    shop.command(
        "mend",
        "name: mend\ndescription: Mend\nsteps:\n  - {name: change, agent: optimize-perf, args: {agent: claude}}\n",
    )
    answer, run = shop.run("mend")
    assert answer.code == 0, answer.err
    work = Path(run["directory"])
    assert (work / "cart.py").read_text() == DONE


def test_a_check_decides_what_an_agent_is_asked_again(shop, model):
    (shop.root / "test_cart.py").write_text("from cart import total\nassert total([1, 2]) == 3\n")

    def answer(asked):
        text = json.dumps(asked.body)
        if "tool_result" in text:
            return Reply("done")
        body = DONE if "AssertionError" in text and "return 1" in text else CART.replace("0", "1")
        return Reply("", [Call("Write", {"file_path": f"{place(asked)}/cart.py", "content": body})])

    model(answer)
    check = f"{sys.executable} test_cart.py"
    made = shop.codebot("fix", "cart.py", "--agent", "claude", "--check", check, "--json")
    assert made.code == 0, made.err
    assert made.json["rounds"] == 2
    assert "sum(prices)" in made.json["diff"]


def test_a_failure_keeps_what_was_done_and_exits_with_6(shop, model):
    calls = []

    def answer(asked):
        calls.append(asked)
        return edits(asked) if len(calls) == 1 else Reply("the reason", status=400)

    model(answer)
    made = shop.codebot("optimize-perf", "cart.py", "--agent", "claude")
    assert made.code == 6, made.err
    kept = re.search(r"codebot apply (\S+answer\.md)", made.err)[1]
    assert shop.codebot("apply", kept).code == 0
    assert (shop.root / "cart.py").read_text() == DONE


def test_a_review_by_an_agent(shop, model):
    def answer(asked):
        if "tool_result" in json.dumps(asked.body):
            return Reply("done")
        finding = {
            "path": "cart.py",
            "line": 9,
            "quote": "return 0",
            "severity": "high",
            "message": "no sum",
        }
        nowhere = {**finding, "path": "nowhere.py"}
        result = {"summary": "Looked.", "findings": [finding, nowhere]}
        return Reply("", [Call("mcp__prunejuice__submit_result", {"result": result})])

    model(answer)
    made = shop.codebot("review", "cart.py", "--agent", "claude", "--json")
    assert made.code == 0, made.err
    [found] = made.json["result"]["findings"]
    assert (found["path"], found["line"]) == ("cart.py", 2)


def test_resumed_run_continues_its_conversation_after_a_kill(shop, model):
    calls = []

    def answer(asked):
        calls.append(asked)
        if len(calls) == 2:  # it has written, and is killed
            time.sleep(8)
        if len(calls) == 3:
            return Reply("", [Call("Write", {"file_path": f"{place(asked)}/cart.py", "content": DONE})])
        return edits(asked)

    model(answer)
    words = ["optimize-perf", "cart.py", "--agent", "claude"]
    child = subprocess.Popen(
        [sys.executable, "-c", "from prunejuice.cli.codebot import main; main()", *words], cwd=shop.root
    )
    until = time.monotonic() + 30
    while len(calls) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert len(calls) == 2
    [run] = shop.prj("history", "--json").json["items"]
    resumed = shop.prj("resume", run["id"])
    assert resumed.code == 0, resumed.err
    history = json.dumps(calls[2].body)
    assert "You were interrupted" in history
    assert "cart.py" in history
    assert history.count("Write") > 0
    [left] = shop.home.glob("runs/*/prompts/*-cut-off.diff")
    assert "sum(prices)" in left.read_text(), "what it had done is kept"
    [waiting] = shop.codebot("pending", "--json").json["items"]
    assert shop.codebot("apply", waiting["id"]).code == 0
    assert (shop.root / "cart.py").read_text() == DONE


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--agent", "nobody"], 2, "unknown agent 'nobody'"),
        (["--agent", "acp"], 2, "needs a name"),
        (["--claudesdk", "--agent", "codex"], 2, "--claudesdk cannot be combined with --agent codex"),
        (["-i", "-p"], 2, "-p cannot be combined with -i"),
        (["-i", "--agent", "nothing-like-it"], 6, "no terminal"),
        (["--agent", "acp:nothing-like-it"], 6, "is not installed"),
    ],
)
def test_invalid_agent_choice_is_refused_with_its_exit_code(shop, model, args, code, said):
    model(edits)
    answer = shop.codebot("optimize-perf", "cart.py", *args)
    assert (answer.code, said in answer.err) == (code, True), answer.err


# -- in a terminal ------------------------------------------------------------------------------------


@pytest.fixture
def terminal(shop, tmp_path):
    """A terminal of tmux in the shop; what is on its screen, and keys."""
    socket = os.environ["PRUNEJUICE_TMUX_SOCKET"]

    def tmux(*args):
        return subprocess.run(
            ["tmux", "-L", socket, *args], capture_output=True, text=True, check=True
        ).stdout

    class Terminal:
        def start(self, *words):
            line = f"{sys.executable} -c 'from prunejuice.cli.codebot import main; main()' {' '.join(words)}; echo EXIT=$?; sleep 60"
            tmux("new-session", "-d", "-s", "t", "-x", "150", "-y", "50", "-c", str(shop.root), line)

        def screen(self):
            return tmux("capture-pane", "-p", "-t", "t")

        def keys(self, *keys):
            tmux("send-keys", "-t", "t", *keys)

        def close(self):
            tmux("kill-session", "-t", "t")

        def wait(self, text, seconds=120):
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                if text in self.screen():
                    return
                time.sleep(0.1)
            raise AssertionError(f"no {text!r} on the screen:\n{self.screen()}")

    return Terminal()


@NEEDS_TMUX
def test_interactive_with_a_plain_program(shop, model, terminal, tmp_path):
    """Any program will do; here it is a shell script, which reads the task and a line from the person."""
    model(edits)
    script = Path(os.environ["HOME"], "bin/helper")
    script.write_text(
        f"#!/bin/sh\ngrep -q 'faster' .codebot/task.md && echo ready\nread line\nprintf '%s' \"$line\" > note.txt\ncat > cart.py <<'END'\n{DONE}END\n"
    )
    script.chmod(0o755)
    terminal.start("optimize-perf", "-i", "--agent", "helper", "cart.py")
    terminal.wait("ready")
    terminal.keys("well done", "Enter")
    terminal.wait("EXIT=0")
    [waiting] = shop.codebot("pending", "--json").json["items"]
    assert shop.codebot("apply", waiting["id"]).code == 0
    assert (shop.root / "cart.py").read_text() == DONE
    assert (shop.root / "note.txt").read_text() == "well done"
    assert not (shop.root / ".codebot").exists()


@NEEDS_TMUX
def answer_claude_code(terminal):
    """Work with Claude Code until it ends; return whether it asked to trust the folder."""
    terminal.start("optimize-perf", "-i", "cart.py")
    until, asked_for_trust = time.monotonic() + 60, False
    while time.monotonic() < until and "EXIT" not in terminal.screen():
        screen = terminal.screen()
        asks_for_trust = "trust" in screen.lower() and "yes" in screen.lower()
        asked_for_trust = asked_for_trust or asks_for_trust
        if asks_for_trust or any(word in screen for word in ("make this edit", "Do you want", "overwrite")):
            terminal.keys(*(["Down"] if "No, exit" in screen else []), "Enter")
        elif SAID in screen:
            terminal.keys("/exit", "Enter")
            time.sleep(1)
            terminal.keys("Enter")
        time.sleep(0.5)
    terminal.wait("EXIT=0", 5)
    terminal.close()
    return asked_for_trust


def test_interactive_with_claude_code(shop, model, terminal):
    model(edits)
    home = Path(os.environ["HOME"])
    (home / ".claude.json").write_text(
        json.dumps({
            "hasCompletedOnboarding": True,
            "theme": "dark",
            "customApiKeyResponses": {"approved": [os.environ["ANTHROPIC_API_KEY"][-20:]], "rejected": []},
            "projects": {},
        })
    )
    # The program knows the folder the second time.
    assert [answer_claude_code(terminal) for _ in range(2)] == [True, False]
    [waiting] = shop.codebot("pending", "--json").json["items"]
    assert shop.codebot("apply", waiting["id"]).code == 0
    assert (shop.root / "cart.py").read_text() == DONE


# -- what is set --------------------------------------------------------------------------------------


def test_the_agent_can_be_set_once(shop, model):
    model(edits)
    config = Path(os.environ["PRUNEJUICE_CONFIG"])
    config.mkdir(parents=True, exist_ok=True)
    (config / "config.yaml").write_text(yaml.safe_dump({"agent": "codex"}))
    answer = shop.codebot("optimize-perf", "cart.py", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["agent"] == "codex"


def test_the_agents_own_summary_is_kept_when_a_check_passes(shop, model):
    model(edits)
    check = f"{sys.executable} -c 'import cart; assert cart.total([1, 2]) == 3'"
    words = ["fix", "cart.py", "--agent", "claude", "--check", check, "--json"]
    answer = shop.codebot(*words)
    assert answer.code == 0, answer.err
    assert answer.json["summary"] == SAID


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        (
            ClaudeAgent,
            [
                {"type": "user", "message": "text"},
                {"type": "assistant", "message": "text"},
                {"type": "assistant", "message": {"content": "text", "usage": "none"}},
                {"type": "assistant", "message": {"content": ["a", {"type": "tool_use", "input": "x"}]}},
                {"type": "result", "result": "done", "usage": "none"},
            ],
        ),
        (
            CodexAgent,
            [
                {"type": "item.started", "item": "text"},
                {"type": "item.completed", "item": {"type": "file_change", "changes": ["a.py"]}},
                {"type": "item.completed", "item": {"type": "agent_message", "text": "done"}},
                {"type": "turn.completed", "usage": "none"},
            ],
        ),
    ],
)
def test_a_message_of_another_form_is_skipped(tmp_path, stop, kind, lines):
    program = tmp_path / kind.name
    text = "\n".join(map(json.dumps, lines))
    program.write_text(f"#!/bin/sh\ncat >/dev/null\ncat <<'END'\n{text}\nEND\n")
    program.chmod(0o755)
    agent = kind({**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    *_, ended = agent.run(Task("fix it", directory=str(tmp_path)), stop)
    assert (ended.status, ended.output) == ("ok", "done"), ended
