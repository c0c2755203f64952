"""OpenCode and Gemini over the Agent Client Protocol, where they are installed: `make test-agents` installs them.

Their packages are npm's, and need Node.js; without PRUNEJUICE_TEST_AGENTS, the folder of their programs, nothing is run.
"""

import json
import os
import time

import pytest

from prunejuice.agents.acp import AcpAgent
from prunejuice.agents.protocol import AgentEnded, AgentStarted, Limits, Task
from prunejuice.changes.change_set import ChangeSet
from prunejuice.system.stop_request import Stop
from prunejuice.testing import Call, ModelServer, Reply
from prunejuice.verbs.agent_in_copy import AgentInCopy

FOLDER = os.environ.get("PRUNEJUICE_TEST_AGENTS", "")
pytestmark = pytest.mark.skipif(not FOLDER, reason="make test-agents runs these")
CART = "def total(prices):\n    return 0\n"
DONE = "def total(prices):\n    return sum(prices)\n"
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


class World:
    def __init__(self, kind, tmp_path, server):
        self.kind, self.tree, self.place = kind, tmp_path / "shop", tmp_path / "place"
        self.tree.mkdir()
        (tmp_path / "home").mkdir()
        (self.tree / "cart.py").write_text(CART)
        models = {"m": {"name": "m"}}
        options = {"baseURL": f"{server.url}/v1", "apiKey": "x"}
        provider = {
            "mock": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "mock",
                "options": options,
                "models": models,
            }
        }
        config = {"provider": provider, "model": "mock/m", "small_model": "mock/m", "autoupdate": False}
        self.environ = {
            **server.environment,
            "PATH": f"{FOLDER}:{os.environ['PATH']}",
            "HOME": str(tmp_path / "home"),
            "PRUNEJUICE_HOME": str(tmp_path / "state"),
            "OPENCODE_CONFIG_CONTENT": json.dumps(config),
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
        }

    def run(self, task):
        working = AgentInCopy(AcpAgent(self.kind, self.environ), self.place, self.environ)
        stop = Stop()
        try:
            return list(
                working.run(task._replace(directory=str(self.tree), tag=f"acp-{time.time_ns()}"), stop)
            )
        finally:
            working.close()
            stop.close()


@pytest.fixture(params=["opencode", "gemini"])
def world(request, tmp_path):
    """An agent of a kind whose model calls some tools one after the other."""
    left = []

    def answer(asked):
        if not asked.tools:
            return Reply(json.dumps({"reasoning": "x", "model_choice": "flash"}))
        turn = left.pop(0) if len(left) > 1 else left[0]
        return turn(asked) if callable(turn) else turn

    with ModelServer(answer) as server:
        made = World(request.param, tmp_path, server)
        made.left, made.server = left, server
        yield made


def write(world, path):
    name, key = ("write", "filePath") if world.kind == "opencode" else ("write_file", "file_path")
    return Reply("I change it.", [Call(name, {key: str(path), "content": DONE})])


def command(world, text):
    name = "bash" if world.kind == "opencode" else "run_shell_command"
    return Reply("I run it.", [Call(name, {"command": text, "description": "run"})])


def test_changes_of_the_agent_become_its_change_set(world):
    world.left[:] = [write(world, world.place / "replica-1/copy/shop/cart.py"), Reply("done")]
    events = world.run(Task("fix it", limits=Limits(seconds=90)))
    assert any(isinstance(each, AgentStarted) and each.conversation for each in events)
    [change] = ChangeSet.from_json(events[-1].output).file_changes
    assert (change.filepath, change.content) == ("cart.py", DONE)
    assert (world.tree / "cart.py").read_text() == CART


def test_commands_need_full_access(world, tmp_path):
    mark = tmp_path / "mark"
    world.left[:] = [command(world, f"touch {mark}"), Reply("done")]
    world.run(Task("run it", limits=Limits(seconds=90)))
    assert not mark.exists()


def test_a_result_fits_its_schema(world):
    def submit(asked):
        name = next((each for each in asked.tools if each.endswith("submit_result")), None)
        words = '```json\n{"n": 4}\n```' if "no such tool" in asked.prompt else "It is 4."
        return Reply("x", [Call(name, {"result": {"n": 4}})]) if name else Reply(words)

    world.left[:] = [submit, submit, Reply("done")]
    events = world.run(Task("count", schema=SCHEMA, access="read", limits=Limits(seconds=90)))
    assert events[-1] == AgentEnded("ok", output={"n": 4}), world.server.asked[-1].tools
