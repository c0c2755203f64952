"""One execution of a plan, and the state diagram it follows.

    pending ─start─▶ running ─end─▶ completed | failed | cancelled
                      │  ▲ ▲                        │
                      │  │ └──────────resume────────┘   (failed, cancelled)
                      │  └─resume─ waiting | interrupted
                      └─▶ waiting (a person is needed) | interrupted (the driver died)

A run is never changed: `evolve` returns the next one.
"""

from collections.abc import Iterable
from functools import reduce
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from prunejuice import event as events
from prunejuice.artifact import Artifact
from prunejuice.errors import StoreError
from prunejuice.event import Event, Reason
from prunejuice.plan import Plan
from prunejuice.workspace import Workspace

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
ENDED: frozenset[RunStatus] = frozenset({"completed", "failed", "cancelled"})


class StepRun(Struct, frozen=True):
    """One visit to a step. `pending` means blocked: it waits for a person.

    `called` says how a person comes to what is open for them while it runs.
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
    reason: Reason = ""
    outputs: dict[str, Any] = {}
    output: str = ""
    log: str = ""
    fires: tuple[str, ...] = ()
    asked: bool = False
    decided: bool = False
    called: str = ""


class Cut(Struct, frozen=True):
    """A visit that was cut off, so that its half-done changes can be taken back: `log` names it."""

    step: str
    log: str
    started: float


class Run(Struct, frozen=True):
    """The state of a run after some of its events. `sequence` is the number of the last one.

    `cut` are visits that were cut off, `noticed` when that was first seen; `landed` is where its work is.
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
    reason: Reason = ""
    cause: str = ""
    visits: tuple[StepRun, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    snapshots: tuple[events.SnapshotTaken, ...] = ()
    cut: tuple[Cut, ...] = ()
    noticed: float = 0
    landed: events.RunLanded | None = None
    conversations: tuple[events.ConversationBegun, ...] = ()

    def of(self, step: str) -> tuple[StepRun, ...]:
        """The visits to a step, oldest first."""
        return tuple(visit for visit in self.visits if visit.step == step)

    def last(self, step: str) -> StepRun | None:
        """The latest visit to a step."""
        return next((visit for visit in reversed(self.visits) if visit.step == step), None)

    def running(self) -> tuple[StepRun, ...]:
        """What is being carried out."""
        return tuple(visit for visit in self.visits if visit.status == "running")

    def work(self) -> tuple[str, str]:
        """The first and the last snapshot: what the run did lies between; empty when there is none."""
        commits = [each.commit for each in self.snapshots if each.commit]
        return (commits[0], commits[-1]) if commits else ("", "")

    def blocked(self) -> tuple[StepRun, ...]:
        """What waits for a person."""
        return tuple(visit for visit in self.visits if visit.status == "pending")


def replay(run_id: str, history: Iterable[Event]) -> Run:
    """The state of a run from its events.

    Raises:
        StoreError: the history is empty or does not begin with the run's creation.
    """
    rest = iter(history)
    first = next(rest, None)
    if not isinstance(first, events.RunCreated):
        raise StoreError(f"the history of run {run_id} does not begin with its creation")
    return reduce(evolve, rest, created(run_id, first))


def created(run_id: str, event: events.RunCreated) -> Run:
    """A run that has only been created."""
    return Run(
        id=run_id,
        plan=event.plan,
        status="pending",
        workspace=event.plan.workspace or Workspace(event.plan.directory),
        created=event.at,
        parent=event.parent,
    )


def evolve(run: Run, event: Event) -> Run:
    """The state of the run after one more event."""
    run = replace(run, sequence=run.sequence + 1)
    match event:
        case events.StepStarted():
            return replace(run, visits=_started(run, event))
        case events.StepInterrupted() | events.StepReset():
            return _without(run, event)
        case events.StepRetried() | events.StepBlocked() | events.StepEnded() | events.PersonCalled():
            return replace(run, visits=_moved(run, event))
        case (
            events.WorkspaceSet()
            | events.ArtifactStored()
            | events.ConversationBegun()
            | events.SnapshotTaken()
            | events.FilesPutBack()
            | events.RunLanded()
        ):
            return _noted(run, event)
        case events.RunCreated():
            raise StoreError(f"run {run.id} was created twice")
        case _:
            return _turned(run, event)


_Note = (
    events.WorkspaceSet
    | events.ArtifactStored
    | events.ConversationBegun
    | events.SnapshotTaken
    | events.FilesPutBack
    | events.RunLanded
)


def _noted(run: Run, event: _Note) -> Run:
    """The run after an event that says where it works and what it has."""
    match event:
        case events.WorkspaceSet():
            return replace(run, workspace=event.workspace)
        case events.ArtifactStored():
            kept = tuple(a for a in run.artifacts if a.name != event.artifact.name)
            return replace(run, artifacts=(*kept, event.artifact))
        case events.ConversationBegun():
            return replace(run, conversations=(*run.conversations, event))
        case events.SnapshotTaken():
            return replace(run, snapshots=(*run.snapshots, event))
        case events.FilesPutBack():
            return replace(run, cut=(), noticed=0)
        case _:
            return replace(run, landed=event if event.into else None)


_Turn = (
    events.RunStarted | events.RunEnded | events.RunCancelling | events.RunWaiting | events.RunInterrupted
)


def _turned(run: Run, event: _Turn) -> Run:
    """The run after an event that changes its status."""
    match event:
        case events.RunWaiting():
            return replace(run, status="waiting")
        case events.RunInterrupted():
            noticed = run.noticed or event.at
            return replace(run, status="interrupted", ended=event.at, error=event.reason, noticed=noticed)
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
                # What waited for a person is tried again.
                visits=tuple(v for v in run.visits if v.status != "pending" or v.asked),
            )
        case events.RunCancelling():
            return replace(run, cancelling=True, error=event.reason)
        case _:
            return replace(
                run,
                status=event.status,
                ended=event.at,
                error=event.error or run.error,
                reason=event.reason,
                cause=event.step,
            )


