"""Which files and parts a task is about: sums of named signals, each between 0 and 1.

The weights were fitted to commits of five repositories and their messages, and checked on each with
those of the other four; docs/decisions/0014 has the figures. They are not delicate.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from prunejuice.part import Part


class Signals(NamedTuple):
    """What speaks for a file, in the order of an explanation."""

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
    "parts": "its definitions have words of the task",
    "text": "its text has words of the task",
    "names": "names that it defines have words of the task",
    "symbol": "defines a name of the task",
    "path": "its path has words of the task",
    "mention": "the task mentions it",
    "said": "commits about such things changed it",
    "beside": "is changed together with what was given",
    "near": "is changed together with what was found",
    "recent": "was changed lately",
    "linked": "is imported by what was found",
    "pair": "is the test of what was found, or what it tests",
    "folder": "lies beside what was given",
    "code": "is code",
}
WEIGHTS = Signals(
    parts=3.8, text=1.05, names=0.25, symbol=1.1, path=1.6, mention=2.3, said=2.4, beside=1.35, near=0.45,
    recent=0.15, linked=0.45, pair=0.25, folder=0.7, code=1.9,
)  # fmt: skip
IDLE = Signals(recent=6.0, path=2.0, code=2.0, folder=1.0, beside=2.0, linked=1.0, pair=1.0)
"""The weights without a task: what is worked on."""
BIAS = -10.2
KINDS: Mapping[str, float] = {"top": 1.25, "test": 0.37, "value": 0.2}
PRESENT = 0.3
"""The share of changes that are in no definition: naming the file is as good as naming the place."""


def score(signals: Signals, weights: Signals = WEIGHTS) -> float:
    """The sum of the signals by their weights."""
    return BIAS + sum(weight * signal for weight, signal in zip(weights, signals, strict=True))


def chances(ordered: Sequence[float]) -> list[float]:
    """How likely each file is to be one that matters, from scores in falling order.

    What a score means depends on those before it: a tenth file is less likely than a first of that score.
    """
    return [
        1 / (1 + math.exp(-(0.65 * score - 0.63 * math.log(rank) - 0.22 * ordered[0] + 0.61)))
        for rank, score in enumerate(ordered, 1)
    ]


def rarity(files: int, among: int) -> float:
    """What a word says that is in some files among all."""
    return math.log1p((among - files + 0.5) / (files + 0.5))


def normed(values: Mapping[int, float]) -> dict[int, float]:
    """Values as shares of the greatest."""
    most = max(values.values(), default=0.0)
    return {key: value / most for key, value in values.items()} if most > 0 else {}


def shares(
    parts: Sequence[Part], scores: Sequence[float], named: Sequence[float], best: float
) -> list[float]:
    """How likely each part of a file is the one that matters; together 1.

    `scores` and `named` are those of the parts by their words and by their names, `best` is the best
    score of any part in the repository.
    """
    mine = max(max(scores, default=0.0), 1e-9)
    names = max(max(named, default=0.0), 1e-9)
    of_name: dict[str, float] = {}
    of_class: dict[str, float] = {}
    for part, value in zip(parts, scores, strict=True):
        outer = part.name.rpartition(".")[0]
        of_name[part.name] = max(of_name.get(part.name, 0.0), value)
        of_class[outer] = max(of_class.get(outer, 0.0), value)
    of_name[""] = of_class[""] = 0.0
    made = []
    around = (0.0, *scores, 0.0)
    for number, (part, value) in enumerate(zip(parts, scores, strict=True)):
        near = max(around[number], around[number + 2])
        alike = 0.73 * value + 0.55 * near + 0.96 * of_name[part.name]
        alike += 0.34 * of_class[part.name.rpartition(".")[0]]
        z = alike / mine + 3.16 * value / best + 0.33 * named[number] / names + KINDS.get(part.kind, 0.0)
        z += 0.7 * math.log(part.last - part.first + 2) - (0.19 if part.head else 0.0)
        made.append(math.exp(z))
    made[0] *= _FIRST if parts[0].kind == "top" else 1.0
    made[-1] *= _LAST
    total = sum(made)
    return [value / total for value in made]


_FIRST, _LAST = math.exp(0.44), math.exp(1.04)
