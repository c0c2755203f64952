"""A format of edits with one line for each: `SET path: text` writes a file with that text."""

import re
from collections.abc import Sequence

from prunejuice.edits.edit import Edit

_SET = re.compile(r"SET (\S+): (.*)")


def has_edits(lines: Sequence[str]) -> bool:
    """Return whether a line is an edit."""
    return any(_SET.fullmatch(line) for line in lines)


def read(lines: Sequence[str]) -> list[Edit]:
    """Return the edits."""
    matches = ((number, _SET.fullmatch(line)) for number, line in enumerate(lines, 1))
    return [
        Edit("write", match[1], replace=(match[2],), answer_line=number, newline=True)
        for number, match in matches
        if match
    ]
