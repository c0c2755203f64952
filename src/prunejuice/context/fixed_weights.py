"""The strategy `static`: fixed weights, whole files, smaller files first among equals."""

from collections.abc import Mapping, Sequence

from prunejuice.context.bundle import Reason

WEIGHTS: Mapping[str, tuple[float, str]] = {
    "diff": (10.0, "named, or changed in the working tree"),
    "test": (2.0, "the test of a file that is shown"),
    "import": (1.5, "imported by a file that is shown"),
    "recent": (1.2, "changed recently"),
}


def rank_files(facts: Mapping[int, Sequence[str]], sizes: Mapping[int, int]) -> list[tuple[int, float]]:
    """Return the files with the product of their weights, the highest first, then the smaller."""
    scored = {file: weight_product(names) for file, names in facts.items()}
    return sorted(scored.items(), key=lambda pair: (-pair[1], sizes[pair[0]], pair[0]))


def weight_product(facts: Sequence[str]) -> float:
    """Return the product of the weights of some facts."""
    product = 1.0
    for fact in facts:
        product *= WEIGHTS[fact][0]
    return product


def to_reasons(facts: Sequence[str]) -> tuple[Reason, ...]:
    """Return the facts as reasons."""
    return tuple(Reason(fact, WEIGHTS[fact][0], WEIGHTS[fact][1]) for fact in facts)
