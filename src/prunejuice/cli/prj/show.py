"""Show one run with its steps.

RUN is an id, or a unique prefix of one.
"""

import click

from prunejuice.cli import render
from prunejuice.cli.completion import complete_run
from prunejuice.cli.options import json_option
from prunejuice.cli.run_history import find_run_id, open_history
from prunejuice.engine import view


@click.command("show")
@click.argument("run", shell_complete=complete_run)
@json_option
def show_command(*, run: str, as_json: bool) -> None:
    history = open_history()
    loaded = history.load_run(find_run_id(history, run))
    directory = str(history.run_directory(loaded.id))
    if as_json:
        render.print_json("run", {**view.run_to_dict(loaded), "artifact_dir": directory})
        return
    for line in render.run_summary(loaded, directory):
        render.print_line(line)
    for row in render.align_columns(render.step_row(loaded, visit) for visit in loaded.visits):
        render.print_line(row)
    for line in render.failure_tail(loaded):
        render.print_line(line)
