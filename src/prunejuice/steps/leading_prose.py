"""The prose of an answer that precedes its edits."""

import re
from itertools import takewhile

from prunejuice.verbs.agent_in_copy import NO_CHANGES

_EDIT_START = re.compile(r"<<<<<<<|```|~~~|\*\*\* (?:Begin|Update|Add|Delete)|diff --git |--- \S|@@ ")
"""The first lines of an edit, in any format."""
_FILE_NAME_LINE = re.compile(r"[\s#*`>-]*[\w./-]+\.\w+[`*:\s]*")
"""A line that only names a file."""


def leading_prose(text: str) -> str:
    """Return the text of an answer before its first edit; empty for JSON."""
    if text.lstrip().startswith("{"):
        return ""
    rows = text.removeprefix(NO_CHANGES).lstrip().splitlines()
    prose = list(takewhile(lambda row: not _EDIT_START.match(row), rows))
    while prose and (not prose[-1].strip() or _FILE_NAME_LINE.fullmatch(prose[-1])):
        prose.pop()
    return "\n".join(prose).strip()[:2000]
