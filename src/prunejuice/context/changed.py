"""The diff of a working tree against a commit: its text, and the changed lines of each file."""

import re
from collections.abc import Callable, Iterator, Mapping, Set
from pathlib import Path
from typing import NamedTuple

from prunejuice.code.exclude import exclusion_reason
from prunejuice.code.mask_secrets import mask_secrets
from prunejuice.worktrees.file_listing import FileListing
from prunejuice.worktrees.git import Git

_WORDS = (
    "-c", "core.quotePath=false", "diff", "--no-ext-diff", "--no-textconv", "--no-renames", "--no-color",
    "--src-prefix=a/", "--dst-prefix=b/",
)  # fmt: skip
_MAX_BYTES = 64 << 20
"""Bytes of a diff that are read; the rest is cut off."""
_FILE = re.compile(r"^diff --git ", re.M)
_NAMED = re.compile(r"^(?:---|\+\+\+) (?:\"[ab]/(.*)\"|[ab]/(.*?))\t?$", re.M)
_BINARY = re.compile(r"^Binary files (?:a/(.*)|/dev/null) and (?:b/(.*)|/dev/null) differ$", re.M)
_HUNK = re.compile(r"^@@ -\S+ \+(\d+)(?:,(\d+))? @@", re.M)
_ESCAPES = {
    b"n": b"\n", b"t": b"\t", b'"': b'"', b"\\": b"\\", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"r": b"\r",
    b"v": b"\v",
}  # fmt: skip
_OWN_FOLDERS = (".prj/", ".codebot/")
_MAX_NEW_FILES = 8
_FEWEST_SECRET_CHARS = 6
LineRanges = list[tuple[int, int]]


class TreeDiff(NamedTuple):
    """The section of the diff and the changed lines of each file; without untracked files."""

    sections: Mapping[str, str] = {}
    lines: Mapping[str, LineRanges] = {}

    def text(self, fits: Callable[[str], bool]) -> str:
        """Return the diff of the files that fit, secrets masked."""
        # A file of secrets that is renamed stands in the diff under a name that says nothing of them.
        hidden = {line for path, text in self.sections.items() for line in _secret_lines(path, text)}
        shown = (mask_secrets(path, text) for path, text in self.sections.items() if fits(path))
        return "".join(_mask_lines(text, hidden) for text in shown)


def _secret_lines(path: str, section: str) -> Iterator[str]:
    """Yield the removed lines of a file of secrets."""
    if exclusion_reason(path) in {"a key", "may hold secrets"}:
        removed = (line[1:].strip() for line in section.split("\n") if line.startswith("-"))
        yield from (line for line in removed if len(line) >= _FEWEST_SECRET_CHARS)


def _mask_lines(section: str, hidden: Set[str]) -> str:
    if not hidden:
        return section
    lines = (f"{line[:1]}***" if line[1:].strip() in hidden else line for line in section.split("\n"))
    return "\n".join(lines)


def read_tree_diff(git: Git, since: str, context: int) -> TreeDiff:
    """Return the diff of a tree against a commit id, with `context` lines around each change.

    No paths are passed to git: there may be too many for a command line, and git may read them as patterns.
    """
    # The user's diff settings, such as an external diff or other prefixes, would change the output.
    clean_git = git.with_clean_config(Path(git.git_dir) / "index")
    result = clean_git.try_run(*_WORDS, f"-U{context}", since, "--", limit=_MAX_BYTES)
    output = result.stdout.decode("utf-8", "surrogateescape")
    all_sections = [f"diff --git {rest}" for rest in _FILE.split(output)[1:]]
    sections = {path: section for section in all_sections if (path := _section_path(section))}
    lines = {path: list(map(_hunk_range, _HUNK.finditer(sections[path]))) for path in sections}
    return TreeDiff(sections, lines)


def _hunk_range(hunk: "re.Match[str]") -> tuple[int, int]:
    first, count = int(hunk[1]), int(hunk[2] if hunk[2] is not None else 1)
    return max(first, 1), max(first, 1) + max(count, 1) - 1


def _section_path(section: str) -> str:
    """Return the path of a section, also of a deleted file; empty if it cannot be determined."""
    header = section.partition("\n@@ ")[0]
    names = [_unquote_path(quoted) if quoted else plain for quoted, plain in _NAMED.findall(header)]
    if not names and (binary := _BINARY.search(header)):
        names = [name for name in binary.groups() if name]
    if not names:  # an empty file, or only its mode: "a/PATH b/PATH"
        paths = header.partition("\n")[0].removeprefix("diff --git ")
        first_half = paths[: len(paths) // 2]
        names = [first_half[2:]] if paths == f"{first_half} b{first_half[1:]}" else []
    return names[-1] if names else ""


def _unquote_path(name: str) -> str:
    """Return a path without git's escapes."""

    def unescape(match: "re.Match[bytes]") -> bytes:
        return _ESCAPES.get(match[1]) or bytes([int(match[1], 8)])

    data = name.encode("utf-8", "surrogateescape")
    return re.sub(rb"\\([0-7]{3}|.)", unescape, data).decode("utf-8", "surrogateescape")


def changed_by_hand(listing: FileListing) -> frozenset[str]:
    """Return the changed files that say what a person works on.

    Before the first commit every file counts as changed, which says nothing; nor do many new files at once,
    or the files that `prj init` creates.
    """
    if not listing.head:
        return frozenset()
    new = {path for path in listing.untracked if not path.startswith(_OWN_FOLDERS)}
    return listing.changed - listing.untracked | (new if len(new) <= _MAX_NEW_FILES else set())
