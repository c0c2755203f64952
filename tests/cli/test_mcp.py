"""`prj mcp` in memory, over stdin and stdout, over HTTP, and by a real agent."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
import yaml
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from test_agents import model  # noqa: F401 - a fixture

from conftest import git
from prunejuice.mcp.server import build_server
from prunejuice.testing import Call, Reply

GREET = """
    name: greet
    description: Greet somebody
    arguments: [{name: who, description: Who is greeted}]
    steps:
      - {name: hello, script: 'echo "hello $PRUNEJUICE_ARG_WHO"; echo "said=yes" >> "$PRUNEJUICE_OUTPUT"'}
      - {name: note, script: 'echo kept > "$PRUNEJUICE_ARTIFACT_DIR/note.txt"'}
    post_steps: [store-artifacts]
"""
OURSELVES = "from prunejuice.cli.prj import main; main()"


@pytest.fixture
def shop(project):
    (project.root / "cart.py").write_text("def total(prices):\n    return sum(prices)\n")
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "Open the shop")
    project.command("greet", GREET)
    return project


class Asked:
    """Asks a server one thing after the other."""

    def __init__(self, client):
        self.client = client

    async def call(self, name, **given):
        done = await self.client.call_tool(name, given)
        text = done.content[0].text
        return (text, True) if done.is_error else (json.loads(text), False)

    async def read(self, uri):
        return (await self.client.read_resource(uri)).contents[0].text


def memory(shop, work):
    async def run():
        async with Client(build_server(shop.root)) as client:
            return await work(Asked(client))

    return asyncio.run(run())


def stdio(shop, work):
    async def run():
        params = StdioServerParameters(
            command=sys.executable, args=["-c", OURSELVES, "mcp"], cwd=str(shop.root), env=dict(os.environ)
        )
        async with Client(params) as client:
            return await work(Asked(client))

    return asyncio.run(run())


def http(shop, work):
    with subprocess.Popen(
        [sys.executable, "-c", OURSELVES, "mcp", "--http"], cwd=shop.root, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            line = child.stderr.readline()
            url, token = re.match(r"(\S+)  Authorization: Bearer (\S+)", line).groups()

            async def run():
                async with httpx2.AsyncClient() as bare:
                    assert (await bare.post(url, json={})).status_code == 401
                headers = {"Authorization": f"Bearer {token}"}
                async with (
                    httpx2.AsyncClient(headers=headers) as web,
                    Client(streamable_http_client(url, http_client=web)) as client,
                ):
                    return await work(Asked(client))

            return asyncio.run(run())
        finally:
            child.send_signal(signal.SIGINT)
            child.wait(20)


WAYS = {"memory": memory, "stdio": stdio, "http": http}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_command_is_listed_executed_and_looked_at(shop, way):
    async def work(asked):
        listed, _ = await asked.call("listCommands")
        by_name = {each["name"]: each for each in listed["commands"]}
        assert by_name["greet"]["arguments"][0]["name"] == "who"
        assert "codebot:refactor" in by_name
        run, wrong = await asked.call("executeCommand", command="greet", args={"who": "you"}, wait=True)
        assert not wrong, run
        assert run["status"] == "completed"
        assert run["steps"][0]["outputs"] == {"said": "yes"}
        again, _ = await asked.call("getRun", run_id=run["run_id"])
        assert again["status"] == "completed"
        assert await asked.read(f"prj://runs/{run['run_id']}/logs/hello") == "hello you\n"
        assert json.loads(await asked.read(f"prj://runs/{run['run_id']}"))["command"] == "greet"
        assert await asked.read(f"prj://runs/{run['run_id']}/artifacts/note.txt") == "kept\n"
        assert json.loads(await asked.read("prj://runs"))["runs"][0]["id"] == run["run_id"]
        found, _ = await asked.call("getContext", query="the total of prices", budget=500)
        assert "def total" in found["content"]
        assert found["tokens"] <= 500

    way(shop, work)


def test_a_run_is_returned_at_once_and_can_be_cancelled(shop):
    shop.command("slow", "name: slow\ndescription: Slow\nsteps: [{name: wait, script: sleep 3600}]\n")

    async def work(asked):
        run, _ = await asked.call("executeCommand", command="slow")
        assert run["status"] in {"pending", "running"}
        for _ in range(200):
            now, _ = await asked.call("getRun", run_id=run["run_id"])
            if now["status"] == "running":
                break
            await asyncio.sleep(0.05)
        await asked.call("cancelRun", run_id=run["run_id"])
        for _ in range(400):
            now, _ = await asked.call("getRun", run_id=run["run_id"])
            if now["status"] not in {"pending", "running"}:
                break
            await asyncio.sleep(0.05)
        assert now["status"] == "cancelled"

    memory(shop, work)


def test_progress_is_reported_to_the_client(shop):
    told = []

    async def work(asked):
        async def hear(done, total, said):
            told.append((done, total))

        await asked.client.call_tool(
            "executeCommand",
            {"command": "greet", "args": {"who": "x"}, "wait": True},
            progress_callback=hear,
        )

    memory(shop, work)
    assert told
    assert told[-1][0] == told[-1][1] == 3


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("executeCommand", {"command": "nothing-like-it"}, "usage: "),
        ("executeCommand", {"command": "codebot:nothing-like-it"}, "usage: "),
        ("executeCommand", {"command": "greet"}, "missing argument 'who'"),
        ("executeCommand", {"command": "greet", "args": {"who": "x", "whom": "y"}}, "did you mean"),
        ("getRun", {"run_id": "zz"}, "usage: "),
        ("getContext", {"paths": ["nowhere.py"]}, "usage: "),
    ],
)
def test_errors_name_what_to_do(shop, name, given, said):
    async def work(asked):
        return await asked.call(name, **given)

    text, wrong = memory(shop, work)
    assert wrong
    assert said in text


def test_untrusted_command_is_not_run(shop):
    shop.command(
        "evil",
        "name: evil\ndescription: Evil\nsteps: [{name: mark, script: touch /tmp/mark-4711}]\n",
        trust=False,
    )

    async def work(asked):
        return await asked.call("executeCommand", command="evil")

    text, wrong = memory(shop, work)
    assert wrong
    assert text.startswith("denied: ") or "denied: " in text
    assert "prj trust" in text
    assert not Path("/tmp/mark-4711").exists()


def test_runs_of_other_projects_and_files_elsewhere_are_not_shown(shop, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    _, run = shop.run("greet", "who=x")

    async def foreign(asked):
        return await asked.call("getRun", run_id=run["id"])

    async def escape(asked):
        with pytest.raises(Exception, match=r"has no artifact|Unknown resource"):
            await asked.read(f"prj://runs/{run['id']}/artifacts/../../../etc/passwd")

    shop_of_others = type("Other", (), {"root": other})
    text, wrong = memory(shop_of_others, foreign)
    assert wrong
    assert "unknown run" in text
    memory(shop, escape)


def test_a_verb_is_executed(shop, tmp_path, monkeypatch):
    script = tmp_path / "answers.yaml"
    block = "x\n\ncart.py\n<<<<<<< SEARCH\n    return sum(prices)\n=======\n    return sum(prices, 0)\n>>>>>>> REPLACE\n"
    script.write_text(yaml.safe_dump({"answers": [{"text": block}]}))
    monkeypatch.setenv("PRUNEJUICE_SCRIPT", str(script))

    async def work(asked):
        given = {"prompt": "Begin at 0", "paths": ["cart.py"]}
        return await asked.call("executeCommand", command="codebot:do", args=given, wait=True)

    run, wrong = memory(shop, work)
    assert not wrong, run
    assert run["status"] == "completed", run
    [waiting] = shop.codebot("pending", "--json").json["items"]
    assert waiting["id"] == run["steps"][0]["outputs"]["change_set"]


def test_claude_code_calls_it(shop, model):  # noqa: F811 - the fixture
    """A real agent lists our tools, calls one, and is answered."""
    seen = []

    def answer(asked):
        seen.append(json.dumps(asked.body))
        if "tool_result" in seen[-1]:
            return Reply("done")
        return Reply(
            "",
            [
                Call(
                    "mcp__prj__executeCommand",
                    {"command": "greet", "args": {"who": "claude"}, "wait": True},
                )
            ],
        )

    model(answer)
    servers = {
        "mcpServers": {
            "prj": {
                "command": sys.executable,
                "args": ["-c", OURSELVES, "mcp"],
                "env": {
                    k: v
                    for k, v in os.environ.items()
                    if k.startswith("PRUNEJUICE") or k in {"PATH", "HOME"}
                },
            }
        }
    }
    (shop.root / "mcp.json").write_text(json.dumps(servers))
    words = [
        "claude",
        "-p",
        "--mcp-config",
        "mcp.json",
        "--strict-mcp-config",
        "--allowedTools",
        "mcp__prj__executeCommand",
    ]
    environ = {**os.environ, "ENABLE_TOOL_SEARCH": "false", "MCP_TIMEOUT": "60000"}
    done = subprocess.run(
        words,
        input="greet claude",
        cwd=shop.root,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "completed" in seen[-1]
    assert shop.prj("history", "--json").json["items"][0]["command"] == "greet"


@pytest.mark.parametrize("name", ["check", "record", "agent", "access", "changes", "nothing"])
def test_verb_refuses_remote_arguments_that_run_or_write_other_things(shop, name):
    async def work(asked):
        given = {"prompt": "x", name: "touch /tmp/x"}
        return await asked.call("executeCommand", command="codebot:do", args=given)

    text, wrong = memory(shop, work)
    assert wrong
    assert f"does not accept {name}" in str(text)


def test_unknown_tool_argument_is_reported_and_starts_no_run(shop):
    async def work(asked):
        return await asked.call("executeCommand", command="greet", arguments={"who": "you"})

    text, wrong = memory(shop, work)
    assert wrong
    assert "executeCommand has no argument 'arguments' (did you mean 'args'?)" in str(text)
    assert "its arguments are command, args, worktree, wait" in str(text)
    assert shop.prj("history", "--json").json["items"] == []


def test_missing_resource_is_reported_without_a_traceback(shop, capsys):
    async def work(asked):
        with pytest.raises(Exception, match="unknown run 'zzzz'"):
            await asked.read("prj://runs/zzzz")

    memory(shop, work)
    assert "Traceback" not in capsys.readouterr().err


def test_a_summary_is_executed(shop):
    async def work(asked):
        listed, _ = await asked.call("listCommands")
        [about] = [each for each in listed["commands"] if each["name"] == "codebot:summarize"]
        assert {each["name"] for each in about["arguments"]} >= {"paths", "token_limit", "offline"}
        given = {"paths": ["cart.py"], "offline": True}
        return await asked.call("executeCommand", command="codebot:summarize", args=given, wait=True)

    run, wrong = memory(shop, work)
    assert not wrong, run
    outputs = run["steps"][0]["outputs"]
    assert (outputs["by"], outputs["result"]["components"][0]["file_path"]) == ("offline", "cart.py")
    assert not (shop.root / ".codebot/summaries/latest.md").exists()


def test_verb_without_its_required_prompt_is_refused(shop):
    async def work(asked):
        return await asked.call("executeCommand", command="codebot:implement", args={})

    text, wrong = memory(shop, work)
    assert wrong
    assert "needs a prompt" in str(text)
