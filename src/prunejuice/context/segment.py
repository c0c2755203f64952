"""A segment of the index: parsed contents with the postings of their terms."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from prunejuice.code.chunk import Chunk
from prunejuice.code.terms import identifier_terms, terms

IMPACT_BITS = 6
MAX_IMPACT = (1 << IMPACT_BITS) - 1
_SCALE = 28
"""Scales a BM25 weight, at most 1 + _K1, to an impact that fits into `IMPACT_BITS`."""
_K1, _B = 1.2, 0.75
_PART_LENGTH, _FILE_LENGTH = 60, 600
"""Terms of a usual chunk and of a usual file, which BM25 normalizes lengths by."""
_Blob = tuple[str, int, int, int, bytes, bytes]
"""The key, the first chunk, the number of chunks, the size, the packed chunks and imports of a content."""


class ParsedFile(NamedTuple):
    """The chunks and imports of a file; `links` are the imports as they are written."""

    key: str
    size: int
    chunks: Sequence[Chunk]
    texts: Sequence[str]
    links: Sequence[str]


class PackedSegment(msgspec.Struct, frozen=True, array_like=True):
    """A segment whose postings are bytes."""

    blobs: list[_Blob]
    parts: dict[str, bytes]
    files: dict[str, bytes]
    names: dict[str, bytes]
    length: int
    size: int


class Segment:
    """Contents and their postings, numbered from 0 until the free numbers are known."""

    def __init__(self) -> None:
        self.blobs: list[_Blob] = []
        self.parts: dict[str, array[int]] = {}
        self.files: dict[str, array[int]] = {}
        self.names: dict[str, array[int]] = {}
        self.length = self.size = 0

    def pack(self) -> PackedSegment:
        """Return the segment as bytes, for another process."""
        parts, files, names = (
            {term: numbers.tobytes() for term, numbers in postings.items()}
            for postings in (self.parts, self.files, self.names)
        )
        return PackedSegment(self.blobs, parts, files, names, self.length, self.size)

    @classmethod
    def unpack(cls, packed: PackedSegment) -> "Segment":
        """Return the segment that was packed.

        Raises:
            ValueError: it is damaged.
        """
        segment = cls()
        segment.blobs, segment.length, segment.size = packed.blobs, packed.length, packed.size
        segment.parts, segment.files, segment.names = (
            {term: array("I", numbers) for term, numbers in postings.items()}
            for postings in (packed.parts, packed.files, packed.names)
        )
        return segment

    def add(self, file: ParsedFile) -> None:
        """Add the content of a file."""
        row, first = len(self.blobs), self.length
        packed_chunks = msgspec.msgpack.encode([tuple(chunk) for chunk in file.chunks])
        links = msgspec.msgpack.encode(file.links)
        self.blobs.append((file.key, first, len(file.chunks), file.size, packed_chunks, links))
        self.length += len(file.chunks)
        file_terms: dict[str, int] = {}
        for number, (chunk, text) in enumerate(zip(file.chunks, file.texts, strict=True), first):
            chunk_terms = terms(text)
            for term, count in self._name_terms(number, chunk):
                chunk_terms[term] = chunk_terms.get(term, 0) + count
            _add_postings(self.parts, number, chunk_terms, _PART_LENGTH)
            for term, count in chunk_terms.items():
                file_terms[term] = file_terms.get(term, 0) + count
            self.size += len(chunk_terms)
        _add_postings(self.files, row, file_terms, _FILE_LENGTH)

    def _name_terms(self, number: int, chunk: Chunk) -> Iterator[tuple[str, int]]:
        """Yield the words of a chunk's name with their weights.

        Words of a name that the chunk defines are added to `names` too.
        """
        outer, _, name = chunk.name.rpartition(".")
        for word in identifier_terms(outer):
            yield word, 1
        words = identifier_terms(name)
        for word in words:
            if chunk.head:
                weight = MAX_IMPACT if word == words[-1] else max(1, MAX_IMPACT // len(words))
                self.names.setdefault(word, array("I")).append(number << IMPACT_BITS | weight)
            yield word, 2

    def renumber(self, row: int, chunk: int) -> None:
        """Shift the numbers, so that they begin at a row and a chunk."""
        for postings, base in ((self.parts, chunk), (self.files, row), (self.names, chunk)):
            shift = base << IMPACT_BITS
            for term, numbers in postings.items() if shift else ():
                postings[term] = array("I", map(shift.__add__, numbers))

    def rows(self, number: int) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of the segment with this number."""
        for term in sorted(self.parts):
            names = self.names[term].tobytes() if term in self.names else b""
            yield term, number, self.parts[term].tobytes(), self.files[term].tobytes(), names


def _add_postings(
    postings: dict[str, "array[int]"], number: int, counts: Mapping[str, int], usual: int
) -> None:
    """Add the terms of a chunk or file; `usual` is the usual number of terms, for BM25."""
    norm = _K1 * (1 - _B + _B * sum(counts.values()) / usual)
    ceiling = _SCALE * (_K1 + 1)
    shifted = number << IMPACT_BITS
    single = shifted | max(1, int(ceiling / (1 + norm)))
    for term, count in counts.items():
        posting = single if count == 1 else shifted | max(1, int(ceiling * count / (count + norm)))
        if term in postings:
            postings[term].append(posting)
        else:
            postings[term] = array("I", (posting,))
