"""Show the code that a task is about, within a budget of tokens.

The same as `codeclip`.
"""

from typing import Any

import click

from prunejuice.cli.context_view import context_options, show_context


@click.command("context")
@context_options
def context_command(**options: Any) -> None:
    show_context(**options)
