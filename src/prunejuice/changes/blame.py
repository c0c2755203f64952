"""Find the change set that wrote a line of a file."""

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from prunejuice.changes import pending
from prunejuice.changes.change_set import open_version_reader, reasons_by_path
from prunejuice.changes.change_set_store import ChangeSetRecord, ChangeSetStore
from prunejuice.edits.diff import lines_from_bytes
from prunejuice.errors import NotFoundError
from prunejuice.text import safe_line


class BlameResult(NamedTuple):
    """The change set that wrote a line, and the number of the line (from 1) in that version."""

    record: ChangeSetRecord
    line: int

    def reason(self, path: str) -> str:
        """Return the reason given for changing the file, or an empty string."""
        return reasons_by_path(self.record.change_set).get(path, "")


def blame_line(store: ChangeSetStore, path: str, line: int) -> BlameResult | None:
    """Return the change set that wrote a line of a file, or None if no stored one did.

    Raises:
        NotFoundError: the file has no such line.
    """
    with open_version_reader(store.tree_state) as read_version:
        lines = lines_from_bytes(read_version(path).data)
        if read_version(path).data is None:
            raise NotFoundError(f"there is no file {safe_line(path, 120)}", "name a file of the tree")
    if not 1 <= line <= len(lines):
        raise NotFoundError(
            f"{safe_line(path, 120)} has no line {line}", f"choose one of its {len(lines)} lines"
        )
    applied = sorted(store.load_in_state("applied"), key=lambda record: record.last_action, reverse=True)
    for record in applied:
        difference = next(
            (
                file_diff
                for file_diff in pending.applied_diffs(store, record)
                if (file_diff.to or file_diff.path) == path
            ),
            None,
        )
        if difference is None:
            continue
        old_lines, new_lines = lines_from_bytes(difference.old.data), lines_from_bytes(difference.new.data)
        new_line = trace_line(lines, new_lines, line)
        if new_line is None:
            return None  # the line was edited later, outside any change set
        old_line = trace_line(new_lines, old_lines, new_line)
        if old_line is None:
            return BlameResult(record, new_line)
        lines, line, path = old_lines, old_line, difference.path
    return None


def trace_line(newer: Sequence[str], older: Sequence[str], line: int) -> int | None:
    """Return the number of a line in an older version, or None if the line is not in it."""
    for newer_start, older_start, size in SequenceMatcher(
        None, newer, older, autojunk=False
    ).get_matching_blocks():
        if newer_start <= line - 1 < newer_start + size:
            return older_start + line - newer_start
    return None
