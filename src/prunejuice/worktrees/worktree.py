"""Create, remove and restore worktrees, atomically and without touching the user's checkout.

Every change is recorded in the git directory before it starts: a record for each created worktree, an
operation for each removal. A lock serializes the changes to one repository. Git processes inherit the
lock, so it stays taken until the last process of a killed attempt has exited. The next holder of the lock
deletes half-made worktrees and finishes interrupted removals.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from prunejuice.errors import ConflictError, GitError, PruneJuiceError, StepError, UsageError
from prunejuice.system import process
from prunejuice.system.deletion import delete_folder
from prunejuice.system.lock import hold_lock
from prunejuice.system.private import make_private_folder
from prunejuice.system.process_tags import kill_tagged
from prunejuice.text import safe_line
from prunejuice.worktrees import checkout, oplog
from prunejuice.worktrees.git import Git
from prunejuice.worktrees.listing import (
    Worktree,
    WorktreeRecord,
    branch_name_error,
    find_checkout,
    list_worktrees,
    read_first_line,
    worktree_records,
)
from prunejuice.worktrees.oplog import Operation
from prunejuice.worktrees.trash import delete_backup
from prunejuice.worktrees.unsaved_work import can_delete_branch, inspect_unsaved_work, reason_to_keep
from prunejuice.worktrees.worktree_config import copy_settings

LOCK_TIMEOUT = 120.0
"""How long to wait for the lock of a repository, in seconds."""
CHECKOUT_SECONDS = 3600.0
"""How long writing the files of a large repository may take."""
CHECK_PREFIX = "check:"
"""The prefix of the owner of a temporary worktree; the process id follows."""


class WorktreeSpec(NamedTuple):
    """A worktree to create: `base` is a commit, `owner` a run id or a user."""

    path: Path
    branch: str
    base: str
    owner: str


# -- locking ----------------------------------------------------------------------------------------


@contextmanager
def lock_worktrees(git: Git) -> Iterator[Git]:
    """Lock the worktrees of a repository, and yield git for changing them.

    Interrupted operations are finished first.

    Raises:
        StepError: another process holds the lock for longer than `LOCK_TIMEOUT`.
    """
    git = git.locate()
    is_stopped = git.stop.is_requested if git.stop else None
    lock_path = Path(git.common) / "prunejuice.lock"
    try:
        with hold_lock(lock_path, LOCK_TIMEOUT, stopped=is_stopped) as lock_file:
            # Run git in the main worktree: the current one may be about to be removed.
            locked = git.for_main_worktree()._replace(pass_fds=(*git.pass_fds, lock_file.fileno()))
            _finish_interrupted_operations(locked._replace(stop=None))
            yield locked
    except TimeoutError as error:
        raise StepError(f"another process holds {lock_path}") from error
    except OSError as error:
        raise StepError(f"could not use {error.filename or lock_path}: {error.strerror}") from error


def _finish_interrupted_operations(git: Git) -> None:
    """Undo interrupted creations, and finish interrupted removals, restorations and merges."""
    records = worktree_records(git)
    for record in records.unfinished_records():
        if (Path(record.git_dir) / "index").is_file():  # git writes it last: the worktree is complete
            records.write(record, finished=True)
        else:
            _delete_unfinished_worktree(git, record)
            records.forget(record)
    for operation in oplog.open_log(git).interrupted_operations():
        # One operation that fails must not block all later changes.
        with suppress(PruneJuiceError, OSError):
            _finish_operation(git, operation)


def _finish_operation(git: Git, operation: Operation) -> None:
    if operation.kind == "remove":
        (_finish_restore if operation.state == "undoing" else _finish_removal)(git, operation)
    if operation.kind == "land":
        _finish_merge(git, operation)


def _finish_merge(git: Git, operation: Operation) -> None:
    """Finish an interrupted merge: update the checkout if the branch has moved."""
    log = oplog.open_log(git)
    if git.resolve(f"refs/heads/{operation.branch}") != operation.new:
        log.forget(operation)
        return
    for entry in list_worktrees(git):
        if entry.branch == operation.branch and entry.is_sound:
            checkout.finish_fast_forward(
                git.for_worktree(entry.path, entry.git_dir), operation.old, operation.new
            )
    log.mark_state(operation, "done")


# -- creation ---------------------------------------------------------------------------------------


def create(git: Git, spec: WorktreeSpec) -> WorktreeRecord:
    """Create a worktree and its branch, or leave nothing behind.

    An existing branch is checked out. An existing path is left as it is.

    Raises:
        UsageError: the branch name is invalid, or the folder to create the worktree in does not exist.
        StepError: the path exists already, or could not be written.
        GitError: git failed, or the branch is checked out elsewhere.
    """
    if problem := branch_name_error(git, spec.branch):
        raise UsageError(f"branch name {safe_line(spec.branch, 120)!r} {problem}", "choose another name")
    if not spec.path.parent.parent.is_dir():
        raise UsageError(f"directory {spec.path.parent.parent} does not exist", "create it first")
    with lock_worktrees(git) as locked:
        return _find_reusable_worktree(locked, spec) or _create_new(locked, spec, git.locate())


def _find_reusable_worktree(git: Git, spec: WorktreeSpec) -> WorktreeRecord | None:
    """Return the record of the worktree if an earlier attempt of the same owner completed it."""
    record = worktree_records(git).find(spec.path)
    if record is None or not os.path.lexists(spec.path):
        return None
    worktree_git = git.for_worktree(record.path, record.git_dir)
    matches = (
        record.owner == spec.owner
        and Path(record.git_dir).is_dir()
        and worktree_git.current_branch() == spec.branch
    )
    return replace(record, reused=True) if matches else None


def _create_new(git: Git, spec: WorktreeSpec, source: Git) -> WorktreeRecord:
    if os.path.lexists(spec.path) and not _is_empty(spec.path):
        is_worktree = list_worktrees(git, spec.path)
        name = spec.path.name
        fix = f"run `plum path {name}` or `plum remove {name}`" if is_worktree else "move it away"
        raise StepError(f"{spec.path} already exists", f"{fix}, or choose another branch name")
    _forget_missing_worktrees(git, spec)
    new_branch = not git.resolve(f"refs/heads/{spec.branch}")
    if not new_branch and (place := find_checkout(git, spec.branch)):
        raise GitError(f"branch {spec.branch!r} is checked out at {place}", "choose another name")
    git_dir = Path(git.common) / "worktrees" / f"{spec.path.name}-{secrets.token_hex(3)}"
    record = WorktreeRecord(str(spec.path), spec.branch, spec.base, spec.owner, str(git_dir), new_branch)
    records = worktree_records(git)
    records.write(record, finished=False)
    try:
        _build_worktree(git, record, source)
    except PruneJuiceError:
        _delete_unfinished_worktree(git._replace(stop=None), record)
        records.forget(record)
        raise
    records.write(record, finished=True)
    return record


def _build_worktree(git: Git, record: WorktreeRecord, source: Git) -> None:
    if record.made_branch:
        git.update_refs((f"refs/heads/{record.branch}", record.base, ""))
    try:
        _register_worktree(Path(git.common), record, source)
    except OSError as error:
        fix = "free the path, or set worktree_parent to another folder"
        problem = f"could not create {error.filename or record.path}: {error.strerror}"
        raise StepError(problem, fix) from error
    worktree_git = git.for_worktree(record.path, record.git_dir)
    files_git = worktree_git.with_clean_config(Path(record.git_dir) / "index")
    files_git = files_git._replace(extra_config=(*files_git.extra_config, ("checkout.workers", "0")))
    files_git.run("read-tree", "--reset", "-u", worktree_git.head_commit(), timeout=CHECKOUT_SECONDS)


def _register_worktree(common: Path, record: WorktreeRecord, source: Git) -> None:
    """Register the worktree with git, as `git worktree add` in `source` does, but with one rename."""
    git_dir, path = Path(record.git_dir), Path(record.path)
    staging_dir = common / "prunejuice" / f"new-{git_dir.name}"
    shutil.rmtree(staging_dir, ignore_errors=True)
    staging_dir.mkdir(parents=True)
    files = {"HEAD": f"ref: refs/heads/{record.branch}", "commondir": "../..", "gitdir": f"{path}/.git"}
    for name, content in files.items():
        (staging_dir / name).write_bytes(os.fsencode(f"{content}\n"))
    copy_settings(source, staging_dir)
    path.mkdir(parents=True, exist_ok=True)
    (path / ".git").write_bytes(os.fsencode(f"gitdir: {git_dir}\n"))
    git_dir.parent.mkdir(exist_ok=True)
    staging_dir.rename(git_dir)


def _delete_unfinished_worktree(git: Git, record: WorktreeRecord) -> None:
    """Delete a half-made worktree, and its branch if it has not moved."""
    path, git_dir = Path(record.path), Path(record.git_dir)
    if _is_empty(path) or read_first_line(path / ".git") == f"gitdir: {git_dir}":
        delete_folder(path)
    shutil.rmtree(git_dir, ignore_errors=True)
    shutil.rmtree(Path(git.common) / "prunejuice" / f"new-{git_dir.name}", ignore_errors=True)
    ref = f"refs/heads/{record.branch}"
    if record.made_branch and git.resolve(ref) == record.base:
        git.update_refs((ref, "", record.base))


def _forget_missing_worktrees(git: Git, spec: WorktreeSpec) -> None:
    """Remove worktrees with this path or branch whose folder was deleted by hand."""
    for entry in list_worktrees(git):
        if entry.gone and not entry.locked and (entry.path == spec.path or entry.branch == spec.branch):
            _move_to_trash(git, entry, drop=False)


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def _free_path(folder: Path, name: str) -> Path:
    candidates = [name, *(f"{name}{number}" for number in range(1, 10_000))]
    return next(folder / candidate for candidate in candidates if not os.path.lexists(folder / candidate))


# -- removal ----------------------------------------------------------------------------------------


class RemovalResult(NamedTuple):
    """`why` the worktree was kept, or the `operation` that removed it; `dropped`: so is its branch."""

    why: str = ""
    operation: str = ""
    dropped: bool = False


def remove(
    git: Git, path: Path, *, drop: bool = False, force: bool = False, dry_run: bool = False
) -> RemovalResult:
    """Move a worktree to the trash if no work would be lost, or unconditionally with `force`.

    A branch created with the worktree is deleted if another branch contains it; with `drop`, any branch is.
    A `dry_run` moves nothing, and returns why the worktree would be kept.

    Raises:
        StepError: the branch to drop has commits in no other branch, or the folder could not be moved.
        GitError: git failed.
    """
    with lock_worktrees(git) as locked:
        entry = next(iter(list_worktrees(locked, path)), None)
        if entry is None:
            return RemovalResult("it is not a worktree of this repository" if path.exists() else "")
        if reason := reason_to_keep(entry, force=force):
            return RemovalResult(reason)
        reason, tip = "", ""
        if not (force or entry.gone):
            reason, tip = inspect_unsaved_work(locked.for_worktree(entry.path, entry.git_dir))
        if reason or dry_run:
            return RemovalResult(reason)
        return _move_to_trash(locked, entry, drop=drop, force=force, tip=tip)


def _move_to_trash(
    git: Git, entry: Worktree, *, drop: bool, force: bool = False, tip: str = ""
) -> RemovalResult:
    tip = tip or git.for_worktree(git.directory, entry.git_dir).resolve("HEAD")
    dropped = bool(entry.branch and tip) and can_delete_branch(git, entry, tip, drop=drop, force=force)
    operation = replace(
        oplog.new_operation("remove", f"worktree {entry.path}", entry.path),
        old=_commit_index(git, entry, tip) if tip and force else "",
        git_dir=str(entry.git_dir),
        branch=entry.branch,
        new=tip,
        dropped=dropped,
        run=entry.record.owner if entry.record and ":" not in entry.record.owner else "",
    )
    operation = replace(operation, trash=str(_trash_folder(git, entry, operation)))
    oplog.open_log(git).write(operation)
    try:
        _finish_removal(git, operation)
    except OSError as error:
        oplog.open_log(git).forget(operation)
        problem = f"could not move {entry.path}: {error.strerror}"
        raise StepError(problem, "close the programs that use it") from error
    return RemovalResult("", operation.id, dropped)


def _commit_index(git: Git, entry: Worktree, tip: str) -> str:
    """Commit the index, with the heads of an unfinished merge or rebase as parents."""
    index = entry.git_dir / "index"
    if not index.is_file():
        return tip
    index_copy = entry.git_dir / "prunejuice.kept.index"
    shutil.copy2(index, index_copy)
    index_git = git.for_worktree(git.directory, entry.git_dir).with_clean_config(index_copy)
    tree = index_git.try_run("write-tree").stdout.decode().strip()  # fails while files conflict
    names = ("MERGE_HEAD", "ORIG_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD")
    heads = (read_first_line(entry.git_dir / name).split("\n")[0] for name in names)
    other_heads = [head for head in heads if head and git.resolve(head)]
    return git.commit_tree(
        tree or f"{tip}^{{tree}}", tuple(dict.fromkeys((tip, *other_heads))), "kept with a worktree"
    )


def _trash_folder(git: Git, entry: Worktree, operation: Operation) -> Path:
    """Return a folder on the same file system as the worktree, so that moving is a rename."""
    default = Path(git.common) / "prunejuice" / "trash" / operation.id
    parent = entry.path.parent
    same_device = not parent.is_dir() or parent.stat().st_dev == Path(git.common).stat().st_dev
    return default if same_device else parent / f".prunejuice-trash-{operation.id}"


def _finish_removal(git: Git, operation: Operation) -> None:
    """Complete a removal; safe to repeat after an interruption."""
    trash_dir, path = Path(operation.trash), Path(operation.path)
    make_private_folder(trash_dir)
    _move_path(path, trash_dir / "tree")
    _move_path(Path(operation.git_dir), trash_dir / "git")
    _back_up_commits(git, operation)
    worktree_records(git).forget(WorktreeRecord(operation.path, "", "", ""))
    oplog.open_log(git).mark_state(operation, "done")


def _back_up_commits(git: Git, operation: Operation) -> None:
    """Create the backup ref and delete the branch, in one transaction where possible."""
    if not operation.new:
        return
    ref, commit = f"refs/heads/{operation.branch}", operation.old or operation.new
    deletions = [(ref, "", operation.new)] if operation.dropped else []
    try:
        git.update_refs((operation.backup_ref, commit, ""), *deletions)
    except GitError:  # an interrupted attempt may have done a part of it
        changes = [] if git.resolve(operation.backup_ref) else [(operation.backup_ref, commit, "")]
        changes += deletions if git.resolve(ref) == operation.new else []
        if changes:
            git.update_refs(*changes)


def _move_path(source: Path, target: Path) -> None:
    if not os.path.lexists(source) or os.path.lexists(target):
        return
    try:
        source.rename(target)
    except PermissionError:
        if source.is_symlink() or not source.is_dir() or os.access(source, os.W_OK):
            raise
        # Moving a folder changes its `..` entry, so the folder itself must be writable.
        source.chmod(source.stat().st_mode | 0o200)
        source.rename(target)


def restore_worktree(git: Git, removal: Operation) -> str:
    """Undo a removal: restore the files, index, HEAD and branch. Return a note for the user, or "".

    Raises:
        ConflictError: the path exists again, or the trash was emptied.
        StepError: the worktree could not be moved back.
    """
    with lock_worktrees(git) as locked:
        if os.path.lexists(removal.path):
            raise ConflictError(f"{removal.path} already exists", "move it away first")
        if not (Path(removal.trash) / "git").is_dir():
            raise ConflictError(f"could not restore {removal.id}: its trash was emptied")
        note = _restore_branch(locked, removal)
        git_dir = _free_path(Path(locked.common) / "worktrees", Path(removal.git_dir).name)
        restoration = replace(removal, git_dir=str(git_dir), state="undoing")
        try:
            _finish_restore(locked, oplog.open_log(locked).write(restoration))
        except OSError as error:
            oplog.open_log(locked).mark_state(removal, "done")
            problem = f"could not create {removal.path}: {error.strerror}"
            raise StepError(problem, "free the path") from error
        return note


def _finish_restore(git: Git, restoration: Operation) -> None:
    """Complete a restoration; safe to repeat after an interruption."""
    path, trash_dir = Path(restoration.path), Path(restoration.trash)
    if os.path.lexists(path) and os.path.lexists(trash_dir / "tree"):
        oplog.open_log(git).mark_state(restoration, "done")
        raise ConflictError(f"{path} already exists", "move it away first")
    path.parent.mkdir(parents=True, exist_ok=True)
    _move_path(trash_dir / "tree", path)
    path.mkdir(exist_ok=True)
    (path / ".git").write_bytes(os.fsencode(f"gitdir: {restoration.git_dir}\n"))
    Path(restoration.git_dir).parent.mkdir(exist_ok=True)
    _move_path(trash_dir / "git", Path(restoration.git_dir))
    oplog.open_log(git).mark_state(restoration, "undone")
    with suppress(OSError):
        trash_dir.rmdir()


def _restore_branch(git: Git, removal: Operation) -> str:
    """Recreate the branch, or detach HEAD in the worktree if the branch has moved or is in use."""
    if not removal.branch or not removal.new:
        return ""
    current = git.resolve(f"refs/heads/{removal.branch}")
    if not current:
        git.update_refs((f"refs/heads/{removal.branch}", removal.new, ""))
        return ""
    if current == removal.new and not find_checkout(git, removal.branch):
        return ""
    (Path(removal.trash) / "git" / "HEAD").write_text(f"{removal.new}\n")
    return f"branch {removal.branch!r} has moved or is in use: HEAD is detached at {removal.new[:12]}"


def prune(git: Git, *, dry_run: bool = False) -> list[Path]:
    """Remove worktrees whose folder was deleted by hand. Return their paths."""
    with lock_worktrees(git) as locked:
        missing = [e for e in list_worktrees(locked) if e.gone and not (e.locked or e.main)]
        if not dry_run:
            for entry in missing:
                _move_to_trash(locked, entry, drop=False)
        return [entry.path for entry in missing]


def rebuild_folder(git: Git, commit: str) -> None:
    """Make the folder of a worktree again, which was deleted by hand, with the files of a commit.

    It comes to its place whole, or not at all.

    Raises:
        StepError: another process has made it meanwhile.
        GitError: git failed.
    """
    folder = Path(git.directory)
    with (
        lock_worktrees(git),
        tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as name,
    ):
        if os.path.lexists(folder):
            raise StepError(f"{folder} exists by now", "try again")
        files = git.for_worktree(name, git.git_dir).with_clean_config(Path(name, "index"), exact=True)
        staged = Path(name, "files")
        staged.mkdir()
        files.run("read-tree", commit, timeout=CHECKOUT_SECONDS)
        files.run("checkout-index", "--all", "--quiet", f"--prefix={staged}/", timeout=CHECKOUT_SECONDS)
        (staged / ".git").write_bytes(b"gitdir: " + os.fsencode(git.git_dir) + b"\n")
        staged.rename(folder)


def remove_dead_checks(git: Git, *, dry_run: bool = False) -> list[Path]:
    """Remove the temporary worktrees of dead processes, and kill what runs in them. Return their paths."""
    owned = [(entry, entry.record.owner) for entry in list_worktrees(git) if entry.record]
    checks = [(entry, owner.split(":")[1]) for entry, owner in owned if owner.startswith(CHECK_PREFIX)]
    dead = [entry.path for entry, pid in checks if not process.is_alive(int(pid))]
    for path in () if dry_run else dead:
        kill_tagged(f"{CHECK_PREFIX}{path.name}")
        discard(git, path)
    return dead


def scratch_folder(path: Path) -> Path:
    """Return the folder beside a temporary worktree for what is not part of it; `discard` deletes it."""
    return path.with_name(f"{path.name}-scratch")


def discard(git: Git, path: Path) -> None:
    """Remove a worktree permanently, without a backup."""
    delete_folder(scratch_folder(path))
    operation_id = remove(git, path, force=True).operation
    if operation_id:
        delete_backup(git, oplog.open_log(git).find(operation_id))
