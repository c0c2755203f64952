"""`codebot context`: what a command would show to a model."""

from typing import Any

import click

from prunejuice.cli.codeclip import gathered, options


@click.command("context")
@options
def context_command(**asked: Any) -> None:
    """Show the code that a task is about, within a budget of tokens. The same as codeclip."""
    gathered(**asked)
