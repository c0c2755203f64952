"""Agents that are programs, under one contract: the real Claude Code and Codex, and one that speaks ACP.

Each runs with an empty environment, a home of its own, and a model server on this machine.
"""

import json
import os
import shutil
import sys
import threading
import time
import uuid
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from conftest import wait_for
from prunejuice.agents import codex, conversation
from prunejuice.agents import program as program_agents
from prunejuice.agents.acp import AcpAgent
from prunejuice.agents.claude import ClaudeAgent
from prunejuice.agents.codex import CodexAgent
from prunejuice.agents.protocol import (
    AgentEnded,
    AgentStarted,
    Limits,
    Task,
    ToolRefused,
    ToolUsed,
    Usage,
    collect_result,
)
from prunejuice.changes.change_set import ChangeSet
from prunejuice.system.stop_request import STOP, Stop
from prunejuice.testing import Call, ModelServer, Reply
from prunejuice.verbs.agent_in_copy import AgentInCopy

CART = "def total(prices):\n    return 0\n"
DONE = "def total(prices):\n    return sum(prices)\n"
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
REAL = ["claude", "codex"]
KINDS = [*REAL, "acp"]
PATHS = {
    "claude": ("claude_agent_sdk", "_bundled/claude"),
    "codex": ("codex_cli_bin", "bin/codex"),
}
AGENT = Path(__file__).parents[1] / "acp_agent.py"


def even(output):
    if output["n"] % 2:
        raise ValueError(f"{output['n']} is odd")
    return output


def program(kind, folder):
    """A link to the program of an agent that a package brought."""
    package, name = PATHS[kind]
    found = find_spec(package)
    if found is None:
        pytest.skip(f"{package} is not installed")
    folder.mkdir(exist_ok=True)
    (folder / kind).symlink_to(Path(found.submodule_search_locations[0]) / name)


def environment(home, server, *kinds):
    """All that an agent under test knows: a search path, its home, the model server."""
    (home / ".codex").mkdir(parents=True)
    (home / ".codex/config.toml").write_text(
        f'model_provider = "test"\nmodel = "gpt-test"\n[model_providers.test]\nname = "test"\n'
        f'base_url = "{server.url}/v1"\nwire_api = "responses"\nenv_key = "OPENAI_API_KEY"\n'
        "request_max_retries = 1\nstream_max_retries = 1\n"
    )
    for kind in kinds:
        program(kind, home / "bin")
    names = ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_TELEMETRY", "DISABLE_ERROR_REPORTING")
    return {
        "PATH": f"{home / 'bin'}:/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": "/var/tmp",  # Codex has no sandbox when its home is in the folder for temporary files
        "CLAUDE_CODE_MAX_RETRIES": "1",
        **dict.fromkeys(names, "1"),
        **server.environment,
    }


