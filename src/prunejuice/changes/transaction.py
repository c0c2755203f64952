"""Change several files together, all or none, even if the process is interrupted at any point.

    fill the slots · flush · write the plan · flush: the plan is committed ·
    exchange files and slots one by one, and check the old files · flush · mark the plan as done

The next process completes a plan that is not done, or reverts it if another program changed a file in
between. Foreign data is never overwritten: an exchange that brings out other bytes than those read is
reversed. The old files stay in the slots, for `undo`.

Other processes can see some files new and others old during the exchanges. Hard links to a changed file
keep its old content. A program that holds a file open and writes to it later writes to the old file.
"""

import os
import secrets
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from prunejuice.changes import dirfd, staging
from prunejuice.changes.dirfd import ABSENT, FileSnapshot, FileState
from prunejuice.changes.staging import STAGING_PREFIX, FileWrite, LockedTree, Target, TransactionPlan
from prunejuice.changes.tree_state import TreeState
from prunejuice.edits import path_rules
from prunejuice.errors import ConflictError, DeniedError, StoreError
from prunejuice.text import safe_line
from prunejuice.worktrees import oplog

_DEFAULT_MODE = 0o666


def apply(
    tree_state: TreeState, writes: Sequence[FileWrite], emptied: Sequence[str] = (), name: str = ""
) -> TransactionPlan:
    """Apply writes, all or none, and return the executed plan, which is empty if nothing changes.

    Folders in `emptied` are removed if nothing is left in them; `name` is the id of the plan, by default
    `new_plan_id()`.

    Raises:
        ConflictError: a file is not what it was when read, or changed meanwhile; nothing was changed.
        DeniedError: a path may not be written.
        StoreError: the disk refuses; nothing was changed, or the next command reverts it.
    """
    with staging.lock_tree(tree_state) as locked:
        _recover_locked(locked)
        snapshots = _read_and_check(locked, writes)
        changes = [
            (write, snapshot)
            for write, snapshot in zip(writes, snapshots, strict=True)
            if _state_after_write(write, snapshot) != snapshot.state
        ]
        plan = _build_plan(locked, changes, emptied, name or new_plan_id())
        if plan.targets:
            try:
                staging.write_staged_files(locked, plan, changes)
                _commit_plan(locked, plan)
            except OSError as error:
                raise _abort_plan(locked, plan, error) from error
            _execute_plan(locked, plan)
        return plan


def recover(tree_state: TreeState) -> None:
    """Complete or revert interrupted plans.

    Raises:
        ConflictError: another program changed a file; it was left alone, and the other files were reverted.
    """
    if tree_state.state_dir.is_dir():
        with staging.lock_tree(tree_state) as locked:
            _recover_locked(locked)


# -- before the commit ------------------------------------------------------------------------------


def _read_and_check(locked: LockedTree, writes: Sequence[FileWrite]) -> list[FileSnapshot]:
    for write in writes:
        locked.tree.require_writable(write.path)
    if pair := path_rules.find_collision(write.path for write in writes if write.data is not None):
        names = " and ".join(repr(safe_line(name, 80)) for name in pair)
        raise DeniedError(f"{names} cannot both be files on every system", "rename one of them")
    snapshots = [locked.tree.read_path(write.path) for write in writes]
    stale = tuple(
        write.path
        for write, snapshot in zip(writes, snapshots, strict=True)
        if write.base not in {None, snapshot.state}
    )
    if stale:
        raise changed_since_error(stale)
    for write, snapshot in zip(writes, snapshots, strict=True):
        if snapshot.state.kind == "link" and write.data is not None and not write.link:
            target = safe_line(snapshot.data, 80)
            raise DeniedError(
                f"{safe_line(write.path, 80)!r} is a link to {target!r}", "name the target of the link"
            )
    return snapshots


def changed_since_error(changed: Sequence[str]) -> ConflictError:
    """Return the error for files that changed since they were read."""
    names = ", ".join(safe_line(path, 80) for path in changed)
    fix = "read them again; nothing was changed"
    return ConflictError(f"files changed since they were read: {names}", fix, tuple(changed))


