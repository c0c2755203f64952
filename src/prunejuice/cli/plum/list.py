"""List the worktrees of this repository."""

from typing import Any

import click

from prunejuice.cli import render
from prunejuice.cli.options import json_option
from prunejuice.cli.plum.environment import open_environment
from prunejuice.text import safe_line
from prunejuice.worktrees import listing
from prunejuice.worktrees.git import Git
from prunejuice.worktrees.listing import Worktree


@click.command("list")
@click.option("-v", "--verbose", is_flag=True, help="Show why worktrees are locked or can be pruned.")
@json_option
def list_command(*, verbose: bool, as_json: bool) -> None:
    environment = open_environment()
    if as_json:
        render.print_json(
            "worktrees",
            [
                _worktree_to_dict(environment.git, entry)
                for entry in listing.list_worktrees(environment.git)
            ],
        )
        return
    git = environment.git
    for line in git.run("worktree", "list", *(["-v"] if verbose else [])).splitlines():
        # In a submodule, git names the git directory instead of the main worktree.
        is_git_dir = git.main_worktree and line.startswith(f"{git.common} ")
        shown = line.replace(git.common, git.main_worktree, 1) if is_git_dir else line
        render.print_line(safe_line(shown, 1000))


def _worktree_to_dict(git: Git, entry: Worktree) -> dict[str, Any]:
    head = entry.head or git.resolve(f"refs/heads/{entry.branch}")
    data: dict[str, Any] = {"path": str(entry.path), "branch": entry.branch or None, "head": head or None}
    data |= {"main": entry.main, "gone": entry.gone}
    if entry.locked:
        data["locked"] = entry.locked
    if entry.record:
        data |= {
            "base": entry.record.base,
            "owner": entry.record.owner,
            "made_branch": entry.record.made_branch,
        }
    return data
