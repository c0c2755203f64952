"""Read an answer of a model, JSON or text with edits, as files before and after."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from prunejuice.changes.change_set import (
    ChangeSet,
    apply_to_overlay,
    changes_from_diffs,
    open_version_reader,
    parse_change_set,
)
from prunejuice.changes.tree_state import TreeState
from prunejuice.edits import formats, match, proposal
from prunejuice.edits.diff import FileDiff, Version
from prunejuice.edits.edit import Edit
from prunejuice.edits.lines import decode_text
from prunejuice.edits.overlay import Overlay
from prunejuice.edits.proposal import EditOutcome

_MAX_SEARCHED_CHARS = 16_000_000  # characters that are searched for a fence


class PlacedAnswer(NamedTuple):
    """The changes of an answer, and the outcome of each of its edits; JSON has no edits."""

    change_set: ChangeSet
    differences: tuple[FileDiff, ...]
    format: str
    outcomes: tuple[EditOutcome, ...] = ()

    @property
    def rejected_edits(self) -> list[EditOutcome]:
        """The edits without a place; a single one invalidates the whole answer."""
        return [outcome for outcome in self.outcomes if outcome.rejection]


def read_answer(
    text: str, tree_state: TreeState, format_name: str | None = None, *, as_json: bool | None = None
) -> PlacedAnswer:
    """Return the changes of an answer to the files of a tree as they are now.

    Raises:
        ConflictError: files are not what the changes were made for, or no edits could be read.
        DeniedError: a path may not be written.
        UsageError: the JSON does not match the schema.
    """
    with open_version_reader(tree_state) as read_version:
        return place_answer(text, read_version, format_name, as_json=as_json)


def place_answer(
    text: str,
    read_version: Callable[[str], Version],
    format_name: str | None = None,
    *,
    as_json: bool | None = None,
) -> PlacedAnswer:
    """Return the changes of an answer to files that `read_version` returns; nothing is written.

    Raises:
        ConflictError: files are not what the changes were made for, or no edits could be read.
        DeniedError: a path may not be written.
        UsageError: the JSON does not match the schema.
    """
    overlay = Overlay(read_version)
    if as_json or (as_json is None and format_name is None and _extract_json(text)):
        change_set = parse_change_set(_extract_json(text) or text)
        apply_to_overlay(change_set.file_changes, overlay)
        return PlacedAnswer(change_set, tuple(map(_keep_line_endings, overlay.diffs())), "json")
    format_used, edits = formats.read(text, format_name)
    proposed = proposal.apply_edits(edits, overlay)
    differences = tuple(overlay.diffs())
    return PlacedAnswer(
        ChangeSet(changes_from_diffs(differences)), differences, format_used, proposed.outcomes
    )


def edit_outcomes_data(answer: PlacedAnswer) -> list[dict[str, Any]]:
    """Return the outcome of each edit of an answer as plain data."""
    return [_edit_outcome_data(outcome) for outcome in answer.outcomes]


def _edit_outcome_data(outcome: EditOutcome) -> dict[str, Any]:
    edit: dict[str, Any] = {"path": outcome.edit.path, "said": outcome.edit.answer_line}
    if error := outcome.rejection:
        rejection = {"cause": error.cause, "message": error.message, "fix": error.fix}
        return {**edit, **rejection, "lines": list(error.lines)}
    placement = outcome.placement
    place = (
        {"tier": placement.strategy, "line": placement.line, "count": placement.count} if placement else {}
    )
    return {**edit, **place}


def _extract_json(text: str) -> str:
    """Return the answer if it is JSON, or else its one fenced JSON change set; empty if it has none."""
    if text.lstrip()[:1] == "{":
        return text
    fenced = re.findall(
        r"^```json[ \t]*\n(\{.*?)^```[ \t]*$", text[:_MAX_SEARCHED_CHARS], re.DOTALL | re.MULTILINE
    )
    return fenced[0] if len(fenced) == 1 and '"file_changes"' in fenced[0] else ""


def _keep_line_endings(difference: FileDiff) -> FileDiff:
    """Return a file written whole, with CRLF line endings restored if it had no others before.

    Raises:
        RejectedError: a line of the new content stands for omitted lines.
    """
    old = None if difference.old.data is None else decode_text(difference.old.data)
    new = None if difference.new.data is None else decode_text(difference.new.data)
    if new is None or difference.new.data == difference.old.data:
        return difference
    match.refuse_omission(old, Edit("write", difference.path, replace=tuple(new.texts)))
    ends = {line.end for line in old.lines if line.end} if old else set()
    if ends == {"\r\n"} and all(line.end != "\r\n" for line in new.lines):
        lines = tuple(line._replace(end=line.end and "\r\n") for line in new.lines)
        return difference._replace(new=difference.new._replace(data=new._replace(lines=lines).to_bytes()))
    return difference
