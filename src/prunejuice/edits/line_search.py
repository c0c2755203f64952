"""Search for runs of lines in a file: where they stand, and which lines come closest."""

import re
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from itertools import islice

from prunejuice.edits.edit import Edit

Texts = Sequence[str]


_MAX_COMPARISONS = 200_000  # of lines; above it the search switches to a linear algorithm


_FIRST_SYMBOL = 0xE000  # above the surrogates, which a searchable string cannot contain


_MAX_SEARCHED_LINES = 200  # when looking for the nearest lines to report


_MAX_COMPARED_CHARS = 2000  # of a line; comparing characters takes quadratic time


def find_runs(keys: Texts, run: Texts) -> list[int]:
    """Return the indices in `keys` where `run` begins."""
    size = len(run)
    if not size or keys.count(run[0]) * size > _MAX_COMPARISONS:
        return _find_runs_as_text(keys, run)
    starts, start = [], -1
    with suppress(ValueError):
        while True:
            start = keys.index(run[0], start + 1)
            if list(keys[start : start + size]) == list(run):
                starts.append(start)
    return starts


def _find_runs_as_text(keys: Texts, run: Texts) -> list[int]:
    """Return the same indices as `_find_runs`, in linear time for files with many equal lines."""
    symbols: dict[str, int] = {}
    encoded = [chr(_FIRST_SYMBOL + symbols.setdefault(key, len(symbols))) for key in (*keys, *run)]
    haystack, needle = "".join(encoded[: len(keys)]), "".join(encoded[len(keys) :])
    starts, start = [], haystack.find(needle) if needle else -1
    while start >= 0:
        starts.append(start)
        start = haystack.find(needle, start + 1)
    return starts


def nearest_lines(texts: Texts, edit: Edit) -> list[int]:
    """Return the line numbers (from 1) that look most like the beginning of the edit."""
    votes: dict[int, int] = {}
    keys = [text.strip() for text in texts]
    for offset, line in enumerate(edit.search[:_MAX_SEARCHED_LINES]):
        key = line.strip()
        if key and 0 < keys.count(key) <= 20:
            for at in (n for n, text in enumerate(keys) if text == key):
                votes[at - offset] = votes.get(at - offset, 0) + 1
    if votes:
        return [max(1, max(votes, key=lambda at: votes[at]) + 1)]
    first_line = next((line.strip() for line in edit.search if line.strip()), "")[:200]
    words = set(re.findall(r"\w{3,}", first_line))
    candidates = (key[:200] for key in keys if any(word in key for word in words))
    closest = get_close_matches(first_line, list(islice(candidates, _MAX_SEARCHED_LINES)), n=1, cutoff=0.6)
    return [next(n for n, key in enumerate(keys, 1) if key[:200] == closest[0])] if closest else []
