"""Change sets interrupted at every system call: kill, disk error, power failure, concurrent edits."""

import contextlib
import errno
import hashlib
import os
import random
import shutil
from pathlib import Path

import pytest

from prunejuice.changes import dirfd, filesystem, transaction
from prunejuice.changes.filesystem import Disk, PortableRenames
from prunejuice.changes.staging import FileWrite
from prunejuice.changes.tree_state import TreeState
from prunejuice.errors import ConflictError, PruneJuiceError, StoreError

CALLS = (
    "write_file",
    "create_link",
    "make_folder",
    "move",
    "swap",
    "replace",
    "remove",
    "remove_folder",
    "sync",
    "sync_all",
)
OLD = {
    "a/x.py": b"one\n",
    "b.txt": b"line\r\nother\r\n",
    "gone.txt": b"to go\n",
    "run.sh": b"#!/bin/sh\n",
    "stays.txt": b"not touched\n",
}
WANTED = [
    FileWrite("a/x.py", b"ONE\n"),
    FileWrite("b.txt", b"line\r\nchanged\r\n"),
    FileWrite("gone.txt", None),
    FileWrite("new/deep/n.txt", b"fresh\n"),
    FileWrite("run.sh", b"#!/bin/sh\n", mode=0o755),
]
NEW = {"a/x.py": b"ONE\n", "b.txt": b"line\r\nchanged\r\n", "new/deep/n.txt": b"fresh\n"} | {
    name: OLD[name] for name in ("run.sh", "stays.txt")
}


class Each(Disk):
    """A disk that calls a function before and after each of its calls; `synced` False has no way to sync all."""

    def __init__(self, around, *, synced=True, portable=False):
        super().__init__(PortableRenames() if portable else None)
        self.around, self.synced = around, synced

    def sync_all(self, fd):
        return super().sync_all(fd) if self.synced else False


def _wrapped(name):
    def call(self, *args):
        self.around(name, "before", args)
        if name == "sync_all" and not self.synced:
            return False
        result = getattr(Disk, name)(self, *args)
        self.around(name, "after", args)
        return result

    return call


for _name in CALLS:
    setattr(Each, _name, _wrapped(_name))


