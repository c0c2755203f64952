"""Change sets that wait until they are applied, and those that were: applied, undone, and made again.

Each is one sealed file beside the changes of its tree; its history has every decision of a review.
"""

import base64
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from prunejuice import change, content, hunk, ladder, pathname
from prunejuice.change import ChangeSet, FileChange
from prunejuice.edit import Edit, RejectedError
from prunejuice.errors import ConflictError, NotFoundError, UsageError
from prunejuice.hunk import Difference, Version
from prunejuice.review import Decision
from prunejuice.text import safe_line
from prunejuice.workspaces import operation, rooted, transaction
from prunejuice.workspaces.house import House
from prunejuice.workspaces.rooted import ABSENT, Seen
from prunejuice.workspaces.slot import Plan, Wanted

State = Literal["pending", "applied", "undone", "dropped"]
What = Literal[
    "proposed", "decided", "reviewed", "applied", "undone", "redone", "dropped", "split", "squashed"
]
See = Callable[[str], Seen]


class Happened(Struct, frozen=True, omit_defaults=True):
    """One thing that happened to a change set, at seconds since 1970; `plan` is how it came to the disk."""

    at: float
    what: What
    decision: Decision | None = None
    plan: str = ""
    note: str = ""


class Record(Struct, frozen=True, omit_defaults=True):
    """A change set that is kept.

    `olds` is each file as it was when the changes were made, in base64, by path; `plan` the transaction
    that brought it to the disk last, or took it back.
    """

    id: str
    at: float
    change_set: ChangeSet
    olds: dict[str, str] = {}
    state: State = "pending"
    plan: str = ""
    history: tuple[Happened, ...] = ()

    @property
    def paths(self) -> list[str]:
        """The files that it changes."""
        return list(dict.fromkeys(each.filepath for each in self.change_set.file_changes))

    @property
    def targets(self) -> list[str]:
        """The new names that it gives."""
        return [each.to for each in self.change_set.file_changes if each.to]

    def old(self, path: str) -> bytes | None:
        """A file as it was when the changes were made."""
        return base64.b64decode(self.olds[path]) if path in self.olds else None

    def happened(
        self, what: What, state: State | None = None, *, plan: str = "", note: str = ""
    ) -> "Record":
        """The record with one more thing that happened."""
        told = Happened(time.time(), what, plan=plan, note=note)
        return replace(
            self, history=(*self.history, told), state=state or self.state, plan=plan or self.plan
        )

    def judged(self, decisions: Sequence[Decision]) -> "Record":
        """The record with the decisions of a review."""
        return replace(self, history=(*self.history, *map(_decided, decisions)))


def _decided(decision: Decision) -> Happened:
    return Happened(time.time(), "decided", decision)


class Shelf(NamedTuple):
    """The records of a tree."""

    house: House

    def all(self) -> list[Record]:
        """Every record, oldest first; a file that is not ours is passed over."""
        found = (
            operation.opened(path, self.house.key, Record) for path in self.house.pending.glob("c-*.json")
        )
        return sorted((each for each in found if each is not None), key=lambda each: each.at)

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


def propose(
    shelf: Shelf, change_set: ChangeSet, found: Sequence[Difference], decisions: Sequence[Decision] = ()
) -> Record:
    """Keep changes that wait, with the files as they were when they were made."""
    olds = {
        each.path: base64.b64encode(each.old.data).decode() for each in found if each.old.data is not None
    }
    named = change.of_differences(found, change.reasons(change_set))
    history = [
        Happened(time.time(), "proposed"),
        *(Happened(time.time(), "decided", each) for each in decisions),
    ]
    kept = replace(change_set, file_changes=named)
    record = Record(f"c-{secrets.token_hex(4)}", time.time(), kept, olds, history=tuple(history))
    return shelf.keep(record)


# -- how records stand to the files, and to each other ----------------------------------------------


class Standing(NamedTuple):
    """A record as it would apply now, after those before it: its files, what it builds on or meets."""

    record: Record
    differences: tuple[Difference, ...] = ()
    stacks_on: tuple[str, ...] = ()
    conflict: ConflictError | None = None


def standings(shelf: Shelf, records: Sequence[Record]) -> list[Standing]:
    """How records would apply one after the other to the files as they are."""
    with rooted.opened(shelf.house.root, shelf.house.closed | {shelf.house.state}) as tree:
        return _standings(records, lambda path: tree.see(tree.checked(path)))


def _standings(records: Sequence[Record], see: See) -> list[Standing]:
    made: dict[str, Seen] = {}
    owner: dict[str, str] = {}

    def now(path: str) -> Seen:
        return made[path] if path in made else see(path)

    found = []
    for record in records:
        below = tuple(dict.fromkeys(owner[path] for path in record.paths if path in owner))
        try:
            differences = rebased(record, now)
        except ConflictError as error:
            where = f"{error.message} (after {', '.join(below)})" if below else error.message
            found.append(Standing(record, (), below, ConflictError(where, error.fix, error.files)))
            continue
        found.append(Standing(record, tuple(differences), below))
        for each in differences:
            made |= {each.path: _seen(Version(None) if each.to else each.new)}
            made |= {each.to: _seen(each.new)} if each.to else {}
            owner |= {name: record.id for name in (each.path, each.to) if name}
    return found


