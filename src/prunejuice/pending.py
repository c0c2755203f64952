"""Change sets that wait until they are applied, and those that were: applied, undone, and made again.

A record follows its files where they changed in other lines; where the same lines changed it is a conflict,
and nothing is touched.
"""

import base64
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from prunejuice import change, pathname, settings
from prunejuice import git as gits
from prunejuice.change import ChangeSet, FileChange
from prunejuice.errors import (
    ConflictError,
    DeniedError,
    NotFoundError,
    PruneJuiceError,
    StoreError,
    UsageError,
)
from prunejuice.hunk import Difference, Version
from prunejuice.lock import FileLock
from prunejuice.overlay import Overlay
from prunejuice.review import Decision
from prunejuice.shelf import Happened, Old, Record, Shelf, Trying, What, decided
from prunejuice.text import safe_line
from prunejuice.workspaces import transaction
from prunejuice.workspaces.rooted import ABSENT
from prunejuice.workspaces.slot import Plan, Wanted

See = Callable[[str], Version]
_PATIENCE = 60.0
"""Seconds that others who apply are waited for."""
_YOUNG = 3600  # seconds, in which nothing is forgotten


def propose(
    shelf: Shelf, change_set: ChangeSet, found: Sequence[Difference], decisions: Sequence[Decision] = ()
) -> Record:
    """Keep changes that wait, with the files as they were when they were made; always a new record."""
    olds = {each.path: _old(each.old) for each in found if each.old.data is not None}
    named = change.of_differences(found, change.reasons(change_set))
    history = [Happened(time.time(), "proposed"), *map(decided, decisions)]
    kept = replace(change_set, file_changes=named)
    record = Record(f"c-{secrets.token_hex(4)}", time.time(), kept, olds, history=tuple(history))
    return shelf.keep(record)


def propose_once(shelf: Shelf, change_set: ChangeSet, found: Sequence[Difference]) -> Record:
    """The record of the same changes of the same files that waits already, or a new one."""
    olds = {each.path: _old(each.old) for each in found if each.old.data is not None}
    named = _plain(change.of_differences(found))
    for each in shelf.of_state("pending"):
        if each.olds == olds and _plain(each.change_set.file_changes) == named:
            return each
    return propose(shelf, change_set, found)


def _plain(changes: Sequence[FileChange]) -> list[FileChange]:
    """Changes without why they are made."""
    return [replace(each, reason="") for each in changes]


def _old(version: Version) -> Old:
    return Old(base64.b64encode(version.data or b"").decode(), version.mode, version.link)


# -- how records stand to the files, and to each other ----------------------------------------------


class Standing(NamedTuple):
    """A record as it would apply now, after those before it: its files, what it builds on or meets."""

    record: Record
    differences: tuple[Difference, ...] = ()
    stacks_on: tuple[str, ...] = ()
    conflict: PruneJuiceError | None = None


def standings(shelf: Shelf, records: Sequence[Record]) -> list[Standing]:
    """How records would apply one after the other as things are; what was cut off is settled first.

    Raises:
        ConflictError: somebody changed a file while a change was cut off; it is settled now.
    """
    transaction.recover(shelf.house)
    with change.seeing(shelf.house) as see:
        return stacked(records, see)[0]


def stacked(records: Sequence[Record], see: See) -> tuple[list[Standing], Overlay]:
    """Records one on top of the other, and the files after all of them."""
    whole = Overlay(see)
    owner: dict[str, str] = {}
    found = []
    for record in records:
        names = [*record.paths, *record.targets]
        below = tuple(dict.fromkeys(owner[path] for path in names if path in owner))
        try:
            made = tuple(rebased(record, whole.get))
        except (ConflictError, DeniedError) as error:
            where = f"{error.message} (after {', '.join(below)})" if below else error.message
            found.append(Standing(record, (), below, ConflictError(where, error.fix, tuple(names))))
            continue
        found.append(Standing(record, made, below))
        for each in made:
            _lay(each, whole)
        owner |= dict.fromkeys(names, record.id)
    return found, whole


def _lay(each: Difference, whole: Overlay) -> None:
    if each.to:
        whole.rename(each.path, each.to)
    whole.put(each.to or each.path, each.new)


def as_made(record: Record) -> list[Difference]:
    """What a record was made to change, whatever the files are now."""
    made = Overlay(record.old)
    change.make([replace(each, base="") for each in record.change_set.file_changes], made)
    return made.differences()


def rebased(record: Record, see: See) -> list[Difference]:
    """What a record makes of the files as they are; one that changed in other lines is followed.

    Raises:
        ConflictError: somebody changed the same lines; names the files.
        DeniedError: something else is there now.
    """
    now = Overlay(see)
    for each in as_made(record):
        _follow(each, now)
    return now.differences()