def _state_after_write(write: FileWrite, snapshot: FileSnapshot) -> FileState:
    """Return the state that a path has after a write."""
    if write.data is None:
        return ABSENT
    if write.link:
        return dirfd.link_state(write.data)
    mode = snapshot.state.mode if snapshot.state.kind == "file" else _DEFAULT_MODE & ~_umask()
    return dirfd.file_state(write.data, mode if write.mode is None else write.mode)


@cache
def _umask() -> int:
    mask = os.umask(0o077)  # the umask can only be read by setting it
    os.umask(mask)
    return mask


def new_plan_id() -> str:
    """Return a new id for a plan."""
    return f"cs-{time.strftime('%Y%m%d%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"


def _build_plan(
    locked: LockedTree, changes: Sequence[tuple[FileWrite, FileSnapshot]], emptied: Sequence[str], name: str
) -> TransactionPlan:
    staging_dir = (
        locked.tree_state.state_dir / name
        if _is_same_device(locked)
        else locked.tree_state.root / f"{STAGING_PREFIX}{name}"
    )
    targets = tuple(
        Target(write.path, snapshot.state, _state_after_write(write, snapshot))
        for write, snapshot in changes
    )
    parents = {
        folder
        for target in targets
        if target.post != ABSENT
        for folder in path_rules.parent_folders(target.path)
    }
    folders = tuple(sorted(folder for folder in parents if not _has_folder(locked, folder)))
    return TransactionPlan(
        name, time.time(), str(locked.tree_state.root), str(staging_dir), targets, folders, tuple(emptied)
    )


def _is_same_device(locked: LockedTree) -> bool:
    """Return whether the tree and its state are on one file system, so that renames between them work."""
    return os.fstat(locked.state_fd).st_dev == locked.tree.device


def _has_folder(locked: LockedTree, folder: str) -> bool:
    try:
        with locked.tree.open_parent(f"{folder}/x"):
            return True
    except FileNotFoundError:
        return False


def _commit_plan(locked: LockedTree, plan: TransactionPlan) -> None:
    """Write the plan durably; after the last rename is flushed, it is committed."""
    locked.disk.write_file(
        locked.state_fd, f"{plan.id}.new", oplog.encode_with_signature(plan, locked.tree_state.key), 0o600
    )
    staging.sync_file(locked, locked.state_fd, f"{plan.id}.new")
    locked.disk.replace(locked.state_fd, f"{plan.id}.new", f"{plan.id}.plan")
    locked.disk.sync(locked.state_fd)


def _abort_plan(locked: LockedTree, plan: TransactionPlan, error: OSError) -> StoreError:
    """Remove a plan that was not committed, and return the error to raise."""
    try:
        _delete_plan_files(locked, plan)
    except OSError:
        if staging.has_entry(locked.state_fd, f"{plan.id}.plan"):
            return StoreError(
                f"{locked.tree_state.root}: {error.strerror}; the next command completes the change"
            )
    return StoreError(
        f"{locked.tree_state.root}: {error.strerror}; nothing was changed",
        "free disk space or fix the cause, then try again",
    )


# -- after the commit -------------------------------------------------------------------------------


def _execute_plan(locked: LockedTree, plan: TransactionPlan) -> None:
    try:
        _roll_forward(locked, plan)
    except (ConflictError, DeniedError, OSError) as error:
        try:
            _roll_back(locked, plan)
        except OSError as rollback_error:
            message = f"{locked.tree_state.root}: {rollback_error.strerror}; some files are changed"
            raise StoreError(
                message, "free disk space, then run `codebot pending` to revert them"
            ) from error
        if isinstance(error, OSError):
            raise StoreError(f"{locked.tree_state.root}: {error.strerror}; nothing was changed") from error
        raise