def _seen(version: Version) -> Seen:
    return (
        Seen(ABSENT)
        if version.data is None
        else Seen(rooted.state_of(version.data, version.mode), version.data)
    )


def rebased(record: Record, see: See) -> list[Difference]:
    """What a record makes of the files as they are; in one that changed the lines are looked for again.

    Raises:
        ConflictError: somebody changed the same lines; names the files.
    """
    moved = {path: _moved(record, path, see(path)) for path in record.paths}
    return change.differences([_on_now(each, moved) for each in record.change_set.file_changes], see)


def _on_now(each: FileChange, moved: Mapping[str, FileChange | None]) -> FileChange:
    """A change as it was, or on the file as it is now."""
    instead = moved[each.filepath]
    if instead is None:
        return each
    return replace(instead if each.operation == "write" else each, base="")


def _moved(record: Record, path: str, seen: Seen) -> FileChange | None:
    """The write of a file that changed since, on the file as it is; nothing when it did not change."""
    old = record.old(path)
    now = seen.data if seen.state != ABSENT else None
    if now == old:
        return None
    written = [
        each
        for each in record.change_set.file_changes
        if each.filepath == path and each.operation == "write"
    ]
    if old is None or now is None or not written:
        raise _met(
            path, "it is there now" if old is None else "it is gone" if now is None else "it is another now"
        )
    if now == written[-1].data:
        return written[-1]
    data = remade(path, old, written[-1].data, now)
    text, encoding = change.said(data)
    return replace(written[-1], content=text, encoding=encoding)


def remade(path: str, old: bytes, new: bytes, now: bytes) -> bytes:
    """A file as it is now, with what led from `old` to `new` made in it.

    Raises:
        ConflictError: the same lines were changed.
    """
    read = content.read(now)
    if read is None or not (hunk.is_text(old) and hunk.is_text(new)):
        raise _met(path, "it is another now, and not text")
    for each in hunk.hunks(Difference(path, Version(old), Version(new))):
        before, lines, made, after = (
            _plain(part) for part in (each.before, each.old, each.new, each.after)
        )
        edit = Edit(
            "replace",
            path,
            (*before, *lines, *after),
            (*before, *made, *after),
            line=each.line - len(before),
        )
        try:
            read, _ = ladder.place(read, edit)
        except RejectedError as error:
            raise _met(path, f"line {each.line}: {error.message}") from error
    return read.data()


def _plain(lines: Sequence[str]) -> list[str]:
    return [line.removesuffix("\n").removesuffix("\r") for line in lines]


def _met(path: str, why: str) -> ConflictError:
    fix = "ask for the change again, on the file as it is now; nothing was changed"
    return ConflictError(f"{safe_line(path, 120)} was changed since: {why}", fix, (path,))


# -- applying and taking back -----------------------------------------------------------------------


def apply(
    shelf: Shelf, records: Sequence[Record], grant: Sequence[str] = (), approved: Sequence[str] = ()
) -> list[tuple[Record, Plan]]:
    """Apply records one after the other, if all of them can be.

    Raises:
        ConflictError: one cannot, which is named; nothing was changed.
        DeniedError: a file needs a grant; nothing was changed.
    """
    transaction.recover(shelf.house)
    ready = standings(shelf, records)
    for each in ready:
        if each.record.state == "applied":
            raise UsageError(
                f"{each.record.id} is applied already", f"codebot undo {each.record.id} takes it back"
            )
        if each.conflict:
            raise ConflictError(
                f"{each.record.id}: {each.conflict.message}", each.conflict.fix, each.conflict.files
            )
        change.demand_grants(each.differences, grant, approved)
    made = []
    for each in ready:
        plan = change.carry_out(shelf.house, each.differences)
        word: What = "redone" if each.record.state == "undone" else "applied"
        made.append((shelf.keep(each.record.happened(word, "applied", plan=plan.id)), plan))
    return made


def undo(shelf: Shelf, record: Record) -> tuple[Record, Plan]:
    """Take a change set back; what was changed since in other lines stays.

    Raises:
        ConflictError: the same lines were changed since; nothing was changed.
        NotFoundError: what was there before is not kept any more.
        UsageError: it is not applied.
    """
    if record.state != "applied":
        raise UsageError(f"{record.id} is {record.state}, not applied", "codebot pending list --all")
    transaction.recover(shelf.house)
    done = transaction.done(shelf.house, record.plan)
    if done is None:
        raise NotFoundError(f"what was there before {record.id} is not kept any more", "git may have it")
    wanted = transaction.before(shelf.house, done)
    with rooted.opened(shelf.house.root, shelf.house.closed | {shelf.house.state}) as tree:
        wanted = [_kept_since(record, want, tree.see(want.path)) for want in wanted]
    plan = transaction.apply(shelf.house, wanted, emptied=done.folders)
    return shelf.keep(record.happened("undone", "undone", plan=plan.id)), plan


