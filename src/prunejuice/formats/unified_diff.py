"""Unified diffs, git's or hand-made: counts are not believed, line numbers only tell equal places apart."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from prunejuice.edit import Edit, UnreadableError

_HUNK = re.compile(r"^@@+(?: -(\d+)(?:,\d+)?)?(?: \+\d+(?:,\d+)?)?(?: @@+)?\s?(.*)$")
_NUMBERED = re.compile(r"^@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@")
_COUNTED = re.compile(r"^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_OCTAL = re.compile(r"\\([0-7]{3}|.)", re.DOTALL)
_PLAIN = {"n": 10, "t": 9, "r": 13, "a": 7, "b": 8, "f": 12, "v": 11}
_NONE = "/dev/null"


class File(NamedTuple):
    """What a diff says of one file: the names before and after, and where its hunks are."""

    old: str
    new: str
    start: int
    said: int
    mode: str = ""


def is_in(lines: Sequence[str]) -> bool:
    """Whether a text has hunks, or the header of a file."""
    return any(_is_header(lines, at) or _NUMBERED.match(line) for at, line in enumerate(lines)) or any(
        line.startswith("diff --git ") for line in lines
    )


def _is_header(lines: Sequence[str], at: int) -> bool:
    return lines[at].startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ ")


def read(lines: Sequence[str]) -> list[Edit]:
    """The edits of a diff; what is before and behind it is prose.

    Raises:
        UnreadableError: it is binary, or a hunk belongs to no file.
    """
    edits: list[Edit] = []
    for file, end in _files(lines):
        edits += _edits(lines, file, end)
    return edits


def _files(lines: Sequence[str]) -> Iterator[tuple[File, int]]:
    starts, first = _starts(lines)
    if first < (starts[0] if starts else len(lines)):
        raise UnreadableError(
            first + 1, "the hunk belongs to no file", "write --- a/PATH and +++ b/PATH before it"
        )
    for start, end in pairwise([*starts, len(lines)]):
        yield _file(lines, start, end), end


def _starts(lines: Sequence[str]) -> tuple[list[int], int]:
    """Where files begin, and the first hunk; what is inside a hunk, by its counts, is no header."""
    starts: list[int] = []
    first = len(lines)
    at = 0
    while at < len(lines):
        if _NUMBERED.match(lines[at]):
            first = min(first, at)
            at = _counted(lines, at, len(lines)) or at + 1
            continue
        if lines[at].startswith("diff --git ") or (
            _is_header(lines, at) and not _has_git_header(lines, at)
        ):
            starts.append(at)
        at += 1
    return starts, first


def _has_git_header(lines: Sequence[str], at: int) -> bool:
    for place in range(at - 1, max(-1, at - 10), -1):
        if lines[place].startswith("diff --git "):
            return True
        if lines[place].startswith(("@@", "+", "-", " ")):
            return False
    return False


def _file(lines: Sequence[str], start: int, end: int) -> File:
    old, new, mode = "", "", ""
    at = start
    while at < end and not lines[at].startswith("@@"):
        line = lines[at]
        if line.startswith(("GIT binary patch", "Binary files ")):
            raise UnreadableError(at + 1, "the diff is binary", "write the file whole")
        word, _, rest = line.partition(" ")
        if word in {"---", "+++"} and rest:
            name = _unquoted(rest)
            old, new = (name, new) if word == "---" else (old, name)
        elif line.startswith(("rename from ", "rename to ")):
            name = _unquoted(line.split(" ", 2)[2])
            old, new = (name, new) if word == "rename" and rest.startswith("from") else (old, name)
        elif line.startswith(("new mode ", "new file mode ", "deleted file mode ")):
            mode = line
        elif line.startswith("copy "):
            raise UnreadableError(at + 1, "the diff copies a file", "write the new file whole")
        at += 1
    old, new = _stripped(old, new)
    if not old and not new:
        old, new = _of_git(lines[start])
        old = _NONE if mode.startswith("new file") else old
        new = _NONE if mode.startswith("deleted") else new
    kept = "" if mode.startswith("deleted") else mode.rpartition(" ")[2]
    return File(old or new, new or old, at, start + 1, kept)


def _stripped(old: str, new: str) -> tuple[str, str]:
    """The names without the `a/` and `b/` that git puts before them."""
    theirs = old.startswith(("a/", "i/", "c/", "o/")) or old == _NONE
    ours = new.startswith(("b/", "w/", "i/", "c/")) or new == _NONE
    if theirs and ours:
        return (old if old == _NONE else old[2:]), (new if new == _NONE else new[2:])
    return old, new


def _of_git(line: str) -> tuple[str, str]:
    """The names in `diff --git a/x b/x`, when they are the same."""
    rest = line.removeprefix("diff --git ")
    if rest.startswith('"'):
        halves = re.findall(r'"((?:[^"\\]|\\.)*)"', rest)
        names = [_unquoted(f'"{half}"') for half in halves]
        return _stripped(*names) if len(names) == 2 else ("", "")
    half = len(rest) // 2
    return _stripped(rest[:half], rest[half + 1 :])


def _unquoted(name: str) -> str:
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
        raw += bytes([int(code, 8) & 255 if code.isdigit() else _PLAIN.get(code, ord(code) & 255)])
        at = match.end()
    return raw.decode("utf-8", "surrogateescape")


def _edits(lines: Sequence[str], file: File, end: int) -> Iterator[Edit]:
    hunks = list(_hunks(lines, file.start, end))
    if file.old == _NONE:
        new = tuple(line for hunk in hunks for line in hunk.new)
        to = "755" if file.mode.endswith("755") else ""
        yield Edit(
            "write", file.new, replace=new, to=to, said=file.said, newline=_newline(hunks), create=True
        )
    elif file.new == _NONE:
        yield Edit(
            "delete", file.old, search=tuple(line for hunk in hunks for line in hunk.old), said=file.said
        )
    else:
        for hunk in hunks:
            yield hunk.edit(file.old)
        if file.mode:
            yield Edit("mode", file.old, to="755" if file.mode.endswith("755") else "644", said=file.said)
        if file.new != file.old:
            yield Edit("rename", file.old, to=file.new, said=file.said)


class Hunk(NamedTuple):
    """The lines of a hunk on both sides; `newline` as of an edit."""

    old: tuple[str, ...]
    new: tuple[str, ...]
    line: int
    section: str
    said: int
    newline: bool | None

    def edit(self, path: str) -> Edit:
        """The hunk as an edit."""
        anchors = (self.section,) if self.section else ()
        return Edit(
            "replace",
            path,
            self.old,
            self.new,
            line=self.line,
            anchors=anchors,
            said=self.said,
            newline=self.newline,
        )


def _newline(hunks: Sequence[Hunk]) -> bool | None:
    return hunks[-1].newline if hunks else None


def _hunks(lines: Sequence[str], start: int, end: int) -> Iterator[Hunk]:
    at = start
    while at < end:
        match = _HUNK.match(lines[at])
        if not match:
            _refuse_stray(lines, at)
            at += 1
            continue
        stop = _counted(lines, at, end)
        if stop is None:
            stop = next((n for n in range(at + 1, end) if _HUNK.match(lines[n])), end)
        body, newline, taken = _body(lines, at + 1, stop)
        if not body:
            raise UnreadableError(
                at + 1, "the hunk has no lines", "write it again, each line with its sign"
            )
        old = tuple(text for sign, text in body if sign != "+")
        new = tuple(text for sign, text in body if sign != "-")
        yield Hunk(old, new, int(match[1] or 0), match[2].strip(), at + 1, newline)
        at = taken


def _refuse_stray(lines: Sequence[str], at: int) -> None:
    """Refuse a changed line behind a line without a sign: something of a hunk would be lost."""
    line = lines[at]
    if line[:1] in {"+", "-"} and line[1:2].strip() and not line.startswith(("+++ ", "--- ", "-- ", "---")):
        raise UnreadableError(
            at + 1, "the line belongs to no hunk: one before it has no sign", "write the hunk again"
        )


def _counted(lines: Sequence[str], at: int, end: int) -> int | None:
    """Where a hunk ends by the counts of its header; nothing when its lines are not as many."""
    match = _COUNTED.match(lines[at])
    if match is None:
        return None
    old, new = (int(each) if each is not None else 1 for each in match.groups())
    place = at + 1
    while place < end and (old > 0 or new > 0):
        sign = lines[place][:1]
        if sign not in {" ", "+", "-", "\\", ""}:
            return None
        old -= sign in {" ", "-", ""}
        new -= sign in {" ", "+", ""}
        place += 1
    if old or new or _goes_on(lines, place, end):
        return None
    return place + (place < end and lines[place].startswith("\\"))


def _goes_on(lines: Sequence[str], at: int, end: int) -> bool:
    """Whether a hunk has more lines than its header counts."""
    line = lines[at] if at < end else ""
    return line[:1] in {" ", "+", "-"} and not line.startswith("-- ") and not _is_header(lines, at)


def _body(lines: Sequence[str], start: int, end: int) -> tuple[list[tuple[str, str]], bool | None, int]:
    """The lines of a hunk with their signs, how the last one ends, and where the hunk does."""
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
        else:
            break
    while body and not body[-1][0]:
        body.pop()
    newline = None if not unended or " " in unended else "+" not in unended
    return [(sign or " ", text) for sign, text in body], newline, at
