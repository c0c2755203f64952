"""The index of file contents: one SQLite file for all worktrees of a repository.

Rows are keyed by git's object id of a content, not by time or path, so they never become stale. The
postings of a term are arrays of numbers, `document << 6 | impact`, in segments that are merged as they
grow. Statistics can therefore be taken over the files of one tree, although the index covers all trees.
"""

import sqlite3
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from prunejuice.code.chunk import Chunk
from prunejuice.context.segment import ParsedFile, Segment
from prunejuice.errors import DamagedStoreError, StoreError
from prunejuice.system.private import make_private_folder

VERSION = 3
"""The version of the rows and of the parser; each version has its own file."""
_SEGMENT = 4_000_000
"""Postings after which a new segment is begun, to bound the memory that adding files takes."""
_SEGMENTS = 6
"""The most segments before the newest ones are merged."""
_REMEMBERED = 4_000
"""The most contents whose chunks are cached."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS blob (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, first INTEGER NOT NULL, count INTEGER NOT NULL,
  size INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS detail (id INTEGER PRIMARY KEY, parts BLOB NOT NULL, links BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS count (id INTEGER PRIMARY KEY, tokens BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS outline (id INTEGER PRIMARY KEY, version INTEGER NOT NULL, row BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS posting (
  term TEXT NOT NULL, segment INTEGER NOT NULL, parts BLOB NOT NULL, files BLOB NOT NULL,
  names BLOB NOT NULL, PRIMARY KEY (term, segment)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS segment (id INTEGER PRIMARY KEY, size INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS commits (id TEXT PRIMARY KEY, row BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS line (head TEXT PRIMARY KEY, ids BLOB NOT NULL) WITHOUT ROWID;
"""
_FREE = "SELECT coalesce(max(id), 0), coalesce(max(first + count), 0) FROM blob"
"""The last used row and chunk numbers."""
T = TypeVar("T")


class IndexEntry(NamedTuple):
    """A content: its row, the number of its first chunk, its number of chunks and its size in bytes."""

    id: int
    first: int
    length: int
    size: int


class Postings(NamedTuple):
    """Where a term occurs: in chunks (`parts`), in files, and in the names that chunks define."""

    parts: "array[int]"
    files: "array[int]"
    names: "array[int]"


