"""File system calls on systems that lack some of them, and on failing disks."""

import ctypes
import errno
import fcntl
import os

import pytest

from prunejuice.changes import dirfd, filesystem, staging, transaction
from prunejuice.changes.filesystem import Disk, NativeRenames, PortableRenames
from prunejuice.changes.staging import FileWrite
from prunejuice.changes.tree_state import TreeState
from prunejuice.errors import ConflictError, DeniedError, StoreError


@pytest.fixture
def folder(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def house(tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "state").mkdir()
    (tmp_path / "tree/a").write_bytes(b"old")
    return TreeState(tmp_path / "tree", tmp_path / "state/changes", tmp_path / "state/lock", b"k" * 32)


def refusing(number):
    def call(*_):
        ctypes.set_errno(number)
        return -1

    return call


@pytest.mark.parametrize(
    "names",
    [PortableRenames(), NativeRenames(refusing(errno.ENOSYS), 1), NativeRenames(refusing(errno.EINVAL), 1)],
)
def test_without_the_call_links_do_the_same(names, tmp_path, folder):
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    names.swap(folder, "a", folder, "b")
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()) == (b"b", b"a")
    names.move(folder, "a", folder, "c")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b", "c"]
    with pytest.raises(FileExistsError):
        names.move(folder, "b", folder, "c")


def test_another_error_of_the_call_is_an_error(folder):
    with pytest.raises(OSError, match="Read-only"):
        NativeRenames(refusing(errno.EROFS), 1).swap(folder, "a", folder, "b")


def test_a_file_that_is_replaced_while_links_are_made_is_left_alone(tmp_path, folder, monkeypatch):
    (tmp_path / "a").write_bytes(b"ours")
    (tmp_path / "b").write_bytes(b"old")
    real = os.link

    def meddled(*args, **more):
        real(*args, **more)
        (tmp_path / "editor").write_bytes(b"mine")
        os.replace(tmp_path / "editor", tmp_path / "b")

    monkeypatch.setattr(filesystem.os, "link", meddled)
    with pytest.raises(InterruptedError):
        PortableRenames().swap(folder, "a", folder, "b")
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()) == (b"ours", b"mine")


def test_a_system_without_any_of_the_calls(monkeypatch, house):
    monkeypatch.setattr(filesystem.sys, "platform", "sunos")
    assert isinstance(filesystem._platform_renames(), PortableRenames)
    disk = Disk()
    assert not disk.sync_all(0)
    transaction.apply(house._replace(disk=disk), [FileWrite(f"f{n}", b"x") for n in range(9)])
    assert (house.root / "f8").read_bytes() == b"x"


def test_on_macos_a_sync_reaches_the_disk_itself(monkeypatch, tmp_path, folder):
    asked = []
    monkeypatch.setattr(filesystem.sys, "platform", "darwin")
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda fd, what: asked.append(what))
    Disk(PortableRenames()).sync(folder)
    assert asked == [51]

    def unknown(fd, what):
        raise OSError(errno.ENOTSUP, "not there")

    monkeypatch.setattr(fcntl, "fcntl", unknown)
    Disk(PortableRenames()).sync(folder)


def test_a_failed_sync_of_everything_is_an_error(monkeypatch, folder):
    class Libc:
        syncfs = staticmethod(refusing(errno.EIO))

    monkeypatch.setattr(filesystem, "_libc", Libc)
    with pytest.raises(OSError, match="Input/output"):
        Disk(PortableRenames()).sync_all(folder)


def test_locked_tree_times_out_and_reports_another_process(house, monkeypatch):
    monkeypatch.setattr(staging, "LOCK_TIMEOUT", 0.05)
    house.lock_path.parent.mkdir(exist_ok=True)
    with (
        staging.lock_tree(house),
        pytest.raises(StoreError, match="another process"),
        staging.lock_tree(house),
    ):
        pass


