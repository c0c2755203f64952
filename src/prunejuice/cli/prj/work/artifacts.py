"""List the files that a run kept."""

import click

from prunejuice.cli import render
from prunejuice.cli.completion import complete_run
from prunejuice.cli.options import json_option
from prunejuice.cli.run_history import find_run_id, open_history
from prunejuice.engine import view
from prunejuice.text import safe_line


@click.command("artifacts")
@click.argument("run", shell_complete=complete_run)
@json_option
def artifacts_command(*, run: str, as_json: bool) -> None:
    history = open_history()
    loaded = history.load_run(find_run_id(history, run))
    directory = history.run_directory(loaded.id)
    if as_json:
        render.print_json(
            "artifacts", {"directory": str(directory), "items": view.run_to_dict(loaded)["artifacts"]}
        )
        return
    rows = [
        (
            f"{artifact.size}",
            artifact.media_type,
            artifact.step,
            safe_line(str(directory / artifact.path), 300),
        )
        for artifact in loaded.artifacts
    ]
    for row in render.align_columns(rows):
        render.print_line(row)
