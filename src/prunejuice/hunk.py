"""What two versions of a file differ in: hunks, to be judged one by one, and a diff that git can apply."""

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
    """A file before or after: `data` None when it is not there; of a link it is where that leads."""

    data: bytes | None
    mode: int = 0o644
    link: bool = False

    def executable(self, *, on: bool) -> "Version":
        """The same file, which whoever may read it may also run, or nobody may."""
        return self._replace(mode=self.mode | (self.mode & 0o444) >> 2 if on else self.mode & ~0o111)


class Difference(NamedTuple):
    """A file before and after; `to` is its new name when it gets one."""

    path: str
    old: Version
    new: Version
    to: str = ""


class Hunk(Struct, frozen=True):
    """Lines that are replaced by others, with those around them; line ends belong to the lines.

    `line` counts from 1 in the old file. `what` says that the file as a whole is in question: it is
    binary, or comes, goes, or gets another name or mode. `parts` are the changes in it: lines from and to
    in `old`, from and to in `new`.
    """

    id: str
    path: str
    line: int
    old: tuple[str, ...]
    new: tuple[str, ...]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    what: Literal["", "created", "deleted", "renamed", "mode", "binary"] = ""
    parts: tuple[tuple[int, int, int, int], ...] = ()


def is_text(data: bytes | None) -> bool:
    """Whether bytes can be shown as lines; what is not there can."""
    return data is None or (
        b"\0" not in data[:8000] and len(data) <= LARGEST and data.count(b"\n") <= MOST_LINES
    )


def lines_of(data: bytes | None) -> list[str]:
    """The lines of a file with their ends; `data_of` gives the same bytes, UTF-8 or not."""
    parts = (data or b"").decode("utf-8", "surrogateescape").split("\n")
    last = parts.pop()
    return [part + "\n" for part in parts] + ([last] if last else [])


def data_of(lines: Iterable[str]) -> bytes:
    """Lines as the bytes of a file."""
    return "".join(lines).encode("utf-8", "surrogateescape")


def hunks(difference: Difference) -> list[Hunk]:
    """The hunks of a file; one when only the file as a whole can be judged."""
    path, old, new, _ = difference
    if what := _whole(difference):
        shown = is_text(old.data) and is_text(new.data)
        before, after = (lines_of(each.data) if shown else [] for each in (old, new))
        return [named(Hunk("", path, 1, tuple(before), tuple(after), what=what), difference)]
    found = (named(each, difference) for each in _groups(path, lines_of(old.data), lines_of(new.data)))
    return distinct(found)


def _whole(difference: Difference) -> Literal["", "created", "deleted", "renamed", "mode", "binary"]:
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


def _groups(path: str, olds: Sequence[str], news: Sequence[str]) -> list[Hunk]:
    matcher = SequenceMatcher(None, olds, news, autojunk=len(olds) + len(news) > 4000)
    found = []
    for group in matcher.get_grouped_opcodes(CONTEXT):
        parts = [(a, b, c, d) for tag, a, b, c, d in group if tag != "equal"]
        found.append(_region(path, olds, news, parts))
    return found


