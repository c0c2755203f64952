"""Agents that keep what another said, and that say it again."""

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from prunejuice.agent import AgentEvent, Can, Ended, Started, Task
from prunejuice.errors import UsageError
from prunejuice.protocols import Agent, Stop
from prunejuice.screening import masked


class Record(msgspec.Struct, frozen=True):
    """What happened for one task; `task` is a digest of everything that was asked.

    `edits` when the agent changed files by itself: it is asked in other words.
    """

    task: str
    begins: str
    events: list[AgentEvent]
    edits: bool = False


class Recorder:
    """Another agent, and a file of JSON lines that every task it answered is added to, secrets masked."""

    def __init__(self, agent: Agent, path: Path) -> None:
        self.name, self.can, self._agent, self._path = agent.name, agent.can, agent, path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from error

    def run(self, task: Task, stop: Stop) -> Iterator[AgentEvent]:
        """Pass everything on, and keep it when it has ended."""
        events = []
        for event in self._agent.run(task, stop):
            events.append(event)
            yield event
        begins = " ".join(task.prompt.split())[:120]
        record = Record(digest(task), begins, events, self.can.edits)
        line = msgspec.json.encode(_masked(msgspec.to_builtins(record)))
        with self._lock, self._path.open("ab") as file:
            file.write(line + b"\n")

    def close(self) -> None:
        """Close the agent."""
        self._agent.close()


class Replayer:
    """Answers tasks with what was recorded for the same ones; nothing else is asked."""

    name = "replay"

    def __init__(self, path: Path) -> None:
        """Read a recording.

        Raises:
            UsageError: it is not there, or is none.
        """
        self._path = path
        self._lock = threading.Lock()
        self._records: dict[str, list[Record]] = {}
        number = 0
        try:
            for line in path.read_bytes().splitlines():
                number += 1
                record = msgspec.json.decode(line, type=Record)
                self._records.setdefault(record.task, []).append(record)
        except OSError as error:
            raise UsageError(f"the recording {path} cannot be read: {error.strerror}") from error
        except msgspec.DecodeError as error:
            raise UsageError(f"{path}:{number} is no line of a recording: {error}") from error
        edits = any(record.edits for records in self._records.values() for record in records)
        self.can = Can(edits=edits)

    @property
    def model(self) -> str:
        """One that was asked; nothing when none was named."""
        return next(iter(self.models), "")

    @property
    def models(self) -> list[str]:
        """The models that were asked, as they were named."""
        events = (event for records in self._records.values() for each in records for event in each.events)
        return sorted({event.model for event in events if isinstance(event, Started) and event.model})

    def run(self, task: Task, stop: Stop) -> Iterator[AgentEvent]:  # noqa: ARG002 - it takes no time
        """Say what was said; the last record of a task serves as often as it is asked for."""
        with self._lock:
            records = self._records.get(digest(task), [])
            record = records.pop(0) if len(records) > 1 else records[0] if records else None
        if record is not None:
            yield from record.events
            return
        yield Started(self.name, task.model)
        begins = " ".join(task.prompt.split())[:60]
        yield Ended("failed", error=f"{self._path} has no answer to {begins!r}", fix=self._fix(task.model))

    def _fix(self, model: str) -> str:
        """What may be why there is no answer: another model, or files that were others."""
        if self.models and model not in self.models:
            return f"it was recorded with --model {' or '.join(self.models)}"
        return "files or words are not as they were: record it anew with --record"

    def close(self) -> None:
        """Nothing is held."""


def _masked(found: Any) -> Any:
    """Data without the secrets in its texts."""
    match found:
        case str():
            return masked("", found)
        case dict():
            return {name: _masked(each) for name, each in found.items()}
        case list() | tuple():
            return [_masked(each) for each in found]
    return found


def digest(task: Task) -> str:
    """What tells tasks apart: everything that is asked, but not how long it may take."""
    asked = (task.prompt, task.instructions, task.schema, task.model)
    return hashlib.sha256(msgspec.json.encode(asked, order="deterministic")).hexdigest()[:32]
