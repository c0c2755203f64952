"""Several files changed together, all or none, whenever and however it is cut off.

    slots filled · on the disk · plan written · on the disk: from here on it counts ·
    exchanged one by one, and what came out looked at · on the disk · plan marked as done

Whoever comes next finds a plan that is not done and finishes it, or takes it back when somebody changed a
file meanwhile. Nothing that is not ours is ever overwritten: an exchange that brings out other bytes than
those that were read is exchanged back. What was there before stays in the slots, for `undo`.

Other processes can see some files new and others old for the moments of the exchanges. Hard links to a
changed file keep its old content. A program that holds a file open, and writes to it later than that,
writes to the old one.
"""

import os
import secrets
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from prunejuice import pathname
from prunejuice.errors import ConflictError, DeniedError, StoreError
from prunejuice.text import safe_line
from prunejuice.workspaces import operation, rooted, slot
from prunejuice.workspaces.house import House
from prunejuice.workspaces.rooted import ABSENT, Seen, State
from prunejuice.workspaces.slot import STAGING, Held, Plan, Target, Wanted

_PLAIN = 0o666


def apply(house: House, wanted: Sequence[Wanted], emptied: Sequence[str] = (), name: str = "") -> Plan:
    """Make files what they are to be, all or none; the plan that was carried out, empty for nothing to do.

    Folders that are named in `emptied` are removed when nothing is left in them; `name` is the plan's, as
    from `new_name`.

    Raises:
        ConflictError: a file is not what it was when read, or changed meanwhile; nothing was changed.
        DeniedError: a path may not be written.
        StoreError: the disk refuses; nothing was changed, or the next command takes back what was.
    """
    with slot.held(house) as held:
        _recover(held)
        seen = _looked_at(held, wanted)
        changes = [
            (want, each) for want, each in zip(wanted, seen, strict=True) if _post(want, each) != each.state
        ]
        plan = _planned(held, changes, emptied, name or new_name())
        if plan.targets:
            try:
                slot.fill(held, plan, changes)
                _decide(held, plan)
            except OSError as error:
                raise _given_up(held, plan, error) from error
            _carry_out(held, plan)
        return plan


def recover(house: House) -> None:
    """Finish, or take back, what was cut off.

    Raises:
        ConflictError: somebody changed a file meanwhile; the others were taken back, theirs was left alone.
    """
    if house.state.is_dir():
        with slot.held(house) as held:
            _recover(held)


# -- before it counts -------------------------------------------------------------------------------


def _looked_at(held: Held, wanted: Sequence[Wanted]) -> list[Seen]:
    for want in wanted:
        held.tree.checked(want.path)
    if pair := pathname.colliding(want.path for want in wanted if want.data is not None):
        names = " and ".join(repr(safe_line(name, 80)) for name in pair)
        raise DeniedError(f"{names} cannot both be files on every system", "name one of them otherwise")
    seen = [held.tree.see(want.path) for want in wanted]
    stale = tuple(w.path for w, s in zip(wanted, seen, strict=True) if w.base not in {None, s.state})
    if stale:
        raise changed_since(stale)
    for want, each in zip(wanted, seen, strict=True):
        if each.state.kind == "link" and want.data is not None and not want.link:
            target = safe_line(each.data, 80)
            raise DeniedError(
                f"{safe_line(want.path, 80)!r} is a link to {target!r}", "name the file it leads to"
            )
    return seen


def changed_since(paths: Sequence[str]) -> ConflictError:
    """What is wrong with files that are not what they were when they were read."""
    names = ", ".join(safe_line(path, 80) for path in paths)
    fix = "read them again; nothing was changed"
    return ConflictError(f"changed since they were read: {names}", fix, tuple(paths))


def _post(want: Wanted, seen: Seen) -> State:
    """What will be at a path."""
    if want.data is None:
        return ABSENT
    if want.link:
        return rooted.state_of_link(want.data)
    kept = seen.state.mode if seen.state.kind == "file" else _PLAIN & ~_umask()
    return rooted.state_of(want.data, kept if want.mode is None else want.mode)


@cache
def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def new_name() -> str:
    """A name for a plan."""
    return f"cs-{time.strftime('%Y%m%d%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"


def _planned(held: Held, changes: Sequence[tuple[Wanted, Seen]], emptied: Sequence[str], name: str) -> Plan:
    staging = held.house.state / name if _is_shared(held) else held.house.root / f"{STAGING}{name}"
    targets = tuple(Target(want.path, seen.state, _post(want, seen)) for want, seen in changes)
    above = {each for target in targets if target.post != ABSENT for each in pathname.above(target.path)}
    folders = tuple(sorted(each for each in above if not _is_there(held, each)))
    return Plan(name, time.time(), str(held.house.root), str(staging), targets, folders, tuple(emptied))


