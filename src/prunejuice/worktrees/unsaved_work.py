"""Reasons to keep a worktree or its branch: a lock, another checkout, commits that are nowhere else."""

from prunejuice.errors import StepError
from prunejuice.text import safe_line
from prunejuice.worktrees.git import Git
from prunejuice.worktrees.listing import REF_PREFIXES, Worktree


def reason_to_keep(entry: Worktree, *, force: bool) -> str:
    """Return the reason why a worktree must not be removed, or an empty text."""
    if entry.main:
        return "it is the main working tree"
    if entry.stray:
        return "its .git file points to another git directory (run `git worktree repair`)"
    if entry.locked and not force:
        return f"it is locked: {safe_line(entry.locked, 80)}"
    return ""


def can_delete_branch(git: Git, entry: Worktree, tip: str, *, drop: bool, force: bool) -> bool:
    """Return whether to delete the branch with its worktree.

    Raises:
        StepError: the branch should be dropped, but has commits that are in no other branch.
    """
    is_ours = entry.record is not None and entry.record.made_branch and entry.record.branch == entry.branch
    if not (is_ours or drop):
        return False
    if is_ours and entry.record is not None and tip == entry.record.base:
        return True
    refs = git.run("for-each-ref", "--format=%(refname)", "--contains", tip, *REF_PREFIXES).split()
    is_elsewhere = any(ref != f"refs/heads/{entry.branch}" for ref in refs)
    if drop and not (is_elsewhere or force):
        raise StepError(
            f"branch {entry.branch!r} has commits that are in no other branch",
            "merge it, or use --force (`prj undo` can restore it)",
        )
    return is_elsewhere or (drop and force)
