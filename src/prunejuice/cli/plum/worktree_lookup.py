"""Lookup of worktrees by name."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from prunejuice.cli.completion import offer_words
from prunejuice.cli.plum.environment import open_environment
from prunejuice.errors import NotFoundError, UsageError
from prunejuice.text import safe_line
from prunejuice.worktrees import listing
from prunejuice.worktrees.git import Git
from prunejuice.worktrees.listing import Worktree


def find_worktree(git: Git, name: str) -> Worktree:
    """Return the worktree of a branch, folder name or path, or of a branch that ends in `-NAME` or `/NAME`.

    Raises:
        UsageError: the name is empty.
        NotFoundError: no worktree or several worktrees match.
    """
    worktrees = listing.list_worktrees(git)
    if not name:
        raise UsageError("the worktree name is empty", "run `plum list` to see the worktrees")
    path = Path(os.path.normpath(Path(name).absolute()))
    exact = [
        entry
        for entry in worktrees
        if name in {entry.branch, entry.path.name, str(entry.path)} or entry.path == path
    ]
    matches = exact or [
        entry
        for entry in worktrees
        if entry.branch.endswith(f"-{name}") or entry.branch.endswith(f"/{name}")
    ]
    if len(matches) != 1:
        raise _lookup_error(git, name, matches)
    return matches[0]


def _find_names(_context: click.Context) -> Iterable[tuple[str, str]]:
    git = open_environment().git
    return ((each.path.name, each.branch) for each in listing.list_worktrees(git))


complete_worktree = offer_words(_find_names)


def _lookup_error(git: Git, name: str, matches: Sequence[Worktree]) -> NotFoundError:
    """Return the error about a name that fits several worktrees, or none, or one that was removed."""
    from prunejuice.app.run_actions import find_removal  # noqa: PLC0415 - only after a mistake

    if not matches and (removal := find_removal(git, name)):
        return NotFoundError(
            f"worktree {safe_line(name, 80)!r} was removed", f"restore it: prj undo {removal.id}"
        )
    problem = "several worktrees match" if matches else "unknown worktree"
    return NotFoundError(f"{problem} {safe_line(name, 80)!r}", "run `plum list` to see the worktrees")