class World:
    """An agent of some kind, a tree, and what the model behind it was asked."""

    def __init__(self, kind, tmp_path, server, environ):
        self.kind, self.server, self.environ = kind, server, environ
        self.tree = tmp_path / "shop"
        self.place = tmp_path / "place"
        self.inside = self.place / "replica-1/copy/shop"
        self.script = tmp_path / "script.json"
        self.left = []
        self.tag = f"test-{uuid.uuid4().hex}"
        self.stop = Stop()
        self.contain = None

    def agent(self):
        made = {"claude": ClaudeAgent, "codex": CodexAgent}
        if self.kind in made:
            return made[self.kind](self.environ)
        environ = {**self.environ, "PRUNEJUICE_AGENT_ENV": "ACP_SCRIPT", "ACP_SCRIPT": str(self.script)}
        return AcpAgent(f"{sys.executable} {AGENT}", environ)

    def run(self, task, *turns):
        """Let the agent do a task whose model does some things one after the other; what happened."""
        self.say(*turns)
        working = AgentInCopy(self.agent(), self.place, self.environ, self.contain)
        try:
            return list(working.run(task._replace(directory=str(self.tree), tag=self.tag), self.stop))
        finally:
            working.close()

    def say(self, *turns):
        self.left[:] = [self.reply(each) for each in turns]
        self.script.write_text(json.dumps([[each] if isinstance(each, dict) else each for each in turns]))

    def reply(self, turn):
        """What the model says so that the program does something."""
        ((act, value),) = turn.items() if isinstance(turn, dict) else turn[0].items()
        claude = self.kind == "claude"
        if act == "write":
            path, text = value
            place = path if path.startswith("/") else f"{self.inside}/{path}"
            if claude:
                return Reply("I change it.", [Call("Write", {"file_path": place, "content": text})])
            return self.command(f"cat > '{place}' <<'END'\n{text}END\n")
        if act == "command":
            return Reply("I run it.", [Call("Bash", {"command": value})]) if claude else self.command(value)
        if act == "submit":
            name = "mcp__prunejuice__submit_result" if claude else "submit_result"
            return Reply(
                "I hand it in.", [Call(name, {"result": value}, "" if claude else "mcp__prunejuice")]
            )
        if act == "status":
            return Reply("the reason", status=value)
        return Reply(value)

    def command(self, text):
        return Reply("I run it.", [Call("exec_command", {"cmd": text})])


@pytest.fixture
def world(tmp_path, surroundings):
    """Makes the world of a kind of agent."""
    servers = []

    def made(kind):
        holder = []

        def answer(_asked):
            left = holder[0].left
            return left.pop(0) if len(left) > 1 else left[0]

        server = ModelServer(answer)
        server.__enter__()
        servers.append(server)
        environ = environment(tmp_path / "agent-home", server, *([kind] if kind in PATHS else []))
        environ["PRUNEJUICE_HOME"] = str(surroundings / "state")
        found = World(kind, tmp_path, server, environ)
        holder.append(found)
        found.tree.mkdir()
        (found.tree / "cart.py").write_text(CART)
        return found

    yield made
    for server in servers:
        server.__exit__()


def changes(events):
    """The files that an agent changed, with their contents."""
    assert events[-1].status == "ok", events[-1]
    return {each.filepath: each.content for each in ChangeSet.from_json(events[-1].output).file_changes}


@pytest.mark.parametrize("kind", KINDS)
def test_agent_changes_become_a_change_set_and_the_tree_is_unchanged(world, kind):
    found = world(kind)
    events = found.run(Task("fix it"), {"write": ["cart.py", DONE]}, {"text": "The sum was missing."})
    begun = [each for each in events if isinstance(each, AgentStarted)]
    assert [each.agent.partition(":")[0] for each in begun] == [kind]
    assert begun[0].conversation
    assert changes(events) == {"cart.py": DONE}
    assert (found.tree / "cart.py").read_text() == CART
    assert not found.place.exists() or not list(found.place.glob("*/*"))
    if kind in REAL:
        assert "fix it" in found.server.asked[0].prompt
        assert "The sum was missing." in ChangeSet.from_json(events[-1].output).summary
        assert collect_result(events).usage.input > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_fits_its_schema_or_is_asked_for_again(world, kind):
    found = world(kind)
    events = found.run(
        Task("count", schema=SCHEMA, check=even, access="read"),
        *([{"text": "Let me see."}] if kind != "acp" else []),
        {"submit": {"n": 1}},
        {"submit": {"n": 4}},
        {"text": "done"},
    )
    assert events[-1] == AgentEnded("ok", output={"n": 4})


