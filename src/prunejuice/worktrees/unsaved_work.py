"""Find reasons to keep a worktree or its branch: a lock, unsaved files, commits that are nowhere else."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prunejuice.errors import StepError
from prunejuice.text import safe_line
from prunejuice.worktrees.git import Git
from prunejuice.worktrees.listing import Worktree, parse_head, read_first_line
from prunejuice.worktrees.waiting_changes import list_waiting_changes

_REF_PREFIXES = ("refs/heads", "refs/remotes", "refs/tags")


def reason_to_keep(entry: Worktree, *, force: bool) -> str:
    """Return the reason why a worktree must not be removed, or an empty text."""
    if entry.main:
        return "it is the main working tree"
    if entry.stray:
        return "its .git file points to another git directory (run `git worktree repair`)"
    if entry.locked and not force:
        return f"it is locked: {safe_line(entry.locked, 80)}"
    return ""


def inspect_unsaved_work(git: Git) -> tuple[str, str]:
    """Return why removing a worktree would lose work, or "", and the commit of its HEAD.

    Uncommitted changes, commits in no branch and pending change sets count; ignored files do not. `git` is
    for the worktree.
    """
    files_git = git.with_clean_config(Path(git.git_dir) / "index")
    flags = ("-z", "-v", "-s", "--cached", "--modified", "--deleted", "--others", "--exclude-standard")
    # `ls-files` is slow in large trees, so it runs beside the other commands.
    with ThreadPoolExecutor(1) as pool:
        pending_output = pool.submit(files_git.run, "ls-files", *flags, limit=1 << 30)
        head = git.resolve("HEAD")
        staged = bool(head and files_git.try_run("diff-index", "--cached", "--quiet", head, "--").code)
        lines = [line for line in pending_output.result().split("\0") if line]
    # `H 10` and `H 12` are unchanged files and links.
    suspects = (line for line in lines if not line.startswith(("H 10", "H 12")))
    reason = next(filter(None, (_unsaved_reason(Path(git.directory), line) for line in suspects)), "")
    if not reason and (staged or (lines and not head)):
        reason = "it has uncommitted changes" if staged else "its branch has no commits"
    return reason or _unbranched_reason(git, head) or _pending_reason(Path(git.git_dir)), head


def _pending_reason(git_dir: Path) -> str:
    """Return that change sets are pending in a worktree, or ""."""
    waiting = list_waiting_changes(git_dir)
    return f"change set {waiting[0].id} is pending in it" if waiting else ""


def _unbranched_reason(git: Git, head: str) -> str:
    branch = parse_head(read_first_line(Path(git.git_dir) / "HEAD"))[1]
    if branch or not head or git.run("for-each-ref", "--count=1", "--contains", head, *_REF_PREFIXES):
        return ""
    return "it has commits that are in no branch"


def _unsaved_reason(top: Path, line: str) -> str:
    """Return why a line of `ls-files -v -s` is unsaved work, or "".

    A line has a tag, then for tracked files mode, hash and stage, then the path.
    """
    tag, rest = line[:1], line[2:]
    if tag in {"C", "R", "M", "?", "K"}:
        return "it has uncommitted changes"
    meta, _, path = rest.partition("\t")
    full_path = top / path
    if meta.startswith("160000") and full_path.is_dir() and any(full_path.iterdir()):
        return "it has a checked-out submodule"
    if (tag.islower() or tag == "S") and os.path.lexists(full_path):
        return "it has files marked skip-worktree or assume-unchanged"
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
    refs = git.run("for-each-ref", "--format=%(refname)", "--contains", tip, *_REF_PREFIXES).split()
    is_elsewhere = any(ref != f"refs/heads/{entry.branch}" for ref in refs)
    if drop and not (is_elsewhere or force):
        raise StepError(
            f"branch {entry.branch!r} has commits that are in no other branch",
            "merge it, or use --force (`prj undo` can restore it)",
        )
    return is_elsewhere or (drop and force)
