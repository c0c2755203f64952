"""Apply, undo, redo and arrange stored change sets.

A record follows its files when other lines of them change. When the same lines change, it is a conflict,
and no file is touched.
"""

import base64
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from msgspec.structs import replace

from prunejuice.changes import transaction
from prunejuice.changes.change_set import (
    ChangeSet,
    FileChange,
    changes_from_diffs,
    open_version_reader,
    reasons_by_path,
    require_allowed,
    version_state,
    write_diffs,
)
from prunejuice.changes.change_set_store import (
    ChangeSetAction,
    ChangeSetEvent,
    ChangeSetRecord,
    ChangeSetStore,
    InFlight,
    OriginalFile,
    decision_event,
)
from prunejuice.changes.dirfd import ABSENT
from prunejuice.changes.rebase import VersionReader, _conflict_error, apply_diff, merge_file, rebase_record
from prunejuice.changes.review import ReviewDecision
from prunejuice.changes.staging import FileWrite, TransactionPlan
from prunejuice.edits import path_rules
from prunejuice.edits.diff import FileDiff, Version
from prunejuice.edits.overlay import Overlay
from prunejuice.errors import (
    ConflictError,
    DeniedError,
    NotFoundError,
    PruneJuiceError,
    StoreError,
    UsageError,
)
from prunejuice.system.lock import FileLock
from prunejuice.text import safe_line

_LOCK_TIMEOUT = 60.0  # seconds
_MIN_AGE = 3600  # seconds, in which nothing is deleted


def add_change_set(
    store: ChangeSetStore,
    change_set: ChangeSet,
    differences: Sequence[FileDiff],
    decisions: Sequence[ReviewDecision] = (),
) -> ChangeSetRecord:
    """Store changes as a new pending record, with the files as they were when the changes were made."""
    olds = {
        file_diff.path: _original_file(file_diff.old)
        for file_diff in differences
        if file_diff.old.data is not None
    }
    changes = changes_from_diffs(differences, reasons_by_path(change_set))
    history = [ChangeSetEvent(time.time(), "proposed"), *map(decision_event, decisions)]
    stored = replace(change_set, file_changes=changes)
    record = ChangeSetRecord(f"c-{secrets.token_hex(4)}", time.time(), stored, olds, history=tuple(history))
    return store.save(record)


def add_change_set_once(
    store: ChangeSetStore, change_set: ChangeSet, differences: Sequence[FileDiff]
) -> ChangeSetRecord:
    """Return the pending record with the same changes of the same files, or store a new one."""
    olds = {
        file_diff.path: _original_file(file_diff.old)
        for file_diff in differences
        if file_diff.old.data is not None
    }
    changes = _without_reasons(changes_from_diffs(differences))
    for record in store.load_in_state("pending"):
        if record.olds == olds and _without_reasons(record.change_set.file_changes) == changes:
            return record
    return add_change_set(store, change_set, differences)


def _without_reasons(changes: Sequence[FileChange]) -> list[FileChange]:
    return [replace(change, reason="") for change in changes]


def _original_file(version: Version) -> OriginalFile:
    return OriginalFile(base64.b64encode(version.data or b"").decode(), version.mode, version.link)


# -- status of records ------------------------------------------------------------------------------


class RecordStatus(NamedTuple):
    """The effect that a record would have now, after the records before it, or its conflict."""

    record: ChangeSetRecord
    differences: tuple[FileDiff, ...] = ()
    stacks_on: tuple[str, ...] = ()
    conflict: PruneJuiceError | None = None


def load_record_statuses(store: ChangeSetStore, records: Sequence[ChangeSetRecord]) -> list[RecordStatus]:
    """Return how records would apply now, one after the other; interrupted transactions are settled first.

    Raises:
        ConflictError: a file was changed while a transaction was interrupted, which is settled now.
    """
    transaction.recover(store.tree_state)
    with open_version_reader(store.tree_state) as read_version:
        return stack_records(records, read_version)[0]


