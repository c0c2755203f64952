"""Attach this terminal to a session.

Press Ctrl-b d to detach.
"""

import shlex
import sys

import click

from prunejuice.cli.pots.session_lookup import find_session, socket_name
from prunejuice.errors import UsageError
from prunejuice.system import process, settings
from prunejuice.worktrees import tmux


@click.command("attach")
@click.argument("name")
def attach_command(*, name: str) -> None:
    find_session(name)
    environ = settings.environment()
    argv = tmux.attach_command(name, socket_name(), environ)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("attaching needs a terminal", f"run `{shlex.join(argv)}` in a terminal")
    process.exec_program(argv, environ)
