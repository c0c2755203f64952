"""Attach this terminal to a session.

Press Ctrl-b d to detach.
"""

import click

from prunejuice.cli.pots.session_lookup import complete_session, find_session, socket_name
from prunejuice.cli.session_terminal import attach_terminal
from prunejuice.system import settings


@click.command("attach")
@click.argument("name", shell_complete=complete_session)
def attach_command(*, name: str) -> None:
    find_session(name)
    attach_terminal(name, socket_name(), settings.environment())
