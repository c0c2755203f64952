"""Whole files in fences, the path on a line before or behind the mark of the fence."""

from collections.abc import Sequence
from typing import NamedTuple

from prunejuice import filename
from prunejuice.edit import Edit, UnreadableError

_PROSE = {"bash", "sh", "shell", "console", "zsh", "terminal", "output", "text", "diff", "patch"}
_SCRIPTS = (".sh", ".bash", ".zsh", ".txt", ".text", ".log", ".diff", ".patch", ".md")
_FENCED = (".md", ".mdx", ".markdown", ".rst")


class Span(NamedTuple):
    """A fence that is a file: its first and its last line."""

    path: str
    start: int
    end: int


def read(lines: Sequence[str]) -> list[Edit]:
    """The files of an answer; fences that name none are prose.

    Raises:
        UnreadableError: a fence is not closed, could end in two places, or a file is there twice.
    """
    found = spans(lines, strict=True)
    edits = [Edit("write", path, replace=tuple(lines[a + 1 : b]), said=a + 1) for path, a, b in found]
    known: dict[str, Edit] = {}
    for edit in edits:
        first = known.setdefault(edit.path, edit)
        if first.replace != edit.replace:
            raise UnreadableError(
                edit.said, f"{edit.path} is there twice, with other lines", "write it once"
            )
    return list(known.values())


def spans(lines: Sequence[str], *, strict: bool = False) -> list[Span]:
    """The fences of a text that are files, not those inside others; `strict` refuses what is unclear."""
    found = []
    at = 0
    while at < len(lines):
        fence = filename.fence(lines[at])
        if fence is None:
            at += 1
            continue
        path = _path(lines, at)
        end = _end(lines, at, fence[0])
        if path and strict:
            _refuse_unclear(lines, Span(path, at, end), fence[0])
        if path:
            found.append(Span(path, at, min(end, len(lines) - 1)))
        at = end + 1
    return found


def _path(lines: Sequence[str], at: int) -> str:
    """The file of a fence: behind its mark, or all that the line before it says."""
    _, info = filename.fence(lines[at]) or ("", "")
    language = info.split(" ")[0].lower()
    path = filename.of_fence(info)
    if not path:
        before = next((line for line in reversed(lines[max(0, at - 2) : at]) if line.strip()), "")
        path = "" if filename.fence(before) else filename.named(before, sentences=False)
    return "" if language in _PROSE and not path.endswith(_SCRIPTS) else path


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
    return len(lines)


def _refuse_unclear(lines: Sequence[str], span: Span, mark: str) -> None:
    path, at, end = span
    if end == len(lines):
        raise UnreadableError(
            at + 1, "the fence is not closed: the file may be cut off", "write it again, whole"
        )
    bare = 0
    for line in lines[end + 1 :]:
        inner = filename.fence(line)
        if inner and inner[1]:
            break
        bare += inner is not None and len(inner[0]) >= len(mark)
    if bare % 2 or (bare and path.endswith(_FENCED)):
        fix = "put four backticks around a file that has fences in it"
        raise UnreadableError(at + 1, "the fence could end in two places", fix)
