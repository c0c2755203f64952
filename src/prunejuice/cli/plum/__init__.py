"""The `plum` command group: create, list and remove worktrees. Each command is a module of its name."""

import sys

import click

from prunejuice.cli import error_boundary
from prunejuice.cli.lazy_group import LazyGroup
from prunejuice.cli.options import CONTEXT_SETTINGS
from prunejuice.version import __version__

COMMANDS = ("create", "list", "path", "remove", "prune")


@click.group(
    cls=LazyGroup,
    package=__name__,
    names=COMMANDS,
    context_settings=CONTEXT_SETTINGS,
    invoke_without_command=True,
)
@click.version_option(__version__, "--version", message="PruneJuice %(version)s")
@click.option("--config", is_flag=True, help="Show every setting and its value.")
@click.pass_context
def plum(context: click.Context, *, config: bool) -> None:
    """Create, list and remove git worktrees, without touching your checkout or losing work."""
    if config:
        from prunejuice.cli.plum.config import show_config  # noqa: PLC0415 - slow

        show_config()
    elif context.invoked_subcommand is None:
        raise click.UsageError(f"missing command: one of {', '.join(COMMANDS)}", context)


def main() -> None:
    """Run `plum` and exit with its code: the entry point of the script."""
    sys.exit(error_boundary.run_command_line(plum))
