"""Allow this project's .prj to run, exactly as it is now."""

import click

from prunejuice.app import wiring
from prunejuice.cli import render
from prunejuice.cli.options import json_option
from prunejuice.engine import trust
from prunejuice.text import format_count, safe_line


@click.command("trust")
@json_option
def trust_command(*, as_json: bool) -> None:
    app = wiring.open_app()
    project = app.project
    before = trust.trust_state(project, app.trust_store)
    files = trust.trust_project(project, app.trust_store)
    if as_json:
        render.print_json(
            "trust", {"project": str(project.root), "files": files, "changes": before.changes}
        )
        return
    for change in before.changes:
        render.print_line(safe_line(change, 300))
    render.print_line(f"trusted {format_count(len(files), 'file')} in {safe_line(str(project.prj), 300)}")
