"""What agents that are programs share: turns until a result fits, and names for what goes wrong."""

import json
import re
from collections.abc import Iterator, Mapping
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from prunejuice.agent import AgentEvent, Ended, Refused, Said, Started, Task
from prunejuice.agents import endpoint
from prunejuice.agents.endpoint import Endpoint, Heard
from prunejuice.agents.program import Program
from prunejuice.errors import MissingToolError
from prunejuice.protocols import Stop
from prunejuice.text import safe_line

_CORRECTIONS = 2
_LOST = re.compile("no conversation found|no rollout found", re.IGNORECASE)
"""How agents say that they have no such conversation."""
_SUBMIT = (
    "You have not handed in a result that fits. Call the tool submit_result (of the server "
    f"{endpoint.NAME}) with it now, and do nothing else. If you have no such tool, answer with the result "
    "as JSON in one block that begins with ```json, and with nothing besides. It has to fit this schema: "
)


class Talker(Protocol):
    """An agent that is a program and holds conversations."""

    name: str
    asks_endpoint: bool
    """Whether it asks the endpoint before it does what it may not."""

    def begun(self, task: Task) -> str:
        """The id of the conversation, empty when only the first turn tells it."""
        ...

    def turn(self, task: Task, prompt: str, told: str, stop: Stop, end: Endpoint) -> Iterator[AgentEvent]:
        """What happens in one turn; its own `Started` when only that tells the id."""
        ...


def held(agent: Talker, task: Task, stop: Stop) -> Iterator[AgentEvent]:
    """Let an agent work, and go on with it until its result fits; what the endpoint hears is told."""
    return _Talk(agent, task, stop).events()


class _Talk:
    """One conversation: its id, and what came of the turn before."""

    def __init__(self, agent: Talker, task: Task, stop: Stop) -> None:
        self.agent, self.task, self.stop = agent, task, stop
        self.told = agent.begun(task)
        self.heard: SimpleQueue[Heard] = SimpleQueue()
        self.ended = Ended("failed", error=f"{agent.name} ended without an answer")

    def events(self) -> Iterator[AgentEvent]:
        if self.told:
            yield Started(self.agent.name, self.task.model, self.told)
        approves = self._approves if self.agent.asks_endpoint else None
        with endpoint.opened(self.task, approves, self.heard.put) as end:
            try:
                yield from self._turns(end)
            except MissingToolError as error:
                self.ended = Ended("failed", error=error.message, fix=error.fix)
            except OSError as error:
                wrong = f"{self.agent.name} cannot be started: {error.strerror or error}"
                self.ended = Ended("failed", error=wrong, fix="install it anew")
        if not self.told:
            yield Started(self.agent.name, self.task.model)
        yield self._answer(end)

    def _turns(self, end: Endpoint) -> Iterator[AgentEvent]:
        yield from self._turn(self.task.prompt, end)
        if self.task.conversation and _LOST.search(self.ended.error):
            yield from self._begun_anew(end)
        for _ in range(_CORRECTIONS):
            wanting = self.task.schema is not None and not end.submitted
            if not (wanting and self.ended.status == "ok" and self.told):
                return
            wrong = self._said_in_words(end)
            if end.submitted:
                return
            schema = json.dumps(self.task.schema)
            yield from self._turn(" ".join(filter(None, [wrong, f"{_SUBMIT}{schema}"])), end)
        self._said_in_words(end)

    def _begun_anew(self, end: Endpoint) -> Iterator[AgentEvent]:
        """Begin once more: the agent was killed before it had kept the conversation."""
        self.task = self.task._replace(conversation="")
        self.told = self.agent.begun(self.task)
        if self.told:
            yield Started(self.agent.name, self.task.model, self.told)
        yield from self._turn(self.task.prompt, end)

    def _said_in_words(self, end: Endpoint) -> str:
        """Take a result that stands in the answer of an agent without tools; what is wrong with it."""
        found = _block(str(self.ended.output or ""))
        if found is None:
            return ""
        try:
            end.answered("submit_result", {"result": found})
        except ValueError as error:
            return f"Your result does not fit: {error}."
        return ""

    def _turn(self, prompt: str, end: Endpoint) -> Iterator[AgentEvent]:
        for event in self.agent.turn(self.task, prompt, self.told, self.stop, end):
            yield from _told(self.heard)
            if isinstance(event, Ended):
                self.ended = event
                continue
            if isinstance(event, Started):
                if self.told:
                    continue
                self.told = event.conversation
            yield event
        yield from _told(self.heard)

    def _approves(self, tool: str, given: Mapping[str, Any]) -> str:
        return refusal_of(self.task, tool, given)

    def _answer(self, end: Endpoint) -> Ended:
        if self.task.schema is None or self.ended.status != "ok":
            return self.ended
        if end.submitted:
            return Ended("ok", output=end.result)
        wrong = f"{self.agent.name} handed in no result that fits"
        return Ended("failed", error=wrong, fix="ask again, or ask another agent: --agent")


