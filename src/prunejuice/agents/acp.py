"""Agents that speak the Agent Client Protocol, each a row of data: gemini, opencode, and others."""

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

from prunejuice import process
from prunejuice.agent import AgentEvent, Can, Did, Ended, Refused, Said, Spent, Started, Task
from prunejuice.agents import conversation, endpoint, program
from prunejuice.agents.endpoint import Endpoint
from prunejuice.errors import UsageError
from prunejuice.process import Call
from prunejuice.protocols import Stop
from prunejuice.text import nearest, safe_line

_LINE = 64 << 20
"""Bytes of the longest message."""
_OURS = re.compile(
    rf"(?:mcp__)?(?:{endpoint.NAME}[_.:/]{{1,2}})?(?:submit_result|report|ask)"
    rf"(?: \({endpoint.NAME} MCP Server\))?"
)
"""How agents call a use of our tools; a command may have any title."""


class Row(NamedTuple):
    """How an agent is started: its words, the beginnings of its own variables, and how to have it."""

    argv: tuple[str, ...]
    variables: tuple[str, ...] = ()
    fix: str = ""


ROWS: Mapping[str, Row] = {
    "gemini": Row(("gemini", "--acp"), ("GEMINI_", "GOOGLE_"), "npm install -g @google/gemini-cli"),
    "opencode": Row(
        ("opencode", "acp"), ("OPENCODE_", "ANTHROPIC_", "OPENAI_"), "npm install -g opencode-ai"
    ),
    "claude": Row(("claude-agent-acp",), ("ANTHROPIC_", "CLAUDE_"), "npm install -g claude-agent-acp"),
    "codex": Row(("codex-acp",), ("OPENAI_", "CODEX_"), "npm install -g codex-acp"),
    "goose": Row(("goose", "acp"), ("GOOSE_", "ANTHROPIC_", "OPENAI_"), "see its site"),
    "qwen": Row(
        ("qwen", "--acp"), ("QWEN_", "OPENAI_", "DASHSCOPE_"), "npm install -g @qwen-code/qwen-code"
    ),
}


class Acp:
    """An agent of that protocol; without a row, the name is the program and its words."""

    can = Can(edits=True, cost=False, approve=True, stream=True, model=False, keeps=("seconds",))
    asks_endpoint = False

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        """Take the row of a name.

        Raises:
            UsageError: no name is given.
        """
        if not name:
            raise UsageError(
                "acp has to know which agent", f"acp:{nearest('', ROWS) or ', acp:'.join(ROWS)}"
            )
        self.name = f"acp:{name}"
        self._row = ROWS.get(name) or Row(tuple(name.split()))
        self._environ = environ

    def run(self, task: Task, stop: Stop) -> Iterator[AgentEvent]:
        """Let it work on the task, and go on with it until its result fits."""
        return conversation.held(self, task, stop)

    def begun(self, _task: Task) -> str:
        """Only the first turn tells it."""
        return ""

    def turn(self, task: Task, prompt: str, told: str, stop: Stop, end: Endpoint) -> Iterator[AgentEvent]:
        """One turn: a process of its own, in which a conversation is begun, or loaded when one is told."""
        first = program.found(self._row.argv[0], self._environ, self._row.fix)
        env = program.surroundings(self._environ, self._row.variables)
        call = Call([first, *self._row.argv[1:]], task.directory, env, tag=task.tag)
        talk = _Talk(self.name, task, prompt, told, end)
        with tempfile.TemporaryDirectory(prefix="prj-acp-") as folder:
            errors = Path(folder) / "errors"
            with process.conversing(call, errors) as (given, said):
                yield from talk.events(given, said, stop)
            if talk.ended is None:
                last = safe_line(errors.read_bytes()[-2000:].strip(), 300)
                what = f"{self.name} ended without an answer" + (f": {last}" if last else "")
                talk.ended = Ended("failed", error=what, fix="ask again, or ask another agent: --agent")
        yield talk.ended

    def close(self) -> None:
        """Nothing is held."""


