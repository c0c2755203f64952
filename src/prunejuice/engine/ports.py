"""Protocols of the engine: the store and the step runner that the driver works with."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from prunejuice.engine.event import (
    ActionRefused,
    ArtifactStored,
    AttentionRequested,
    ConversationStarted,
    Event,
    FailureReason,
    SnapshotTaken,
    WorkspaceSet,
)
from prunejuice.engine.run import InterruptedVisit, Run, StepRun
from prunejuice.engine.view import RunSummary
from prunejuice.system.stop_request import Stop
from prunejuice.workflow.graph import Step
from prunejuice.workflow.plan import Plan
from prunejuice.workflow.workspace import Workspace


class StepResult(NamedTuple):
    """The result of a step. `blocked` means that it needs a person; `output` is the tail of its output."""

    ok: bool
    error: str = ""
    reason: FailureReason = ""
    exit_code: int | None = None
    outputs: Mapping[str, Any] = {}
    output: str = ""
    blocked: bool = False
    fix: str = ""


class StepContext(NamedTuple):
    """The context of one step execution.

    `expression_data` holds the values that expressions can read, `directory` is the run's directory,
    `log` the step's log file, `timeout` is in seconds, and `tag` marks the step's processes. `emit` records
    an event of the step, `report_line` shows its latest line of output, and `call_command` runs another
    command as a nested run.
    """

    run: Run
    step: Step
    visit: int
    attempt: int
    expression_data: Mapping[str, Any]
    directory: Path
    log: Path
    timeout: float
    stop: Stop
    tag: str
    emit: Callable[
        [
            WorkspaceSet
            | ArtifactStored
            | ConversationStarted
            | AttentionRequested
            | ActionRefused
            | SnapshotTaken
        ],
        None,
    ]
    report_line: Callable[[str], None]
    call_command: Callable[["StepContext", str, Mapping[str, Any]], StepResult]

    @property
    def workspace(self) -> Workspace:
        """The workspace of the run."""
        return self.run.workspace

    @property
    def plan(self) -> Plan:
        """The plan of the run."""
        return self.run.plan


class StepRunner(Protocol):
    """Runs steps."""

    def run_step(self, handle: StepContext) -> StepResult:
        """Run a step; return only after all of its processes have ended.

        Raises:
            PruneJuiceError: The step fails; a `HumanNeededError` blocks it instead.
        """
        ...

    def recover_result(self, run: Run, visit: StepRun, directory: Path) -> StepResult | None:
        """Return the result of a step that finished after its driver died, or None if it did not finish."""
        ...

    def restore_files(self, run: Run, interrupted_visits: Sequence[InterruptedVisit]) -> str:
        """Revert the changes of interrupted steps; return the operation id, or an empty string if none."""
        ...

    def kill_processes(self, tag: str) -> int:
        """Kill the processes that carry `tag`; return their number."""
        ...

    def end_run(self, run_id: str) -> None:
        """Stop what runs beside the steps of a run, when nothing drives it any more."""
        ...


class Store(Protocol):
    """Stores the run history. Events of a run are numbered from 1 and append-only."""

    def create(self, run_id: str, events: Sequence[Event], summary: RunSummary) -> None:
        """Store the first events of a new run."""
        ...

    def append(self, run_id: str, after: int, events: Sequence[Event], summary: RunSummary) -> None:
        """Append events atomically and durably.

        Raises:
            SupersededError: Event `after + 1` exists already: another process drives the run.
            StoreError: The events could not be stored; none was.
        """
        ...

    def read_events(self, run_id: str, after: int = 0) -> list[Event]:
        """Return the events of a run with numbers above `after`."""
        ...

    def summaries(
        self,
        *,
        statuses: Sequence[str] = (),
        project: str = "",
        limit: int = 1000,
        children: bool = False,
    ) -> list[RunSummary]:
        """Return run summaries, newest first; empty filters match every run."""
        ...

    def find_run_ids(self, prefix: str) -> list[str]:
        """Return up to ten run ids that start with `prefix`."""
        ...

    def delete_run(self, run_id: str) -> None:
        """Delete a run and its nested runs, with their events."""
        ...


class TrustStore(Protocol):
    """Stores which files of a project a person trusted."""

    def trusted_files(self, project: str) -> dict[str, str]:
        """Return the trusted files of a project as path to digest; empty if it was never trusted."""
        ...

    def trust_files(self, project: str, files: Mapping[str, str]) -> None:
        """Replace the trusted files of a project."""
        ...
