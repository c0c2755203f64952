"""Render the files of a corpus, whole or in part, and count their tokens."""

from array import array
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from prunejuice.code import tokens
from prunejuice.code.chunk import Chunk, group_by_definition, signature, split_lines
from prunejuice.code.exclude import MAX_NAMED_BYTES
from prunejuice.code.mask_secrets import mask_secrets
from prunejuice.code.notebook import shown_text
from prunejuice.context.bundle import Item, Style, gap_line, item_frame
from prunejuice.context.corpus import Corpus
from prunejuice.context.packing import FULL_TEXT, LISTED, ChunkCandidate, DefinitionGroup
from prunejuice.context.ranking import NAME_WORTH, OUTSIDE_SHARE
from prunejuice.worktrees import file_listing

CHARACTERS = 3.6
"""Characters per token, roughly."""
_MARGIN = 2
"""How much higher the rate of a definition's best chunk may be than that of the whole."""
_GAP = 2
"""Tokens of the line that marks omitted lines."""


class TokenCache(NamedTuple):
    """Counts that hold for any task, because they depend on contents and paths alone.

    `chunk_tokens` are counts by the row of a content, `name_tokens` counts by the name of a definition,
    `frame_tokens` counts by style and path. `clean` are paths with the id of a content without secrets.
    """

    chunk_tokens: "dict[int, array[int]]"
    name_tokens: dict[str, int]
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
        self._names: dict[int, list[str]] = {}

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
            name_worth = 0.5 * chance * (1 - OUTSIDE_SHARE) * share * NAME_WORTH
            size = sum(chunks[i].size for i in members)
            if chance * share * _MARGIN < least * size / CHARACTERS:
                continue
            pieces = tuple(
                ChunkCandidate(i, 0.5 * chance * shares[i], _estimate_tokens(chunks[i])) for i in members
            )
            name = self._listed_names(file)[head] if head >= 0 else ""
            if not name:
                pieces = tuple(piece._replace(worth=piece.worth * (2 - OUTSIDE_SHARE)) for piece in pieces)
                groups.append(DefinitionGroup(file, -1, 0.0, 0, pieces))
            else:
                name_tokens = min(2 + len(name) // 5, pieces[0].tokens)
                groups.append(DefinitionGroup(file, head, name_worth, name_tokens, pieces))
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
        gaps = self._gaps(file, forms)
        total = _GAP * len(gaps) + sum(self._name_tokens(name) for names in gaps.values() for name in names)
        for number, form in forms.items():
            if form == LISTED:
                continue
            position = 2 * number + (form == FULL_TEXT)
            if not counts[position]:
                counts[position] = tokens.count(self._chunk_text(file, number, form))
                self.new.add(self.corpus.entries[file].id)
            total += counts[position]
        return total

    def growth_tokens(self, file: int, before: Mapping[int, int], after: Mapping[int, int]) -> int:
        """Return the tokens of growing one set of chunks into another, with the frame of a new file."""
        frame = 0 if before else self.frame_tokens(file)
        return frame + self.chunk_tokens(file, after) - self.chunk_tokens(file, before)

    def _listed_names(self, file: int) -> list[str]:
        """Return the names of the chunks of a file as a gap lists them."""
        if file not in self._names:
            self._names[file] = [_listed_name(chunk) for chunk in self.chunks(file)]
        return self._names[file]

    def _name_tokens(self, name: str) -> int:
        count = self.cache.name_tokens.get(name)
        if count is None:
            count = self.cache.name_tokens[name] = tokens.count(f", {name}")
        return count

    def _gaps(self, file: int, forms: Mapping[int, int]) -> dict[int, tuple[str, ...]]:
        """Return before which chunks, and at the end (-1), a mark stands for omitted lines, with its names.

        A signature implies that its body is omitted, unless another chunk of the body comes next.
        """
        chunks, listed, gaps, before = self.chunks(file), self._listed_names(file), {}, -1
        names: dict[str, None] = {}
        for number in sorted(forms):
            if forms[number] == LISTED:
                names[listed[number]] = None
                continue
            is_cut = (
                before >= 0 and forms[before] != FULL_TEXT and chunks[before].last > chunks[before].head
            )
            if names or number != before + 1 or (is_cut and forms[number] == FULL_TEXT):
                gaps[number] = tuple(names)
                names = {}
            before = number
        if names or (before >= 0 and forms[before] == FULL_TEXT and before + 1 < len(chunks)):
            gaps[-1] = tuple(names)
        return gaps

    def whole_file(self, file: int) -> dict[int, int]:
        """Return all chunks of a file in full."""
        return dict.fromkeys(range(self.corpus.entries[file].length), FULL_TEXT)

    def enclosing_chunks(self, file: int, forms: Mapping[int, int]) -> set[int]:
        """Return chunks whose signatures are missing around shown chunks, as the class of a method."""
        chunks = self.chunks(file)
        heads: dict[str, int] = {}
        enclosing: set[int] = set()
        for number, chunk in enumerate(chunks):
            if forms.get(number, LISTED) > LISTED:
                names = chunk.name.split(".")
                prefixes = (".".join(names[:end]) for end in range(1, len(names)))
                enclosing.update(heads[name] for name in prefixes if name in heads)
            if chunk.head:
                heads[chunk.name] = number
        return {number for number in enclosing if forms.get(number, LISTED) == LISTED}

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
        for number in sorted(number for number, form in forms.items() if form > LISTED):
            chunk = chunks[number]
            if number in gaps:
                text.append(self._gap_line(file, gaps[number]))
            text.append(self._chunk_text(file, number, forms[number]))
            if forms[number] == FULL_TEXT:
                is_adjacent = bool(ranges) and ranges[-1][1] + 1 == chunk.first
                ranges[-1:] = (
                    [(ranges[-1][0], chunk.last)]
                    if is_adjacent
                    else [*ranges[-1:], (chunk.first, chunk.last)]
                )
        if -1 in gaps:
            text.append("" if not text or text[-1].endswith("\n") else "\n")
            text.append(self._gap_line(file, gaps[-1]))
        return "".join(text), tuple(ranges)

    def _gap_line(self, file: int, names: Sequence[str]) -> str:
        return mask_secrets(self.corpus.paths[file], gap_line(names))


def _listed_name(chunk: Chunk) -> str:
    """Return the name of a definition as a gap lists it: without the names around it, on one line."""
    return " ".join((chunk.name.rpartition(".")[2] or chunk.name).split())


def _estimate_tokens(chunk: Chunk) -> int:
    """Return the approximate tokens of a chunk.

    The estimate ignores counts in the cache, so that the same request always has the same result.
    """
    return int(chunk.size / CHARACTERS) + 1
