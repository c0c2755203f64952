"""One requested change to one file, and its result: a placement or a rejection."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from prunejuice.code.mask_secrets import mask_secrets
from prunejuice.code.notebook import is_notebook
from prunejuice.errors import ConflictError

EditOperation = Literal["replace", "write", "delete", "rename", "mode"]
MatchStrategy = Literal[
    "exact",
    "trailing space",
    "punctuation",
    "indentation",
    "spacing",
    "unwrapped",
    "elided",
    "masked",
    "drift",
    "whole",
    "already applied",
]
RejectionCause = Literal[
    "ambiguous", "not found", "elided", "empty", "broken", "binary", "absent", "exists"
]


class Edit(Struct, frozen=True, omit_defaults=True):
    """A change to the file at `path`; `answer_line` is where it begins in the answer (from 1).

    replace: Replace the lines of `search` with those of `replace`. If `search` is not unique, `line`
        (from 1; -1 is the end of the file) and `anchors` (lines before it, outermost first) select the
        place. To `insert`, `search` is empty, and `replace` goes after line `line` (0: to the top).
        `newline` says whether the last line ends with a newline; None leaves it unchanged.
    write: Write `replace` as the whole file; with `create`, the file must not exist. A first line that is
        the `label` names the file, and is left out of an existing file that does not begin with it.
    delete: Delete the file; if `search` is not empty, the file must have these lines.
    rename: Rename the file to `to`.
    mode: Make the file executable if `to` is `755`, else not; a `write` that creates a file honours it too.

    If the edit `is_text`, `search` may begin and end within a line. If the path is a `guess`, it may be a
    word of the prose: without such a file, the edit is for the file at `otherwise`, or is none. `removes`
    are the names that the answer says it removes. `readings` are the possible pairs of `search` and
    `replace` of a block that could be divided in several places; the longest that the file has is meant.
    """

    operation: EditOperation
    path: str
    search: tuple[str, ...] = ()
    replace: tuple[str, ...] = ()
    to: str = ""
    line: int = 0
    anchors: tuple[str, ...] = ()
    answer_line: int = 0
    newline: bool | None = None
    create: bool = False
    is_text: bool = False
    guess: bool = False
    otherwise: str = ""
    removes: frozenset[str] = frozenset()
    insert: bool = False
    label: str = ""
    readings: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = ()


class Placement(Struct, frozen=True):
    """Where an edit was placed: the strategy, the first line (from 1), and the number of lines."""

    strategy: MatchStrategy
    line: int = 0
    count: int = 0


class EditRejectedError(ConflictError):
    """An edit that cannot be applied; `lines` (from 1) are the candidate places."""

    def __init__(self, cause: RejectionCause, message: str, fix: str, lines: Sequence[int] = ()) -> None:
        super().__init__(message, fix)
        self.cause = cause
        self.lines = tuple(lines)


class UnreadableAnswerError(ConflictError):
    """An answer that cannot be parsed as edits; `line` (from 1) is the position of the error, or 0."""

    def __init__(self, line: int, message: str, fix: str = "") -> None:
        super().__init__(f"line {line} of the answer: {message}" if line else message, fix)
        self.line = line


def numbered_excerpt(path: str, texts: Sequence[str], lines: Sequence[int], width: int = 5) -> str:
    """Return up to three excerpts of `width` numbered lines, so the author can correct the edit.

    Secrets are masked as in a context, since the author may be a model.
    """
    texts = mask_secrets(path, "\n".join(texts)).split("\n")
    numbers = sorted({
        n for line in lines[:3] for n in range(line - 2, line - 2 + width) if 1 <= n <= len(texts)
    })
    return "\n".join(f"{number:>5} | {texts[number - 1]}" for number in numbers)


def notebook_hint(path: str) -> str:
    """Return how to write the lines of a notebook; empty for any other file."""
    hint = r'a notebook is JSON: write each line of a cell as in the file, such as `"x = 1\n",`; '
    return hint if is_notebook(path) else ""
