"""Event types: the immutable facts of a run. The state of a run is a fold over its events.

The JSON form of an event has its fields and `kind`. New fields always have a default, so that older
histories stay readable; an unknown kind comes from a newer version.
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from prunejuice import errors
from prunejuice.engine.artifact import Artifact
from prunejuice.errors import StoreError
from prunejuice.sandbox.permissions import format_refusal
from prunejuice.workflow.plan import Plan
from prunejuice.workflow.workspace import Workspace

StepOutcome = Literal["completed", "failed", "skipped"]
RunOutcome = Literal["completed", "failed", "cancelled"]
FailureReason = Literal["", "failed", "stopped", "limit", "usage", "denied", "gate", "conflict", "agent"]
_REASON_BY_ERROR: tuple[tuple[type[errors.PruneJuiceError], FailureReason], ...] = (
    (errors.UsageError, "usage"),
    (errors.LimitError, "limit"),
    (errors.AgentError, "agent"),
    (errors.GateError, "gate"),
    (errors.DeniedError, "denied"),
    (errors.ConflictError, "conflict"),
)


def failure_reason(error: errors.PruneJuiceError) -> FailureReason:
    """Return the failure reason that an error stands for."""
    return next((reason for kind, reason in _REASON_BY_ERROR if isinstance(error, kind)), "failed")


class BaseEvent(Struct, frozen=True, tag_field="kind", omit_defaults=True, kw_only=True):
    """Base of all events. `at` is the time in seconds since 1970 (UTC)."""

    at: float = 0


class RunCreated(BaseEvent, frozen=True, tag="run.created"):
    """A run was created; its plan never changes afterwards."""

    plan: Plan
    parent: str = ""


class RunStarted(BaseEvent, frozen=True, tag="run.started"):
    """A process began to drive the run, for the first time or after a resume."""

    pid: int
    host: str
    version: str


class RunCancelling(BaseEvent, frozen=True, tag="run.cancelling"):
    """The run is being cancelled: only clean-up steps start from now on."""

    reason: str = ""


class RunWaiting(BaseEvent, frozen=True, tag="run.waiting"):
    """The driver stopped because the run cannot continue without a person."""


class RunInterrupted(BaseEvent, frozen=True, tag="run.interrupted"):
    """The driver died or was killed."""

    reason: str = ""


class RunEnded(BaseEvent, frozen=True, tag="run.ended"):
    """The run ended. `step` is the first cause of a failure."""

    status: RunOutcome
    error: str = ""
    reason: FailureReason = ""
    step: str = ""


class WorkspaceSet(BaseEvent, frozen=True, tag="workspace.set"):
    """The following steps work in another workspace."""

    workspace: Workspace


class StepStarted(BaseEvent, frozen=True, tag="step.started"):
    """A step started. `visit` and `attempt` count from 1; `log` is the path of its log file."""

    step: str
    visit: int
    attempt: int = 1
    log: str = ""


class StepRetried(BaseEvent, frozen=True, tag="step.retried"):
    """An attempt failed and the step is tried again."""

    step: str
    visit: int
    error: str = ""


class StepInterrupted(BaseEvent, frozen=True, tag="step.interrupted"):
    """A running step was cut off; the visit no longer counts and the step can run again."""

    step: str
    visit: int


class StepBlocked(BaseEvent, frozen=True, tag="step.blocked"):
    """A step cannot continue without a person.

    A resumed run tries the step again, unless `asked` is set: then the step waits for a decision.
    """

    step: str
    visit: int
    message: str
    fix: str = ""
    asked: bool = False


class StepEnded(BaseEvent, frozen=True, tag="step.ended"):
    """A step ended. `output` is the tail of its output; `fires` are the links that it triggered.

    `fix` is the part of `error` that says what to do; `decided` is set when a person chose the outcome.
    """

    step: str
    visit: int
    status: StepOutcome
    error: str = ""
    fix: str = ""
    reason: FailureReason = ""
    exit_code: int | None = None
    outputs: dict[str, Any] = field(default_factory=dict)
    output: str = ""
    fires: tuple[str, ...] = ()
    decided: bool = False


class StepReset(BaseEvent, frozen=True, tag="step.reset"):
    """A visit no longer counts, so that a resumed run can repeat the step."""

    step: str
    visit: int


class SnapshotTaken(BaseEvent, frozen=True, tag="snapshot.taken"):
    """The files of the worktree were saved as `commit`, before or after a visit to a step.

    `changed` tells whether the step changed files; the counts and `paths` (the first 200) cover the whole
    run so far. `error` explains why the snapshot is missing.
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


class FilesRestored(BaseEvent, frozen=True, tag="files.put_back"):
    """An operation reverted the partial changes of an interrupted step."""

    step: str
    operation: str


class RunLanded(BaseEvent, frozen=True, tag="run.landed"):
    """The work of the run was merged into the branch `into` at `commit`; empty `into` undoes that."""

    into: str
    commit: str
    operation: str = ""


class RunSubmitted(BaseEvent, frozen=True, tag="run.submitted"):
    """The work of the run was pushed as a branch; `url` is that of its pull request, if it has one."""

    branch: str
    url: str = ""


class RunDismissed(BaseEvent, frozen=True, tag="run.dismissed"):
    """A person dismissed the run: it needs nobody any more; `dismissed` is false if that was undone."""

    dismissed: bool = True


class ConversationStarted(BaseEvent, frozen=True, tag="conversation.begun"):
    """An agent began a conversation that can continue after an interruption of the step."""

    step: str
    visit: int
    attempt: int
    agent: str
    conversation: str


class AttentionRequested(BaseEvent, frozen=True, tag="person.called"):
    """A running step asks for a person; `message` says how to reach it."""

    step: str
    visit: int
    message: str


class ActionRefused(BaseEvent, frozen=True, tag="action.refused"):
    """A sandbox refused something to a process of a step; `what` is `host`, `path` or `ref`.

    `target` is its name, `fix` how to allow it.
    """

    step: str
    visit: int
    what: str
    target: str
    fix: str = ""

    @property
    def message(self) -> str:
        """What was wanted, and how to allow it."""
        return format_refusal(self.target, self.fix)


class ArtifactStored(BaseEvent, frozen=True, tag="artifact.stored"):
    """A file was stored with the run."""

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
    | ConversationStarted
    | AttentionRequested
    | ActionRefused
    | SnapshotTaken
    | FilesRestored
    | RunLanded
    | RunSubmitted
    | RunDismissed
)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Event)


def to_json(event: Event) -> bytes:
    """Return an event as one line of JSON."""
    return _encoder.encode(event)


def from_json(text: bytes | str) -> Event:
    """Return the event that one line of JSON encodes.

    Raises:
        StoreError: The JSON is damaged, or this version does not know the kind.
    """
    try:
        event: Event = _decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:  # deeply nested JSON exhausts the stack
        raise StoreError(
            f"could not decode an event of this run: {error}",
            "update prunejuice if a newer version wrote this run, or run `prj doctor`",
        ) from error
    return event


def event_kind(event: Event) -> str:
    """Return the type name of an event, such as `step.ended`."""
    return str(event.__struct_config__.tag)
