"""Files and diffs in code fences whose path stands only in a sentence, or in the first line of the fence.

They are read only when an answer has no edits in any other form, and only if one file is named.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from prunejuice.edits.edit import Edit
from prunejuice.edits.formats import unified_diff
from prunejuice.edits.formats.whole_file import PROSE_LANGUAGES
from prunejuice.edits.losses import find_removed_names
from prunejuice.edits.name_in_prose import is_certain_name, list_names, parse_fence

_DIFF_LANGUAGES = {"diff", "patch", "udiff"}
_HEADER = re.compile(r"^(?:--- |\+\+\+ |diff --git |\*\*\* )", re.MULTILINE)
_WHOLE_FILE = re.compile(
    r"\b(?:new|updated|full|complete|whole|entire|final|revised|rewritten|modified|corrected|fixed|create|creates"
    r"|save|write|put|contents?|replace)\b",
    re.IGNORECASE,
)
"""A word of a sentence that introduces a whole file."""
_SAVE = re.compile(r"\b(?:save|put|store|write|place|goes|is|belongs)\b", re.IGNORECASE)
_LABEL = re.compile(r"^\s*(?:#|//|--|;|/\*|<!--)\s*(\S+?)\s*(?:\*/|-->)?\s*$")
_MAX_LINES_AWAY = 3


class _Fence(NamedTuple):
    """A closed fence: its language and lines, its line in the answer (from 0), and the lines around it."""

    language: str
    lines: tuple[str, ...]
    start: int
    before: str
    after: str


def read_diffs(lines: Sequence[str]) -> list[Edit]:
    """Return the edits of `diff` fences without a header, of the file that the sentence before names."""
    edits: list[Edit] = []
    for fence in _list_fences(lines):
        if fence.language not in _DIFF_LANGUAGES or _HEADER.search("\n".join(fence.lines)):
            continue
        names = list_names(fence.before)
        if len(names) == 1:
            edits += unified_diff.read_hunks(fence.lines, names[0], fence.start + 1)
    return edits


def read_files(lines: Sequence[str]) -> list[Edit]:
    """Return the whole files of fences; without a file of that name, a name that may be a title is none."""
    no_files = PROSE_LANGUAGES | _DIFF_LANGUAGES
    fences = [fence for fence in _list_fences(lines) if fence.language not in no_files]
    inside = {fence.start + offset for fence in fences for offset in range(len(fence.lines) + 2)}
    removes = find_removed_names([line for number, line in enumerate(lines) if number not in inside])
    edits = [edit for fence in fences if (edit := _read_file(fence))]
    paths = [edit.path for edit in edits]
    if len(set(paths)) < len(paths):
        return []  # parts of a file
    return [replace(edit, removes=removes) for edit in edits]


def _read_file(fence: _Fence) -> Edit | None:
    before = list_names(fence.before) if _WHOLE_FILE.search(fence.before) else []
    after = list_names(fence.after) if _SAVE.search(fence.after) and not before else []
    label = _LABEL.match(fence.lines[0]) if fence.lines else None
    labels = list_names(label[1]) if label else []
    names = dict.fromkeys([*before, *after, *labels])
    if len(names) != 1:
        return None
    [name] = names
    sentence = fence.before if before else fence.after
    return Edit(
        "write",
        name,
        replace=fence.lines,
        answer_line=fence.start + 1,
        guess=not is_certain_name(name, sentence),
        label=fence.lines[0].strip() if labels else "",
    )


def _list_fences(lines: Sequence[str]) -> Iterator[_Fence]:
    at = 0
    while at < len(lines):
        opening = parse_fence(lines[at])
        if opening is None:
            at += 1
            continue
        mark, info = opening
        end = next((n for n in range(at + 1, len(lines)) if _closes(lines[n], mark)), len(lines))
        if end == len(lines):
            return
        yield _Fence(
            info.split(" ")[0].lower(),
            tuple(lines[at + 1 : end]),
            at,
            _nearest_line(lines[max(0, at - _MAX_LINES_AWAY) : at][::-1]),
            _nearest_line(lines[end + 1 : end + 1 + _MAX_LINES_AWAY]),
        )
        at = end + 1


def _closes(line: str, mark: str) -> bool:
    fence = parse_fence(line)
    return fence is not None and not fence[1] and fence[0].startswith(mark)


def _nearest_line(lines: Sequence[str]) -> str:
    line = next((line for line in lines if line.strip()), "")
    return "" if parse_fence(line) else line
