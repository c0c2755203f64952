"""Sessions: tmux, through libtmux, on a socket that can be chosen."""

import re
import shutil

from prunejuice.errors import MissingToolError, StepError


def session_name(project: str, worktree: str, task: str) -> str:
    """`project-worktree-task` in the characters tmux takes, without saying the project twice."""
    worktree = worktree.removeprefix(project).lstrip("-") or worktree
    parts = [project, worktree, task] if worktree != project else [project, task]
    text = "-".join(part for part in parts if part).lower()
    return re.sub(r"-+", "-", re.sub(r"[^a-z0-9-]", "-", text)).strip("-")[:100]


def is_installed() -> bool:
    """Whether there is a tmux."""
    return shutil.which("tmux") is not None


def create(name: str, directory: str, socket: str = "") -> str:
    """A session in the background that starts in `directory`; an existing one is left as it is.

    Raises:
        MissingToolError: there is no tmux.
        StepError: tmux refused.
    """
    server = _server(socket)
    from libtmux.exc import LibTmuxException

    try:
        if not server.has_session(name):
            server.new_session(session_name=name, start_directory=directory, attach=False)
    except LibTmuxException as error:
        raise StepError(f"tmux cannot make the session {name!r}: {error}") from error
    return name


def exists(name: str, socket: str = "") -> bool:
    """Whether there is such a session."""
    return is_installed() and bool(_server(socket).has_session(name))


def kill(name: str, socket: str = "") -> bool:
    """Whether the session was there; it is gone now."""
    if not exists(name, socket):
        return False
    _server(socket).kill_session(name)
    return True


def _server(socket: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 - libtmux is imported when used
    if not is_installed():
        raise MissingToolError("tmux is not installed", "install tmux 3.2 or newer")
    import libtmux

    return libtmux.Server(socket_name=socket or None)
