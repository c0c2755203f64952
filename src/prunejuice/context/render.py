"""Render the files of a corpus, whole or in part, and count their tokens."""

from array import array
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from prunejuice.code import tokens
from prunejuice.code.chunk import Chunk, group_by_definition, signature, split_lines
from prunejuice.code.exclude import MAX_NAMED_BYTES
from prunejuice.code.mask_secrets import mask_secrets
from prunejuice.code.notebook import shown_text
from prunejuice.context.bundle import GAP, Item, Style, item_frame
from prunejuice.context.corpus import Corpus
from prunejuice.context.packing import FULL_TEXT, ChunkCandidate, DefinitionGroup
from prunejuice.context.ranking import OUTSIDE_SHARE
from prunejuice.worktrees import file_listing

CHARACTERS = 3.6
"""Characters per token, roughly."""
_MARGIN = 2
"""How much higher the rate of a definition's best chunk may be than that of the whole."""
_SIGNATURE = 12
"""Tokens per line of a signature, roughly."""
_GAP = 2
"""Tokens of the line that marks omitted lines."""


class TokenCache(NamedTuple):
    """Counts that hold for any task, because they depend on contents and paths alone.

    `chunk_tokens` are counts by the row of a content, `frame_tokens` counts by style and path. `clean` are
    paths with the id of a content without secrets.
    """

    chunk_tokens: "dict[int, array[int]]"
    frame_tokens: dict[tuple[Style, str], int]
    clean: set[tuple[str, str]]


