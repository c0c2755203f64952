"""What a working tree differs in from a commit: the text of it, and the lines of each file."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from prunejuice.git import Git
from prunejuice.screening import masked

_WORDS = (
    "-c", "core.quotePath=false", "diff", "--no-ext-diff", "--no-textconv", "--no-renames", "--no-color",
    "--src-prefix=a/", "--dst-prefix=b/",
)  # fmt: skip
_MOST = 64 << 20
"""Bytes of a difference that are looked at; what comes behind them is cut."""
_FILE = re.compile(r"^diff --git ", re.M)
_NAMED = re.compile(r"^(?:---|\+\+\+) (?:\"[ab]/(.*)\"|[ab]/(.*?))\t?$", re.M)
_BINARY = re.compile(r"^Binary files (?:a/(.*)|/dev/null) and (?:b/(.*)|/dev/null) differ$", re.M)
_HUNK = re.compile(r"^@@ -\S+ \+(\d+)(?:,(\d+))? @@", re.M)
_ESCAPES = {
    b"n": b"\n", b"t": b"\t", b'"': b'"', b"\\": b"\\", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"r": b"\r",
    b"v": b"\v",
}  # fmt: skip
Lines = list[tuple[int, int]]


class Difference(NamedTuple):
    """What each file that differs says of it, and which lines; nothing of files that are new."""

    sections: Mapping[str, str] = {}
    lines: Mapping[str, Lines] = {}

    def text(self, fits: Callable[[str], bool]) -> str:
        """The difference of the files that fit, secrets masked."""
        return "".join(masked(path, text) for path, text in self.sections.items() if fits(path))


def difference(git: Git, since: str, context: int) -> Difference:
    """How the files of a tree differ from a commit, named by its id, with some lines around.

    A path is never handed to git: names may be very many, and may mean something to it.
    """
    ours = git.apart(Path(git.git_dir) / "index")
    done = ours.try_(*_WORDS, f"-U{context}", since, "--", limit=_MOST)
    said = done.out.decode("utf-8", "surrogateescape")
    every = [f"diff --git {rest}" for rest in _FILE.split(said)[1:]]
    sections = {path: section for section in every if (path := _path(section))}
    lines = {path: list(map(_range, _HUNK.finditer(sections[path]))) for path in sections}
    return Difference(sections, lines)


def _range(hunk: "re.Match[str]") -> tuple[int, int]:
    first, count = int(hunk[1]), int(hunk[2] if hunk[2] is not None else 1)
    return max(first, 1), max(first, 1) + max(count, 1) - 1


def _path(section: str) -> str:
    """The path of a section, also of a file that is gone; empty where it cannot be told."""
    head = section.partition("\n@@ ")[0]
    names = [_unquoted(quoted) if quoted else plain for quoted, plain in _NAMED.findall(head)]
    if not names and (binary := _BINARY.search(head)):
        names = [name for name in binary.groups() if name]
    if not names:  # an empty file, or only its mode: "a/PATH b/PATH"
        first = head.partition("\n")[0].removeprefix("diff --git ")
        half = first[: len(first) // 2]
        names = [half[2:]] if first == f"{half} b{half[1:]}" else []
    return names[-1] if names else ""


def _unquoted(name: str) -> str:
    """A path that git wrote with escapes."""

    def plain(match: "re.Match[bytes]") -> bytes:
        return _ESCAPES.get(match[1]) or bytes([int(match[1], 8)])

    data = name.encode("utf-8", "surrogateescape")
    return re.sub(rb"\\([0-7]{3}|.)", plain, data).decode("utf-8", "surrogateescape")
