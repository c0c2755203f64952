"""List all settings, with the source of each value.

An environment variable (PRUNEJUICE_NAME) overrides the trusted project's .prj/config.yaml, which
overrides your own config.yaml, which overrides the default. Flags of a command override them all.
"""

import click

from prunejuice.app import wiring
from prunejuice.cli import render
from prunejuice.cli.options import json_option
from prunejuice.cli.prj.config.setting_value import find_settings, format_value
from prunejuice.text import safe_line


@click.command("list")
@json_option
def list_command(*, as_json: bool) -> None:
    show_settings(as_json=as_json)


def show_settings(*, as_json: bool) -> None:
    """Print every setting with its value and its source."""
    app = wiring.open_app()
    settings = find_settings(app)
    if as_json:
        render.print_json("settings", [setting._asdict() for setting in settings])
        return
    if app.has_untrusted_settings():
        path = safe_line(str(app.project.config), 300)
        render.print_message(f"note: ignoring {path}, which is not trusted: run `prj trust`")
    rows = (
        (each.name, safe_line(format_value(each.value)), safe_line(each.source, 300)) for each in settings
    )
    for row in render.align_columns(rows):
        render.print_line(row)
