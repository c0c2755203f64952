"""The `prj` command group: run commands and inspect their runs. Each command is a module of its name."""

import sys

import click

from prunejuice.cli import error_boundary
from prunejuice.cli.lazy_group import LazyGroup
from prunejuice.cli.options import CONTEXT_SETTINGS
from prunejuice.version import __version__

COMMANDS = (
    "init",
    "list",
    "explain",
    "trust",
    "allow",
    "run",
    "solve",
    "resume",
    "stop",
    "status",
    "dismiss",
    "show",
    "logs",
    "history",
    "work.artifacts",
    "work.diff",
    "work.review",
    "work.open",
    "work.submit",
    "work.land",
    "work.undo",
    "work.compare",
    "work.conflicts",
    "work.merge",
    "attach",
    "mcp",
    "cleanup",
    "config",
    "doctor",
    "demo",
)


@click.group(
    cls=LazyGroup, package=__name__, names=COMMANDS, hidden=("drive",), context_settings=CONTEXT_SETTINGS
)
@click.version_option(__version__, "--version", message="PruneJuice %(version)s")
def prj() -> None:
    """Run repeatable AI-coding workflows, each in its own worktree, and keep their history."""


def main() -> None:
    """Run `prj` and exit with its code: the entry point of the script."""
    sys.exit(error_boundary.run_command_line(prj))
