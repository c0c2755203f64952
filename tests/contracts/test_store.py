"""The contract of stores, and the specifics of the file store."""

import sqlite3
import subprocess
import sys
import textwrap

import pytest

from prunejuice.engine import event as ev
from prunejuice.engine import run as runs
from prunejuice.engine import view
from prunejuice.engine.stores.memory import MemoryStore
from prunejuice.engine.stores.migrations import MIGRATIONS
from prunejuice.engine.stores.sqlite import SqliteStore
from prunejuice.errors import StoreError, SupersededError
from prunejuice.workflow import plan
from prunejuice.workflow.command import Command
from prunejuice.workflow.graph import Step, Workflow

FLOW = Workflow("w", steps={"a": Step(name="a", script="x")}, entry_point="a")
PLAN = plan.make_plan(Command("c", FLOW), {}, project="/p", directory="/p", commands_used={})


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    return MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "state" / "prunejuice.db")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "prunejuice.db"


def add(store, run_id, at=1.0, parent="", project="/p", status="pending"):
    first = ev.RunCreated(
        at=at,
        plan=plan.make_plan(PLAN.command, {}, project=project, directory="/p", commands_used={}),
        parent=parent,
    )
    run = runs.new_run(run_id, first)
    line = view.summarize_run(run)
    store.create(
        run_id,
        [first],
        view.RunSummary(**{**{f: getattr(line, f) for f in line.__struct_fields__}, "status": status}),
    )
    return run


STARTED = ev.RunStarted(at=2, pid=1, host="h", version="1")


def test_events_are_read_in_the_order_they_were_appended(store):
    run = add(store, "aa11")
    store.append("aa11", 1, [STARTED, ev.RunWaiting(at=3)], view.summarize_run(run))
    assert [ev.event_kind(e) for e in store.read_events("aa11")] == [
        "run.created",
        "run.started",
        "run.waiting",
    ]
    assert store.read_events("aa11", after=2) == [ev.RunWaiting(at=3)]
    assert store.read_events("none") == []


def test_a_second_writer_of_a_number_is_refused_and_nothing_is_kept(store):
    run = add(store, "aa11")
    store.append("aa11", 1, [STARTED], view.summarize_run(run))
    with pytest.raises(SupersededError):
        store.append("aa11", 1, [ev.RunWaiting(), ev.RunWaiting()], view.summarize_run(run))
    assert len(store.read_events("aa11")) == 2


def test_a_run_is_made_once(store):
    add(store, "aa11")
    with pytest.raises((StoreError, sqlite3.IntegrityError)):
        add(store, "aa11")


def test_summaries_are_sorted_newest_first_and_can_be_filtered(store):
    add(store, "aa11", at=1)
    add(store, "bb22", at=3, project="/q")
    add(store, "cc33", at=2, parent="bb22")
    add(store, "dd44", at=4, status="failed")
    ids = lambda **asked: [line.id for line in store.summaries(**asked)]  # noqa: E731
    assert ids() == ["dd44", "bb22", "aa11"]
    assert ids(children=True) == ["dd44", "bb22", "cc33", "aa11"]
    assert ids(project="/q") == ["bb22"]
    assert ids(statuses=["failed", "x"]) == ["dd44"]
    assert ids(limit=1) == ["dd44"]


def test_runs_are_found_by_the_beginning_of_their_id(store):
    for run_id in ("aa11", "aa22", "ab33", "ff44"):
        add(store, run_id)
    assert store.find_run_ids("aa") == ["aa11", "aa22"]
    assert store.find_run_ids("ff") == ["ff44"]
    assert store.find_run_ids("a") == ["aa11", "aa22", "ab33"]
    assert store.find_run_ids("00") == []


def test_a_run_can_be_forgotten(store):
    add(store, "aa11")
    store.delete_run("aa11")
    assert store.read_events("aa11") == [] == store.summaries()


def test_pins_are_replaced_as_a_whole(store):
    assert store.trusted_files("/p") == {}
    store.trust_files("/p", {"a": "1", "b": "2"})
    store.trust_files("/p", {"a": "3"})
    store.trust_files("/q", {"z": "9"})
    assert store.trusted_files("/p") == {"a": "3"}


@pytest.mark.parametrize("text", ["'; DROP TABLE runs; --", '"', "%", "\x00x"[1:], "\\", "$(id)"])
def test_texts_are_bound_and_never_read_as_sql(store, text):
    add(store, "aa11", project=text)
    store.trust_files(text, {text: text})
    assert store.summaries(project=text)[0].project == text
    assert store.trusted_files(text) == {text: text}
    assert store.find_run_ids(text) == []


# -- the file -----------------------------------------------------------------------------------


def test_reading_a_missing_store_creates_no_directory(path):
    assert SqliteStore(path).summaries() == []
    assert not path.parent.exists()


def test_what_is_stored_survives_a_power_failure(path):
    """SQLite waits for the disk at every commit, and on macOS for the disk's own cache."""
    store = SqliteStore(path)
    add(store, "aa11")
    database = store._connection()
    assert database.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert database.execute("PRAGMA fullfsync").fetchone()[0] == 1


