"""Which worktrees would conflict with each other and with the base, before anybody merges."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from prunejuice.errors import PruneJuiceError
from prunejuice.git import Git
from prunejuice.workspaces import snapshot
from prunejuice.workspaces.listing import Entry, entries


class Side(NamedTuple):
    """The work in one worktree: `commit` has all of it, committed or not; `paths` differ from the base."""

    name: str
    path: Path
    commit: str
    paths: frozenset[str]
    fault: str = ""


class Clash(NamedTuple):
    """Two names, one of which may be the base, and the files in which they conflict."""

    one: str
    other: str
    files: tuple[str, ...]


def survey(git: Git, base: str, only: Iterable[Path] = ()) -> tuple[list[Side], list[Clash]]:
    """All live worktrees (or `only` some) against each other and against a commit."""
    wanted = set(only)
    live = [
        e for e in entries(git) if not (e.main or e.gone or e.stray) and (not wanted or e.path in wanted)
    ]
    against_base = Side("", Path(), base, frozenset())
    with ThreadPoolExecutor(8) as pool:
        sides = list(pool.map(lambda entry: _side(git, entry, base), live))
        pairs = [
            (one, other) for one, other in combinations(sides, 2) if _may_clash(one.paths, other.paths)
        ]
        found = list(pool.map(lambda pair: _clash(git, *pair), pairs))
        against = list(pool.map(lambda side: _clash(git, side, against_base), sides))
    clashes = [each for each in (*against, *found) if each.files]
    return sides, clashes


def _side(git: Git, entry: Entry, base: str) -> Side:
    name = entry.branch or entry.path.name
    there = git.bound(entry.path, entry.git_dir)
    try:
        with snapshot.index(there, exact=False) as ours:
            now = ours.snapshot("radar")
        fork = git.try_("merge-base", base, now.commit).out.decode().strip() or base
        paths = frozenset(each.path for each in snapshot.numbers(there, fork, now.commit))
    except PruneJuiceError as error:
        return Side(name, entry.path, "", frozenset(), error.message)
    return Side(name, entry.path, now.commit, paths)


def _may_clash(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether two sets of paths meet: the same path, or a file where the other has a folder."""
    return bool(one & other) or any(
        parent in two for a, two in ((one, other), (other, one)) for parent in _folders(a)
    )


def _folders(paths: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for path in paths:
        parts = path.split("/")
        found.update("/".join(parts[:end]) for end in range(1, len(parts)))
    return found


def _clash(git: Git, one: Side, other: Side) -> Clash:
    if not (one.commit and other.commit and one.paths):
        return Clash(one.name, other.name, ())
    _, files = snapshot.merged(git, one.commit, other.commit)
    return Clash(one.name, other.name, files)
