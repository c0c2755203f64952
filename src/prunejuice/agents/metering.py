"""The usage of all agents: a ledger with a line for each task, and a limit of the cost per day."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from prunejuice.agents.budget import reached_cost_limit
from prunejuice.agents.protocol import (
    NO_USAGE,
    Agent,
    AgentEnded,
    AgentEvent,
    AgentStarted,
    Task,
    Usage,
    total_usage,
)
from prunejuice.errors import StoreError
from prunejuice.system.private import make_private_folder
from prunejuice.system.stop_request import Stop


class LedgerEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """The usage of a task: `at` is seconds since 1970, `cost` is in US dollars, None if unknown.

    With `is_estimate` the provider reported no tokens, and they were counted here.
    """

    at: float
    command: str
    model: str
    agent: str
    input: int
    output: int
    cached: int = 0
    calls: int = 1
    cost: float | None = None
    run: str = ""
    is_estimate: bool = False

    @property
    def day(self) -> str:
        """The day in local time, as YYYY-MM-DD."""
        return time.strftime("%Y-%m-%d", time.localtime(self.at))


class Ledger:
    """A file of JSON lines that several processes append to at once; invalid lines are skipped."""

    def __init__(self, home: Path) -> None:
        self._path = home / "usage.jsonl"

    def add(self, usage: LedgerEntry) -> None:
        """Append the usage of a task.

        Raises:
            StoreError: the file could not be written.
        """
        line = msgspec.json.encode(usage) + b"\n"
        try:
            make_private_folder(self._path.parent)
            fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, line)  # a single write: lines of several processes do not mix
            finally:
                os.close(fd)
        except OSError as error:
            raise StoreError(f"could not write {self._path}: {error.strerror}") from error

    def entries(self) -> list[LedgerEntry]:
        """Return all entries, the oldest first."""
        entries = []
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError:
            return []
        for line in lines:
            try:
                entries.append(msgspec.json.decode(line, type=LedgerEntry))
            except msgspec.DecodeError:
                continue
        return entries

    def cost_today(self) -> float:
        """Return the known cost of today in US dollars."""
        day = time.strftime("%Y-%m-%d")
        return sum(entry.cost or 0.0 for entry in self.entries() if entry.day == day)


class MeteredAgent:
    """An agent that records its usage in a ledger, and starts no task once the daily limit is reached.

    `spent` is the usage of all tasks so far.
    """

    def __init__(
        self, agent: Agent, ledger: Ledger, command: str, most: float = 0.0, run: str = ""
    ) -> None:
        """Set the limit to `most` US dollars a day, 0 for no limit; `run` is the id of the run, if any."""
        self.name, self.capabilities, self._agent, self._ledger = (
            agent.name,
            agent.capabilities,
            agent,
            ledger,
        )
        self._command, self._most, self._run = command, most, run
        self.spent = NO_USAGE

    def run(self, task: Task, stop: Stop) -> Iterator[AgentEvent]:
        """Yield the agent's events, and record its usage."""
        if self._most and (spent := self._ledger.cost_today()) >= self._most:
            yield AgentStarted(self.name, task.model)
            message = f"today's {reached_cost_limit(spent, self._most)}"
            yield AgentEnded(
                "limit",
                error=message,
                fix="raise daily_cost in config.yaml; `codebot cost` shows the spending",
            )
            return
        for event in self._agent.run(task, stop):
            if isinstance(event, Usage):
                self._ledger.add(self._to_entry(event, task.model))
                self.spent = total_usage(self.spent, event)
            yield event

    def _to_entry(self, spent: Usage, model: str) -> LedgerEntry:
        tokens = spent.input, spent.output, spent.cached
        return LedgerEntry(
            time.time(),
            self._command,
            spent.model or model,
            self.name,
            *tokens,
            spent.calls,
            spent.cost,
            self._run,
            spent.is_estimate,
        )

    def close(self) -> None:
        """Close the agent."""
        self._agent.close()