def _roll_forward(locked: LockedTree, plan: TransactionPlan) -> None:
    """Make every exchange that is not made yet, and mark the plan as done.

    Raises:
        ConflictError: another program changed a file meanwhile.
    """
    _make_folders(locked, plan)
    with staging.open_staging(locked, plan) as slots:
        for number, target in enumerate(plan.targets):
            if staging.current_and_staged_state(locked, slots, number, target) == (
                target.pre,
                target.post,
            ):
                staging.exchange_files(locked, slots, number, target)
            if staging.staged_state(slots, number) != target.pre:
                raise _conflict_error(target)
        staging.sync_exchanges(locked, plan, slots)
        for number, target in enumerate(plan.targets):
            # A program that held the file open may have written to it after the exchange.
            if staging.staged_state(slots, number) != target.pre:
                raise _conflict_error(target)
    _remove_folders(locked, sorted(plan.emptied, reverse=True))
    staging.copy_to_state_dir(locked, plan)
    locked.disk.replace(locked.state_fd, f"{plan.id}.plan", f"{plan.id}.done")
    if Path(plan.staging).parent != locked.tree_state.state_dir:
        staging.remove_staging(locked, *staging.locate_staging(locked, plan))


def _make_folders(locked: LockedTree, plan: TransactionPlan) -> None:
    for folder in plan.folders:
        with locked.tree.open_parent(folder) as parent:
            with suppress(FileExistsError):
                locked.disk.make_folder(parent, folder.rpartition("/")[2])
            locked.disk.sync(parent)  # a folder must be on the disk before the files in it


def _remove_folders(locked: LockedTree, folders: Sequence[str]) -> None:
    """Remove those folders that are empty; the inner ones must come first."""
    for folder in folders:
        with suppress(OSError, DeniedError), locked.tree.open_parent(folder) as parent:
            locked.disk.remove_folder(parent, folder.rpartition("/")[2])


def _conflict_error(target: Target) -> ConflictError:
    fix = "nothing was changed and the other edit is intact; try again with the current file"
    return ConflictError(
        f"{safe_line(target.path, 120)} was changed by another program just now", fix, (target.path,)
    )


def _roll_back(locked: LockedTree, plan: TransactionPlan) -> tuple[str, ...]:
    """Reverse every exchange, and return the paths that another program changed, which are left alone."""
    # With this suffix, an interrupted rollback is resumed by the next process, not rolled forward.
    if staging.has_entry(locked.state_fd, f"{plan.id}.plan"):
        locked.disk.replace(locked.state_fd, f"{plan.id}.plan", f"{plan.id}.back")
        locked.disk.sync(locked.state_fd)
    foreign = []
    with staging.open_staging(locked, plan) as slots:
        for number, target in enumerate(plan.targets):
            current, staged = staging.current_and_staged_state(locked, slots, number, target)
            if current == target.post and staged != target.post:
                staging.exchange_files(locked, slots, number, target)
            if {current, staged} - {target.pre, target.post}:
                foreign.append(target.path)
        _remove_folders(locked, plan.folders[::-1])
        staging.sync_exchanges(locked, plan, slots)
    if foreign:
        staging.keep_staging(locked, plan)
    _delete_plan_files(locked, plan)
    return tuple(foreign)


def _delete_plan_files(locked: LockedTree, plan: TransactionPlan) -> None:
    """Delete the files of a plan: the plan itself first, so that no process begins it again."""
    for suffix in ("plan", "new", "back"):
        if staging.has_entry(locked.state_fd, f"{plan.id}.{suffix}"):
            locked.disk.remove(locked.state_fd, f"{plan.id}.{suffix}")
    locked.disk.sync(locked.state_fd)
    staging.remove_staging(locked, *staging.locate_staging(locked, plan))


# -- recovery ---------------------------------------------------------------------------------------


def _recover_locked(locked: LockedTree) -> None:
    names = os.listdir(locked.state_fd)
    interrupted = [
        name for name in sorted(names) if name.startswith("cs-") and name.endswith((".plan", ".back"))
    ]
    foreign = [path for name in interrupted for path in _finish_plan(locked, name)]
    if not _is_same_device(locked) or any(
        name.startswith("cs-") and not name.endswith(".done") for name in names
    ):
        _remove_orphans(locked)
    if foreign:
        fix = f"try again; those edits are intact, and the old files are in {locked.tree_state.state_dir}"
        raise ConflictError(
            f"files changed while a change was interrupted: {', '.join(foreign)}", fix, tuple(foreign)
        )


