"""The formats in which a model may write edits.

Each reader is lenient where the meaning is certain, and rejects anything ambiguous.
"""

from collections.abc import Sequence
from typing import Protocol

from msgspec.structs import replace

from prunejuice.edits.edit import Edit, UnreadableAnswerError
from prunejuice.edits.formats import described_fences, search_replace, tool_call, unified_diff, whole_file
from prunejuice.errors import UsageError
from prunejuice.system.extensions import ExtensionPoint
from prunejuice.text import safe_line, spelling_hint

EXTENSIONS = ExtensionPoint(
    "prunejuice.formats",
    {
        "apply-patch": "prunejuice.edits.formats.apply_patch",
        "search-replace": "prunejuice.edits.formats.search_replace",
        "unified-diff": "prunejuice.edits.formats.unified_diff",
        "tool-call": "prunejuice.edits.formats.tool_call",
        "whole-file": "prunejuice.edits.formats.whole_file",
    },
)
"""Formats by name, in the order in which an answer is tested for them.

Each is a module or object with the functions of `EditFormat`.
"""
LARGEST = 16_000_000
MAX_EDITS = 10_000


class EditFormat(Protocol):
    """A format of edits; `lines` are those of an answer without line endings."""

    def has_edits(self, lines: Sequence[str]) -> bool:
        """Return whether the answer has a sign of this format."""
        ...

    def read(self, lines: Sequence[str]) -> list[Edit]:
        """Parse the edits of the answer.

        Raises:
            UnreadableAnswerError: An edit is truncated or ambiguous.
        """
        ...


def require_known(name: str) -> str:
    """Return the name of a format unchanged.

    Raises:
        UsageError: No format has this name.
    """
    if name not in EXTENSIONS:
        names = EXTENSIONS.names()
        fix = spelling_hint(name, names) or f"use one of {', '.join(names)}"
        raise UsageError(f"unknown format {safe_line(name, 60)!r}", fix)
    return name


def read(answer: str, named: str | None = None) -> tuple[str, list[Edit]]:
    """Parse the edits of an answer; return the format and the edits.

    The format is `named`, or detected from the answer.

    Raises:
        UnreadableAnswerError: The answer has no edits, or one that is truncated or ambiguous.
    """
    if len(answer) > LARGEST:
        raise UnreadableAnswerError(
            0, f"the answer is larger than {LARGEST // 1_000_000} MB", "ask for fewer changes at once"
        )
    lines = [line.removesuffix("\r") for line in answer.split("\n")]
    format_name, edits = (named, _load(named).read(lines)) if named else _read_detected(lines)
    if format_name is None or not edits:
        raise no_edits_error(named)
    if len(edits) > MAX_EDITS:
        raise UnreadableAnswerError(
            0, f"the answer has more than {MAX_EDITS} edits", "ask for fewer changes at once"
        )
    return format_name, [_normalize_paths(edit) for edit in edits]


def no_edits_error(named: str | None) -> UnreadableAnswerError:
    """Return the error for an answer without edits, in the format `named` or in any."""
    problem = f"no edits in the format {named}" if named else "no edits in a known format"
    fix = f"use one of the formats: {', '.join(EXTENSIONS.names())}"
    return UnreadableAnswerError(0, f"the answer has {problem}", fix)


def _read_detected(lines: Sequence[str]) -> tuple[str | None, list[Edit]]:
    """Detect the format and return its edits, together with the whole files in the same answer."""
    spans = [
        span
        for span in whole_file.find_fenced_files(lines)
        if not search_replace.begins_with_block(lines[span.start + 1 : span.end])
    ]
    # Blank the fenced files, so that a diff or patch inside one is not taken for an edit.
    rest = list(lines)
    for span in spans:
        rest[span.start : span.end + 1] = [""] * (span.end + 1 - span.start)
    # Taken one by one: the formats of other packages are looked up only if none of ours fits.
    names = (extension.name for extension in EXTENSIONS.list_all() if extension.name != "whole-file")
    in_tags = "tool-call" if tool_call.has_tags(rest) else None
    detected = in_tags or next((name for name in names if _load(name).has_edits(rest)), None)
    if detected is None and spans:
        return "whole-file", whole_file.read(lines)
    described = detected is None or (detected == "unified-diff" and not unified_diff.has_file_header(rest))
    if described and (read_words := _read_described(lines))[1]:
        return read_words
    if detected is None:
        return None, []
    fenced_lines = {number for span in spans for number in range(span.start, span.end + 1)}
    whole_files = (
        [edit for edit in whole_file.read(lines) if edit.answer_line - 1 in fenced_lines] if spans else []
    )
    return detected, _load(detected).read(rest) + whole_files


def _read_described(lines: Sequence[str]) -> tuple[str | None, list[Edit]]:
    """Return the edits of fences whose file only a sentence around them names."""
    for name, reader in (
        ("unified-diff", described_fences.read_diffs),
        ("whole-file", described_fences.read_files),
    ):
        if edits := reader(lines):
            return name, edits
    return None, []


def _load(name: str) -> EditFormat:
    loaded: EditFormat = EXTENSIONS.load(name)
    return loaded


def _normalize_paths(edit: Edit) -> Edit:
    """Return the edit with paths that have slashes, and no leading `./`.

    Without a file of that name, the first letter of `a/` and `b/` is the prefix of a diff.
    """
    path, to = (name.replace("\\", "/").removeprefix("./") for name in (edit.path, edit.to))
    if edit.operation == "replace" and not edit.guess and path.startswith(("a/", "b/")):
        return replace(edit, path=path, to=to, guess=True, otherwise=path[2:])
    return replace(edit, path=path, to=to)