def tree(path):
    """A tree with the old files, and the house to change it in."""
    for name, data in OLD.items():
        (path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (path / "tree" / name).write_bytes(data)
    state = path / "git" / "changes"
    state.mkdir(parents=True)
    return TreeState(path / "tree", state, state / "lock", b"k" * 32)


def files(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def folders(root):
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_dir())


def which(house):
    """Whether the tree is the old or the new one, whole."""
    now, program = files(house.root), house.root / "run.sh"
    mode = program.exists() and program.stat().st_mode & 0o111
    if now == OLD and not mode and folders(house.root) == ["a"]:
        return "old"
    if now == NEW and mode and folders(house.root) == ["a", "new", "new/deep"]:
        return "new"
    return "torn"


def is_clean(house):
    """Whether nothing is left over but what undo needs."""
    left = {p.name for p in house.state_dir.iterdir()} - {"lock"}
    stems = {name.removesuffix(".done") for name in left}
    return all(f"{stem}.done" in left for stem in stems)


class Killer:
    """Ends the process at the n-th of the moments before and after calls, or counts them."""

    def __init__(self, at=0):
        self.at, self.seen = at, 0

    def __call__(self, name, when, args):
        self.seen += 1
        if self.seen == self.at:
            if name == "write_file" and when == "before":  # half of a file
                folder, new, data, _ = args
                fd = os.open(new, os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=folder)
                os.write(fd, data[: len(data) // 2])
            os._exit(99)


def forked(act):
    """Run a function in a process of its own; whether it was killed there."""
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 99


VARIANTS = {
    "native": {},
    "without syncfs": {"synced": False},
    "portable": {"portable": True},
    "portable, without syncfs": {"portable": True, "synced": False},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_killed_at_any_call_the_tree_is_old_or_new_after_the_next_command(tmp_path, variant):
    points = 0
    while True:
        points += 1
        house = tree(tmp_path / str(points))
        disk = Each(Killer(points), **VARIANTS[variant])
        if not forked(lambda disk=disk, house=house: transaction.apply(house._replace(disk=disk), WANTED)):
            break
        transaction.recover(house)
        assert which(house) in {"old", "new"}, points
        assert is_clean(house), points
        shutil.rmtree(tmp_path / str(points))
    assert which(house) == "new"
    assert points > 36


def test_killed_inside_a_portable_exchange_nothing_is_lost(tmp_path, monkeypatch):
    """Its steps are calls of their own: each is the last one once."""
    steps = 0
    while True:
        steps += 1
        house = tree(tmp_path / str(steps))

        def act(at=steps, house=house):
            seen = []

            def counted(real):
                def call(*args, **more):
                    seen.append(1)
                    if len(seen) == at:
                        os._exit(99)
                    return real(*args, **more)

                return call

            for name in ("link", "replace", "unlink"):
                monkeypatch.setattr(filesystem.os, name, counted(getattr(os, name)))
            transaction.apply(house._replace(disk=Disk(PortableRenames())), WANTED)

        if not forked(act):
            break
        transaction.recover(house)
        assert which(house) in {"old", "new"}, steps
        assert is_clean(house), steps
    assert steps > 10


def test_killed_twice_the_tree_is_old_or_new(tmp_path):
    rng = random.Random(7)
    total = 0
    examples = int(os.environ.get("PRUNEJUICE_TEST_EXAMPLES", "60"))
    for _ in range(examples):
        house = tree(tmp_path / "one")
        first, second = Killer(rng.randint(1, 40)), Killer(rng.randint(1, 30))
        synced = rng.random() < 0.5
        forked(lambda: transaction.apply(house._replace(disk=Each(first, synced=synced)), WANTED))
        total += forked(lambda: transaction.recover(house._replace(disk=Each(second, synced=synced))))
        transaction.recover(house)
        assert which(house) in {"old", "new"}
        assert is_clean(house)
        shutil.rmtree(tmp_path / "one")
    assert total > examples // 6


def test_kill_during_rollback_is_recovered_by_completing_the_rollback(tmp_path):
    points = 0
    while True:
        points += 1
        house = tree(tmp_path / str(points))

        def meddled(name, when, args, killer=Killer(points), house=house):
            if name == "swap" and when == "after" and not (house.root / "seen").exists():
                (house.root / "seen").touch()
                (house.root / "run.sh").write_bytes(b"mine")
            if (house.root / "seen").exists():
                killer(name, when, args)

        killed = forked(lambda: transaction.apply(house._replace(disk=Each(meddled)), WANTED))
        with contextlib.suppress(ConflictError):
            transaction.recover(house)
        (house.root / "seen").unlink()
        assert files(house.root) == OLD | {"run.sh": b"mine"}, points
        if not killed:
            break
    assert points > 10


ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS, errno.EMFILE)


class Failing:
    """Lets the n-th call fail, and all later ones too when the disk stays broken."""

    def __init__(self, at, number, *, stays):
        self.at, self.number, self.stays, self.seen = at, number, stays, 0

    def __call__(self, name, when, args):
        if when == "before":
            self.seen += 1
            if self.seen == self.at or (self.stays and self.seen > self.at):
                raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("stays", [False, True])
@pytest.mark.parametrize("number", ERRORS)
def test_an_error_of_the_disk_at_any_call_changes_nothing_or_all(tmp_path, number, stays):
    at = settled = 0
    while True:
        at += 1
        house = tree(tmp_path / str(at))
        failing = Failing(at, number, stays=stays)
        try:
            transaction.apply(house._replace(disk=Each(failing)), WANTED)
        except PruneJuiceError as error:
            assert isinstance(error, StoreError), at
            assert str(house.root) in error.message
            told = "nothing was changed" in error.message
            assert not told or which(house) == "old", at
            settled += which(house) != "torn"
        else:
            settled += 1
        transaction.recover(house)
        assert which(house) in {"old", "new"}, at
        if failing.seen < at:
            break
    assert at > 17
    assert stays or settled >= 0.95 * at


@pytest.mark.parametrize("path", ["a/x.py", "b.txt", "gone.txt", "new/deep/n.txt", "run.sh"])
@pytest.mark.parametrize("how", ["in place", "by renaming"])
def test_a_person_who_saves_a_file_at_any_moment_loses_nothing(tmp_path, path, how):
    at = 0
    while True:
        at += 1
        house = tree(tmp_path / str(at))
        saved = []

        def save(name, when, args, at=at, house=house, saved=saved):
            save.seen += 1
            target = house.root / path
            if save.seen != at or not target.parent.is_dir():
                return
            if how == "in place":
                target.write_bytes(b"by hand")
            else:
                (house.root / "editor~").write_bytes(b"by hand")
                os.replace(house.root / "editor~", target)
            saved.append(1)

        save.seen = 0
        try:
            transaction.apply(house._replace(disk=Each(save)), WANTED)
        except ConflictError as error:
            assert path in error.files
            assert files(house.root) == OLD | {path: b"by hand"}, at
        else:
            now = files(house.root)
            assert not saved or now.get(path) == b"by hand", at
            assert {k: v for k, v in now.items() if k != path} == {
                k: v for k, v in NEW.items() if k != path
            }
        if save.seen < at:
            break
    assert at > 30


def test_two_at_once_wait_for_each_other(tmp_path):
    house = tree(tmp_path)
    children = []
    for number in range(8):
        child = os.fork()
        if child == 0:
            text = f"{number}\n".encode()
            transaction.apply(
                house, [FileWrite("a/x.py", text), FileWrite("b.txt", text), FileWrite("c.txt", text)]
            )
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    assert len({(house.root / name).read_bytes() for name in ("a/x.py", "b.txt", "c.txt")}) == 1


# -- power failures ---------------------------------------------------------------------------------


class Recorder:
    """Writes down every call with the paths it was made on."""

    def __init__(self):
        self.log = []

    def __call__(self, name, when, args):
        if when == "after":
            folders = {0, 2} if name in {"move", "swap"} else {0}
            paths = [
                os.readlink(f"/proc/self/fd/{arg}") if n in folders else arg for n, arg in enumerate(args)
            ]
            self.log.append((name, paths))


class Modelled:
    """A disk of which only what was synced is sure. Entries of folders and contents of files are lost apart."""

    def __init__(self, top):
        self.contents, self.entries = {}, {}
        self.number = 0
        for path in [top, *sorted(top.rglob("*"))]:
            if path.is_dir():
                self.entries[str(path)] = "folder"
            else:
                self.entries[str(path)] = self._new(path.read_bytes(), path.stat().st_mode & 0o777)

    def _new(self, data, mode):
        self.number += 1
        self.contents[self.number] = (data, mode)
        return self.number

    def do(self, name, args):
        at = f"{args[0]}/{args[1]}" if len(args) > 1 else ""
        if name == "write_file":
            self.entries[at] = self._new(args[2], args[3])
        elif name == "make_folder":
            self.entries[at] = "folder"
        elif name == "replace":
            self._renamed(at, f"{args[0]}/{args[2]}")
        elif name == "move":
            self._renamed(at, f"{args[2]}/{args[3]}")
        elif name == "swap":
            other = f"{args[2]}/{args[3]}"
            if at in self.entries and other in self.entries:
                self.entries[at], self.entries[other] = self.entries[other], self.entries[at]
        elif name in {"remove", "remove_folder"}:
            self.entries.pop(at, None)

    def _renamed(self, old, new):
        if old in self.entries:
            self.entries[new] = self.entries.pop(old)

    def write(self, top, halves):
        for path in sorted(self.entries):
            inode = self.entries[path]
            if inode == "folder":
                Path(path).mkdir(parents=True, exist_ok=True)
            elif Path(path).parent.is_dir():
                data, mode = self.contents[inode]
                data = data[: len(data) // 2] if inode in halves else data
                Path(path).write_bytes(data)
                Path(path).chmod(mode)


def is_sure(log, at, upto):
    """Whether a call had reached the disk after the first `upto`: its folders were synced, or everything."""
    name, args = log[at]
    touched = {"write_file": args[:1], "make_folder": args[:1], "replace": args[:1], "move": args[0::2], "swap": args[0::2],
               "remove": args[:1], "remove_folder": args[:1], "create_link": args[:1]}.get(name, [])  # fmt: skip
    later = log[at + 1 : upto]
    return any(n == "sync_all" for n, _ in later) or all(
        any(n == "sync" and a[0] == folder for n, a in later) for folder in touched
    )


def content_is_sure(log, at, upto):
    file = f"{log[at][1][0]}/{log[at][1][1]}"
    later = log[at + 1 : upto]
    return any(n == "sync_all" or (n == "sync" and a[0] == file) for n, a in later)


def states(log, rng, rounds=4):
    """What a power failure may leave: for each moment, what is sure and some of what is not."""
    for upto in range(len(log) + 1):
        unsure = [
            at
            for at in range(upto)
            if not is_sure(log, at, upto) and log[at][0] not in {"sync", "sync_all"}
        ]
        kept = [set(unsure), set()] + [{one} for one in unsure] + [set(unsure) - {one} for one in unsure]
        kept += [set(rng.sample(unsure, rng.randint(0, len(unsure)))) for _ in range(rounds)]
        for each in {frozenset(one) for one in kept}:
            for torn in (False, True):
                yield upto, each, torn


def failed(tmp_path, log, upto, kept, torn):
    """The disk after a power failure, as a house to be recovered."""
    top = tmp_path / "power"
    if top.exists():
        shutil.rmtree(top)
    house = tree(top)
    model = Modelled(top)
    halves = set()
    for at in range(upto):
        name, args = log[at]
        if is_sure(log, at, upto) or at in kept:
            model.do(name, args)
            if name == "write_file" and torn and not content_is_sure(log, at, upto):
                halves.add(model.number)
    shutil.rmtree(top)
    model.write(top, halves)
    return house


def outcomes(tmp_path, log, rng, rounds=4):
    """For each state: whether the tree is torn after recovery, or the change lost although it had returned."""
    for upto, kept, torn in states(log, rng, rounds):
        house = failed(tmp_path, log, upto, kept, torn)
        house.state_dir.mkdir(parents=True, exist_ok=True)
        if upto == len(log):  # it had returned: a person may go on before the next command does
            (house.root / "b.txt").write_bytes((house.root / "b.txt").read_bytes() + b"more")
        refused = False
        try:
            transaction.recover(house)
        except PruneJuiceError:
            refused = True
        if upto == len(log):
            (house.root / "b.txt").write_bytes((house.root / "b.txt").read_bytes().removesuffix(b"more"))
        yield refused or which(house) == "torn" or (upto == len(log) and which(house) != "new")


def recorded(tmp_path, synced, dropped=None):
    top = tmp_path / "power"
    if top.exists():
        shutil.rmtree(top)
    house, recorder = tree(top), Recorder()
    transaction.apply(house._replace(disk=Each(recorder, synced=synced)), WANTED)
    log = [each for each in recorder.log if dropped is None or not dropped(*each)]
    shutil.rmtree(top)
    return log


@pytest.mark.parametrize("synced", [True, False])
def test_a_power_failure_at_any_moment_leaves_the_old_tree_or_the_new_one(tmp_path, synced):
    bad = list(outcomes(tmp_path, recorded(tmp_path, synced), random.Random(1), rounds=16))
    assert sum(bad) == 0
    assert len(bad) >= 200


REMOVED = {
    "of the slots": lambda name, args: (
        name == "sync" and "/cs-" in args[0] and args[0].rpartition("/")[2].isdigit()
    ),
    "of the folder of the slots": lambda name, args: (
        name == "sync"
        and "/changes/cs-" in args[0]
        and not args[0].rpartition("/")[2].isdigit()
        and not args[0].endswith(".new")
    ),
    "of the plan": lambda name, args: name == "sync" and args[0].endswith(".new"),
    "of the folder of the plan": lambda name, args: name == "sync" and args[0].endswith("/changes"),
    "of the folders of the files": lambda name, args: name == "sync" and "/tree" in args[0],
}


@pytest.mark.parametrize("which_sync", REMOVED)
def test_every_wait_for_the_disk_is_needed(tmp_path, which_sync):
    whole = recorded(tmp_path, synced=False)
    log = recorded(tmp_path, synced=False, dropped=REMOVED[which_sync])
    assert len(log) < len(whole)
    assert any(outcomes(tmp_path, log, random.Random(1), rounds=2))


# -- what a repository may hold ---------------------------------------------------------------------


def test_a_forged_plan_is_never_acted_on(tmp_path):
    house = tree(tmp_path)
    plan = transaction.apply(house, [FileWrite("a/x.py", b"ONE\n")])
    forged = (house.state_dir / f"{plan.id}.done").read_bytes().replace(b"a/x.py", b"../../y")
    (house.state_dir / "cs-1-ffffffff.plan").write_bytes(forged)
    transaction.recover(house)
    assert not (tmp_path / "y").exists()
    assert (house.state_dir / "refused-cs-1-ffffffff.plan").exists()


@pytest.mark.parametrize("victim", ["a", "b.txt", "new"])
def test_symlink_swapped_in_at_any_moment_never_redirects_a_write(tmp_path, victim):
    at = 0
    while True:
        at += 1
        house = tree(tmp_path / str(at))
        outside = tmp_path / str(at) / "outside"
        (outside / "deep").mkdir(parents=True)
        # The bytes that are expected inside, so that only the refusal to follow links protects them.
        (outside / "x.py").write_bytes(OLD["a/x.py" if victim == "a" else "b.txt"])
        (outside / "deep/n.txt").write_bytes(b"precious")
        before = files(outside)

        def meddle(name, when, args, at=at, house=house, outside=outside):
            meddle.seen += 1
            if meddle.seen == at:
                place = house.root / victim
                if place.exists():
                    place.rename(house.root / "aside")
                place.symlink_to(outside if victim != "b.txt" else outside / "x.py")

        meddle.seen = 0
        with contextlib.suppress(PruneJuiceError):
            transaction.apply(house._replace(disk=Each(meddle)), WANTED)
        assert files(outside) == before, at
        if meddle.seen < at:
            break
    assert at > 30


def test_the_folder_of_git_is_closed_whatever_it_is_called(tmp_path):
    house = tree(tmp_path)
    (house.root / ".git").mkdir()
    (house.root / ".git").rename(house.root / "innocent")
    (house.root / ".git").symlink_to("innocent")
    with pytest.raises(PruneJuiceError, match="belongs to git"):
        transaction.apply(house, [FileWrite("innocent/hooks", b"x")])


@pytest.mark.parametrize("kind", ["fifo", "folder", "socket"])
def test_writing_to_a_non_regular_file_is_refused(tmp_path, monkeypatch, kind):
    house = tree(tmp_path)
    place = house.root / "odd"
    if kind == "fifo":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    else:
        import socket

        monkeypatch.chdir(house.root)
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("odd")
    with pytest.raises(PruneJuiceError, match="odd"):
        transaction.apply(house, [FileWrite("odd", b"x")])


def test_another_name_for_a_file_is_refused(tmp_path):
    house = tree(tmp_path)
    with pytest.raises(ConflictError, match="same file"):
        transaction.apply(house, [FileWrite("B.TXT", b"x")])
    with pytest.raises(ConflictError, match="same file"):
        transaction.apply(house, [FileWrite("A/y.py", b"x")])


def test_attributes_and_hard_links(tmp_path):
    house = tree(tmp_path)
    os.link(house.root / "b.txt", tmp_path / "elsewhere")
    (house.root / "a/x.py").chmod(0o640)
    transaction.apply(house, [FileWrite("b.txt", b"new"), FileWrite("a/x.py", b"new")])
    assert (tmp_path / "elsewhere").read_bytes() == OLD["b.txt"]
    assert (house.root / "a/x.py").stat().st_mode & 0o777 == 0o640


def test_tree_on_another_disk_is_staged_next_to_itself(tmp_path):
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other file system")
    base = shared / f"prunejuice-{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:8]}"
    base.mkdir()
    try:
        points = 0
        while True:
            points += 1
            house = tree(base / str(points))
            other = tmp_path / f"state{points}"
            other.mkdir()
            house = house._replace(state_dir=other, lock_path=other / "lock")
            disk = Each(Killer(points))
            killed = forked(
                lambda disk=disk, house=house: transaction.apply(house._replace(disk=disk), WANTED)
            )
            if killed:
                transaction.recover(house)
            assert which(house) in {"old", "new"}, points
            assert is_clean(house), points
            if not killed:
                break
        plan = transaction.load_done_plan(house, transaction.done_plan_ids(house)[0])
        transaction.apply(house, transaction.reverse_writes(house, plan), emptied=plan.folders)
        assert which(house) == "old"
    finally:
        shutil.rmtree(base)


def test_undo_needs_what_was_kept(tmp_path):
    house = tree(tmp_path)
    plan = transaction.apply(house, WANTED)
    (house.state_dir / plan.id / "0").write_bytes(b"tampered")
    with pytest.raises(StoreError, match="damaged"):
        transaction.reverse_writes(house, plan)
    (house.state_dir / plan.id / "0").unlink()
    with pytest.raises(StoreError, match="could not read"):
        transaction.reverse_writes(house, plan)
    transaction.delete_done_plan(house, plan.id)
    assert transaction.load_done_plan(house, plan.id) is None
    assert dirfd.FileState() == dirfd.ABSENT
