"""A worktree for a run: made so that a killed attempt can be made again, never touching the checkout.

A note in the git directory says which run a worktree was made for, and whether making it was finished.
Only what the note of the same run calls unfinished is ever cleared away.
"""

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from prunejuice.errors import GitError, StepError, UsageError
from prunejuice.git import Git
from prunejuice.lock import locked

QUEUE = 120.0
"""Seconds that one creation waits for others in the same repository."""
MAX_BRANCH = 100


class Wanted(NamedTuple):
    """A worktree as it is to be: `base` is a commit, `owner` the run it is for."""

    path: Path
    branch: str
    base: str
    owner: str


class Made(NamedTuple):
    """A worktree as it is; `reused` when an earlier attempt of the same run had finished it."""

    path: Path
    branch: str
    base: str
    made_branch: bool
    reused: bool = False


def branch_fault(git: Git, branch: str) -> str:
    """What is wrong with a name for a branch; nothing when it is good."""
    if len(branch) > MAX_BRANCH:
        return f"longer than {MAX_BRANCH} characters"
    if not branch[:1].isalnum() or not all(c.isalnum() or c in "._/-" for c in branch):
        return "must begin with a letter or digit and hold only letters, digits and . _ / -"
    if not branch.isascii() or branch.startswith("refs/") or branch.upper() == "HEAD":
        return "is not a plain name"
    if git.try_("check-ref-format", f"refs/heads/{branch}").code:
        return "is not a name that git takes for a branch"
    return ""


def create(git: Git, wanted: Wanted) -> Made:
    """Make the worktree and its branch; one at a time in a repository, however many processes ask.

    A branch that is already there is checked out. What a killed attempt of the same run left behind is
    cleared away first; anything else at the path stays as it is.

    Raises:
        UsageError: the name is no good for a branch.
        StepError: something is in the way at the path.
        GitError: git refused, for example because the branch is checked out elsewhere.
    """
    if fault := branch_fault(git, wanted.branch):
        raise UsageError(f"branch {wanted.branch[:120]!r}: {fault}")
    common = git.common_dir()
    stopped = git.stop.requested if git.stop else None
    try:
        with locked(common / "prunejuice.lock", QUEUE, stopped=stopped):
            return _made(git, wanted, _Note(common, wanted))
    except TimeoutError as error:
        raise StepError(f"another process holds {common / 'prunejuice.lock'}") from error


class _Note:
    """What the git directory keeps about a worktree of ours."""

    def __init__(self, common: Path, wanted: Wanted) -> None:
        name = hashlib.sha256(str(wanted.path).encode()).hexdigest()[:16]
        self.path = common / "prunejuice" / f"{name}.json"
        self.owner = wanted.owner
        self.finished: bool | None = None
        self.made_branch = False
        with suppress(FileNotFoundError, ValueError, KeyError):
            kept = json.loads(self.path.read_text())
            if kept["owner"] == wanted.owner:
                self.finished, self.made_branch = bool(kept["finished"]), bool(kept["made_branch"])

    def write(self, *, finished: bool) -> None:
        self.path.parent.mkdir(exist_ok=True)
        kept = {"owner": self.owner, "finished": finished, "made_branch": self.made_branch}
        aside = self.path.with_suffix(".new")
        aside.write_text(json.dumps(kept))
        aside.replace(self.path)


def _made(git: Git, wanted: Wanted, note: _Note) -> Made:
    there = wanted.path.exists() or wanted.path.is_symlink()
    if there and note.finished and git.at(wanted.path).branch() == wanted.branch:
        return Made(wanted.path, wanted.branch, wanted.base, note.made_branch, reused=True)
    if there and note.finished is not False and not _is_empty(wanted.path):
        fix = "move it, or name another branch with branch_name="
        raise StepError(f"{wanted.path} is in the way", fix)
    fresh = not git.resolve(f"refs/heads/{wanted.branch}")
    note.made_branch = fresh or note.made_branch
    note.write(finished=False)
    try:
        git.try_("worktree", "remove", "--force", "--force", "--", str(wanted.path))
        git.try_("worktree", "prune")
        _add(git, wanted, fresh=fresh)
    except GitError:
        # Only an attempt that was killed may leave a note that allows to clear the place.
        note.path.unlink()
        raise
    note.write(finished=True)
    return Made(wanted.path, wanted.branch, wanted.base, note.made_branch)


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def _add(git: Git, wanted: Wanted, *, fresh: bool) -> None:
    wanted.path.parent.mkdir(parents=True, exist_ok=True)
    path = str(wanted.path)
    made = ["--no-track", "-b", wanted.branch, "--", path, wanted.base]
    found = ["--", path, wanted.branch]
    git.run("worktree", "add", "--quiet", *(made if fresh else found), timeout=600)


def unsaved(git: Git, path: Path) -> str:
    """What would be lost with a worktree: changes, commits in no branch; nothing when nothing would.

    Ignored files do not count.
    """
    there = git.at(path)
    if not there.is_clean():
        return "it has changes that are not committed"
    if any(line[:1].islower() or line[:1] == "S" for line in there.run("ls-files", "-v").splitlines()):
        return "it has files whose changes git was told not to look at"
    if not there.branch() and not there.run("for-each-ref", "--count=1", "--contains", "HEAD"):
        return "it has commits that are in no branch"
    return ""


def remove(git: Git, path: Path, branch: str, base: str) -> str:
    """Take a worktree away when nothing would be lost; why it was kept, or nothing when it is gone.

    A `branch` that was made for it goes too, if it is still at `base`, where it began.
    """
    if not path.exists():
        git.try_("worktree", "prune")
        return ""
    try:
        if why := unsaved(git, path):
            return why
        head = git.at(path).head()
        git.run("worktree", "remove", "--", str(path))
    except (GitError, UsageError) as error:
        return error.message
    if branch and head == base:
        git.try_("update-ref", "-d", f"refs/heads/{branch}", base)
    return ""