def stack_records(
    records: Sequence[ChangeSetRecord], read_version: VersionReader
) -> tuple[list[RecordStatus], Overlay]:
    """Stack records on top of each other; return their statuses and the files after all of them."""
    overlay = Overlay(read_version)
    owner: dict[str, str] = {}
    statuses = []
    for record in records:
        names = [*record.paths, *record.targets]
        below = tuple(dict.fromkeys(owner[path] for path in names if path in owner))
        try:
            differences = tuple(rebase_record(record, overlay.get))
        except (ConflictError, DeniedError) as error:
            message = f"{error.message} (after {', '.join(below)})" if below else error.message
            statuses.append(
                RecordStatus(record, (), below, ConflictError(message, error.fix, tuple(names)))
            )
            continue
        statuses.append(RecordStatus(record, differences, below))
        for difference in differences:
            apply_diff(difference, overlay)
        owner |= dict.fromkeys(names, record.id)
    return statuses, overlay


# -- applying and undoing ---------------------------------------------------------------------------


def apply(
    store: ChangeSetStore,
    records: Sequence[ChangeSetRecord],
    grant: Sequence[str] = (),
    approved: Sequence[str] = (),
) -> list[tuple[ChangeSetRecord, TransactionPlan]]:
    """Apply records one after the other, all of them or none.

    Raises:
        ConflictError: a record does not apply, and is named; nothing was changed.
        DeniedError: a file needs a grant; nothing was changed.
        UsageError: a record is already applied.
    """
    with _hold_lock(store):
        return _apply_locked(store, [store.find(record.id) for record in records], grant, approved)


@contextmanager
def _hold_lock(store: ChangeSetStore) -> Iterator[None]:
    """Lock the records of a tree against other processes; read them again inside the lock.

    Raises:
        ConflictError: another process holds the lock for too long.
    """
    lock = FileLock(store.tree_state.pending_dir / "lock")
    if not lock.acquire(_LOCK_TIMEOUT):
        raise ConflictError("other change sets are being applied", "wait, then try again")
    try:
        yield
    finally:
        lock.release()


def _apply_locked(
    store: ChangeSetStore, records: Sequence[ChangeSetRecord], grant: Sequence[str], approved: Sequence[str]
) -> list[tuple[ChangeSetRecord, TransactionPlan]]:
    statuses = load_record_statuses(store, records)
    for status in statuses:
        if status.record.state == "applied":
            fix = f"run `codebot undo {status.record.id}` to revert it"
            raise UsageError(f"{status.record.id} is already applied", fix)
        require_no_conflict(status)
        require_allowed(status.differences, grant, approved)
    applied: list[tuple[ChangeSetRecord, TransactionPlan]] = []
    try:
        applied.extend(_apply_record(store, status) for status in statuses)
    except PruneJuiceError:
        for record, _ in reversed(applied):
            before = next(status.record for status in statuses if status.record.id == record.id)
            _undo_locked(store, record)
            store.save(before)
        raise
    return applied


def require_no_conflict(status: RecordStatus) -> None:
    """Raise if a record does not apply now.

    Raises:
        ConflictError: names the record and the reason.
    """
    if status.conflict:
        conflict, name = status.conflict, status.record.id
        files = conflict.files if isinstance(conflict, ConflictError) else ()
        raise ConflictError(f"{name}: {conflict.message}", conflict.fix, files)


def _apply_record(store: ChangeSetStore, status: RecordStatus) -> tuple[ChangeSetRecord, TransactionPlan]:
    record = status.record
    action: ChangeSetAction = "redone" if record.state == "undone" else "applied"
    name = transaction.new_plan_id()
    # Saved first: if we are killed after the files are written, the store completes the action.
    store.save(replace(record, trying=InFlight(name, action, "applied")))
    plan = write_diffs(store.tree_state, status.differences, name)
    return store.save(record.with_event(action, "applied", plan=plan.id if plan.targets else "")), plan


def undo(store: ChangeSetStore, record: ChangeSetRecord) -> tuple[ChangeSetRecord, list[str]]:
    """Revert a change set, keep later edits of other lines, and return the record and the reverted paths.

    Raises:
        ConflictError: the same lines were edited since; nothing was changed.
        NotFoundError: the previous files are no longer stored.
        UsageError: the record is not applied.
    """
    with _hold_lock(store):
        return _undo_locked(store, store.find(record.id))


