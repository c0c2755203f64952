"""The whole-file format: complete files in code fences, named before the fence or in its info string."""

from collections.abc import Sequence
from typing import NamedTuple

from prunejuice.edits import name_in_prose
from prunejuice.edits.edit import Edit, UnreadableAnswerError
from prunejuice.edits.formats import unified_diff
from prunejuice.edits.losses import find_removed_names

PROSE_LANGUAGES = {"bash", "sh", "shell", "console", "zsh", "terminal", "output", "text", "diff", "patch"}
_PROSE_SUFFIXES = (".sh", ".bash", ".zsh", ".txt", ".text", ".log", ".diff", ".patch", ".md")
_MARKUP_SUFFIXES = (".md", ".mdx", ".markdown", ".rst")


class FencedFile(NamedTuple):
    """A code fence that contains a file, with its first and last line (from 0).

    The path is a `guess` if the name may be a title, and no word says that the file is new.
    """

    path: str
    start: int
    end: int
    guess: bool = False


def read(lines: Sequence[str]) -> list[Edit]:
    """Parse the files of an answer; fences that name no file, or stand in a hunk, are ignored.

    Raises:
        UnreadableAnswerError: A fence is not closed or could end in two places, or the answer has two
            different versions of a file.
    """
    files = find_fenced_files(lines, strict=True)
    fenced = {number for file in files for number in range(file.start, file.end + 1)}
    removes = find_removed_names([line for number, line in enumerate(lines) if number not in fenced])
    edits = [
        Edit(
            "write",
            file.path,
            replace=tuple(lines[file.start + 1 : file.end]),
            answer_line=file.start + 1,
            guess=file.guess,
            removes=removes,
        )
        for file in files
    ]
    edits_by_path: dict[str, Edit] = {}
    for edit in edits:
        first = edits_by_path.setdefault(edit.path.removeprefix("./"), edit)
        if first.replace != edit.replace:
            raise UnreadableAnswerError(
                edit.answer_line, f"{edit.path} appears twice with different lines", "write the file once"
            )
    return list(edits_by_path.values())


def has_edits(lines: Sequence[str]) -> bool:
    """Return whether the answer has a whole file in a fence."""
    return bool(find_fenced_files(lines))


def find_fenced_files(lines: Sequence[str], *, strict: bool = False) -> list[FencedFile]:
    """Return the outermost fences that name a file; `strict` rejects unclosed and ambiguous ones.

    The lines of hunks are no fences: a diff of a document has those of the document.
    """
    files = []
    at = 0
    hunks = unified_diff.find_hunk_lines(lines)
    while at < len(lines):
        fence = None if at in hunks else name_in_prose.parse_fence(lines[at])
        if fence is None:
            at += 1
            continue
        path, guess = _find_path(lines, at)
        end = _find_fence_end(lines, at, fence[0])
        if path and strict:
            _require_unambiguous(lines, FencedFile(path, at, end), fence[0])
        if path:
            files.append(FencedFile(path, at, min(end, len(lines) - 1), guess))
        at = end + 1
    return files


def _find_path(lines: Sequence[str], at: int) -> tuple[str, bool]:
    """Return the path of a fence, and whether it is a guess.

    The path is in the info string, or on a line before that is only a path. A fence with some lines of a
    file has none.
    """
    _, info = name_in_prose.parse_fence(lines[at]) or ("", "")
    if name_in_prose.is_excerpt(info):
        return "", False
    language = info.split(" ")[0].lower()
    path = name_in_prose.find_name_in_fence_info(info)
    guess = False
    if not path:
        before = next((line for line in reversed(lines[max(0, at - 2) : at]) if line.strip()), "")
        path = "" if name_in_prose.parse_fence(before) else name_in_prose.find_name(before, sentences=False)
        path = "" if name_in_prose.is_excerpt(path) else path
        guess = not name_in_prose.is_certain_name(path, before)
    if language in PROSE_LANGUAGES and not path.endswith(_PROSE_SUFFIXES):
        return "", False
    return path, guess


def _find_fence_end(lines: Sequence[str], at: int, mark: str) -> int:
    """Return the line that closes a fence; inner fences open with a language and nest."""
    depth = 1
    for number in range(at + 1, len(lines)):
        inner = name_in_prose.parse_fence(lines[number])
        if inner is None or inner[0][0] != mark[0] or len(inner[0]) < len(mark):
            continue
        depth += 1 if inner[1] else -1
        if depth == 0:
            return number
    return len(lines)


def _require_unambiguous(lines: Sequence[str], span: FencedFile, mark: str) -> None:
    path, at, end = span.path, span.start, span.end
    if end == len(lines):
        raise UnreadableAnswerError(
            at + 1, "the fence is not closed: the file may be cut off", "write the whole file again"
        )
    closing_fences = 0
    for line in lines[end + 1 :]:
        inner = name_in_prose.parse_fence(line)
        if inner and inner[1]:
            break
        closing_fences += inner is not None and len(inner[0]) >= len(mark)
    if closing_fences % 2 or (closing_fences and path.endswith(_MARKUP_SUFFIXES)):
        fix = "use four backticks around a file that contains fences"
        raise UnreadableAnswerError(at + 1, "the fence could end in two places", fix)
