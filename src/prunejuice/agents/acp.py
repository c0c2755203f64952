"""Agents that support the Agent Client Protocol (gemini, opencode and others), each a row of data."""

import asyncio
import contextlib
import re
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any, NamedTuple

from prunejuice.agents import conversation, endpoint, program
from prunejuice.agents.endpoint import Endpoint
from prunejuice.agents.protocol import (
    Agent,
    AgentEnded,
    AgentEvent,
    AgentRequest,
    AgentStarted,
    Capabilities,
    Task,
    TextDelta,
    ToolRefused,
    ToolUsed,
    Usage,
)
from prunejuice.errors import UsageError
from prunejuice.system import process
from prunejuice.system.stop_request import Stop
from prunejuice.text import safe_line

_MAX_MESSAGE_BYTES = 64 << 20
"""The most bytes of a message."""
_OWN_TOOLS = re.compile(
    rf"(?:mcp__)?(?:{endpoint.NAME}[_.:/]{{1,2}})?(?:submit_result|report|ask)"
    rf"(?: \({endpoint.NAME} MCP Server\))?"
)
"""Titles of calls to our own tools; matched in full, as a command may have any title."""


class AcpCommand(NamedTuple):
    """How to start an agent: its command, the prefixes of its own variables, and how to install it."""

    argv: tuple[str, ...]
    variables: tuple[str, ...] = ()
    fix: str = ""


KNOWN_AGENTS: Mapping[str, AcpCommand] = {
    "gemini": AcpCommand(("gemini", "--acp"), ("GEMINI_", "GOOGLE_"), "npm install -g @google/gemini-cli"),
    "opencode": AcpCommand(
        ("opencode", "acp"), ("OPENCODE_", "ANTHROPIC_", "OPENAI_"), "npm install -g opencode-ai"
    ),
    "claude": AcpCommand(
        ("claude-agent-acp",), ("ANTHROPIC_", "CLAUDE_"), "npm install -g claude-agent-acp"
    ),
    "codex": AcpCommand(("codex-acp",), ("OPENAI_", "CODEX_"), "npm install -g codex-acp"),
    "goose": AcpCommand(("goose", "acp"), ("GOOSE_", "ANTHROPIC_", "OPENAI_"), "see its website"),
    "qwen": AcpCommand(
        ("qwen", "--acp"), ("QWEN_", "OPENAI_", "DASHSCOPE_"), "npm install -g @qwen-code/qwen-code"
    ),
}


class AcpAgent:
    """An agent that supports the protocol; an unknown name is used as the command itself."""

    capabilities = Capabilities(
        edits=True, cost=False, approve=True, stream=True, model=False, enforced_limits=("seconds",)
    )
    asks_endpoint = False

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        """Look up the command for a name.

        Raises:
            UsageError: the name is empty.
        """
        if not name:
            raise UsageError(
                "the agent 'acp' needs a name", f"use one of acp:{', acp:'.join(KNOWN_AGENTS)}"
            )
        self.name = f"acp:{name}"
        self._command = KNOWN_AGENTS.get(name) or AcpCommand(tuple(name.split()))
        self._environ = environ

    def run(self, task: Task, stop: Stop) -> Iterator[AgentEvent]:
        """Let the agent work on the task until its result is valid."""
        return conversation.run_conversation(self, task, stop)

    def conversation_id(self, _task: Task) -> str:
        """Return no id: only the first turn reports it."""
        return ""

    def run_turn(
        self, task: Task, prompt: str, conversation_id: str, stop: Stop, server: Endpoint
    ) -> Iterator[AgentEvent]:
        """Run one turn in a new process; load the conversation, or create one without an id."""
        program_path = program.require_program(self._command.argv[0], self._environ, self._command.fix)
        env = program.agent_environment(self._environ, self._command.variables)
        argv = [program_path, *self._command.argv[1:]]
        call = program.build_process_spec(task, argv, env, local_urls=[server.url])
        turn = _AcpTurn(self.name, task, prompt, conversation_id, server)
        with tempfile.TemporaryDirectory(prefix="prj-acp-") as folder:
            errors = Path(folder) / "errors"
            with process.open_pipes(call, errors) as (stdin, stdout):
                yield from turn.events(stdin, stdout, stop)
            if turn.ended is None:
                last_line = safe_line(errors.read_bytes()[-2000:].strip(), 300)
                message = f"{self.name} ended without an answer" + (f": {last_line}" if last_line else "")
                turn.ended = AgentEnded(
                    "failed", error=message, fix="try again, or use another agent: --agent"
                )
        yield turn.ended

    def close(self) -> None:
        """Do nothing: no resources are held."""


