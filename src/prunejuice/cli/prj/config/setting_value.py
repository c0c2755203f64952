"""Settings with the places that they come from."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from prunejuice.app.wiring import App
from prunejuice.errors import UsageError
from prunejuice.system import settings
from prunejuice.text import safe_line, spelling_hint


class SettingValue(NamedTuple):
    """The value of a setting; `source` names its file or its environment variable, or is `default`."""

    name: str
    value: Any
    source: str


def find_settings(app: App) -> list[SettingValue]:
    """Return every setting as it applies in the project."""
    places = {
        "user": str(settings.user_config_path(app.environ)),
        "project": str(app.project.config),
        "default": "default",
    }
    values = {name: value for name, value in app.settings._asdict().items() if name != "sources"}
    return [
        SettingValue(
            name,
            str(value) if name == "home" else value,
            places.get(app.settings.sources.get(name, "default"), f"PRUNEJUICE_{name.upper()}"),
        )
        for name, value in values.items()
    ]


def find_setting(app: App, name: str) -> SettingValue:
    """Return one setting.

    Raises:
        UsageError: no setting has this name.
    """
    known = {setting.name: setting for setting in find_settings(app)}
    if name not in known:
        hint = spelling_hint(name, known) or "run `prj config list` to see the settings"
        raise UsageError(f"unknown setting {safe_line(name, 60)!r}", hint)
    return known[name]


def format_value(value: Any) -> str:
    """Return a value as it is written on the command line and in environment variables."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return msgspec.json.encode(value).decode() if value else ""
    return ",".join(value) if isinstance(value, tuple) else str(value)
