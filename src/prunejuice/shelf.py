"""Where change sets are kept: each in a sealed file beside the changes of its tree, with its history."""

import base64
import time
from collections.abc import Sequence
from typing import Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from prunejuice.change import ChangeSet
from prunejuice.errors import NotFoundError
from prunejuice.hunk import Version
from prunejuice.review import Decision
from prunejuice.text import safe_line
from prunejuice.workspaces import operation, transaction
from prunejuice.workspaces.house import House

State = Literal["pending", "applied", "undone", "dropped", "submitted"]
What = Literal[
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


class Happened(Struct, frozen=True, omit_defaults=True):
    """One thing that happened to a change set, at seconds since 1970; `plan` is how it came to the disk."""

    at: float
    what: What
    decision: Decision | None = None
    plan: str = ""
    note: str = ""


class Old(Struct, frozen=True, omit_defaults=True):
    """A file as it was when a change was made for it; the data in base64."""

    data: str
    mode: int = 0o644
    link: bool = False


class Trying(Struct, frozen=True):
    """What was begun: when the plan turns out to be carried out, that is what happened."""

    plan: str
    what: What
    state: State


class Record(Struct, frozen=True, omit_defaults=True):
    """A change set that is kept.

    `olds` is each file as it was when the changes were made; `plan` the transaction that brought it
    to the disk last (empty when there was nothing to change), or took it back; `trying` one that was begun.
    """

    id: str
    at: float
    change_set: ChangeSet
    olds: dict[str, Old] = {}
    state: State = "pending"
    plan: str = ""
    history: tuple[Happened, ...] = ()
    trying: Trying | None = None

    @property
    def paths(self) -> list[str]:
        """The files that it changes."""
        return list(dict.fromkeys(each.filepath for each in self.change_set.file_changes))

    @property
    def targets(self) -> list[str]:
        """The new names that it gives."""
        return [each.to for each in self.change_set.file_changes if each.to]

    def old(self, path: str) -> Version:
        """A file as it was when the changes were made."""
        if path not in self.olds:
            return Version(None)
        old = self.olds[path]
        return Version(base64.b64decode(old.data), old.mode, old.link)

    def happened(
        self, what: What, state: State | None = None, *, plan: str | None = None, note: str = ""
    ) -> "Record":
        """The record with one more thing that happened."""
        told = Happened(time.time(), what, plan=plan or "", note=note)
        plan = self.plan if plan is None else plan
        history = (*self.history, told)
        return replace(self, history=history, state=state or self.state, plan=plan, trying=None)

    def judged(self, decisions: Sequence[Decision]) -> "Record":
        """The record with the decisions of a review."""
        return replace(self, history=(*self.history, *map(decided, decisions)))


def decided(decision: Decision) -> Happened:
    """A decision of a review, as a thing that happened now."""
    return Happened(time.time(), "decided", decision)


class Shelf(NamedTuple):
    """The records of a tree."""

    house: House

    def all(self) -> list[Record]:
        """Every record, oldest first; a file that is not ours is passed over."""
        found = (
            operation.opened(path, self.house.key, Record) for path in self.house.pending.glob("c-*.json")
        )
        return sorted((self._settled(each) for each in found if each is not None), key=lambda each: each.at)

    def _settled(self, record: Record) -> Record:
        """A record whose plan was carried out after we were killed."""
        trying = record.trying
        if trying and transaction.done(self.house, trying.plan):
            return record.happened(trying.what, trying.state, plan=trying.plan)
        return record

    def of_state(self, state: State) -> list[Record]:
        """The records in one state, oldest first."""
        return [each for each in self.all() if each.state == state]

    def find(self, prefix: str) -> Record:
        """The one record whose id begins so.

        Raises:
            NotFoundError: there is none, or there are several.
        """
        name = prefix if prefix.startswith("c-") else f"c-{prefix}"
        found = [each for each in self.all() if each.id.startswith(name)]
        if len(found) != 1:
            word = "there are several change sets" if found else "there is no change set"
            raise NotFoundError(
                f"{word} {safe_line(prefix, 40)!r}", "codebot pending list --all shows them"
            )
        return found[0]

    def keep(self, record: Record) -> Record:
        """Keep a record as it now is, durably."""
        operation.put(self.house.pending / f"{record.id}.json", operation.sealed(record, self.house.key))
        return record

    def forget(self, record: Record) -> None:
        """Remove a record with what it kept; it cannot be undone any more."""
        (self.house.pending / f"{record.id}.json").unlink(missing_ok=True)
        for told in record.history:
            if told.plan:
                transaction.forget(self.house, told.plan)
