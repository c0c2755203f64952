"""Let the sandbox of this project's processes reach a host, write to a path, read one, or use a service.

KIND is host, write, read or service; each VALUE is added to `allow` in .prj/config.yaml, which stays
trusted if it was. Paths are relative to the tree, absolute, or begin with ~.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from prunejuice.app import wiring
from prunejuice.cli import render
from prunejuice.cli.options import json_option
from prunejuice.cli.prj.config.user_config import write_setting
from prunejuice.engine import trust
from prunejuice.errors import UsageError
from prunejuice.sandbox.permissions import require_permissions
from prunejuice.system import settings, yaml_reader
from prunejuice.text import safe_line

_KINDS = {"host": "hosts", "write": "write", "read": "read", "service": "services"}


@click.command("allow")
@click.argument("kind", type=click.Choice(list(_KINDS)))
@click.argument("values", nargs=-1, required=True, metavar="VALUE...")
@click.option("--user", is_flag=True, help="Allow it in all projects, in your own config.yaml.")
@json_option
def allow_command(*, kind: str, values: tuple[str, ...], user: bool, as_json: bool) -> None:
    app = wiring.open_app()
    path = settings.user_config_path(app.environ) if user else app.project.config
    if not (user or app.project.prj.is_dir()):
        raise UsageError("this project has no .prj", "run `prj init`, or allow it everywhere with --user")
    state = trust.trust_state(app.project, app.trust_store)
    allowed = _read_allowed(path)
    name = _KINDS[kind]
    allowed[name] = list(dict.fromkeys([*allowed.get(name, []), *values]))
    require_permissions(allowed, "allow")
    write_setting(path, "allow", allowed)
    if not user and state.is_trusted:
        trust.trust_project(app.project, app.trust_store, app.settings.home)
    if as_json:
        render.print_json("allow", {"path": str(path), "allow": allowed})
        return
    shown = ", ".join(safe_line(value, 100) for value in values)
    render.print_line(f"allowed {kind} {shown} in {safe_line(str(path), 300)}")
    if not user and not state.is_trusted:
        render.print_message("note: it applies once you have reviewed .prj and run `prj trust`")


def _read_allowed(path: Path) -> dict[str, list[Any]]:
    """Return the lists of `allow` in a configuration file.

    Raises:
        UsageError: it is not a mapping of lists.
    """
    data = yaml_reader.parse(path.read_bytes(), str(path)).data if path.is_file() else {}
    allowed = (data or {}).get("allow") or {} if isinstance(data, dict | None) else {}
    if not isinstance(allowed, Mapping):
        raise UsageError(f"{path}: allow must be a mapping of lists", "allow: {hosts: [example.org]}")
    return {
        str(name): list(items) if isinstance(items, list) else [items] for name, items in allowed.items()
    }