def _kept_since(record: Record, want: Wanted, seen: Seen) -> Wanted:
    """What takes a file back, with what others changed in it since."""
    if seen.state in {want.base, _post(want)}:
        return want._replace(base=seen.state)
    made = [
        each
        for each in record.change_set.file_changes
        if each.filepath == want.path and each.operation == "write"
    ]
    if want.data is None or seen.state.kind != "file" or not made:
        raise _met(want.path, "it is another now")
    data = remade(want.path, _as_made(record, want, made[-1]), want.data, seen.data)
    return want._replace(data=data, base=seen.state, mode=None)


def _as_made(record: Record, want: Wanted, made: FileChange) -> bytes:
    """What the change set left in a file, which was perhaps not what it was made for."""
    old = record.old(want.path)
    if want.data is None or old in {None, want.data}:
        return made.data
    return remade(want.path, old or b"", made.data, want.data)


def _post(want: Wanted) -> rooted.State:
    if want.data is None:
        return ABSENT
    return rooted.state_of_link(want.data) if want.link else rooted.state_of(want.data, want.mode or 0)


# -- arranging --------------------------------------------------------------------------------------


def drop(shelf: Shelf, record: Record) -> Record:
    """Throw a pending change set away.

    Raises:
        UsageError: it does not wait.
    """
    _demand_pending(record)
    return shelf.keep(record.happened("dropped", "dropped"))


def split(shelf: Shelf, record: Record, patterns: Sequence[str]) -> tuple[Record, Record]:
    """Two change sets of one: the files of some globs, and the others.

    Raises:
        UsageError: one of the two would be empty.
    """
    _demand_pending(record)
    parts = [
        tuple(c for c in record.change_set.file_changes if pathname.matches(c.filepath, patterns) is taken)
        for taken in (True, False)
    ]
    if not all(parts):
        listed = ", ".join(safe_line(path, 60) for path in record.paths)
        raise UsageError("that takes all of its files, or none", f"its files are: {listed}")
    made = [_part(shelf, record, part) for part in parts]
    shelf.keep(record.happened("split", "dropped", note=" ".join(each.id for each in made)))
    return made[0], made[1]


def _part(shelf: Shelf, record: Record, part: tuple[FileChange, ...]) -> Record:
    own = {each.filepath for each in part}
    olds = {path: old for path, old in record.olds.items() if path in own}
    name = f"c-{secrets.token_hex(4)}"
    kept = replace(record.change_set, file_changes=part)
    return shelf.keep(
        replace(record, id=name, change_set=kept, olds=olds).happened("split", note=f"of {record.id}")
    )


def squash(shelf: Shelf, records: Sequence[Record]) -> Record:
    """One change set of several, in their order.

    Raises:
        ConflictError: they meet each other.
        UsageError: there are fewer than two.
    """
    if len(records) < 2:
        raise UsageError("squash needs two change sets or more", "codebot pending list shows them")
    for record in records:
        _demand_pending(record)
    base = _first_of(records)
    ready = _standings(records, base)
    for each in ready:
        if each.conflict:
            raise ConflictError(
                f"{each.record.id}: {each.conflict.message}", each.conflict.fix, each.conflict.files
            )
    whole = _composed([each.differences for each in ready])
    why = {path: reason for record in records for path, reason in change.reasons(record.change_set).items()}
    summary = "; ".join(filter(None, (record.change_set.summary for record in records)))
    commands = " + ".join(filter(None, dict.fromkeys(record.change_set.command for record in records)))
    made = ChangeSet(change.of_differences(whole, why), summary, command=commands)
    squashed = propose(shelf, made, whole)
    for record in records:
        shelf.keep(record.happened("squashed", "dropped", note=f"into {squashed.id}"))
    return squashed


def _first_of(records: Sequence[Record]) -> See:
    """What was at a path when the first of the records that change it was made."""

    def see(path: str) -> Seen:
        first = next((each for each in records if path in each.paths), None)
        old = first.old(path) if first else None
        return Seen(ABSENT) if old is None else Seen(rooted.state_of(old, 0o644), old)

    return see


def _composed(steps: Sequence[Sequence[Difference]]) -> list[Difference]:
    made: dict[str, Difference] = {}
    for each in (one for step in steps for one in step):
        origin = next((path for path, known in made.items() if (known.to or path) == each.path), each.path)
        first = made.get(origin)
        made[origin] = (
            each if first is None else Difference(origin, first.old, each.new, each.to or first.to)
        )
    return [each for each in made.values() if each.old != each.new or each.to]


def _demand_pending(record: Record) -> None:
    if record.state != "pending":
        raise UsageError(
            f"{record.id} is {record.state}, not pending", "codebot pending list shows those that are"
        )


def as_json(record: Record) -> dict[str, object]:
    """A record as programs get it."""
    found: dict[str, object] = msgspec.to_builtins(record)
    found.pop("olds", None)
    return found