def _is_shared(held: Held) -> bool:
    """Whether the tree and what is kept of it are on one disk, so that renaming works between them."""
    return os.fstat(held.state).st_dev == held.tree.device


def _is_there(held: Held, folder: str) -> bool:
    try:
        with held.tree.folder(f"{folder}/x"):
            return True
    except FileNotFoundError:
        return False


def _decide(held: Held, plan: Plan) -> None:
    """Write the plan; from the last line on it counts."""
    held.disk.make(held.state, f"{plan.id}.new", operation.sealed(plan, held.house.key), 0o600)
    slot.sync(held, held.state, f"{plan.id}.new")
    held.disk.replace(held.state, f"{plan.id}.new", f"{plan.id}.plan")
    held.disk.sync(held.state)


def _given_up(held: Held, plan: Plan, error: OSError) -> StoreError:
    """Why a plan never came to count."""
    try:
        _drop(held, plan)
    except OSError:
        if slot.exists(held.state, f"{plan.id}.plan"):
            return StoreError(
                f"{held.house.root}: {error.strerror}; the next command carries the change out"
            )
    return StoreError(
        f"{held.house.root}: {error.strerror}; nothing was changed", "make room, then do this again"
    )


# -- from here on it counts -------------------------------------------------------------------------


def _carry_out(held: Held, plan: Plan) -> None:
    try:
        _forward(held, plan)
    except (ConflictError, DeniedError, OSError) as error:
        try:
            _take_back(held, plan)
        except OSError as worse:
            why = f"{held.house.root}: {worse.strerror}; some files are changed"
            raise StoreError(
                why, "make room: the next command (codebot pending) takes that back"
            ) from error
        if isinstance(error, OSError):
            raise StoreError(f"{held.house.root}: {error.strerror}; nothing was changed") from error
        raise


def _forward(held: Held, plan: Plan) -> None:
    """Make every exchange that is not made yet, and mark the plan as done.

    Raises:
        ConflictError: somebody changed a file meanwhile.
    """
    _make_folders(held, plan)
    with slot.of(held, plan) as slots:
        for number, target in enumerate(plan.targets):
            if slot.both(held, slots, number, target) == (target.pre, target.post):
                slot.exchange(held, slots, number, target)
            if slot.state(slots, number) != target.pre:
                raise _met(target)
        slot.sync_all(held, plan, slots)
        for number, target in enumerate(plan.targets):  # who held a file open may have written to it
            if slot.state(slots, number) != target.pre:
                raise _met(target)
    _remove_folders(held, sorted(plan.emptied, reverse=True))
    slot.bring_home(held, plan)
    held.disk.replace(held.state, f"{plan.id}.plan", f"{plan.id}.done")
    if Path(plan.staging).parent != held.house.state:
        slot.remove(held, *slot.place(held, plan))


def _make_folders(held: Held, plan: Plan) -> None:
    for folder in plan.folders:
        with held.tree.folder(folder) as above:
            with suppress(FileExistsError):
                held.disk.make_folder(above, folder.rpartition("/")[2])
            held.disk.sync(above)  # a file must not come to the disk before the folder that it is in


def _remove_folders(held: Held, folders: Sequence[str]) -> None:
    """Remove folders in which nothing is left, inner ones first."""
    for folder in folders:
        with suppress(OSError, DeniedError), held.tree.folder(folder) as above:
            held.disk.remove_folder(above, folder.rpartition("/")[2])


def _met(target: Target) -> ConflictError:
    fix = "that change is as it was left, nothing else was changed; do this again on the file as it is now"
    return ConflictError(
        f"{safe_line(target.path, 120)} was changed just now by somebody else", fix, (target.path,)
    )


def _take_back(held: Held, plan: Plan) -> tuple[str, ...]:
    """Undo every exchange; files that somebody else changed meanwhile are left alone, and named."""
    if slot.exists(held.state, f"{plan.id}.plan"):
        held.disk.replace(held.state, f"{plan.id}.plan", f"{plan.id}.back")
        held.disk.sync(held.state)
    foreign = []
    with slot.of(held, plan) as slots:
        for number, target in enumerate(plan.targets):
            now, inside = slot.both(held, slots, number, target)
            if now == target.post and inside != target.post:
                slot.exchange(held, slots, number, target)
            if {now, inside} - {target.pre, target.post}:
                foreign.append(target.path)
        _remove_folders(held, plan.folders[::-1])
        slot.sync_all(held, plan, slots)
    if foreign:
        slot.set_aside(held, plan)
    _drop(held, plan)
    return tuple(foreign)


