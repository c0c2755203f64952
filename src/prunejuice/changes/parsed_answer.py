"""Read an answer of a model, JSON or text with edits, as files before and after."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from prunejuice.agents.thinking import strip_thinking
from prunejuice.changes.bare_names import caller_folder, find_namesakes, place_bare_names
from prunejuice.changes.change_set import (
    ChangeSet,
    apply_to_overlay,
    changes_from_diffs,
    open_version_reader,
    parse_change_set,
)
from prunejuice.changes.tree_state import TreeState
from prunejuice.edits import formats, proposal
from prunejuice.edits.diff import FileDiff, Version
from prunejuice.edits.edit import Edit
from prunejuice.edits.formats import tool_call, whole_file
from prunejuice.edits.lines import decode_text
from prunejuice.edits.losses import find_removed_names
from prunejuice.edits.overlay import Overlay
from prunejuice.edits.proposal import EditOutcome

_JSON_FENCE = re.compile(r"^```json[ \t]*\n(\{.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)
PLACEMENTS = "placements"
"""The key of the metadata of a change set that has a line for each edit that was placed loosely."""
_PLACEMENT_NOTES = {
    "punctuation": "placed although quotes or dashes differ from the file",
    "indentation": "placed although the indentation differs from the file",
    "unwrapped": "placed after line numbers, fences or escapes were removed",
    "masked": "placed at lines with values that were not shown, which stay as they are",
    "elided": "placed with the lines of the file in place of `...`",
    "drift": "placed although some unchanged lines differ from the file",
    "already applied": "was in the file already",
}
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
    text: str,
    tree_state: TreeState,
    format_name: str | None = None,
    *,
    as_json: bool | None = None,
    directory: Path | None = None,
) -> PlacedAnswer:
    """Return the changes of an answer to the files of a tree as they are now.

    Names without a folder are those of `directory`, by default the root of the tree.

    Raises:
        ConflictError: files are not what the changes were made for, or no edits could be read.
        DeniedError: a path may not be written.
        UsageError: the JSON does not match the schema.
    """
    with open_version_reader(tree_state) as read_version:
        overlay = Overlay(read_version, lambda name: find_namesakes(tree_state, name))
        folder = caller_folder(tree_state, directory)
        return _place_in_overlay(
            text,
            overlay,
            format_name,
            as_json=as_json,
            locate=lambda edits: place_bare_names(edits, folder, read_version),
        )


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
    return _place_in_overlay(text, Overlay(read_version), format_name, as_json=as_json)


def _place_in_overlay(
    text: str,
    overlay: Overlay,
    format_name: str | None,
    *,
    as_json: bool | None,
    locate: Callable[[Sequence[Edit]], Sequence[Edit]] = lambda edits: edits,
) -> PlacedAnswer:
    text = strip_thinking(text)
    if as_json or (as_json is None and format_name is None and _extract_json(text)):
        change_set = parse_change_set(_extract_json(text) or text)
        apply_to_overlay(change_set.file_changes, overlay)
        complete = frozenset(change.filepath for change in change_set.file_changes if change.base)
        removes = find_removed_names(change_set.summary.splitlines())
        changed = overlay.diffs()
        for difference in changed:
            if difference.path not in complete:
                _refuse_partial_file(difference, removes)
        return PlacedAnswer(change_set, tuple(map(_keep_line_endings, changed)), "json")
    format_used, edits = formats.read(text, format_name)
    proposed = proposal.apply_edits(locate(edits), overlay)
    if not proposed.outcomes:
        raise formats.no_edits_error(format_name)
    differences = tuple(overlay.diffs())
    notes = list(filter(None, map(_placement_note, proposed.outcomes)))
    metadata = {PLACEMENTS: notes} if notes else {}
    return PlacedAnswer(
        ChangeSet(changes_from_diffs(differences), metadata=metadata),
        differences,
        format_used,
        proposed.outcomes,
    )


def _placement_note(outcome: EditOutcome) -> str:
    """Return a line about an edit that is not exactly what the file has; empty for any other."""
    placement = outcome.placement
    how = _PLACEMENT_NOTES.get(placement.strategy, "") if placement else ""
    return f"{outcome.edit.path}:{placement.line}: {how}" if placement and how else ""


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
        return "" if '"file_changes"' not in text and tool_call.has_edits([text]) else text
    fenced = list(_JSON_FENCE.finditer(text[:_MAX_SEARCHED_CHARS]))
    if len(fenced) != 1 or '"file_changes"' not in fenced[0][1]:
        return ""
    line = text.count("\n", 0, fenced[0].start())
    files = whole_file.find_fenced_files(text.split("\n"))
    # Inside a file that is written whole, it is an example.
    return "" if any(span.start < line <= span.end for span in files) else fenced[0][1]


def _refuse_partial_file(difference: FileDiff, removes: frozenset[str]) -> None:
    """Refuse a file written whole that leaves lines out; a change with a base was made from the whole file.

    Raises:
        EditRejectedError: lines of the new content stand for others, or most of the file is lost.
    """
    new = None if difference.new.data is None else decode_text(difference.new.data)
    if new is not None and difference.new.data != difference.old.data:
        old = None if difference.old.data is None else decode_text(difference.old.data)
        whole = Edit("write", difference.path, replace=tuple(new.texts), removes=removes)
        proposal.refuse_partial_file(old, whole)


def _keep_line_endings(difference: FileDiff) -> FileDiff:
    """Return a file written whole, with CRLF line endings restored if it had no others before."""
    old = None if difference.old.data is None else decode_text(difference.old.data)
    new = None if difference.new.data is None else decode_text(difference.new.data)
    if new is None or difference.new.data == difference.old.data:
        return difference
    ends = {line.end for line in old.lines if line.end} if old else set()
    if ends == {"\r\n"} and all(line.end != "\r\n" for line in new.lines):
        lines = tuple(line._replace(end=line.end and "\r\n") for line in new.lines)
        return difference._replace(new=difference.new._replace(data=new._replace(lines=lines).to_bytes()))
    return difference