def _follow(each: Difference, now: Overlay) -> None:
    """Make of a file as it is now what a change made of it as it was."""
    there = now.get(each.path)
    if each.to:
        if there != each.old:
            raise _met(each.path, "it is another now")
        now.rename(each.path, each.to)
        now.put(each.to, each.new)
        return
    if there == each.old or (there.data is not None and there == each.new):
        now.put(each.path, each.new)
        return
    if there.data is None or each.old.data is None or each.new.data is None or there.link or each.old.link:
        raise _met(each.path, _what(each.old, there))
    data = merged(each.path, each.old.data, each.new.data, there.data)
    mode = each.new.mode if each.new.mode != each.old.mode else there.mode
    now.put(each.path, there._replace(data=data, mode=mode))


def _what(old: Version, there: Version) -> str:
    if there.data is None:
        return "it is gone"
    return "it is there now" if old.data is None else "it is another now"


def merged(path: str, old: bytes, new: bytes, now: bytes) -> bytes:
    """A file as it is now, with what led from `old` to `new` made in it too, as git merges.

    Raises:
        ConflictError: the same lines were changed.
    """
    if now in {old, new}:
        return new
    if old == new:
        return now
    environ = dict(settings.environment())
    with tempfile.TemporaryDirectory(prefix="prj-merge-") as folder:
        names = {"now": now, "old": old, "new": new}
        for name, data in names.items():
            (Path(folder) / name).write_bytes(data)
        done = gits.git(folder, environ).try_("merge-file", "-p", "-q", *names, limit=1 << 28)
    if done.code:
        raise _met(path, "the same lines, or lines beside them" if done.code < 128 else "it is not text")
    return done.out


def _met(path: str, why: str) -> ConflictError:
    fix = "ask for the change again, on the file as it is now; nothing was changed"
    return ConflictError(f"{safe_line(path, 120)} was changed since: {why}", fix, (path,))


# -- applying and taking back -----------------------------------------------------------------------


def apply(
    shelf: Shelf, records: Sequence[Record], grant: Sequence[str] = (), approved: Sequence[str] = ()
) -> list[tuple[Record, Plan]]:
    """Apply records one after the other, all of them or none.

    Raises:
        ConflictError: one cannot be, which is named; nothing was changed.
        DeniedError: a file needs a grant; nothing was changed.
        UsageError: one is applied already.
    """
    with _alone(shelf):
        return _apply(shelf, [shelf.find(each.id) for each in records], grant, approved)


@contextmanager
def _alone(shelf: Shelf) -> Iterator[None]:
    """Let nobody else change the records meanwhile; they are to be looked at again within.

    Raises:
        ConflictError: others take too long.
    """
    lock = FileLock(shelf.house.pending / "lock")
    if not lock.take(_PATIENCE):
        raise ConflictError("other change sets are being applied", "wait, and do it again")
    try:
        yield
    finally:
        lock.free()


def _apply(
    shelf: Shelf, records: Sequence[Record], grant: Sequence[str], approved: Sequence[str]
) -> list[tuple[Record, Plan]]:
    ready = standings(shelf, records)
    for each in ready:
        if each.record.state == "applied":
            fix = f"codebot undo {each.record.id} takes it back"
            raise UsageError(f"{each.record.id} is applied already", fix)
        demand_fit(each)
        change.demand_grants(each.differences, grant, approved)
    made: list[tuple[Record, Plan]] = []
    try:
        made.extend(_applied(shelf, each) for each in ready)
    except PruneJuiceError:
        for record, _ in reversed(made):
            before = next(each.record for each in ready if each.record.id == record.id)
            _undo(shelf, record)
            shelf.keep(before)
        raise
    return made


def demand_fit(standing: Standing) -> None:
    """Refuse a record that cannot be applied as things are.

    Raises:
        ConflictError: says which, and why.
    """
    if standing.conflict:
        met, name = standing.conflict, standing.record.id
        files = met.files if isinstance(met, ConflictError) else ()
        raise ConflictError(f"{name}: {met.message}", met.fix, files)


def _applied(shelf: Shelf, standing: Standing) -> tuple[Record, Plan]:
    record = standing.record
    word: What = "redone" if record.state == "undone" else "applied"
    name = transaction.new_name()
    shelf.keep(replace(record, trying=Trying(name, word, "applied")))
    plan = change.carry_out(shelf.house, standing.differences, name)
    return shelf.keep(record.happened(word, "applied", plan=plan.id if plan.targets else "")), plan


def undo(shelf: Shelf, record: Record) -> tuple[Record, list[str]]:
    """Take a change set back; what was changed since in other lines stays. The files that it is about.

    Raises:
        ConflictError: the same lines were changed since; nothing was changed.
        NotFoundError: what was there before is not kept any more.
        UsageError: it is not applied.
    """
    with _alone(shelf):
        return _undo(shelf, shelf.find(record.id))


def _undo(shelf: Shelf, record: Record) -> tuple[Record, list[str]]:
    if record.state != "applied":
        raise UsageError(f"{record.id} is {record.state}, not applied", "codebot pending list --all")
    transaction.recover(shelf.house)
    if not record.plan:  # it had changed nothing
        return shelf.keep(record.happened("undone", "undone", plan="")), []
    done = transaction.done(shelf.house, record.plan)
    if done is None:
        raise NotFoundError(f"what was there before {record.id} is not kept any more", "git may have it")
    wanted = transaction.before(shelf.house, done)
    made = {each.to or each.path: each.new for each in _remade(record, wanted)}
    with change.seeing(shelf.house) as see:
        wanted = [_kept_since(want, made.get(want.path), see(want.path)) for want in wanted]
    name = transaction.new_name()
    shelf.keep(replace(record, trying=Trying(name, "undone", "undone")))
    transaction.apply(shelf.house, wanted, done.folders, name)
    return shelf.keep(record.happened("undone", "undone", plan=name)), [each.path for each in wanted]