class CodeIndex:
    """The index in one SQLite file; every method is its own transaction."""

    def __init__(self, path: Path | None) -> None:
        """Open or create the index; None keeps it in memory."""
        self.path = path
        self.rebuilt = ""
        self._parts: dict[int, list[Chunk]] = {}
        self._db = self._open()

    def rebuild(self, reason: str) -> None:
        """Replace the damaged index by an empty one; `reason` is kept in `rebuilt`."""
        self._db.close()
        self._parts.clear()
        self.rebuilt = reason
        if self.path is not None:
            _remove_database(self.path)
        self._db = self._open()

    def _query(self, query: str, *parameters: Any) -> list[Any]:
        try:
            return self._db.execute(query, parameters).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._to_store_error(error) from error

    def _to_store_error(self, error: sqlite3.DatabaseError) -> StoreError:
        """Return DamagedStoreError for a damaged file, StoreError if it cannot be used just now."""
        damaged = any(words in str(error) for words in ("no such", "Could not decode", "malformed"))
        if isinstance(error, sqlite3.OperationalError) and not damaged:
            fix = "check that the disk has free space and that no other program locks the file"
            return StoreError(f"could not use the index {self.path}: {error}", fix)
        return DamagedStoreError(f"could not read the index {self.path}: {error}")

    def _open(self) -> sqlite3.Connection:
        if self.path is None:
            return _connect(":memory:")
        make_private_folder(self.path.parent)
        try:
            return _connect(str(self.path))
        except sqlite3.DatabaseError as error:
            store_error = self._to_store_error(error)
            if not isinstance(store_error, DamagedStoreError):
                raise store_error from error
            self.rebuilt = str(error)
            _remove_database(self.path)
            return _connect(str(self.path))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._db:
                # Take the write lock at once: a later upgrade would fail if another process wrote first.
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
        except sqlite3.DatabaseError as error:
            raise self._to_store_error(error) from error

    # -- files ----------------------------------------------------------------------------------

    def entries(self) -> dict[str, IndexEntry]:
        """Return every content in the index, by its key."""
        rows = self._query("SELECT key, id, first, count, size FROM blob")
        try:
            entries = {key: IndexEntry(*rest) for key, *rest in rows}
            if all(entry.first >= 0 and 0 <= entry.length <= entry.size + 1 for entry in entries.values()):
                return entries
        except TypeError:
            pass
        raise DamagedStoreError("the index has an invalid row")

    def add(self, files: Iterable[ParsedFile]) -> None:
        """Add contents; contents that another process added in the meantime stay as they are."""
        segment = Segment()
        for file in files:
            segment.add(file)
            if segment.size > _SEGMENT:
                self.add_segment(segment)
                segment = Segment()
        self.add_segment(segment)

    def add_segment(self, segment: Segment) -> None:
        """Add the contents of a segment; it cannot be used afterwards."""
        if not segment.blobs:
            return
        with self._transaction() as db:
            [(last_row, next_chunk)] = db.execute(_FREE)
            for number, (key, first, count, size, parts, links) in enumerate(segment.blobs, last_row + 1):
                values = (number, key, next_chunk + first, count, size)
                if db.execute("INSERT OR IGNORE INTO blob VALUES (?,?,?,?,?)", values).rowcount:
                    db.execute("INSERT INTO detail VALUES (?,?,?)", (number, parts, links))
            segment.renumber(last_row + 1, next_chunk)
            self._write_postings(db, segment)

    def _write_postings(self, db: sqlite3.Connection, segment: Segment) -> None:
        if not segment.size:
            return
        [(number,)] = db.execute("SELECT coalesce(max(id), 0) + 1 FROM segment")
        db.executemany("INSERT INTO posting VALUES (?,?,?,?,?)", segment.rows(number))
        db.execute("INSERT INTO segment VALUES (?,?)", (number, segment.size))
        segments = db.execute("SELECT id, size FROM segment ORDER BY id").fetchall()
        if len(segments) > _SEGMENTS:
            _merge_segments(db, _segments_to_merge(segments))

    def chunks(self, row: int, length: int) -> list[Chunk]:
        """Return the chunks of a content.

        Raises:
            DamagedStoreError: the content does not have `length` chunks.
        """
        if row not in self._parts:
            rows = self._query("SELECT parts FROM detail WHERE id = ?", row)
            self._parts[row] = _decode_row(rows, list[Chunk])
            if len(self._parts[row]) != length:
                del self._parts[row]
                raise DamagedStoreError("the index has a content with an unexpected number of chunks")
            if len(self._parts) > _REMEMBERED:
                self._parts.pop(next(iter(self._parts)))
        return self._parts[row]

    def import_targets(self, row: int) -> list[str]:
        """Return the imports of a content as they are written."""
        return _decode_row(self._query("SELECT links FROM detail WHERE id = ?", row), list[str])

    def postings(self, term: str) -> Postings:
        """Return where a term occurs, in all contents of the index."""
        postings = Postings(array("I"), array("I"), array("I"))
        for row in self._query("SELECT parts, files, names FROM posting WHERE term = ?", term):
            for numbers, packed in zip(postings, row, strict=True):
                numbers.extend(_unpack_numbers(packed))
        return postings

    # -- tokens ---------------------------------------------------------------------------------

    def token_counts(self, row: int) -> "array[int] | None":
        """Return the tokens of each chunk of a content, 0 if not counted yet; None if nothing is saved."""
        rows = self._query("SELECT tokens FROM count WHERE id = ?", row)
        return _unpack_numbers(rows[0][0]) if rows else None

    def save_token_counts(self, counts_by_row: Mapping[int, "array[int]"]) -> None:
        """Save token counts of contents by row."""
        with self._transaction() as db:
            rows = [(row, counts.tobytes()) for row, counts in counts_by_row.items()]
            db.executemany("INSERT OR REPLACE INTO count VALUES (?,?)", rows)

    # -- outlines -------------------------------------------------------------------------------

    def outlines(self, version: int) -> dict[int, bytes]:
        """Return the outlines that a version of the outline parser saved, by row."""
        return dict(self._query("SELECT id, row FROM outline WHERE version = ?", version))

    def save_outlines(self, version: int, rows: Mapping[int, bytes]) -> None:
        """Save outlines of contents by row."""
        with self._transaction() as db:
            values = [(row, version, packed) for row, packed in rows.items()]
            db.executemany("INSERT OR REPLACE INTO outline VALUES (?,?,?)", values)

    # -- commits --------------------------------------------------------------------------------

    def commit_ids(self, head: str) -> list[str]:
        """Return the ids of the commits before `head`, newest first; empty if they were not saved."""
        rows = self._query("SELECT ids FROM line WHERE head = ?", head)
        return _decode_row(rows, list[str]) if rows else []

    def commits(self, ids: Sequence[str], decode: Callable[[bytes], T]) -> dict[str, T]:
        """Return the commits of `ids` that were saved, decoded with `decode`."""
        commits = {}
        for start in range(0, len(ids), 500):  # SQLite limits the parameters of a statement
            batch = ids[start : start + 500]
            marks = ",".join("?" * len(batch))
            rows = self._query(f"SELECT id, row FROM commits WHERE id IN ({marks})", *batch)  # noqa: S608
            try:
                commits.update({key: decode(row) for key, row in rows})
            except (ValueError, TypeError, msgspec.DecodeError) as error:
                raise DamagedStoreError(f"could not read a commit in the index: {error}") from error
        return commits

    def save_commits(self, head: str, ids: Sequence[str], rows: Mapping[str, bytes]) -> None:
        """Save commits, and the ids of the commits before `head`."""
        with self._transaction() as db:
            db.executemany("INSERT OR IGNORE INTO commits VALUES (?,?)", rows.items())
            db.execute(
                "INSERT OR REPLACE INTO line VALUES (?,?)", (head, msgspec.msgpack.encode(list(ids)))
            )


