"""`codebot.place`: the edits of an answer, placed in files that the caller passes."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from prunejuice.changes.parsed_answer import place_answer
from prunejuice.edits import formats
from prunejuice.edits.diff import FileDiff, Version
from prunejuice.edits.edit import RejectionCause
from prunejuice.errors import DeniedError
from prunejuice.text import safe_line


class MisplacedEdit(NamedTuple):
    """An edit without a place.

    `line` is its line in the answer, `lines` are lines of the file that come close; both count from 1.
    """

    path: str
    line: int
    cause: RejectionCause
    message: str
    fix: str
    lines: tuple[int, ...]


class PlaceResult(NamedTuple):
    """The files after an answer, or every edit that has no place.

    `files` holds all files by path: those that were passed, without deleted ones, with new ones. A file
    keeps its type; a new one is `str` if it is UTF-8. A single rejected edit leaves all files as passed.
    """

    files: dict[str, str | bytes]
    rejected: tuple[MisplacedEdit, ...]
    format: str


def place(
    answer: str,
    files: Mapping[str, str | bytes],
    *,
    format: str | None = None,  # noqa: A002 - its public name
) -> PlaceResult:
    """Place the edits of an answer in files, and return the files after it. Nothing is read or written.

    `format` is one of `search-replace`, `whole-file`, `apply-patch`, `unified-diff`,
    `tool-call` and `json`; without it
    the format is detected.

    Raises:
        ConflictError: no edits could be read, or a change was made for other contents of a file.
        DeniedError: the answer names a path that no change may name.
        UsageError: the format is unknown, or the JSON does not match the schema.
    """
    form = formats.require_known(format) if format and format != "json" else None

    def read_version(path: str) -> Version:
        content = files.get(path)
        if content is None and any(name.startswith(f"{path}/") for name in files):
            raise DeniedError(f"{safe_line(path, 120)!r} is a folder", "name a file")
        return Version(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)

    placed = place_answer(answer, read_version, form, as_json=True if format == "json" else None)
    rejected = tuple(
        MisplacedEdit(
            outcome.edit.path,
            outcome.edit.answer_line,
            error.cause,
            error.message,
            error.fix,
            tuple(error.lines),
        )
        for outcome in placed.outcomes
        if (error := outcome.rejection) is not None
    )
    after = dict(files) if rejected else _files_after(files, placed.differences)
    return PlaceResult(after, rejected, placed.format)


def _files_after(
    files: Mapping[str, str | bytes], differences: Iterable[FileDiff]
) -> dict[str, str | bytes]:
    after = dict(files)
    for difference in differences:
        before = after.pop(difference.path, "")
        if difference.new.data is not None:
            content = difference.new.data
            after[difference.to or difference.path] = (
                _to_text(content) if isinstance(before, str) else content
            )
    return after


def _to_text(content: bytes) -> str | bytes:
    """Return the content as text; a new file that is not UTF-8 stays bytes."""
    try:
        return content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return content
