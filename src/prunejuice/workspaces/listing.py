"""Which worktrees a repository has, what we know of those that we made, and what would be lost with one."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from prunejuice.git import Git
from prunejuice.workspaces import operation

MAX_BRANCH = 100
_WINDOWS = {"CON", "PRN", "AUX", "NUL", *(f"{n}{i}" for n in ("COM", "LPT") for i in range(1, 10))}
BRANCHES = ("refs/heads", "refs/remotes", "refs/tags")


class Made(Struct, frozen=True):
    """A worktree of ours: `base` is where its branch began, `made_branch` whether that was made with it."""

    path: str
    branch: str
    base: str
    owner: str
    git_dir: str = ""
    made_branch: bool = False
    reused: bool = False


class Entry(NamedTuple):
    """A worktree of the repository, whoever made it; `gone` when its folder is not there any more.

    It is `stray` when that folder does not say that it belongs here: then it is only looked at.
    """

    path: Path
    git_dir: Path
    head: str
    branch: str
    main: bool = False
    locked: str = ""
    gone: bool = False
    stray: bool = False
    made: Made | None = None

    @property
    def is_sound(self) -> bool:
        """Whether its folder is there, and belongs here."""
        return not (self.gone or self.stray)

    def busy(self) -> str:
        """The branch that a rebase or bisection in it will come back to; nothing when there is none."""
        for name in ("rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START"):
            if line := first_line(self.git_dir / name):
                return line.removeprefix("refs/heads/")
        return ""


class Records(NamedTuple):
    """What the git directory keeps about the worktrees of ours."""

    common: Path
    key: bytes

    def place(self, path: str, *, finished: bool = True) -> Path:
        """The file about a worktree."""
        name = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        return self.common / "prunejuice" / "worktrees" / f"{name}.{'made' if finished else 'making'}.json"

    def write(self, made: Made, *, finished: bool) -> None:
        """Keep a record; one that a power cut takes goes together with the worktree."""
        operation.put(
            self.place(made.path, finished=finished), operation.sealed(made, self.key), durable=False
        )
        if finished:
            self.place(made.path, finished=False).unlink(missing_ok=True)

    def forget(self, made: Made) -> None:
        """Keep nothing more about a worktree."""
        for finished in (False, True):
            self.place(made.path, finished=finished).unlink(missing_ok=True)

    def find(self, path: str | Path) -> Made | None:
        """The record of a finished worktree."""
        return operation.opened(self.place(str(path)), self.key, Made)

    def unfinished(self) -> list[Made]:
        """The records of worktrees that were being made."""
        found = (
            operation.opened(path, self.key, Made) for path in self.place("").parent.glob("*.making.json")
        )
        return [made for made in found if made is not None]


def records(git: Git) -> Records:
    """What we know of the worktrees of a repository."""
    return Records(Path(git.common), operation.key(git.environ))


def entries(git: Git, only: Path | None = None) -> list[Entry]:
    """All worktrees of the repository, or `only` that at a path; read from the git directory itself.

    The main one, if there is one, comes first.
    """
    common = Path(git.common)
    head = _head(first_line(common / "HEAD"))
    main = [Entry(Path(git.main), common, *head, main=True)] if git.main else []
    known = records(git)
    found = (_entry(git_dir, known, only) for git_dir in sorted((common / "worktrees").glob("*")))
    every = [*main, *(each for each in found if each is not None)]
    return [each for each in every if only in {None, each.path}]


def _entry(git_dir: Path, known: Records, only: Path | None) -> Entry | None:
    named = first_line(git_dir / "gitdir")
    path = Path(os.path.normpath(git_dir / named)).parent
    if not named or only not in {None, path}:
        return None
    lock = git_dir / "locked"
    back = first_line(path / ".git").removeprefix("gitdir: ")
    gone = not os.path.lexists(path)
    return Entry(
        path,
        git_dir,
        *_head(first_line(git_dir / "HEAD")),
        locked=(first_line(lock) or "locked") if lock.is_file() else "",
        gone=gone,
        stray=not gone and back != str(git_dir) and not _same(path / back, git_dir),
        made=known.find(path),
    )


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def first_line(path: Path) -> str:
    """What a file of one line says; nothing when it cannot be read."""
    with suppress(OSError):
        return os.fsdecode(path.read_bytes()).rstrip("\n")
    return ""


def _head(line: str) -> tuple[str, str]:
    """The commit and the branch that a HEAD file says; one of them is empty."""
    ref = line.removeprefix("ref: ")
    return ("", ref.removeprefix("refs/heads/")) if ref != line else (line, "")


def unsaved(git: Git) -> str:
    """What would be lost with a worktree: changes, commits in no branch; nothing when nothing would.

    `git` is bound to the worktree. Ignored files do not count.
    """
    return examined(git)[0]


def examined(git: Git) -> tuple[str, str]:
    """What would be lost with a worktree, and the commit at which it stands."""
    files = git.apart(Path(git.git_dir) / "index")
    asked = ("-z", "-v", "-s", "--cached", "--modified", "--deleted", "--others", "--exclude-standard")
    with ThreadPoolExecutor(1) as aside:
        listing = aside.submit(files.run, "ls-files", *asked, limit=1 << 30)
        head = git.resolve("HEAD")
        staged = bool(head and files.try_("diff-index", "--cached", "--quiet", head, "--").code)
        listed = [line for line in listing.result().split("\0") if line]
    # All but files and links that are as they were.
    odd = (line for line in listed if not line.startswith(("H 10", "H 12")))
    why = next(filter(None, (_would_go(Path(git.directory), line) for line in odd)), "")
    if not why and (staged or (listed and not head)):
        why = "it has changes that are not committed" if staged else "it has a branch without a commit"
    return why or _in_no_branch(git, head), head


def _in_no_branch(git: Git, head: str) -> str:
    branch = _head(first_line(Path(git.git_dir) / "HEAD"))[1]
    if branch or not head or git.run("for-each-ref", "--count=1", "--contains", head, *BRANCHES):
        return ""
    return "it has commits that are in no branch"


def _would_go(top: Path, line: str) -> str:
    """What a line of `ls-files -v -s` says would be lost: a tag, perhaps mode, hash and stage, a path."""
    tag, rest = line[:1], line[2:]
    if tag in {"C", "R", "M", "?", "K"}:
        return "it has changes that are not committed"
    meta, _, path = rest.partition("\t")
    there = top / path
    if meta.startswith("160000") and there.is_dir() and any(there.iterdir()):
        return "it has a submodule that is checked out"
    if (tag.islower() or tag == "S") and os.path.lexists(there):
        return "it has files whose changes git was told not to look at"
    return ""


def checked_out(git: Git, branch: str) -> str:
    """Where a branch is checked out; nothing when it is nowhere."""
    return next((str(each.path) for each in entries(git) if branch in {each.branch, each.busy()}), "")


def branch_fault(git: Git, branch: str) -> str:
    """What is wrong with a name for a branch; nothing when it is good."""
    if len(branch) > MAX_BRANCH:
        return f"longer than {MAX_BRANCH} characters"
    if not branch[:1].isalnum() or not all(c.isalnum() or c in "._/-" for c in branch):
        return "must begin with a letter or digit and hold only letters, digits and . _ / -"
    if not branch.isascii() or branch.startswith("refs/") or branch.upper() == "HEAD":
        return "is not a plain name"
    if any(part.split(".")[0].upper() in _WINDOWS for part in branch.split("/")):
        return "is a name that Windows keeps for devices"
    if git.try_("check-ref-format", f"refs/heads/{branch}").code:
        return "is not a name that git takes for a branch"
    return ""
