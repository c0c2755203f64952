"""Search terms of code and prose: words split, lower-cased and stemmed so that both match each other."""

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

_WORD = re.compile(r"[^\W\d]\w*")
_PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+|\d+")
_MAX_IDENTIFIER_CHARS = 64
_ENGLISH_AND_CODE = (
    "a an and are as at be been but by can could did do does for from had has have how i if in into is "
    "it its just like may me more my no nor not of on or our out over own s same should so some such t "
    "than that the their them then there these they this those to too under until up us very was we "
    "were what when where which while who why will with would you your also any all each other only "
    "both once here now via per self cls def return import none null nil true false else elif try "
    "except finally raise pass break const let var function async await new class static public private "
    "protected void int str bool string continue type err ctx func package struct interface export "
    "default case switch throw catch extends implements"
)
_STOP_WORDS = frozenset(_ENGLISH_AND_CODE.split())
"""Words too common in prose or code to be search terms."""


def stem(word: str) -> str:
    """Return a lower-case word without its English ending.

    The result is rough but consistent: code and queries are stemmed alike.
    """
    if len(word) < 4 or not word.isascii():
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    for ending, min_length in (("ing", 6), ("ed", 5), ("es", 5), ("s", 4), ("ly", 6)):
        if word.endswith(ending) and len(word) >= min_length and not word.endswith("ss"):
            return _undouble(word[: -len(ending)])
    return _undouble(word)


def _undouble(word: str) -> str:
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiousl":
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word[-1] == "e" else word


@lru_cache(maxsize=1 << 17)
def identifier_terms(name: str) -> tuple[str, ...]:
    """Return the terms of an identifier: its parts, and the whole if it has several parts."""
    pieces = [piece.lower() for piece in _PIECE.findall(name[:_MAX_IDENTIFIER_CHARS])]
    stems = [stem(piece) for piece in pieces if len(piece) > 1 and piece not in _STOP_WORDS]
    if len(pieces) > 1:
        stems.append("".join(pieces))
    return tuple(stems)


def terms(text: str) -> dict[str, int]:
    """Return the number of occurrences of each term in a text."""
    counts: dict[str, int] = {}
    for word, count in Counter(_WORD.findall(text)).items():
        for term in identifier_terms(word):
            counts[term] = counts.get(term, 0) + count
    return counts


def distinct_terms(text: str) -> frozenset[str]:
    """Return the terms of a text."""
    return frozenset(term for word in _WORD.findall(text) for term in identifier_terms(word))


def identifiers(text: str) -> Iterable[str]:
    """Yield the words that look like identifiers: with an underscore, an inner capital, or a call."""
    for match in _WORD.finditer(text):
        word = match.group()
        called = text[match.end() : match.end() + 1] == "("
        if called or "_" in word.strip("_") or (not word.isupper() and word[1:] != word[1:].lower()):
            yield word
