"""Edits made on the files they name: what each file would become, or why an edit has no place."""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from prunejuice import content, ladder, syntax
from prunejuice.content import Content
from prunejuice.edit import Edit, Placed, RejectedError
from prunejuice.errors import ConflictError
from prunejuice.hunk import Version
from prunejuice.overlay import Overlay


class Outcome(NamedTuple):
    """An edit with the place it found, or the reason it found none."""

    edit: Edit
    placed: Placed | None
    rejected: RejectedError | None = None


class Proposal(NamedTuple):
    """What became of the edits of an answer; it counts only when none was rejected."""

    outcomes: tuple[Outcome, ...]

    @property
    def rejected(self) -> list[Outcome]:
        """The edits that have no place."""
        return [each for each in self.outcomes if each.rejected]


class _Step(NamedTuple):
    """A file after one edit: the number of the edit, its line, and by how many lines the file grew."""

    number: int
    data: bytes | None
    line: int
    grown: int


def propose(edits: Sequence[Edit], overlay: Overlay) -> Proposal:
    """Make edits one after the other on files that are not touched."""
    steps: dict[str, list[_Step]] = {}
    outcomes = []
    for number, edit in enumerate(edits):
        taken = steps.setdefault(edit.path, [])
        try:
            placed = _made(_shifted(edit, taken), overlay)
            now = overlay.get(edit.path).data
            taken.append(_Step(number, now, edit.line, len(edit.replace) - len(edit.search)))
            outcomes.append(Outcome(edit, placed))
        except RejectedError as error:
            outcomes.append(Outcome(edit, None, error))
        except ConflictError as error:
            outcomes.append(Outcome(edit, None, RejectedError("exists", error.message, error.fix)))
    for path, taken in steps.items():
        old = overlay.before(path).data if taken else None
        if taken and (culprit := _breaking(path, old, taken)) is not None:
            outcomes[culprit] = Outcome(edits[culprit], None, _broken(old))
    return Proposal(tuple(outcomes))


def _shifted(edit: Edit, taken: Sequence[_Step]) -> Edit:
    """The edit with its line where it is by now: its maker counted in the file as it was."""
    if edit.line <= 0:
        return edit
    shift = sum(step.grown for step in taken if 0 < step.line < edit.line)
    known = all(step.line for step in taken)
    return replace(edit, line=edit.line + shift if known else 0)


def _breaking(path: str, old: bytes | None, taken: Sequence[_Step]) -> int | None:
    """The edit after which a file that could be parsed no longer can, to the end; nothing when it can."""
    if (old is not None and _parses(path, old) is not True) or _parses(path, taken[-1].data) is not False:
        return None
    low, high = -1, len(taken) - 1  # after `low` it can be parsed, after `high` it cannot
    while high - low > 1:
        middle = (low + high) // 2
        if _parses(path, taken[middle].data) is False:
            high = middle
        else:
            low = middle
    return taken[high].number


def _parses(path: str, data: bytes | None) -> bool | None:
    text = None if data is None else content.read(data)
    return None if text is None else syntax.parses(path, text.text)


def _broken(old: bytes | None) -> RejectedError:
    what = "it cannot be parsed" if old is None else "the file could be parsed before, and not after it"
    return RejectedError("broken", what, "check indentation, brackets and quotes")


def _made(edit: Edit, overlay: Overlay) -> Placed:
    now = overlay.get(edit.path)
    empty = not any(map(str.strip, edit.search))
    if edit.operation == "write" or (
        edit.operation == "replace" and empty and not (now.data or b"").strip()
    ):
        return _whole(edit, now, overlay)
    if now.data is None:
        raise RejectedError("absent", f"there is no file {edit.path}", "write it whole, or name another")
    if edit.operation == "rename":
        overlay.rename(edit.path, edit.to)
        return Placed("whole")
    if edit.operation == "mode":
        overlay.put(edit.path, now.executable(on=edit.to == "755"))
        return Placed("whole")
    if edit.operation == "delete":
        return _gone(edit, now, overlay)
    if now.link:
        raise RejectedError("binary", f"{edit.path} is a link", "name the file that it leads to")
    new, placed = ladder.place(_text(edit, now.data), edit)
    overlay.put(edit.path, now._replace(data=_data(edit, new)))
    return placed


def _gone(edit: Edit, now: Version, overlay: Overlay) -> Placed:
    if edit.search and [text.rstrip() for text in _text(edit, now.data or b"").texts] != [
        text.rstrip() for text in edit.search
    ]:
        raise RejectedError("not found", "the file to be deleted has other lines", "read it again")
    overlay.put(edit.path, Version(None))
    return Placed("whole")


def _whole(edit: Edit, now: Version, overlay: Overlay) -> Placed:
    """The file written whole, with the ends of lines, byte order mark and encoding that it has."""
    old = None if now.data is None else _text(edit, now.data)
    ladder.refuse_omission(old, edit)
    if old is not None and old.texts == list(edit.replace):
        return Placed("already applied")
    if old is not None and old.lines and edit.create:
        raise RejectedError(
            "exists", f"there is a file {edit.path} already", "change it, or delete it first"
        )
    new = (old or Content(())).joined(edit.replace)
    if edit.newline is not None:
        new = new.ended(edit.newline)
    mode = 0o755 if edit.to == "755" and old is None else now.mode
    overlay.put(edit.path, Version(_data(edit, new), mode, now.link))
    return Placed("whole")


def _text(edit: Edit, data: bytes) -> Content:
    read = content.read(data)
    if read is None:
        raise RejectedError(
            "binary", f"{edit.path} is not text", "it can be written or deleted, not edited"
        )
    return read


def _data(edit: Edit, new: Content) -> bytes:
    try:
        return new.data()
    except UnicodeEncodeError as error:
        sign = f"U+{ord(error.object[error.start]):04X}"
        raise RejectedError("binary", f"{edit.path} cannot have {sign}", "write it otherwise") from error
