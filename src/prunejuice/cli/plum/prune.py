"""Forget worktrees whose folder was deleted, and leftovers of killed commands."""

import click

from prunejuice.cli import render
from prunejuice.cli.options import json_option
from prunejuice.cli.plum.environment import open_environment
from prunejuice.text import safe_line
from prunejuice.worktrees import worktree


@click.command("prune")
@click.option("-n", "--dry-run", is_flag=True, help="Show what would be pruned, without pruning it.")
@json_option
def prune_command(*, dry_run: bool, as_json: bool) -> None:
    environment = open_environment()
    pruned = worktree.remove_dead_checks(environment.git, dry_run=dry_run)
    pruned += worktree.prune(environment.git, dry_run=dry_run)
    if as_json:
        render.print_json("pruned", [{"path": str(path)} for path in pruned])
        return
    for path in pruned:
        render.print_line(safe_line(f"{'would prune' if dry_run else 'pruned'} {path}", 400))
    if not pruned:
        render.print_line("nothing to prune")
