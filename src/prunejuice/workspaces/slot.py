"""Slots: a folder of ours with one place for each file that a change set changes.

A slot holds what its file is to become. One exchange of the two makes the change, and the same exchange
takes it back; what was there before then lies in the slot, whole, with its owner, its mode and all that
is known of it.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from prunejuice.errors import DeniedError, StoreError
from prunejuice.lock import locked
from prunejuice.workspaces import disk as disks
from prunejuice.workspaces import rooted
from prunejuice.workspaces.disk import Disk
from prunejuice.workspaces.house import House
from prunejuice.workspaces.rooted import ABSENT, OTHER, Rooted, Seen, State

QUEUE = 60.0
FEW = 4
STAGING = ".prunejuice-"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Wanted(NamedTuple):
    """What a path is to be: `data` None for nothing there. `base` None takes whatever is there now.

    `mode` None keeps that of the file, or makes a plain one. `link` says that the data is where a link
    leads.
    """

    path: str
    data: bytes | None
    base: State | None = None
    mode: int | None = None
    link: bool = False


class Target(Struct, frozen=True):
    """One file of a plan, before and after."""

    path: str
    pre: State
    post: State

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


class Plan(Struct, frozen=True, omit_defaults=True):
    """A change of several files; `folders` are made for it, `emptied` removed after it when empty.

    `staging` is where the slots are; `at` is seconds since 1970.
    """

    id: str
    at: float
    root: str
    staging: str
    targets: tuple[Target, ...]
    folders: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()


class Held(NamedTuple):
    """A house that nobody else changes meanwhile: its tree and its folder, open."""

    house: House
    tree: Rooted
    state: int

    @property
    def disk(self) -> Disk:
        """The calls that change something."""
        return self.house.disk


@contextmanager
def held(house: House) -> Iterator[Held]:
    """A house, to change something in.

    Raises:
        StoreError: another process does not let go of it.
    """
    try:
        _own(house.state)
        with ExitStack() as stack:
            stack.enter_context(locked(house.lock, QUEUE))
            tree = stack.enter_context(rooted.opened(house.root, house.closed | {house.state}))
            state = os.open(house.state, _FOLDER)
            stack.callback(os.close, state)
            yield Held(house, tree, state)
    except TimeoutError as error:
        what = f"another process changes {house.root}"
        raise StoreError(what, "wait for it, then do this again") from error
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else house.state
        raise StoreError(
            f"{where}: {error.strerror}; nothing was changed", "see who may write there"
        ) from error


def _own(state: Path) -> None:
    """Make the folder of a house; one that leads elsewhere is not ours."""
    if state.parent.is_symlink() or state.is_symlink():
        raise DeniedError(f"{state} is a link", "remove it")
    state.mkdir(parents=True, exist_ok=True, mode=0o700)


@contextmanager
def of(held: Held, plan: Plan) -> Iterator[int]:
    """The folder of the slots of a plan."""
    with inside(*place(held, plan)) as slots:
        yield slots


def place(held: Held, plan: Plan) -> tuple[int, str]:
    """The folder that the folder of the slots is in, and its name there."""
    staging = Path(plan.staging)
    return (held.state if staging.parent == held.house.state else held.tree.fd), staging.name


@contextmanager
def inside(parent: int, name: str) -> Iterator[int]:
    """A folder in an open one."""
    fd = os.open(name, _FOLDER, dir_fd=parent)
    try:
        yield fd
    finally:
        os.close(fd)


def fill(held: Held, plan: Plan, changes: Sequence[tuple[Wanted, Seen]]) -> None:
    """Write the slots and wait for the disk: what room a change takes is taken before it counts."""
    parent, name = place(held, plan)
    held.disk.make_folder(parent, name, 0o700)
    with inside(parent, name) as slots:
        for number, (want, _) in enumerate(changes):
            if want.data is not None:
                _write(held, slots, str(number), want, plan.targets[number])
        if len(changes) > FEW and held.disk.sync_all(slots):
            return
        for number, (want, _) in enumerate(changes):
            if want.data is not None and not want.link:
                sync(held, slots, str(number))
        held.disk.sync(slots)


def _write(held: Held, slots: int, name: str, want: Wanted, target: Target) -> None:
    if want.link:
        held.disk.link(slots, name, os.fsdecode(want.data or b""))
        return
    held.disk.make(slots, name, want.data or b"", target.post.mode)
    with suppress(OSError), held.tree.folder(target.path) as folder:
        _liken(folder, target.name, slots, name)


def _liken(folder: int, like: str, slots: int, name: str) -> None:
    """Give a slot the owner and attributes of the file it replaces, as far as we may."""
    old = os.open(like, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    new = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=slots)
    try:
        theirs, ours = os.fstat(old), os.fstat(new)
        if (theirs.st_uid, theirs.st_gid) != (ours.st_uid, ours.st_gid):
            os.fchown(new, theirs.st_uid, theirs.st_gid)
            os.fchmod(new, ours.st_mode & 0o7777)
        for attribute in os.listxattr(old) if hasattr(os, "listxattr") else ():
            os.setxattr(new, attribute, os.getxattr(old, attribute))
    finally:
        os.close(old)
        os.close(new)


def sync(held: Held, folder: int, name: str) -> None:
    """Wait until a file is on the disk."""
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        held.disk.sync(fd)
    finally:
        os.close(fd)


def exists(folder: int, name: str) -> bool:
    """Whether a name is taken."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def both(held: Held, slots: int, number: int, target: Target) -> tuple[State, State]:
    """What is at the path of a target now, and what is in its slot."""
    disks.settle(slots, str(number))
    try:
        with held.tree.folder(target.path) as folder:
            disks.settle_move(slots, str(number), folder, target.name)
        now = held.tree.see(target.path, content=False).state
    except FileNotFoundError:
        now = ABSENT
    except DeniedError:
        now = OTHER
    return now, state(slots, number)


