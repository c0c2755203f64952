"""The search-replace format: blocks of lines to find and their replacements, as several tools write them.

path/to/file.py
<<<<<<< SEARCH
the current lines
=======
the new lines
>>>>>>> REPLACE
"""

import re
from collections.abc import Sequence

from msgspec.structs import replace

from prunejuice.edits.edit import Edit, UnreadableAnswerError
from prunejuice.edits.name_in_prose import (
    find_bare_name,
    find_name,
    find_name_in_fence_info,
    is_certain_name,
    parse_fence,
)

_FIRST = r"(?:SEARCH|ORIGINAL|HEAD|OLD|FIND|BEFORE)"
_LAST = r"(?:REPLACE|UPDATED|NEW|AFTER|REPLACEMENT)"
_OPENS = re.compile(
    rf"^ {{0,8}}(?:<{{5,}}[ \t]*(?:{_FIRST}\b)?|-{{5,}}[ \t]*{_FIRST}\b)[ \t]*:?(?P<rest>.*)$"
)
_DIVIDES = re.compile(r"^\s{0,8}(={5,})\s*$")
_CLOSES = re.compile(rf"^\s{{0,8}}(?:>{{5,}}\s*(?:{_LAST}\b.*)?|\+{{5,}}\s*{_LAST}\b.*)$")
_HINT = re.compile(r"^:(start|end)_line:\s*(\d+)\s*$")
_MAX_LINES_BACK = 4
_UNDERLINED_HEADINGS = (".md", ".mdx", ".markdown", ".rst", ".txt")
"""Ends of the names of files whose headings may be underlined with `=======`."""


def has_edits(lines: Sequence[str]) -> bool:
    """Return whether an answer has search-replace blocks."""
    return any(map(_OPENS.match, lines)) and any(map(_DIVIDES.match, lines))


def begins_with_block(lines: Sequence[str]) -> bool:
    """Return whether lines begin with a block, perhaps after its path: a fence around them is no file."""
    first = [line for line in lines if line.strip()][:2]
    is_named = len(first) > 1 and bool(find_name(first[0]) or find_bare_name(first[0]))
    return bool(first and _OPENS.match(first[0])) or (is_named and bool(_OPENS.match(first[1])))


def read(lines: Sequence[str]) -> list[Edit]:
    """Parse the blocks of an answer; text between them is ignored.

    Raises:
        UnreadableAnswerError: A block is truncated or names no file.
    """
    edits: list[Edit] = []
    at = 0
    while at < len(lines):
        opens = _OPENS.match(lines[at])
        if not opens:
            at += 1
            continue
        end = _find_block_end(lines, at)
        before = edits[-1].path if edits else ""
        path, guess = _find_path(lines, at, opens["rest"].strip().rstrip(">"))
        path, guess = (path, guess) if path else (before, False)
        if not path:
            raise UnreadableAnswerError(
                at + 1, "the block names no file", "write the path on the line before the block"
            )
        edit = _read_block(lines, at, end, path)
        edits.append(replace(edit, guess=True, otherwise=before) if guess else edit)
        at = end + 1
    return edits


def _find_block_end(lines: Sequence[str], at: int) -> int:
    for number in range(at + 1, len(lines)):
        if _CLOSES.match(lines[number]):
            return number
        if _OPENS.match(lines[number]):
            reason = "another block starts inside it, or its lines look like a marker"
            raise UnreadableAnswerError(
                at + 1, f"the block is cut off: {reason}", "use longer markers around the block"
            )
    raise UnreadableAnswerError(
        at + 1, "the block is cut off: it has no >>>>>>> REPLACE", "write the whole block again"
    )


def _read_block(lines: Sequence[str], at: int, end: int, path: str) -> Edit:
    size = len(lines[at].split()[0])
    candidates = [n for n in range(at + 1, end) if _DIVIDES.match(lines[n])]
    # A divider of another length than the opening marker belongs to the lines.
    dividers = [n for n in candidates if len(lines[n].strip()) == size] or candidates
    has_search = bool(dividers) and any(map(str.strip, lines[at + 1 : dividers[0]]))
    if not dividers or (len(dividers) > 1 and not has_search):
        problem = f"{len(dividers)} dividers" if dividers else "no divider ======="
        raise UnreadableAnswerError(
            at + 1, f"the block has {problem}", "use longer markers around lines that look like a divider"
        )
    if len(dividers) == 2 and dividers[1] == end - 1 and not path.endswith(_UNDERLINED_HEADINGS):
        end = dividers.pop()  # a second divider before the end of the block says nothing
    search, line = _split_line_hint(lines[at + 1 : dividers[0]])
    edit = Edit(
        "replace", path, tuple(search), tuple(lines[dividers[0] + 1 : end]), line=line, answer_line=at + 1
    )
    if len(dividers) == 1:
        return edit
    readings = tuple((tuple(lines[at + 1 : n]), tuple(lines[n + 1 : end])) for n in dividers)
    return replace(edit, readings=readings)


def _split_line_hint(search: Sequence[str]) -> tuple[Sequence[str], int]:
    """Split off the `:start_line:` hint that some models write before the lines."""
    line = 0
    while search and (hint := _HINT.match(search[0])):
        line = int(hint[2]) if hint[1] == "start" else line
        search = search[1:]
    return (search[1:] if line and search and re.fullmatch(r"-{5,}", search[0]) else search), line


def _find_path(lines: Sequence[str], at: int, label: str) -> tuple[str, bool]:
    """Return the path of a block, and whether it is a guess.

    It is after the marker, in the fence around the block, or on a line just before.
    """
    if label and (path := find_name(label)):
        return path, False
    text_lines = 0
    for number in range(at - 1, -1, -1):
        if _CLOSES.match(lines[number]) or text_lines >= _MAX_LINES_BACK:
            return "", False
        fence = parse_fence(lines[number])
        path = find_name_in_fence_info(fence[1]) if fence else find_name(lines[number])
        if path:
            return path, not fence and not is_certain_name(path, lines[number])
        if not text_lines and fence is None and (path := find_bare_name(lines[number])):
            return path, not is_certain_name(path)
        text_lines += bool(lines[number].strip()) and fence is None
    return "", False
