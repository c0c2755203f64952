"""An answer, JSON or text with edits in it, as files before and after."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from prunejuice import change, content, formats, ladder, proposal
from prunejuice.change import ChangeSet
from prunejuice.edit import Edit
from prunejuice.formats import Format
from prunejuice.hunk import Difference
from prunejuice.overlay import Overlay
from prunejuice.proposal import Outcome, Proposal
from prunejuice.workspaces.house import House

_LOOKED_AT = 16_000_000


class Taken(NamedTuple):
    """What an answer would change, and what became of its edits; JSON has no edits."""

    change_set: ChangeSet
    differences: tuple[Difference, ...]
    format: str
    outcomes: tuple[Outcome, ...] = ()

    @property
    def rejected(self) -> list[Outcome]:
        """The edits that have no place; with one of them nothing of the answer counts."""
        return [each for each in self.outcomes if each.rejected]


def take(text: str, house: House, named: Format | None = None, *, as_json: bool | None = None) -> Taken:
    """What an answer says of the files of a tree as they are now.

    Raises:
        ConflictError: files are not what the changes were made for, or no edits can be read.
        DeniedError: a path may not be written.
        UsageError: the JSON is not as the schema says.
    """
    if as_json or (as_json is None and named is None and _json_of(text)):
        found = change.read(_json_of(text) or text)
        return Taken(found, tuple(_as_files_are(each) for each in change.resolve(found, house)), "json")
    form, edits = formats.read(text, named)
    proposed, differences = _proposed(edits, house)
    made = ChangeSet(change.of_differences(differences))
    return Taken(made, tuple(differences), form, proposed.outcomes)


def placed(taken: Taken) -> list[dict[str, Any]]:
    """What became of each edit of an answer, as plain data."""
    return [_placed(each) for each in taken.outcomes]


def _placed(each: Outcome) -> dict[str, Any]:
    about: dict[str, Any] = {"path": each.edit.path, "said": each.edit.said}
    if error := each.rejected:
        more = {"cause": error.cause, "message": error.message, "fix": error.fix}
        return {**about, **more, "lines": list(error.lines)}
    found = each.placed
    return {**about, **({"tier": found.tier, "line": found.line, "count": found.count} if found else {})}


def _json_of(text: str) -> str:
    """The JSON that an answer is, or the one that it has in a fence; empty when it is none."""
    if text.lstrip()[:1] == "{":
        return text
    fenced = re.findall(r"^```json[ \t]*\n(\{.*?)^```[ \t]*$", text[:_LOOKED_AT], re.DOTALL | re.MULTILINE)
    return fenced[0] if len(fenced) == 1 and '"file_changes"' in fenced[0] else ""


def _proposed(edits: Sequence[Edit], house: House) -> tuple[Proposal, list[Difference]]:
    with change.seeing(house) as see:
        overlay = Overlay(see)
        proposed = proposal.propose(edits, overlay)
        return proposed, overlay.differences()


def _as_files_are(each: Difference) -> Difference:
    """A file that was written whole, with the line ends that it had throughout.

    Raises:
        RejectedError: it has lines that stand for others.
    """
    old = None if each.old.data is None else content.read(each.old.data)
    new = None if each.new.data is None else content.read(each.new.data)
    if new is None or each.new.data == each.old.data:
        return each
    ladder.refuse_omission(old, Edit("write", each.path, replace=tuple(new.texts)))
    ends = {line.end for line in old.lines if line.end} if old else set()
    if ends == {"\r\n"} and all(line.end != "\r\n" for line in new.lines):
        lines = tuple(line._replace(end=line.end and "\r\n") for line in new.lines)
        return each._replace(new=each.new._replace(data=new._replace(lines=lines).data()))
    return each
