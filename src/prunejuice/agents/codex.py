"""The agent `codex`: Codex, headless; its lines of JSON are translated into agent events."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from prunejuice.agents import conversation, endpoint, prices, program
from prunejuice.agents.budget import reached_cost_limit, reached_token_limit
from prunejuice.agents.endpoint import Endpoint
from prunejuice.agents.protocol import (
    Access,
    Agent,
    AgentEnded,
    AgentEvent,
    AgentRequest,
    AgentStarted,
    Capabilities,
    Limits,
    Task,
    TextDelta,
    ToolRefused,
    ToolUsed,
    Usage,
)
from prunejuice.system.stop_request import Stop
from prunejuice.text import safe_line

PROGRAM = "codex"
_INSTALL_HINT = "install it (npm install -g @openai/codex) and log in: codex login"
_LOGIN = "log in: codex login, or set the provider's key"
_ENV_PREFIXES = ("OPENAI_", "CODEX_", "AZURE_OPENAI_")
_TOKEN = "PRUNEJUICE_ENDPOINT_TOKEN"  # noqa: S105 - the name of a variable, not a token
_SANDBOX: Mapping[Access, str] = {
    "read": "read-only",
    "edit": "workspace-write",
    "full": "danger-full-access",
}
_MAX_IDLE_SECONDS = 240.0
"""A shorter limit than for other agents, as Codex waits for a lost network forever."""


class CodexAgent:
    """Codex in a directory, in its own sandbox; the first turn reports the conversation's id."""

    name = "codex"
    capabilities = Capabilities(
        edits=True,
        cost=False,
        resume=True,
        stream=True,
        enforced_limits=("cost", "tokens", "seconds"),
        priced=True,
    )
    asks_endpoint = False

    def __init__(self, environ: Mapping[str, str], idle: float = _MAX_IDLE_SECONDS) -> None:
        self._environ, self._idle = environ, idle

    def run(self, task: Task, stop: Stop) -> Iterator[AgentEvent]:
        """Let the agent work on the task until its result is valid."""
        return conversation.run_conversation(self, task, stop)

    def conversation_id(self, _task: Task) -> str:
        """Return no id: only the first turn reports it."""
        return ""

    def run_turn(
        self, task: Task, prompt: str, conversation_id: str, stop: Stop, server: Endpoint
    ) -> Iterator[AgentEvent]:
        """Run one turn of a conversation; a new one is created without an id."""
        program_path = program.require_program(PROGRAM, self._environ, _INSTALL_HINT)
        resumed_id = conversation_id or task.conversation
        arguments = [
            "exec",
            "--json",
            "--skip-git-repo-check",
            "--color",
            "never",
            *_command_options(task, server),
        ]
        arguments += ["resume", resumed_id, "-"] if resumed_id else ["-"]
        env = {**program.agent_environment(self._environ, _ENV_PREFIXES), _TOKEN: server.token}
        text = prompt if resumed_id and conversation_id else f"{task.instructions}\n\n{prompt}".strip()
        argv = [program_path, *arguments]
        call = program.build_process_spec(task, argv, env, text, local_urls=[server.url])
        yield from _CodexStream(task).events(program.AgentProcess(call, stop, self._idle))

    def close(self) -> None:
        """Do nothing: no resources are held."""


def _command_options(task: Task, server: Endpoint) -> list[str]:
    prefix = f"mcp_servers.{endpoint.NAME}"
    settings: dict[str, Any] = {
        f"{prefix}.url": server.url,
        f"{prefix}.bearer_token_env_var": _TOKEN,
        f"{prefix}.default_tools_approval_mode": "approve",
        "approval_policy": "never",
        "sandbox_mode": _choose_sandbox(task),
    }
    if task.access == "edit":  # the sandbox of Codex allows temporary folders by default
        names = ("exclude_slash_tmp", "exclude_tmpdir_env_var")
        settings |= {f"sandbox_workspace_write.{name}": True for name in names}
    options = ["--disable", "plugins"]
    if task.model:
        options += ["--model", task.model.partition(",")[0].strip()]
    for key, value in settings.items():
        options += ["-c", f"{key}={json.dumps(value)}"]
    return options


def _choose_sandbox(task: Task) -> str:
    """Return the mode of Codex's own sandbox.

    Root cannot make one inside of ours, which then contains the commands alone: Linux lets only a holder of
    a capability map the user 0 of the namespace outside.
    """
    is_contained = task.sandbox is not None and task.access == "edit" and os.geteuid() == 0
    return _SANDBOX["full" if is_contained else task.access]


