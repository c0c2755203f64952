"""The agent `claude`: Claude Code, headless; what it prints as a stream of JSON becomes our events."""

import json
import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prunejuice.agent import Access, AgentEvent, Can, Did, Ended, Said, Spent, Task
from prunejuice.agents import conversation, endpoint, program
from prunejuice.agents.endpoint import Endpoint
from prunejuice.process import Call
from prunejuice.protocols import Stop

PROGRAM = "claude"
_FIX = "install it (npm install -g @anthropic-ai/claude-code) and log in: claude /login"
_MINE = ("ANTHROPIC_", "CLAUDE_", "AWS_", "DISABLE_", "VERTEX_", "GOOGLE_APPLICATION_CREDENTIALS")
_OUTER = ("CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_SSE_PORT")
"""What the program tells those that run inside it; it is not to be taken for one of them."""
_TOOLS: Mapping[Access, str] = {
    "read": "Read,Grep,Glob",
    "edit": "Read,Grep,Glob,Edit,Write,NotebookEdit",
    "full": "default",
}


class Claude:
    """Claude Code in a directory; its conversation can be gone on with by the id that we give it."""

    name = "claude"
    can = Can(edits=True, resume=True, approve=True, stream=True)
    asks_endpoint = True

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def run(self, task: Task, stop: Stop) -> Iterator[AgentEvent]:
        """Let it work on the task, and go on with it until its result fits."""
        return conversation.held(self, task, stop)

    def begun(self, task: Task) -> str:
        """The id of the conversation: one that is gone on with, or a new one."""
        return task.conversation or str(uuid.uuid4())

    def turn(self, task: Task, prompt: str, told: str, stop: Stop, end: Endpoint) -> Iterator[AgentEvent]:
        """One turn of the conversation `told`; a new one when it has no turn yet."""
        with tempfile.TemporaryDirectory(prefix="prj-claude-") as folder:
            servers = Path(folder) / "mcp.json"
            fd = os.open(servers, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w") as file:
                json.dump({"mcpServers": {endpoint.NAME: _server(end)}}, file)
            path = program.found(PROGRAM, self._environ, _FIX)
            argv = [path, *_words(task), "--mcp-config", str(servers), *_which(task, told, prompt)]
            env = program.surroundings(self._environ, _MINE)
            env = {name: value for name, value in env.items() if name not in _OUTER}
            env |= {"DISABLE_AUTOUPDATER": "1", "ENABLE_TOOL_SEARCH": "false"}
            seconds = task.limits.seconds or program.SECONDS
            call = Call(argv, task.directory, env, seconds, tag=task.tag, given=prompt.encode())
            yield from _Reading(task).events(program.Program(call, stop))

    def close(self) -> None:
        """Nothing is held."""


def _which(task: Task, told: str, prompt: str) -> list[str]:
    """The words that begin a conversation, or go on with it."""
    fresh = prompt == task.prompt and not task.conversation
    return ["--session-id", told] if fresh else ["--resume", told]


def _words(task: Task) -> list[str]:
    words = ["-p", "--output-format", "stream-json", "--verbose", "--strict-mcp-config"]
    words += ["--setting-sources", "user", "--tools", _TOOLS[task.access]]
    words += ["--permission-mode", "default" if task.access == "read" else "acceptEdits"]
    ours = ",".join(f"mcp__{endpoint.NAME}__{name}" for name in ("submit_result", "ask", "report"))
    words += ["--allowedTools", ours, "--permission-prompt-tool", f"mcp__{endpoint.NAME}__approve"]
    if task.instructions:
        words += ["--append-system-prompt", task.instructions]
    if task.model:
        first, _, rest = task.model.partition(",")
        words += ["--model", first.strip(), *(["--fallback-model", rest.strip()] if rest else [])]
    if task.limits.cost is not None:
        words += ["--max-budget-usd", f"{task.limits.cost:.8f}"]
    if task.limits.turns is not None:
        words += ["--max-turns", str(task.limits.turns)]
    return words


def _server(end: Endpoint) -> dict[str, Any]:
    return {"type": "http", "url": end.url, "headers": {"Authorization": f"Bearer {end.token}"}}


class _Reading:
    """Reads the stream of one turn."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.used: dict[str, int] = {}
        self.result: Mapping[str, Any] | None = None
        self.over = False

    def events(self, running: program.Program) -> Iterator[AgentEvent]:
        for line in running.lines():
            yield from self._read(line)
            limit = self.task.limits.tokens
            if limit is not None and sum(self.used.values()) >= limit and not self.over:
                self.over = True
                running.end()
        if self.result is not None:
            yield _spent(self.result)
        elif self.used:
            yield Spent(sum(self.used.values()), 0, calls=len(self.used))
        yield self._ended(running)

    def _read(self, line: bytes) -> Iterator[AgentEvent]:
        message = conversation.message(line)
        if message.get("type") == "result":
            self.result = message
        if message.get("type") != "assistant":
            return
        said = message.get("message") or {}
        usage = said.get("usage") or {}
        self.used[str(said.get("id"))] = sum(usage.get(key) or 0 for key in (*_READ, "output_tokens"))
        for part in said.get("content") or ():
            if part.get("type") == "text" and part.get("text"):
                yield Said(part["text"])
            elif part.get("type") == "tool_use":
                yield Did(str(part.get("name")), conversation.title(part.get("input") or {}))

    def _ended(self, running: program.Program) -> Ended:
        if self.over:
            return Ended(
                "limit", error=f"{self.task.limits.tokens:,} tokens are used up", fix="raise --max-tokens"
            )
        if self.result is None or (running.exit and (running.exit.stopped or running.exit.timed_out)):
            return conversation.cut_off("claude", running)
        result = self.result
        if not result.get("is_error") and result.get("terminal_reason", "completed") == "completed":
            return Ended("ok", output=str(result.get("result") or ""))
        return _fault(result)


_READ = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


def _spent(result: Mapping[str, Any]) -> Spent:
    usage = result.get("usage") or {}
    read = sum(usage.get(key) or 0 for key in _READ)
    cached = usage.get("cache_read_input_tokens") or 0
    cost = result.get("total_cost_usd")
    return Spent(read, usage.get("output_tokens") or 0, cached, result.get("num_turns") or 1, cost)


def _fault(result: Mapping[str, Any]) -> Ended:
    """What went wrong, never judged by `subtype` alone: it says success of refusals too."""
    status, kind = result.get("api_error_status"), str(result.get("subtype") or "")
    said = conversation.first_line(result.get("result") or result.get("errors") or "")
    if kind == "error_max_turns":
        return Ended("limit", error="claude took as many turns as it may", fix="raise --max-turns")
    if kind == "error_max_budget_usd":
        return Ended("limit", error="the money for this is used up", fix="raise --max-cost")
    if str(result.get("terminal_reason", "")).startswith("aborted"):
        return Ended("cancelled", error="stopped")
    what, fix = conversation.refusal(status, said, _LOGIN)
    return Ended("failed", error=f"claude: {what}{f': {said}' if said else ''}", fix=fix)


_LOGIN = "log in: claude /login, or set ANTHROPIC_API_KEY"
