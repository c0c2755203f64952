"""The difference between two versions of a file: hunks for review, and a diff that git can apply."""

import hashlib
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

CONTEXT = 3
LARGEST = 1_000_000
MOST_LINES = 20_000
_NO_END = "\\ No newline at end of file"


class Version(NamedTuple):
    """One version of a file.

    `data` is None if the file does not exist; for a symbolic link it is the target.
    """

    data: bytes | None
    mode: int = 0o644
    link: bool = False

    def with_executable(self, *, on: bool) -> "Version":
        """Return a copy that everyone who may read it may also execute, or that nobody may execute."""
        return self._replace(mode=self.mode | (self.mode & 0o444) >> 2 if on else self.mode & ~0o111)


class FileDiff(NamedTuple):
    """A file before and after a change; `to` is the new path of a renamed file, else empty."""

    path: str
    old: Version
    new: Version
    to: str = ""


class Hunk(Struct, frozen=True):
    """Replaced lines with the context around them; lines keep their line endings.

    `line` counts from 1 in the old file. `change_type` is set if the hunk covers the whole file: a created,
    deleted, renamed or binary file, or a new mode. `parts` are the changes within the hunk, as
    (start, end) in `old` followed by (start, end) in `new`.
    """

    id: str
    path: str
    line: int
    old: tuple[str, ...]
    new: tuple[str, ...]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    change_type: Literal["", "created", "deleted", "renamed", "mode", "binary"] = ""
    parts: tuple[tuple[int, int, int, int], ...] = ()


def is_text(data: bytes | None) -> bool:
    """Return whether the data of a version can be shown as lines; True for a missing file."""
    return data is None or (
        b"\0" not in data[:8000] and len(data) <= LARGEST and data.count(b"\n") <= MOST_LINES
    )


def lines_from_bytes(data: bytes | None) -> list[str]:
    """Return the lines of a file with their line endings; `bytes_from_lines` restores any bytes."""
    parts = (data or b"").decode("utf-8", "surrogateescape").split("\n")
    last = parts.pop()
    return [part + "\n" for part in parts] + ([last] if last else [])


def bytes_from_lines(lines: Iterable[str]) -> bytes:
    """Join lines into the bytes of a file."""
    return "".join(lines).encode("utf-8", "surrogateescape")


def compute_hunks(difference: FileDiff) -> list[Hunk]:
    """Return the hunks of a file; a single one if only the whole file can be reviewed."""
    path, old, new, _ = difference
    if change_type := _whole_file_change(difference):
        has_lines = is_text(old.data) and is_text(new.data)
        before, after = (lines_from_bytes(version.data) if has_lines else [] for version in (old, new))
        return [
            with_id(Hunk("", path, 1, tuple(before), tuple(after), change_type=change_type), difference)
        ]
    hunks = (
        with_id(hunk, difference)
        for hunk in _group_hunks(path, lines_from_bytes(old.data), lines_from_bytes(new.data))
    )
    return with_unique_ids(hunks)


def _whole_file_change(
    difference: FileDiff,
) -> Literal["", "created", "deleted", "renamed", "mode", "binary"]:
    _, old, new, to = difference
    if old.data is None:
        return "created"
    if new.data is None:
        return "deleted"
    if to:
        return "renamed"
    if not (is_text(old.data) and is_text(new.data)):
        return "binary"
    return "mode" if old.mode != new.mode else ""


def _group_hunks(path: str, olds: Sequence[str], news: Sequence[str]) -> list[Hunk]:
    matcher = SequenceMatcher(None, olds, news, autojunk=len(olds) + len(news) > 4000)
    hunks = []
    for group in matcher.get_grouped_opcodes(CONTEXT):
        parts = [(a, b, c, d) for tag, a, b, c, d in group if tag != "equal"]
        hunks.append(_build_hunk(path, olds, news, parts))
    return hunks


def _build_hunk(
    path: str, olds: Sequence[str], news: Sequence[str], parts: Sequence[tuple[int, int, int, int]]
) -> Hunk:
    start, end, begin, stop = parts[0][0], parts[-1][1], parts[0][2], parts[-1][3]
    return Hunk(
        "",
        path,
        start + 1,
        tuple(olds[start:end]),
        tuple(news[begin:stop]),
        tuple(olds[max(0, start - CONTEXT) : start]),
        tuple(olds[end : end + CONTEXT]),
        parts=tuple((a - start, b - start, c - begin, d - begin) for a, b, c, d in parts),
    )


def with_id(hunk: Hunk, difference: FileDiff) -> Hunk:
    """Return the hunk with an id that hashes everything it changes, but not its position."""
    _, old, new, to = difference
    versions = (old, new) if hunk.change_type else (old[1:], new[1:])
    parts = repr((hunk.path, to, hunk.change_type, hunk.old, hunk.new, hunk.parts, versions))
    return replace(hunk, id=hashlib.sha256(parts.encode("utf-8", "backslashreplace")).hexdigest()[:12])


def with_unique_ids(hunks: Iterable[Hunk]) -> list[Hunk]:
    """Return the hunks with unique ids: repeats of the same change get a numeric suffix."""
    counts: dict[str, int] = {}
    unique = []
    for hunk in hunks:
        counts[hunk.id] = counts.get(hunk.id, 0) + 1
        unique.append(hunk if counts[hunk.id] == 1 else replace(hunk, id=f"{hunk.id}-{counts[hunk.id]}"))
    return unique


