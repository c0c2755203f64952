"""Edits made on the files they name: what each file would become, or why an edit has no place."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from prunejuice import content, ladder, syntax
from prunejuice.content import Content
from prunejuice.edit import Edit, Placed, RejectedError

Read = Callable[[str], bytes | None]


class Outcome(NamedTuple):
    """An edit with the place it found, or the reason it found none."""

    edit: Edit
    placed: Placed | None
    rejected: RejectedError | None = None


class File(NamedTuple):
    """What becomes of one file: `old` is None where there is none yet, `new` where there is none any more.

    `to` is its new name when it gets one, `executable` what becomes of its mode.
    """

    path: str
    old: bytes | None
    new: bytes | None
    to: str = ""
    executable: bool | None = None


class Proposal(NamedTuple):
    """The files of an answer and what became of its edits; it counts only when none was rejected."""

    files: tuple[File, ...]
    outcomes: tuple[Outcome, ...]

    @property
    def rejected(self) -> list[Outcome]:
        """The edits that have no place."""
        return [each for each in self.outcomes if each.rejected]


def propose(edits: Sequence[Edit], read: Read) -> Proposal:
    """The files that some edits would make, one after the other; `read` gives what is in a file now."""
    files: dict[str, File] = {}
    steps: dict[str, list[tuple[int, File]]] = {}
    outcomes = []
    for number, edit in enumerate(edits):
        file = files.get(edit.path) or _begun(edit.path, read)
        try:
            files[edit.path], placed = _made(file, edit)
            steps.setdefault(edit.path, []).append((number, files[edit.path]))
            outcomes.append(Outcome(edit, placed))
        except RejectedError as error:
            outcomes.append(Outcome(edit, None, error))
    for path, made in steps.items():
        if (culprit := _breaking(path, made)) is not None:
            outcomes[culprit] = Outcome(edits[culprit], None, _broken(made[0][1].old))
    changed = tuple(file for file in files.values() if file != _same(file))
    return Proposal(changed, tuple(outcomes))


def _breaking(path: str, made: Sequence[tuple[int, File]]) -> int | None:
    """The edit after which a file that could be parsed no longer can, to the end; nothing when it can."""
    old = made[0][1].old
    if (old is not None and _parses(path, old) is not True) or _parses(path, made[-1][1].new) is not False:
        return None
    broken = made[-1][0]
    for number, file in reversed(made):
        if _parses(path, file.new) is not False:
            break
        broken = number
    return broken


def _parses(path: str, data: bytes | None) -> bool | None:
    text = None if data is None else content.read(data)
    return None if text is None else syntax.parses(path, text.text)


def _broken(old: bytes | None) -> RejectedError:
    what = "it cannot be parsed" if old is None else "the file could be parsed before, and not after it"
    return RejectedError("broken", what, "check indentation, brackets and quotes")


def _same(file: File) -> File:
    return File(file.path, file.old, file.old)


def _begun(path: str, read: Read) -> File:
    data = read(path)
    return File(path, data, data)


def _made(file: File, edit: Edit) -> tuple[File, Placed]:
    if edit.operation == "write":
        return _whole(file, edit)
    if file.new is None:
        if edit.operation == "replace" and not any(map(str.strip, edit.search)):
            return _whole(file, edit)
        raise RejectedError("absent", f"there is no file {edit.path}", "write it whole, or name another")
    if edit.operation != "replace":
        return _moved(file, edit), Placed("whole")
    if not any(map(str.strip, edit.search)) and not file.new.strip():
        return _whole(file, edit)
    old = _text(file)
    new, placed = ladder.place(old, edit)
    return _with(file, new), placed


def _moved(file: File, edit: Edit) -> File:
    if edit.operation == "rename":
        return file._replace(to=edit.to)
    if edit.operation == "mode":
        return file._replace(executable=edit.to == "755")
    if edit.search and [text.rstrip() for text in _text(file).texts] != [
        text.rstrip() for text in edit.search
    ]:
        raise RejectedError("not found", "the file to be deleted has other lines", "read it again")
    return file._replace(new=None)


def _whole(file: File, edit: Edit) -> tuple[File, Placed]:
    """The file written whole, with the ends of lines, byte order mark and encoding that it has."""
    old = _text(file) if file.new is not None else None
    ladder.refuse_omission(old, edit)
    new = (old or Content(())).joined(edit.replace)
    if edit.newline is not None:
        new = new.ended(edit.newline)
    if old is not None and old.texts == list(edit.replace):
        return file, Placed("already applied")
    return _with(file, new), Placed("whole")


def _text(file: File) -> Content:
    read = content.read(file.new or b"")
    if read is None:
        raise RejectedError(
            "binary", f"{file.path} is not text", "it can be written or deleted, not edited"
        )
    return read


def _with(file: File, new: Content) -> File:
    try:
        return file._replace(new=new.data())
    except UnicodeEncodeError as error:
        sign = f"U+{ord(error.object[error.start]):04X}"
        raise RejectedError("binary", f"{file.path} cannot have {sign}", "write it otherwise") from error