class _AcpTurn:
    """One turn: the client of the agent runs on its own event loop and puts events into a queue."""

    def __init__(self, name: str, task: Task, prompt: str, conversation_id: str, server: Endpoint) -> None:
        self.name, self.task, self.prompt = name, task, prompt
        self.conversation, self.server = conversation_id, server
        self.queue: SimpleQueue[AgentEvent | None] = SimpleQueue()
        self.ended: AgentEnded | None = None
        self.text: list[str] = []
        self.cost: float | None = None
        self.last_activity = time.monotonic()
        self.actions = 0
        self.over_limit = asyncio.Event()

    def events(self, stdin: IO[bytes], stdout: IO[bytes], stop: Stop) -> Iterator[AgentEvent]:
        def run_client() -> None:
            try:
                asyncio.run(self._run(stdin, stdout, stop))
            finally:
                self.queue.put(None)

        thread = threading.Thread(target=run_client, name="acp", daemon=True)
        thread.start()
        while (event := self.queue.get()) is not None:
            yield event
        thread.join()

    async def _run(self, stdin: IO[bytes], stdout: IO[bytes], stop: Stop) -> None:
        from acp import RequestError, connect_to_agent  # noqa: PLC0415 - slow

        reader, source, writer = await _open_streams(stdin, stdout)
        connection = connect_to_agent(self, writer, reader)  # type: ignore[arg-type]
        seconds = self.task.limits.seconds or program.MAX_SECONDS
        outcomes = (self._send_prompt(connection), self._wait_for_limit(stop, seconds))
        waiting = [asyncio.ensure_future(task) for task in outcomes]
        closed = asyncio.ensure_future(_wait_closed(reader))
        try:
            await asyncio.wait([*waiting, closed], return_when=asyncio.FIRST_COMPLETED)
            finished = next((task for task in waiting if task.done()), None)
            self.ended = finished.result() if finished else None
        except ConnectionError:
            self.ended = None
        except ValueError as error:  # a message that violates the schema
            message = f"{self.name} violates the protocol: {conversation.first_line(error)}"
            self.ended = AgentEnded("failed", error=message, fix="use another agent: --agent")
        except RequestError as error:
            refusal, fix = conversation.classify_refusal(
                0, f"{error} {error.data or ''}", "log in with its own program"
            )
            message = f"{self.name}: {refusal}: {conversation.first_line(error)}"
            self.ended = AgentEnded("failed", error=message, fix=fix)
        finally:
            for task in (*waiting, closed):
                task.cancel()
            await asyncio.gather(*waiting, closed, return_exceptions=True)
            with contextlib.suppress(TimeoutError, OSError):  # the agent may have exited already
                await asyncio.wait_for(connection.close(), 5)
            for transport in (source, writer.transport):
                if not transport.is_closing():
                    transport.close()
            await asyncio.sleep(0)  # let the transports close before the loop ends

    async def _send_prompt(self, connection: Any) -> AgentEnded:
        from acp import PROTOCOL_VERSION, text_block  # noqa: PLC0415
        from acp.schema import ClientCapabilities, HttpHeader, HttpMcpServer  # noqa: PLC0415

        agent_info = await connection.initialize(
            protocol_version=PROTOCOL_VERSION, client_capabilities=ClientCapabilities()
        )
        token = HttpHeader(name="Authorization", value=f"Bearer {self.server.token}")
        servers = [HttpMcpServer(type="http", name=endpoint.NAME, url=self.server.url, headers=[token])]
        can_load = bool(agent_info.agent_capabilities and agent_info.agent_capabilities.load_session)
        session, request = await self._open_session(connection, servers, can_load=can_load)
        prompt = f"{self.task.instructions}\n\n{request}".strip()
        self.text.clear()
        answer = await connection.prompt(session_id=session, prompt=[text_block(prompt)])
        return self._end_event(answer)

    async def _open_session(
        self, connection: Any, servers: list[Any], *, can_load: bool
    ) -> tuple[str, str]:
        """Load the conversation, or create one; return its id and the prompt for it."""
        from acp import RequestError  # noqa: PLC0415

        directory = self.task.directory
        resumed_id = self.conversation or self.task.conversation
        if resumed_id and can_load:
            with contextlib.suppress(RequestError):  # the agent did not save the conversation
                await connection.load_session(cwd=directory, session_id=resumed_id, mcp_servers=servers)
                return resumed_id, self.prompt
        session = await connection.new_session(cwd=directory, mcp_servers=servers)
        self.queue.put(AgentStarted(self.name, self.task.model, session.session_id))
        # A new conversation does not know the task, which a correction alone does not repeat.
        prompt = self.prompt if self.prompt == self.task.prompt else f"{self.task.prompt}\n\n{self.prompt}"
        return session.session_id, prompt

    async def _wait_for_limit(self, stop: Stop, seconds: float) -> AgentEnded:
        """Wait for a request to stop, the time limit or silence, and return the event for it."""
        deadline = time.monotonic() + seconds
        while not stop.level:
            now = time.monotonic()
            if now >= deadline:
                return AgentEnded(
                    "limit", error=f"{self.name} did not finish in time", fix="raise --max-time"
                )
            if now - self.last_activity > program.MAX_IDLE_SECONDS:
                fix = "check the network and the provider, and try again"
                message = f"{self.name} sent nothing for {program.MAX_IDLE_SECONDS:g} seconds"
                return AgentEnded("failed", error=message, fix=fix)
            if self.actions > program.MAX_ACTIONS:
                message = f"{self.name} used more than {program.MAX_ACTIONS} tools"
                return AgentEnded("limit", error=message, fix=program.LESS_FIX)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.over_limit.wait(), 0.1)
        return AgentEnded("cancelled", error="stopped")

    def _end_event(self, answer: Any) -> AgentEnded:
        usage = answer.usage
        if usage is not None:
            cached = usage.cached_read_tokens or 0
            self.queue.put(Usage(usage.input_tokens, usage.output_tokens, cached, 1, self.cost))
        text = "".join(self.text).strip()
        if text:
            self.queue.put(TextDelta(text))
        reason = answer.stop_reason
        if reason == "end_turn":
            return AgentEnded("ok", output=text)
        if reason in {"max_tokens", "max_turn_requests"}:
            return AgentEnded("limit", error=f"{self.name} stopped: {reason}", fix="ask for less at once")
        if reason == "cancelled":
            return AgentEnded("cancelled", error="stopped")
        return AgentEnded("failed", error=f"{self.name} refused the task", fix="rephrase the task")

    # -- requests of the agent --------------------------------------------------------------------------

    async def session_update(self, session_id: str, update: Any, **_more: Any) -> None:  # noqa: ARG002
        """Handle a message or an action of the agent."""
        self.last_activity = time.monotonic()
        kind = update.session_update
        if kind == "agent_message_chunk" and getattr(update.content, "type", "") == "text":
            self.text.append(update.content.text)
        elif kind == "tool_call":
            self.actions += 1
            if self.actions > program.MAX_ACTIONS:
                self.over_limit.set()
            self.queue.put(ToolUsed(str(update.kind or "tool"), safe_line(update.title, 120)))
        elif kind == "usage_update" and update.cost is not None and update.cost.currency == "USD":
            self.cost = float(update.cost.amount)

    async def request_permission(
        self,
        session_id: str,  # noqa: ARG002 - there is only one session
        tool_call: Any,
        options: list[Any],
        **_more: Any,
    ) -> Any:
        """Decide whether a tool may be used: one of ours, or one within the task's access."""
        from acp.schema import AllowedOutcome, DeniedOutcome, RequestPermissionResponse  # noqa: PLC0415

        title = str(tool_call.title or "")
        reason = self._refusal_reason(tool_call, title)
        kinds = ("reject_once", "reject_always") if reason else ("allow_once", "allow_always")
        choice = next((option for kind in kinds for option in options if option.kind == kind), None)
        if reason:
            self.queue.put(ToolRefused(safe_line(title, 120), reason))
        if choice is None:
            return RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))
        return RequestPermissionResponse(
            outcome=AllowedOutcome(outcome="selected", option_id=choice.option_id)
        )

    def _refusal_reason(self, tool_call: Any, title: str) -> str:
        kind = str(tool_call.kind or "")
        if (
            kind in {"", "other", "think"}
            and not tool_call.locations
            and _OWN_TOOLS.fullmatch(title.strip())
        ):
            return ""
        if kind in {"edit", "delete", "move", "read", "search"} and self._is_inside(tool_call, kind):
            return ""
        return conversation.tool_refusal(self.task, kind, {})

    def _is_inside(self, tool_call: Any, kind: str) -> bool:
        """Return whether a tool call stays inside the directory, and the access allows its kind.

        A call without locations is not inside.
        """
        if self.task.access == "read" and kind not in {"read", "search"}:
            return False
        paths = [Path(location.path) for location in tool_call.locations or ()]
        top = Path(self.task.directory).resolve()
        return bool(paths) and all((top / path).resolve().is_relative_to(top) for path in paths)

    def on_connect(self, conn: Any) -> None:
        """Do nothing: no action is needed."""


async def _open_streams(
    stdin: IO[bytes], stdout: IO[bytes]
) -> tuple[asyncio.StreamReader, asyncio.BaseTransport, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_MAX_MESSAGE_BYTES)
    source, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), stdout)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, stdin)
    return reader, source, asyncio.StreamWriter(transport, protocol, None, loop)


async def _wait_closed(reader: asyncio.StreamReader) -> None:
    """Wait until the agent has closed its output."""
    while not reader.at_eof():  # noqa: ASYNC110 - the reader has no event for this
        await asyncio.sleep(0.2)


def create(request: AgentRequest) -> Agent:
    """Create the agent `acp:NAME`."""
    return AcpAgent(request.argument, request.environ)