def _region(
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


def named(hunk: Hunk, difference: Difference) -> Hunk:
    """The hunk with an id that covers all it approves, and not where in the file it is."""
    _, old, new, to = difference
    whole = (old, new) if hunk.what else (old[1:], new[1:])
    parts = repr((hunk.path, to, hunk.what, hunk.old, hunk.new, hunk.parts, whole))
    return replace(hunk, id=hashlib.sha256(parts.encode("utf-8", "backslashreplace")).hexdigest()[:12])


def distinct(found: Iterable[Hunk]) -> list[Hunk]:
    """Hunks of which no two have one id: the second of the same change has a number behind it."""
    seen: dict[str, int] = {}
    made = []
    for each in found:
        seen[each.id] = seen.get(each.id, 0) + 1
        made.append(each if seen[each.id] == 1 else replace(each, id=f"{each.id}-{seen[each.id]}"))
    return made


def split(hunk: Hunk) -> list[Hunk]:
    """The changes of a hunk as hunks of their own."""
    if len(hunk.parts) < 2:
        return [hunk]
    olds = [*hunk.before, *hunk.old, *hunk.after]
    shift = len(hunk.before)
    made: list[Hunk] = []
    for start, end, begin, stop in hunk.parts:
        one = Hunk(
            f"{hunk.id}.{len(made) + 1}",
            hunk.path,
            hunk.line + start,
            hunk.old[start:end],
            hunk.new[begin:stop],
            tuple(olds[max(0, shift + start - CONTEXT) : shift + start]),
            tuple(olds[shift + end : shift + end + CONTEXT]),
            parts=((0, end - start, 0, stop - begin),),
        )
        made.append(one)
    return made


def combined(old: bytes | None, accepted: Sequence[Hunk]) -> bytes:
    """A file with only some of its hunks made."""
    olds = lines_of(old)
    made: list[str] = []
    at = 0
    for hunk in sorted(accepted, key=lambda each: each.line):
        made += olds[at : hunk.line - 1] + list(hunk.new)
        at = hunk.line - 1 + len(hunk.old)
    return data_of(made + olds[at:])


def lines(hunk: Hunk) -> list[str]:
    """The lines of a hunk as a diff has them, without ends."""
    shown = [f" {line}" for line in hunk.before]
    at = 0
    for start, end, begin, stop in hunk.parts or ((0, len(hunk.old), 0, len(hunk.new)),):
        shown += [f" {line}" for line in hunk.old[at:start]]
        shown += [f"-{line}" for line in hunk.old[start:end]] + [
            f"+{line}" for line in hunk.new[begin:stop]
        ]
        at = end
    shown += [f" {line}" for line in (*hunk.old[at:], *hunk.after)]
    return [part for line in shown for part in ([line[:-1]] if line.endswith("\n") else [line, _NO_END])]


def header(hunk: Hunk, shift: int = 0) -> str:
    """The `@@` line of a hunk; `shift` is by how much lines before it moved."""
    first = hunk.line - len(hunk.before)
    around = len(hunk.before) + len(hunk.after)
    sizes = len(hunk.old) + around, len(hunk.new) + around
    starts = (
        first if size else first - 1 for first, size in zip((first, first + shift), sizes, strict=True)
    )
    return (
        "@@ "
        + " ".join(f"{sign}{at},{size}" for sign, at, size in zip("-+", starts, sizes, strict=True))
        + " @@"
    )


def diff(difference: Difference) -> str:
    """A file's diff as git writes it, empty when nothing differs; binary and huge files are only named."""
    path, old, new, to = difference
    if old == new and not to:
        return ""
    shown = _headers(difference)
    if not (is_text(old.data) and is_text(new.data)):
        sizes = " and ".join(f"{len(each.data):,} bytes" for each in (old, new) if each.data is not None)
        return "\n".join([
            *shown,
            f"Binary files {_old(path, old)} and {_new(to or path, new)} differ ({sizes})",
            "",
        ])
    if old.data != new.data and (old.data or new.data):
        shown += [f"--- {_old(path, old)}", f"+++ {_new(to or path, new)}"]
        shift = 0
        for each in _groups(path, lines_of(old.data), lines_of(new.data)):
            shown += [header(each, shift), *lines(each)]
            shift += len(each.new) - len(each.old)
    return "\n".join([*shown, ""])


def _headers(difference: Difference) -> list[str]:
    path, old, new, to = difference
    shown = [f"diff --git {quoted('a/' + path)} {quoted('b/' + (to or path))}"]
    if old.data is None:
        return [*shown, f"new file mode {_mode(new)}"]
    if new.data is None:
        return [*shown, f"deleted file mode {_mode(old)}"]
    if _mode(old) != _mode(new):
        shown += [f"old mode {_mode(old)}", f"new mode {_mode(new)}"]
    if to:
        shown += [f"rename from {quoted(path)}", f"rename to {quoted(to)}"]
    return shown


def _mode(version: Version) -> str:
    return "100755" if version.mode & 0o100 else "100644"


def _old(path: str, version: Version) -> str:
    return "/dev/null" if version.data is None else quoted(f"a/{path}")


def _new(path: str, version: Version) -> str:
    return "/dev/null" if version.data is None else quoted(f"b/{path}")


def quoted(name: str) -> str:
    """A name as git's diffs have it, with octal bytes where it cannot be read; letters stay as they are."""
    if all(map(_is_plain, name)):
        return name
    return '"' + "".join(sign if _is_plain(sign) else _octal(sign) for sign in name) + '"'


def _is_plain(sign: str) -> bool:
    return sign.isprintable() and sign not in '"\\'


def _octal(sign: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in sign.encode("utf-8", "surrogateescape"))


def counted(hunk: Hunk) -> tuple[int, int]:
    """How many lines a hunk puts in, and takes away."""
    parts = hunk.parts or ((0, len(hunk.old), 0, len(hunk.new)),)
    return sum(d - c for _, _, c, d in parts), sum(b - a for a, b, _, _ in parts)