def _without(run: Run, event: events.StepInterrupted | events.StepReset) -> Run:
    """The run without a visit; one that was not over may have left things half done."""
    gone = [v for v in run.visits if (v.step, v.visit) == (event.step, event.visit)]
    cut = tuple(Cut(v.step, v.log, v.started) for v in gone if v.log and v.status in {"running", "pending"})
    return replace(run, visits=tuple(v for v in run.visits if v not in gone), cut=(*run.cut, *cut))


def _started(run: Run, event: events.StepStarted) -> tuple[StepRun, ...]:
    fresh = StepRun(event.step, event.visit, "running", event.attempt, event.at, log=event.log)
    kept = tuple(v for v in run.visits if (v.step, v.visit) != (event.step, event.visit))
    return (*kept, fresh)


_Move = events.StepRetried | events.StepBlocked | events.StepEnded | events.PersonCalled


def _moved(run: Run, event: _Move) -> tuple[StepRun, ...]:
    """The visits after one of them moved on; a skipped step was never started."""
    known = any((visit.step, visit.visit) == (event.step, event.visit) for visit in run.visits)
    fresh = () if known else (StepRun(event.step, event.visit, "running", started=event.at),)
    return tuple(
        _after(visit, event) if (visit.step, visit.visit) == (event.step, event.visit) else visit
        for visit in (*run.visits, *fresh)
    )


def _after(visit: StepRun, event: _Move) -> StepRun:
    match event:
        case events.PersonCalled():
            return replace(visit, called=event.message)
        case events.StepRetried():
            return replace(visit, error=event.error)
        case events.StepBlocked():
            held = replace(visit, status="pending", ended=event.at, asked=event.asked)
            return replace(held, error=event.message, fix=event.fix)
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
