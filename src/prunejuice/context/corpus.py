"""The files of one tree and their entries in the index."""

import re
from array import array
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from functools import lru_cache

from prunejuice.code.exclude import MAX_NAMED_BYTES, exclusion_reason
from prunejuice.code.terms import distinct_terms
from prunejuice.context.contents import (
    ContentRequest,
    binary_reason,
    largest_size,
    parse_contents,
    parser_name,
)
from prunejuice.context.index import CodeIndex, IndexEntry
from prunejuice.context.parser_process import is_worth_processes, parse_in_processes
from prunejuice.context.segment import Segment
from prunejuice.worktrees import file_listing

_MAX_PATH_TERMS = 100
"""Wanted terms above which all paths are split: searching the text takes time for each of them."""


class Corpus:
    """The files of a tree, numbered in the order of their paths, and their chunks in the index.

    `owner` maps a chunk to its file, -1 if the chunk belongs to no file of this tree. Files with the same
    content share their entry: the first of them owns it, `duplicates` lists the others. `excluded` are the
    files that are not read, with the reason.
    """

    def __init__(
        self,
        listing: file_listing.FileListing,
        index: CodeIndex,
        known_entries: dict[str, IndexEntry],
        requested: frozenset[str],
    ) -> None:
        """Add new contents to the index and to `known_entries`; read `requested` files even if excluded."""
        self.listing, self.index = listing, index
        self.excluded: dict[str, str] = dict(listing.skipped)
        keys = self._content_keys(known_entries, requested)
        self.paths = sorted(keys)
        self.entries = [known_entries[keys[path]] for path in self.paths]
        self.blobs = [keys[path].partition(".")[0] for path in self.paths]
        self.number = {path: number for number, path in enumerate(self.paths)}
        self.rooted_paths = [f"/{path}" for path in self.paths]
        self._path_texts = PathTexts(self.paths)
        chunk_count = max((entry.first + entry.length for entry in self.entries), default=0)
        self.owner = array("i", [-1]) * chunk_count
        self.file_of: dict[int, int] = {}
        self.duplicates: dict[int, list[int]] = {}
        for number, (row, first, count, _) in enumerate(self.entries):
            if row not in self.file_of:
                self.file_of[row] = number
                self.owner[first : first + count] = array("i", [number]) * count
            else:
                self.duplicates.setdefault(self.file_of[row], []).append(number)

    def path_terms(self, file: int) -> frozenset[str]:
        """Return the terms in the path of a file."""
        return _path_terms(self.paths[file])

    def files_with_path_terms(self, wanted: Set[str]) -> Iterator[tuple[int, frozenset[str]]]:
        """Yield the files whose path has some of the wanted terms, and those terms."""
        for file in self._path_texts.possible_files(wanted):
            if shared := self.path_terms(file) & wanted:
                yield file, shared

    def is_current(self) -> bool:
        """Return whether the files with uncommitted content still have the content that was read."""
        for path in self.listing.changed:
            data = file_listing.read_content(self.listing.root, path, MAX_NAMED_BYTES)
            number = self.number.get(path)
            if number is None:
                if data is not None and not binary_reason(data) and not exclusion_reason(path):
                    return False
            elif data is None or file_listing.object_id(data, self.blobs[number]) != self.blobs[number]:
                return False
        return True

    def _content_keys(
        self, known_entries: dict[str, IndexEntry], requested: frozenset[str]
    ) -> dict[str, str]:
        keys: dict[str, str] = {}
        missing: list[str] = []
        for path, oid in self.listing.files.items():
            if (reason := exclusion_reason(path)) and path not in requested:
                self.excluded[path] = reason
            elif oid and (key := f"{oid}.{parser_name(path)}") in known_entries:
                keys[path] = key
            else:
                missing.append(path)
        if missing:
            largest = {
                path: MAX_NAMED_BYTES if path in requested else largest_size(path) for path in missing
            }
            # The length of an id of this repository tells which hash it uses.
            example_id = next(filter(None, self.listing.files.values()), self.listing.head)
            request = ContentRequest(self.listing.root, example_id, largest, known_entries.keys())
            self._add_missing(request, keys)
        if any(key not in known_entries for key in keys.values()):
            # Another process may have added the same contents first, with other numbers.
            known_entries.update(self.index.entries())
        return {path: key for path, key in keys.items() if key in known_entries}

    def _add_missing(self, request: ContentRequest, keys: dict[str, str]) -> None:
        """Add the contents of files to the index; add their keys, and the reasons of unread files."""
        if not is_worth_processes(request):
            self.index.add(parse_contents(request, keys, self.excluded))
            return
        for answer in parse_in_processes(request):
            self.index.add_segment(Segment.unpack(answer.segment))
            keys.update(answer.keys_by_path())
            self.excluded.update(answer.reasons_by_path())


class PathTexts:
    """The text of all paths, in which terms are found without splitting each path into its terms."""

    def __init__(self, paths: Sequence[str]) -> None:
        """Join the paths; those that are not ASCII are possible for every term."""
        self._count = len(paths)
        self._other = [file for file, path in enumerate(paths) if not path.isascii()]
        # A term of several words has no underscores. No path contains a NUL.
        self._text = "\0".join(paths).lower().replace("_", "")
        self._starts = [0, *(match.end() for match in re.finditer("\0", self._text))]

    def possible_files(self, wanted: Collection[str]) -> Iterable[int]:
        """Return the files whose path may have one of the terms, in ascending order."""
        if len(wanted) > _MAX_PATH_TERMS:
            return range(self._count)
        # A term is the beginning of a word, but for the `y` of a word that ends in `ies`.
        texts = {term.removesuffix("y") for term in wanted}
        return sorted({*self._other, *(file for text in texts for file in self._files_with_text(text))})

    def _files_with_text(self, text: str) -> Iterator[int]:
        position = self._text.find(text)
        while position >= 0:
            file = bisect_right(self._starts, position) - 1
            yield file
            if file + 1 == self._count:
                return
            position = self._text.find(text, self._starts[file + 1])


@lru_cache(maxsize=1 << 17)
def _path_terms(path: str) -> frozenset[str]:
    folder, _, name = path.rpartition("/")
    own_terms = distinct_terms(name.rpartition(".")[0] or name)
    return own_terms | _path_terms(folder) if folder else own_terms
