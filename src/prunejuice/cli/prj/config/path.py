"""Print the path of your own config.yaml, whether or not it exists."""

import click

from prunejuice.cli import render
from prunejuice.cli.options import json_option
from prunejuice.system import settings
from prunejuice.text import safe_line


@click.command("path")
@json_option
def path_command(*, as_json: bool) -> None:
    path = str(settings.user_config_path(settings.environment()))
    if as_json:
        render.print_json("path", {"path": path})
        return
    render.print_line(safe_line(path, 4000))
