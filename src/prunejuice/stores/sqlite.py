"""The history in one SQLite file that many processes use at once.

Writers take a file lock first, so they queue instead of failing; what SQLite then still finds locked is
held by a foreign program, and is reported within a second. Every append is durable when it returns.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from prunejuice import event as events
from prunejuice.errors import DamagedError, StoreError, SupersededError
from prunejuice.event import Event
from prunejuice.lock import locked
from prunejuice.stores.migrations import MIGRATIONS
from prunejuice.view import Summary

QUEUE = 30.0
"""Seconds that a writer waits for other writers of ours."""
FOREIGN = 0.8
"""Seconds that a lock of a foreign program is waited for."""

_decode = msgspec.json.Decoder(Summary).decode


@cache
def _queries() -> Mapping[str, str]:
    text = Path(__file__).with_name("queries.sql").read_text()
    named = [part.split("\n", 1) for part in text.split("-- name: ")[1:]]
    return {name.strip(): sql for name, sql in named}


class SqliteStore:
    """The store in the file `path`; made when it is first written to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()

    # -- writing --------------------------------------------------------------------------------

    def create(self, run_id: str, first: Sequence[Event], summary: Summary) -> None:
        """Keep the first events of a new run."""
        with self._writing() as database:
            row = {name: getattr(summary, name) for name in ("project", "command", "status", "parent")}
            row |= {"id": run_id, "created": summary.created, "summary": _text(summary)}
            database.execute(_queries()["create_run"], row)
            self._add(database, run_id, 0, first)

    def append(self, run_id: str, after: int, more: Sequence[Event], summary: Summary) -> None:
        """Keep more events, all or none, durably."""
        with self._writing() as database:
            self._add(database, run_id, after, more)
            line = {"id": run_id, "status": summary.status, "summary": _text(summary)}
            database.execute(_queries()["update_run"], line)

    def _add(self, database: sqlite3.Connection, run_id: str, after: int, more: Sequence[Event]) -> None:
        rows = [
            {
                "run": run_id,
                "sequence": number,
                "kind": events.kind(event),
                "data": events.to_json(event).decode(),
            }
            for number, event in enumerate(more, after + 1)
        ]
        try:
            database.executemany(_queries()["add_event"], rows)
        except sqlite3.IntegrityError as error:
            raise SupersededError(
                f"run {run_id} is driven by another process now",
                f"this one stops; look at it with: prj show {run_id[:8]}",
            ) from error

    def forget(self, run_id: str) -> None:
        """Remove a run and the runs inside it."""
        with self._writing() as database:
            database.execute(_queries()["forget"], {"id": run_id})

    def pin(self, project: str, trusted: Mapping[str, str]) -> None:
        """Trust exactly these files of a project from now on."""
        rows = [{"project": project, "file": f, "digest": d} for f, d in trusted.items()]
        with self._writing() as database:
            database.execute(_queries()["unpin"], {"project": project})
            database.executemany(_queries()["pin"], rows)

    # -- reading --------------------------------------------------------------------------------

    def history(self, run_id: str, after: int = 0) -> list[Event]:
        """The events of a run with numbers above `after`."""
        rows = self._read("history", {"run": run_id, "after": after})
        return [events.from_json(text) for (text,) in rows]

    def summaries(
        self,
        *,
        statuses: Sequence[str] = (),
        project: str = "",
        limit: int = 1000,
        children: bool = False,
    ) -> list[Summary]:
        """Lines about runs, newest first."""
        asked = {"statuses": json.dumps(statuses), "project": project, "limit": limit}
        rows = self._read("summaries", {**asked, "children": int(children)})
        return [_line(run_id, text) for run_id, text in rows]

    def find(self, prefix: str) -> list[str]:
        """The ids that begin with `prefix`, at most ten."""
        return [run_id for (run_id,) in self._read("find", {"prefix": prefix})]

    def pins(self, project: str) -> dict[str, str]:
        """The files of a project that were trusted."""
        return dict(self._read("pins", {"project": project}))

    # -- keeping house --------------------------------------------------------------------------

    def check(self) -> str:
        """What is wrong with the file; nothing when it is whole or not there yet."""
        if not self._is_there():
            return ""
        with self._named_errors():
            found = str(self._database().execute("PRAGMA integrity_check").fetchone()[0])
        return "" if found == "ok" else f"{self.path} is damaged: {found.splitlines()[0]}"

    def put_aside(self) -> Path:
        """Rename a damaged file, with what belongs to it, so that a new one can be started."""
        self.close()
        kept = self.path.with_name(f"{self.path.name}.damaged-{int(time.time())}")
        with locked(self.path.with_suffix(".lock"), QUEUE):
            for suffix in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    self.path.with_name(self.path.name + suffix).rename(f"{kept}{suffix}")
        return kept

    def close(self) -> None:
        """Close this thread's connection."""
        database = self._local.__dict__.pop("database", None)
        if database is not None:
            database.close()

    # -- the file -------------------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with locked(self.path.with_suffix(".lock"), QUEUE), self._named_errors():
                database = self._database()
                _migrate(database)
                database.execute("BEGIN IMMEDIATE")
                try:
                    yield database
                    database.execute("COMMIT")
                finally:
                    if database.in_transaction:
                        database.execute("ROLLBACK")
        except TimeoutError as error:
            raise StoreError(f"{self.path} has been locked for {QUEUE:.0f} s", _BUSY_FIX) from error
        except OSError as error:
            raise StoreError(f"cannot write {self.path}: {error.strerror}", _PLACE_FIX) from error

    def _read(self, name: str, asked: Mapping[str, Any]) -> list[Any]:
        if not self._is_there():
            return []
        with self._named_errors():
            database = self._database()
            if _version(database) == 0:
                return []
            return database.execute(_queries()[name], asked).fetchall()

    def _is_there(self) -> bool:
        try:
            self.path.stat()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StoreError(f"cannot read {self.path}: {error.strerror}", _PLACE_FIX) from error
        return True

    def _database(self) -> sqlite3.Connection:
        """This thread's connection."""
        found: sqlite3.Connection | None = getattr(self._local, "database", None)
        if found is None:
            found = self._local.database = _connected(self.path)
        return found

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            self.close()
            raise _named(self.path, error) from error


