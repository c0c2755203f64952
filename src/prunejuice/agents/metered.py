"""What agents cost, kept for all of them: a line for what each task took, and a limit for each day."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from prunejuice.agent import AgentEvent, Ended, Spent, Started, Task
from prunejuice.errors import StoreError
from prunejuice.protocols import Agent, Stop


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one task took: `at` is seconds since 1970, `cost` in US dollars, None where it is not known."""

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

    @property
    def day(self) -> str:
        """The day, where one is."""
        return time.strftime("%Y-%m-%d", time.localtime(self.at))


class Ledger:
    """A file of JSON lines that processes add to at once; a line that was cut off is passed over."""

    def __init__(self, home: Path) -> None:
        self._path = home / "usage.jsonl"

    def add(self, usage: Usage) -> None:
        """Keep what a task took.

        Raises:
            StoreError: it cannot be written.
        """
        line = msgspec.json.encode(usage) + b"\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, line)  # one call: lines of several processes do not mix
            finally:
                os.close(fd)
        except OSError as error:
            raise StoreError(f"{self._path} cannot be written: {error.strerror}") from error

    def all(self) -> list[Usage]:
        """Everything that was kept, oldest first."""
        found = []
        try:
            rows = self._path.read_bytes().splitlines()
        except OSError:
            return []
        for row in rows:
            try:
                found.append(msgspec.json.decode(row, type=Usage))
            except msgspec.DecodeError:
                continue
        return found

    def today(self) -> float:
        """US dollars of this day, as far as they are known."""
        day = time.strftime("%Y-%m-%d")
        return sum(each.cost or 0.0 for each in self.all() if each.day == day)


class Metered:
    """An agent whose tasks are written into a ledger; none begins when the limit of a day is reached."""

    def __init__(
        self, agent: Agent, ledger: Ledger, command: str, most: float = 0.0, run: str = ""
    ) -> None:
        """`most` is US dollars a day; 0 is no limit. `run` is what it is taken for, if it is one."""
        self.name, self.can, self._agent, self._ledger = agent.name, agent.can, agent, ledger
        self._command, self._most, self._run = command, most, run

    def run(self, task: Task, stop: Stop) -> Iterator[AgentEvent]:
        """Pass everything on, and keep what it took."""
        if self._most and (spent := self._ledger.today()) >= self._most:
            yield Started(self.name, task.model)
            said = f"${spent:.2f} of ${self._most:.2f} a day are used up"
            yield Ended(
                "limit",
                error=said,
                fix="raise daily_cost in config.yaml; codebot cost shows what it went for",
            )
            return
        for event in self._agent.run(task, stop):
            if isinstance(event, Spent):
                self._ledger.add(self._usage(event, task.model))
            yield event

    def _usage(self, spent: Spent, model: str) -> Usage:
        tokens = spent.input, spent.output, spent.cached
        return Usage(
            time.time(),
            self._command,
            spent.model or model,
            self.name,
            *tokens,
            spent.calls,
            spent.cost,
            self._run,
        )

    def close(self) -> None:
        """Close the agent."""
        self._agent.close()
