"""Merge the work of a run into a branch without a merge in anybody's checkout.

Commits are combined in the object database, checked in a temporary worktree, and the branch moves in one
step, only from the commit it was at. A checkout of the branch is fast-forwarded, only if that loses none of
its uncommitted changes.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from msgspec.structs import replace

from prunejuice.errors import ConflictError, GitError, UsageError
from prunejuice.worktrees import checkout, oplog, snapshot, worktree, worktree_names
from prunejuice.worktrees.git import Git
from prunejuice.worktrees.listing import Worktree, list_worktrees
from prunejuice.worktrees.oplog import Operation
from prunejuice.worktrees.user_commit import commit_as_user

MergeMethod = Literal["merge", "no-ff", "squash", "rebase"]


class MergeSource(NamedTuple):
    """The work to merge: the commits up to `tip`, and a `title` for the merge commit."""

    tip: str
    title: str


def commit_worktree(git: Git, message: str) -> str:
    """Commit all files of a worktree, as the user and in no branch. Return HEAD if nothing changed.

    Raises:
        ConflictError: a merge, rebase, cherry-pick or revert is unfinished.
        GitError: git knows no name and email of the user.
    """
    head = git.head_commit()
    for name, action in _UNFINISHED.items():
        if (Path(git.git_dir) / name).exists():
            fix = f"resolve and commit it in {git.directory}, then merge again"
            raise ConflictError(f"{git.directory} has an unfinished {action}", fix)
    tree = snapshot.current_snapshot(git, exact=False).tree
    if tree == git.run("rev-parse", f"{head}^{{tree}}").strip():
        return head
    return commit_as_user(git, tree, (head,), message)


_UNFINISHED = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
}


def advance_worktree(git: Git, tip: str) -> None:
    """Move the branch and index of a worktree to a commit of its own files, made by `commit_worktree`.

    Raises:
        ConflictError: the index is locked.
        GitError: the index has other changes, or the branch moved.
    """
    head, branch = git.head_commit(), git.current_branch()
    if tip != head:
        with checkout.lock_index(git) as files_git:
            files_git.run("read-tree", "-i", "-m", git.resolve(f"{tip}^"), tip)
            git.run("update-ref", f"refs/heads/{branch}" if branch else "HEAD", tip, git.resolve(f"{tip}^"))


def create_merged_commit(git: Git, source: MergeSource, onto: str, method: MergeMethod) -> str:
    """Return a commit that combines the work with `onto`, in no branch.

    Raises:
        ConflictError: the two conflict, or a rebase would lose merges.
    """
    if git.try_run("merge-base", "--is-ancestor", source.tip, onto).code == 0:
        return onto
    can_fast_forward = git.try_run("merge-base", "--is-ancestor", onto, source.tip).code == 0
    if method == "rebase":
        return _rebase_commits(git, source, onto)
    if can_fast_forward and method == "merge":
        return source.tip
    tree = _merge_trees(git, onto, source.tip)
    parents = (onto,) if method == "squash" else (onto, source.tip)
    return commit_as_user(git, tree, parents, source.title)


def _merge_trees(git: Git, onto: str, tip: str) -> str:
    tree, files = snapshot.merge_commits(git, onto, tip)
    if files:
        fix = (
            "check out the branch with the work, merge the other into it, resolve the conflicts and commit"
        )
        raise ConflictError(f"conflict in {', '.join(files[:10])}", fix, files)
    return tree


def _rebase_commits(git: Git, source: MergeSource, onto: str) -> str:
    """Replay each commit of the work on `onto`, with its author and message."""
    fork = git.run("merge-base", onto, source.tip).strip()
    if git.run("rev-list", "--merges", "--max-count=1", f"{fork}..{source.tip}"):
        raise ConflictError("its history has merges, which a rebase would lose", "use --squash or --no-ff")
    commits = git.run("rev-list", "--reverse", "--topo-order", f"{fork}..{source.tip}")
    for commit in commits.split():
        # A synthetic common parent makes merge-tree use the parent of the commit as the merge base.
        before = git.commit_tree(f"{commit}^^{{tree}}", (), "before")
        ours = git.commit_tree(f"{onto}^{{tree}}", (before,), "ours")
        tree = _merge_trees(git, ours, git.commit_tree(f"{commit}^{{tree}}", (before,), "theirs"))
        name, mail, date, message = git.run(
            "log", "-1", "--format=%an%x00%ae%x00%aI%x00%B", "--no-show-signature", commit
        ).split("\0", 3)
        if tree == git.run("rev-parse", f"{onto}^{{tree}}").strip():
            continue
        author = {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": mail, "GIT_AUTHOR_DATE": date}
        author_git = git._replace(environ={**git.environ, **author})
        onto = commit_as_user(author_git, tree, (onto,), message.rstrip("\n") + "\n")
    return onto


@contextmanager
def temporary_worktree(git: Git, commit: str, parent: str = "") -> Iterator[Git]:
    """Check out a commit in a temporary worktree, and yield git for it. It is deleted afterwards."""
    path = worktree_names.worktree_path(git, parent, f".prunejuice-check-{secrets.token_hex(4)}")
    spec = worktree.WorktreeSpec(
        path, f"prunejuice-check-{path.name[-8:]}", commit, f"{worktree.CHECK_PREFIX}{os.getpid()}"
    )
    record = worktree.create(git, spec)
    try:
        worktree.scratch_folder(path).mkdir()
        yield git.for_worktree(record.path, record.git_dir)
    finally:
        worktree.discard(git, path)


def advance_branch(git: Git, branch: str, old: str, new: str, run: str = "") -> Operation:
    """Move a branch from one commit to another, and update the checkout of it.

    Raises:
        ConflictError: the branch is not at `old`, or the checkout has changes that would be overwritten.
    """
    with worktree.lock_worktrees(git) as locked_git:
        worktrees = list_worktrees(locked_git)
        if busy := next((entry for entry in worktrees if entry.busy_branch() == branch), None):
            fix = "finish or abort it, then merge again"
            raise ConflictError(f"{busy.path} is in the middle of a rebase of {branch!r}", fix)
        checkouts = [entry for entry in worktrees if entry.branch == branch and entry.is_sound]
        operation = oplog.new_operation(
            "land", f"branch {branch}", checkouts[0].path if checkouts else git.directory
        )
        operation = replace(operation, branch=branch, old=old, new=new, run=run)
        return _move_branch(locked_git, operation, checkouts[0] if checkouts else None)


def _move_branch(git: Git, operation: Operation, entry: Worktree | None) -> Operation:
    """Move the branch; the index of its checkout is locked from before until its files are updated.

    A commit in between would take the old files for the wish to undo the merge.
    """
    if entry is None:
        _update_branch(git, operation)
    else:
        with checkout.lock_index(git.for_worktree(entry.path, entry.git_dir)) as locked:
            # Find files that block the merge before the branch moves.
            checkout.update_files(locked, operation.old, operation.new, dry_run=True)
            _update_branch(git, operation)
            try:
                checkout.update_files(locked, operation.old, operation.new)
            except ConflictError:  # a file changed after the dry run: move the branch back
                ref = f"refs/heads/{operation.branch}"
                git.update_refs(
                    (ref, operation.old, operation.new), (operation.backup_ref, "", operation.old)
                )
                oplog.open_log(git).forget(operation)
                raise
    return oplog.open_log(git).mark_state(operation, "done")


def _update_branch(git: Git, operation: Operation) -> None:
    log = oplog.open_log(git)
    log.write(operation)
    ref = f"refs/heads/{operation.branch}"
    try:
        git.update_refs((operation.backup_ref, operation.old, ""), (ref, operation.new, operation.old))
    except GitError as error:
        log.forget(operation)
        if git.resolve(ref) == operation.old:  # not moved: git itself says what is wrong
            raise
        raise ConflictError(f"branch {operation.branch!r} moved during the merge", "merge again") from error


def undo_merge(git: Git, merged: Operation) -> None:
    """Move a branch back to the commit before a merge.

    Raises:
        ConflictError: the branch has moved since, or the checkout has changes that would be overwritten.
    """
    operation = advance_branch(git, merged.branch, merged.new, merged.old, merged.run)
    log = oplog.open_log(git)
    log.mark_state(merged, "undone")
    log.write(replace(operation, what=f"branch {merged.branch} back"))


def find_target_branch(git: Git, name: str) -> tuple[str, str]:
    """Return the branch to merge into and its commit; by default that of the main working tree.

    Raises:
        UsageError: the branch does not exist, or no branch is checked out.
    """
    branch = name or (git.for_main_worktree().current_branch() if git.main_worktree else "")
    commit = git.resolve(f"refs/heads/{branch}") if branch else ""
    if not commit:
        problem = f"branch {branch!r} does not exist" if branch else "no branch is checked out"
        raise UsageError(problem, "name a branch with --into")
    return branch, commit
