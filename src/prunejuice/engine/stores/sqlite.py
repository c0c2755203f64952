"""A store in one SQLite file that many processes use at the same time.

Writers take a file lock first, so that they queue instead of failing. If SQLite still finds the database
locked, another program holds it; that is reported within a second. An append is durable when it returns.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from prunejuice.engine.event import Event, event_kind, from_json, to_json
from prunejuice.engine.stores.migrations import MIGRATIONS
from prunejuice.engine.view import RunSummary
from prunejuice.errors import DamagedStoreError, StoreError, SupersededError
from prunejuice.system.lock import hold_lock
from prunejuice.system.private import close_folder_to_others, make_private_file, make_private_folder

WRITER_WAIT_SECONDS = 30.0
"""Seconds that a writer waits for other prunejuice processes."""
FOREIGN_LOCK_SECONDS = 0.8
"""Seconds that SQLite waits for a lock of another program."""

_decode = msgspec.json.Decoder(RunSummary).decode


@cache
def _load_queries() -> Mapping[str, str]:
    text = Path(__file__).with_name("queries.sql").read_text()
    queries = [part.split("\n", 1) for part in text.split("-- name: ")[1:]]
    return {name.strip(): sql for name, sql in queries}


class SqliteStore:
    """A store in the file `path`, which the first write creates."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # A SQLite connection belongs to the thread that opened it.
        self._local = threading.local()

    # -- writing --------------------------------------------------------------------------------

    def create(self, run_id: str, events: Sequence[Event], summary: RunSummary) -> None:
        """Store the first events of a new run.

        Raises:
            StoreError: The file could not be written.
        """
        with self._write_transaction() as database:
            row = {name: getattr(summary, name) for name in ("project", "command", "status", "parent")}
            row |= {"id": run_id, "created": summary.created, "summary": _encode_summary(summary)}
            database.execute(_load_queries()["create_run"], row)
            self._insert_events(database, run_id, 0, events)

    def append(self, run_id: str, after: int, events: Sequence[Event], summary: RunSummary) -> None:
        """Append events atomically and durably.

        Raises:
            SupersededError: Event `after + 1` exists already: another process drives the run.
            StoreError: The file could not be written.
        """
        with self._write_transaction() as database:
            self._insert_events(database, run_id, after, events)
            row = {"id": run_id, "status": summary.status, "summary": _encode_summary(summary)}
            database.execute(_load_queries()["update_run"], row)

    def _insert_events(
        self, database: sqlite3.Connection, run_id: str, after: int, events: Sequence[Event]
    ) -> None:
        rows = [
            {
                "run": run_id,
                "sequence": number,
                "kind": event_kind(event),
                "data": to_json(event).decode(),
            }
            for number, event in enumerate(events, after + 1)
        ]
        try:
            database.executemany(_load_queries()["add_event"], rows)
        except sqlite3.IntegrityError as error:
            raise SupersededError(
                f"another process drives run {run_id} now, so this one stops",
                f"run `prj show {run_id[:8]}` to see its state",
            ) from error

    def delete_run(self, run_id: str) -> None:
        """Delete a run and its nested runs, with their events."""
        with self._write_transaction() as database:
            database.execute(_load_queries()["forget"], {"id": run_id})

    def trust_files(self, project: str, files: Mapping[str, str]) -> None:
        """Replace the trusted files of a project."""
        rows = [{"project": project, "file": file, "digest": digest} for file, digest in files.items()]
        with self._write_transaction() as database:
            database.execute(_load_queries()["unpin"], {"project": project})
            database.executemany(_load_queries()["pin"], rows)

    # -- reading --------------------------------------------------------------------------------

    def read_events(self, run_id: str, after: int = 0) -> list[Event]:
        """Return the events of a run with numbers above `after`.

        Raises:
            StoreError: The file could not be read, or an event is damaged.
        """
        rows = self._fetch_rows("history", {"run": run_id, "after": after})
        return [from_json(text) for (text,) in rows]

    def summaries(
        self,
        *,
        statuses: Sequence[str] = (),
        project: str = "",
        limit: int = 1000,
        children: bool = False,
    ) -> list[RunSummary]:
        """Return run summaries, newest first; empty filters match every run."""
        filters = {"statuses": json.dumps(statuses), "project": project, "limit": limit}
        rows = self._fetch_rows("summaries", {**filters, "children": int(children)})
        return [_decode_summary(run_id, text) for run_id, text in rows]

    def find_run_ids(self, prefix: str) -> list[str]:
        """Return up to ten run ids that start with `prefix`."""
        return [run_id for (run_id,) in self._fetch_rows("find", {"prefix": prefix})]

    def trusted_files(self, project: str) -> dict[str, str]:
        """Return the trusted files of a project as path to digest."""
        return dict(self._fetch_rows("pins", {"project": project}))

    # -- maintenance ----------------------------------------------------------------------------

    def check_integrity(self) -> str:
        """Return the fault of the file, or an empty string if it is intact or does not exist."""
        if not self._has_file():
            return ""
        with self._translate_errors():
            report = str(self._connection().execute("PRAGMA integrity_check").fetchone()[0])
        return "" if report == "ok" else f"{self.path} is damaged: {report.splitlines()[0]}"

    def set_aside_damaged_file(self) -> Path:
        """Rename a damaged file and its journals to make room for a new one; return the new path."""
        self.close()
        backup = self.path.with_name(f"{self.path.name}.damaged-{int(time.time())}")
        with hold_lock(self.path.with_suffix(".lock"), WRITER_WAIT_SECONDS):
            for suffix in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    self.path.with_name(self.path.name + suffix).rename(f"{backup}{suffix}")
        return backup

    def close(self) -> None:
        """Close the connection of the current thread."""
        database = self._local.__dict__.pop("database", None)
        if database is not None:
            database.close()

    # -- connection and transaction -------------------------------------------------------------

    @contextmanager
    def _write_transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            make_private_folder(self.path.parent)
            with hold_lock(self.path.with_suffix(".lock"), WRITER_WAIT_SECONDS), self._translate_errors():
                self._restore_removed_file()
                database = self._connection()
                _migrate_schema(database)
                database.execute("BEGIN IMMEDIATE")
                try:
                    yield database
                    database.execute("COMMIT")
                finally:
                    if database.in_transaction:
                        database.execute("ROLLBACK")
        except TimeoutError as error:
            raise StoreError(
                f"{self.path} has been locked for {WRITER_WAIT_SECONDS:.0f} s", _BUSY_FIX
            ) from error
        except OSError as error:
            raise StoreError(f"could not write {self.path}: {error.strerror}", _PLACE_FIX) from error

    def _fetch_rows(self, name: str, parameters: Mapping[str, Any]) -> list[Any]:
        if not self._has_file():
            return []
        with self._translate_errors():
            database = self._connection()
            if _schema_version(database) == 0:  # a reader creates no tables
                return []
            return database.execute(_load_queries()[name], parameters).fetchall()

    def _has_file(self) -> bool:
        try:
            self.path.stat()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StoreError(f"could not read {self.path}: {error.strerror}", _PLACE_FIX) from error
        return True

    def _connection(self) -> sqlite3.Connection:
        """Return the connection of the current thread."""
        database: sqlite3.Connection | None = getattr(self._local, "database", None)
        if database is None:
            database = self._local.database = _connect(self.path)
            self._local.file = self._file_id()
        return database

    def _file_id(self) -> tuple[int, int] | None:
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return None
        return stat.st_dev, stat.st_ino

    def _restore_removed_file(self) -> None:
        """Write the file again if it was removed while it is open: the open file still has everything.

        Raises:
            StoreError: another file is in its place, which does not have what was stored here.
        """
        database: sqlite3.Connection | None = getattr(self._local, "database", None)
        if database is None or self._local.file == (found := self._file_id()):
            return
        known = _run_ids(database)
        if found is None:
            restored = self.path.with_name(f"{self.path.name}.restored")
            restored.unlink(missing_ok=True)
            make_private_file(restored)
            with closing(sqlite3.connect(restored)) as copy:
                database.backup(copy)
            for suffix in ("-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            restored.rename(self.path)
        self.close()
        if not known <= _run_ids(self._connection()):
            self.close()
            raise StoreError(
                f"{self.path} was replaced by another file while it was in use",
                "put the file back that was there, then run `prj resume`",
            )

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            self.close()  # a later call starts with a fresh connection
            raise _to_store_error(self.path, error) from error


def _connect(path: Path) -> sqlite3.Connection:
    close_folder_to_others(path.parent)
    make_private_file(path)
    database = sqlite3.connect(path, timeout=FOREIGN_LOCK_SECONDS, isolation_level=None)
    database.execute("PRAGMA foreign_keys = ON")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA fullfsync = ON")  # on macOS a plain fsync does not flush the disk cache
    return database


def _run_ids(database: sqlite3.Connection) -> set[str]:
    if _schema_version(database) == 0:
        return set()
    return {str(row[0]) for row in database.execute(_load_queries()["all_run_ids"])}


def _schema_version(database: sqlite3.Connection) -> int:
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise StoreError(
            f"the history was written by a newer prunejuice (schema {version})", "update prunejuice"
        )
    return version


def _migrate_schema(database: sqlite3.Connection) -> None:
    """Bring the schema up to date; the caller holds the writers' lock."""
    version = _schema_version(database)
    if version == len(MIGRATIONS):
        return
    database.execute("PRAGMA journal_mode = WAL")
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        database.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")


def _to_store_error(path: Path, error: sqlite3.DatabaseError) -> StoreError:
    name = getattr(error, "sqlite_errorname", "")
    for start, (message, fix) in _ERRORS.items():
        if name.startswith(start):
            damaged = name in {"SQLITE_CORRUPT", "SQLITE_NOTADB"}
            return (DamagedStoreError if damaged else StoreError)(f"{path} {message}", fix)
    return StoreError(f"{path}: {error}", "run `prj doctor` to check the file")


def _decode_summary(run_id: str, text: str) -> RunSummary:
    """Return a summary; a damaged one becomes an entry with an error, so that lists still work."""
    try:
        return _decode(text)
    except msgspec.MsgspecError:
        return RunSummary(run_id, "?", "failed", "", "", 0, error="could not decode its stored summary")


def _encode_summary(summary: RunSummary) -> str:
    return msgspec.json.encode(summary).decode()


_BUSY_FIX = "find the program that has it open (lsof), or set PRUNEJUICE_HOME to another directory"
_PLACE_FIX = "make the directory writable, or set PRUNEJUICE_HOME to another directory"
_REPAIR_FIX = "run `prj doctor --repair` to keep a copy and start a new history"
_ERRORS: Mapping[str, tuple[str, str]] = {
    "SQLITE_BUSY": ("is locked by another program", _BUSY_FIX),
    "SQLITE_LOCKED": ("is locked by another program", _BUSY_FIX),
    "SQLITE_FULL": ("could not grow: the disk is full", "free some disk space; no recorded event was lost"),
    "SQLITE_READONLY": ("is not writable", _PLACE_FIX),
    "SQLITE_CANTOPEN": ("could not be opened", _PLACE_FIX),
    "SQLITE_IOERR": ("could not be read or written: the disk reports an error", "check the disk"),
    "SQLITE_CORRUPT": ("is damaged", _REPAIR_FIX),
    "SQLITE_NOTADB": ("is not a SQLite database", _REPAIR_FIX),
}
