"""List the change sets that wait for a decision in a tree, from their files alone."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

PENDING_FOLDER = "prunejuice/pending"
"""The folder of change sets in the git directory of a worktree."""


class WaitingChange(NamedTuple):
    """The id of a change set that is pending, and the run that made it, if any."""

    id: str
    run: str


def list_waiting_changes(git_dir: Path) -> list[WaitingChange]:
    """Return the pending change sets in the git directory of a worktree.

    Their signatures are not verified: this is for lists, and to keep worktrees.
    """
    waiting = []
    for path in sorted((git_dir / PENDING_FOLDER).glob("c-*.json")):
        with suppress(OSError, ValueError, AttributeError):
            # A signed file: the signature on the first line. The state is left out while it is pending.
            record = msgspec.json.decode(path.read_bytes().partition(b"\n")[2])
            if record.get("state", "pending") == "pending":
                run = record.get("change_set", {}).get("run", "")
                waiting.append(WaitingChange(str(record.get("id", path.stem)), str(run)))
    return waiting


def find_changes_of_runs(runs: Iterable[tuple[str, str, str, str]]) -> dict[str, list[str]]:
    """Return the ids of the change sets that wait, by the id of their run.

    A run is its id, its own worktree (or empty), its directory, and the git directory of its worktree,
    which is still there if the folder was deleted. All that waits in its own worktree is its; in a tree
    that it shares, only what it made.
    """
    trees: dict[Path, list[WaitingChange]] = {}
    found: dict[str, list[str]] = {}
    for run_id, worktree, directory, git_dir in runs:
        top = Path(worktree) if worktree else _find_top(Path(directory))
        if top and top not in trees:
            is_gone = bool(git_dir) and not top.exists()
            trees[top] = list_waiting_changes(Path(git_dir) if is_gone else find_git_dir(top))
        waiting = trees[top] if top else []
        found[run_id] = [change.id for change in waiting if worktree or change.run == run_id]
    return found


def find_moved_worktree(worktree: str, git_dir: str) -> str:
    """Return where a worktree is now: `git worktree move` may have moved it from where it was made."""
    if not worktree or Path(worktree).exists() or not git_dir:
        return worktree
    with suppress(OSError):
        link = Path(git_dir, os.fsdecode((Path(git_dir) / "gitdir").read_bytes()).rstrip("\n"))
        if link.is_file():
            return str(link.parent)
    return worktree


def _find_top(directory: Path) -> Path | None:
    return next((folder for folder in (directory, *directory.parents) if (folder / ".git").exists()), None)


def find_common_dir(top: Path) -> Path | None:
    """Return the git directory that the worktrees of a repository share; None outside of one."""
    git_dir = find_git_dir(top)
    if not git_dir.is_dir():
        return None
    with suppress(OSError):
        return Path(os.path.normpath(git_dir / os.fsdecode((git_dir / "commondir").read_bytes()).strip()))
    return git_dir


def find_git_dir(top: Path) -> Path:
    """Return the git directory that the `.git` of a folder is or names, without starting git."""
    link = top / ".git"
    with suppress(OSError):
        return Path(top, os.fsdecode(link.read_bytes()).strip().removeprefix("gitdir: "))
    return link
