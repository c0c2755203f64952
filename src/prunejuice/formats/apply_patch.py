"""The `apply_patch` format (V4A): sections for files, chunks of ` `, `-` and `+` lines, no line numbers.

*** Begin Patch
*** Update File: path/to/file.py
@@ class Name
 a line that stays
-a line that goes
+a line that comes
*** End Patch
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from prunejuice.edit import Edit, UnreadableError

_SECTION = re.compile(r"^\*\*\* (Update|Add|Delete) File:\s*(\S.*)$")
_MOVE = re.compile(r"^\*\*\* Move to:\s*(\S.*)$")
_LAST = re.compile(r"^\*\*\* End of File\s*$")
_EDGE = re.compile(r"^\*\*\* (?:Begin|End) Patch\s*$")


def is_in(lines: Sequence[str]) -> bool:
    """Whether a text has a section of such a patch."""
    return any(map(_SECTION.match, lines))


def read(lines: Sequence[str]) -> list[Edit]:
    """The edits of a patch; what is before and behind it is prose.

    Raises:
        UnreadableError: a line of a chunk has no sign before it, or the patch does not end.
    """
    starts = [at for at, line in enumerate(lines) if _SECTION.match(line)]
    if any("*** Begin Patch" in line for line in lines) and not any(
        "*** End Patch" in line for line in lines
    ):
        raise UnreadableError(
            len(lines), "the patch is cut off: it has no *** End Patch", "write it again, whole"
        )
    edits: list[Edit] = []
    for start, end in pairwise([*starts, len(lines)]):
        edge = next((at for at in range(start, end) if _EDGE.match(lines[at])), end)
        edits += _section(lines, start, edge)
    return edits


def _section(lines: Sequence[str], start: int, end: int) -> Iterator[Edit]:
    match = _SECTION.match(lines[start])
    verb, path = (match[1], match[2].rstrip()) if match else ("", "")
    if verb == "Delete":
        yield Edit("delete", path, said=start + 1)
    elif verb == "Add":
        added = tuple(_added(lines, start + 1, end))
        yield Edit("write", path, replace=added, said=start + 1, create=True)
    else:
        yield from _chunks(lines, start + 1, end, path)


def _added(lines: Sequence[str], start: int, end: int) -> Iterator[str]:
    for at in range(start, end):
        if lines[at].startswith("+"):
            yield lines[at][1:]
        elif lines[at].strip() and not (_is_fence(lines[at]) and not any(map(_is_signed, lines[at:end]))):
            raise UnreadableError(
                at + 1, "a line of a new file has no + before it", "write it again, whole"
            )


def _is_signed(line: str) -> bool:
    return line.startswith(("+", "-"))


def _is_fence(line: str) -> bool:
    return line.strip().startswith("```")


def _chunks(lines: Sequence[str], start: int, end: int, path: str) -> Iterator[Edit]:
    anchors: list[str] = []
    body: list[str] = []
    begun = start
    moved: Edit | None = None
    for at in range(start, end):
        line = lines[at]
        if move := _MOVE.match(line):
            moved = Edit("rename", path, to=move[1].rstrip(), said=at + 1)
        elif line.startswith("@@") or _LAST.match(line):
            yield from _chunk(path, body, anchors, begun, last=bool(_LAST.match(line)))
            anchors = ([] if body else anchors) + ([line[2:].strip(" @")] if line[2:].strip(" @") else [])
            body, begun = [], at + 1
        elif line[:1] in {" ", "+", "-"} or not line:
            body.append(line or " ")
        elif not _is_fence(line):
            raise UnreadableError(
                at + 1, "a line of a chunk has no sign before it", "begin it with ' ', '-' or '+'"
            )
    yield from _chunk(path, body, anchors, begun)
    if moved is not None:  # the chunks name the file as it was called
        yield moved


def _chunk(
    path: str, body: list[str], anchors: list[str], said: int, *, last: bool = False
) -> Iterator[Edit]:
    while body and not body[-1].strip():
        body.pop()
    if not body:
        return
    search = tuple(line[1:] for line in body if line[0] != "+")
    replace = tuple(line[1:] for line in body if line[0] != "-")
    yield Edit("replace", path, search, replace, line=-1 if last else 0, anchors=tuple(anchors), said=said)