class _Talk:
    """One turn: the client of the agent on an event loop of its own, its events in a queue."""

    def __init__(self, name: str, task: Task, prompt: str, told: str, end: Endpoint) -> None:
        self.name, self.task, self.prompt, self.told, self.end = name, task, prompt, told, end
        self.queue: SimpleQueue[AgentEvent | None] = SimpleQueue()
        self.ended: Ended | None = None
        self.text: list[str] = []
        self.cost: float | None = None
        self.heard = time.monotonic()

    def events(self, given: IO[bytes], said: IO[bytes], stop: Stop) -> Iterator[AgentEvent]:
        def work() -> None:
            try:
                asyncio.run(self._talked(given, said, stop))
            finally:
                self.queue.put(None)

        thread = threading.Thread(target=work, name="acp", daemon=True)
        thread.start()
        while (event := self.queue.get()) is not None:
            yield event
        thread.join()

    async def _talked(self, given: IO[bytes], said: IO[bytes], stop: Stop) -> None:
        from acp import RequestError, connect_to_agent  # noqa: PLC0415 - slow

        reader, source, writer = await _streams(given, said)
        connection = connect_to_agent(self, writer, reader)  # type: ignore[arg-type]
        seconds = self.task.limits.seconds or program.SECONDS
        ways = (self._asked(connection), self._until(stop, seconds))
        waited = [asyncio.ensure_future(each) for each in ways]
        gone = asyncio.ensure_future(_closed(reader))
        try:
            await asyncio.wait([*waited, gone], return_when=asyncio.FIRST_COMPLETED)
            done = next((each for each in waited if each.done()), None)
            self.ended = done.result() if done else None
        except ConnectionError:
            self.ended = None
        except ValueError as error:  # what it says fits no schema
            told = f"{self.name} does not keep to the protocol: {conversation.first_line(error)}"
            self.ended = Ended("failed", error=told, fix="ask another agent: --agent")
        except RequestError as error:
            what, fix = conversation.refusal(
                0, f"{error} {error.data or ''}", "log in with its own program"
            )
            told = f"{self.name}: {what}: {conversation.first_line(error)}"
            self.ended = Ended("failed", error=told, fix=fix)
        finally:
            for each in (*waited, gone):
                each.cancel()
            await asyncio.gather(*waited, gone, return_exceptions=True)
            with contextlib.suppress(TimeoutError, OSError):  # it may be gone already
                await asyncio.wait_for(connection.close(), 5)
            for end in (source, writer.transport):
                if not end.is_closing():
                    end.close()
            await asyncio.sleep(0)

    async def _asked(self, connection: Any) -> Ended:
        from acp import PROTOCOL_VERSION, text_block  # noqa: PLC0415
        from acp.schema import ClientCapabilities, HttpHeader, HttpMcpServer  # noqa: PLC0415

        known = await connection.initialize(
            protocol_version=PROTOCOL_VERSION, client_capabilities=ClientCapabilities()
        )
        token = HttpHeader(name="Authorization", value=f"Bearer {self.end.token}")
        servers = [HttpMcpServer(type="http", name=endpoint.NAME, url=self.end.url, headers=[token])]
        can = bool(known.agent_capabilities and known.agent_capabilities.load_session)
        session, asked = await self._session(connection, servers, can=can)
        prompt = f"{self.task.instructions}\n\n{asked}".strip()
        self.text.clear()
        answer = await connection.prompt(session_id=session, prompt=[text_block(prompt)])
        return self._end(answer)

    async def _session(self, connection: Any, servers: list[Any], *, can: bool) -> tuple[str, str]:
        """A conversation and what is asked in it: the one that is told, or a new one with all of it."""
        from acp import RequestError  # noqa: PLC0415

        where = self.task.directory
        onward = self.told or self.task.conversation
        if onward and can:
            with contextlib.suppress(RequestError):  # it was not kept
                await connection.load_session(cwd=where, session_id=onward, mcp_servers=servers)
                return onward, self.prompt
        made = await connection.new_session(cwd=where, mcp_servers=servers)
        self.queue.put(Started(self.name, self.task.model, made.session_id))
        whole = self.prompt if self.prompt == self.task.prompt else f"{self.task.prompt}\n\n{self.prompt}"
        return made.session_id, whole

    async def _until(self, stop: Stop, seconds: float) -> Ended:
        """The end that a request to stop, the time, or silence makes."""
        until = time.monotonic() + seconds
        while not stop.level:
            now = time.monotonic()
            if now >= until:
                return Ended("limit", error=f"{self.name} was not done in time", fix="raise --max-time")
            if now - self.heard > program.IDLE:
                fix = "see whether the network and the provider are there, and ask again"
                said = f"{self.name} said nothing for {program.IDLE:g} seconds"
                return Ended("failed", error=said, fix=fix)
            await asyncio.sleep(0.1)
        return Ended("cancelled", error="stopped")

    def _end(self, answer: Any) -> Ended:
        usage = answer.usage
        if usage is not None:
            cached = usage.cached_read_tokens or 0
            self.queue.put(Spent(usage.input_tokens, usage.output_tokens, cached, 1, self.cost))
        text = "".join(self.text).strip()
        if text:
            self.queue.put(Said(text))
        reason = answer.stop_reason
        if reason == "end_turn":
            return Ended("ok", output=text)
        if reason in {"max_tokens", "max_turn_requests"}:
            return Ended("limit", error=f"{self.name} stopped: {reason}", fix="ask for less at once")
        if reason == "cancelled":
            return Ended("cancelled", error="stopped")
        return Ended("failed", error=f"{self.name} refused to do it", fix="ask in other words")

    # -- what the agent calls ---------------------------------------------------------------------------

    async def session_update(self, session_id: str, update: Any, **_more: Any) -> None:  # noqa: ARG002
        """Take what the agent says and does."""
        self.heard = time.monotonic()
        kind = update.session_update
        if kind == "agent_message_chunk" and getattr(update.content, "type", "") == "text":
            self.text.append(update.content.text)
        elif kind == "tool_call":
            self.queue.put(Did(str(update.kind or "tool"), safe_line(update.title, 120)))
        elif kind == "usage_update" and update.cost is not None and update.cost.currency == "USD":
            self.cost = float(update.cost.amount)

    async def request_permission(
        self,
        session_id: str,  # noqa: ARG002 - there is one
        tool_call: Any,
        options: list[Any],
        **_more: Any,
    ) -> Any:
        """Say whether a tool may be used: one of ours, or one within the grant."""
        from acp.schema import AllowedOutcome, DeniedOutcome, RequestPermissionResponse  # noqa: PLC0415

        title = str(tool_call.title or "")
        why = self._why_not(tool_call, title)
        wanted = ("reject_once", "reject_always") if why else ("allow_once", "allow_always")
        picked = next((each for kind in wanted for each in options if each.kind == kind), None)
        if why:
            self.queue.put(Refused(safe_line(title, 120), why))
        if picked is None:
            return RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))
        return RequestPermissionResponse(
            outcome=AllowedOutcome(outcome="selected", option_id=picked.option_id)
        )

    def _why_not(self, tool_call: Any, title: str) -> str:
        kind = str(tool_call.kind or "")
        if kind in {"", "other", "think"} and not tool_call.locations and _OURS.fullmatch(title.strip()):
            return ""
        if kind in {"edit", "delete", "move", "read", "search"} and self._is_inside(tool_call, kind):
            return ""
        return conversation.refusal_of(self.task, kind, {})

    def _is_inside(self, tool_call: Any, kind: str) -> bool:
        """Whether all that a tool touches lies in the directory, and may be touched so."""
        if self.task.access == "read" and kind not in {"read", "search"}:
            return False
        places = [Path(each.path) for each in tool_call.locations or ()]
        top = Path(self.task.directory).resolve()
        return bool(places) and all((top / place).resolve().is_relative_to(top) for place in places)

    def on_connect(self, conn: Any) -> None:
        """Nothing has to be done."""


async def _streams(
    given: IO[bytes], said: IO[bytes]
) -> tuple[asyncio.StreamReader, asyncio.BaseTransport, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_LINE)
    source, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), said)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, given)
    return reader, source, asyncio.StreamWriter(transport, protocol, None, loop)


async def _closed(reader: asyncio.StreamReader) -> None:
    """Wait until the agent says nothing more, because it is gone."""
    while not reader.at_eof():  # noqa: ASYNC110 - the reader has no event for it
        await asyncio.sleep(0.2)