def split_hunk(hunk: Hunk) -> list[Hunk]:
    """Return each change of a hunk as a separate hunk."""
    if len(hunk.parts) < 2:
        return [hunk]
    olds = [*hunk.before, *hunk.old, *hunk.after]
    shift = len(hunk.before)
    hunks: list[Hunk] = []
    for start, end, begin, stop in hunk.parts:
        part = Hunk(
            f"{hunk.id}.{len(hunks) + 1}",
            hunk.path,
            hunk.line + start,
            hunk.old[start:end],
            hunk.new[begin:stop],
            tuple(olds[max(0, shift + start - CONTEXT) : shift + start]),
            tuple(olds[shift + end : shift + end + CONTEXT]),
            parts=((0, end - start, 0, stop - begin),),
        )
        hunks.append(part)
    return hunks


def apply_hunks(old: bytes | None, accepted: Sequence[Hunk]) -> bytes:
    """Return the old data with only the accepted hunks applied."""
    olds = lines_from_bytes(old)
    lines: list[str] = []
    at = 0
    for hunk in sorted(accepted, key=lambda hunk: hunk.line):
        lines += olds[at : hunk.line - 1] + list(hunk.new)
        at = hunk.line - 1 + len(hunk.old)
    return bytes_from_lines(lines + olds[at:])


def hunk_lines(hunk: Hunk) -> list[str]:
    """Return the lines of a hunk in diff format, without line endings."""
    lines = [f" {line}" for line in hunk.before]
    at = 0
    for start, end, begin, stop in hunk.parts or ((0, len(hunk.old), 0, len(hunk.new)),):
        lines += [f" {line}" for line in hunk.old[at:start]]
        lines += [f"-{line}" for line in hunk.old[start:end]] + [
            f"+{line}" for line in hunk.new[begin:stop]
        ]
        at = end
    lines += [f" {line}" for line in (*hunk.old[at:], *hunk.after)]
    return [part for line in lines for part in ([line[:-1]] if line.endswith("\n") else [line, _NO_END])]


def hunk_header(hunk: Hunk, shift: int = 0) -> str:
    """Return the `@@` line of a hunk; `shift` is the number of lines that earlier hunks added."""
    first = hunk.line - len(hunk.before)
    around = len(hunk.before) + len(hunk.after)
    sizes = len(hunk.old) + around, len(hunk.new) + around
    # Git numbers an empty side by the line before it.
    starts = (
        first if size else first - 1 for first, size in zip((first, first + shift), sizes, strict=True)
    )
    return (
        "@@ "
        + " ".join(f"{prefix}{at},{size}" for prefix, at, size in zip("-+", starts, sizes, strict=True))
        + " @@"
    )


def format_diff(difference: FileDiff) -> str:
    """Return the diff of a file in git's format; empty if nothing differs.

    Binary and very large files are named without their lines.
    """
    path, old, new, to = difference
    if old == new and not to:
        return ""
    output = _git_headers(difference)
    if not (is_text(old.data) and is_text(new.data)):
        sizes = " and ".join(
            f"{len(version.data):,} bytes" for version in (old, new) if version.data is not None
        )
        return "\n".join([
            *output,
            f"Binary files {_old_label(path, old)} and {_new_label(to or path, new)} differ ({sizes})",
            "",
        ])
    if old.data != new.data and (old.data or new.data):
        output += [f"--- {_old_label(path, old)}", f"+++ {_new_label(to or path, new)}"]
        shift = 0
        for hunk in _group_hunks(path, lines_from_bytes(old.data), lines_from_bytes(new.data)):
            output += [hunk_header(hunk, shift), *hunk_lines(hunk)]
            shift += len(hunk.new) - len(hunk.old)
    return "\n".join([*output, ""])


def _git_headers(difference: FileDiff) -> list[str]:
    path, old, new, to = difference
    headers = [f"diff --git {quote_path('a/' + path)} {quote_path('b/' + (to or path))}"]
    if old.data is None:
        return [*headers, f"new file mode {_git_mode(new)}"]
    if new.data is None:
        return [*headers, f"deleted file mode {_git_mode(old)}"]
    if _git_mode(old) != _git_mode(new):
        headers += [f"old mode {_git_mode(old)}", f"new mode {_git_mode(new)}"]
    if to:
        headers += [f"rename from {quote_path(path)}", f"rename to {quote_path(to)}"]
    return headers


def _git_mode(version: Version) -> str:
    return "100755" if version.mode & 0o100 else "100644"


def _old_label(path: str, version: Version) -> str:
    return "/dev/null" if version.data is None else quote_path(f"a/{path}")


def _new_label(path: str, version: Version) -> str:
    return "/dev/null" if version.data is None else quote_path(f"b/{path}")


def quote_path(name: str) -> str:
    """Quote a path as git does in diffs, but keep printable non-ASCII characters."""
    if all(map(_is_unquoted, name)):
        return name
    return '"' + "".join(char if _is_unquoted(char) else _octal_escape(char) for char in name) + '"'


def _is_unquoted(char: str) -> bool:
    return char.isprintable() and char not in '"\\'


def _octal_escape(char: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", "surrogateescape"))


def count_changed_lines(hunk: Hunk) -> tuple[int, int]:
    """Return the number of lines that a hunk adds and removes."""
    parts = hunk.parts or ((0, len(hunk.old), 0, len(hunk.new)),)
    return sum(d - c for _, _, c, d in parts), sum(b - a for a, b, _, _ in parts)
