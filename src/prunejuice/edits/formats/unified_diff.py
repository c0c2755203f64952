"""The unified diff format, as written by git or by a model.

Counts in hunk headers are not trusted, and line numbers only select among equal places.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from prunejuice.edits.edit import Edit, UnreadableAnswerError
from prunejuice.text import safe_line

_HUNK = re.compile(r"^@@+(?: -(\d+)(?:,\d+)?)?(?: \+\d+(?:,\d+)?)?(?: @@+)?\s?(.*)$")
_NUMBERED = re.compile(r"^@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@")
_COUNTED = re.compile(r"^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_INSERTS = re.compile(r"^@@ -(\d+),0 \+(\d+)(?:,(\d+))? @@")
_OCTAL = re.compile(r"\\([0-7]{3}|.)", re.DOTALL)
_ESCAPES = {"n": 10, "t": 9, "r": 13, "a": 7, "b": 8, "f": 12, "v": 11}
_COPY = re.compile(
    r"(?:~|[._-](?:orig|original|old|new|bak|backup|tmp|temp|mod|modified|updated?|fix|fixed|edited|copy|patched"
    r"|before|after|save|saved|rej)\d*|\.\d{1,2}|\s+\((?:[\w ]+)\)|\s+\d{4}-\d\d-\d\d.*"
    r"|\s+(?:orig|original|old|new|modified|updated))$",
    re.IGNORECASE,
)
"""The end of the name of a temporary copy of a file."""
_DEV_NULL = "/dev/null"
_FILE_MODES = {"100644", "100755", "100664", "100600", "100700", "100775"}
_OTHER_MODES = {"120000": "a link", "160000": "a submodule", "040000": "a folder"}


class FileSection(NamedTuple):
    """The section of one file: its old and new path, and the line where its hunks start."""

    old: str
    new: str
    start: int
    answer_line: int
    mode: str = ""


def has_edits(lines: Sequence[str]) -> bool:
    """Return whether an answer has hunks or a file header."""
    return has_file_header(lines) or any(map(_NUMBERED.match, lines))


def has_file_header(lines: Sequence[str]) -> bool:
    """Return whether an answer has a line that names the file of a diff."""
    return any(_is_header(lines, at) or lines[at].startswith("diff --git ") for at in range(len(lines)))


def find_hunk_lines(lines: Sequence[str]) -> frozenset[int]:
    """Return the lines (from 0) of hunks, which may hold anything, such as the fences of a document."""
    found: set[int] = set()
    at = 0
    while at < len(lines):
        if not _NUMBERED.match(lines[at]):
            at += 1
            continue
        end = _end_by_counts(lines, at, len(lines)) or at + 1
        while end < len(lines) and lines[end][:1] in {" ", "+", "-", "\\"}:
            end += 1
        found.update(range(at, end))
        at = end
    return frozenset(found)


def _is_header(lines: Sequence[str], at: int) -> bool:
    return lines[at].startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ ")


def read(lines: Sequence[str]) -> list[Edit]:
    """Parse the edits of a diff; text around the diff is ignored.

    Raises:
        UnreadableAnswerError: The diff is binary or copies a file, or a hunk has no file header.
    """
    edits: list[Edit] = []
    for file, end in _read_file_sections(lines):
        edits += _section_edits(lines, file, end)
    return edits


def _read_file_sections(lines: Sequence[str]) -> Iterator[tuple[FileSection, int]]:
    starts, first = _find_file_starts(lines)
    if first < (starts[0] if starts else len(lines)):
        raise UnreadableAnswerError(
            first + 1, "the hunk names no file", "write --- a/PATH and +++ b/PATH before the hunk"
        )
    for start, end in pairwise([*starts, len(lines)]):
        yield _read_file_section(lines, start, end), end


def _find_file_starts(lines: Sequence[str]) -> tuple[list[int], int]:
    """Return the lines where file sections start, and the line of the first hunk.

    Lines that look like a header inside a hunk, by its counts, are skipped.
    """
    starts: list[int] = []
    first = len(lines)
    at = 0
    while at < len(lines):
        if _NUMBERED.match(lines[at]):
            first = min(first, at)
            at = _end_by_counts(lines, at, len(lines)) or at + 1
            continue
        if lines[at].startswith("diff --git ") or (
            _is_header(lines, at) and not _has_git_header(lines, at)
        ):
            starts.append(at)
        at += 1
    return starts, first


def _has_git_header(lines: Sequence[str], at: int) -> bool:
    for number in range(at - 1, max(-1, at - 10), -1):
        if lines[number].startswith("diff --git "):
            return True
        if lines[number].startswith(("@@", "+", "-", " ")):
            return False
    return False


def _read_file_section(lines: Sequence[str], start: int, end: int) -> FileSection:
    at = next((n for n in range(start, end) if lines[n].startswith("@@")), end)
    old, new, mode, renames = _read_header(lines, start, at)
    old, new = _strip_prefixes(old, new)
    if not old and not new:
        old, new = _parse_git_header(lines[start])
        old = _DEV_NULL if mode.startswith("new file") else old
        new = _DEV_NULL if mode.startswith("deleted") else new
    if not renames and _DEV_NULL not in {old, new} and old and new:
        old = new = _same_name(old, new, start)
    new_mode = "" if mode.startswith("deleted") else mode.rpartition(" ")[2]
    return FileSection(old or new, new or old, at, start + 1, new_mode)


def _read_header(lines: Sequence[str], start: int, end: int) -> tuple[str, str, str, bool]:
    """Return the old and new name, the line about the mode, and whether the file is renamed."""
    old, new, mode, renames = "", "", "", False
    for at, line in enumerate(lines[start:end], start):
        if line.startswith(("GIT binary patch", "Binary files ")):
            raise UnreadableAnswerError(at + 1, "the diff is binary", "write the whole file")
        word, _, rest = line.partition(" ")
        if word in {"---", "+++"} and rest:
            name = _unquote_name(rest)
            old, new = (name, new) if word == "---" else (old, name)
        elif line.startswith(("rename from ", "rename to ")):
            name, renames = _unquote_name(line.split(" ", 2)[2]), True
            old, new = (name, new) if rest.startswith("from") else (old, name)
        elif line.startswith(("new mode ", "new file mode ", "deleted file mode ")):
            mode = line
            if line.rpartition(" ")[2] not in _FILE_MODES and not line.startswith("deleted "):
                kind = _OTHER_MODES.get(line.rpartition(" ")[2], "a file of another kind")
                raise UnreadableAnswerError(at + 1, f"the diff makes {kind}", "write a plain file")
        elif line.startswith("copy "):
            raise UnreadableAnswerError(at + 1, "the diff copies a file", "write the whole new file")
    return old, new, mode, renames


def _strip_prefixes(old: str, new: str) -> tuple[str, str]:
    """Return the paths without the `a/` and `b/` prefixes of git."""
    old_has_prefix = old.startswith(("a/", "i/", "c/", "o/")) or old == _DEV_NULL
    new_has_prefix = new.startswith(("b/", "w/", "i/", "c/")) or new == _DEV_NULL
    if old_has_prefix and new_has_prefix:
        return (old if old == _DEV_NULL else old[2:]), (new if new == _DEV_NULL else new[2:])
    return old, new


def _same_name(old: str, new: str, start: int) -> str:
    """Return the file that the two names of a header mean: one may be that of a temporary copy.

    Raises:
        UnreadableAnswerError: They mean two files; only `rename from` and `rename to` rename one.
    """
    if old == new:
        return old
    before, after = (_COPY.sub("", name) or name for name in (old, new))
    shorter, longer = sorted((before, after), key=len)
    if longer == shorter or longer.endswith(f"/{shorter}"):
        return shorter
    if before.partition("/")[2] == after.partition("/")[2] != "":
        return before.partition("/")[2]
    raise UnreadableAnswerError(
        start + 1,
        f"the header names two files, {safe_line(old, 80)} and {safe_line(new, 80)}",
        "write the same path twice, or add `rename from` and `rename to` lines to rename the file",
    )


def _parse_git_header(line: str) -> tuple[str, str]:
    """Return the paths of a `diff --git a/x b/x` line, which must be equal."""
    rest = line.removeprefix("diff --git ")
    if rest.startswith('"'):
        halves = re.findall(r'"((?:[^"\\]|\\.)*)"', rest)
        names = [_unquote_name(f'"{half}"') for half in halves]
        return _strip_prefixes(*names) if len(names) == 2 else ("", "")
    # Unquoted paths may contain spaces, so the line is ambiguous unless both halves are equal.
    half = len(rest) // 2
    return _strip_prefixes(rest[:half], rest[half + 1 :])


def _unquote_name(name: str) -> str:
    name = name.split("\t")[0].rstrip()
    if not (len(name) > 1 and name[0] == name[-1] == '"'):
        return name
    raw = bytearray()
    at = 1
    while at < len(name) - 1:
        match = _OCTAL.match(name, at)
        if match is None:
            raw += name[at].encode("utf-8", "surrogateescape")
            at += 1
            continue
        code = match[1]
        raw += bytes([int(code, 8) & 255 if code.isdigit() else _ESCAPES.get(code, ord(code) & 255)])
        at = match.end()
    return raw.decode("utf-8", "surrogateescape")


def read_hunks(lines: Sequence[str], path: str, answer_line: int) -> list[Edit]:
    """Parse hunks of one file without a file header; without a hunk header, the lines are one hunk.

    `answer_line` is the line before them in the answer.
    """
    if any(map(_HUNK.match, lines)):
        hunks = list(_read_hunks(lines, 0, len(lines)))
    else:
        body, newline, end = _read_hunk_body(lines, 0, len(lines))
        if end < len(lines) or not any(prefix in "+-" for prefix, _ in body):
            return []
        old = tuple(text for prefix, text in body if prefix != "+")
        new = tuple(text for prefix, text in body if prefix != "-")
        hunks = [ParsedHunk(old, new, 0, "", 1, newline)]
    return [hunk._replace(answer_line=answer_line + hunk.answer_line).to_edit(path) for hunk in hunks]


def _section_edits(lines: Sequence[str], file: FileSection, end: int) -> Iterator[Edit]:
    hunks = list(_read_hunks(lines, file.start, end))
    if file.old == _DEV_NULL:
        new = tuple(line for hunk in hunks for line in hunk.new)
        to = "755" if file.mode.endswith("755") else ""
        yield Edit(
            "write",
            file.new,
            replace=new,
            to=to,
            answer_line=file.answer_line,
            newline=_final_newline(hunks),
            create=True,
        )
    elif file.new == _DEV_NULL:
        yield Edit(
            "delete",
            file.old,
            search=tuple(line for hunk in hunks for line in hunk.old),
            answer_line=file.answer_line,
        )
    else:
        for hunk in hunks:
            yield hunk.to_edit(file.old)
        if file.mode:
            yield Edit(
                "mode",
                file.old,
                to="755" if file.mode.endswith("755") else "644",
                answer_line=file.answer_line,
            )
        if file.new != file.old:
            yield Edit("rename", file.old, to=file.new, answer_line=file.answer_line)


class ParsedHunk(NamedTuple):
    """The old and new lines of a hunk; `newline` as in `Edit`."""

    old: tuple[str, ...]
    new: tuple[str, ...]
    line: int
    section: str
    answer_line: int
    newline: bool | None
    inserts: bool = False

    def to_edit(self, path: str) -> Edit:
        """Return the hunk as an edit of the file at `path`."""
        anchors = (self.section,) if self.section else ()
        return Edit(
            "replace",
            path,
            self.old,
            self.new,
            line=self.line,
            anchors=anchors,
            answer_line=self.answer_line,
            newline=self.newline,
            insert=self.inserts,
        )


def _final_newline(hunks: Sequence[ParsedHunk]) -> bool | None:
    return hunks[-1].newline if hunks else None


def _read_hunks(lines: Sequence[str], start: int, end: int) -> Iterator[ParsedHunk]:
    at, lines_added = start, 0
    while at < end:
        match = _HUNK.match(lines[at])
        if not match:
            _refuse_stray(lines, at)
            at += 1
            continue
        stop = _end_by_counts(lines, at, end)
        unprefixed_stop = _end_by_counts(lines, at, end, unprefixed=True) if stop is None else None
        stop = (
            stop or unprefixed_stop or next((n for n in range(at + 1, end) if _HUNK.match(lines[n])), end)
        )
        body, newline, next_line = _read_hunk_body(
            lines, at + 1, stop, unprefixed=unprefixed_stop is not None
        )
        if not body:
            raise UnreadableAnswerError(
                at + 1, "the hunk has no lines", "write the hunk again with a prefix on every line"
            )
        old = tuple(text for prefix, text in body if prefix != "+")
        new = tuple(text for prefix, text in body if prefix != "-")
        inserts = not old and _inserts_exactly(lines[at], len(new), lines_added)
        lines_added += len(new) - len(old)
        yield ParsedHunk(old, new, int(match[1] or 0), match[2].strip(), at + 1, newline, inserts)
        at = next_line


def _inserts_exactly(header: str, count: int, lines_added: int) -> bool:
    """Return whether a hunk without context has the right numbers, as a program writes them."""
    match = _INSERTS.match(header)
    if match is None:
        return False
    before, first, size = (int(number or 1) for number in match.groups())
    before = int(match[1])
    return size == count and first == before + 1 + lines_added


def _refuse_stray(lines: Sequence[str], at: int) -> None:
    """Reject a changed line after a line without a prefix, because part of the hunk would be lost."""
    line = lines[at]
    if line[:1] in {"+", "-"} and line[1:2].strip() and not line.startswith(("+++ ", "--- ", "-- ", "---")):
        raise UnreadableAnswerError(
            at + 1, "the line is outside a hunk: a line before it has no prefix", "write the hunk again"
        )


def _end_by_counts(lines: Sequence[str], at: int, end: int, *, unprefixed: bool = False) -> int | None:
    """Return the end of a hunk by the counts in its header; None if the counts are wrong.

    With `unprefixed`, lines whose leading space was forgotten count as context.
    """
    match = _COUNTED.match(lines[at])
    if match is None:
        return None
    old, new = (int(count) if count is not None else 1 for count in match.groups())
    position = at + 1
    while position < end and (old > 0 or new > 0):
        prefix = lines[position][:1]
        if prefix not in {" ", "+", "-", "\\", ""}:
            if not unprefixed or lines[position].startswith(("```", "~~~", "diff --git ", "@@")):
                return None
            prefix = " "
        old -= prefix in {" ", "-", ""}
        new -= prefix in {" ", "+", ""}
        position += 1
    if old or new or _has_uncounted_lines(lines, position, end):
        return None
    return position + (position < end and lines[position].startswith("\\"))


def _has_uncounted_lines(lines: Sequence[str], at: int, end: int) -> bool:
    """Return whether a hunk goes on after the lines that its header counts."""
    line = lines[at] if at < end else ""
    return line[:1] in {" ", "+", "-"} and not line.startswith("-- ") and not _is_header(lines, at)


def _read_hunk_body(
    lines: Sequence[str], start: int, end: int, *, unprefixed: bool = False
) -> tuple[list[tuple[str, str]], bool | None, int]:
    """Return the lines of a hunk with their prefixes, its `newline` value, and the line where it ends.

    With `unprefixed`, a line without a prefix is context.
    """
    body: list[tuple[str, str]] = []
    unended = set()
    at = start
    for at in range(start, end + 1):
        line = lines[at] if at < end else "x"
        if line.startswith("\\"):
            unended.add(body[-1][0] if body else "")
        elif line[:1] in {" ", "+", "-"}:
            body.append((line[0], line[1:]))
        elif not line:
            body.append(("", ""))
        elif at < end and unprefixed:
            body.append((" ", line))
        else:
            break
    while body and not body[-1][0]:
        body.pop()
    newline = None if not unended or " " in unended else "+" not in unended
    return [(prefix or " ", text) for prefix, text in body], newline, at