def _finish_plan(locked: LockedTree, name: str) -> tuple[str, ...]:
    plan = oplog.read_with_signature(
        locked.tree_state.state_dir / name, locked.tree_state.key, TransactionPlan
    )
    if (
        plan is None
        or plan.root != str(locked.tree_state.root)
        or any(path_rules.invalid_path_reason(target.path) for target in plan.targets)
    ):
        # A plan that we did not sign is never executed, but kept for inspection.
        locked.disk.replace(locked.state_fd, name, f"refused-{name}")
        return ()
    # Without slots, an earlier recovery has set them aside.
    if not staging.has_entry(*staging.locate_staging(locked, plan)):
        _delete_plan_files(locked, plan)
        return ()
    if name.endswith(".plan"):
        with suppress(ConflictError, DeniedError, FileNotFoundError, NotADirectoryError):
            _roll_forward(locked, plan)
            return ()
    return _roll_back(locked, plan)


def _remove_orphans(locked: LockedTree) -> None:
    """Remove the files of plans that were never committed."""
    names = set(os.listdir(locked.state_fd))  # again: recovery has removed some
    for name in sorted(names):
        stem, _, suffix = name.partition(".")
        if not name.startswith("cs-") or {f"{stem}.done", f"{stem}.plan", f"{stem}.back"} & names:
            continue
        with suppress(NotADirectoryError, IsADirectoryError):  # not created by us
            if suffix == "new":
                locked.disk.remove(locked.state_fd, name)
            elif not suffix:
                staging.remove_staging(locked, locked.state_fd, name)
    if not _is_same_device(locked):
        for name in os.listdir(locked.tree.fd):
            stem = name.removeprefix(STAGING_PREFIX)
            if name.startswith(f"{STAGING_PREFIX}cs-") and not {f"{stem}.plan", f"{stem}.back"} & names:
                staging.remove_staging(locked, locked.tree.fd, name)


# -- executed plans ---------------------------------------------------------------------------------


def load_done_plan(tree_state: TreeState, name: str) -> TransactionPlan | None:
    """Return an executed plan, or None if it is no longer stored."""
    return oplog.read_with_signature(tree_state.state_dir / f"{name}.done", tree_state.key, TransactionPlan)


def read_original(tree_state: TreeState, plan: TransactionPlan, number: int) -> bytes | None:
    """Return the content of a target before a plan, or None if it did not exist.

    Raises:
        StoreError: the content is no longer stored, or damaged.
    """
    pre, place = plan.targets[number].pre, tree_state.state_dir / plan.id / str(number)
    if pre == ABSENT:
        return None
    try:
        data = os.fsencode(place.readlink()) if pre.kind == "link" else place.read_bytes()
    except OSError as error:
        raise StoreError(
            f"could not read {place}: {error.strerror}", "restore the old content from another source"
        ) from error
    if dirfd.file_state(data, 0).digest != pre.digest:
        raise StoreError(f"{place} is damaged", "restore the old content from another source")
    return data


def reverse_writes(tree_state: TreeState, plan: TransactionPlan) -> list[FileWrite]:
    """Return the writes that revert a plan; each expects the file to be as the plan left it.

    Raises:
        StoreError: the old content is no longer stored, or damaged.
    """
    pairs = [
        (target, read_original(tree_state, plan, number)) for number, target in enumerate(plan.targets)
    ]
    return [
        FileWrite(target.path, data, target.post, target.pre.mode, link=target.pre.kind == "link")
        for target, data in pairs
    ]


def delete_done_plan(tree_state: TreeState, name: str) -> None:
    """Delete an executed plan with the old files; it cannot be reverted any more."""
    (tree_state.state_dir / f"{name}.done").unlink(missing_ok=True)
    shutil.rmtree(tree_state.state_dir / name, ignore_errors=True)


def done_plan_ids(tree_state: TreeState) -> list[str]:
    """Return the ids of the executed plans, oldest first."""
    return sorted(path.stem for path in Path(tree_state.state_dir).glob("cs-*.done"))