def state(slots: int, number: int) -> State:
    """What is in a slot; something else than a file or a link can only have come out of the tree."""
    try:
        return rooted.look(slots, str(number), content=False).state
    except FileNotFoundError:
        return ABSENT
    except DeniedError:
        return OTHER


def exchange(held: Held, slots: int, number: int, target: Target) -> None:
    """Let a file and its slot change places; nothing when somebody else changes the file in that moment."""
    slot = str(number)
    with (
        suppress(FileExistsError, FileNotFoundError, InterruptedError, DeniedError),
        held.tree.folder(target.path) as folder,
    ):
        there, ours = exists(folder, target.name), exists(slots, slot)
        if there and ours:
            held.disk.swap(slots, slot, folder, target.name)
        elif ours:
            held.disk.move(slots, slot, folder, target.name)
        else:
            held.disk.move(folder, target.name, slots, slot)


def sync_all(held: Held, plan: Plan, slots: int) -> None:
    """Wait until every exchange is on the disk."""
    if len(plan.targets) > FEW and held.disk.sync_all(slots):
        return
    held.disk.sync(slots)
    for above in sorted({target.path.rpartition("/")[0] for target in plan.targets} | set(plan.folders)):
        with (
            suppress(FileNotFoundError, DeniedError),
            held.tree.folder(f"{above}/x" if above else "x") as folder,
        ):
            held.disk.sync(folder)


def bring_home(held: Held, plan: Plan) -> None:
    """Keep the slots beside the plan, when they had to be on another disk."""
    if Path(plan.staging).parent == held.house.state:
        return
    with suppress(FileExistsError):
        held.disk.make_folder(held.state, plan.id, 0o700)
    with inside(held.state, plan.id) as kept, of(held, plan) as slots:
        for number, target in enumerate(plan.targets):
            wanted = target.pre != ABSENT and state(slots, number) == target.pre
            if wanted and state(kept, number) != target.pre:
                _copy(held, slots, kept, number, target)
        held.disk.sync(kept)


def _copy(held: Held, slots: int, kept: int, number: int, target: Target) -> None:
    name = str(number)
    if exists(kept, name):
        held.disk.remove(kept, name)
    seen = rooted.look(slots, name)
    want = Wanted(target.path, seen.data, link=seen.state.kind == "link")
    _write(held, kept, name, want, Target(target.path, ABSENT, target.pre))
    if not want.link:
        sync(held, kept, name)


def set_aside(held: Held, plan: Plan) -> None:
    """Keep the slots of a plan that met somebody else's change: one may hold what was there before."""
    parent, name = place(held, plan)
    if parent != held.state:
        bring_home(held, plan)
        remove(held, parent, name)
    with suppress(FileNotFoundError):
        held.disk.replace(held.state, plan.id, f"kept-{plan.id}")


def remove(held: Held, parent: int, name: str) -> None:
    """Remove a folder of slots with what is in it; nothing when it is not there."""
    try:
        with inside(parent, name) as slots:
            for each in os.listdir(slots):
                held.disk.remove(slots, each)
        held.disk.remove_folder(parent, name)
    except FileNotFoundError:
        return
