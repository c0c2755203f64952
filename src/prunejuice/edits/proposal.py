"""Apply the edits of an answer to an overlay, and collect a placement or a rejection for each."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from prunejuice.edits import lines, losses, matchers, path_rules, syntax
from prunejuice.edits.diff import Version
from prunejuice.edits.edit import Edit, EditRejectedError, Placement
from prunejuice.edits.line_search import find_runs
from prunejuice.edits.lines import FileText
from prunejuice.edits.overlay import Overlay
from prunejuice.errors import ConflictError, DeniedError


class EditOutcome(NamedTuple):
    """An edit with its placement, or the error that rejected it."""

    edit: Edit
    placement: Placement | None
    rejection: EditRejectedError | None = None


class Proposal(NamedTuple):
    """The outcomes of all edits of an answer; usable only if no edit was rejected."""

    outcomes: tuple[EditOutcome, ...]

    @property
    def rejected_edits(self) -> list[EditOutcome]:
        """The outcomes of the edits that were rejected."""
        return [outcome for outcome in self.outcomes if outcome.rejection]


class _FileStep(NamedTuple):
    """A file after one edit: the edit's index and line, and the number of lines it added."""

    number: int
    data: bytes | None
    line: int
    line_delta: int


def apply_edits(edits: Sequence[Edit], overlay: Overlay) -> Proposal:
    """Apply edits in order to an overlay; rejected edits are skipped and reported.

    An edit whose path is a wrong guess has no outcome.
    """
    steps: dict[str, list[_FileStep]] = {}
    outcomes = []
    known = [found for edit in edits if (found := _resolve_path(edit, overlay))]
    for number, edit in enumerate(known):
        file_steps = steps.setdefault(edit.path, [])
        try:
            placement = _apply_edit(_shift_edit_line(edit, file_steps), overlay)
            data = overlay.get(edit.path).data
            line_delta = len(edit.replace) - len(edit.search)
            file_steps.append(_FileStep(number, data, _counted_line(edit), line_delta))
            outcomes.append(EditOutcome(edit, placement))
        except EditRejectedError as error:
            outcomes.append(EditOutcome(edit, None, error))
        except ConflictError as error:
            outcomes.append(EditOutcome(edit, None, EditRejectedError("exists", error.message, error.fix)))
    for path, file_steps in steps.items():
        old = overlay.original(path).data if file_steps else None
        if file_steps and (culprit := _find_breaking_edit(path, old, file_steps)) is not None:
            outcomes[culprit] = EditOutcome(known[culprit], None, _broken_syntax_error(old))
    return Proposal(tuple(outcomes))


def _resolve_path(edit: Edit, overlay: Overlay) -> Edit | None:
    """Return the edit with the path that it means; None if its path is a title and not a file."""
    if not edit.guess:
        return edit
    folder = edit.path.rpartition("/")[0]
    if _is_taken(edit.path, overlay) or (folder and _is_taken(folder, overlay)):
        return edit
    if edit.operation == "replace" and edit.otherwise and not any(map(str.strip, edit.search)):
        return edit  # an empty SEARCH creates a file
    return replace(edit, path=edit.otherwise) if edit.otherwise else None


def _is_taken(path: str, overlay: Overlay) -> bool:
    """Return whether a path is that of a file or of a folder."""
    if path_rules.invalid_path_reason(path):
        return False
    try:
        return overlay.get(path).data is not None
    except DeniedError:  # a folder, or a file that no change may touch
        return True


def _shift_edit_line(edit: Edit, file_steps: Sequence[_FileStep]) -> Edit:
    """Return the edit with its line shifted by the edits before it.

    A model counts lines in the original file, so edits further up move them.
    """
    line = _counted_line(edit)
    if line <= 0:
        return edit
    shift = sum(step.line_delta for step in file_steps if 0 < step.line < line)
    if not all(step.line for step in file_steps):
        return replace(edit, line=0, insert=False)
    return replace(edit, line=edit.line + shift)


