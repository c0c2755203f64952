"""The agent `claude`: Claude Code, headless; its JSON stream is translated into agent events."""

import json
import os
import re
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from prunejuice.agents import budget, conversation, endpoint, program
from prunejuice.agents.budget import reached_token_limit
from prunejuice.agents.endpoint import Endpoint
from prunejuice.agents.protocol import (
    Access,
    Agent,
    AgentEnded,
    AgentEvent,
    AgentRequest,
    Capabilities,
    Task,
    TextDelta,
    ToolRefused,
    ToolUsed,
    Usage,
)
from prunejuice.system.stop_request import Stop
from prunejuice.text import safe_line

PROGRAM = "claude"
_INSTALL_HINT = "install it (npm install -g @anthropic-ai/claude-code) and log in: claude /login"
_ENV_PREFIXES = ("ANTHROPIC_", "CLAUDE_", "AWS_", "DISABLE_", "VERTEX_", "GOOGLE_APPLICATION_CREDENTIALS")
_NESTED_VARIABLES = ("CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_SSE_PORT")
"""Variables that mark a nested Claude Code; without them a new one does not join the outer session."""
_TOOLS: Mapping[Access, str] = {
    "read": "Read,Grep,Glob",
    "edit": "Read,Grep,Glob,Edit,Write,NotebookEdit",
    "full": "default",
}


