"""Which change set a line of a file comes from."""

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from prunejuice import change, hunk, pending
from prunejuice.errors import NotFoundError
from prunejuice.shelf import Record, Shelf
from prunejuice.text import safe_line


class Blamed(NamedTuple):
    """The change set that wrote a line, and the line (from 1) that it was there."""

    record: Record
    line: int

    def reason(self, path: str) -> str:
        """Why the file was changed, as far as it was said."""
        return change.reasons(self.record.change_set).get(path, "")


def blame(shelf: Shelf, path: str, line: int) -> Blamed | None:
    """The change set that a line of a file comes from; nothing when none of those that are kept wrote it.

    Raises:
        NotFoundError: the file has no such line.
    """
    with change.seeing(shelf.house) as see:
        now = hunk.lines_of(see(path).data)
    if not 1 <= line <= len(now):
        raise NotFoundError(
            f"there is no line {line} in {safe_line(path, 120)}", f"it has {len(now)} lines"
        )
    applied = sorted(shelf.of_state("applied"), key=lambda each: each.history[-1].at, reverse=True)
    for record in applied:
        made = next(
            (each for each in pending.effect(shelf, record) if (each.to or each.path) == path), None
        )
        if made is None:
            continue
        old, new = hunk.lines_of(made.old.data), hunk.lines_of(made.new.data)
        there = _followed(now, new, line)
        if there is None:
            return None  # changed by somebody since
        before = _followed(new, old, there)
        if before is None:
            return Blamed(record, there)
        now, line, path = old, before, made.path
    return None


def _followed(now: Sequence[str], then: Sequence[str], line: int) -> int | None:
    """Where a line was in an older version; nothing when it was not there."""
    for start, other, size in SequenceMatcher(None, now, then, autojunk=False).get_matching_blocks():
        if start <= line - 1 < start + size:
            return other + line - start
    return None