def _counted_line(edit: Edit) -> int:
    """Return the line that an edit begins at; inserted lines come before the line after theirs."""
    return edit.line + 1 if edit.insert else edit.line


def _find_breaking_edit(path: str, old: bytes | None, file_steps: Sequence[_FileStep]) -> int | None:
    """Return the index of the edit that broke the syntax of a file; None if the file still parses."""
    if _is_parsable(path, old, file_steps[-1].data) is not False:
        return None
    low, high = -1, len(file_steps) - 1  # bisect: the file parses after `low`, but not after `high`
    while high - low > 1:
        middle = (low + high) // 2
        if _is_parsable(path, old, file_steps[middle].data) is False:
            high = middle
        else:
            low = middle
    return file_steps[high].number


def _is_parsable(path: str, old: bytes | None, data: bytes | None) -> bool | None:
    """Return whether a file parses; None if it did not before, or nobody can tell."""
    new_text = None if data is None else lines.decode_text(data)
    if new_text is None:
        return None
    if old is None:
        return syntax.is_well_formed(path, new_text.text)
    old_text = lines.decode_text(old)
    return None if old_text is None else syntax.stays_well_formed(path, old_text.text, new_text.text)


def _broken_syntax_error(old: bytes | None) -> EditRejectedError:
    message = "the file has a syntax error" if old is None else "the edit causes a syntax error"
    return EditRejectedError("broken", message, "check indentation, brackets and quotes")


def _apply_edit(edit: Edit, overlay: Overlay) -> Placement:
    current = overlay.get(edit.path)
    search_is_empty = not any(map(str.strip, edit.search))
    if edit.insert and current.data is not None:
        return _insert_lines(edit, current, overlay)
    if edit.operation == "write" or (
        edit.operation == "replace" and search_is_empty and not (current.data or b"").strip()
    ):
        return _write_file(edit, current, overlay)
    if current.data is None:
        _refuse_namesake(edit, overlay)
        raise EditRejectedError(
            "absent", f"no such file: {edit.path}", "write the whole file, or use an existing path"
        )
    if edit.operation == "rename":
        overlay.rename(edit.path, edit.to)
        return Placement("whole")
    if edit.operation == "mode":
        overlay.put(edit.path, current.with_executable(on=edit.to == "755"))
        return Placement("whole")
    if edit.operation == "delete":
        return _delete_file(edit, current, overlay)
    if current.link:
        raise EditRejectedError("binary", f"{edit.path} is a link", "edit the file that it points to")
    text = _require_text(edit, current.data)
    edit = _choose_reading(text, edit) if edit.readings else edit
    first = overlay.original(edit.path).data if edit.anchors else None
    original = lines.decode_text(first) if first is not None else None
    texts = original.texts if original else None
    new, placement = matchers.place(text, edit, texts)
    overlay.put(edit.path, current._replace(data=_encode_text(edit, new)))
    return placement


def _insert_lines(edit: Edit, current: Version, overlay: Overlay) -> Placement:
    text = _require_text(edit, current.data or b"")
    if edit.line > len(text.lines):
        raise EditRejectedError(
            "not found",
            f"{edit.path} has {len(text.lines)} lines, and no line {edit.line}",
            "read the file again, and write lines around the new ones",
        )
    matchers.refuse_omission(text, edit)
    if text.texts[edit.line : edit.line + len(edit.replace)] == list(edit.replace):
        return Placement("already applied", edit.line + 1, len(edit.replace))
    new = text.with_lines([*text.lines[: edit.line], *edit.replace, *text.lines[edit.line :]])
    overlay.put(edit.path, current._replace(data=_encode_text(edit, new)))
    return Placement("exact", edit.line + 1, len(edit.replace))


