"""Print the value of a setting."""

import click

from prunejuice.app import wiring
from prunejuice.cli import render
from prunejuice.cli.completion import complete_setting
from prunejuice.cli.options import json_option
from prunejuice.cli.prj.config.setting_value import find_setting, format_value
from prunejuice.text import safe_line


@click.command("get")
@click.argument("name", shell_complete=complete_setting)
@json_option
def get_command(*, name: str, as_json: bool) -> None:
    setting = find_setting(wiring.open_app(), name)
    if as_json:
        render.print_json("setting", setting._asdict())
        return
    render.print_line(safe_line(format_value(setting.value), 4000))
