"""Which files a working tree has, and which content each: what git tracks and what it does not ignore."""

import hashlib
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from prunejuice.git import Git

_LIMIT = 512 << 20
IGNORES = (
    ".aiderignore", ".codeiumignore", ".cursorignore", ".geminiignore", ".claudeignore", ".clineignore",
    ".rooignore", ".aiexclude", ".ignore", ".repomixignore",
)  # fmt: skip
"""Files of other tools that say, in git's own language, what no model should be shown."""
SUBMODULE, LINK, HIDDEN = "a submodule", "a link", "ignored by "
"""Why a path is not read."""
_TYPES = {"160000": SUBMODULE, "120000": LINK}


class Listing(NamedTuple):
    """Paths to the object ids of their contents; those of `changed` are not known to git.

    `apart` are paths that are not read, each with the reason.
    """

    root: str
    head: str
    files: Mapping[str, str]
    changed: frozenset[str]
    apart: Mapping[str, str]


def listed(git: Git, wanted: Collection[str] = ()) -> Listing:
    """The files of a working tree as they are now, `wanted` even where git ignores them.

    Git's index is read and never written.

    Raises:
        GitError: git could not list them.
    """
    found = _Found()
    words = ("ls-files", "-z", "-t", "-s", "-m", "-d", "-o", "--exclude-standard")
    index = Path(git.git_dir) / "index"
    ours = git if _split(index) else git.apart(index)
    for line in ours.run(*words, limit=_LIMIT).split("\0"):
        found.take(line)
    for name in IGNORES:
        if (Path(git.directory) / name).is_file():
            hidden = ours.run(
                "ls-files", "-z", "-c", "-o", "-i", "-X", str(Path(git.directory) / name), limit=_LIMIT
            )
            kept_out = (path for path in hidden.split("\0") if path and path not in wanted)
            found.apart.update(dict.fromkeys(kept_out, f"{HIDDEN}{name}"))
    for path in wanted:
        if path not in found.files and (Path(git.directory) / path).is_file():
            found.changed.add(path)
    return found.listing(git.directory, git.resolve("HEAD"))


class _Found:
    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.apart: dict[str, str] = {}
        self.changed: set[str] = set()
        self.gone: set[str] = set()

    def take(self, line: str) -> None:
        tag = line[:1]
        if tag == "?":
            self.changed.add(line[2:])
            return
        facts, _, path = line.partition("\t")  # tag, mode of six digits, object id, stage of one digit
        if not path:
            return
        mode, oid = facts[2:8], facts[9:-2]
        if tag == "H" and mode not in _TYPES:
            self.files[path] = oid
        elif tag == "R":
            self.gone.add(path)
        elif tag in {"C", "M"}:  # M: a merge has not ended
            self.changed.add(path)
        elif tag == "S":
            self.apart[path] = "not checked out"
        else:
            self.apart[path] = _TYPES[mode]

    def listing(self, root: str, head: str) -> Listing:
        for path in [path for path in self.changed if path.endswith("/")]:
            self.apart[path.rstrip("/")] = "a repository of its own"
            self.changed.discard(path)
        changed = self.changed - self.gone - self.apart.keys()
        files = {
            path: oid
            for path, oid in self.files.items()
            if path not in self.gone and path not in self.apart
        }
        files.update(dict.fromkeys(changed, ""))
        return Listing(root, head, files, frozenset(changed), self.apart)


def hidden(git: Git, paths: Collection[str]) -> set[str]:
    """Those of some paths, there or not, that git or a file of another tool ignores."""
    found: set[str] = set()
    given = "".join(f"{path}\0" for path in paths).encode("utf-8", "surrogateescape")
    for name in IGNORES if paths else ():
        place = Path(git.directory) / name
        if place.is_file():
            words = ("-c", f"core.excludesFile={place}", "check-ignore", "--no-index", "--stdin", "-z")
            said = git.try_(*words, given=given, limit=_LIMIT).out
            found.update(said.decode("utf-8", "surrogateescape").split("\0"))
    return found & set(paths)


def _split(index: Path) -> bool:
    """Whether git keeps a part of the index in another file, which only its own directory leads to."""
    return any(index.parent.glob("sharedindex.*"))


def object_id(content: bytes, like: str = "") -> str:
    """The id that git gives a content, by the hash that another id was made with."""
    algorithm = hashlib.sha256 if len(like) == 64 else hashlib.sha1
    return algorithm(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def why_not(root: str, path: str, largest: int) -> str:
    """Why a file has no content to be shown."""
    try:
        size = Path(root, path).lstat().st_size
    except OSError:
        return "gone, or not to be read"
    return f"larger than {largest:,} bytes" if size > largest else "no plain file, or not to be read"


def content(root: str, path: str, largest: int) -> bytes | None:
    """The bytes of a file; nothing when it is gone, no plain file, or larger than that."""
    with suppress(OSError, ValueError):
        place = Path(root, path)
        if place.is_symlink() or not place.is_file() or place.stat().st_size > largest:
            return None
        with place.open("rb") as file:
            data = file.read(largest + 1)
        return data if len(data) <= largest else None
    return None
