"""Kill a session that pots made."""

import shlex

import click

from prunejuice.cli import render
from prunejuice.cli.pots.session_lookup import complete_session, find_session, socket_name
from prunejuice.errors import DeniedError
from prunejuice.worktrees import tmux


@click.command("kill")
@click.argument("name", shell_complete=complete_session)
@click.option("-f", "--force", is_flag=True, help="Do not ask for confirmation.")
def kill_command(*, name: str, force: bool) -> None:
    if find_session(name).mark is None:
        argv = [
            "tmux",
            *(["-L", socket_name()] if socket_name() else []),
            "kill-session",
            "-t",
            f"={name}",
        ]
        raise DeniedError(f"session {name!r} was not made by pots", f"kill it with `{shlex.join(argv)}`")
    if not force and not click.confirm(f"Are you sure you want to kill session '{name}'?", err=True):
        render.print_line("Cancelled")
        return
    tmux.kill_session(name, socket_name())
    render.print_line(f"Killed session '{name}'")
