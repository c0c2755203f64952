"""Print the path of your own config.yaml, whether or not it exists."""

import click

from prunejuice.cli import render
from prunejuice.system import settings
from prunejuice.text import safe_line


@click.command("path")
def path_command() -> None:
    render.print_line(safe_line(str(settings.user_config_path(settings.environment())), 4000))
