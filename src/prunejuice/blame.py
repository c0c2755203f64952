"""Which change set a line of a file comes from."""

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from prunejuice import change, hunk, pending
from prunejuice.errors import NotFoundError
from prunejuice.pending import Record, Shelf
from prunejuice.text import safe_line
from prunejuice.workspaces import rooted, transaction
from prunejuice.workspaces.rooted import ABSENT


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
    with rooted.opened(shelf.house.root, shelf.house.closed | {shelf.house.state}) as tree:
        seen = tree.see(tree.checked(path))
    now = hunk.lines_of(seen.data)
    if seen.state == ABSENT or not 1 <= line <= len(now):
        raise NotFoundError(
            f"there is no line {line} in {safe_line(path, 120)}", f"it has {len(now)} lines"
        )
    for record, old, new in _versions(shelf, path):
        there = _followed(now, hunk.lines_of(new), line)
        if there is None:
            return None  # changed by somebody since
        before = _followed(hunk.lines_of(new), hunk.lines_of(old), there)
        if before is None:
            return Blamed(record, there)
        now, line = hunk.lines_of(old), before
    return None


def _versions(shelf: Shelf, path: str) -> list[tuple[Record, bytes | None, bytes]]:
    """The applied change sets of a file, newest first, with what it was before and after."""
    found = []
    applied = sorted(shelf.of_state("applied"), key=lambda each: each.history[-1].at, reverse=True)
    for record in applied:
        plan = transaction.done(shelf.house, record.plan)
        number = next((n for n, each in enumerate(plan.targets) if each.path == path), -1) if plan else -1
        if plan and number >= 0 and plan.targets[number].post != ABSENT:
            old = transaction.kept(shelf.house, plan, number)
            found.append((record, old, _made_of(record, path, old)))
    return found


def _made_of(record: Record, path: str, old: bytes | None) -> bytes:
    changes: Mapping[str, change.FileChange] = {
        each.to or each.filepath: each
        for each in record.change_set.file_changes
        if each.operation != "delete"
    }
    made = changes.get(path)
    if made is None or made.operation != "write":
        return old or b""
    first = record.old(path)
    return (
        made.data
        if old is None or first in {None, old}
        else pending.remade(path, first or b"", made.data, old)
    )


def _followed(now: Sequence[str], then: Sequence[str], line: int) -> int | None:
    """Where a line was in an older version; nothing when it was not there."""
    for start, other, size in SequenceMatcher(None, now, then, autojunk=False).get_matching_blocks():
        if start <= line - 1 < start + size:
            return other + line - start
    return None
