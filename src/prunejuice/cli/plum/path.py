"""Print the path of a worktree.

NAME is a branch, suffix or folder: cd "$(plum path fix)".
"""

import sys

import click

from prunejuice.cli import render
from prunejuice.cli.plum.environment import open_environment
from prunejuice.cli.plum.worktree_lookup import complete_worktree, find_worktree
from prunejuice.text import safe_line


@click.command("path")
@click.argument("name", shell_complete=complete_worktree)
def path_command(*, name: str) -> None:
    environment = open_environment()
    path = str(find_worktree(environment.git, name).path)
    if sys.stdout.isatty():
        render.print_line(safe_line(path, 4000))
    else:
        render.print_bytes(path.encode("utf-8", "surrogateescape") + b"\n")
