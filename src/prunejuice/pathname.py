"""Which names of files a change may have: one rule, for all that is written on somebody's word.

A name is relative to the root of the tree, has slashes, and means the same file on every system. This is
the part of the rule that can be read from the name; `workspaces.rooted` has the part that the disk must
answer.
"""

import re
import unicodedata
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Literal

from prunejuice.errors import DeniedError
from prunejuice.text import safe_line

LONGEST = 4000
LONGEST_PART = 255
_DEEP = 4
"""How many `**/` of a glob may be no folder."""
Care = Literal["", "shown", "granted"]

_FORBIDDEN = frozenset('\\<>:"|?*')
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # control, format, surrogate, private, unassigned
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?")
_GIT = re.compile(r"\.git([. ].*)?|git~[0-9]+|\.gitmodules")
_OURS = (".codebot/summaries/", ".codebot/reports/")
# What decides which programs run, or what agents are told, on the machine of whoever opens the tree next.
_GRANTED = (
    ".prj", ".codebot", ".claude", ".codex", ".cursor", ".gemini", ".opencode", ".goose", ".continue",
    ".windsurf", ".kiro", ".aider*", ".mcp.json", ".vscode", ".idea", ".fleet", ".zed", ".husky",
    ".githooks", ".devcontainer", ".devcontainer.json", ".envrc", ".direnv", ".pre-commit-config.yaml",
    ".pre-commit-hooks.yaml", ".lefthook.*", "lefthook.yml", ".github/workflows", ".github/actions",
    ".gitlab-ci.yml", ".gitlab", ".circleci", ".buildkite", ".drone.yml", ".travis.yml", ".woodpecker*",
    "azure-pipelines.yml", "bitbucket-pipelines.yml", "jenkinsfile", ".gitattributes", ".gitconfig",
    ".worktreeinclude",
)  # fmt: skip
_SHOWN = (
    ".npmrc", ".yarnrc", ".yarnrc.yml", ".pypirc", "makefile", "gnumakefile", "justfile", "agents.md",
    "claude.md", "gemini.md", "conftest.py", "sitecustomize.py", "*.pth", "dockerfile", "package.json",
    "pyproject.toml", "setup.py", "build.rs", ".cursorrules", ".github",
)  # fmt: skip


def checked(name: str) -> str:
    """The name itself, when a change may have it.

    Raises:
        DeniedError: it may not; the message says which part, and why.
    """
    if why := fault(name):
        raise DeniedError(f"{safe_line(name, 120)!r} {why}", "name a file relative to the top of the tree")
    return name


def fault(name: str) -> str:
    """Why no change may have this name; empty when it may."""
    try:
        long = len(name.encode()) > LONGEST
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if not name or long:
        return "is longer than a name can be" if long else "is no name"
    if name.startswith(("/", "~")):
        return "does not begin in the tree"
    return next((why for part in name.split("/") if (why := _part_fault(part))), "")


def _part_fault(part: str) -> str:
    if part in {"", ".", ".."}:
        return "leads elsewhere: it has an empty part, '.' or '..'"
    if len(part.encode()) > LONGEST_PART:
        return "has a part that is too long"
    odd = next((sign for sign in part if sign in _FORBIDDEN or unicodedata.category(sign) in _UNSEEN), "")
    if odd:
        return f"has the character U+{ord(odd):04X}, which names may not have"
    key = same(part)
    if _GIT.fullmatch(key):
        return "belongs to git"
    if part[-1] in ". " or _DEVICE.fullmatch(key):
        return "is not a name on every system"
    return ""


def same(name: str) -> str:
    """What two names have in common that may be one file: on some systems case and accents do not count."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold())


def care(name: str) -> Care:
    """Whether a file decides what runs: changed only when granted, or to be looked at with care."""
    key = same(name)
    ours = next((key.removeprefix(folder) for folder in _OURS if key.startswith(folder)), "")
    if ours and not _covered(ours, _GRANTED):
        return ""
    if _covered(key, _GRANTED):
        return "granted"
    return "shown" if _covered(key, _SHOWN) else ""


def decides(name: str) -> bool:
    """Whether a file decides what runs; no name does not."""
    return bool(name) and care(name) == "granted"


def _covered(key: str, patterns: Iterable[str]) -> bool:
    """Whether a name, or a folder above it, is one of the patterns; without a slash they count anywhere."""
    parts = key.split("/")
    whole = [*above(key), key]
    for pattern in patterns:
        names = whole if "/" in pattern else parts
        if any(fnmatchcase(each, pattern) for each in names):
            return True
    return False


def globbed(name: str, pattern: str) -> bool:
    """Whether a glob names a file: `**/` may be no folder, and one without a slash counts anywhere."""
    if "/" not in pattern:
        return fnmatchcase(name, pattern) or fnmatchcase(name.rpartition("/")[2], pattern)
    return any(fnmatchcase(name, each) for each in _variants(pattern))


@lru_cache(maxsize=512)
def _variants(pattern: str) -> tuple[str, ...]:
    """A glob with and without each of its first `**/`."""
    first, *rest = re.split(r"(?<![^/])(?:\*\*/)+", pattern, maxsplit=_DEEP)
    found = [first]
    for piece in rest:
        found = [start + deep + piece for start in found for deep in ("", "**/")]
    return tuple(found)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of some globs covers a file: its whole name, a folder above it, or its last part."""
    return any(name.startswith(f"{pattern.rstrip('/')}/") or globbed(name, pattern) for pattern in patterns)


def colliding(names: Iterable[str]) -> tuple[str, str] | None:
    """Two names that cannot both be on every system: the same but for case, or a folder and a file."""
    seen: dict[str, str] = {}
    for name in sorted(names):
        for whole in (*above(name), name):
            other = seen.setdefault(same(whole), whole)
            if other != whole:
                return other, whole
    files = set(names)
    pairs = ((folder, name) for name in sorted(files) for folder in above(name) if folder in files)
    return next(pairs, None)


def above(name: str) -> list[str]:
    """The folders that a name is in, the outermost first."""
    parts = name.split("/")[:-1]
    return ["/".join(parts[: end + 1]) for end in range(len(parts))]
