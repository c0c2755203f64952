"""Shared by agents that are programs: turns until a result is valid, and messages for failures."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from prunejuice.agents import endpoint
from prunejuice.agents.endpoint import Endpoint, EndpointMessage
from prunejuice.agents.program import AgentProcess
from prunejuice.agents.protocol import AgentEnded, AgentEvent, AgentStarted, Task, TextDelta, ToolRefused
from prunejuice.agents.thinking import UnfinishedThinkingError, strip_thinking
from prunejuice.errors import MissingToolError
from prunejuice.system.stop_request import Stop
from prunejuice.text import safe_line

_MAX_CORRECTIONS = 2
_UNKNOWN_CONVERSATION = re.compile("no conversation found|no rollout found", re.IGNORECASE)
"""How agents report an unknown conversation."""
_SUBMIT = (
    "You have not handed in a result that fits. Call the tool submit_result (of the server "
    f"{endpoint.NAME}) with it now, and do nothing else. If you have no such tool, answer with the result "
    "as JSON in one block that begins with ```json, and with nothing besides. It has to fit this schema: "
)


class ConversationalAgent(Protocol):
    """An agent that is a program and has conversations."""

    name: str
    asks_endpoint: bool
    """Whether the agent asks the endpoint before it does something that is not permitted."""

    def conversation_id(self, task: Task) -> str:
        """Return the id of the conversation; empty if only the first turn reports it."""
        ...

    def run_turn(
        self, task: Task, prompt: str, conversation_id: str, stop: Stop, server: Endpoint
    ) -> Iterator[AgentEvent]:
        """Yield the events of one turn; include `AgentStarted` only if the turn reports the id."""
        ...


def run_conversation(agent: ConversationalAgent, task: Task, stop: Stop) -> Iterator[AgentEvent]:
    """Yield the events of an agent until its result is valid, with the messages to the endpoint."""
    return _Conversation(agent, task, stop).events()


class _Conversation:
    """A conversation: its id, and the last event of the previous turn."""

    def __init__(self, agent: ConversationalAgent, task: Task, stop: Stop) -> None:
        self.agent, self.task, self.stop = agent, task, stop
        self.conversation = agent.conversation_id(task)
        self.messages: SimpleQueue[EndpointMessage] = SimpleQueue()
        self.ended = AgentEnded("failed", error=f"{agent.name} ended without an answer")

    def events(self) -> Iterator[AgentEvent]:
        if self.conversation:
            yield AgentStarted(self.agent.name, self.task.model, self.conversation)
        policy = self._check_tool if self.agent.asks_endpoint else None
        with endpoint.open_endpoint(self.task, policy, self.messages.put) as server:
            try:
                yield from self._run_turns(server)
            except MissingToolError as error:
                self.ended = AgentEnded("failed", error=error.message, fix=error.fix)
            except OSError as error:
                message = f"could not start {self.agent.name}: {error.strerror or error}"
                self.ended = AgentEnded("failed", error=message, fix="reinstall it")
        if not self.conversation:
            yield AgentStarted(self.agent.name, self.task.model)
        yield self._end_event(server)

    def _run_turns(self, server: Endpoint) -> Iterator[AgentEvent]:
        yield from self._run_turn(self.task.prompt, server)
        if self.task.conversation and _UNKNOWN_CONVERSATION.search(self.ended.error):
            yield from self._restart(server)
        for _ in range(_MAX_CORRECTIONS):
            needs_result = self.task.schema is not None and not server.has_result
            if not (needs_result and self.ended.status == "ok" and self.conversation):
                return
            problem = self._submit_inline_result(server)
            if server.has_result:
                return
            schema = json.dumps(self.task.schema)
            yield from self._run_turn(" ".join(filter(None, [problem, f"{_SUBMIT}{schema}"])), server)
        self._submit_inline_result(server)

    def _restart(self, server: Endpoint) -> Iterator[AgentEvent]:
        """Start a new conversation: the agent was killed before it had saved this one."""
        self.task = self.task._replace(conversation="")
        self.conversation = self.agent.conversation_id(self.task)
        if self.conversation:
            yield AgentStarted(self.agent.name, self.task.model, self.conversation)
        yield from self._run_turn(self.task.prompt, server)

    def _submit_inline_result(self, server: Endpoint) -> str:
        """Submit a result from the text of an agent without tools; return what is wrong with it."""
        result = _find_json(str(self.ended.output or ""))
        if result is None:
            return ""
        try:
            server.answer_call("submit_result", {"result": result})
        except ValueError as error:
            return f"Your result does not fit: {error}."
        return ""

    def _run_turn(self, prompt: str, server: Endpoint) -> Iterator[AgentEvent]:
        for event in self.agent.run_turn(self.task, prompt, self.conversation, self.stop, server):
            yield from _drain_messages(self.messages)
            if isinstance(event, AgentEnded):
                self.ended = event
                continue
            if isinstance(event, AgentStarted):
                if self.conversation:
                    continue
                self.conversation = event.conversation
            yield event
        yield from _drain_messages(self.messages)

    def _check_tool(self, tool: str, tool_input: Mapping[str, Any]) -> str:
        return tool_refusal(self.task, tool, tool_input)

    def _end_event(self, server: Endpoint) -> AgentEnded:
        if self.task.schema is None or self.ended.status != "ok":
            return self.ended
        if server.has_result:
            return AgentEnded("ok", output=server.result)
        message = f"{self.agent.name} submitted no valid result"
        return AgentEnded("failed", error=message, fix="try again, or use another agent: --agent")


def _drain_messages(queue: "SimpleQueue[EndpointMessage]") -> Iterator[AgentEvent]:
    while True:
        try:
            message = queue.get_nowait()
        except Empty:
            return
        if message.kind == "refused":
            yield ToolRefused(message.text, message.about)
        else:
            yield TextDelta(f"{'asks: ' if message.kind == 'ask' else ''}{message.text}")


def tool_refusal(task: Task, tool: str, tool_input: Mapping[str, Any]) -> str:  # noqa: ARG001 - unused
    """Return why a tool may not be used; agents do not ask for tools within their access."""
    if task.access == "full":
        return ""
    if tool in {"Edit", "Write", "NotebookEdit", "Read", "Grep", "Glob", "edit", "read"}:
        permission = "read" if task.access == "read" else "read and changed"
        return f"only files below {task.directory} may be {permission}"
    return "no commands, no network: checks are run for you"


def _find_json(text: str) -> Any:
    """Return the JSON object that an answer is, or that its last code block has; None if there is none."""
    with suppress(UnfinishedThinkingError):
        text = strip_thinking(text)
    fenced = re.findall(r"```(?:json)?[ \t]*\n(.*?)```", text, re.DOTALL)
    for candidate in (text, *fenced[::-1]):
        try:
            data = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        if isinstance(data, dict):
            return data
    return None


# -- parsing output ----------------------------------------------------------------------------------


def parse_message(line: bytes) -> dict[str, Any]:
    """Return the JSON object on a line; empty if there is none."""
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return as_mapping(data)


def as_mapping(value: Any) -> dict[str, Any]:
    """Return a value of a message if it is an object; otherwise an empty one."""
    return value if isinstance(value, dict) else {}


def list_mappings(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a value of a message that should be a list of objects."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def tool_title(tool_input: Mapping[str, Any]) -> str:
    """Return the target of a tool call, as one line."""
    for key in ("file_path", "path", "command", "pattern", "query", "url", "description"):
        if isinstance(tool_input.get(key), str):
            return safe_line(tool_input[key], 120)
    return ""


def first_line(text: Any) -> str:
    """Return the first line of a text, or of a list of texts."""
    if isinstance(text, list):
        text = "; ".join(map(str, text))
    return safe_line(str(text).strip().split("\n")[0], 300)


def end_without_result(name: str, running: AgentProcess) -> AgentEnded:
    """Return the event for a program that ended without reporting a result."""
    if running.silent:
        fix = "check the network and the provider, and try again"
        return AgentEnded("failed", error=f"{name} printed nothing for {running.idle:g} seconds", fix=fix)
    if running.exit is None or running.exit.stopped:
        return AgentEnded("cancelled", error="stopped")
    if running.exit.timed_out:
        return AgentEnded("limit", error=f"{name} did not finish in time", fix="raise --max-time")
    stderr = f": {running.errors}" if running.errors else ""
    return AgentEnded(
        "failed", error=f"{name} ended without a result (exit {running.exit.code}){stderr}", fix="try again"
    )


_REFUSALS: tuple[tuple[tuple[str, ...], tuple[int, ...], str, str], ...] = (
    (("missing environment variable",), (), "the key is missing", ""),
    (("api key", "logged in", "/login", "unauthorized"), (401, 403), "the login was refused", ""),
    (
        ("quota", "credit balance", "usage limit", "billing"),
        (),
        "the quota is exceeded",
        "check billing, or use another agent: --agent",
    ),
    (("too many requests", "rate limit"), (429,), "too many requests", "wait, and try again"),
    (
        ("overloaded", "high demand"),
        (500, 502, 503, 504, 529),
        "the provider is overloaded",
        "wait, or name a second model: --model A,B",
    ),
    (
        ("connect", "network", "enotfound", "econnrefused", "stream disconnected"),
        (),
        "the provider could not be reached",
        "check the network and the base URL",
    ),
    ((), (404,), "no such model", "see the provider's list of models"),
)
"""Words and HTTP statuses of refusals, a message and a fix; an empty fix is to log in."""


def classify_refusal(status: Any, text: str, login: str) -> tuple[str, str]:
    """Return a message and a fix for a provider's refusal."""
    lower = text.lower()
    for fragments, statuses, message, fix in _REFUSALS:
        if status in statuses or any(fragment in lower for fragment in fragments):
            return message, fix or login
    return "the request failed", "try again, or use another agent: --agent"
