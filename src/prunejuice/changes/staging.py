"""Staging folders: one slot for each file that a change set changes.

A slot holds the future content of its file. One exchange of the two makes the change, and the same exchange
reverts it. In between, the slot holds the previous file, with its owner, mode and attributes.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from prunejuice.changes import dirfd, filesystem
from prunejuice.changes.dirfd import ABSENT, OTHER, FileSnapshot, FileState, OpenTree
from prunejuice.changes.filesystem import Disk
from prunejuice.changes.tree_state import TreeState
from prunejuice.errors import DeniedError, StoreError
from prunejuice.system.lock import hold_lock
from prunejuice.system.private import make_private_folder

LOCK_TIMEOUT = 60.0  # seconds
SYNC_ALL_THRESHOLD = 4  # files, above which one flush of the file system replaces one for each file
STAGING_PREFIX = ".prunejuice-"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class FileWrite(NamedTuple):
    """The desired content of a path: `data` None removes the file, `base` None accepts any current state.

    `mode` None keeps the mode of the file, or uses the default for a new one. With `link`, `data` is the
    target of a symbolic link.
    """

    path: str
    data: bytes | None
    base: FileState | None = None
    mode: int | None = None
    link: bool = False


class Target(Struct, frozen=True):
    """One file of a plan: its path, and its states before and after."""

    path: str
    pre: FileState
    post: FileState

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


class TransactionPlan(Struct, frozen=True, omit_defaults=True):
    """A change of several files; `folders` are created for it, empty ones of `emptied` removed after it.

    `staging` is the path of the staging folder; `at` is in seconds since 1970.
    """

    id: str
    at: float
    root: str
    staging: str
    targets: tuple[Target, ...]
    folders: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()


class LockedTree(NamedTuple):
    """A tree that this process has locked, with the tree and its state folder open."""

    tree_state: TreeState
    tree: OpenTree
    state_fd: int

    @property
    def disk(self) -> Disk:
        """The calls that modify the disk."""
        return self.tree_state.disk


@contextmanager
def lock_tree(tree_state: TreeState) -> Iterator[LockedTree]:
    """Lock a tree and open it for changes.

    Raises:
        DeniedError: the state folder is a link.
        StoreError: another process holds the lock, or the disk refuses.
    """
    try:
        _make_state_dir(tree_state.state_dir)
        with ExitStack() as stack:
            stack.enter_context(hold_lock(tree_state.lock_path, LOCK_TIMEOUT))
            tree = stack.enter_context(
                dirfd.open_tree(tree_state.root, tree_state.git_folders | {tree_state.state_dir})
            )
            state = os.open(tree_state.state_dir, _FOLDER)
            stack.callback(os.close, state)
            yield LockedTree(tree_state, tree, state)
    except TimeoutError as error:
        message = f"another process is changing {tree_state.root}"
        raise StoreError(message, "wait for it to finish, then try again") from error
    except OSError as error:
        place = error.filename if isinstance(error.filename, str) else tree_state.state_dir
        raise StoreError(
            f"{place}: {error.strerror}; nothing was changed", "check its permissions"
        ) from error


def _make_state_dir(state: Path) -> None:
    """Create the state folder; refuse a link, which could lead to the files of another user."""
    if state.parent.is_symlink() or state.is_symlink():
        raise DeniedError(f"{state} is a link", "remove the link")
    make_private_folder(state)


@contextmanager
def open_staging(locked: LockedTree, plan: TransactionPlan) -> Iterator[int]:
    """Open the staging folder of a plan, and yield its descriptor."""
    with open_folder(*locate_staging(locked, plan)) as slots:
        yield slots


def locate_staging(locked: LockedTree, plan: TransactionPlan) -> tuple[int, str]:
    """Return the descriptor of the folder that contains the staging folder, and the name in it."""
    folder = Path(plan.staging)
    return (
        locked.state_fd if folder.parent == locked.tree_state.state_dir else locked.tree.fd
    ), folder.name


@contextmanager
def open_folder(parent: int, name: str) -> Iterator[int]:
    """Open a folder inside an open one, and yield its descriptor."""
    fd = os.open(name, _FOLDER, dir_fd=parent)
    try:
        yield fd
    finally:
        os.close(fd)


def write_staged_files(
    locked: LockedTree, plan: TransactionPlan, changes: Sequence[tuple[FileWrite, FileSnapshot]]
) -> None:
    """Write the slots and flush them, so that a full disk is noticed before the plan is committed."""
    parent, name = locate_staging(locked, plan)
    locked.disk.make_folder(parent, name, 0o700)
    with open_folder(parent, name) as slots:
        for number, (write, _) in enumerate(changes):
            if write.data is not None:
                _write_staged_file(locked, slots, str(number), write, plan.targets[number])
        if len(changes) > SYNC_ALL_THRESHOLD and locked.disk.sync_all(slots):
            return
        for number, (write, _) in enumerate(changes):
            if write.data is not None and not write.link:
                sync_file(locked, slots, str(number))
        locked.disk.sync(slots)


def _write_staged_file(locked: LockedTree, slots: int, name: str, write: FileWrite, target: Target) -> None:
    if write.link:
        locked.disk.create_link(slots, name, os.fsdecode(write.data or b""))
        return
    locked.disk.write_file(slots, name, write.data or b"", target.post.mode)
    with suppress(OSError), locked.tree.open_parent(target.path) as folder:
        _copy_attributes(folder, target.name, slots, name)


def _copy_attributes(folder: int, original: str, slots: int, name: str) -> None:
    """Give a slot the owner and extended attributes of the file it replaces, as far as permitted."""
    old = os.open(original, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    new = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=slots)
    try:
        old_status, new_status = os.fstat(old), os.fstat(new)
        if (old_status.st_uid, old_status.st_gid) != (new_status.st_uid, new_status.st_gid):
            # chown clears the set-user-ID bit, so the mode is set once more.
            os.fchown(new, old_status.st_uid, old_status.st_gid)
            os.fchmod(new, new_status.st_mode & 0o7777)
        for attribute in os.listxattr(old) if hasattr(os, "listxattr") else ():
            os.setxattr(new, attribute, os.getxattr(old, attribute))
    finally:
        os.close(old)
        os.close(new)


def sync_file(locked: LockedTree, folder: int, name: str) -> None:
    """Wait until a file is on the disk."""
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        locked.disk.sync(fd)
    finally:
        os.close(fd)


def has_entry(folder: int, name: str) -> bool:
    """Return whether an open folder contains a name."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def current_and_staged_state(
    locked: LockedTree, slots: int, number: int, target: Target
) -> tuple[FileState, FileState]:
    """Return the state of a target in the tree, and the state of its slot.

    Portable renames that were interrupted are finished first.
    """
    filesystem.finish_swap(slots, str(number))
    try:
        with locked.tree.open_parent(target.path) as folder:
            filesystem.finish_move(slots, str(number), folder, target.name)
        current = locked.tree.read_path(target.path, content=False).state
    except FileNotFoundError:
        current = ABSENT
    except DeniedError:
        current = OTHER
    return current, staged_state(slots, number)


