"""What of the ranked files is shown: the most worth for each token, until the budget is spent.

A file is entered with its path, a definition with its signature, and then its parts are shown. Each is a
chain whose links are merged until worth for a token only falls, so that one sort orders everything.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

NAMED, SHOWN = 1, 2
PATIENCE = 400
"""Steps in a row that do not fit before packing ends."""


class Piece(NamedTuple):
    """A part that could be shown: its worth, its tokens, and where it is."""

    part: int
    worth: float
    tokens: int


class Group(NamedTuple):
    """A definition: the part with its signature, what naming it is worth, and all its parts.

    `head` is -1 where there is no signature to name.
    """

    file: int
    head: int
    worth: float
    tokens: int
    pieces: tuple[Piece, ...]


class Step(NamedTuple):
    """Additions made together: parts of one file and the forms they rise to."""

    file: int
    worth: float
    tokens: int
    adds: tuple[tuple[int, int], ...]

    @property
    def rate(self) -> float:
        """Worth for a token."""
        return self.worth / max(1, self.tokens)

    def then(self, other: "Step") -> "Step":
        """Both at once."""
        tokens = self.tokens + other.tokens
        return Step(self.file, self.worth + other.worth, tokens, self.adds + other.adds)


def steps(groups: Iterable[Group], entries: Mapping[int, tuple[float, int]]) -> list[Step]:
    """All steps, the best for its tokens first; `entries` is what naming each file is worth and costs."""
    by_file: dict[int, list[Step]] = {}
    for group in groups:
        by_file.setdefault(group.file, []).extend(_risen(group))
    found: list[Step] = []
    for file, additions in by_file.items():
        worth, tokens = entries[file]
        additions.sort(key=lambda step: -step.rate)
        first = Step(file, worth, tokens, ()).then(additions[0])
        found.extend(_falling(first, additions[1:]))
    found.sort(key=lambda step: -step.rate)
    return found


def _risen(group: Group) -> Iterator[Step]:
    pieces = [
        Step(
            group.file,
            piece.worth,
            piece.tokens - (group.tokens if piece.part == group.head else 0),
            ((piece.part, SHOWN),),
        )
        for piece in group.pieces
    ]
    pieces.sort(key=lambda step: -step.rate)
    if group.head < 0:
        yield from pieces
    else:
        named = Step(group.file, group.worth, group.tokens, ((group.head, NAMED),))
        yield from _falling(named, pieces)


def _falling(first: Step, rest: Sequence[Step]) -> Iterator[Step]:
    """A chain with its first links merged until the next one is worth less for a token."""
    for number, step in enumerate(rest):
        if step.rate < first.rate:
            yield first
            yield from rest[number:]
            return
        first = first.then(step)
    yield first


def chosen(
    ordered: Sequence[Step], budget: int, cost: Callable[[int, Mapping[int, int], Mapping[int, int]], int]
) -> dict[int, dict[int, int]]:
    """Files with their parts and forms, within the budget.

    `cost(file, before, after)` says exactly what going from one set of parts to another takes.
    """
    left = budget
    found: dict[int, dict[int, int]] = {}
    misses = 0
    for step in ordered:
        if misses > PATIENCE or left < 8:
            break
        before = found.get(step.file, {})
        after = dict(before)
        for part, form in step.adds:
            after[part] = max(form, after.get(part, 0))
        if step.tokens * 0.7 > left + 20 or (price := cost(step.file, before, after)) > left:
            misses += 1
            continue
        left -= price
        misses = 0
        found[step.file] = after
    return found