def _choose_reading(text: FileText, edit: Edit) -> Edit:
    """Return the edit with the longest reading whose lines the file has.

    A shorter one fits too if the file has its own `=======`, but would write the rest of the lines twice.

    Raises:
        EditRejectedError: no reading fits.
    """
    known = [line.rstrip() for line in text.texts]
    fitting = [
        (search, new)
        for search, new in edit.readings
        if any(map(str.strip, search)) and find_runs(known, [line.rstrip() for line in search])
    ]
    if not fitting:
        raise EditRejectedError(
            "not found",
            f"the block has {len(edit.readings)} dividers",
            "use longer markers around lines that look like a divider",
        )
    search, new = max(fitting, key=lambda reading: len(reading[0]))
    return replace(edit, search=search, replace=new, readings=())


def _delete_file(edit: Edit, current: Version, overlay: Overlay) -> Placement:
    if edit.search and [text.rstrip() for text in _require_text(edit, current.data or b"").texts] != [
        text.rstrip() for text in edit.search
    ]:
        raise EditRejectedError(
            "not found", "the deleted lines do not match the file", "read the file again"
        )
    overlay.put(edit.path, Version(None))
    return Placement("whole")


def _write_file(edit: Edit, current: Version, overlay: Overlay) -> Placement:
    """Write the whole file; keep its line endings, byte order mark and encoding."""
    old = None if current.data is None else _require_text(edit, current.data)
    if old is None and not edit.create and not _USUAL_NAME.match(edit.path):
        _refuse_namesake(edit, overlay)
    if old is not None and edit.label and (old.texts or [""])[0].strip() != edit.label:
        edit = replace(edit, replace=edit.replace[1:])
    refuse_partial_file(old, edit)
    if old is not None and old.texts == list(edit.replace):
        return Placement("already applied")
    if old is not None and old.lines and edit.create:
        raise EditRejectedError(
            "exists", f"file already exists: {edit.path}", "edit the file, or delete it first"
        )
    new = (old or FileText(())).with_lines(edit.replace)
    if edit.newline is not None:
        new = new.with_final_newline(edit.newline)
    mode = 0o755 if edit.to == "755" and old is None else current.mode
    overlay.put(edit.path, Version(_encode_text(edit, new), mode, current.link))
    return Placement("whole")


def _refuse_namesake(edit: Edit, overlay: Overlay) -> None:
    """Refuse a name without a folder that exactly one file in another folder has.

    Raises:
        EditRejectedError: the answer must name the path.
    """
    namesakes = overlay.find_namesakes(edit.path) if "/" not in edit.path else ()
    if len(namesakes) == 1:
        path = namesakes[0]
        fix = f"write the path {path}, or `*** Add File: {edit.path}` for a second file of that name"
        raise EditRejectedError("absent", f"no such file: {edit.path}; there is {path}", fix)


_USUAL_NAME = re.compile(
    r"\.|__\w+__\.py$|(?:index|main|mod|lib|conftest|setup|README|CHANGELOG|LICENSE|Makefile|Dockerfile|"
    r"package|tsconfig|pyproject)(?:\.|$)",
    re.IGNORECASE,
)
"""Names that many folders have: a new file with one is no mistake."""


def refuse_partial_file(old: FileText | None, edit: Edit) -> None:
    """Refuse a whole-file edit that leaves lines of the file out, by a placeholder or in silence.

    Raises:
        EditRejectedError: Lines stand for others, or most lines or definitions are lost.
    """
    matchers.refuse_omission(old, edit)
    if old is not None:
        losses.refuse_losses(edit.path, old, edit.replace, edit.removes)


def _require_text(edit: Edit, data: bytes) -> FileText:
    text = lines.decode_text(data)
    if text is None:
        raise EditRejectedError(
            "binary", f"{edit.path} is not text", "write or delete the whole file instead"
        )
    return text


def _encode_text(edit: Edit, new: FileText) -> bytes:
    try:
        return new.to_bytes()
    except UnicodeEncodeError as error:
        character = f"U+{ord(error.object[error.start]):04X}"
        raise EditRejectedError(
            "binary", f"the encoding of {edit.path} does not support {character}", "use other characters"
        ) from error
