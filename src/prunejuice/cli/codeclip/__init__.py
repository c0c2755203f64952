"""`codeclip`: show the code that a task is about, within a budget of tokens."""

import sys
from pathlib import Path
from typing import Any

import click

from prunejuice.cli import error_boundary
from prunejuice.cli.context_view import context_options, show_context
from prunejuice.cli.options import CONTEXT_SETTINGS
from prunejuice.version import __version__


@click.command(context_settings=CONTEXT_SETTINGS)
@click.version_option(__version__, "--version", message="codeclip (PruneJuice) %(version)s")
@context_options
def codeclip(**options: Any) -> None:
    """Show the code that a task is about, within a budget of tokens.

    PATHS are files, folders and globs; !PATH excludes one. Files that you name and files that changed come
    first. `codeclip serve` answers requests on stdin, one JSON object a line.
    """
    if options["paths"] == ("serve",) and not Path("serve").exists():
        from prunejuice.cli.codeclip import serve  # noqa: PLC0415 - slow

        serve.serve_requests(sys.stdin.buffer, sys.stdout.buffer)
        return
    show_context(**options)


def main() -> None:
    """Run `codeclip` and exit with its code: the entry point of the script."""
    sys.exit(error_boundary.run_command_line(codeclip))