def effect(shelf: Shelf, record: Record) -> list[Difference]:
    """What an applied record did to files; nothing when what was there before is not kept any more."""
    done = transaction.done(shelf.house, record.plan) if record.plan else None
    with suppress(StoreError):
        return _remade(record, transaction.before(shelf.house, done)) if done else []
    return []


def _remade(record: Record, wanted: Sequence[Wanted]) -> list[Difference]:
    """What a record made of the files as they were before it; nothing when that cannot be said any more."""
    befores = {want.path: want for want in wanted}

    def before(path: str) -> Version:
        want = befores.get(path)
        if want is None or want.data is None:
            return Version(None)
        return Version(want.data, want.mode or 0, want.link)

    try:
        return rebased(record, before)
    except ConflictError:
        return []


def _kept_since(want: Wanted, made: Version | None, now: Version) -> Wanted:
    """What takes a file back, with what others changed in it since."""
    state = change.state(now)
    if state in {want.base, _post(want)}:
        return want._replace(base=state)
    plain = made is not None and made.data is not None and not now.link and not want.link
    if not plain or want.data is None or now.data is None:
        raise _met(want.path, "it is another now" if now.data is not None else "it is gone")
    data = merged(want.path, (made and made.data) or b"", want.data, now.data)
    return want._replace(data=data, base=state, mode=None)


def _post(want: Wanted) -> object:
    if want.data is None:
        return ABSENT
    return change.state(Version(want.data, want.mode or 0, want.link))


def expire(shelf: Shelf, days: float) -> None:
    """Forget what was not touched for so many days: what does not wait, and what is kept for undo."""
    before = time.time() - max(days * 86400, _YOUNG)
    for record in shelf.all():
        if record.state != "pending" and record.history[-1].at < before:
            shelf.forget(record)
    kept = {told.plan for record in shelf.all() for told in record.history}
    for name in transaction.all_done(shelf.house):
        plan = transaction.done(shelf.house, name)
        if name not in kept and plan and plan.at < before:
            transaction.forget(shelf.house, name)


# -- arranging --------------------------------------------------------------------------------------


def drop(shelf: Shelf, record: Record) -> Record:
    """Throw a pending change set away.

    Raises:
        UsageError: it does not wait.
    """
    with _alone(shelf):
        record = shelf.find(record.id)
        _demand_pending(record)
        return shelf.keep(record.happened("dropped", "dropped"))


def split(shelf: Shelf, record: Record, patterns: Sequence[str]) -> tuple[Record, Record]:
    """Two change sets of one: the files of some globs, and the others.

    Raises:
        UsageError: one of the two would be empty.
    """
    with _alone(shelf):
        return _split(shelf, shelf.find(record.id), patterns)


def _split(shelf: Shelf, record: Record, patterns: Sequence[str]) -> tuple[Record, Record]:
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
    with _alone(shelf):
        return _squash(shelf, [shelf.find(each.id) for each in records])


def _squash(shelf: Shelf, records: Sequence[Record]) -> Record:
    for record in records:
        _demand_pending(record)
    ready, overlay = stacked(records, _first_of(records))
    for each in ready:
        demand_fit(each)
    whole = overlay.differences()
    why = {path: reason for record in records for path, reason in change.reasons(record.change_set).items()}
    summary = "; ".join(filter(None, (record.change_set.summary for record in records)))
    commands = " + ".join(filter(None, dict.fromkeys(record.change_set.command for record in records)))
    made = ChangeSet(change.of_differences(whole, why), summary, command=commands)
    squashed = propose(shelf, made, whole)
    for record in records:
        shelf.keep(record.happened("squashed", "dropped", note=f"into {squashed.id}"))
    return squashed


def _first_of(records: Sequence[Record]) -> See:
    """What was at a path before the first of the records that names it."""

    def see(path: str) -> Version:
        first = next((each for each in records if path in {*each.paths, *each.targets}), None)
        return first.old(path) if first else Version(None)

    return see


def demand_same(shelf: Shelf, record: Record) -> None:
    """That nothing happened to a record since it was looked at.

    Raises:
        ConflictError: something did.
    """
    if (now := shelf.find(record.id)).history != record.history:
        raise ConflictError(f"{record.id} is {now.state} meanwhile", f"codebot pending show {record.id}")


def _demand_pending(record: Record) -> None:
    if record.state != "pending":
        raise UsageError(
            f"{record.id} is {record.state}, not pending", "codebot pending list shows those that are"
        )


def as_json(record: Record) -> dict[str, object]:
    """A record as programs get it."""
    found: dict[str, object] = msgspec.to_builtins(record)
    found.pop("olds", None)
    return {**found, "change_set": change.plain(record.change_set)}
