"""Every event type: the immutable facts of a run. Their history is the truth; all else is a fold.

The JSON of an event is its fields and `kind`. Fields are only ever added, with a default, so that an
older history can always be read; a kind that is not known was written by a newer version.
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from prunejuice import errors
from prunejuice.artifact import Artifact
from prunejuice.errors import StoreError
from prunejuice.plan import Plan
from prunejuice.workspace import Workspace

Outcome = Literal["completed", "failed", "skipped"]
RunEnd = Literal["completed", "failed", "cancelled"]
Reason = Literal["", "failed", "stopped", "limit", "usage", "denied", "gate", "conflict", "agent"]
_REASONS: tuple[tuple[type[errors.PruneJuiceError], Reason], ...] = (
    (errors.UsageError, "usage"),
    (errors.LimitError, "limit"),
    (errors.AgentError, "agent"),
    (errors.GateError, "gate"),
    (errors.DeniedError, "denied"),
    (errors.ConflictError, "conflict"),
)


def because(error: errors.PruneJuiceError) -> Reason:
    """The reason that an error is for what it ends."""
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), "failed")


class Fact(Struct, frozen=True, tag_field="kind", omit_defaults=True, kw_only=True):
    """What every event has: when it happened, in seconds since 1970 (UTC)."""

    at: float = 0


class RunCreated(Fact, frozen=True, tag="run.created"):
    """A run exists; its plan is fixed from here on."""

    plan: Plan
    parent: str = ""


class RunStarted(Fact, frozen=True, tag="run.started"):
    """A process began to drive the run, for the first time or again."""

    pid: int
    host: str
    version: str


class RunCancelling(Fact, frozen=True, tag="run.cancelling"):
    """Nothing more is started, except clean-up."""

    reason: str = ""


class RunWaiting(Fact, frozen=True, tag="run.waiting"):
    """The driver stopped because only a person can go on."""


class RunInterrupted(Fact, frozen=True, tag="run.interrupted"):
    """The driver died or was stopped at once."""

    reason: str = ""


class RunEnded(Fact, frozen=True, tag="run.ended"):
    """The run is over. `step` is the first cause of a failure."""

    status: RunEnd
    error: str = ""
    reason: Reason = ""
    step: str = ""


class WorkspaceSet(Fact, frozen=True, tag="workspace.set"):
    """Later steps work here."""

    workspace: Workspace


class StepStarted(Fact, frozen=True, tag="step.started"):
    """A step is being carried out; `visit` and `attempt` count from 1. `log` is its log file."""

    step: str
    visit: int
    attempt: int = 1
    log: str = ""


class StepRetried(Fact, frozen=True, tag="step.retried"):
    """An attempt failed and another one follows."""

    step: str
    visit: int
    error: str = ""


class StepInterrupted(Fact, frozen=True, tag="step.interrupted"):
    """A step that was being carried out when the driver died is taken back."""

    step: str
    visit: int


class StepBlocked(Fact, frozen=True, tag="step.blocked"):
    """A step cannot go on without a person.

    It is tried again when the run is resumed, unless it `asked`: then it waits for the answer.
    """

    step: str
    visit: int
    message: str
    fix: str = ""
    asked: bool = False


class StepEnded(Fact, frozen=True, tag="step.ended"):
    """A step is over. `output` is the tail of what it printed; `fires` are the links it set off.

    `decided` when a person said how it went; `fix` is the part of `error` that says what to do.
    """

    step: str
    visit: int
    status: Outcome
    error: str = ""
    fix: str = ""
    reason: Reason = ""
    exit_code: int | None = None
    outputs: dict[str, Any] = field(default_factory=dict)
    output: str = ""
    fires: tuple[str, ...] = ()
    decided: bool = False


class StepReset(Fact, frozen=True, tag="step.reset"):
    """A visit no longer counts, so that the step can run again in a resumed run."""

    step: str
    visit: int


class SnapshotTaken(Fact, frozen=True, tag="snapshot.taken"):
    """The files of the worktree are kept as `commit`, before or after a visit to a step.

    `changed` says whether the step changed any; the numbers and `paths` (the first 200) are those of the
    whole run until then. `error` is why there is no snapshot.
    """

    step: str
    visit: int
    when: Literal["before", "after"]
    commit: str = ""
    tree: str = ""
    changed: bool = False
    files: int = 0
    added: int = 0
    removed: int = 0
    paths: tuple[str, ...] = ()
    error: str = ""


class FilesPutBack(Fact, frozen=True, tag="files.put_back"):
    """Half-done changes of a step that was cut off were taken back by an operation."""

    step: str
    operation: str


class RunLanded(Fact, frozen=True, tag="run.landed"):
    """The work of the run is in a branch, at `commit`; in none any more when `into` is empty."""

    into: str
    commit: str
    operation: str = ""


class ConversationBegun(Fact, frozen=True, tag="conversation.begun"):
    """An agent began a conversation that can be gone on with when the step is cut off."""

    step: str
    visit: int
    attempt: int
    agent: str
    conversation: str


class PersonCalled(Fact, frozen=True, tag="person.called"):
    """A step that goes on has something open for a person; `message` says how to come to it."""

    step: str
    visit: int
    message: str


class ArtifactStored(Fact, frozen=True, tag="artifact.stored"):
    """A file is kept with the run."""

    artifact: Artifact


Event = (
    RunCreated
    | RunStarted
    | RunCancelling
    | RunWaiting
    | RunInterrupted
    | RunEnded
    | WorkspaceSet
    | StepStarted
    | StepRetried
    | StepInterrupted
    | StepBlocked
    | StepEnded
    | StepReset
    | ArtifactStored
    | ConversationBegun
    | PersonCalled
    | SnapshotTaken
    | FilesPutBack
    | RunLanded
)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Event)


def to_json(event: Event) -> bytes:
    """The event as one line of JSON."""
    return _encoder.encode(event)


def from_json(text: bytes | str) -> Event:
    """The event of one line of JSON.

    Raises:
        StoreError: it is damaged, or of a kind that this version does not know.
    """
    try:
        event: Event = _decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise StoreError(
            f"an event of this run cannot be read: {error}",
            "it may have been written by a newer prunejuice: update, or look at it with prj doctor",
        ) from error
    return event


def kind(event: Event) -> str:
    """The name of the event's type, such as `step.ended`."""
    return str(event.__struct_config__.tag)