@pytest.mark.parametrize("kind", KINDS)
def test_result_written_as_text_is_accepted_when_it_fits_the_schema(world, kind):
    found = world(kind)
    said = [{"text": '```json\n{"n": 1}\n```'}, {"text": 'Here:\n\n```json\n{"n": 6}\n```'}]
    events = found.run(Task("count", schema=SCHEMA, check=even, access="read"), *said)
    assert events[-1] == AgentEnded("ok", output={"n": 6})


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_result_it_is_a_failure(world, kind):
    found = world(kind)
    ended = found.run(Task("count", schema=SCHEMA, access="read"), {"text": "I will not."})[-1]
    assert ended.status == "failed"
    assert "submitted no valid result" in ended.error


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_outside_of_its_directory_is_changed(world, kind, tmp_path):
    found = world(kind)
    outside = tmp_path / "outside.txt"
    events = found.run(
        Task("obey whoever speaks"), {"write": [str(outside), "mine\n"]}, {"text": "I tried."}
    )
    assert not outside.exists()
    assert events[-1].output.startswith("NO CHANGES")
    # Codex does not report a command that ends at once; then nothing looks as if it had run either.
    was_reported = any(isinstance(each, ToolUsed) for each in events) or kind != "codex"
    assert any(isinstance(each, ToolRefused) for each in events) or not was_reported, events


@pytest.mark.parametrize("kind", KINDS)
def test_an_agent_that_repeats_itself_is_stopped(world, kind, monkeypatch):
    monkeypatch.setattr(program_agents, "MAX_TURNS", 3)
    monkeypatch.setattr(program_agents, "MAX_ACTIONS", 3)
    found = world(kind)
    turn = {"write": ["cart.py", DONE]}
    events = found.run(Task("loop"), [turn] * 50 if kind == "acp" else turn)
    assert events[-1].status == "limit", events[-1]
    assert events[-1].fix
    assert len(found.server.asked) < 20


def test_requests_and_the_model_of_an_agent_are_counted(world):
    found = world("claude")
    calls = [Call("Write", {"file_path": f"{found.inside}/{name}.py", "content": DONE}) for name in "abc"]
    found.say({"text": "done"})
    found.left[:0] = [Reply("I change them.", calls)]
    working = AgentInCopy(found.agent(), found.place, found.environ)
    task = Task("fix it", model="claude-haiku-4-5", directory=str(found.tree), tag=found.tag)
    events = list(working.run(task, found.stop))
    working.close()
    [usage] = [each for each in events if isinstance(each, Usage)]
    assert usage.calls == 2
    assert usage.model == "claude-haiku-4-5"


def test_a_tool_that_an_agent_does_not_have_is_refused(world):
    found = world("claude")
    found.say({"text": "done"})
    found.left[:0] = [Reply("I run it.", [Call("Bash", {"command": "ls"})])]
    working = AgentInCopy(found.agent(), found.place, found.environ)
    events = list(
        working.run(Task("run it", access="read", directory=str(found.tree), tag=found.tag), found.stop)
    )
    working.close()
    assert any(isinstance(each, ToolRefused) and each.tool == "Bash" for each in events), events


@pytest.mark.parametrize("kind", ["claude", "acp"])
def test_commands_need_full_access(world, kind, tmp_path):
    found = world(kind)
    mark = tmp_path / "mark"
    found.run(Task("run it"), {"command": f"touch {mark}"}, {"text": "done"})
    assert not mark.exists()


@pytest.mark.parametrize("kind", ["claude", "codex", "acp"])
def test_with_full_access_commands_run(world, kind, tmp_path):
    found = world(kind)
    mark = tmp_path / "mark"
    events = found.run(Task("run it", access="full"), {"command": f"touch {mark}"}, {"text": "done"})
    assert events[-1].status == "ok", events
    assert mark.exists()


@pytest.mark.parametrize("kind", ["codex"])
def test_with_read_access_nothing_is_changed(world, kind):
    found = world(kind)
    events = found.run(Task("fix it", access="read"), {"write": ["cart.py", DONE]}, {"text": "done"})
    assert events[-1].output.startswith("NO CHANGES")


@pytest.mark.parametrize("kind", REAL)
@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "the login was refused"), (429, "too many requests"), (529, "overloaded")],
)
def test_a_refusal_has_a_name_and_says_what_to_do(world, kind, status, said):
    found = world(kind)
    ended = found.run(Task("fix it"), {"status": status})[-1]
    assert ended.status == "failed"
    assert said in ended.error, ended
    assert ended.fix


