"""List the files of a working tree with the ids of their contents: tracked files and unignored new ones."""

import hashlib
from collections.abc import Collection, Mapping
from contextlib import suppress
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
"""Reasons why a path is not read; `HIDDEN` is followed by the name of an ignore file."""
_TYPES = {"160000": SUBMODULE, "120000": LINK}


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
    collector = _FileCollector()
    arguments = ("ls-files", "-z", "-t", "-s", "-m", "-d", "-o", "--exclude-standard")
    index = Path(git.git_dir) / "index"
    # A split index refers to another file in git's own directory, which a clean one does not have.
    files_git = git if _is_split_index(index) else git.with_clean_config(index)
    for line in files_git.run(*arguments, limit=_MAX_OUTPUT_BYTES).split("\0"):
        collector.add_line(line)
    for name in IGNORE_FILES:
        if (Path(git.directory) / name).is_file():
            output = files_git.run(
                "ls-files",
                "-z",
                "-c",
                "-o",
                "-i",
                "-X",
                str(Path(git.directory) / name),
                limit=_MAX_OUTPUT_BYTES,
            )
            hidden_paths = (path for path in output.split("\0") if path and path not in wanted)
            collector.skipped.update(dict.fromkeys(hidden_paths, f"{HIDDEN}{name}"))
    for path in wanted:
        if path not in collector.files and (Path(git.directory) / path).is_file():
            collector.changed.add(path)
    return collector.to_listing(git.directory, git.resolve("HEAD"))


class _FileCollector:
    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.skipped: dict[str, str] = {}
        self.changed: set[str] = set()
        self.deleted: set[str] = set()
        self.untracked: set[str] = set()

    def add_line(self, line: str) -> None:
        tag = line[:1]
        if tag == "?":
            self.changed.add(line[2:])
            self.untracked.add(line[2:])
            return
        metadata, _, path = line.partition("\t")  # tag, mode (6 digits), object id, stage (1 digit)
        if not path:
            return
        mode, oid = metadata[2:8], metadata[9:-2]
        if tag == "H" and mode not in _TYPES:
            self.files[path] = oid
        elif tag == "R":
            self.deleted.add(path)
        elif tag in {"C", "M"}:  # M: unmerged
            self.changed.add(path)
        elif tag == "S":
            self.skipped[path] = "not checked out"
        else:
            self.skipped[path] = _TYPES[mode]

    def to_listing(self, root: str, head: str) -> FileListing:
        for path in [path for path in self.changed if path.endswith("/")]:
            self.skipped[path.rstrip("/")] = "a separate repository"
            self.changed.discard(path)
        changed = self.changed - self.deleted - self.skipped.keys()
        files = {
            path: oid
            for path, oid in self.files.items()
            if path not in self.deleted and path not in self.skipped
        }
        files.update(dict.fromkeys(changed, ""))
        untracked = frozenset(changed & self.untracked)
        return FileListing(root, head, files, frozenset(changed), self.skipped, untracked)


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
