"""What an agent is asked, and what it says while it works."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

Status = Literal["ok", "limit", "denied", "cancelled", "failed"]
Access = Literal["read", "edit", "full"]
"""What an agent may do in its directory: look, change files, or run commands too."""


TASK = ".codebot/task.md"
"""Where a program that a person works with finds what is to be done; no change of the tree."""


class Can(NamedTuple):
    """What an agent can do by itself; the contract of agents holds each to it.

    `edits`: it changes files of a directory instead of answering with edits. `schema`: its results fit a
    schema. `cost`: it says what it took in US dollars. `resume`: a conversation can be gone on with.
    `approve`: it asks before it does what it may not. `stream`: it says what it does while it works.
    `model`: it works with the one that is named. `keeps` are the limits that it can be held to; `priced`
    when what it costs is known only where the model has a price.
    """

    edits: bool = False
    schema: bool = True
    cost: bool = True
    resume: bool = False
    approve: bool = False
    stream: bool = False
    model: bool = True
    keeps: Collection[str] = ("cost", "tokens", "seconds", "turns")
    priced: bool = False


class Limits(NamedTuple):
    """`cost` in US dollars, `tokens` of both directions, `seconds` of wall time, `rounds` of calls.

    `turns` is how often a program that works by itself may ask its model within one round.
    """

    cost: float | None = None
    tokens: int | None = None
    seconds: float | None = None
    rounds: int | None = None
    turns: int | None = None

    def less(self, spent: "Spent") -> "Limits":
        """What is left of money and tokens."""
        cost = None if self.cost is None else self.cost - (spent.cost or 0.0)
        tokens = None if self.tokens is None else self.tokens - spent.input - spent.output
        return self._replace(cost=cost, tokens=tokens)


class Task(NamedTuple):
    """One thing to answer. Without a `schema` the answer is text.

    `schema` is the JSON Schema of the result. `check` sees a result that fits it and returns what is to
    be kept; it raises `ValueError` with what is wrong, which is told to the agent. `directory` is where an
    agent that edits works, `conversation` one of its own to go on with; `tag` marks its processes.
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


class Happening(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """Something that happened while an agent worked."""


class Started(Happening, frozen=True, tag="started"):
    """The agent took the task; its conversation can be taken up again by this id, where it has one."""

    agent: str
    model: str = ""
    conversation: str = ""


class Said(Happening, frozen=True, tag="said"):
    """Text of the agent."""

    text: str


class Did(Happening, frozen=True, tag="did"):
    """A tool that the agent used, and on what."""

    tool: str
    title: str = ""


class Refused(Happening, frozen=True, tag="refused"):
    """What the agent wanted to do and may not."""

    tool: str
    why: str = ""


class Spent(Happening, frozen=True, tag="spent"):
    """What calls took since the last such event; `cost` in US dollars, None where it is not known.

    `model` is who answered, where several were named.
    """

    input: int
    output: int
    cached: int = 0
    calls: int = 1
    cost: float | None = None
    model: str = ""


class Ended(Happening, frozen=True, tag="ended"):
    """How it ended; `output` is the result as plain data, `fix` what to do about an error."""

    status: Status
    output: Any = None
    error: str = ""
    fix: str = ""


AgentEvent = Started | Said | Did | Refused | Spent | Ended


NOTHING = Spent(0, 0, calls=0, cost=0.0)


class Answer(NamedTuple):
    """All of what happened, taken together."""

    ended: Ended
    spent: Spent


def taken(events: Iterable[AgentEvent]) -> Answer:
    """The end of it, and the sum of what was spent."""
    ended, spent = Ended("failed", error="the agent ended without an answer"), NOTHING
    for event in events:
        if isinstance(event, Spent):
            spent = added(spent, event)
        elif isinstance(event, Ended):
            ended = event
    return Answer(ended, spent)


def added(one: Spent, other: Spent) -> Spent:
    """The sum; its cost is known when both are."""
    unknown = one.cost is None or other.cost is None
    return Spent(
        one.input + other.input,
        one.output + other.output,
        one.cached + other.cached,
        one.calls + other.calls,
        None if unknown else (one.cost or 0.0) + (other.cost or 0.0),
    )