def _told(heard: "SimpleQueue[Heard]") -> Iterator[AgentEvent]:
    while True:
        try:
            each = heard.get_nowait()
        except Empty:
            return
        if each.kind == "refused":
            yield Refused(each.text, each.about)
        else:
            yield Said(f"{'asks: ' if each.kind == 'ask' else ''}{each.text}")


def refusal_of(task: Task, tool: str, given: Mapping[str, Any]) -> str:  # noqa: ARG001 - by tool alone
    """Why a tool that asks may not be used; what lies in the grant does not ask."""
    if task.access == "full":
        return ""
    if tool in {"Edit", "Write", "NotebookEdit", "Read", "Grep", "Glob", "edit", "read"}:
        where = "looked at" if task.access == "read" else "read and changed"
        return f"only files below {task.directory} may be {where}"
    return "no commands, no network: checks are run for you"


def _block(text: str) -> Any:
    """The JSON that an answer is, or that stands in its last block; None when there is none."""
    fenced = re.findall(r"```(?:json)?[ \t]*\n(.*?)```", text, re.DOTALL)
    for each in (text, *fenced[::-1]):
        try:
            found = json.loads(each)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            return found
    return None


# -- reading what they print ------------------------------------------------------------------------


def message(line: bytes) -> dict[str, Any]:
    """One line of JSON; empty when it is none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def title(given: Mapping[str, Any]) -> str:
    """What a tool was used on, in a line."""
    for key in ("file_path", "path", "command", "pattern", "query", "url", "description"):
        if isinstance(given.get(key), str):
            return safe_line(given[key], 120)
    return ""


def first_line(text: Any) -> str:
    """The first line of what was said."""
    if isinstance(text, list):
        text = "; ".join(map(str, text))
    return safe_line(str(text).strip().split("\n")[0], 300)


def cut_off(name: str, running: Program) -> Ended:
    """The end of a program that said no end."""
    if running.silent:
        fix = "see whether the network and the provider are there, and ask again"
        return Ended("failed", error=f"{name} said nothing for {running.idle:g} seconds", fix=fix)
    if running.exit is None or running.exit.stopped:
        return Ended("cancelled", error="stopped")
    if running.exit.timed_out:
        return Ended("limit", error=f"{name} was not done in time", fix="raise --max-time")
    said = f": {running.errors}" if running.errors else ""
    return Ended(
        "failed", error=f"{name} ended without a result (exit {running.exit.code}){said}", fix="ask again"
    )


_REFUSALS: tuple[tuple[tuple[str, ...], tuple[int, ...], str, str], ...] = (
    (("missing environment variable",), (), "the key is missing", ""),
    (("api key", "logged in", "/login", "unauthorized"), (401, 403), "the login was refused", ""),
    (
        ("quota", "credit balance", "usage limit", "billing"),
        (),
        "the quota is used up",
        "see to billing, or ask another agent: --agent",
    ),
    (("too many requests", "rate limit"), (429,), "too many requests", "wait, and ask again"),
    (
        ("overloaded", "high demand"),
        (500, 502, 503, 504, 529),
        "the provider is overloaded",
        "wait, or name a second model: --model A,B",
    ),
    (
        ("connect", "network", "enotfound", "econnrefused", "stream disconnected"),
        (),
        "the provider cannot be reached",
        "see to the network and the base URL",
    ),
    ((), (404,), "there is no such model", "see the provider's list of models"),
)
"""Words and numbers of refusals, what they are called, and what to do; nothing is to log in."""


def refusal(status: Any, said: str, login: str) -> tuple[str, str]:
    """What a provider's refusal is called, and what to do about it."""
    low = said.lower()
    for words, numbers, what, fix in _REFUSALS:
        if status in numbers or any(word in low for word in words):
            return what, fix or login
    return "it failed", "ask again, or ask another agent: --agent"
