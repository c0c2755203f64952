"""What is compared of a line: keys from strict to loose, and whether lines are distinctive."""

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from functools import lru_cache

from prunejuice.edits.edit import Edit

LineKey = Callable[[str], str]
Opcodes = Sequence[tuple[str, int, int, int, int]]

_PUNCTUATION = str.maketrans("“”„‟«»‘’‚‛′‐‑‒–—―−\u00a0\u2007\u202f\u3000", '""""""\'\'\'\'\'-------    ')

MIN_SIGNIFICANT_CHARS = 12  # letters and digits that make lines distinctive
FEW_SIGNIFICANT_CHARS = 4


def exact_key(text: str) -> str:
    """Return the line itself."""
    return text


def punctuation_key(text: str) -> str:
    """Return the line without trailing space and typographic punctuation."""
    return _plain(text).rstrip()


def stripped_key(text: str) -> str:
    """Return the same without indentation."""
    return _plain(text).strip()


def spaceless_key(text: str) -> str:
    """Return the same without any white space."""
    return "".join(_plain(text).split())


def _plain(text: str) -> str:
    """Return the line with plain punctuation; ASCII, which nearly every line is, has no other."""
    return text if text.isascii() else text.translate(_PUNCTUATION)


@lru_cache(maxsize=8)
def keys_of_lines(texts: tuple[str, ...], key: LineKey) -> tuple[str, ...]:
    """Return the key of each line of a file, which several matchers and variants of an edit ask for."""
    return tuple(map(key, texts))


def edit_opcodes(edit: Edit, key: LineKey) -> Opcodes:
    """Return how `search` becomes `replace`, compared by a key, as `difflib` says it."""
    old, new = [key(line) for line in edit.search], [key(line) for line in edit.replace]
    return SequenceMatcher(None, old, new, autojunk=False).get_opcodes()


def is_significant(lines: Sequence[str], minimum: int = MIN_SIGNIFICANT_CHARS) -> bool:
    """Return whether lines have enough letters and digits to identify a place."""
    return sum(char.isalnum() for line in lines for char in line) >= minimum