def _connected(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=FOREIGN, isolation_level=None)
    database.execute("PRAGMA foreign_keys = ON")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA fullfsync = ON")  # macOS; elsewhere it changes nothing
    return database


def _version(database: sqlite3.Connection) -> int:
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise StoreError(
            f"the history was written by a newer prunejuice (schema {version})", "update prunejuice"
        )
    return version


def _migrate(database: sqlite3.Connection) -> None:
    """Bring the schema up to date; called with the writers' lock held."""
    version = _version(database)
    if version == len(MIGRATIONS):
        return
    database.execute("PRAGMA journal_mode = WAL")
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        database.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")


def _named(path: Path, error: sqlite3.DatabaseError) -> StoreError:
    name = getattr(error, "sqlite_errorname", "")
    for start, (message, fix) in _ERRORS.items():
        if name.startswith(start):
            damaged = name in {"SQLITE_CORRUPT", "SQLITE_NOTADB"}
            return (DamagedError if damaged else StoreError)(f"{path} {message}", fix)
    return StoreError(f"{path}: {error}", "prj doctor looks closer")


def _line(run_id: str, text: str) -> Summary:
    """A line of a list; one that is damaged says so and hides no other."""
    try:
        return _decode(text)
    except msgspec.MsgspecError:
        return Summary(run_id, "?", "failed", "", "", 0, error="its line in the history cannot be read")


def _text(summary: Summary) -> str:
    return msgspec.json.encode(summary).decode()


_BUSY_FIX = "find the program that holds it open (lsof), or set PRUNEJUICE_HOME to another place"
_PLACE_FIX = "make the folder writable, or set PRUNEJUICE_HOME to another place"
_ERRORS: Mapping[str, tuple[str, str]] = {
    "SQLITE_BUSY": ("is locked by another program", _BUSY_FIX),
    "SQLITE_LOCKED": ("is locked by another program", _BUSY_FIX),
    "SQLITE_FULL": ("cannot grow: the disk is full", "free some space; nothing recorded was lost"),
    "SQLITE_READONLY": ("cannot be written to", _PLACE_FIX),
    "SQLITE_CANTOPEN": ("cannot be opened", _PLACE_FIX),
    "SQLITE_IOERR": ("cannot be read or written: the disk reports an error", "check the disk"),
    "SQLITE_CORRUPT": ("is damaged", "prj doctor --repair keeps a copy and starts a new one"),
    "SQLITE_NOTADB": ("is not a history", "prj doctor --repair keeps a copy and starts a new one"),
}
