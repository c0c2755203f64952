"""The interface of agents: tasks, limits, and the events that an agent reports."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from prunejuice.system.grace_period import DEFAULT_GRACE
from prunejuice.system.process import SandboxEntry
from prunejuice.system.stop_request import Stop

Status = Literal["ok", "limit", "denied", "cancelled", "failed", "unfinished"]
"""How a task ended; the output of an unfinished one is not whole."""
Access = Literal["read", "edit", "full"]
"""What an agent may do in its directory: read files, edit files too, or run commands as well."""
TASK_FILE = ".codebot/task.md"
"""The file with the task for an interactive program; it does not count as a change of the tree."""


class Capabilities(NamedTuple):
    """The features of an agent; the contract tests check every agent against it.

    `edits`: changes files in a directory instead of answering with edits. `schema`: returns results that
    match a schema. `cost`: reports its cost in US dollars. `resume`: can resume a conversation. `approve`:
    asks before it does something that is not permitted. `stream`: reports what it does while it works.
    `model`: uses the requested model. `enforced_limits`: the limits that can be enforced. `priced`: the
    cost is known only if the model has a price.
    """

    edits: bool = False
    schema: bool = True
    cost: bool = True
    resume: bool = False
    approve: bool = False
    stream: bool = False
    model: bool = True
    enforced_limits: Collection[str] = ("cost", "tokens", "seconds", "turns")
    priced: bool = False


class Limits(NamedTuple):
    """Limits of a task: `cost` in US dollars, `tokens` in and out, `seconds` of wall time, `rounds`.

    `rounds` limits the calls of the agent. `turns` limits the requests that a program which works on its
    own makes to its model within one round.
    """

    cost: float | None = None
    tokens: int | None = None
    seconds: float | None = None
    rounds: int | None = None
    turns: int | None = None
    output_tokens: int | None = None

    def remaining(self, spent: "Usage") -> "Limits":
        """Return the limits with the remaining cost and tokens."""
        cost = None if self.cost is None else self.cost - (spent.cost or 0.0)
        tokens = None if self.tokens is None else self.tokens - spent.input - spent.output
        return self._replace(cost=cost, tokens=tokens)


class Task(NamedTuple):
    """A task for an agent. Without a `schema` the answer is text.

    `schema` is the JSON Schema of the result. `check` receives a result that matches it and returns the
    result to keep, or raises `ValueError` with the problem, which is reported to the agent. `directory` is
    the working directory of an agent that edits, `conversation` the id of a conversation to resume. `tag`
    marks the agent's processes, which are killed `grace` seconds after a request to stop, and which run in
    the `sandbox`.
    """

    prompt: str
    instructions: str = ""
    schema: Mapping[str, Any] | None = None
    check: Callable[[Any], Any] | None = None
    model: str = ""
    limits: Limits = Limits()
    directory: str = ""
    access: Access = "edit"
    conversation: str = ""
    tag: str = ""
    grace: float = DEFAULT_GRACE
    sandbox: SandboxEntry | None = None


class BaseAgentEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """Something that happened while an agent worked."""


class AgentStarted(BaseAgentEvent, frozen=True, tag="started"):
    """The agent accepted the task. `conversation` is the id to resume it with, if it has one."""

    agent: str
    model: str = ""
    conversation: str = ""


class TextDelta(BaseAgentEvent, frozen=True, tag="said"):
    """Text from the agent."""

    text: str


class ToolUsed(BaseAgentEvent, frozen=True, tag="did"):
    """A tool that the agent used, and its target."""

    tool: str
    title: str = ""


class ToolRefused(BaseAgentEvent, frozen=True, tag="refused"):
    """A tool that the agent was not allowed to use, and the reason."""

    tool: str
    why: str = ""


class AgentWarning(BaseAgentEvent, frozen=True, tag="warned"):
    """Something that a person should know although the task goes on."""

    text: str


class Usage(BaseAgentEvent, frozen=True, tag="spent"):
    """The usage since the last event of this kind; `cost` is in US dollars, None if unknown.

    `model` is the model that answered, if several were named. With `is_estimate` the provider reported no
    tokens, and they were counted here.
    """

    input: int
    output: int
    cached: int = 0
    calls: int = 1
    cost: float | None = None
    model: str = ""
    is_estimate: bool = False

    def to_outputs(self) -> dict[str, Any]:
        """Return the tokens and the cost as the outputs of a step."""
        return {
            "tokens": self.input + self.output,
            "usage": {"input": self.input, "output": self.output, "cached": self.cached},
            "cost": self.cost,
        }


class AgentEnded(BaseAgentEvent, frozen=True, tag="ended"):
    """The end of a task; `output` is the result as plain data, `fix` the remedy for an error."""

    status: Status
    output: Any = None
    error: str = ""
    fix: str = ""


AgentEvent = AgentStarted | TextDelta | ToolUsed | ToolRefused | AgentWarning | Usage | AgentEnded
NO_USAGE = Usage(0, 0, calls=0, cost=0.0)


class AgentResult(NamedTuple):
    """The last event of a task and the total usage."""

    ended: AgentEnded
    usage: Usage


def collect_result(events: Iterable[AgentEvent]) -> AgentResult:
    """Return the last event and the total usage of a stream of events."""
    ended, spent = AgentEnded("failed", error="the agent ended without an answer"), NO_USAGE
    for event in events:
        if isinstance(event, Usage):
            spent = total_usage(spent, event)
        elif isinstance(event, AgentEnded):
            ended = event
    return AgentResult(ended, spent)


def total_usage(first: Usage, second: Usage) -> Usage:
    """Return the sum of two usages; the cost is known only if both costs are."""
    unknown = first.cost is None or second.cost is None
    return Usage(
        first.input + second.input,
        first.output + second.output,
        first.cached + second.cached,
        first.calls + second.calls,
        None if unknown else (first.cost or 0.0) + (second.cost or 0.0),
        is_estimate=first.is_estimate or second.is_estimate,
    )


class AgentRequest(NamedTuple):
    """The circumstances of an agent that is to be created.

    `argument` is the part of its name after a colon: `gemini` of `acp:gemini`. `environ` is the environment
    of the caller. `script` is a file of answers. `elsewhere` is a `TerminalRunner`, or None.
    """

    argument: str
    environ: Mapping[str, str]
    script: str = ""
    elsewhere: Any = None


class Agent(Protocol):
    """Answers tasks. Safe to use from several threads at once."""

    name: str
    capabilities: Capabilities

    def run(self, task: Task, stop: Stop) -> Iterator[AgentEvent]:
        """Yield events as they happen; `AgentStarted` is first and `AgentEnded` last, whatever fails."""
        ...

    def close(self) -> None:
        """Release the agent's resources."""
        ...
