"""A lock is free when its holder is gone, and names its holder."""

import os
import signal
import subprocess
import sys
import time

import pytest

from prunejuice.system.lock import FileLock, hold_lock, holder_pid


def test_file_lock_has_one_owner_at_a_time(tmp_path):
    path = tmp_path / "lock"
    lock = FileLock(path, signed=True)
    assert lock.acquire()
    assert not FileLock(path).acquire(0.02)
    assert holder_pid(path) == os.getpid()
    with pytest.raises(TimeoutError), hold_lock(path, 0.02):
        pass
    lock.release()
    lock.release()
    assert holder_pid(path) is None
    with hold_lock(path, 0, signed=True):
        assert holder_pid(path) == os.getpid()


def test_missing_lock_file_has_no_holder(tmp_path):
    assert holder_pid(tmp_path / "none") is None


def test_killed_process_releases_its_file_lock(tmp_path):
    path = tmp_path / "lock"
    code = (
        f"import time; from pathlib import Path; from prunejuice.system.lock import FileLock\n"
        f"l = FileLock(Path({str(path)!r}), signed=True); l.acquire(); print('held', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "held\n"
    assert holder_pid(path) == child.pid
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    until = time.monotonic() + 5
    while holder_pid(path) is not None and time.monotonic() < until:
        time.sleep(0.01)
    assert holder_pid(path) is None


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "real").write_text("")
    (tmp_path / "lock").symlink_to(tmp_path / "real")
    with pytest.raises(OSError, match=r"."):
        FileLock(tmp_path / "lock").acquire()
