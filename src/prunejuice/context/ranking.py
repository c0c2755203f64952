"""Ranking of files and chunks for a task: weighted sums of named signals, each between 0 and 1.

The weights were fitted to commits of five repositories and their messages, and cross-validated: each
repository was tested with the weights of the other four. docs/decisions/0014 has the figures. Small
changes of a weight matter little.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from prunejuice.code.chunk import Chunk


class Signals(NamedTuple):
    """The signals for a file, in the order of an explanation."""

    parts: float = 0.0
    text: float = 0.0
    names: float = 0.0
    symbol: float = 0.0
    path: float = 0.0
    mention: float = 0.0
    said: float = 0.0
    beside: float = 0.0
    near: float = 0.0
    recent: float = 0.0
    linked: float = 0.0
    pair: float = 0.0
    folder: float = 0.0
    code: float = 0.0


MEANINGS: Mapping[str, str] = {
    "parts": "its definitions contain words of the task",
    "text": "its text contains words of the task",
    "names": "names that it defines contain words of the task",
    "symbol": "defines a name from the task",
    "path": "its path contains words of the task",
    "mention": "the task mentions it",
    "said": "commits with similar messages changed it",
    "beside": "is often changed together with a given file",
    "near": "is often changed together with a file that was found",
    "recent": "was changed recently",
    "linked": "is imported by a file that was found",
    "pair": "is the test of a file that was found, or is tested by it",
    "folder": "is in the same folder as a given file",
    "code": "is code",
}
WEIGHTS = Signals(
    parts=3.8, text=1.05, names=0.25, symbol=1.1, path=1.6, mention=2.3, said=2.4, beside=1.35, near=0.45,
    recent=0.15, linked=0.45, pair=0.25, folder=0.7, code=1.9,
)  # fmt: skip
WEIGHTS_WITHOUT_QUERY = Signals(
    recent=6.0, path=2.0, code=2.0, folder=1.0, beside=2.0, linked=1.0, pair=1.0
)
"""The weights for a request without a query: prefer files with recent changes."""
BIAS = -10.2
KINDS: Mapping[str, float] = {"top": 1.25, "test": 0.37, "value": 0.2}
OUTSIDE_SHARE = 0.3
"""The share of changes outside every definition; for those, the path is as useful as the place."""
NAME_WORTH = 0.25
"""The worth of the name of a definition, as a share of the worth of showing where the definition is."""


def score(signals: Signals, weights: Signals = WEIGHTS) -> float:
    """Return the weighted sum of the signals."""
    return BIAS + sum(weight * signal for weight, signal in zip(weights, signals, strict=True))


def chances(ordered: Sequence[float]) -> list[float]:
    """Return the probability that each file is relevant, from scores in descending order.

    The rank counts too: a file in tenth place is less likely than one in first place with the same score.
    """
    return [
        1 / (1 + math.exp(-(0.65 * score - 0.63 * math.log(rank) - 0.22 * ordered[0] + 0.61)))
        for rank, score in enumerate(ordered, 1)
    ]


def inverse_document_frequency(files: int, among: int) -> float:
    """Return the weight of a word that occurs in `files` of `among` files."""
    return math.log1p((among - files + 0.5) / (files + 0.5))


def normalize(values: Mapping[int, float]) -> dict[int, float]:
    """Return the values divided by the greatest."""
    greatest = max(values.values(), default=0.0)
    return {key: value / greatest for key, value in values.items()} if greatest > 0 else {}


def chunk_shares(
    chunks: Sequence[Chunk], scores: Sequence[float], named: Sequence[float], best: float
) -> list[float]:
    """Return the probability that each chunk of a file is the relevant one; the sum is 1.

    `scores` and `named` are the scores of the chunks by their words and by their names. `best` is the
    highest score of any chunk in the repository.
    """
    best_in_file = max(max(scores, default=0.0), 1e-9)
    best_name = max(max(named, default=0.0), 1e-9)
    by_name: dict[str, float] = {}
    by_class: dict[str, float] = {}
    for chunk, value in zip(chunks, scores, strict=True):
        outer = chunk.name.rpartition(".")[0]
        by_name[chunk.name] = max(by_name.get(chunk.name, 0.0), value)
        by_class[outer] = max(by_class.get(outer, 0.0), value)
    by_name[""] = by_class[""] = 0.0
    shares = []
    padded = (0.0, *scores, 0.0)
    for number, (chunk, value) in enumerate(zip(chunks, scores, strict=True)):
        neighbour = max(padded[number], padded[number + 2])
        similarity = 0.73 * value + 0.55 * neighbour + 0.96 * by_name[chunk.name]
        similarity += 0.34 * by_class[chunk.name.rpartition(".")[0]]
        z = (
            similarity / best_in_file
            + 3.16 * value / best
            + 0.33 * named[number] / best_name
            + KINDS.get(chunk.kind, 0.0)
        )
        z += 0.7 * math.log(chunk.last - chunk.first + 2) - (0.19 if chunk.head else 0.0)
        shares.append(math.exp(z))
    shares[0] *= _FIRST if chunks[0].kind == "top" else 1.0
    shares[-1] *= _LAST
    total = sum(shares)
    return [value / total for value in shares]


_FIRST, _LAST = math.exp(0.44), math.exp(1.04)