def _undo_locked(store: ChangeSetStore, record: ChangeSetRecord) -> tuple[ChangeSetRecord, list[str]]:
    if record.state != "applied":
        raise UsageError(
            f"{record.id} is {record.state}, not applied",
            "run `codebot pending list --all` to see the state of each",
        )
    transaction.recover(store.tree_state)
    if not record.plan:  # the record had changed nothing
        return store.save(record.with_event("undone", "undone", plan="")), []
    plan = transaction.load_done_plan(store.tree_state, record.plan)
    if plan is None:
        raise NotFoundError(
            f"the files from before {record.id} are no longer stored", "restore them from git if possible"
        )
    writes = transaction.reverse_writes(store.tree_state, plan)
    applied = {
        file_diff.to or file_diff.path: file_diff.new for file_diff in _recompute_diffs(record, writes)
    }
    with open_version_reader(store.tree_state) as read_version:
        writes = [
            _keep_later_edits(write, applied.get(write.path), read_version(write.path)) for write in writes
        ]
    name = transaction.new_plan_id()
    store.save(replace(record, trying=InFlight(name, "undone", "undone")))
    transaction.apply(store.tree_state, writes, plan.folders, name)
    return store.save(record.with_event("undone", "undone", plan=name)), [write.path for write in writes]


def applied_diffs(store: ChangeSetStore, record: ChangeSetRecord) -> list[FileDiff]:
    """Return the differences that an applied record made; none if the old files are no longer stored."""
    plan = transaction.load_done_plan(store.tree_state, record.plan) if record.plan else None
    with suppress(StoreError):
        return _recompute_diffs(record, transaction.reverse_writes(store.tree_state, plan)) if plan else []
    return []


def _recompute_diffs(record: ChangeSetRecord, writes: Sequence[FileWrite]) -> list[FileDiff]:
    """Rebase a record onto the files as they were before it; return none if that conflicts."""
    writes_by_path = {write.path: write for write in writes}

    def before(path: str) -> Version:
        write = writes_by_path.get(path)
        if write is None or write.data is None:
            return Version(None)
        return Version(write.data, write.mode or 0, write.link)

    try:
        return rebase_record(record, before)
    except ConflictError:
        return []


def _keep_later_edits(write: FileWrite, applied: Version | None, current: Version) -> FileWrite:
    """Return the write that reverts a file but keeps the edits made to it since."""
    state = version_state(current)
    if state in {write.base, _state_after_write(write)}:
        return write._replace(base=state)
    is_mergeable = applied is not None and applied.data is not None and not current.link and not write.link
    if not is_mergeable or write.data is None or current.data is None:
        raise _conflict_error(
            write.path, "its content differs" if current.data is not None else "it was deleted"
        )
    data = merge_file(write.path, (applied and applied.data) or b"", write.data, current.data)
    return write._replace(data=data, base=state, mode=None)


def _state_after_write(write: FileWrite) -> object:
    if write.data is None:
        return ABSENT
    return version_state(Version(write.data, write.mode or 0, write.link))


def delete_expired(store: ChangeSetStore, days: float) -> None:
    """Delete records without activity for `days` that are not pending, and plans that no record needs."""
    before = time.time() - max(days * 86400, _MIN_AGE)
    for record in store.load_all():
        if record.state != "pending" and record.history[-1].at < before:
            store.delete(record)
    needed = {event.plan for record in store.load_all() for event in record.history}
    for name in transaction.done_plan_ids(store.tree_state):
        plan = transaction.load_done_plan(store.tree_state, name)
        if name not in needed and plan and plan.at < before:
            transaction.delete_done_plan(store.tree_state, name)


# -- arranging --------------------------------------------------------------------------------------


def drop_record(store: ChangeSetStore, record: ChangeSetRecord) -> ChangeSetRecord:
    """Drop a pending change set.

    Raises:
        UsageError: the record is not pending.
    """
    with _hold_lock(store):
        record = store.find(record.id)
        _require_pending(record)
        return store.save(record.with_event("dropped", "dropped"))


