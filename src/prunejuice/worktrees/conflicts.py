"""Find the worktrees that would conflict with each other or with the base, before any merge."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from prunejuice.errors import PruneJuiceError
from prunejuice.worktrees import snapshot
from prunejuice.worktrees.git import Git
from prunejuice.worktrees.listing import Worktree, list_worktrees

Proposal = Callable[[Git, str], str]


class WorktreeChanges(NamedTuple):
    """The work in one worktree: a `commit` of all files, and the `paths` that differ from the base.

    `fault` is the error message when the worktree could not be read.
    """

    name: str
    path: Path
    commit: str
    paths: frozenset[str]
    fault: str = ""


class Conflict(NamedTuple):
    """Two worktree names and the files in which they conflict; an empty name is the base."""

    one: str
    other: str
    files: tuple[str, ...]


def find_conflicts(
    git: Git, base: str, only: Iterable[Path] = (), *, propose: Proposal = lambda _git, commit: commit
) -> tuple[list[WorktreeChanges], list[Conflict]]:
    """Compare the linked worktrees, or the `only` ones, with each other and with the commit `base`.

    `propose` returns the commit to compare, from git of a worktree and the commit of its files. Return the
    changes of each worktree, and the conflicts.
    """
    wanted_paths = set(only)
    worktrees = [
        e
        for e in list_worktrees(git)
        if not (e.main or e.gone or e.stray) and (not wanted_paths or e.path in wanted_paths)
    ]
    base_changes = WorktreeChanges("", Path(), base, frozenset())
    with ThreadPoolExecutor(8) as pool:
        sides = list(pool.map(lambda entry: _read_worktree_changes(git, entry, base, propose), worktrees))
        # Each comparison is a git process, and there are n² pairs: skip those that share no path.
        pairs = [
            (left, right)
            for left, right in combinations(sides, 2)
            if _may_conflict(left.paths, right.paths)
        ]
        between = list(pool.map(lambda pair: _find_conflict(git, *pair), pairs))
        with_base = list(pool.map(lambda side: _find_conflict(git, side, base_changes), sides))
    conflicts = [conflict for conflict in (*with_base, *between) if conflict.files]
    return sides, conflicts


def _read_worktree_changes(git: Git, entry: Worktree, base: str, propose: Proposal) -> WorktreeChanges:
    name = entry.branch or entry.path.name
    worktree_git = git.for_worktree(entry.path, entry.git_dir)
    try:
        with snapshot.open_index(worktree_git, exact=False) as index:
            now = propose(worktree_git, index.take_snapshot("radar").commit)
        fork = git.try_run("merge-base", base, now).stdout.decode().strip() or base
        paths = frozenset(stat.path for stat in snapshot.diff_stats(worktree_git, fork, now))
    except PruneJuiceError as error:
        return WorktreeChanges(name, entry.path, "", frozenset(), error.message)
    return WorktreeChanges(name, entry.path, now, paths)


def _may_conflict(left: frozenset[str], right: frozenset[str]) -> bool:
    """Return whether two sets share a path, or one has a file where the other has a folder."""
    return bool(left & right) or any(
        parent in paths
        for others, paths in ((left, right), (right, left))
        for parent in _parent_folders(others)
    )


def _parent_folders(paths: Iterable[str]) -> set[str]:
    folders: set[str] = set()
    for path in paths:
        parts = path.split("/")
        folders.update("/".join(parts[:end]) for end in range(1, len(parts)))
    return folders


def _find_conflict(git: Git, left: WorktreeChanges, right: WorktreeChanges) -> Conflict:
    if not (left.commit and right.commit and left.paths):
        return Conflict(left.name, right.name, ())
    _, files = snapshot.merge_commits(git, left.commit, right.commit)
    return Conflict(left.name, right.name, files)
