"""The strategy `static`: fixed weights, whole files, the smaller first among equals."""

from collections.abc import Mapping, Sequence

from prunejuice.context import Reason

WEIGHTS: Mapping[str, tuple[float, str]] = {
    "diff": (10.0, "given, or changed in the working tree"),
    "test": (2.0, "the test of a file that is shown"),
    "import": (1.5, "a file that is shown imports it"),
    "recent": (1.2, "changed lately"),
}


def ordered(facts: Mapping[int, Sequence[str]], sizes: Mapping[int, int]) -> list[tuple[int, float]]:
    """Files by the product of what is known of them, and the smaller first; with that product."""
    scored = {file: product(known) for file, known in facts.items()}
    return sorted(scored.items(), key=lambda pair: (-pair[1], sizes[pair[0]], pair[0]))


def product(known: Sequence[str]) -> float:
    """The weights of some facts, multiplied."""
    worth = 1.0
    for each in known:
        worth *= WEIGHTS[each][0]
    return worth


def reasons(known: Sequence[str]) -> tuple[Reason, ...]:
    """The same in words."""
    return tuple(Reason(each, WEIGHTS[each][0], WEIGHTS[each][1]) for each in known)
