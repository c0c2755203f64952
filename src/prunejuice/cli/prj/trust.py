"""Allow this project's .prj and .env to run, exactly as they are now.

On a terminal, shows what changed since you trusted them, and asks.
"""

import click

from prunejuice.app import wiring
from prunejuice.cli import ask_for_trust, render, terminal
from prunejuice.cli.options import json_option
from prunejuice.engine import trust
from prunejuice.errors import DeniedError
from prunejuice.text import format_count, safe_line


@click.command("trust")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option
def trust_command(*, yes: bool, as_json: bool) -> None:
    app = wiring.open_app()
    project = app.project
    before = trust.trust_state(project, app.trust_store)
    asks = not (yes or as_json or before.is_trusted) and terminal.is_interactive()
    if asks and not ask_for_trust.ask_to_trust(app, before):
        raise DeniedError(f"{project.prj} is not trusted: you declined")
    files = trust.trust_project(project, app.trust_store, app.settings.home, before.digests)
    if as_json:
        render.print_json(
            "trust", {"project": str(project.root), "files": files, "changes": before.changes}
        )
        return
    for change in () if asks else before.changes:
        render.print_line(safe_line(change, 300))
    render.print_line(f"trusted {format_count(len(files), 'file')} in {safe_line(str(project.prj), 300)}")
