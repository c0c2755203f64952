"""A worktree for a run: made so that a killed attempt can be made again, never touching the checkout."""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from prunejuice.errors import GitError, StepError, UsageError
from prunejuice.git import Git
from prunejuice.lock import locked

QUEUE = 120.0
"""Seconds that one creation waits for others in the same repository."""
MAX_BRANCH = 100
DIRTY = "it has changes that are not committed"


class Wanted(NamedTuple):
    """A worktree as it is to be: `base` is a commit."""

    path: Path
    branch: str
    base: str


class Made(NamedTuple):
    """A worktree as it is; `reused` when an earlier attempt had finished it."""

    path: Path
    branch: str
    base: str
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

    A branch that is already there is checked out. What a killed attempt left behind is finished or
    cleared away first; that it is ours is known from its path, which no one else uses.

    Raises:
        UsageError: the name is no good for a branch.
        GitError: git refused, for example because the branch is checked out elsewhere.
    """
    if fault := branch_fault(git, wanted.branch):
        raise UsageError(f"branch {wanted.branch[:120]!r}: {fault}")
    common = git.common_dir()
    try:
        with locked(common / "prunejuice.lock", QUEUE):
            if _is_whole(git, wanted):
                return Made(*wanted, reused=True)
            _clear(git, wanted)
            _add(git, wanted)
    except TimeoutError as error:
        raise StepError(f"another process holds {common / 'prunejuice.lock'}") from error
    return Made(*wanted)


def _is_whole(git: Git, wanted: Wanted) -> bool:
    """Whether the worktree is there, on its branch, and git finished filling it."""
    if not (wanted.path / ".git").is_file():
        return False
    there = git.at(wanted.path)
    if there.try_("rev-parse", "--git-dir").code or there.branch() != wanted.branch:
        return False
    git_dir = Path(there.run("rev-parse", "--absolute-git-dir").strip())
    unfinished = (git_dir / "index.lock").exists() or (git_dir / "locked").exists()
    return not unfinished and (git_dir / "index").exists()


def _clear(git: Git, wanted: Wanted) -> None:
    """Take away what an attempt that was killed left at the path; nothing was worked on there yet."""
    if wanted.path.exists() and not _is_debris(git, wanted):
        raise StepError(f"{wanted.path} is in the way", "move it, or name another branch with branch_name=")
    git.try_("worktree", "remove", "--force", "--force", "--", str(wanted.path))
    with suppress(GitError):
        git.run("worktree", "prune")


def _is_debris(git: Git, wanted: Wanted) -> bool:
    listed = git.run("worktree", "list", "--porcelain", "-z")
    registered = f"worktree {wanted.path}\0" in listed
    return registered or not any(wanted.path.iterdir())


def _add(git: Git, wanted: Wanted) -> None:
    wanted.path.parent.mkdir(parents=True, exist_ok=True)
    path = str(wanted.path)
    if git.resolve(f"refs/heads/{wanted.branch}"):
        git.run("worktree", "add", "--quiet", "--", path, wanted.branch, timeout=600)
    else:
        args = ("--no-track", "-b", wanted.branch, "--", path, wanted.base)
        git.run("worktree", "add", "--quiet", *args, timeout=600)


def remove(git: Git, path: Path, branch: str, base: str) -> str:
    """Take a worktree away when nothing would be lost; why it was kept, or nothing when it is gone.

    The branch is kept unless it is still where it began.
    """
    if not path.exists():
        git.try_("worktree", "prune")
        return ""
    there = git.at(path)
    if not there.is_clean():
        return DIRTY
    head = there.head()
    git.run("worktree", "remove", "--", str(path))
    if branch and head == base:
        git.try_("update-ref", "-d", f"refs/heads/{branch}", base)
    return ""
