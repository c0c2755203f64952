"""Create .prj with three example commands.

Existing files stay as they are.
"""

from pathlib import Path

import click

from prunejuice.app import wiring
from prunejuice.cli import render
from prunejuice.cli.options import json_option
from prunejuice.engine import trust
from prunejuice.errors import UsageError
from prunejuice.text import safe_line
from prunejuice.workflow import project
from prunejuice.workflow.init_project import init_project
from prunejuice.workflow.project import Project


@click.command("init")
@click.argument("path", type=click.Path(file_okay=False, path_type=Path), default=".")
@json_option
def init_command(*, path: Path, as_json: bool) -> None:
    if not path.is_dir():
        raise UsageError(f"no such directory: {str(path)!r}")
    new_project = Project(project.current_directory() / path.resolve())
    app = wiring.open_app(path)
    was_trusted = trust.trust_state(new_project, app.trust_store).is_trusted
    created = list(init_project(new_project))
    if was_trusted:
        trust.trust_project(new_project, app.trust_store, app.settings.home)
    if as_json:
        render.print_json(
            "init", {"project": str(new_project.root), "created": created, "trusted": was_trusted}
        )
        return
    for name in created:
        render.print_line(f"created  {safe_line(name)}")
    if not created:
        render.print_line(f"{safe_line(str(new_project.prj))} already exists; nothing was changed")
    if not was_trusted:
        render.print_message("this .prj existed before and is not trusted: review it, then run `prj trust`")
    render.print_message("next: run `prj list`")