def test_a_tree_that_is_gone_is_an_error_with_its_name(house):
    with pytest.raises(StoreError, match="tree2"):
        transaction.apply(house._replace(root=house.root.with_name("tree2")), [FileWrite("a", b"x")])


def test_owner_and_attributes_are_those_of_the_file_that_is_replaced(house, monkeypatch):
    kept, owned = [], []
    monkeypatch.setattr(os, "listxattr", lambda fd: ["user.colour"], raising=False)
    monkeypatch.setattr(os, "getxattr", lambda fd, name: b"blue", raising=False)
    monkeypatch.setattr(os, "setxattr", lambda fd, name, value: kept.append((name, value)), raising=False)
    monkeypatch.setattr(os, "fchown", lambda fd, uid, gid: owned.append((uid, gid)))
    real = os.fstat

    class Seen:
        def __init__(self, seen, uid):
            self.seen, self.st_uid = seen, uid

        def __getattr__(self, name):
            return getattr(self.seen, name)

    calls = []

    def fstat(fd):
        calls.append(fd)
        return Seen(real(fd), len(calls))

    monkeypatch.setattr(staging.os, "fstat", fstat)
    transaction.apply(house, [FileWrite("a", b"new")])
    assert kept == [("user.colour", b"blue")]
    assert owned


def test_a_file_over_the_limit_is_refused(house, monkeypatch):
    monkeypatch.setattr(dirfd, "LARGEST", 2)
    with pytest.raises(DeniedError, match="larger"):
        transaction.apply(house, [FileWrite("a", b"x")])


def test_late_write_through_an_open_file_is_a_conflict(house):
    writer = (house.root / "a").open("r+b")

    class Late(Disk):
        def sync_all(self, fd):
            return False

        def sync(self, fd):
            if (house.state_dir / "seen").exists() or os.readlink(f"/proc/self/fd/{fd}").endswith("/tree"):
                writer.write(b"mine")
                writer.flush()
            super().sync(fd)

    with pytest.raises(ConflictError):
        transaction.apply(house._replace(disk=Late()), [FileWrite("a", b"new")])
    writer.close()
    assert (house.root / "a").read_bytes().startswith(b"mine")


def test_original_file_is_moved_to_the_state_directory_after_a_conflict(house, monkeypatch):
    monkeypatch.setattr(transaction, "_is_same_device", lambda held: False)
    real = Disk.swap

    class Meddled(Disk):
        def swap(self, *args):
            real(self, *args)
            if not (house.root / "b").exists():
                (house.root / "a").write_bytes(b"mine")
                (house.root / "b").write_bytes(b"too")

    with pytest.raises(ConflictError):
        transaction.apply(house._replace(disk=Meddled()), [FileWrite("a", b"new"), FileWrite("b", b"x")])
    assert (house.root / "b").read_bytes() == b"too"
    assert not list(house.root.glob(".prunejuice-*"))
    (kept,) = house.state_dir.glob("kept-*")
    assert (kept / "0").read_bytes() == b"old"


def test_half_a_copy_on_the_other_disk_is_made_again(house, monkeypatch):
    monkeypatch.setattr(transaction, "_is_same_device", lambda held: False)

    class Cut(Disk):
        def sync(self, fd):
            place = os.readlink(f"/proc/self/fd/{fd}")
            if "/changes/cs-" in place and place.endswith("/0"):
                raise OSError(errno.EIO, "Input/output error")
            super().sync(fd)

    with pytest.raises(StoreError):
        transaction.apply(house._replace(disk=Cut()), [FileWrite("a", b"new")])
    transaction.recover(house)
    assert (house.root / "a").read_bytes() == b"old"


def test_a_link_that_is_deleted_on_another_disk_is_kept_as_a_link(house, monkeypatch):
    monkeypatch.setattr(transaction, "_is_same_device", lambda held: False)
    (house.root / "l").symlink_to("a")
    plan = transaction.apply(house, [FileWrite("l", None)])
    transaction.apply(house, transaction.reverse_writes(house, plan))
    assert os.readlink(house.root / "l") == "a"