def split_record(
    store: ChangeSetStore, record: ChangeSetRecord, patterns: Sequence[str]
) -> tuple[ChangeSetRecord, ChangeSetRecord]:
    """Split a change set in two: the files that match some globs, and the others.

    Raises:
        UsageError: the record is not pending, or one of the two would be empty.
    """
    with _hold_lock(store):
        return _split_locked(store, store.find(record.id), patterns)


def _split_locked(
    store: ChangeSetStore, record: ChangeSetRecord, patterns: Sequence[str]
) -> tuple[ChangeSetRecord, ChangeSetRecord]:
    _require_pending(record)
    parts = [
        tuple(
            c
            for c in record.change_set.file_changes
            if path_rules.matches_any(c.filepath, patterns) is matching
        )
        for matching in (True, False)
    ]
    if not all(parts):
        listed = ", ".join(safe_line(path, 60) for path in record.paths)
        raise UsageError(
            f"the globs match all files of {record.id}, or none", f"choose some of its files: {listed}"
        )
    records = [_save_part(store, record, changes) for changes in parts]
    store.save(record.with_event("split", "dropped", note=" ".join(part.id for part in records)))
    return records[0], records[1]


def _save_part(
    store: ChangeSetStore, record: ChangeSetRecord, changes: tuple[FileChange, ...]
) -> ChangeSetRecord:
    part_paths = {change.filepath for change in changes}
    olds = {path: old for path, old in record.olds.items() if path in part_paths}
    name = f"c-{secrets.token_hex(4)}"
    change_set = replace(record.change_set, file_changes=changes)
    return store.save(
        replace(record, id=name, change_set=change_set, olds=olds).with_event(
            "split", note=f"of {record.id}"
        )
    )


def squash_records(store: ChangeSetStore, records: Sequence[ChangeSetRecord]) -> ChangeSetRecord:
    """Combine change sets into one, in their order.

    Raises:
        ConflictError: the change sets conflict with each other.
        UsageError: a record is not pending, or there are fewer than two.
    """
    if len(records) < 2:
        raise UsageError("squash needs at least two change sets", "run `codebot pending list` to see them")
    with _hold_lock(store):
        return _squash_locked(store, [store.find(record.id) for record in records])


def _squash_locked(store: ChangeSetStore, records: Sequence[ChangeSetRecord]) -> ChangeSetRecord:
    for record in records:
        _require_pending(record)
    statuses, overlay = stack_records(records, _original_version_reader(records))
    for status in statuses:
        require_no_conflict(status)
    differences = overlay.diffs()
    reasons = {
        path: reason for record in records for path, reason in reasons_by_path(record.change_set).items()
    }
    summary = "; ".join(filter(None, (record.change_set.summary for record in records)))
    commands = " + ".join(filter(None, dict.fromkeys(record.change_set.command for record in records)))
    combined = ChangeSet(changes_from_diffs(differences, reasons), summary, command=commands)
    squashed = add_change_set(store, combined, differences)
    for record in records:
        store.save(record.with_event("squashed", "dropped", note=f"into {squashed.id}"))
    return squashed


def _original_version_reader(records: Sequence[ChangeSetRecord]) -> VersionReader:
    """Return a reader of the files as they were before the first record that names them."""

    def read_version(path: str) -> Version:
        first = next((record for record in records if path in {*record.paths, *record.targets}), None)
        return first.original_version(path) if first else Version(None)

    return read_version


def require_unchanged(store: ChangeSetStore, record: ChangeSetRecord) -> None:
    """Raise if a record changed since it was loaded.

    Raises:
        ConflictError: the record changed.
    """
    if (current := store.find(record.id)).history != record.history:
        raise ConflictError(
            f"{record.id} changed meanwhile: it is {current.state}",
            f"run `codebot pending show {record.id}`",
        )


def _require_pending(record: ChangeSetRecord) -> None:
    if record.state != "pending":
        raise UsageError(
            f"{record.id} is {record.state}, not pending",
            "run `codebot pending list` to see the pending ones",
        )
