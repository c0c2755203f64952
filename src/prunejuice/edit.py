"""One change to one file, as a model asks for it, and what became of it."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from prunejuice.errors import ConflictError

Operation = Literal["replace", "write", "delete", "rename", "mode"]
Tier = Literal[
    "exact",
    "trailing space",
    "punctuation",
    "indentation",
    "unwrapped",
    "elided",
    "drift",
    "whole",
    "already applied",
]
Cause = Literal["ambiguous", "not found", "elided", "empty", "broken", "binary", "absent", "exists"]


class Edit(Struct, frozen=True, omit_defaults=True):
    """An edit of the file at `path`; where it was said begins at line `said` of the answer (from 1).

    replace: the lines of `search` become those of `replace`. `line` (from 1; -1 is the end of the file)
    and `anchors` (lines that come before, the outermost first) say where, when the lines alone do not.
    `newline` says whether the last line of the file shall end, when that is to change.
    write: the file becomes `replace`; to `create` it, it must not be there.
    delete: it goes, and had the lines of `search` when there are some.
    rename: it is called `to`.  mode: it becomes executable when `to` is `755`, as a new file may.
    """

    operation: Operation
    path: str
    search: tuple[str, ...] = ()
    replace: tuple[str, ...] = ()
    to: str = ""
    line: int = 0
    anchors: tuple[str, ...] = ()
    said: int = 0
    newline: bool | None = None
    create: bool = False


class Placed(Struct, frozen=True):
    """An edit that found its one place: how, the first line there (from 1), and how many there were."""

    tier: Tier
    line: int = 0
    count: int = 0


class RejectedError(ConflictError):
    """An edit that has no place, or more than one. `lines` (from 1) are the places in question."""

    def __init__(self, cause: Cause, message: str, fix: str, lines: Sequence[int] = ()) -> None:
        super().__init__(message, fix)
        self.cause = cause
        self.lines = tuple(lines)


class UnreadableError(ConflictError):
    """An answer that cannot be read as edits; `line` (from 1) is where."""

    def __init__(self, line: int, message: str, fix: str = "") -> None:
        super().__init__(f"line {line} of the answer: {message}" if line else message, fix)
        self.line = line


def shown(texts: Sequence[str], lines: Sequence[int], width: int = 5) -> str:
    """The lines around some places, with their numbers, for whoever made the edit to read again."""
    wanted = sorted({
        n for line in lines[:3] for n in range(line - 2, line - 2 + width) if 1 <= n <= len(texts)
    })
    return "\n".join(f"{number:>5} | {texts[number - 1]}" for number in wanted)