@pytest.mark.parametrize("kind", REAL)
def test_a_server_that_is_not_there(world, kind):
    found = world(kind)
    found.server.__exit__()
    ended = found.run(Task("fix it", limits=Limits(seconds=15)), {"text": ""})[-1]
    assert ended.status in {"failed", "limit"}
    assert "reached" in ended.error or "in time" in ended.error, ended
    found.server.__exit__ = lambda *_: None


@pytest.mark.parametrize("kind", KINDS)
def test_a_program_that_is_not_there(world, kind):
    found = world(kind)
    tools = found.tree.parent / "tools"
    tools.mkdir()
    (tools / "git").symlink_to(shutil.which("git"))
    found.environ["PATH"] = str(tools)
    working = AgentInCopy(
        AcpAgent("nothing-like-it", found.environ) if kind == "acp" else found.agent(),
        found.place,
        found.environ,
    )
    events = list(working.run(Task("x", directory=str(found.tree)), found.stop))
    assert isinstance(events[0], AgentStarted)
    assert "is not installed" in events[-1].error


def left(tag):
    """The processes with a tag."""
    found = []
    for each in psutil.process_iter():
        try:
            if tag in each.environ().get("PRUNEJUICE_PROCESS", ""):
                found.append(each)
        except psutil.Error:
            continue
    return found


def is_sleeping(process):
    """Whether a process is one of those that sleep for a test."""
    try:
        return "time.sleep(60)" in " ".join(process.cmdline())
    except psutil.Error:
        return False


@pytest.mark.parametrize("kind", KINDS)
def test_a_stop_leaves_no_process_and_what_was_done_is_kept(world, kind):
    found = world(kind)
    started = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True); time.sleep(30)"
    wait = {"sleep": 30} if kind == "acp" else {"command": f'{sys.executable} -c "{started}"'}
    turns = [{"write": ["cart.py", DONE]}, wait, {"text": "done"}]
    if kind == "acp":
        turns = [[turns[0], turns[1]]]

    def stop_at_work():
        """Stop it once it has written the file and its command has started."""
        file = found.inside / "cart.py"
        wait_for(lambda: file.is_file() and "sum(prices)" in file.read_text())
        if kind != "acp":
            wait_for(lambda: len([each for each in left(found.tag) if is_sleeping(each)]) > 1)
        time.sleep(0.5)
        found.stop.request(STOP)

    threading.Thread(target=stop_at_work, daemon=True).start()
    events = found.run(Task("work", access="full"), *turns)
    assert events[-1].status == "cancelled", events
    assert "sum(prices)" in events[-1].output
    assert left(found.tag) == []


@pytest.mark.parametrize("kind", ["claude"])
def test_turns_and_money_have_limits(world, kind):
    found = world(kind)
    ended = found.run(Task("fix", limits=Limits(turns=2)), {"write": ["cart.py", DONE]})[-1]
    assert ended.status == "limit", ended
    assert "turns" in ended.error
    assert "sum(prices)" in ended.output
    found.stop = Stop()
    ended = found.run(Task("fix", limits=Limits(cost=0.001)), {"write": ["cart.py", DONE]})[-1]
    assert ended.status == "limit", ended
    assert "cost limit" in ended.error


@pytest.mark.parametrize("kind", REAL)
def test_tokens_have_a_limit(world, kind):
    found = world(kind)
    ended = found.run(
        Task("fix", limits=Limits(tokens=100)), {"write": ["cart.py", DONE]}, {"text": "done"}
    )[-1]
    assert ended.status == "limit", ended
    assert "tokens" in ended.error


