"""Set a setting in your own config.yaml; comments and other settings stay.

Write the items of a list with commas between them.
"""

from collections.abc import Mapping
from typing import Any

import click

from prunejuice.app import wiring
from prunejuice.cli import render
from prunejuice.cli.completion import complete_setting
from prunejuice.cli.options import json_option
from prunejuice.cli.prj.config.setting_value import find_setting
from prunejuice.cli.prj.config.user_config import write_setting
from prunejuice.errors import UsageError
from prunejuice.system import settings
from prunejuice.text import safe_line


@click.command("set")
@click.argument("name", shell_complete=complete_setting)
@click.argument("value")
@json_option
def set_command(*, name: str, value: str, as_json: bool) -> None:
    app = wiring.open_app()
    find_setting(app, name)
    if name == "home":
        raise UsageError("config.yaml cannot set home", "set PRUNEJUICE_HOME in your environment")
    path = settings.user_config_path(app.environ)
    typed = settings.convert_value(name, name, value)
    write_setting(path, name, _to_plain(typed))
    setting = find_setting(wiring.open_app(), name)
    if as_json:
        render.print_json("setting", {**setting._asdict(), "path": str(path)})
    else:
        render.print_line(safe_line(f"set {name} in {path}", 400))
    if setting.source != str(path):
        render.print_message(f"note: {safe_line(setting.source, 300)} overrides it here")


def _to_plain(value: Any) -> Any:
    """Return a value as a file holds it: tuples are lists."""
    if isinstance(value, Mapping):
        return {name: list(items) for name, items in value.items()}
    return list(value) if isinstance(value, tuple) else value
