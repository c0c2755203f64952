"""The files of one tree, with what the index knows of them."""

from array import array
from collections.abc import Iterator, Mapping
from functools import lru_cache

from prunejuice import grammar
from prunejuice.contexts import files
from prunejuice.contexts.index import Entry, Index, Reading
from prunejuice.part import lines, parts
from prunejuice.screening import LARGEST, LARGEST_NAMED, unfit
from prunejuice.words import terms

_BINARY = 8_000


class Corpus:
    """Which part of the index is of which file of a tree; files are numbered in order of their paths.

    `owner` gives the file of a part, -1 where it is of none here; files of one content share what is
    known of it: the first of them owns it, and the others are its `twins`. `left` are files that are not
    read, with the reason.
    """

    def __init__(
        self, listing: files.Listing, index: Index, known: dict[str, Entry], wanted: frozenset[str]
    ) -> None:
        """Read what is new into the index and into `known`; `wanted` are read whatever they are."""
        self.listing, self.index = listing, index
        self.left: dict[str, str] = dict(listing.apart)
        keys = self._keys(known, wanted)
        self.paths = sorted(keys)
        self.entries = [known[keys[path]] for path in self.paths]
        self.blobs = [keys[path].partition(".")[0] for path in self.paths]
        self.number = {path: number for number, path in enumerate(self.paths)}
        self.rooted = [f"/{path}" for path in self.paths]
        self.path_terms = [_path_terms(path) for path in self.paths]
        top = max((entry.first + entry.length for entry in self.entries), default=0)
        self.owner = array("i", [-1]) * top
        self.file_of: dict[int, int] = {}
        self.twins: dict[int, list[int]] = {}
        for number, (row, first, count, _) in enumerate(self.entries):
            if row not in self.file_of:
                self.file_of[row] = number
                self.owner[first : first + count] = array("i", [number]) * count
            else:
                self.twins.setdefault(self.file_of[row], []).append(number)

    def current(self) -> bool:
        """Whether the files whose content git does not know are still what was read."""
        for path in self.listing.changed:
            data = files.content(self.listing.root, path, LARGEST_NAMED)
            number = self.number.get(path)
            if number is None:
                if data is not None and not _unreadable(data) and not unfit(path):
                    return False
            elif data is None or files.object_id(data, self.blobs[number]) != self.blobs[number]:
                return False
        return True

    def _keys(self, known: dict[str, Entry], wanted: frozenset[str]) -> dict[str, str]:
        keys: dict[str, str] = {}
        missing: dict[str, str] = {}
        for path, oid in self.listing.files.items():
            if (reason := unfit(path)) and path not in wanted:
                self.left[path] = reason
            elif oid and (key := f"{oid}.{grammar.language(path)}") in known:
                keys[path] = key
            else:
                missing[path] = oid
        if missing:
            self.index.add(self._readings(missing, keys, known, wanted))
            known.update(self.index.entries())
        return {path: key for path, key in keys.items() if key in known}

    def _readings(
        self,
        missing: Mapping[str, str],
        keys: dict[str, str],
        known: Mapping[str, Entry],
        wanted: frozenset[str],
    ) -> Iterator[Reading]:
        like = next(filter(None, self.listing.files.values()), self.listing.head)
        seen: set[str] = set()
        for path in missing:
            largest = LARGEST_NAMED if path in wanted else LARGEST
            data = files.content(self.listing.root, path, largest)
            if data is None:
                self.left[path] = files.why_not(self.listing.root, path, largest)
                continue
            if reason := _unreadable(data):
                self.left[path] = reason
                continue
            language = grammar.language(path)
            key = f"{files.object_id(data, like)}.{language}"
            keys[path] = key
            if key not in known and key not in seen:
                seen.add(key)
                yield reading(key, language, data)


def _unreadable(data: bytes) -> str:
    """Why a content cannot be read as text; empty when it can."""
    return "not text" if b"\0" in data[:_BINARY] else ""


@lru_cache(maxsize=1 << 17)
def _path_terms(path: str) -> frozenset[str]:
    folder, _, name = path.rpartition("/")
    own = frozenset(terms(name.rpartition(".")[0] or name))
    return own | _path_terms(folder) if folder else own


def reading(key: str, language: str, data: bytes) -> Reading:
    """What a content says of itself."""
    text = data.decode("utf-8", "replace")
    rows = lines(text)
    found = parts(rows, grammar.definitions(language, data))
    texts = ["".join(rows[part.first - 1 : part.last]) for part in found]
    return Reading(key, len(data), found, texts, grammar.links(language, text))
