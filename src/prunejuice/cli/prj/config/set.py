"""Set a setting in your own config.yaml; comments and other settings stay.

Write the items of a list with commas between them.
"""

import re
from collections.abc import Sequence

import click

from prunejuice.app import wiring
from prunejuice.cli import render
from prunejuice.cli.completion import complete_setting
from prunejuice.cli.prj.config.setting_value import find_setting
from prunejuice.cli.yaml_writer import yaml_lines
from prunejuice.errors import UsageError
from prunejuice.system import settings
from prunejuice.text import safe_line


@click.command("set")
@click.argument("name", shell_complete=complete_setting)
@click.argument("value")
def set_command(*, name: str, value: str) -> None:
    app = wiring.open_app()
    find_setting(app, name)
    if name == "home":
        raise UsageError("config.yaml cannot set home", "set PRUNEJUICE_HOME in your environment")
    path = settings.user_config_path(app.environ)
    typed = settings.convert_value(name, name, value)
    entry = list(yaml_lines({name: list(typed) if isinstance(typed, tuple) else typed}))
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(_replace_entry(before.splitlines(), name, entry)) + "\n", encoding="utf-8")
    render.print_line(safe_line(f"set {name} in {path}", 400))
    source = find_setting(wiring.open_app(), name).source
    if source != str(path):
        render.print_message(f"note: {safe_line(source, 300)} overrides it here")


def _replace_entry(lines: Sequence[str], name: str, entry: Sequence[str]) -> list[str]:
    """Return the lines of a YAML mapping with the entry of a key replaced, or added at the end."""
    start = next((n for n, line in enumerate(lines) if re.match(rf"['\"]?{name}['\"]?\s*:", line)), None)
    if start is None:
        return [*lines, *entry]
    end = start + 1
    while end < len(lines) and re.match(r"[ \t]+\S|-", lines[end]):  # its indented lines and its items
        end += 1
    return [*lines[:start], *entry, *lines[end:]]
