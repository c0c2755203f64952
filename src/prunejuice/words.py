"""The words of code and prose, split, lowered and cut to their stems, so that both find each other."""

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

_WORD = re.compile(r"[^\W\d]\w*")
_PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+|\d+")
_LONGEST = 64
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
_STOP = frozenset(_ENGLISH_AND_CODE.split())
"""Words that say nothing in a task, and are everywhere in code."""


def stem(word: str) -> str:
    """A lowered word without its English ending; rough, and the same on both sides."""
    if len(word) < 4 or not word.isascii():
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    for ending, least in (("ing", 6), ("ed", 5), ("es", 5), ("s", 4), ("ly", 6)):
        if word.endswith(ending) and len(word) >= least and not word.endswith("ss"):
            return _undoubled(word[: -len(ending)])
    return _undoubled(word)


def _undoubled(word: str) -> str:
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiousl":
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word[-1] == "e" else word


@lru_cache(maxsize=1 << 17)
def terms_of(name: str) -> tuple[str, ...]:
    """The terms of one identifier: its pieces, and the whole when it has several."""
    pieces = [piece.lower() for piece in _PIECE.findall(name[:_LONGEST])]
    found = [stem(piece) for piece in pieces if len(piece) > 1 and piece not in _STOP]
    if len(pieces) > 1:
        found.append("".join(pieces))
    return tuple(found)


def terms(text: str) -> dict[str, int]:
    """How often each term occurs."""
    found: dict[str, int] = {}
    for word, count in Counter(_WORD.findall(text)).items():
        for term in terms_of(word):
            found[term] = found.get(term, 0) + count
    return found


def names(text: str) -> Iterable[str]:
    """The words of a text that look like identifiers: with an underscore, an inner capital, or a call."""
    for match in _WORD.finditer(text):
        word = match.group()
        called = text[match.end() : match.end() + 1] == "("
        if called or "_" in word.strip("_") or (not word.isupper() and word[1:] != word[1:].lower()):
            yield word
