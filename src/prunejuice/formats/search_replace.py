"""Blocks of lines to find and lines to put there, as several tools write them.

path/to/file.py
<<<<<<< SEARCH
the lines as they are
=======
the lines as they are to be
>>>>>>> REPLACE
"""

import re
from collections.abc import Sequence

from prunejuice import filename
from prunejuice.edit import Edit, UnreadableError

_FIRST = r"(?:SEARCH|ORIGINAL|HEAD|OLD|FIND|BEFORE)"
_LAST = r"(?:REPLACE|UPDATED|NEW|AFTER|REPLACEMENT)"
_OPENS = re.compile(
    rf"^ {{0,8}}(?:<{{5,}}[ \t]*(?:{_FIRST}\b)?|-{{5,}}[ \t]*{_FIRST}\b)[ \t]*:?(?P<rest>.*)$"
)
_DIVIDES = re.compile(r"^\s{0,8}(={5,})\s*$")
_CLOSES = re.compile(rf"^\s{{0,8}}(?:>{{5,}}\s*(?:{_LAST}\b.*)?|\+{{5,}}\s*{_LAST}\b.*)$")
_HINT = re.compile(r"^:(start|end)_line:\s*(\d+)\s*$")
_BACK = 4


def is_in(lines: Sequence[str]) -> bool:
    """Whether a text has such blocks."""
    return any(map(_OPENS.match, lines)) and any(map(_DIVIDES.match, lines))


def read(lines: Sequence[str]) -> list[Edit]:
    """The blocks of an answer; what is between them is prose.

    Raises:
        UnreadableError: a block is cut off, has two dividers, or names no file.
    """
    edits: list[Edit] = []
    at = 0
    while at < len(lines):
        opens = _OPENS.match(lines[at])
        if not opens:
            at += 1
            continue
        end = _end(lines, at)
        path = _path(lines, at, opens["rest"].strip().rstrip(">")) or (edits[-1].path if edits else "")
        if not path:
            raise UnreadableError(at + 1, "the block names no file", "write its path on the line before")
        edits.append(_block(lines, at, end, path))
        at = end + 1
    return edits


def _end(lines: Sequence[str], at: int) -> int:
    for place in range(at + 1, len(lines)):
        if _CLOSES.match(lines[place]):
            return place
        if _OPENS.match(lines[place]):
            why = "another block begins in it, or its lines look like one"
            raise UnreadableError(at + 1, f"the block is cut off: {why}", "write longer markers around it")
    raise UnreadableError(
        at + 1, "the block is cut off: it has no >>>>>>> REPLACE", "write it again, whole"
    )


def _block(lines: Sequence[str], at: int, end: int, path: str) -> Edit:
    size = len(lines[at].split()[0])
    found = [n for n in range(at + 1, end) if _DIVIDES.match(lines[n])]
    dividers = [n for n in found if len(lines[n].strip()) == size] or found
    if len(dividers) != 1:
        many = f"{len(dividers)} dividers" if dividers else "no divider ======="
        raise UnreadableError(
            at + 1, f"the block has {many}", "write longer markers around lines that look like one"
        )
    search, line = _hinted(lines[at + 1 : dividers[0]])
    return Edit("replace", path, tuple(search), tuple(lines[dividers[0] + 1 : end]), line=line, said=at + 1)


def _hinted(search: Sequence[str]) -> tuple[Sequence[str], int]:
    """The lines without the place that some models write before them."""
    line = 0
    while search and (hint := _HINT.match(search[0])):
        line = int(hint[2]) if hint[1] == "start" else line
        search = search[1:]
    return (search[1:] if line and search and re.fullmatch(r"-{5,}", search[0]) else search), line


def _path(lines: Sequence[str], at: int, rest: str) -> str:
    """The file of a block: behind its marker, in the fence around it, or on a line just before."""
    if rest and (path := filename.named(rest)):
        return path
    seen = 0
    for place in range(at - 1, -1, -1):
        if _CLOSES.match(lines[place]) or seen >= _BACK:
            return ""
        fence = filename.fence(lines[place])
        path = filename.of_fence(fence[1]) if fence else filename.named(lines[place])
        if path or (not seen and fence is None and (path := filename.word(lines[place]))):
            return path
        seen += bool(lines[place].strip()) and fence is None
    return ""