class FileRenderer:
    """Renders the files of a corpus for one request; token counts are cached across requests."""

    def __init__(self, corpus: Corpus, style: Style, cache: TokenCache) -> None:
        """Add new token counts to `cache`."""
        self.corpus, self.style = corpus, style
        self.cache = cache
        self.new: set[int] = set()
        self._lines: dict[int, list[str]] = {}

    def chunks(self, file: int) -> Sequence[Chunk]:
        """Return the chunks of a file."""
        entry = self.corpus.entries[file]
        return self.corpus.index.chunks(entry.id, entry.length)

    def definition_groups(
        self, file: int, chance: float, shares: Sequence[float], least: float
    ) -> list[DefinitionGroup]:
        """Return the definitions of a file with their worth.

        Definitions that cannot reach the rate `least` are skipped.
        """
        chunks = self.chunks(file)
        groups: list[DefinitionGroup] = []
        for head, members in group_by_definition(chunks):
            share = sum(shares[i] for i in members)
            signature_worth = 0.5 * chance * (1 - OUTSIDE_SHARE) * share
            size = sum(chunks[i].size for i in members)
            if chance * share * _MARGIN < least * size / CHARACTERS:
                continue
            pieces = tuple(
                ChunkCandidate(i, 0.5 * chance * shares[i], _estimate_tokens(chunks[i])) for i in members
            )
            if head < 0:
                pieces = tuple(piece._replace(worth=piece.worth * (2 - OUTSIDE_SHARE)) for piece in pieces)
                groups.append(DefinitionGroup(file, head, 0.0, 0, pieces))
            else:
                signature_lines = chunks[head].head - chunks[head].first + 1
                signature_tokens = 6 + signature_lines * _SIGNATURE
                groups.append(
                    DefinitionGroup(
                        file, head, signature_worth, min(signature_tokens, pieces[0].tokens), pieces
                    )
                )
        return groups

    def _token_counts(self, file: int) -> "array[int]":
        entry = self.corpus.entries[file]
        counts = self.cache.chunk_tokens.get(entry.id)
        if counts is None:
            counts = self.corpus.index.token_counts(entry.id) or array("I")
            # Two counts per chunk: as a signature, and in full.
            if len(counts) != 2 * entry.length:
                counts = array("I", [0]) * (2 * entry.length)
            self.cache.chunk_tokens[entry.id] = counts
        return counts

    def frame_tokens(self, file: int) -> int:
        """Return the tokens of a file's frame."""
        path = self.corpus.paths[file]
        count = self.cache.frame_tokens.get((self.style, path))
        if count is None:
            empty_item = Item(path=path, blob="", mode="slice", tokens=0, text="", language="python")
            count = self.cache.frame_tokens[self.style, path] = (
                tokens.count("".join(item_frame(self.style, empty_item))) + 1
            )
        return count

    def chunk_tokens(self, file: int, forms: Mapping[int, int]) -> int:
        """Return the tokens of chunks of a file in the given forms, with the gaps between them."""
        counts = self._token_counts(file)
        total = _GAP * sum(self._gaps(file, forms).values())
        for number in sorted(forms):
            position = 2 * number + (forms[number] == FULL_TEXT)
            if not counts[position]:
                counts[position] = tokens.count(self._chunk_text(file, number, forms[number]))
                self.new.add(self.corpus.entries[file].id)
            total += counts[position]
        return total

    def _gaps(self, file: int, forms: Mapping[int, int]) -> dict[int, bool]:
        """Return before which chunks, and whether at the end (-1), omitted lines need a mark.

        A signature implies that its body is omitted, unless another chunk of the body comes next.
        """
        chunks, gaps, before = self.chunks(file), {}, -1
        for number in sorted(forms):
            is_cut = (
                before >= 0 and forms[before] != FULL_TEXT and chunks[before].last > chunks[before].head
            )
            gaps[number] = number != before + 1 or (is_cut and forms[number] == FULL_TEXT)
            before = number
        gaps[-1] = before >= 0 and forms[before] == FULL_TEXT and before + 1 < len(chunks)
        return gaps

    def whole_file(self, file: int) -> dict[int, int]:
        """Return all chunks of a file in full."""
        return dict.fromkeys(range(self.corpus.entries[file].length), FULL_TEXT)

    def enclosing_chunks(self, file: int, forms: Mapping[int, int]) -> set[int]:
        """Return the chunks with the signatures around the given chunks, as the class of a method."""
        chunks = self.chunks(file)
        heads: dict[str, int] = {}
        enclosing: set[int] = set()
        for number, chunk in enumerate(chunks):
            if number in forms:
                names = chunk.name.split(".")
                prefixes = (".".join(names[:end]) for end in range(1, len(names)))
                enclosing.update(heads[name] for name in prefixes if name in heads)
            if chunk.head:
                heads[chunk.name] = number
        return enclosing - forms.keys()

    def file_lines(self, file: int) -> list[str]:
        """Return the lines of a file, secrets masked."""
        if file not in self._lines:
            path, blob = self.corpus.paths[file], self.corpus.blobs[file]
            data = file_listing.read_content(self.corpus.listing.root, path, MAX_NAMED_BYTES) or b""
            text = shown_text(path, data.decode("utf-8", "replace"))
            # The file may have changed since it was listed; then it is not the content that is `clean`.
            is_unchanged = file_listing.object_id(data, blob) == blob
            masked = text if is_unchanged and (path, blob) in self.cache.clean else mask_secrets(path, text)
            if is_unchanged and masked == text:
                self.cache.clean.add((path, blob))
            self._lines[file] = split_lines(masked)
        return self._lines[file]

    def _chunk_text(self, file: int, number: int, form: int) -> str:
        chunk = self.chunks(file)[number]
        lines = self.file_lines(file)
        return (
            "".join(lines[chunk.first - 1 : chunk.last]) if form == FULL_TEXT else signature(lines, chunk)
        )

    def render(self, file: int, forms: Mapping[int, int]) -> tuple[str, tuple[tuple[int, int], ...]]:
        """Return the text of chunks of a file in the given forms, and the line ranges shown in full."""
        chunks = self.chunks(file)
        text: list[str] = []
        ranges: list[tuple[int, int]] = []
        gaps = self._gaps(file, forms)
        for number in sorted(forms):
            chunk = chunks[number]
            text.append(GAP if gaps[number] else "")
            text.append(self._chunk_text(file, number, forms[number]))
            if forms[number] == FULL_TEXT:
                is_adjacent = bool(ranges) and ranges[-1][1] + 1 == chunk.first
                ranges[-1:] = (
                    [(ranges[-1][0], chunk.last)]
                    if is_adjacent
                    else [*ranges[-1:], (chunk.first, chunk.last)]
                )
        if gaps[-1]:
            text.append(GAP if text[-1].endswith("\n") else f"\n{GAP}")
        return "".join(text), tuple(ranges)


def _estimate_tokens(chunk: Chunk) -> int:
    """Return the approximate tokens of a chunk.

    The estimate ignores counts in the cache, so that the same request always has the same result.
    """
    return int(chunk.size / CHARACTERS) + 1
