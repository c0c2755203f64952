"""Store change sets with their history, each in a signed file beside the changes of its tree."""

import base64
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from prunejuice.changes import transaction
from prunejuice.changes.change_set import ChangeSet
from prunejuice.changes.review import ReviewDecision
from prunejuice.changes.tree_state import TreeState
from prunejuice.edits.diff import Version
from prunejuice.errors import NotFoundError
from prunejuice.text import safe_line
from prunejuice.worktrees import oplog
from prunejuice.worktrees.prune_lock import lock_while_waiting

Match = TypeVar("Match")
RecordState = Literal["pending", "applied", "undone", "dropped", "submitted"]
ChangeSetAction = Literal[
    "proposed",
    "decided",
    "reviewed",
    "applied",
    "undone",
    "redone",
    "dropped",
    "split",
    "squashed",
    "submitted",
]


class ChangeSetEvent(Struct, frozen=True, omit_defaults=True):
    """An event of a change set, at seconds since 1970; `plan` is the transaction that wrote the files."""

    at: float
    what: ChangeSetAction
    decision: ReviewDecision | None = None
    plan: str = ""
    note: str = ""


class OriginalFile(Struct, frozen=True, omit_defaults=True):
    """A file as it was when a change was made for it; the data is base64."""

    data: str
    mode: int = 0o644
    link: bool = False


class InFlight(Struct, frozen=True):
    """An action that was begun; it counts as completed if its plan was executed."""

    plan: str
    what: ChangeSetAction
    state: RecordState


class ChangeSetRecord(Struct, frozen=True, omit_defaults=True):
    """A stored change set.

    `olds` has each file as it was when the changes were made. `plan` is the transaction that last applied
    or reverted the changes, empty if there was nothing to change. `trying` is an action that was begun.
    `order` and `turn` count the actions on all change sets, at the first and the last one of this: clocks
    can be set back. They are 0 in records of earlier versions.
    """

    id: str
    at: float
    change_set: ChangeSet
    olds: dict[str, OriginalFile] = {}
    state: RecordState = "pending"
    plan: str = ""
    history: tuple[ChangeSetEvent, ...] = ()
    trying: InFlight | None = None
    order: int = 0
    turn: int = 0

    @property
    def paths(self) -> list[str]:
        """The paths of the files that it changes."""
        return list(dict.fromkeys(change.filepath for change in self.change_set.file_changes))

    @property
    def targets(self) -> list[str]:
        """The new paths of the files that it renames."""
        return [change.to for change in self.change_set.file_changes if change.to]

    @property
    def last_action(self) -> tuple[int, float]:
        """The position of the last action among those of all change sets, for sorting."""
        return self.turn, self.history[-1].at

    def original_version(self, path: str) -> Version:
        """Return a file as it was when the changes were made."""
        if path not in self.olds:
            return Version(None)
        old = self.olds[path]
        return Version(base64.b64decode(old.data), old.mode, old.link)

    def with_event(
        self,
        what: ChangeSetAction,
        state: RecordState | None = None,
        *,
        plan: str | None = None,
        note: str = "",
    ) -> "ChangeSetRecord":
        """Return the record with another event, and the state and plan that result from it."""
        event = ChangeSetEvent(time.time(), what, plan=plan or "", note=note)
        plan = self.plan if plan is None else plan
        history = (*self.history, event)
        return replace(self, history=history, state=state or self.state, plan=plan, trying=None)

    def with_metadata(self, metadata: dict[str, Any]) -> "ChangeSetRecord":
        """Return the record with other metadata of its changes."""
        return replace(self, change_set=replace(self.change_set, metadata=metadata))

    def with_decisions(self, decisions: Sequence[ReviewDecision]) -> "ChangeSetRecord":
        """Return the record with the decisions of a review."""
        return replace(self, history=(*self.history, *map(decision_event, decisions)))


def decision_event(decision: ReviewDecision) -> ChangeSetEvent:
    """Return a decision of a review as an event that happens now."""
    return ChangeSetEvent(time.time(), "decided", decision)