def staged_state(slots: int, number: int) -> FileState:
    """Return the state of a slot.

    `OTHER` is neither a file nor a link; such an entry can only have come out of the tree.
    """
    try:
        return dirfd.read_entry(slots, str(number), content=False).state
    except FileNotFoundError:
        return ABSENT
    except DeniedError:
        return OTHER


def exchange_files(locked: LockedTree, slots: int, number: int, target: Target) -> None:
    """Exchange a file and its slot, or leave both if another process changes the file at that moment.

    The caller compares the states afterwards.
    """
    slot = str(number)
    with (
        suppress(FileExistsError, FileNotFoundError, InterruptedError, DeniedError),
        locked.tree.open_parent(target.path) as folder,
    ):
        in_tree, in_slot = has_entry(folder, target.name), has_entry(slots, slot)
        if in_tree and in_slot:
            locked.disk.swap(slots, slot, folder, target.name)
        elif in_slot:
            locked.disk.move(slots, slot, folder, target.name)
        else:
            locked.disk.move(folder, target.name, slots, slot)


def sync_exchanges(locked: LockedTree, plan: TransactionPlan, slots: int) -> None:
    """Wait until every exchange is on the disk."""
    if len(plan.targets) > SYNC_ALL_THRESHOLD and locked.disk.sync_all(slots):
        return
    locked.disk.sync(slots)
    for parent in sorted({target.path.rpartition("/")[0] for target in plan.targets} | set(plan.folders)):
        with (
            suppress(FileNotFoundError, DeniedError),
            locked.tree.open_parent(f"{parent}/x" if parent else "x") as folder,
        ):
            locked.disk.sync(folder)


def copy_to_state_dir(locked: LockedTree, plan: TransactionPlan) -> None:
    """Copy the previous files into the state folder if they are staged on another file system."""
    if Path(plan.staging).parent == locked.tree_state.state_dir:
        return
    with suppress(FileExistsError):
        locked.disk.make_folder(locked.state_fd, plan.id, 0o700)
    with open_folder(locked.state_fd, plan.id) as backup, open_staging(locked, plan) as slots:
        for number, target in enumerate(plan.targets):
            is_original = target.pre != ABSENT and staged_state(slots, number) == target.pre
            if is_original and staged_state(backup, number) != target.pre:
                _copy_staged_file(locked, slots, backup, number, target)
        locked.disk.sync(backup)


def _copy_staged_file(locked: LockedTree, slots: int, backup: int, number: int, target: Target) -> None:
    name = str(number)
    if has_entry(backup, name):
        locked.disk.remove(backup, name)
    snapshot = dirfd.read_entry(slots, name)
    write = FileWrite(target.path, snapshot.data, link=snapshot.state.kind == "link")
    _write_staged_file(locked, backup, name, write, Target(target.path, ABSENT, target.pre))
    if not write.link:
        sync_file(locked, backup, name)


def keep_staging(locked: LockedTree, plan: TransactionPlan) -> None:
    """Keep the slots of a plan that met a foreign change: one may hold the only copy of a file."""
    parent, name = locate_staging(locked, plan)
    if parent != locked.state_fd:
        copy_to_state_dir(locked, plan)
        remove_staging(locked, parent, name)
    with suppress(FileNotFoundError):
        locked.disk.replace(locked.state_fd, plan.id, f"kept-{plan.id}")


def remove_staging(locked: LockedTree, parent: int, name: str) -> None:
    """Remove a staging folder with its content, if it exists."""
    try:
        with open_folder(parent, name) as slots:
            for entry in os.listdir(slots):
                locked.disk.remove(slots, entry)
        locked.disk.remove_folder(parent, name)
    except FileNotFoundError:
        return
