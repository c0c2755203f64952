"""An agent of the Agent Client Protocol that does what a file says: for tests of the driver."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from acp import PROTOCOL_VERSION, RequestError, run_agent
from acp.helpers import start_tool_call, update_agent_message_text
from acp.schema import (
    AgentCapabilities,
    InitializeResponse,
    McpCapabilities,
    NewSessionResponse,
    PermissionOption,
    PromptResponse,
    ToolCallLocation,
    ToolCallUpdate,
    Usage,
)


class Agent:
    def __init__(self):
        self.turns = json.loads(Path(os.environ["ACP_SCRIPT"]).read_text())
        self.seen = Path(os.environ["ACP_SCRIPT"]).with_suffix(".seen")

    def on_connect(self, conn):
        self.conn = conn

    async def initialize(self, protocol_version, **_):
        can = AgentCapabilities(load_session=True, mcp_capabilities=McpCapabilities(http=True))
        return InitializeResponse(protocol_version=PROTOCOL_VERSION, agent_capabilities=can)

    async def new_session(self, cwd, mcp_servers=None, **_):
        self.cwd, self.servers = cwd, mcp_servers
        return NewSessionResponse(session_id="s-1")

    async def load_session(self, cwd, session_id, mcp_servers=None, **_):
        self.cwd, self.servers = cwd, mcp_servers

    async def prompt(self, session_id, prompt, **_):
        number = self.seen.read_text().count("\n--\n") if self.seen.exists() else 0
        with self.seen.open("a") as file:
            file.write(prompt[0].text + "\n--\n")
        for act in self.turns[min(number, len(self.turns) - 1)]:
            reason = await self.act(session_id, act)
            if reason:
                return PromptResponse(stop_reason=reason)
        usage = Usage(total_tokens=12, input_tokens=10, output_tokens=2)
        return PromptResponse(stop_reason="end_turn", usage=usage)

    async def act(self, session, act):
        ((kind, value),) = act.items()
        if kind == "text":
            await self.conn.session_update(session_id=session, update=update_agent_message_text(value))
        elif kind == "write":
            path, text = value
            if await self.ask(session, "edit", path):
                Path(self.cwd, path).write_text(text)
        elif kind == "command":
            if await self.ask(session, "execute", value):
                subprocess.run(value, shell=True, check=False)
        elif kind == "submit":
            await self.submit(value)
        elif kind == "sleep":
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
            time.sleep(value)
        elif kind == "die":
            print("it broke", file=sys.stderr)
            os._exit(value)
        elif kind == "error":
            raise RequestError(-32000, value)
        elif kind == "stop":
            return value
        return ""

    async def ask(self, session, kind, title):
        places = [ToolCallLocation(path=title)] if kind == "edit" else None
        start = start_tool_call("t-1", title, kind=kind)
        await self.conn.session_update(session_id=session, update=start)
        call = ToolCallUpdate(tool_call_id="t-1", title=title, kind=kind, locations=places)
        options = [
            PermissionOption(option_id="yes", name="Yes", kind="allow_once"),
            PermissionOption(option_id="no", name="No", kind="reject_once"),
        ]
        said = await self.conn.request_permission(session_id=session, tool_call=call, options=options)
        return getattr(said.outcome, "option_id", "") == "yes"

    async def submit(self, value):
        import httpx2
        from mcp import Client
        from mcp.client.streamable_http import streamable_http_client

        [server] = self.servers
        headers = {each.name: each.value for each in server.headers}
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            Client(streamable_http_client(server.url, http_client=http)) as client,
        ):
            await client.call_tool("submit_result", {"result": value})


if __name__ == "__main__":
    asyncio.run(run_agent(Agent()))
