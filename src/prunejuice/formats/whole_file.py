"""Whole files in fences, the path on a line before or behind the mark of the fence."""

from collections.abc import Sequence

from prunejuice import filename
from prunejuice.edit import Edit, UnreadableError


def is_in(lines: Sequence[str]) -> bool:
    """Whether a text has a fence that names a file."""
    return any(filename.fence(line) and _path(lines, at) for at, line in enumerate(lines))


def read(lines: Sequence[str]) -> list[Edit]:
    """The files of an answer; fences that name none are prose.

    Raises:
        UnreadableError: a fence is not closed.
    """
    edits = []
    at = 0
    while at < len(lines):
        fence = filename.fence(lines[at])
        if fence is None:
            at += 1
            continue
        end = _end(lines, at, fence[0])
        if path := _path(lines, at):
            edits.append(Edit("write", path, replace=tuple(lines[at + 1 : end]), said=at + 1))
        at = end + 1
    return edits


def _path(lines: Sequence[str], at: int) -> str:
    fence = filename.fence(lines[at])
    if fence and (path := filename.of_fence(fence[1])):
        return path
    before = next((line for line in reversed(lines[max(0, at - 2) : at]) if line.strip()), "")
    return "" if filename.fence(before) else filename.named(before)


def _end(lines: Sequence[str], at: int, mark: str) -> int:
    """The line that closes a fence; fences inside open with a language and close too."""
    depth = 1
    for place in range(at + 1, len(lines)):
        inner = filename.fence(lines[place])
        if inner is None or inner[0][0] != mark[0] or len(inner[0]) < len(mark):
            continue
        depth += 1 if inner[1] else -1
        if depth == 0:
            return place
    raise UnreadableError(
        at + 1, "the fence is not closed: the file may be cut off", "write it again, whole"
    )