def _segments_to_merge(segments: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the newest segments, by id and size, that are to be merged.

    They are as many as needed for the next older segment to be more than twice their combined size.
    """
    newest: list[tuple[int, int]] = []
    for segment in reversed(segments):
        if len(newest) > 1 and segment[1] > 2 * sum(size for _, size in newest):
            break
        newest.insert(0, segment)
    return newest


def _merge_segments(db: sqlite3.Connection, segments: Sequence[tuple[int, int]]) -> None:
    """Append the postings of segments to the oldest of them."""
    oldest, *newer = (number for number, _ in segments)
    marks = ",".join("?" * len(newer))
    query = (
        f"SELECT term, parts, files, names FROM posting WHERE segment IN ({marks}) ORDER BY term, segment"  # noqa: S608
    )
    moved = db.execute(query, newer).fetchall()
    db.execute(f"DELETE FROM posting WHERE segment IN ({marks})", newer)  # noqa: S608
    for term, group in groupby(moved, key=itemgetter(0)):
        oldest_rows = db.execute(
            "SELECT parts, files, names FROM posting WHERE term = ? AND segment = ?", (term, oldest)
        ).fetchall()
        columns = zip(*oldest_rows, *(packed for _, *packed in group), strict=True)
        joined = [b"".join(column) for column in columns]
        db.execute("INSERT OR REPLACE INTO posting VALUES (?,?,?,?,?)", (term, oldest, *joined))
    db.execute("UPDATE segment SET size = ? WHERE id = ?", (sum(size for _, size in segments), oldest))
    db.execute(f"DELETE FROM segment WHERE id IN ({marks})", newer)  # noqa: S608


def _connect(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=30, isolation_level=None)
    # With a write-ahead log, reading does not wait for another process that writes.
    db.execute("PRAGMA journal_mode = WAL")
    # The index can be rebuilt at any time, so a loss after a power failure does no harm.
    db.execute("PRAGMA synchronous = OFF")
    db.executescript(_SCHEMA)
    return db


def _unpack_numbers(packed: Any) -> "array[int]":
    try:
        return array("I", packed)
    except (ValueError, TypeError) as error:
        raise DamagedStoreError(f"could not read numbers in the index: {error}") from error


def _decode_row(rows: list[Any], kind: type[T]) -> T:
    try:
        [(packed,)] = rows
        return msgspec.msgpack.decode(packed, type=kind)
    except (ValueError, msgspec.DecodeError) as error:
        raise DamagedStoreError(f"could not read a row of the index: {error}") from error


def _remove_database(path: Path) -> None:
    for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        with suppress(OSError):
            name.unlink()
