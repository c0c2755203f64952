"""Packing: choose the chunks of the ranked files with the most worth per token, within a budget.

A file is introduced by its path and a definition by its name, before their chunks are shown. Each is a
chain of steps that are merged until the worth per token only falls, so that one sort orders all steps.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

LISTED, SIGNATURE_ONLY, FULL_TEXT = 1, 2, 3
"""The forms of a chunk: its name in a gap, its signature, its lines."""
MAX_MISSES = 400
"""Consecutive steps that do not fit before packing ends."""


class ChunkCandidate(NamedTuple):
    """A chunk that could be shown: its number, worth and tokens."""

    chunk: int
    worth: float
    tokens: int


class DefinitionGroup(NamedTuple):
    """A definition: the chunk with its signature, the worth and tokens of its name, and all chunks.

    `head` is -1 if there is no name to list.
    """

    file: int
    head: int
    worth: float
    tokens: int
    pieces: tuple[ChunkCandidate, ...]


class PackingStep(NamedTuple):
    """Additions made together: chunks of one file and the form that each reaches."""

    file: int
    worth: float
    tokens: int
    adds: tuple[tuple[int, int], ...]

    @property
    def rate(self) -> float:
        """The worth per token."""
        return self.worth / max(1, self.tokens)

    def combine(self, other: "PackingStep") -> "PackingStep":
        """Return both steps as one."""
        tokens = self.tokens + other.tokens
        return PackingStep(self.file, self.worth + other.worth, tokens, self.adds + other.adds)


def packing_steps(
    groups: Iterable[DefinitionGroup], entries: Mapping[int, tuple[float, int]]
) -> list[PackingStep]:
    """Return all steps, the highest rate first; `entries` has the worth and tokens of each file's path."""
    by_file: dict[int, list[PackingStep]] = {}
    for group in groups:
        by_file.setdefault(group.file, []).extend(_group_steps(group))
    steps: list[PackingStep] = []
    for file, additions in by_file.items():
        worth, tokens = entries[file]
        additions.sort(key=lambda step: -step.rate)
        first = PackingStep(file, worth, tokens, ()).combine(additions[0])
        steps.extend(_merge_until_falling(first, additions[1:]))
    steps.sort(key=lambda step: -step.rate)
    return steps


def _group_steps(group: DefinitionGroup) -> Iterator[PackingStep]:
    pieces = [
        PackingStep(
            group.file,
            piece.worth,
            piece.tokens - (group.tokens if piece.chunk == group.head else 0),
            _shown_forms(group.head, piece.chunk),
        )
        for piece in group.pieces
    ]
    pieces.sort(key=lambda step: -step.rate)
    if group.head < 0:
        yield from pieces
    else:
        name = PackingStep(group.file, group.worth, group.tokens, ((group.head, LISTED),))
        yield from _merge_until_falling(name, pieces)


def _shown_forms(head: int, chunk: int) -> tuple[tuple[int, int], ...]:
    """Return the forms with which a chunk is shown: below the signature of its definition."""
    shown = (chunk, FULL_TEXT)
    return (shown,) if head in {-1, chunk} else ((head, SIGNATURE_ONLY), shown)


def _merge_until_falling(first: PackingStep, rest: Sequence[PackingStep]) -> Iterator[PackingStep]:
    """Yield a chain, its first steps merged until the next one has a lower rate."""
    for number, step in enumerate(rest):
        if step.rate < first.rate:
            yield first
            yield from rest[number:]
            return
        first = first.combine(step)
    yield first


def choose_chunks(
    ordered: Sequence[PackingStep],
    budget: int,
    cost: Callable[[int, Mapping[int, int], Mapping[int, int]], int],
) -> dict[int, dict[int, int]]:
    """Return the form of each chosen chunk by file, within the budget.

    `cost(file, before, after)` returns the exact tokens of growing one set of chunks into another.
    """
    left = budget
    chosen: dict[int, dict[int, int]] = {}
    misses = 0
    for step in ordered:
        if misses > MAX_MISSES or left < 2:  # a name takes two tokens
            break
        before = chosen.get(step.file, {})
        after = dict(before)
        for chunk, form in step.adds:
            after[chunk] = max(form, after.get(chunk, 0))
        # `step.tokens` is an estimate: skip the exact cost if even a generous correction does not fit.
        if step.tokens * 0.7 > left + 20 or (price := cost(step.file, before, after)) > left:
            misses += 1
            continue
        left -= price
        misses = 0
        chosen[step.file] = after
    return chosen
