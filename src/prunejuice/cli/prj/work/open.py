"""Open the folder that a run works in, with your editor; without a terminal, print its path.

The editor is the program of the variable VISUAL or EDITOR.
"""

import shlex
import sys

import click

from prunejuice.app import run_changes, wiring
from prunejuice.cli import render, terminal
from prunejuice.cli.completion import complete_run
from prunejuice.cli.run_lookup import find_run
from prunejuice.errors import UsageError
from prunejuice.system import process
from prunejuice.text import safe_line


@click.command("open")
@click.argument("run", shell_complete=complete_run)
@click.option("--path", "only_path", is_flag=True, help="Print the path only.")
def open_command(*, run: str, only_path: bool) -> int:
    app = wiring.open_app()
    loaded = find_run(app, run)
    folder = str(run_changes.require_folder(app, loaded, render.print_message))
    if only_path or not (terminal.is_interactive() and sys.stdout.isatty()):
        render.print_line(safe_line(folder, 1000))
        return 0
    editor = terminal.find_editor()
    if not editor:
        raise UsageError("no editor was found", "set EDITOR, or use --path")
    try:
        argv = [*shlex.split(editor), folder]
    except ValueError as error:
        raise UsageError(
            f"could not read the editor {safe_line(editor)!r}: {error}", "set EDITOR"
        ) from error
    return process.run_in_foreground(process.ProcessSpec(argv, folder, app.environ))
