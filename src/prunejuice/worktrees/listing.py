"""List the worktrees of a repository, and keep records of those created here."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from prunejuice.text import safe_text
from prunejuice.worktrees import oplog
from prunejuice.worktrees.git import Git
from prunejuice.worktrees.prune_lock import read_users_lock

MAX_BRANCH_BYTES = 200
"""The longest branch name; the folder is named after the branch."""


class WorktreeRecord(Struct, frozen=True):
    """A worktree created here; `made_branch` says that its branch is new and started at `base`."""

    path: str
    branch: str
    base: str
    owner: str
    git_dir: str = ""
    made_branch: bool = False
    reused: bool = False


class Worktree(NamedTuple):
    """A worktree of the repository, whoever created it.

    `gone` means that its folder is missing. `stray` means that the `.git` file in the folder points to
    another git directory; a stray worktree is never changed. `locked` is the reason of a lock, or empty.
    """

    path: Path
    git_dir: Path
    head: str
    branch: str
    main: bool = False
    locked: str = ""
    gone: bool = False
    stray: bool = False
    record: WorktreeRecord | None = None

    @property
    def is_sound(self) -> bool:
        """Whether the folder exists and belongs to this repository."""
        return not (self.gone or self.stray)

    def busy_branch(self) -> str:
        """Return the branch that a running rebase or bisection will return to, or ""."""
        for name in ("rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START"):
            if line := read_first_line(self.git_dir / name):
                return line.removeprefix("refs/heads/")
        return ""


class WorktreeRecords(NamedTuple):
    """The records in a common git directory; `key` signs the files."""

    common: Path
    key: bytes

    def record_path(self, path: str, *, finished: bool = True) -> Path:
        """Return the file of a record."""
        name = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        return self.common / "prunejuice" / "worktrees" / f"{name}.{'made' if finished else 'making'}.json"

    def write(self, record: WorktreeRecord, *, finished: bool) -> None:
        """Write a record, not durably: a power failure that loses it also loses the worktree."""
        oplog.write_atomically(
            self.record_path(record.path, finished=finished),
            oplog.encode_with_signature(record, self.key),
            durable=False,
        )
        if finished:
            self.record_path(record.path, finished=False).unlink(missing_ok=True)

    def forget(self, record: WorktreeRecord) -> None:
        """Delete the record of a worktree."""
        for finished in (False, True):
            self.record_path(record.path, finished=finished).unlink(missing_ok=True)

    def find(self, path: str | Path) -> WorktreeRecord | None:
        """Return the record of a finished worktree."""
        return oplog.read_with_signature(self.record_path(str(path)), self.key, WorktreeRecord)

    def unfinished_records(self) -> list[WorktreeRecord]:
        """Return the records of worktrees whose creation has not finished."""
        records = (
            oplog.read_with_signature(path, self.key, WorktreeRecord)
            for path in self.record_path("").parent.glob("*.making.json")
        )
        return [record for record in records if record is not None]


def worktree_records(git: Git) -> WorktreeRecords:
    """Return the worktree records of a repository."""
    return WorktreeRecords(Path(git.common), oplog.load_key(git.environ))


def list_worktrees(git: Git, only: Path | None = None) -> list[Worktree]:
    """Return the worktrees of the repository, or the `only` one at a path.

    The git directory is read directly, without a process. The main worktree comes first, if there is one.
    """
    common = Path(git.common)
    head = parse_head(read_first_line(common / "HEAD"))
    main = [Worktree(Path(git.main_worktree), common, *head, main=True)] if git.main_worktree else []
    records = worktree_records(git)
    linked = (
        _read_worktree(git_dir, records, only) for git_dir in sorted((common / "worktrees").glob("*"))
    )
    worktrees = [*main, *(entry for entry in linked if entry is not None)]
    return [entry for entry in worktrees if only in {None, entry.path}]


def _read_worktree(git_dir: Path, records: WorktreeRecords, only: Path | None) -> Worktree | None:
    target = read_first_line(git_dir / "gitdir")
    path = Path(os.path.normpath(git_dir / target)).parent
    if not target or only not in {None, path}:
        return None
    git_dir_link = read_first_line(path / ".git").removeprefix("gitdir: ")
    missing = not os.path.lexists(path)
    return Worktree(
        path,
        git_dir,
        *parse_head(read_first_line(git_dir / "HEAD")),
        locked=read_users_lock(git_dir),
        gone=missing,
        stray=not missing
        and git_dir_link != str(git_dir)
        and not _is_same_path(path / git_dir_link, git_dir),
        record=records.find(path),
    )


def _is_same_path(left: Path, right: Path) -> bool:
    return left.resolve() == right.resolve()


def read_first_line(path: Path) -> str:
    """Return the text of a file of one line, or "" if it is unreadable."""
    with suppress(OSError):
        return os.fsdecode(path.read_bytes()).rstrip("\n")
    return ""


def parse_head(line: str) -> tuple[str, str]:
    """Return the commit and the branch of a HEAD file; one of them is empty."""
    ref = line.removeprefix("ref: ")
    return ("", ref.removeprefix("refs/heads/")) if ref != line else (line, "")


def find_checkout(git: Git, branch: str) -> str:
    """Return the path of the worktree where a branch is checked out, or ""."""
    return next(
        (str(entry.path) for entry in list_worktrees(git) if branch in {entry.branch, entry.busy_branch()}),
        "",
    )


def branch_name_error(git: Git, branch: str) -> str:
    """Return what is wrong with a branch name, or "" if git accepts it.

    The folder of its worktree is named after it; characters that are unusual there are replaced.
    """
    if len(branch.encode("utf-8", "surrogateescape")) > MAX_BRANCH_BYTES:
        return f"is longer than {MAX_BRANCH_BYTES} bytes"
    if branch.startswith(("-", "refs/")) or branch.upper() in {"HEAD", "@"}:
        return "is not a plain name"
    if safe_text(branch) != branch:
        return "contains invisible characters"
    if git.try_run("check-ref-format", f"refs/heads/{branch}").code:
        return "is not a valid git branch name"
    return ""
