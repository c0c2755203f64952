"""The ports: what use cases ask of the world. Adapters answer; a shipped fake of each keeps tests real."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from prunejuice.agent import AgentEvent, Can, Task
from prunejuice.event import (
    ArtifactStored,
    ConversationBegun,
    Event,
    PersonCalled,
    Reason,
    SnapshotTaken,
    WorkspaceSet,
)
from prunejuice.plan import Plan
from prunejuice.run import Cut, Run, StepRun
from prunejuice.view import Summary
from prunejuice.workflow import Step
from prunejuice.workspace import Workspace

STOP, KILL = 1, 2


class Stop:
    """A request to stop, that threads can poll and `select` can wait for. It only ever rises."""

    def __init__(self) -> None:
        self.level = 0
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)

    def request(self, level: int) -> None:
        """Ask for an orderly stop (`STOP`) or one at once (`KILL`); safe in a signal handler."""
        if level > self.level:
            self.level = level
            os.write(self._writer, b"x")

    def requested(self) -> bool:
        """Whether a stop of any kind was asked for."""
        return self.level > 0

    def fileno(self) -> int:
        """Readable for every request made; each waiter polls `level` and need not read it."""
        return self._reader

    def close(self) -> None:
        """Give the descriptors back."""
        os.close(self._reader)
        os.close(self._writer)


class StepResult(NamedTuple):
    """How a step went. `blocked` means that only a person can go on; `output` is a tail of text."""

    ok: bool
    error: str = ""
    reason: Reason = ""
    exit_code: int | None = None
    outputs: Mapping[str, Any] = {}
    output: str = ""
    blocked: bool = False
    fix: str = ""


class Handle(NamedTuple):
    """The one object a step receives.

    `facts` is what its expressions read; `directory` the run's own folder; `log` the step's log file;
    `timeout` seconds; `tag` marks its processes. `emit` reports a new workspace or artifact, `tell`
    the last line of output, `call` runs another command inside this run.
    """

    run: Run
    step: Step
    visit: int
    attempt: int
    facts: Mapping[str, Any]
    directory: Path
    log: Path
    timeout: float
    stop: Stop
    tag: str
    emit: Callable[[WorkspaceSet | ArtifactStored | ConversationBegun | PersonCalled | SnapshotTaken], None]
    tell: Callable[[str], None]
    call: Callable[["Handle", str, Mapping[str, Any]], StepResult]

    @property
    def workspace(self) -> Workspace:
        """Where the run works."""
        return self.run.workspace

    @property
    def plan(self) -> Plan:
        """What the run was going to do."""
        return self.run.plan


class Steps(Protocol):
    """Carries steps out."""

    def carry_out(self, handle: Handle) -> StepResult:
        """Do what the step says; only returns when nothing of it is left running.

        Raises:
            PruneJuiceError: the step cannot be done; `HumanNeededError` blocks it instead.
        """
        ...

    def adopt(self, run: Run, visit: StepRun, directory: Path) -> StepResult | None:
        """The result of a step that finished although its driver died; None when it did not."""
        ...

    def put_back(self, run: Run, cut: Sequence[Cut]) -> str:
        """Take back what steps that were cut off had changed; the operation that did it, if any did."""
        ...

    def sweep(self, tag: str) -> int:
        """Kill what is left of the processes that carry `tag`; how many there were."""
        ...


class Agent(Protocol):
    """Answers a task. Safe to use from several threads at once."""

    name: str
    can: Can

    def run(self, task: Task, stop: Stop) -> Iterator[AgentEvent]:
        """What happens, as it happens; `Started` comes first and `Ended` last, whatever goes wrong."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


class Store(Protocol):
    """Keeps the history. Events of a run are numbered from 1 and only ever appended."""

    def create(self, run_id: str, events: Sequence[Event], summary: Summary) -> None:
        """Keep the first events of a new run."""
        ...

    def append(self, run_id: str, after: int, events: Sequence[Event], summary: Summary) -> None:
        """Keep more events, all or none, durably.

        Raises:
            SupersededError: event `after + 1` is there already: somebody else drives the run.
            StoreError: nothing was kept.
        """
        ...

    def history(self, run_id: str, after: int = 0) -> list[Event]:
        """The events of a run with numbers above `after`."""
        ...

    def summaries(
        self,
        *,
        statuses: Sequence[str] = (),
        project: str = "",
        limit: int = 1000,
        children: bool = False,
    ) -> list[Summary]:
        """Lines about runs, newest first."""
        ...

    def find(self, prefix: str) -> list[str]:
        """The ids that begin with `prefix`, at most ten."""
        ...

    def forget(self, run_id: str) -> None:
        """Remove a run and the runs inside it, with their events."""
        ...

    def pins(self, project: str) -> dict[str, str]:
        """The files of a project that were trusted: path to digest. Empty when it never was."""
        ...

    def pin(self, project: str, files: Mapping[str, str]) -> None:
        """Trust exactly these files of a project from now on."""
        ...
