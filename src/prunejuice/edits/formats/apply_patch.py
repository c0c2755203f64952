"""The `apply_patch` format (V4A): a section per file, chunks of ` `, `-` and `+` lines, no line numbers.

*** Begin Patch
*** Update File: path/to/file.py
@@ class Name
 an unchanged line
-a removed line
+an added line
*** End Patch
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from prunejuice.edits.edit import Edit, UnreadableAnswerError

_SECTION = re.compile(r"^\*\*\* (Update|Add|Delete) File:\s*(\S.*)$")
_MOVE = re.compile(r"^\*\*\* Move to:\s*(\S.*)$")
_LAST = re.compile(r"^\*\*\* End of File\s*$")
_EDGE = re.compile(r"^ ?\*\*\* (?:Begin|End) Patch\s*$")


def has_edits(lines: Sequence[str]) -> bool:
    """Return whether an answer has a section of a patch."""
    return any(map(_SECTION.match, lines))


def read(lines: Sequence[str]) -> list[Edit]:
    """Parse the edits of a patch; text around the patch is ignored.

    Raises:
        UnreadableAnswerError: A line of a chunk has no prefix, or the patch is truncated.
    """
    starts = [at for at, line in enumerate(lines) if _SECTION.match(line)]
    if any("*** Begin Patch" in line for line in lines) and not any(
        "*** End Patch" in line for line in lines
    ):
        raise UnreadableAnswerError(
            len(lines), "the patch is cut off: it has no *** End Patch", "write the whole patch again"
        )
    edits: list[Edit] = []
    for start, end in pairwise([*starts, len(lines)]):
        edge = next((at for at in range(start, end) if _EDGE.match(lines[at])), end)
        edits += _read_section(lines, start, edge)
    return edits


def _read_section(lines: Sequence[str], start: int, end: int) -> Iterator[Edit]:
    match = _SECTION.match(lines[start])
    verb, path = (match[1], match[2].rstrip()) if match else ("", "")
    if verb == "Delete":
        yield Edit("delete", path, answer_line=start + 1)
    elif verb == "Add":
        added = tuple(_read_added_lines(lines, start + 1, end))
        yield Edit("write", path, replace=added, answer_line=start + 1, create=True)
    else:
        yield from _read_chunks(lines, start + 1, end, path)


def _read_added_lines(lines: Sequence[str], start: int, end: int) -> Iterator[str]:
    for at in range(start, end):
        if lines[at].startswith("+"):
            yield lines[at][1:]
        elif lines[at].strip() and not (_is_fence(lines[at]) and not any(map(_is_signed, lines[at:end]))):
            raise UnreadableAnswerError(
                at + 1, "a line of the new file has no + prefix", "write the whole file again"
            )


def _is_signed(line: str) -> bool:
    return line.startswith(("+", "-"))


def _is_fence(line: str) -> bool:
    return line.strip().startswith("```")


def _read_chunks(lines: Sequence[str], start: int, end: int, path: str) -> Iterator[Edit]:
    anchors: list[str] = []
    body: list[str] = []
    body_start = start
    rename: Edit | None = None
    for at in range(start, end):
        line = lines[at]
        if match := _MOVE.match(line):
            rename = Edit("rename", path, to=match[1].rstrip(), answer_line=at + 1)
        elif line.startswith("@@") or _LAST.match(line):
            yield from _read_chunk(path, body, anchors, body_start, last=bool(_LAST.match(line)))
            anchors = ([] if body else anchors) + ([line[2:].strip(" @")] if line[2:].strip(" @") else [])
            body, body_start = [], at + 1
        elif line[:1] in {" ", "+", "-"} or not line:
            body.append(line or " ")
        elif not _is_fence(line):
            raise UnreadableAnswerError(
                at + 1, "a line of the chunk has no prefix", "start the line with ' ', '-' or '+'"
            )
    yield from _read_chunk(path, body, anchors, body_start)
    if rename is not None:  # last, because the chunks use the old path
        yield rename


def _read_chunk(
    path: str, body: list[str], anchors: list[str], answer_line: int, *, last: bool = False
) -> Iterator[Edit]:
    while body and not body[-1].strip():
        body.pop()
    if not body:
        return
    search = tuple(line[1:] for line in body if line[0] != "+")
    replace = tuple(line[1:] for line in body if line[0] != "-")
    yield Edit(
        "replace",
        path,
        search,
        replace,
        line=-1 if last else 0,
        anchors=tuple(anchors),
        answer_line=answer_line,
    )
