"""What is compared of a line: keys from strict to loose, and whether lines are distinctive."""

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher

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
    return text.translate(_PUNCTUATION).rstrip()


def stripped_key(text: str) -> str:
    """Return the same without indentation."""
    return text.translate(_PUNCTUATION).strip()


def spaceless_key(text: str) -> str:
    """Return the same without any white space."""
    return "".join(text.translate(_PUNCTUATION).split())


def edit_opcodes(edit: Edit, key: LineKey) -> Opcodes:
    """Return how `search` becomes `replace`, compared by a key, as `difflib` says it."""
    old, new = [key(line) for line in edit.search], [key(line) for line in edit.replace]
    return SequenceMatcher(None, old, new, autojunk=False).get_opcodes()


def is_significant(lines: Sequence[str], minimum: int = MIN_SIGNIFICANT_CHARS) -> bool:
    """Return whether lines have enough letters and digits to identify a place."""
    return sum(char.isalnum() for line in lines for char in line) >= minimum
