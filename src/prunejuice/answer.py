"""An answer, JSON or text with edits in it, as files before and after."""

from collections.abc import Sequence
from typing import NamedTuple

from prunejuice import change, formats, pathname, proposal
from prunejuice.change import ChangeSet
from prunejuice.edit import Edit
from prunejuice.errors import ConflictError
from prunejuice.formats import Format
from prunejuice.hunk import Difference, Version
from prunejuice.proposal import File, Outcome, Proposal
from prunejuice.text import safe_line
from prunejuice.workspaces import rooted
from prunejuice.workspaces.house import House
from prunejuice.workspaces.rooted import ABSENT, Rooted


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
    if as_json or (as_json is None and named is None and text.lstrip()[:1] == "{"):
        found = change.read(text)
        return Taken(found, tuple(change.resolve(found, house)), "json")
    form, edits = formats.read(text, named)
    proposed, differences = _proposed(edits, house)
    made = ChangeSet(change.of_differences(differences))
    return Taken(made, tuple(differences), form, proposed.outcomes)


def _proposed(edits: Sequence[Edit], house: House) -> tuple[Proposal, list[Difference]]:
    with rooted.opened(house.root, house.closed | {house.state}) as tree:
        for each in edits:
            for name in filter(None, (each.path, each.to if each.operation == "rename" else "")):
                pathname.checked(name)
        proposed = proposal.propose(edits, lambda path: _read(tree, path))
        return proposed, [_difference(tree, each) for each in proposed.files]


def _read(tree: Rooted, path: str) -> bytes | None:
    seen = tree.see(tree.checked(path))
    return None if seen.state == ABSENT else seen.data


def _difference(tree: Rooted, file: File) -> Difference:
    state = tree.see(file.path, content=False).state
    old = Version(file.old, state.mode, state.kind == "link") if file.old is not None else Version(None)
    if file.to and tree.see(tree.checked(file.to), content=False).state != ABSENT:
        raise ConflictError(
            f"there is a file {safe_line(file.to, 120)} already", "nothing was changed", (file.to,)
        )
    mode = change.executable(old.mode, on=file.executable) if file.executable is not None else old.mode
    new = Version(None) if file.new is None else Version(file.new, mode, old.link)
    return Difference(file.path, old, new, file.to)
