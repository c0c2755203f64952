"""The state of a run: one execution of a plan.

    pending ─start─▶ running ─end─▶ completed | failed | cancelled
                      │  ▲ ▲                        │
                      │  │ └──────────resume────────┘   (failed, cancelled)
                      │  └─resume─ waiting | interrupted
                      └─▶ waiting (for a person) | interrupted (the driver died)

A `Run` is immutable: `apply_event` returns the next state.
"""

from collections.abc import Iterable
from functools import reduce
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from prunejuice.engine import event as events
from prunejuice.engine.artifact import Artifact
from prunejuice.engine.event import Event, FailureReason
from prunejuice.errors import StoreError
from prunejuice.system.public_names import renamed
from prunejuice.workflow.plan import Plan
from prunejuice.workflow.workspace import Workspace

RunStatus = Literal["pending", "running", "waiting", "completed", "failed", "cancelled", "interrupted"]
StepStatus = Literal["pending", "running", "completed", "failed", "skipped"]

RUN_STATUSES: tuple[RunStatus, ...] = (
    "pending",
    "running",
    "waiting",
    "completed",
    "failed",
    "cancelled",
    "interrupted",
)
_MAX_REFUSALS = 100
FINAL_STATUSES: frozenset[RunStatus] = frozenset({"completed", "failed", "cancelled"})


class StepRun(Struct, frozen=True):
    """One visit to a step. The status `pending` means blocked: the step waits for a person.

    `called` is the message by which a running step asks for a person. `refused` is what a sandbox refused.
    """

    step: str
    visit: int
    status: StepStatus
    attempt: int = 1
    started: float = 0
    ended: float = 0
    exit_code: int | None = None
    error: str = ""
    fix: str = ""
    reason: FailureReason = ""
    outputs: dict[str, Any] = {}
    output: str = ""
    log: str = ""
    fires: tuple[str, ...] = ()
    asked: bool = False
    decided: bool = False
    called: str = ""
    refused: tuple[events.ActionRefused, ...] = ()


class InterruptedVisit(Struct, frozen=True):
    """A visit that was cut off; its partial changes can be reverted. `log` identifies the visit."""

    step: str
    log: str
    started: float


