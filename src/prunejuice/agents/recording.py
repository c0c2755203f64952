"""Agents that record the answers of another agent, and that replay them."""

import hashlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from prunejuice.agents.protocol import Agent, AgentEnded, AgentEvent, AgentStarted, Capabilities, Task
from prunejuice.code.mask_secrets import mask_secrets
from prunejuice.errors import UsageError
from prunejuice.system.stop_request import Stop

PROMPTS = 2
"""The version of our prompts. Recordings made with older ones cannot be matched by digest."""


class RecordedTask(msgspec.Struct, frozen=True):
    """The events of a task; `task` is a digest of everything that was asked.

    `edits` is set if the agent edited files itself, because such an agent gets a different prompt.
    `prompts` is the version of our prompts; 0.5 did not record it.
    """

    task: str
    begins: str
    events: list[AgentEvent]
    edits: bool = False
    prompts: int = 1


class RecordingAgent:
    """An agent that appends every answered task to a file of JSON lines, secrets masked."""

    def __init__(self, agent: Agent, path: Path) -> None:
        self.name, self.capabilities, self._agent, self._path = agent.name, agent.capabilities, agent, path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        except OSError as error:
            raise UsageError(f"could not write {path}: {error.strerror}") from error

    def run(self, task: Task, stop: Stop) -> Iterator[AgentEvent]:
        """Yield the agent's events, and record them when the task has ended."""
        events = []
        for event in self._agent.run(task, stop):
            events.append(event)
            yield event
        begins = " ".join(task.prompt.split())[:120]
        record = RecordedTask(task_digest(task), begins, events, self.capabilities.edits, PROMPTS)
        line = msgspec.json.encode(_mask_data(msgspec.to_builtins(record)))
        with self._lock, self._path.open("ab") as file:
            file.write(line + b"\n")

    def close(self) -> None:
        """Close the agent."""
        self._agent.close()


class ReplayAgent:
    """An agent that answers tasks with their recorded events, without any model."""

    name = "replay"

    def __init__(self, path: Path) -> None:
        """Read a recording.

        Raises:
            UsageError: the file could not be read, or is not a recording.
        """
        self._path = path
        self._lock = threading.Lock()
        self._records: dict[str, list[RecordedTask]] = {}
        self._older: list[RecordedTask] = []
        number = 0
        try:
            for line in path.read_bytes().splitlines():
                number += 1
                record = msgspec.json.decode(line, type=RecordedTask)
                self._records.setdefault(record.task, []).append(record)
                if record.prompts < PROMPTS:
                    self._older.append(record)
        except OSError as error:
            raise UsageError(f"could not read the recording {path}: {error.strerror}") from error
        except msgspec.DecodeError as error:
            raise UsageError(f"{path}:{number} is not a line of a recording: {error}") from error
        edits = any(record.edits for records in self._records.values() for record in records)
        self.capabilities = Capabilities(edits=edits)

    @property
    def model(self) -> str:
        """A recorded model; empty if none was named."""
        return next(iter(self.models), "")

    @property
    def models(self) -> list[str]:
        """The recorded models, by the names they were requested with."""
        events = (
            event for records in self._records.values() for record in records for event in record.events
        )
        return sorted({event.model for event in events if isinstance(event, AgentStarted) and event.model})

    def run(self, task: Task, stop: Stop) -> Iterator[AgentEvent]:  # noqa: ARG002 - a replay is instant
        """Yield the recorded events of a task; its last record is repeated as often as needed."""
        with self._lock:
            # Several records of a task are replayed in their order; the last one stays.
            digests = (task_digest(task), task_digest(task, exact=True))
            records = next((self._records[digest] for digest in digests if digest in self._records), [])
            record = (
                records.pop(0) if len(records) > 1 else records[0] if records else self._take_older(task)
            )
        if record is not None:
            yield from record.events
            return
        yield AgentStarted(self.name, task.model)
        begins = " ".join(task.prompt.split())[:60]
        yield AgentEnded(
            "failed", error=f"{self._path} has no answer to {begins!r}", fix=self._mismatch_hint(task.model)
        )

    def _take_older(self, task: Task) -> RecordedTask | None:
        """Return the next record of an older version that asked the same model, in recorded order."""
        for record in self._older:
            started = next((event for event in record.events if isinstance(event, AgentStarted)), None)
            if started is None or started.model == task.model:
                self._older.remove(record)
                return record
        return None

    def _mismatch_hint(self, model: str) -> str:
        """Return a fix for a missing answer: another model, or changed files."""
        if self.models and model not in self.models:
            return f"use the recorded model: --model {' or '.join(self.models)}"
        return "the files or the request have changed: record the answers again with --record"

    def close(self) -> None:
        """Do nothing: a replay holds no resources."""


def _mask_data(data: Any) -> Any:
    """Return data with the secrets in its texts masked."""
    match data:
        case str():
            return mask_secrets("", data)
        case dict():
            return {name: _mask_data(value) for name, value in data.items()}
        case list() | tuple():
            return [_mask_data(value) for value in data]
    return data


_VOLATILE_TEXT = re.compile(
    r"0x[0-9a-f]{6,}|\b\d+(?:\.\d+)? ?(?:s|ms|secs?|seconds?)\b|\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b"
    r"|/(?:private/)?(?:tmp|var/folders)/[\w./+-]+"
)
"""Text that differs between two equal runs of a check: addresses, times, temporary paths."""


def task_digest(task: Task, *, exact: bool = False) -> str:
    """Return a digest that identifies a task: everything that is asked, but not its limits.

    What differs from one run of a check to the next is left out, unless the digest is `exact`: recordings
    of earlier versions have exact ones.
    """
    prompt = task.prompt if exact else _VOLATILE_TEXT.sub("", task.prompt)
    identity = (prompt, task.instructions, task.schema, task.model)
    return hashlib.sha256(msgspec.json.encode(identity, order="deterministic")).hexdigest()[:32]
