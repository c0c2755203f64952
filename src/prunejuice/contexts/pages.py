"""The text of the files of a corpus, whole and in parts, and what each takes in tokens."""

from array import array
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from prunejuice.context import GAP, Item, Style, frame
from prunejuice.contexts import files, tokens
from prunejuice.contexts.corpus import Corpus
from prunejuice.packing import SHOWN, Group, Piece
from prunejuice.part import Part, grouped, lines, signature
from prunejuice.ranking import PRESENT
from prunejuice.screening import LARGEST_NAMED, masked

CHARACTERS = 3.6
"""Characters of a token, roughly."""
_MARGIN = 2
"""How much better the best part of a definition may be than the whole."""
_SIGNATURE = 12
"""Tokens of a line of a signature, roughly."""


class Counted(NamedTuple):
    """What was found out of contents and paths, whatever the task.

    `parts` are tokens by the row of a content, `frames` those by style and path; `clean` are paths with
    the id of a content that has nothing to be masked.
    """

    parts: "dict[int, array[int]]"
    frames: dict[tuple[Style, str], int]
    clean: set[tuple[str, str]]


class Pages:
    """Parts and tokens are remembered by content, the text of files only for one question."""

    def __init__(self, corpus: Corpus, style: Style, counted: Counted) -> None:
        """What is counted anew is added to `counted`."""
        self.corpus, self.style = corpus, style
        self.counted = counted
        self.new: set[int] = set()
        self._lines: dict[int, list[str]] = {}

    def parts(self, file: int) -> Sequence[Part]:
        """The parts of a file."""
        entry = self.corpus.entries[file]
        return self.corpus.index.parts(entry.id, entry.length)

    def groups(self, file: int, chance: float, shares: Sequence[float], least: float) -> list[Group]:
        """The definitions of a file and their worth; none that gives less for a token than `least`."""
        parts = self.parts(file)
        made: list[Group] = []
        for head, members in grouped(parts):
            whole = sum(shares[i] for i in members)
            named = 0.5 * chance * (1 - PRESENT) * whole
            size = sum(parts[i].size for i in members)
            if chance * whole * _MARGIN < least * size / CHARACTERS:
                continue
            pieces = tuple(Piece(i, 0.5 * chance * shares[i], _guess(parts[i])) for i in members)
            if head < 0:
                pieces = tuple(piece._replace(worth=piece.worth * (2 - PRESENT)) for piece in pieces)
                made.append(Group(file, head, 0.0, 0, pieces))
            else:
                lines_ = parts[head].head - parts[head].first + 1
                tokens_ = 6 + lines_ * _SIGNATURE
                made.append(Group(file, head, named, min(tokens_, pieces[0].tokens), pieces))
        return made

    def _counts(self, file: int) -> "array[int]":
        entry = self.corpus.entries[file]
        found = self.counted.parts.get(entry.id)
        if found is None:
            found = self.corpus.index.counts(entry.id) or array("I")
            if len(found) != 2 * entry.length:
                found = array("I", [0]) * (2 * entry.length)
            self.counted.parts[entry.id] = found
        return found

    def entry(self, file: int) -> int:
        """The tokens of naming a file: those of its frame."""
        path = self.corpus.paths[file]
        found = self.counted.frames.get((self.style, path))
        if found is None:
            shown = Item(path=path, blob="", mode="slice", tokens=0, text="", language="python")
            found = self.counted.frames[self.style, path] = (
                tokens.count("".join(frame(self.style, shown))) + 1
            )
        return found

    def cost(self, file: int, forms: Mapping[int, int]) -> int:
        """The tokens of some parts of a file in some forms, with what stands between them."""
        counts = self._counts(file)
        total = _GAP * sum(self._gaps(file, forms).values())
        for number in sorted(forms):
            at = 2 * number + (forms[number] == SHOWN)
            if not counts[at]:
                counts[at] = tokens.count(self._text(file, number, forms[number]))
                self.new.add(self.corpus.entries[file].id)
            total += counts[at]
        return total

    def _gaps(self, file: int, forms: Mapping[int, int]) -> dict[int, bool]:
        """Before which parts, and at the end of a file (-1), lines are left out that nothing else marks.

        A signature says by itself that a body follows, unless another piece of it comes next.
        """
        parts, gaps, before = self.parts(file), {}, -1
        for number in sorted(forms):
            cut = before >= 0 and forms[before] != SHOWN and parts[before].last > parts[before].head
            gaps[number] = number != before + 1 or (cut and forms[number] == SHOWN)
            before = number
        gaps[-1] = before >= 0 and forms[before] == SHOWN and before + 1 < len(parts)
        return gaps

    def whole(self, file: int) -> dict[int, int]:
        """All parts of a file, shown."""
        return dict.fromkeys(range(self.corpus.entries[file].length), SHOWN)

    def around(self, file: int, forms: Mapping[int, int]) -> set[int]:
        """The parts with the signatures of what some parts are inside of: the class of a method."""
        parts = self.parts(file)
        heads: dict[str, int] = {}
        found: set[int] = set()
        for number, part in enumerate(parts):
            if number in forms:
                pieces = part.name.split(".")
                outer = (".".join(pieces[:end]) for end in range(1, len(pieces)))
                found.update(heads[name] for name in outer if name in heads)
            if part.head:
                heads[part.name] = number
        return found - forms.keys()

    def lines(self, file: int) -> list[str]:
        """The lines of a file, secrets masked."""
        if file not in self._lines:
            path, blob = self.corpus.paths[file], self.corpus.blobs[file]
            data = files.content(self.corpus.listing.root, path, LARGEST_NAMED) or b""
            text = data.decode("utf-8", "replace")
            same = files.object_id(data, blob) == blob  # it may have been written a moment ago
            shown = text if same and (path, blob) in self.counted.clean else masked(path, text)
            if same and shown == text:
                self.counted.clean.add((path, blob))
            self._lines[file] = lines(shown)
        return self._lines[file]

    def _text(self, file: int, number: int, form: int) -> str:
        part = self.parts(file)[number]
        rows = self.lines(file)
        return "".join(rows[part.first - 1 : part.last]) if form == SHOWN else signature(rows, part)

    def shown(self, file: int, forms: Mapping[int, int]) -> tuple[str, tuple[tuple[int, int], ...]]:
        """The text of some parts of a file in some forms, and which lines of it are there."""
        parts = self.parts(file)
        text: list[str] = []
        ranges: list[tuple[int, int]] = []
        gaps = self._gaps(file, forms)
        for number in sorted(forms):
            part = parts[number]
            text.append(GAP if gaps[number] else "")
            text.append(self._text(file, number, forms[number]))
            if forms[number] == SHOWN:
                joined = bool(ranges) and ranges[-1][1] + 1 == part.first
                ranges[-1:] = (
                    [(ranges[-1][0], part.last)] if joined else [*ranges[-1:], (part.first, part.last)]
                )
        if gaps[-1]:
            text.append(GAP if text[-1].endswith("\n") else f"\n{GAP}")
        return "".join(text), tuple(ranges)


def _guess(part: Part) -> int:
    """About how many tokens: whatever was counted before, the same question has the same answer."""
    return int(part.size / CHARACTERS) + 1


_GAP = 2
