"""List the files of a working tree with the ids of their contents: tracked files and unignored new ones."""

import hashlib
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from prunejuice.worktrees.git import Git

_MAX_OUTPUT_BYTES = 512 << 20
IGNORE_FILES = (
    ".aiderignore", ".codeiumignore", ".cursorignore", ".geminiignore", ".claudeignore", ".clineignore",
    ".rooignore", ".aiexclude", ".ignore", ".repomixignore",
)  # fmt: skip
"""Files of other tools with paths, in gitignore syntax, that no model should see."""
SUBMODULE, LINK, HIDDEN = "a submodule", "a link", "ignored by "
SEPARATE_REPOSITORY = "a separate repository"
"""Reasons why a path is not read; `HIDDEN` is followed by the name of an ignore file."""
_TYPES = {"160000": SUBMODULE, "120000": LINK}
_ORDINARY = "H 100"
"""The tag and the beginning of the mode of a regular file that git knows."""


class FileListing(NamedTuple):
    """The files of a working tree: paths to the object ids of their contents.

    Files in `changed` have no object in git yet; their id is empty. `skipped` maps unread paths to reasons.
    `untracked` are those of the changed files that git does not know.
    """

    root: str
    head: str
    files: Mapping[str, str]
    changed: frozenset[str]
    skipped: Mapping[str, str]
    untracked: frozenset[str] = frozenset()


def list_files(git: Git, wanted: Collection[str] = ()) -> FileListing:
    """Return the current files of a working tree, and the `wanted` ones even where git ignores them.

    Git's index is never written.

    Raises:
        GitError: git failed.
    """
    arguments = ("ls-files", "-z", "-t", "-s", "-m", "-d", "-o", "--exclude-standard")
    index = Path(git.git_dir) / "index"
    # A split index refers to another file in git's own directory, which a clean one does not have.
    files_git = git if _is_split_index(index) else git.with_clean_config(index)
    output = files_git.run(*arguments, limit=_MAX_OUTPUT_BYTES)
    hidden = {
        path: f"{HIDDEN}{name}"
        for name in IGNORE_FILES
        if (Path(git.directory) / name).is_file()
        for path in _paths_hidden_by(files_git, Path(git.directory) / name)
        if path not in wanted
    }
    present = frozenset(path for path in wanted if (Path(git.directory) / path).is_file())
    return _parse_listing(output, tuple(hidden.items()), present, git.directory, git.resolve("HEAD"))


def _paths_hidden_by(git: Git, ignore_file: Path) -> list[str]:
    output = git.run("ls-files", "-z", "-c", "-o", "-i", "-X", str(ignore_file), limit=_MAX_OUTPUT_BYTES)
    return [path for path in output.split("\0") if path]


@lru_cache(maxsize=2)
def _parse_listing(
    output: str, hidden: tuple[tuple[str, str], ...], wanted: frozenset[str], root: str, head: str
) -> FileListing:
    """Return the listing that git printed; the same output gives the same object."""
    files: dict[str, str] = {}
    skipped: dict[str, str] = {}
    paths_by_tag: dict[str, set[str]] = {"?": set(), "C": set(), "M": set(), "R": set()}
    for line in output.split("\0"):
        metadata, _, path = line.partition("\t")  # tag, mode (6 digits), object id, stage (1 digit)
        tag = line[:1]
        if metadata[:5] == _ORDINARY:
            files[path] = metadata[9:-2]
        elif tag == "?":
            paths_by_tag["?"].add(line[2:])
        elif tag in paths_by_tag:
            paths_by_tag[tag].add(path)
        elif path:
            skipped[path] = "not checked out" if tag == "S" else _TYPES[metadata[2:8]]
    skipped.update(hidden)
    changed = paths_by_tag["?"] | paths_by_tag["C"] | paths_by_tag["M"]  # M: unmerged
    changed |= wanted - files.keys()
    skipped.update((path.rstrip("/"), SEPARATE_REPOSITORY) for path in changed if path.endswith("/"))
    changed = {path for path in changed - paths_by_tag["R"] - skipped.keys() if not path.endswith("/")}
    for path in (*paths_by_tag["R"], *skipped):
        files.pop(path, None)
    files.update(dict.fromkeys(changed, ""))
    untracked = frozenset(changed & paths_by_tag["?"])
    return FileListing(root, head, files, frozenset(changed), skipped, untracked)


def find_ignored_paths(git: Git, paths: Collection[str]) -> set[str]:
    """Return those of the given paths that git or an ignore file of another tool ignores.

    The paths need not exist. Without such an ignore file in the tree, the result is empty.
    """
    ignored: set[str] = set()
    stdin = "".join(f"{path}\0" for path in paths).encode("utf-8", "surrogateescape")
    for name in IGNORE_FILES if paths else ():
        ignore_file = Path(git.directory) / name
        if ignore_file.is_file():
            arguments = (
                "-c",
                f"core.excludesFile={ignore_file}",
                "check-ignore",
                "--no-index",
                "--stdin",
                "-z",
            )
            output = git.try_run(*arguments, given=stdin, limit=_MAX_OUTPUT_BYTES).stdout
            ignored.update(output.decode("utf-8", "surrogateescape").split("\0"))
    return ignored & set(paths)


def _is_split_index(index: Path) -> bool:
    """Return whether git keeps a part of the index in a shared file."""
    return any(index.parent.glob("sharedindex.*"))


def object_id(content: bytes, like: str = "") -> str:
    """Return the git object id of a content, with the hash algorithm of the id `like` (default SHA-1)."""
    algorithm = hashlib.sha256 if len(like) == 64 else hashlib.sha1
    return algorithm(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def unreadable_reason(root: str, path: str, largest: int) -> str:
    """Return why `read_content` returned None for a file; `largest` is in bytes."""
    try:
        size = Path(root, path).lstat().st_size
    except OSError:
        return "missing or unreadable"
    return f"larger than {largest:,} bytes" if size > largest else "not a regular file, or unreadable"


def read_content(root: str, path: str, largest: int) -> bytes | None:
    """Return the bytes of a regular file of at most `largest` bytes, or None."""
    with suppress(OSError, ValueError):
        full_path = Path(root, path)
        if full_path.is_symlink() or not full_path.is_file() or full_path.stat().st_size > largest:
            return None
        with full_path.open("rb") as file:
            data = file.read(largest + 1)
        return data if len(data) <= largest else None
    return None
