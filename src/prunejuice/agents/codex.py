"""The agent `codex`: Codex, headless; what it prints as lines of JSON becomes our events."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from prunejuice import prices
from prunejuice.agent import Access, AgentEvent, Can, Did, Ended, Limits, Said, Spent, Started, Task
from prunejuice.agents import conversation, endpoint, program
from prunejuice.agents.endpoint import Endpoint
from prunejuice.process import Call
from prunejuice.protocols import Stop
from prunejuice.text import dollars

PROGRAM = "codex"
_FIX = "install it (npm install -g @openai/codex) and log in: codex login"
_LOGIN = "log in: codex login, or set the provider's key"
_MINE = ("OPENAI_", "CODEX_", "AZURE_OPENAI_")
_TOKEN = "PRUNEJUICE_ENDPOINT_TOKEN"  # noqa: S105 - the name of a variable
_SANDBOX: Mapping[Access, str] = {
    "read": "read-only",
    "edit": "workspace-write",
    "full": "danger-full-access",
}
_IDLE = 240.0
"""Codex waits for a network without end, and says so only once."""


class Codex:
    """Codex in a directory, in a sandbox of its own; it tells its conversation's id at the beginning."""

    name = "codex"
    can = Can(
        edits=True, cost=False, resume=True, stream=True, keeps=("cost", "tokens", "seconds"), priced=True
    )
    asks_endpoint = False

    def __init__(self, environ: Mapping[str, str], idle: float = _IDLE) -> None:
        self._environ, self._idle = environ, idle

    def run(self, task: Task, stop: Stop) -> Iterator[AgentEvent]:
        """Let it work on the task, and go on with it until its result fits."""
        return conversation.held(self, task, stop)

    def begun(self, _task: Task) -> str:
        """Only the first turn tells it."""
        return ""

    def turn(self, task: Task, prompt: str, told: str, stop: Stop, end: Endpoint) -> Iterator[AgentEvent]:
        """One turn of a conversation; a new one when none is told."""
        path = program.found(PROGRAM, self._environ, _FIX)
        onward = told or task.conversation
        words = ["exec", "--json", "--skip-git-repo-check", "--color", "never", *_words(task, end)]
        words += ["resume", onward, "-"] if onward else ["-"]
        env = {**program.surroundings(self._environ, _MINE), _TOKEN: end.token}
        given = prompt if onward and told else f"{task.instructions}\n\n{prompt}".strip()
        seconds = task.limits.seconds or program.SECONDS
        call = Call([path, *words], task.directory, env, seconds, tag=task.tag, given=given.encode())
        yield from _Reading(task).events(program.Program(call, stop, self._idle))

    def close(self) -> None:
        """Nothing is held."""


def _words(task: Task, end: Endpoint) -> list[str]:
    ours = f"mcp_servers.{endpoint.NAME}"
    settings: dict[str, Any] = {
        f"{ours}.url": end.url,
        f"{ours}.bearer_token_env_var": _TOKEN,
        f"{ours}.default_tools_approval_mode": "approve",
        "approval_policy": "never",
        "sandbox_mode": _SANDBOX[task.access],
    }
    if task.access == "edit":  # not even the system's folder for temporary files
        names = ("exclude_slash_tmp", "exclude_tmpdir_env_var")
        settings |= {f"sandbox_workspace_write.{name}": True for name in names}
    words = ["--disable", "plugins"]
    if task.model:
        words += ["--model", task.model.partition(",")[0].strip()]
    for key, value in settings.items():
        words += ["-c", f"{key}={json.dumps(value)}"]
    return words


class _Reading:
    """Reads the lines of one turn."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.text = ""
        self.done = False
        self.fault = ""
        self.over = ""

    def events(self, running: program.Program) -> Iterator[AgentEvent]:
        for line in running.lines():
            message = conversation.message(line)
            yield from self._read(message)
            if self.over:
                running.end()
        yield self._ended(running)

    def _read(self, message: Mapping[str, Any]) -> Iterator[AgentEvent]:
        match message.get("type"):
            case "thread.started":
                yield Started(Codex.name, self.task.model, str(message.get("thread_id")))
            case "item.started" | "item.completed":
                yield from self._item(message.get("item") or {}, ended=message["type"] == "item.completed")
            case "turn.completed":
                self.done = True
                spent = _spent(message.get("usage") or {}, self.task.model)
                self.over = _over(spent, self.task.limits)
                yield spent
            case "turn.failed":
                self.fault = _said(message.get("error"))
            case "error":
                self.fault = self.fault or _said(message)

    def _item(self, item: Mapping[str, Any], *, ended: bool) -> Iterator[AgentEvent]:
        kind = str(item.get("type"))
        if kind == "agent_message" and ended:
            self.text = str(item.get("text") or "")
            yield Said(self.text)
        elif kind == "command_execution" and not ended:
            yield Did("command", conversation.title(item))
        elif kind == "file_change" and ended:
            paths = [str(each.get("path")) for each in item.get("changes") or ()]
            yield Did("edit", conversation.title({"path": ", ".join(paths)}))
        elif kind == "mcp_tool_call" and not ended:
            yield Did(str(item.get("tool")), "")

    def _ended(self, running: program.Program) -> Ended:
        if self.done and not self.fault:
            if self.over:
                return Ended("limit", error=self.over, fix="raise --max-tokens or --max-cost")
            return Ended("ok", output=self.text)
        if self.fault and not (running.exit and running.exit.stopped and not running.silent):
            found = _STATUS.search(self.fault)
            what, fix = conversation.refusal(int(found[1] or found[2]) if found else 0, self.fault, _LOGIN)
            return Ended("failed", error=f"codex: {what}: {conversation.first_line(self.fault)}", fix=fix)
        return conversation.cut_off("codex", running)


_STATUS = re.compile(r"(?:status|error|code|http)\D{0,12}\b([45]\d\d)\b|^([45]\d\d)\b", re.IGNORECASE)


def _said(error: Any) -> str:
    """The words of an error, which may be JSON inside of JSON."""
    text = str(error.get("message", "")) if isinstance(error, Mapping) else str(error or "")
    inner = conversation.message(text.encode())
    return _said(inner.get("error") or inner) if inner else text


def _spent(usage: Mapping[str, Any], model: str) -> Spent:
    """What a turn took; what it cost is not said, and known where we named the model."""
    read, written = usage.get("input_tokens") or 0, usage.get("output_tokens") or 0
    cached = usage.get("cached_input_tokens") or 0
    return Spent(read, written, cached, cost=prices.cost(model, read, written, cached) if model else None)


def _over(spent: Spent, limits: Limits) -> str:
    """What limit a turn went over; nothing when it went over none."""
    if limits.tokens is not None and spent.input + spent.output > limits.tokens:
        return f"more than {limits.tokens:,} tokens were used"
    if limits.cost is not None and (spent.cost or 0.0) > limits.cost:
        return f"more than {dollars(limits.cost)} were used"
    return ""
