"""The `pots` command group: manage tmux sessions. Each command is a module of its name."""

import sys

import click

from prunejuice.cli import error_boundary
from prunejuice.cli.lazy_group import LazyGroup
from prunejuice.cli.options import CONTEXT_SETTINGS
from prunejuice.version import __version__

COMMANDS = ("create", "list", "attach", "kill", "cleanup")


@click.group(cls=LazyGroup, package=__name__, names=COMMANDS, context_settings=CONTEXT_SETTINGS)
@click.version_option(__version__, "--version", message="PruneJuice %(version)s")
def pots() -> None:
    """Create, list, attach to and kill tmux sessions for worktrees."""


def main() -> None:
    """Run `pots` and exit with its code: the entry point of the script."""
    sys.exit(error_boundary.run_command_line(pots))