def _is_any_pending(records: Iterable[ChangeSetRecord]) -> bool:
    return any(record.state == "pending" for record in records)


def require_one_match(matches: Sequence[Match], prefix: str) -> Match:
    """Return the only match of the prefix of an id.

    Raises:
        NotFoundError: there is none, or more than one.
    """
    if len(matches) != 1:
        problem = "ambiguous" if matches else "unknown"
        fix = "run `codebot pending list --all` to see them"
        raise NotFoundError(f"{problem} change set {safe_line(prefix, 40)!r}", fix)
    return matches[0]


class ChangeSetStore(NamedTuple):
    """The stored change sets of a tree."""

    tree_state: TreeState

    def load_all(self) -> list[ChangeSetRecord]:
        """Return every record, oldest first; files with an invalid signature are ignored."""
        return sorted(
            map(self._settle_record, self._read_all()),
            key=lambda record: (record.order, record.at),
        )

    def _read_all(self) -> Iterator[ChangeSetRecord]:
        for path in self.tree_state.pending_dir.glob("c-*.json"):
            record = oplog.read_with_signature(path, self.tree_state.key, ChangeSetRecord)
            if record is not None:
                yield record

    def _has_file(self, record: ChangeSetRecord) -> bool:
        return (self.tree_state.pending_dir / f"{record.id}.json").exists()

    def _settle_record(self, record: ChangeSetRecord) -> ChangeSetRecord:
        """Complete the action of a record if its plan was executed before the process died."""
        trying = record.trying
        if trying and transaction.load_done_plan(self.tree_state, trying.plan):
            return record.with_event(trying.what, trying.state, plan=trying.plan)
        return record

    def load_in_state(self, state: RecordState) -> list[ChangeSetRecord]:
        """Return the records in a state, oldest first."""
        return [record for record in self.load_all() if record.state == state]

    def find(self, prefix: str) -> ChangeSetRecord:
        """Return the one record whose id begins with a prefix; the leading `c-` is optional.

        Raises:
            NotFoundError: no record matches, or several do.
        """
        return require_one_match(self.matches(prefix), prefix)

    def matches(self, prefix: str) -> list[ChangeSetRecord]:
        """Return the records whose id begins with a prefix; the leading `c-` is optional."""
        name = prefix if prefix.startswith("c-") else f"c-{prefix}"
        return [record for record in self.load_all() if record.id.startswith(name)]

    def save(self, record: ChangeSetRecord) -> ChangeSetRecord:
        """Store a record durably, and return it with its turn.

        A linked worktree is locked as long as one is pending, so that git keeps its git directory.
        """
        stored = list(self._read_all())
        turn = 1 + max((other.turn for other in stored), default=0)
        record = replace(record, turn=turn, order=record.order or (0 if self._has_file(record) else turn))
        is_waiting = _is_any_pending([record, *(other for other in stored if other.id != record.id)])
        if is_waiting:
            self._lock_worktree(is_waiting=True)
        oplog.write_atomically(
            self.tree_state.pending_dir / f"{record.id}.json",
            oplog.encode_with_signature(record, self.tree_state.key),
        )
        if not is_waiting:
            self._lock_worktree(is_waiting=False)
        # Another process may have saved one, or removed the lock, since the records were read.
        self._lock_worktree(is_waiting=is_waiting or _is_any_pending(self._read_all()))
        return record

    def _lock_worktree(self, *, is_waiting: bool) -> None:
        if git_dir := self.tree_state.git_dir:
            lock_while_waiting(git_dir, is_waiting=is_waiting)

    def delete(self, record: ChangeSetRecord) -> None:
        """Delete a record and the files stored for it; it cannot be undone any more."""
        (self.tree_state.pending_dir / f"{record.id}.json").unlink(missing_ok=True)
        for event in record.history:
            if event.plan:
                transaction.delete_done_plan(self.tree_state, event.plan)