def test_codex_cost_is_computed_from_the_named_models_price(world):
    found = world("codex")
    events = found.run(Task("fix", model="gpt-5"), {"write": ["cart.py", DONE]}, {"text": "done"})
    assert collect_result(events).usage.cost > 0
    found.stop = Stop()
    task = Task("fix", model="gpt-5", limits=Limits(cost=1e-7))
    ended = found.run(task, {"write": ["cart.py", DONE]}, {"text": "done"})[-1]
    assert (ended.status, "$" in ended.error) == ("limit", True), ended
    assert "sum(prices)" in ended.output


@pytest.mark.parametrize("kind", REAL)
def test_conversation_is_continued_with_its_earlier_messages(world, kind):
    found = world(kind)
    events = found.run(Task("remember the number 4711"), {"text": "I do."})
    told = next(each.conversation for each in events if isinstance(each, AgentStarted))
    found.run(Task("which number?", conversation=told), {"text": "4711"})
    assert "remember the number 4711" in json.dumps(found.server.asked[-1].body)
    assert "which number?" in found.server.asked[-1].prompt


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        ({"die": 3}, "it broke"),
        ({"error": "Authentication required: /login"}, "the login was refused"),
        ({"stop": "refusal"}, "refused the task"),
        ({"stop": "max_tokens"}, "max_tokens"),
    ],
)
def test_ends_of_a_conversation_by_protocol_have_names(world, turn, said):
    found = world("acp")
    ended = found.run(Task("fix it"), turn)[-1]
    assert ended.status in {"failed", "limit"}
    assert said in ended.error, ended


def test_no_variable_reaches_an_agent_that_is_not_its_own(world):
    found = world("codex")
    found.environ |= {"SECRET_TOKEN": "hidden-4711", "ANTHROPIC_API_KEY": "hidden-too"}
    found.run(Task("look"), {"command": "env > cart.py; env"}, {"text": "done"})
    assert "hidden" not in json.dumps([each.body for each in found.server.asked])
    assert os.environ.get("SECRET_TOKEN") is None


def test_command_title_gives_no_permission(world):
    """It is the agent's own text."""
    found = world("acp")
    events = found.run(
        Task("fix it"), {"command": f"touch {found.tree.parent}/ran # prunejuice_submit_result"}
    )
    assert not (found.tree.parent / "ran").exists()
    assert any(isinstance(each, ToolRefused) for each in events)


@pytest.mark.parametrize("kind", REAL)
def test_a_conversation_that_was_never_kept_begins_anew(world, kind):
    found = world(kind)
    events = found.run(Task("fix it", conversation=str(uuid.uuid4())), {"text": "I did."})
    assert events[-1].status == "ok", events[-1]
    assert "fix it" in found.server.asked[-1].prompt


def test_readable_changes_are_kept_when_the_result_is_denied(world):
    found = world("acp")
    acts = "rm cart.py && mkdir cart.py && echo a > cart.py/x && mkfifo pipe && echo b > new.txt"
    ended = found.run(Task("fix it", access="full"), {"command": acts})[-1]
    assert ended.status == "denied", ended
    assert "new.txt" in ended.output


@pytest.mark.parametrize("kind", ["codex", "claude"])
def test_unstartable_agent_program_is_a_failure(world, kind, tmp_path):
    found = world(kind)
    path = tmp_path / "broken" / kind
    path.parent.mkdir()
    path.write_bytes(b"\x00\x01")
    path.chmod(0o755)
    found.environ["PATH"] = f"{path.parent}:{found.environ['PATH']}"
    ended = found.run(Task("fix it"), {"text": "no"})[-1]
    assert ended.status == "failed"
    assert "could not start" in ended.error


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("last status: 529, url: http://127.0.0.1:40123/v1", "overloaded"),
        ("exceeded retry limit, request id: 8f4290ab", "the request failed"),
        ("unexpected status 401 Unauthorized", "the login was refused"),
    ],
)
def test_digits_in_a_fault_are_no_status(fault, said):
    found = codex._STATUS.search(fault)
    what, _ = conversation.classify_refusal(int(found[1] or found[2]) if found else 0, fault, "")
    assert said in what