class _CodexStream:
    """Translates the lines of one turn."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.text = ""
        self.completed = False
        self.fault = ""
        self.over_limit = ""
        self.actions = 0

    def events(self, running: program.AgentProcess) -> Iterator[AgentEvent]:
        for line in running.lines():
            message = conversation.parse_message(line)
            for event in self._message_events(message):
                self.actions += isinstance(event, ToolUsed)
                yield event
            if self.actions > program.MAX_ACTIONS:
                self.over_limit = f"codex used more than {program.MAX_ACTIONS} tools"
            if self.over_limit:
                running.request_stop()
        yield self._end_event(running)

    def _message_events(self, message: Mapping[str, Any]) -> Iterator[AgentEvent]:
        match message.get("type"):
            case "thread.started":
                yield AgentStarted(CodexAgent.name, self.task.model, str(message.get("thread_id")))
            case "item.started" | "item.completed":
                item = conversation.as_mapping(message.get("item"))
                yield from self._item_events(item, ended=message["type"] == "item.completed")
            case "turn.completed":
                self.completed = True
                spent = _to_usage(conversation.as_mapping(message.get("usage")), self.task.model)
                self.over_limit = _exceeded_limit(spent, self.task.limits)
                yield spent
            case "turn.failed":
                self.fault = _error_text(message.get("error"))
            case "error":
                self.fault = self.fault or _error_text(message)

    def _item_events(self, item: Mapping[str, Any], *, ended: bool) -> Iterator[AgentEvent]:
        kind = str(item.get("type"))
        if kind == "agent_message" and ended:
            self.text = str(item.get("text") or "")
            yield TextDelta(self.text)
        elif kind == "command_execution" and not ended:
            yield ToolUsed("command", conversation.tool_title(item))
        elif kind == "command_execution" and item.get("exit_code"):
            if found := _SANDBOX_REFUSAL.search(str(item.get("aggregated_output") or "")):
                yield ToolRefused("command", f"the sandbox of codex: {safe_line(found[0].strip(), 200)}")
        elif kind == "file_change" and ended:
            changes = conversation.list_mappings(item.get("changes"))
            paths = [str(change.get("path")) for change in changes]
            yield ToolUsed("edit", conversation.tool_title({"path": ", ".join(paths)}))
        elif kind == "mcp_tool_call" and not ended:
            yield ToolUsed(str(item.get("tool")), "")

    def _end_event(self, running: program.AgentProcess) -> AgentEnded:
        if self.actions > program.MAX_ACTIONS:
            return AgentEnded("limit", error=self.over_limit, fix=program.LESS_FIX)
        if self.completed and not self.fault:
            if self.over_limit:
                return AgentEnded("limit", error=self.over_limit, fix="raise --max-tokens or --max-cost")
            return AgentEnded("ok", output=self.text)
        if self.fault and not (running.exit and running.exit.stopped and not running.silent):
            status = _STATUS.search(self.fault)
            message, fix = conversation.classify_refusal(
                int(status[1] or status[2]) if status else 0, self.fault, _LOGIN
            )
            return AgentEnded(
                "failed", error=f"codex: {message}: {conversation.first_line(self.fault)}", fix=fix
            )
        return conversation.end_without_result("codex", running)


_SANDBOX_REFUSAL = re.compile(
    r"^.*(?:Read-only file system|Operation not permitted|Permission denied"
    r"|\bsandbox|\bbwrap:|landlock).*$",
    re.IGNORECASE | re.MULTILINE,
)
"""What a command says that the sandbox did not let do its work, or that the sandbox could not start."""
_STATUS = re.compile(r"(?:status|error|code|http)\D{0,12}\b([45]\d\d)\b|^([45]\d\d)\b", re.IGNORECASE)


def _error_text(error: Any) -> str:
    """Return the message of an error, which may be JSON inside JSON."""
    text = str(error.get("message", "")) if isinstance(error, Mapping) else str(error or "")
    inner = conversation.parse_message(text.encode())
    return _error_text(inner.get("error") or inner) if inner else text


def _to_usage(usage: Mapping[str, Any], model: str) -> Usage:
    """Return the usage of a turn; Codex reports no cost, so it is calculated if the model was named."""
    input_tokens, output_tokens = usage.get("input_tokens") or 0, usage.get("output_tokens") or 0
    cached = usage.get("cached_input_tokens") or 0
    return Usage(
        input_tokens,
        output_tokens,
        cached,
        cost=prices.cost(model, input_tokens, output_tokens, cached) if model else None,
    )


def _exceeded_limit(spent: Usage, limits: Limits) -> str:
    """Return which limit a turn exceeded; empty if none."""
    if limits.tokens is not None and spent.input + spent.output > limits.tokens:
        return reached_token_limit(spent.input + spent.output, limits.tokens)
    if limits.cost is not None and (cost := spent.cost or 0.0) > limits.cost:
        return reached_cost_limit(cost, limits.cost)
    return ""


def create(request: AgentRequest) -> Agent:
    """Create the agent `codex`."""
    return CodexAgent(request.environ)