def _drop(held: Held, plan: Plan) -> None:
    """Remove what a plan left with us: the plan first, so that nothing is begun again."""
    for suffix in ("plan", "new", "back"):
        if slot.exists(held.state, f"{plan.id}.{suffix}"):
            held.disk.remove(held.state, f"{plan.id}.{suffix}")
    held.disk.sync(held.state)
    slot.remove(held, *slot.place(held, plan))


# -- what was cut off -------------------------------------------------------------------------------


def _recover(held: Held) -> None:
    names = os.listdir(held.state)
    cut_off = [
        name for name in sorted(names) if name.startswith("cs-") and name.endswith((".plan", ".back"))
    ]
    foreign = [path for name in cut_off for path in _finished(held, name)]
    if not _is_shared(held) or any(name.startswith("cs-") and not name.endswith(".done") for name in names):
        _sweep(held)
    if foreign:
        fix = f"they are as they were left, what they were before is in {held.house.state}; do this again"
        raise ConflictError(
            f"changed while a change was cut off: {', '.join(foreign)}", fix, tuple(foreign)
        )


def _finished(held: Held, name: str) -> tuple[str, ...]:
    plan = operation.opened(held.house.state / name, held.house.key, Plan)
    if (
        plan is None
        or plan.root != str(held.house.root)
        or any(pathname.fault(each.path) for each in plan.targets)
    ):
        held.disk.replace(held.state, name, f"refused-{name}")  # not written by us: never acted on
        return ()
    if not slot.exists(*slot.place(held, plan)):  # it was put aside already
        _drop(held, plan)
        return ()
    if name.endswith(".plan"):
        with suppress(ConflictError, DeniedError, FileNotFoundError, NotADirectoryError):
            _forward(held, plan)
            return ()
    return _take_back(held, plan)


def _sweep(held: Held) -> None:
    """Remove what was written for plans that never came to count."""
    names = set(os.listdir(held.state))  # again: what was cut off is finished by now
    for name in sorted(names):
        stem, _, suffix = name.partition(".")
        if not name.startswith("cs-") or {f"{stem}.done", f"{stem}.plan", f"{stem}.back"} & names:
            continue
        with suppress(NotADirectoryError, IsADirectoryError):  # which are not ours
            if suffix == "new":
                held.disk.remove(held.state, name)
            elif not suffix:
                slot.remove(held, held.state, name)
    if not _is_shared(held):
        for name in os.listdir(held.tree.fd):
            stem = name.removeprefix(STAGING)
            if name.startswith(f"{STAGING}cs-") and not {f"{stem}.plan", f"{stem}.back"} & names:
                slot.remove(held, held.tree.fd, name)


# -- what was done ----------------------------------------------------------------------------------


def done(house: House, name: str) -> Plan | None:
    """A plan that was carried out; nothing when it is not known any more."""
    return operation.opened(house.state / f"{name}.done", house.key, Plan)


def kept(house: House, plan: Plan, number: int) -> bytes | None:
    """What was at a target before a plan; nothing when there was nothing.

    Raises:
        StoreError: it is not kept any more, or damaged.
    """
    pre, place = plan.targets[number].pre, house.state / plan.id / str(number)
    if pre == ABSENT:
        return None
    try:
        data = os.fsencode(place.readlink()) if pre.kind == "link" else place.read_bytes()
    except OSError as error:
        raise StoreError(f"{place} cannot be read: {error.strerror}", "what it kept is lost") from error
    if rooted.state_of(data, 0).digest != pre.digest:
        raise StoreError(f"{place} is damaged", "what it kept is lost")
    return data


def before(house: House, plan: Plan) -> list[Wanted]:
    """What makes every file again what it was before a plan, where it still is what the plan made of it.

    Raises:
        StoreError: what was there before is not kept any more.
    """
    pairs = [(target, kept(house, plan, number)) for number, target in enumerate(plan.targets)]
    return [Wanted(t.path, data, t.post, t.pre.mode, link=t.pre.kind == "link") for t, data in pairs]


def forget(house: House, name: str) -> None:
    """Remove what a plan that was carried out keeps; it cannot be taken back any more."""
    (house.state / f"{name}.done").unlink(missing_ok=True)
    shutil.rmtree(house.state / name, ignore_errors=True)


def all_done(house: House) -> list[str]:
    """The plans that were carried out, oldest first."""
    return sorted(path.stem for path in Path(house.state).glob("cs-*.done"))