class ClaudeAgent:
    """Claude Code in a directory; a conversation is resumed by the id that it was started with."""

    name = "claude"
    capabilities = Capabilities(edits=True, resume=True, approve=True, stream=True)
    asks_endpoint = True

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def run(self, task: Task, stop: Stop) -> Iterator[AgentEvent]:
        """Let the agent work on the task until its result is valid."""
        return conversation.run_conversation(self, task, stop)

    def conversation_id(self, task: Task) -> str:
        """Return the id of the conversation to resume, or a new id."""
        return task.conversation or str(uuid.uuid4())

    def run_turn(
        self, task: Task, prompt: str, conversation_id: str, stop: Stop, server: Endpoint
    ) -> Iterator[AgentEvent]:
        """Run one turn of the conversation; it is created if it has no turn yet."""
        with tempfile.TemporaryDirectory(prefix="prj-claude-") as folder:
            config_path = Path(folder) / "mcp.json"
            # The file has the endpoint's token: it is created with its final mode, not changed afterwards.
            fd = os.open(config_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w") as file:
                json.dump({"mcpServers": {endpoint.NAME: _server_config(server)}}, file)
            program_path = program.require_program(PROGRAM, self._environ, _INSTALL_HINT)
            argv = [
                program_path,
                *_command_options(task),
                "--mcp-config",
                str(config_path),
                *_session_options(task, conversation_id, prompt),
            ]
            env = program.agent_environment(self._environ, _ENV_PREFIXES)
            env = {name: value for name, value in env.items() if name not in _NESTED_VARIABLES}
            env |= {"DISABLE_AUTOUPDATER": "1", "ENABLE_TOOL_SEARCH": "false"}
            call = program.build_process_spec(
                task, argv, env, prompt, local_urls=[server.url], shown=[str(config_path)]
            )
            yield from _ClaudeStream(task).events(program.AgentProcess(call, stop))

    def close(self) -> None:
        """Do nothing: no resources are held."""


def _session_options(task: Task, conversation_id: str, prompt: str) -> list[str]:
    """Return the options that start a conversation, or resume it."""
    is_new = prompt == task.prompt and not task.conversation
    return ["--session-id", conversation_id] if is_new else ["--resume", conversation_id]


def _command_options(task: Task) -> list[str]:
    options = ["-p", "--output-format", "stream-json", "--verbose", "--strict-mcp-config"]
    options += ["--setting-sources", "user", "--tools", _TOOLS[task.access]]
    options += ["--permission-mode", "default" if task.access == "read" else "acceptEdits"]
    tool_names = ",".join(f"mcp__{endpoint.NAME}__{name}" for name in ("submit_result", "ask", "report"))
    options += ["--allowedTools", tool_names, "--permission-prompt-tool", f"mcp__{endpoint.NAME}__approve"]
    if task.instructions:
        options += ["--append-system-prompt", task.instructions]
    if task.model:
        first, _, rest = task.model.partition(",")
        options += ["--model", first.strip(), *(["--fallback-model", rest.strip()] if rest else [])]
    if task.limits.cost is not None:
        options += ["--max-budget-usd", f"{task.limits.cost:.8f}"]
    options += ["--max-turns", str(task.limits.turns or program.MAX_TURNS)]
    return options


def _server_config(server: Endpoint) -> dict[str, Any]:
    return {"type": "http", "url": server.url, "headers": {"Authorization": f"Bearer {server.token}"}}


class _ClaudeStream:
    """Translates the JSON stream of one turn."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.used: dict[str, int] = {}
        self.result: Mapping[str, Any] | None = None
        self.over_limit = False
        self.model = ""

    def events(self, running: program.AgentProcess) -> Iterator[AgentEvent]:
        for line in running.lines():
            yield from self._line_events(line)
            limit = self.task.limits.tokens
            if limit is not None and sum(self.used.values()) >= limit and not self.over_limit:
                self.over_limit = True
                running.request_stop()
        if self.result is not None:
            # `num_turns` of the result counts blocks of content, not requests.
            yield replace(_to_usage(self.result), calls=len(self.used) or 1, model=self.model)
        elif self.used:
            yield Usage(sum(self.used.values()), 0, calls=len(self.used), model=self.model)
        yield self._end_event(running)

    def _line_events(self, line: bytes) -> Iterator[AgentEvent]:
        message = conversation.parse_message(line)
        if message.get("type") == "result":
            self.result = message
        reply = conversation.as_mapping(message.get("message"))
        if message.get("type") == "user":
            yield from _refusal_events(reply)
        if message.get("type") != "assistant":
            return
        self.model = _model_name(reply) or self.model
        usage = conversation.as_mapping(reply.get("usage"))
        # A reply may come in several messages with the same id; its usage counts once.
        self.used[str(reply.get("id"))] = sum(
            usage.get(key) or 0 for key in (*_INPUT_KEYS, "output_tokens")
        )
        for part in conversation.list_mappings(reply.get("content")):
            if part.get("type") == "text" and part.get("text"):
                yield TextDelta(str(part["text"]))
            elif part.get("type") == "tool_use":
                title = conversation.tool_title(conversation.as_mapping(part.get("input")))
                yield ToolUsed(str(part.get("name")), title)

    def _end_event(self, running: program.AgentProcess) -> AgentEnded:
        if self.over_limit:
            message = reached_token_limit(sum(self.used.values()), self.task.limits.tokens or 0)
            return AgentEnded("limit", error=message, fix="raise --max-tokens")
        if self.result is None or (running.exit and (running.exit.stopped or running.exit.timed_out)):
            return conversation.end_without_result("claude", running)
        result = self.result
        if not result.get("is_error") and result.get("terminal_reason", "completed") == "completed":
            return AgentEnded("ok", output=str(result.get("result") or ""))
        return _error_event(result)


def _model_name(reply: Mapping[str, Any]) -> str:
    """Return the model of a reply; replies that Claude Code writes itself have a name in brackets."""
    name = str(reply.get("model") or "")
    return "" if name.startswith("<") else name


def _refusal_events(reply: Mapping[str, Any]) -> Iterator[AgentEvent]:
    """Yield the tools that the model called and does not have."""
    for part in conversation.list_mappings(reply.get("content")):
        text = str(part.get("content") or "") if part.get("is_error") else ""
        if found := _NO_TOOL.search(text):
            yield ToolRefused(safe_line(found[1], 80), "the agent does not have this tool")


_NO_TOOL = re.compile(r"No such tool available: ([\w-]+)")
_INPUT_KEYS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


def _to_usage(result: Mapping[str, Any]) -> Usage:
    usage = conversation.as_mapping(result.get("usage"))
    read = sum(usage.get(key) or 0 for key in _INPUT_KEYS)
    cached = usage.get("cache_read_input_tokens") or 0
    cost = result.get("total_cost_usd")
    return Usage(read, usage.get("output_tokens") or 0, cached, cost=cost)


def _error_event(result: Mapping[str, Any]) -> AgentEnded:
    """Return the event for an error; `subtype` is not enough, as it is `success` for refusals too."""
    status, subtype = result.get("api_error_status"), str(result.get("subtype") or "")
    text = conversation.first_line(result.get("result") or result.get("errors") or "")
    if subtype == "error_max_turns":
        return AgentEnded("limit", error="claude reached its limit of turns", fix="raise --max-turns")
    if subtype == "error_max_budget_usd":
        return AgentEnded("limit", error="claude reached the cost limit", fix=budget.RAISE_COST)
    if str(result.get("terminal_reason", "")).startswith("aborted"):
        return AgentEnded("cancelled", error="stopped")
    message, fix = conversation.classify_refusal(status, text, _LOGIN)
    return AgentEnded("failed", error=f"claude: {message}{f': {text}' if text else ''}", fix=fix)


_LOGIN = "log in: claude /login, or set ANTHROPIC_API_KEY"


def create(request: AgentRequest) -> Agent:
    """Create the agent `claude`."""
    return ClaudeAgent(request.environ)
