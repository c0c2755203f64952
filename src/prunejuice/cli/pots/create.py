"""Create a session in a folder, and attach to it.

The session is named project-worktree-task.
"""

import os
import sys
from pathlib import Path

import click

from prunejuice.cli import render
from prunejuice.cli.options import json_option
from prunejuice.cli.pots.session_lookup import socket_name
from prunejuice.errors import PruneJuiceError, UsageError
from prunejuice.system import process, settings
from prunejuice.text import safe_line
from prunejuice.workflow import project
from prunejuice.worktrees import git as gits
from prunejuice.worktrees import tmux
from prunejuice.worktrees.tmux import SessionMark


@click.command("create")
@click.argument("directory", metavar="DIR")
@click.argument("task", required=False, default="", metavar="[TASK]")
@click.option(
    "-t",
    "--task",
    "named",
    default="",
    help="Task in the session's name  [default: POTS_DEFAULT_TASK or dev].",
)
@click.option("--no-attach", is_flag=True, help="Leave the session in the background.")
@json_option
def create_command(*, directory: str, task: str, named: str, no_attach: bool, as_json: bool) -> None:
    if task and named:
        raise UsageError("the task is given twice", "pass either TASK or --task")
    environ = settings.environment()
    variables = settings.load_shell_tool_settings(environ, "pots")
    path = Path(os.path.normpath(Path(directory).expanduser().absolute()))
    if not path.is_dir():
        raise UsageError(
            f"no such directory: {safe_line(str(path), 300)!r}", "run `plum list` to see the worktrees"
        )
    task = named or task or str(variables.get("POTS_DEFAULT_TASK") or "dev")
    project_name = _project_name(path)
    base_name = tmux.session_name(project_name, path.resolve().name, task)
    name = tmux.free_session_name(base_name, str(path), socket_name())
    created = tmux.create_session(
        name, str(path), socket_name(), SessionMark(project_name, str(path), task)
    )
    if as_json:
        render.print_json(
            "session", {"name": name, "directory": str(path), "task": task, "created": created}
        )
        return
    word = "Created" if created else "Found"
    render.print_line(safe_line(f"{word} session '{name}' for worktree '{path}'", 400))
    render.print_line(f"Session created: {name}")
    auto_attach = str(variables.get("POTS_AUTO_ATTACH", "true")) == "true"
    if auto_attach and not no_attach and sys.stdin.isatty() and sys.stdout.isatty():
        process.exec_program(tmux.attach_command(name, socket_name(), environ), environ)


def _project_name(path: Path) -> str:
    """Return the name of the main worktree around a directory, or of its project outside of git."""
    try:
        git = gits.open_git(path, dict(settings.environment())).locate()
        return Path(git.main_worktree or git.common).name
    except PruneJuiceError:
        return project.find_project(path).root.name
