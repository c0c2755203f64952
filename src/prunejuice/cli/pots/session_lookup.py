"""Lookup of tmux sessions. Only sessions that PruneJuice created count as orphans."""

from pathlib import Path

from prunejuice.errors import MissingToolError, NotFoundError
from prunejuice.system import settings
from prunejuice.text import safe_line, spelling_hint
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
    """
    if not tmux.is_installed():
        raise MissingToolError("tmux is not installed", "install tmux 3.2 or newer")
    sessions = tmux.list_sessions(socket_name())
    if name not in sessions:
        hint = spelling_hint(name, sessions) or "run `pots list` to see the sessions"
        raise NotFoundError(f"unknown session {safe_line(name, 100)!r}", hint)
    return sessions[name]


def is_orphan(session: Session) -> bool:
    """Tell whether PruneJuice created the session and its directory no longer exists."""
    return session.mark is not None and not Path(session.mark.directory).is_dir()
