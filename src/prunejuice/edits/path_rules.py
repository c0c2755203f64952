"""Validation of the file paths that a change may name.

A valid path is relative to the root of the tree, uses forward slashes, and names the same file on every
system. This module checks the text of a path; `changes.dirfd` checks what the path leads to on disk.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from prunejuice.errors import DeniedError, UsageError
from prunejuice.text import is_device_name, safe_line

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

MAX_PATH_BYTES = 4000
MAX_PART_BYTES = 255
MAX_GLOBSTARS = 4
"""The number of `**` in a glob; matching takes time exponential in it."""

_FORBIDDEN = frozenset('\\<>:"|?*')
_INVISIBLE_CATEGORIES = {
    "Cc",
    "Cf",
    "Cs",
    "Co",
    "Cn",
    "Zl",
    "Zp",
}  # control, format, surrogate, private, unassigned
# `git~1` is the short name that Windows gives `.git`, and `gitmod~1` that of `.gitmodules`.
_GIT = re.compile(r"\.git([. ].*)?|git~[0-9]+|\.gitmodules|gitmod~[0-9]+|gi7eba~[0-9]+")


def require_valid_path(name: str) -> str:
    """Return `name` unchanged if a change may name it.

    Raises:
        DeniedError: The path is invalid; the message gives the reason.
    """
    if reason := invalid_path_reason(name):
        raise DeniedError(
            f"{safe_line(name, 120)!r} {reason}", "use a path relative to the root of the tree"
        )
    return name


def invalid_path_reason(name: str) -> str:
    """Return the reason why a path is invalid, or an empty string if it is valid."""
    try:
        too_long = len(name.encode()) > MAX_PATH_BYTES
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if not name or too_long:
        return f"is longer than {MAX_PATH_BYTES} bytes" if too_long else "is empty"
    if name.startswith(("/", "~")):
        return "is not a relative path"
    if reason := next((reason for part in name.split("/") if (reason := _invalid_part_reason(part))), ""):
        return reason
    # A folder with HEAD, objects and refs is a repository, whose config any call of git inside it runs.
    is_head = "/" in name and collision_key(name).endswith("/head")
    return "would make a git repository of its folder" if is_head else ""


def _invalid_part_reason(part: str) -> str:
    if part in {"", ".", ".."}:
        return "has an empty, '.' or '..' component"
    if len(part.encode()) > MAX_PART_BYTES:
        return f"has a component longer than {MAX_PART_BYTES} bytes"
    forbidden = next(
        (
            char
            for char in part
            if char in _FORBIDDEN or unicodedata.category(char) in _INVISIBLE_CATEGORIES
        ),
        "",
    )
    if forbidden:
        return f"contains the forbidden character U+{ord(forbidden):04X}"
    key = collision_key(part)
    if _GIT.fullmatch(key):
        return "belongs to git"
    # Windows drops trailing dots and spaces, and reserves device names whatever their suffix.
    if part[-1] in ". " or is_device_name(key):
        return "is not a valid name on every system"
    return ""


def collision_key(name: str) -> str:
    """Return a key that is equal for two names that may be the same file.

    Some file systems ignore case or normalize Unicode.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold())


def matches_glob(name: str, pattern: str) -> bool:
    """Return whether a glob matches a path or a folder above it, by the rules of a gitignore file.

    `*` stays within a folder, `**/` matches any number of folders, and a glob without a slash matches at
    any depth.

    Raises:
        UsageError: The glob is invalid, or has more than `MAX_GLOBSTARS` `**`.
    """
    return bool(_compile_glob(pattern).match_file(name))


@lru_cache(maxsize=512)
def _compile_glob(pattern: str) -> "GitIgnoreSpec":
    from pathspec import GitIgnoreSpec  # noqa: PLC0415 - slow
    from pathspec.patterns.gitignore import GitIgnorePatternError  # noqa: PLC0415 - the same

    glob = re.sub(r"(?<![^/])(?:\*\*/)+", "**/", pattern)
    if glob.count("**") > MAX_GLOBSTARS:
        raise UsageError(
            f"the glob {safe_line(pattern, 60)!r} has more than {MAX_GLOBSTARS} '**'", "use fewer"
        )
    # A leading `!` or `#` has a meaning in a gitignore file only.
    line = f"\\{glob}" if glob[:1] in {"!", "#"} else glob
    try:
        return GitIgnoreSpec.from_lines([line])
    except GitIgnorePatternError as error:
        raise UsageError(
            f"invalid glob {safe_line(pattern, 60)!r}", "see the pattern format of gitignore"
        ) from error


def matches_any(name: str, patterns: Iterable[str]) -> bool:
    """Return whether one of the globs matches the path or a folder above it."""
    return any(matches_glob(name, pattern) for pattern in patterns)


def find_collision(names: Iterable[str]) -> tuple[str, str] | None:
    """Return two paths that cannot coexist on every system, or None.

    They differ only in case or accents, or one is a folder and the other a file.
    """
    first_spellings: dict[str, str] = {}
    for name in sorted(names):
        for path in (*parent_folders(name), name):
            first = first_spellings.setdefault(collision_key(path), path)
            if first != path:
                return first, path
    files = set(names)
    pairs = ((folder, name) for name in sorted(files) for folder in parent_folders(name) if folder in files)
    return next(pairs, None)


def parent_folders(name: str) -> list[str]:
    """Return the folders that contain a path, outermost first."""
    parts = name.split("/")[:-1]
    return ["/".join(parts[: end + 1]) for end in range(len(parts))]