@pytest.mark.parametrize("suffixes", [("", "-wal", "-shm"), ("",)])
def test_a_file_that_is_removed_while_it_is_open_comes_back_whole(path, suffixes):
    store = SqliteStore(path)
    add(store, "aa11")
    store.trust_files("/p", {"a": "1"})
    for suffix in suffixes:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    add(store, "bb22")
    fresh = SqliteStore(path)
    assert {summary.id for summary in fresh.summaries()} == {"aa11", "bb22"}
    assert fresh.trusted_files("/p") == {"a": "1"}
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_was_replaced_while_it_is_open_is_never_written_to(path, tmp_path):
    store = SqliteStore(path)
    add(store, "aa11")
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    add(SqliteStore(path), "cc33")
    with pytest.raises(StoreError, match="replaced by another file"):
        add(store, "bb22")
    assert [summary.id for summary in SqliteStore(path).summaries()] == ["cc33"]


def test_a_file_that_another_process_restored_is_used(path):
    first, second = SqliteStore(path), SqliteStore(path)
    add(first, "aa11")
    add(second, "bb22")
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    add(first, "cc33")
    add(second, "dd44")
    assert {summary.id for summary in SqliteStore(path).summaries()} == {"aa11", "bb22", "cc33", "dd44"}


def test_the_schema_is_brought_up_to_date_and_a_newer_one_is_refused(path):
    store = SqliteStore(path)
    add(store, "aa11")
    store.close()
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
        assert database.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreError, match="newer prunejuice"):
        SqliteStore(path).summaries()


def test_an_empty_file_is_no_history_yet(path):
    path.parent.mkdir()
    path.touch()
    assert SqliteStore(path).summaries() == []
    add(SqliteStore(path), "aa11")
    assert len(SqliteStore(path).summaries()) == 1


@pytest.mark.parametrize(
    "content",
    [b"not a database at all, but long enough to look at" * 50, b"SQLite format 3\0" + b"\xff" * 5000],
)
def test_a_damaged_file_is_named_and_can_be_put_aside(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    store = SqliteStore(path)
    with pytest.raises(StoreError, match=r"prunejuice\.db") as caught:
        store.summaries()
    assert "doctor" in caught.value.fix
    with pytest.raises(StoreError):
        add(store, "aa11")
    kept = store.set_aside_damaged_file()
    assert kept.read_bytes() == content
    add(store, "aa11")
    assert store.check_integrity() == ""


def test_a_foreign_lock_is_named(path):
    store = SqliteStore(path)
    run = add(store, "aa11")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked by another program"):
        store.append("aa11", 1, [STARTED], view.summarize_run(run))
    assert len(store.read_events("aa11")) == 1
    other.execute("ROLLBACK")
    other.close()
    store.append("aa11", 1, [STARTED], view.summarize_run(run))


def test_a_full_disk_is_named_and_what_was_kept_stays(path):
    store = SqliteStore(path)
    run = add(store, "aa11")
    store._connection().execute("PRAGMA max_page_count = 1")
    with pytest.raises(StoreError, match="disk is full"):
        for number in range(1, 5000):
            store.append("aa11", number, [ev.RunInterrupted(reason="x" * 1000)], view.summarize_run(run))
    assert len(SqliteStore(path).read_events("aa11")) >= 1


@pytest.mark.parametrize("place", ["/proc/nowhere/prunejuice.db", "/dev/null/prunejuice.db"])
def test_a_place_that_cannot_be_written_is_named(place):
    from pathlib import Path

    with pytest.raises(StoreError, match="could not write"):
        add(SqliteStore(Path(place)), "aa11")


def test_a_read_only_file_is_named(path):
    store = SqliteStore(path)
    add(store, "aa11")
    store._connection().execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match="is not writable"):
        store.delete_run("aa11")


def test_writers_of_ours_queue_for_a_long_one(path, monkeypatch):
    from prunejuice.engine.stores import sqlite
    from prunejuice.system.lock import FileLock

    store = SqliteStore(path)
    add(store, "aa11")
    lock = FileLock(path.with_suffix(".lock"))
    lock.acquire()
    monkeypatch.setattr(sqlite, "WRITER_WAIT_SECONDS", 0.1)
    with pytest.raises(StoreError, match="has been locked"):
        store.delete_run("aa11")
    lock.release()


WRITER = """
import sys
from pathlib import Path
from prunejuice.engine import event as ev, view, run as runs
from prunejuice.engine.stores.sqlite import SqliteStore
store, run_id = SqliteStore(Path(sys.argv[1])), sys.argv[2]
run = runs.replay(run_id, store.read_events(run_id))
for number in range(1, 101):
    run = runs.apply_event(run, ev.RunInterrupted(at=number))
    store.append(run_id, number, [ev.RunInterrupted(at=number)], view.summarize_run(run))
"""


def test_eight_processes_write_at_once_and_nothing_is_lost(path):
    store = SqliteStore(path)
    ids = [f"a{n}a{n}" for n in range(8)]
    for run_id in ids:
        add(store, run_id)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), str(path), run_id], stderr=subprocess.PIPE
        )
        for run_id in ids
    ]
    for writer in writers:
        _, err = writer.communicate(timeout=60)
        assert writer.returncode == 0, err
    assert [len(store.read_events(run_id)) for run_id in ids] == [101] * 8
