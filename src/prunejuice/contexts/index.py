"""What is known of files by their content: one SQLite file for all worktrees of a repository.

Rows are keyed by the object id of a content, never by time or path, so that nothing in it can be stale.
A term's postings are arrays of numbers, `document << 6 | impact`, in segments that merge as they grow:
statistics can so be taken over the files of one tree, although the index knows those of all.
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

from prunejuice.errors import DamagedError, StoreError
from prunejuice.part import Part
from prunejuice.words import terms, terms_of

VERSION = 3
"""Of the rows and of what is read out of a file; another version is another file."""
IMPACT_BITS = 6
STRONGEST = (1 << IMPACT_BITS) - 1
_SCALE = 28
_K1, _B = 1.2, 0.75
_PART_LENGTH, _FILE_LENGTH = 60, 600
_SEGMENT = 4_000_000
_SEGMENTS = 6
"""How many segments there may be before the newest ones become one."""
_REMEMBERED = 4_000
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
"""The last numbers that are taken."""
T = TypeVar("T")


class Entry(NamedTuple):
    """A content: its row, the number of its first part, how many parts (`length`), how many bytes."""

    id: int
    first: int
    length: int
    size: int


class Reading(NamedTuple):
    """What was read out of one file."""

    key: str
    size: int
    parts: Sequence[Part]
    texts: Sequence[str]
    links: Sequence[str]


class Postings(NamedTuple):
    """Where a term occurs: in parts, in files, and in the names that parts define."""

    parts: "array[int]"
    files: "array[int]"
    names: "array[int]"


class Index:
    """The index in one file; every method is a transaction of its own."""

    def __init__(self, path: Path | None) -> None:
        """Open, or make, the index; None keeps it in memory."""
        self.path = path
        self.rebuilt = ""
        self._parts: dict[int, list[Part]] = {}
        self._db = self._opened()

    def rebuild(self, reason: str) -> None:
        """Throw away what is known, because it cannot be read."""
        self._db.close()
        self._parts.clear()
        self.rebuilt = reason
        if self.path is not None:
            _removed(self.path)
        self._db = self._opened()

    def _rows(self, query: str, *given: Any) -> list[Any]:
        try:
            return self._db.execute(query, given).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._wrong(error) from error

    def _wrong(self, error: sqlite3.DatabaseError) -> StoreError:
        """What an error means: the file is damaged, or it cannot be used now."""
        damaged = any(words in str(error) for words in ("no such", "Could not decode", "malformed"))
        if isinstance(error, sqlite3.OperationalError) and not damaged:
            fix = "see that the disk has room, and that no other program holds the file"
            return StoreError(f"the index {self.path} cannot be used: {error}", fix)
        return DamagedError(f"the index {self.path} cannot be read: {error}")

    def _opened(self) -> sqlite3.Connection:
        if self.path is None:
            return _connected(":memory:")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _connected(str(self.path))
        except sqlite3.DatabaseError as error:
            wrong = self._wrong(error)
            if not isinstance(wrong, DamagedError):
                raise wrong from error
            self.rebuilt = str(error)
            _removed(self.path)
            return _connected(str(self.path))

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
        except sqlite3.DatabaseError as error:
            raise self._wrong(error) from error

    # -- files ----------------------------------------------------------------------------------

    def entries(self) -> dict[str, Entry]:
        """Every content that is known, by its key."""
        rows = self._rows("SELECT key, id, first, count, size FROM blob")
        try:
            known = {key: Entry(*rest) for key, *rest in rows}
            if all(entry.first >= 0 and 0 <= entry.length <= entry.size + 1 for entry in known.values()):
                return known
        except TypeError:
            pass
        raise DamagedError("the index has a row that cannot be")

    def add(self, readings: Iterable[Reading]) -> None:
        """Add contents; those that another process added meanwhile stay as they are."""
        found = _Segment()
        for reading in readings:
            found.take(reading)
            if found.size > _SEGMENT:
                self._add(found)
                found = _Segment()
        if found.blobs:
            self._add(found)

    def _add(self, found: "_Segment") -> None:
        with self._writing() as db:
            [(row, part)] = db.execute(_FREE)
            for number, (key, first, count, size, parts, links) in enumerate(found.blobs, row + 1):
                values = (number, key, part + first, count, size)
                if db.execute("INSERT OR IGNORE INTO blob VALUES (?,?,?,?,?)", values).rowcount:
                    db.execute("INSERT INTO detail VALUES (?,?,?)", (number, parts, links))
            found.move(row + 1, part)
            self._write(db, found)

    def _write(self, db: sqlite3.Connection, found: "_Segment") -> None:
        if not found.size:
            return
        [(number,)] = db.execute("SELECT coalesce(max(id), 0) + 1 FROM segment")
        db.executemany("INSERT INTO posting VALUES (?,?,?,?,?)", found.rows(number))
        db.execute("INSERT INTO segment VALUES (?,?)", (number, found.size))
        segments = db.execute("SELECT id, size FROM segment ORDER BY id").fetchall()
        if len(segments) > _SEGMENTS:
            _merge(db, _crowded(segments))

    def parts(self, row: int, length: int) -> list[Part]:
        """The parts of a content; so many."""
        if row not in self._parts:
            found = self._rows("SELECT parts FROM detail WHERE id = ?", row)
            self._parts[row] = _decoded(found, list[Part])
            if len(self._parts[row]) != length:
                del self._parts[row]
                raise DamagedError("the index has a content with other parts than it counts")
            if len(self._parts) > _REMEMBERED:
                self._parts.pop(next(iter(self._parts)))
        return self._parts[row]

    def links(self, row: int) -> list[str]:
        """What a content imports, as it is written there."""
        return _decoded(self._rows("SELECT links FROM detail WHERE id = ?", row), list[str])

    def postings(self, term: str) -> Postings:
        """Where a term occurs, in all contents that are known."""
        found = Postings(array("I"), array("I"), array("I"))
        for row in self._rows("SELECT parts, files, names FROM posting WHERE term = ?", term):
            for numbers, packed in zip(found, row, strict=True):
                numbers.extend(_numbers(packed))
        return found

    # -- tokens ---------------------------------------------------------------------------------

    def counts(self, row: int) -> "array[int] | None":
        """The tokens of each part of a content, 0 where they were not counted yet."""
        found = self._rows("SELECT tokens FROM count WHERE id = ?", row)
        return _numbers(found[0][0]) if found else None

    def keep_counts(self, counted: Mapping[int, "array[int]"]) -> None:
        """Keep what was counted."""
        with self._writing() as db:
            rows = [(row, counts.tobytes()) for row, counts in counted.items()]
            db.executemany("INSERT OR REPLACE INTO count VALUES (?,?)", rows)

    # -- outlines -------------------------------------------------------------------------------

    def outlines(self, version: int) -> dict[int, bytes]:
        """What is kept of contents by a version of the reader of outlines."""
        return dict(self._rows("SELECT id, row FROM outline WHERE version = ?", version))

    def keep_outlines(self, version: int, rows: Mapping[int, bytes]) -> None:
        """Keep outlines of contents."""
        with self._writing() as db:
            new = [(row, version, packed) for row, packed in rows.items()]
            db.executemany("INSERT OR REPLACE INTO outline VALUES (?,?,?)", new)

    # -- commits --------------------------------------------------------------------------------

    def line(self, head: str) -> list[str]:
        """The commits before a commit, newest first; empty when they were not asked for yet."""
        found = self._rows("SELECT ids FROM line WHERE head = ?", head)
        return _decoded(found, list[str]) if found else []

    def commits(self, ids: Sequence[str], make: Callable[[bytes], T]) -> dict[str, T]:
        """Those of some commits that are known."""
        found = {}
        for start in range(0, len(ids), 500):
            some = ids[start : start + 500]
            marks = ",".join("?" * len(some))
            rows = self._rows(f"SELECT id, row FROM commits WHERE id IN ({marks})", *some)  # noqa: S608
            try:
                found.update({key: make(row) for key, row in rows})
            except (ValueError, TypeError, msgspec.DecodeError) as error:
                raise DamagedError(f"a commit in the index cannot be read: {error}") from error
        return found

    def keep_commits(self, head: str, ids: Sequence[str], new: Mapping[str, bytes]) -> None:
        """Keep commits, and which ones lead to a head."""
        with self._writing() as db:
            db.executemany("INSERT OR IGNORE INTO commits VALUES (?,?)", new.items())
            db.execute(
                "INSERT OR REPLACE INTO line VALUES (?,?)", (head, msgspec.msgpack.encode(list(ids)))
            )


class _Segment:
    """Contents and their postings, numbered from 0 until it is known what numbers are free."""

    def __init__(self) -> None:
        self.blobs: list[tuple[str, int, int, int, bytes, bytes]] = []
        self.parts: dict[str, array[int]] = {}
        self.files: dict[str, array[int]] = {}
        self.names: dict[str, array[int]] = {}
        self.length = self.size = 0

    def take(self, reading: Reading) -> None:
        """Take a content in."""
        row, first = len(self.blobs), self.length
        packed = msgspec.msgpack.encode([tuple(part) for part in reading.parts])
        links = msgspec.msgpack.encode(reading.links)
        self.blobs.append((reading.key, first, len(reading.parts), reading.size, packed, links))
        self.length += len(reading.parts)
        whole: dict[str, int] = {}
        for number, (part, text) in enumerate(zip(reading.parts, reading.texts, strict=True), first):
            found = terms(text)
            for term, count in self._named(number, part):
                found[term] = found.get(term, 0) + count
            _post(self.parts, number, found, _PART_LENGTH)
            for term, count in found.items():
                whole[term] = whole.get(term, 0) + count
            self.size += len(found)
        _post(self.files, row, whole, _FILE_LENGTH)

    def _named(self, number: int, part: Part) -> Iterator[tuple[str, int]]:
        """The words of a part's name, which count more; in `names` too where it is defined."""
        outer, _, name = part.name.rpartition(".")
        for piece in terms_of(outer):
            yield piece, 1
        pieces = terms_of(name)
        for piece in pieces:
            if part.head:
                weight = STRONGEST if piece == pieces[-1] else max(1, STRONGEST // len(pieces))
                self.names.setdefault(piece, array("I")).append(number << IMPACT_BITS | weight)
            yield piece, 2

    def move(self, row: int, part: int) -> None:
        """Number from other beginnings."""
        for postings, base in ((self.parts, part), (self.files, row), (self.names, part)):
            shift = base << IMPACT_BITS
            for term, numbers in postings.items() if shift else ():
                postings[term] = array("I", [number + shift for number in numbers])

    def rows(self, number: int) -> Iterator[tuple[Any, ...]]:
        """The rows of the segment of a number."""
        for term in sorted(self.parts):
            names = self.names[term].tobytes() if term in self.names else b""
            yield term, number, self.parts[term].tobytes(), self.files[term].tobytes(), names


def _post(postings: dict[str, "array[int]"], number: int, counts: Mapping[str, int], usual: int) -> None:
    """Add what occurs in a part or file of a number; `usual` is how many terms others have."""
    norm = _K1 * (1 - _B + _B * sum(counts.values()) / usual)
    most = _SCALE * (_K1 + 1)
    shifted = number << IMPACT_BITS
    single = shifted | max(1, int(most / (1 + norm)))
    for term, count in counts.items():
        posting = single if count == 1 else shifted | max(1, int(most * count / (count + norm)))
        if term in postings:
            postings[term].append(posting)
        else:
            postings[term] = array("I", (posting,))


def _crowded(segments: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The newest of some segments, by id and size: so many that what is left is larger than all of them."""
    crowd: list[tuple[int, int]] = []
    for segment in reversed(segments):
        if len(crowd) > 1 and segment[1] > 2 * sum(size for _, size in crowd):
            break
        crowd.insert(0, segment)
    return crowd


def _merge(db: sqlite3.Connection, crowd: Sequence[tuple[int, int]]) -> None:
    """Put the postings of segments behind those of the first of them."""
    oldest, *newer = (number for number, _ in crowd)
    marks = ",".join("?" * len(newer))
    rows = (
        f"SELECT term, parts, files, names FROM posting WHERE segment IN ({marks}) ORDER BY term, segment"  # noqa: S608
    )
    moved = db.execute(rows, newer).fetchall()
    db.execute(f"DELETE FROM posting WHERE segment IN ({marks})", newer)  # noqa: S608
    for term, group in groupby(moved, key=itemgetter(0)):
        kept = db.execute(
            "SELECT parts, files, names FROM posting WHERE term = ? AND segment = ?", (term, oldest)
        ).fetchall()
        pieces = zip(*kept, *(packed for _, *packed in group), strict=True)
        joined = [b"".join(each) for each in pieces]
        db.execute("INSERT OR REPLACE INTO posting VALUES (?,?,?,?,?)", (term, oldest, *joined))
    db.execute("UPDATE segment SET size = ? WHERE id = ?", (sum(size for _, size in crowd), oldest))
    db.execute(f"DELETE FROM segment WHERE id IN ({marks})", newer)  # noqa: S608


def _connected(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=30, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = OFF")
    db.executescript(_SCHEMA)
    return db


def _numbers(packed: Any) -> "array[int]":
    try:
        return array("I", packed)
    except (ValueError, TypeError) as error:
        raise DamagedError(f"numbers in the index cannot be read: {error}") from error


def _decoded(rows: list[Any], kind: type[T]) -> T:
    try:
        [(packed,)] = rows
        return msgspec.msgpack.decode(packed, type=kind)
    except (ValueError, msgspec.DecodeError) as error:
        raise DamagedError(f"a row of the index cannot be read: {error}") from error


def _removed(path: Path) -> None:
    for name in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        with suppress(OSError):
            name.unlink()
