"""The formats a model may write edits in; each reads leniently what is certain, and refuses the rest."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

from msgspec.structs import replace

from prunejuice.edit import Edit, UnreadableError
from prunejuice.formats import apply_patch, search_replace, unified_diff, whole_file

Format = Literal["search-replace", "whole-file", "apply-patch", "unified-diff"]
FORMATS: tuple[str, ...] = get_args(Format)
LARGEST = 16_000_000
MOST = 10_000

_READERS: Mapping[str, Callable[[Sequence[str]], list[Edit]]] = {
    "search-replace": search_replace.read,
    "whole-file": whole_file.read,
    "apply-patch": apply_patch.read,
    "unified-diff": unified_diff.read,
}
_SIGNS: tuple[tuple[Format, Callable[[Sequence[str]], bool]], ...] = (
    ("apply-patch", apply_patch.is_in),
    ("search-replace", search_replace.is_in),
    ("unified-diff", unified_diff.is_in),
)


def read(answer: str, named: Format | None = None) -> tuple[Format, list[Edit]]:
    """The edits of an answer, and the format they are in: the named one, or the one it has the signs of.

    Raises:
        UnreadableError: it has no edits, or one that is cut off or could be read in two ways.
    """
    if len(answer) > LARGEST:
        raise UnreadableError(
            0, f"the answer has more than {LARGEST // 1_000_000} MB", "ask for less at once"
        )
    lines = [line.removesuffix("\r") for line in answer.split("\n")]
    form, edits = (named, _READERS[named](lines)) if named else _found(lines)
    if form is None or not edits:
        what = f"no edits in the format {named}" if named else "no edits in any format that is known"
        raise UnreadableError(0, f"the answer has {what}", f"the formats are: {', '.join(FORMATS)}")
    if len(edits) > MOST:
        raise UnreadableError(0, f"the answer has more than {MOST} edits", "ask for less at once")
    return form, [_plain(edit) for edit in edits]


def _found(lines: Sequence[str]) -> tuple[Format | None, list[Edit]]:
    """The edits of an answer in the format it has the signs of, and the whole files beside them."""
    files = [
        span for span in whole_file.spans(lines) if not search_replace.is_in(lines[span.start : span.end])
    ]
    rest = list(lines)
    for span in files:
        rest[span.start : span.end + 1] = [""] * (span.end + 1 - span.start)
    form = next((form for form, is_in in _SIGNS if is_in(rest)), None)
    if form is None:
        return ("whole-file", whole_file.read(lines)) if files else (None, [])
    inside = {number for span in files for number in range(span.start, span.end + 1)}
    whole = [edit for edit in whole_file.read(lines) if edit.said - 1 in inside] if files else []
    return form, _READERS[form](rest) + whole


def _plain(edit: Edit) -> Edit:
    """The edit with names as a tree has them, without `./` before them."""
    return replace(edit, path=edit.path.removeprefix("./"), to=edit.to.removeprefix("./"))
