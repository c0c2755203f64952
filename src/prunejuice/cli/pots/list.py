"""List tmux sessions, including those that pots did not make."""

import re
from typing import Any

import click

from prunejuice.cli import render
from prunejuice.cli.options import json_option
from prunejuice.cli.pots.session_lookup import is_orphan, socket_name
from prunejuice.engine.view import format_time
from prunejuice.errors import UsageError
from prunejuice.text import safe_line
from prunejuice.worktrees import tmux
from prunejuice.worktrees.tmux import Session


@click.command("list")
@click.argument("pattern", required=False, default="")
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Show the directory, the creation time, and whether a client is attached.",
)
@click.option(
    "-f",
    "--filter",
    "wanted",
    default="",
    metavar="PATTERN",
    help="Show only names that match a regular expression.",
)
@json_option
def list_command(*, pattern: str, verbose: bool, wanted: str, as_json: bool) -> None:
    try:
        match = re.compile(wanted or pattern)
    except re.error as error:
        raise UsageError(
            f"invalid regular expression {safe_line(wanted or pattern, 80)!r}: {error}",
            "escape special characters with a backslash",
        ) from error
    sessions = [
        session for name, session in sorted(tmux.list_sessions(socket_name()).items()) if match.search(name)
    ]
    if as_json:
        render.print_json("sessions", [_session_to_dict(session) for session in sessions])
        return
    if not sessions:
        render.print_message("No tmux sessions found")
    for session in sessions:
        for line in _session_lines(session) if verbose else (session.name,):
            render.print_line(safe_line(line, 400))


def _session_lines(session: Session) -> tuple[str, ...]:
    directory = session.mark.directory if session.mark else "(not made by pots)"
    return (
        f"Session: {session.name}",
        f"  Working Directory: {directory}",
        f"  Created: {format_time(session.created)}",
        f"  Attached: {'Yes' if session.attached else 'No'}",
    )


def _session_to_dict(session: Session) -> dict[str, Any]:
    data = {
        "name": session.name,
        "created": format_time(session.created),
        "attached": session.attached,
        "ours": bool(session.mark),
    }
    if session.mark is None:
        return data
    details = {
        "project": session.mark.project,
        "directory": session.mark.directory,
        "task": session.mark.task,
    }
    return {**data, **details, "run": session.mark.run or None, "orphan": is_orphan(session)}
