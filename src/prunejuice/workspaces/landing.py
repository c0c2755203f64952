"""Bringing the work of a run into a branch: combined as commits, checked as files, moved in one step.

Nothing is merged in anybody's checkout. The branch moves from the commit it was at, or not at all; a
checkout that stands on it is brought along as by a fast-forward, and only when none of its own changes is
in the way.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from msgspec.structs import replace

from prunejuice.errors import ConflictError, GitError, UsageError
from prunejuice.git import Git
from prunejuice.workspaces import checkout, operation, snapshot, worktree
from prunejuice.workspaces.listing import Entry, entries
from prunejuice.workspaces.operation import Operation

Method = Literal["merge", "no-ff", "squash", "rebase"]


class Work(NamedTuple):
    """What is to land: the commits up to `tip`, and how they are called."""

    tip: str
    title: str


def proposed(git: Git, message: str) -> str:
    """The commit of all that a worktree holds, by its user, in no branch yet; HEAD when nothing is new.

    Raises:
        ConflictError: it stands in a merge or rebase that is not finished.
        GitError: git knows no name for the user.
    """
    head = git.head()
    for name, word in _UNFINISHED.items():
        if (Path(git.git_dir) / name).exists():
            fix = f"finish it in {git.directory} (resolve, then git commit there), then merge again"
            raise ConflictError(f"{git.directory} stands in a {word} that is not finished", fix)
    tree = snapshot.now(git, exact=False).tree
    if tree == git.run("rev-parse", f"{head}^{{tree}}").strip():
        return head
    return git.commit(tree, (head,), message, author=None)


_UNFINISHED = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
}


def adopt(git: Git, tip: str) -> None:
    """Have a worktree's branch and index follow to what was proposed; its files are that already.

    Raises:
        ConflictError: its index holds something else.
        GitError: the branch moved meanwhile.
    """
    head, branch = git.head(), git.branch()
    if tip != head:
        with checkout.held(git) as files:
            files.run("read-tree", "-i", "-m", git.resolve(f"{tip}^"), tip)
            git.run("update-ref", f"refs/heads/{branch}" if branch else "HEAD", tip, git.resolve(f"{tip}^"))


def combined(git: Git, work: Work, onto: str, method: Method) -> str:
    """The commit in which a branch at `onto` has the work too; in no branch yet.

    Raises:
        ConflictError: the two conflict; names the files.
    """
    if git.try_("merge-base", "--is-ancestor", work.tip, onto).code == 0:
        return onto
    ahead = git.try_("merge-base", "--is-ancestor", onto, work.tip).code == 0
    if method == "rebase":
        return _rebased(git, work, onto)
    if ahead and method == "merge":
        return work.tip
    tree = _tree(git, onto, work.tip)
    parents = (onto,) if method == "squash" else (onto, work.tip)
    return git.commit(tree, parents, work.title, author=None)


def _tree(git: Git, onto: str, tip: str) -> str:
    tree, files = snapshot.merged(git, onto, tip)
    if files:
        fix = "in the run's worktree: git merge the branch, resolve, git commit; then merge again"
        raise ConflictError(f"conflict in {', '.join(files[:10])}", fix, files)
    return tree


def _rebased(git: Git, work: Work, onto: str) -> str:
    """Each commit of the work again, one on top of the other, with its author and message."""
    fork = git.run("merge-base", onto, work.tip).strip()
    if git.run("rev-list", "--merges", "--max-count=1", f"{fork}..{work.tip}"):
        raise ConflictError("its history has merges, which a rebase would lose", "use --squash or --no-ff")
    listed = git.run("rev-list", "--reverse", "--topo-order", f"{fork}..{work.tip}")
    for commit in listed.split():
        before = git.commit(f"{commit}^^{{tree}}", (), "before")
        ours = git.commit(f"{onto}^{{tree}}", (before,), "ours")
        tree = _tree(git, ours, git.commit(f"{commit}^{{tree}}", (before,), "theirs"))
        name, mail, date, message = git.run(
            "log", "-1", "--format=%an%x00%ae%x00%aI%x00%B", "--no-show-signature", commit
        ).split("\0", 3)
        if tree == git.run("rev-parse", f"{onto}^{{tree}}").strip():
            continue
        author = {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": mail, "GIT_AUTHOR_DATE": date}
        again = git._replace(environ={**git.environ, **author})
        onto = again.commit(tree, (onto,), message.rstrip("\n") + "\n", author=None)
    return onto


@contextmanager
def materialised(git: Git, commit: str, parent: str = "") -> Iterator[Git]:
    """The files of a commit in a temporary worktree (in `parent`, or where others are), to be checked."""
    path = worktree.place(git, parent, f".prunejuice-check-{secrets.token_hex(4)}")
    wanted = worktree.Wanted(
        path, f"prunejuice-check-{path.name[-8:]}", commit, f"{worktree.CHECK}{os.getpid()}"
    )
    made = worktree.create(git, wanted)
    try:
        yield git.bound(made.path, made.git_dir)
    finally:
        worktree.discard(git, path)


def land(git: Git, branch: str, old: str, new: str, run: str = "") -> Operation:
    """Move a branch from one commit to another, and a checkout that stands on it.

    Raises:
        ConflictError: the branch is not at `old` any more, or a change of the checkout is in the way.
    """
    with worktree.holding(git) as held:
        every = entries(held)
        if busy := next((each for each in every if each.busy() == branch), None):
            fix = "finish or abort it, then merge again"
            raise ConflictError(f"{busy.path} is in the middle of a rebase of {branch!r}", fix)
        stands = [each for each in every if each.branch == branch and each.is_sound]
        begun = operation.new("land", f"branch {branch}", stands[0].path if stands else git.directory)
        begun = replace(begun, branch=branch, old=old, new=new, run=run)
        return _moved(held, begun, stands[0] if stands else None)


def _moved(git: Git, begun: Operation, stands: Entry | None) -> Operation:
    journal = operation.journal(git)
    there = git.bound(stands.path, stands.git_dir) if stands else None
    if there:
        checkout.bring_along(there, begun.old, begun.new, dry_run=True)
    journal.write(begun)
    ref = f"refs/heads/{begun.branch}"
    try:
        git.move((begun.backup, begun.old, ""), (ref, begun.new, begun.old))
    except GitError as error:
        journal.forget(begun)
        raise ConflictError(f"branch {begun.branch!r} moved meanwhile", "merge again") from error
    if there:
        try:
            checkout.bring_along(there, begun.old, begun.new)
        except ConflictError:
            git.move((ref, begun.old, begun.new), (begun.backup, "", begun.old))
            journal.forget(begun)
            raise
    return journal.mark(begun, "done")


def take_back(git: Git, landed: Operation) -> None:
    """Move a branch back to where it was before it landed.

    Raises:
        ConflictError: it has moved on since, or a change of the checkout is in the way.
    """
    back = land(git, landed.branch, landed.new, landed.old, landed.run)
    journal = operation.journal(git)
    journal.mark(landed, "undone")
    journal.write(replace(back, what=f"branch {landed.branch} back"))


def target(git: Git, named: str) -> tuple[str, str]:
    """The branch to land in, and its commit: the one named, or that of the main working tree.

    Raises:
        UsageError: there is no such branch.
    """
    branch = named or (git.from_main().branch() if git.main else "")
    commit = git.resolve(f"refs/heads/{branch}") if branch else ""
    if not commit:
        shown = f"there is no branch {branch!r}" if branch else "no branch is checked out"
        raise UsageError(shown, "name one with --into")
    return branch, commit
