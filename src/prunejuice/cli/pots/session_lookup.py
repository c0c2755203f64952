"""Lookup of tmux sessions. Only sessions that PruneJuice created count as orphans."""

from collections.abc import Iterable
from pathlib import Path

import click

from prunejuice.cli.completion import offer_words
from prunejuice.errors import MissingToolError, NotFoundError, PruneJuiceError, UsageError
from prunejuice.system import settings
from prunejuice.text import safe_line, spelling_hint
from prunejuice.worktrees import git as gits
from prunejuice.worktrees import tmux
from prunejuice.worktrees.tmux import Session


def socket_name() -> str:
    """Return the name of the tmux socket from the settings."""
    return settings.load(settings.environment()).tmux_socket


def find_session(name: str) -> Session:
    """Return the session of a name.

    Raises:
        MissingToolError: tmux is not installed.
        NotFoundError: no session has the name.
        UsageError: the session belongs to another project than the current directory.
    """
    if not tmux.is_installed():
        raise MissingToolError("tmux is not installed", "install tmux 3.2 or newer")
    sessions = tmux.list_sessions(socket_name())
    if name not in sessions:
        hint = spelling_hint(name, sessions) or "run `pots list` to see the sessions"
        raise NotFoundError(f"unknown session {safe_line(name, 100)!r}", hint)
    _require_own_project(sessions[name])
    return sessions[name]


def _find_names(_context: click.Context) -> Iterable[tuple[str, str]]:
    return ((each.name, "") for each in tmux.list_sessions(socket_name()).values() if each.mark)


complete_session = offer_words(_find_names)


def _require_own_project(session: Session) -> None:
    """Refuse a session of another project: its name says little of where it works."""
    if session.mark is None or not Path(session.mark.directory).is_dir():
        return
    here, there = (_repository(Path(folder)) for folder in (".", session.mark.directory))
    if here and there and here != there:
        message = f"session {session.name!r} works in {safe_line(session.mark.directory, 200)}"
        raise UsageError(message, "go there and try again: it belongs to another project")


def _repository(folder: Path) -> str:
    """Return the git directory that all worktrees of a project share; empty outside of git."""
    try:
        if not gits.may_be_in_repository(folder):
            return ""
        return gits.open_git(folder, dict(settings.environment())).locate().common
    except PruneJuiceError:
        return ""


def is_orphan(session: Session) -> bool:
    """Tell whether PruneJuice created the session and its directory no longer exists."""
    return session.mark is not None and not Path(session.mark.directory).is_dir()