class Run(Struct, frozen=True):
    """The state of a run after a number of events; `sequence` is the number of the last event.

    `interrupted_visits` are visits that were cut off and `interrupted_at` is the time of the first
    interruption; `landed` records the branch that the work was merged into, `submitted` its pull request.
    `worked` is the number of seconds that earlier drivers worked; the present one began at `driven_since`
    (0: there is none).
    """

    id: str
    plan: Plan
    status: RunStatus
    workspace: Workspace
    created: float
    sequence: int = 1
    parent: str = ""
    started: float = 0
    ended: float = 0
    pid: int = 0
    host: str = ""
    cancelling: bool = False
    error: str = ""
    reason: FailureReason = ""
    cause: str = ""
    visits: tuple[StepRun, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    snapshots: tuple[events.SnapshotTaken, ...] = ()
    interrupted_visits: tuple[InterruptedVisit, ...] = ()
    interrupted_at: float = 0
    landed: events.RunLanded | None = None
    submitted: events.RunSubmitted | None = None
    conversations: tuple[events.ConversationStarted, ...] = ()
    worked: float = 0
    driven_since: float = 0
    dismissed: bool = False

    def visits_of(self, step: str) -> tuple[StepRun, ...]:
        """Return the visits to a step, oldest first."""
        return tuple(visit for visit in self.visits if visit.step == step)

    def last_visit(self, step: str) -> StepRun | None:
        """Return the latest visit to a step, or None."""
        return next((visit for visit in reversed(self.visits) if visit.step == step), None)

    def running_visits(self) -> tuple[StepRun, ...]:
        """Return the running visits."""
        return tuple(visit for visit in self.visits if visit.status == "running")

    def snapshot_range(self) -> tuple[str, str]:
        """Return the commits of the first and last snapshot, or two empty strings."""
        commits = [snapshot.commit for snapshot in self.snapshots if snapshot.commit]
        return (commits[0], commits[-1]) if commits else ("", "")

    def blocked_visits(self) -> tuple[StepRun, ...]:
        """Return the visits that wait for a person."""
        return tuple(visit for visit in self.visits if visit.status == "pending")

    of = renamed("Run.of", "Run.visits_of")
    last = renamed("Run.last", "Run.last_visit")
    running = renamed("Run.running", "Run.running_visits")
    blocked = renamed("Run.blocked", "Run.blocked_visits")


def is_tolerated(plan: Plan, visit: StepRun) -> bool:
    """Return whether the failure of a visit does not fail the run."""
    step = plan.workflow.steps[visit.step]
    return step.continue_on_error or step.stage == "cleanup"


def replay(run_id: str, history: Iterable[Event]) -> Run:
    """Return the state of a run after all of its events.

    Raises:
        StoreError: The history is empty or does not begin with the creation of the run.
    """
    remaining = iter(history)
    first = next(remaining, None)
    if not isinstance(first, events.RunCreated):
        raise StoreError(f"the history of run {run_id} does not begin with its creation")
    return reduce(apply_event, remaining, new_run(run_id, first))


def new_run(run_id: str, event: events.RunCreated) -> Run:
    """Return the state of a newly created run."""
    return Run(
        id=run_id,
        plan=event.plan,
        status="pending",
        workspace=event.plan.workspace or Workspace(event.plan.directory),
        created=event.at,
        parent=event.parent,
    )


def apply_event(run: Run, event: Event) -> Run:
    """Return the state of a run after one more event."""
    run = replace(run, sequence=run.sequence + 1)
    match event:
        case events.StepStarted():
            return replace(run, visits=_add_visit(run, event))
        case events.StepInterrupted() | events.StepReset():
            return _remove_visit(run, event)
        case (
            events.StepRetried()
            | events.StepBlocked()
            | events.StepEnded()
            | events.AttentionRequested()
            | events.ActionRefused()
        ):
            return replace(run, visits=_apply_visit_event(run, event))
        case (
            events.WorkspaceSet()
            | events.ArtifactStored()
            | events.ConversationStarted()
            | events.SnapshotTaken()
            | events.FilesRestored()
            | events.RunLanded()
            | events.RunSubmitted()
            | events.RunDismissed()
        ):
            return _apply_record_event(run, event)
        case events.RunCreated():
            raise StoreError(f"run {run.id} was created twice")
        case _:
            return _apply_status_event(run, event)


_RecordEvent = (
    events.WorkspaceSet
    | events.ArtifactStored
    | events.ConversationStarted
    | events.SnapshotTaken
    | events.FilesRestored
    | events.RunLanded
    | events.RunSubmitted
    | events.RunDismissed
)


def _apply_record_event(run: Run, event: _RecordEvent) -> Run:
    """Apply an event about the workspace, artifacts, conversations or changes of a run."""
    match event:
        case events.WorkspaceSet():
            return replace(run, workspace=event.workspace)
        case events.ArtifactStored():
            others = tuple(a for a in run.artifacts if a.name != event.artifact.name)
            return replace(run, artifacts=(*others, event.artifact))
        case events.ConversationStarted():
            return replace(run, conversations=(*run.conversations, event))
        case events.SnapshotTaken():
            return replace(run, snapshots=(*run.snapshots, event))
        case events.FilesRestored():
            return replace(run, interrupted_visits=(), interrupted_at=0)
        case _:
            return _apply_outcome_event(run, event)


def _apply_outcome_event(
    run: Run, event: events.RunLanded | events.RunSubmitted | events.RunDismissed
) -> Run:
    """Apply an event about what a person did with the work of a run."""
    match event:
        case events.RunSubmitted():
            return replace(run, submitted=event)
        case events.RunDismissed():
            return replace(run, dismissed=event.dismissed)
        case _:
            return replace(run, landed=event if event.into else None)


_StatusEvent = (
    events.RunStarted | events.RunEnded | events.RunCancelling | events.RunWaiting | events.RunInterrupted
)


def _apply_status_event(run: Run, event: _StatusEvent) -> Run:
    """Apply an event that changes the status of a run."""
    match event:
        case events.RunWaiting():
            return replace(_stop_clock(run, event.at), status="waiting")
        case events.RunInterrupted():
            # Edits after the first interruption are a person's: restoring files must not revert them.
            first_at = run.interrupted_at or event.at
            # When the driver died is unknown; the run is found dead later, perhaps after days.
            seen = max(run.driven_since, *(max(v.started, v.ended) for v in run.visits), 0)
            return replace(
                _stop_clock(run, seen),
                status="interrupted",
                ended=event.at,
                error=event.reason,
                interrupted_at=first_at,
            )
        case events.RunStarted():
            return replace(
                run,
                status="running",
                started=run.started or event.at,
                ended=0,
                pid=event.pid,
                host=event.host,
                cancelling=False,
                error="",
                reason="",
                cause="",
                landed=None,
                dismissed=False,
                driven_since=event.at,
                # Blocked steps are tried again; those that asked for a decision keep waiting for it.
                visits=tuple(v for v in run.visits if v.status != "pending" or v.asked),
            )
        case events.RunCancelling():
            return replace(run, cancelling=True, error=event.reason)
        case _:
            return replace(
                _stop_clock(run, event.at),
                status=event.status,
                ended=event.at,
                error=event.error or run.error,
                reason=event.reason,
                cause=event.step,
            )


def _stop_clock(run: Run, at: float) -> Run:
    """Return the run with the time of its present driver, until `at`, added to the time it worked."""
    if not run.driven_since:
        return run
    return replace(run, worked=run.worked + max(0.0, at - run.driven_since), driven_since=0)


def _remove_visit(run: Run, event: events.StepInterrupted | events.StepReset) -> Run:
    """Remove a visit; record it as interrupted if it had not ended, as it may have left partial changes."""
    removed = [v for v in run.visits if (v.step, v.visit) == (event.step, event.visit)]
    interrupted = tuple(
        InterruptedVisit(v.step, v.log, v.started)
        for v in removed
        if v.log and v.status in {"running", "pending"}
    )
    return replace(
        run,
        visits=tuple(v for v in run.visits if v not in removed),
        interrupted_visits=(*run.interrupted_visits, *interrupted),
    )


def _add_visit(run: Run, event: events.StepStarted) -> tuple[StepRun, ...]:
    started = StepRun(event.step, event.visit, "running", event.attempt, event.at, log=event.log)
    others = tuple(v for v in run.visits if (v.step, v.visit) != (event.step, event.visit))
    return (*others, started)


_VisitEvent = (
    events.StepRetried
    | events.StepBlocked
    | events.StepEnded
    | events.AttentionRequested
    | events.ActionRefused
)


def _apply_visit_event(run: Run, event: _VisitEvent) -> tuple[StepRun, ...]:
    """Return the visits after an event of one of them; a skipped step adds its visit here."""
    exists = any((visit.step, visit.visit) == (event.step, event.visit) for visit in run.visits)
    added = () if exists else (StepRun(event.step, event.visit, "running", started=event.at),)
    return tuple(
        _update_visit(visit, event) if (visit.step, visit.visit) == (event.step, event.visit) else visit
        for visit in (*run.visits, *added)
    )


def _update_visit(visit: StepRun, event: _VisitEvent) -> StepRun:
    match event:
        case events.AttentionRequested():
            return replace(visit, called=event.message)
        case events.ActionRefused():
            return replace(visit, refused=_add_refusal(visit.refused, event))
        case events.StepRetried():
            return replace(visit, error=event.error)
        case events.StepBlocked():
            blocked = replace(visit, status="pending", ended=event.at, asked=event.asked)
            return replace(blocked, error=event.message, fix=event.fix)
        case _:
            return replace(
                visit,
                status=event.status,
                ended=event.at,
                exit_code=event.exit_code,
                error=event.error,
                fix=event.fix,
                reason=event.reason,
                outputs=event.outputs,
                output=event.output,
                fires=event.fires,
                decided=event.decided,
            )


def _add_refusal(
    refused: tuple[events.ActionRefused, ...], event: events.ActionRefused
) -> tuple[events.ActionRefused, ...]:
    """Return the refusals of a visit with another one, unless it is there or there are too many."""
    known = {(other.what, other.target) for other in refused}
    is_new = (event.what, event.target) not in known and len(refused) < _MAX_REFUSALS
    return (*refused, event) if is_new else refused
