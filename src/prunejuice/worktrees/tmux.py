"""Create, list and end tmux sessions, on a socket that can be chosen.

Every session created here has a mark, stored as a tmux option; sessions without one belong to the user and
are never changed. Reading calls tmux directly, because importing libtmux takes as long as everything else.
"""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct

from prunejuice.errors import MissingToolError, NotFoundError, StepError
from prunejuice.system import process, settings
from prunejuice.text import safe_line

MARK_OPTION = "@prunejuice"
PANE_OPTION = "@prunejuice_pane"
DRIVER_TASK = "driver"
"""The task of a session that drives a run in the background."""
_SESSION_FORMAT = f"#{{session_name}}\t#{{session_created}}\t#{{session_attached}}\t#{{{MARK_OPTION}}}"


class SessionMark(Struct, frozen=True, omit_defaults=True):
    """The mark of a session created here."""

    project: str
    directory: str
    task: str = ""
    run: str = ""


class Session(NamedTuple):
    """A tmux session; `created` is in seconds since 1970; `mark` is None if the session is not ours."""

    name: str
    created: float
    attached: bool
    mark: SessionMark | None


def session_name(project: str, worktree: str, task: str) -> str:
    """Return `project-worktree-task` in characters that tmux accepts.

    The project is not repeated if the worktree starts with it, and cut if the name exceeds 100 characters.
    """
    project = project[: max(8, 98 - len(worktree) - len(task))]
    worktree = worktree.removeprefix(project).lstrip("-") or worktree
    parts = [project, worktree, task] if worktree != project else [project, task]
    text = "-".join(part for part in parts if part).lower()
    return re.sub(r"-+", "-", re.sub(r"[^a-z0-9-]", "-", text)).strip("-")[:100]


def is_installed() -> bool:
    """Return whether tmux is installed."""
    return shutil.which("tmux") is not None


class Window(NamedTuple):
    """A command to run in a tmux window; `tag` identifies its pane."""

    title: str
    directory: str
    command: Sequence[str]
    tag: str


def free_session_name(name: str, directory: str, socket: str) -> str:
    """Return the name for a session of a directory: another one if a session elsewhere has the name.

    Two projects may have folders of the same name; the mark of a session says which one it works in.
    """
    session = list_sessions(socket).get(name)
    if session is None or session.mark is None or _is_same_folder(session.mark.directory, directory):
        return name
    folder = os.path.realpath(directory).encode("utf-8", "surrogateescape")
    return f"{name}-{hashlib.sha256(folder).hexdigest()[:6]}"


def _is_same_folder(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def create_session(
    name: str,
    directory: str,
    socket: str,
    mark: SessionMark,
    command: Sequence[str] = (),
    window: Window | None = None,
) -> bool:
    """Create a marked session in the background. Return False if it already exists.

    Raises:
        MissingToolError: tmux is not installed.
        StepError: tmux failed, the name is invalid, or a session that is not ours has it.
    """
    server = _open_server(socket)
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise StepError(f"invalid session name {safe_line(name, 100)!r}", "use letters, digits, - and _")
    session = list_sessions(socket).get(name)
    if session is not None:
        if session.mark is None:
            problem = f"session {name!r} already exists, and prunejuice did not create it"
            raise StepError(problem, "choose another task name")
        if not _is_same_folder(session.mark.directory, directory):
            problem = f"session {name!r} belongs to {safe_line(session.mark.directory, 200)}"
            raise StepError(problem, "choose another task name")
        return False
    arguments = ["-P", "-F", "#{pane_id}", "-d", "-s", name]
    arguments += _window_arguments(window) if window else ["-c", _escape_format(directory), *command]
    # In the same call, so that a session of ours is never without its mark.
    arguments += [";", "set-option", "-t", f"{name}:", MARK_OPTION, msgspec.json.encode(mark).decode()]
    result = server.cmd("new-session", *arguments)
    if result.stderr:
        stderr = safe_line(" ".join(result.stderr))
        raise StepError(f"tmux could not create the session {name!r}: {stderr}")
    if window:
        server.cmd("set-option", "-p", "-t", result.stdout[0], PANE_OPTION, window.tag)
    return True


def open_window(name: str, socket: str, window: Window) -> None:
    """Open a window in a session of ours and select it.

    Raises:
        StepError: tmux failed.
    """
    server = _open_server(socket)
    result = server.cmd(
        "new-window", "-P", "-F", "#{pane_id}", "-t", f"={name}:", *_window_arguments(window)
    )
    if result.stderr or not result.stdout:
        raise StepError(f"tmux could not open a window in {name!r}: {safe_line(' '.join(result.stderr))}")
    server.cmd("set-option", "-p", "-t", result.stdout[0], PANE_OPTION, window.tag)


def _window_arguments(window: Window) -> list[str]:
    return ["-n", _escape_format(window.title), "-c", _escape_format(window.directory), *window.command]


def _escape_format(text: str) -> str:
    """Escape a text so that tmux expands no format in it and finds no end of a command."""
    text = text.replace("#", "##")
    return f"{text[:-1]}\\;" if text.endswith(";") else text


def is_window_open(tag: str, socket: str) -> bool:
    """Return whether the command in the window of a tag is still running."""
    return any(not dead for _, dead in _list_panes(tag, socket))


def close_pane(tag: str, socket: str) -> None:
    """Close the panes of a tag; keep other panes of the window."""
    for pane, _ in _list_panes(tag, socket):
        _open_server(socket).cmd("kill-pane", "-t", pane)


def _list_panes(tag: str, socket: str) -> list[tuple[str, bool]]:
    """Return the panes of a tag, each with whether its command has ended."""
    form = f"#{{pane_id}}\t#{{pane_dead}}\t#{{{PANE_OPTION}}}"
    rows = (row.split("\t", 2) for row in _open_server(socket).cmd("list-panes", "-a", "-F", form).stdout)
    return [(row[0], row[1] == "1") for row in rows if len(row) == 3 and row[2] == tag]


def list_sessions(socket: str = "", environ: Mapping[str, str] | None = None) -> dict[str, Session]:
    """Return all sessions by name, in one call; empty without tmux or a running server."""
    program = shutil.which("tmux")
    if program is None:
        return {}
    argv = [*_tmux_command(program, socket), "list-sessions", "-F", _SESSION_FORMAT]
    result = process.capture_output(
        process.ProcessSpec(argv, "/", environ or settings.environment(), timeout=10)
    )
    lines = result.stdout.decode("utf-8", "replace").splitlines() if result.code == 0 else []
    sessions = (_parse_session(line) for line in lines)
    return {session.name: session for session in sessions if session is not None}


def _parse_session(line: str) -> Session | None:
    fields = line.split("\t", 3)
    if len(fields) != 4:
        return None
    name, created, attached, mark = fields
    try:
        session_mark = msgspec.json.decode(mark, type=SessionMark) if mark else None
    except msgspec.MsgspecError:
        session_mark = None
    return Session(name, float(created or 0), attached != "0", session_mark)


def session_exists(name: str, socket: str = "") -> bool:
    """Return whether a session of ours with this name exists."""
    session = list_sessions(socket).get(name)
    return session is not None and session.mark is not None


def kill_session(name: str, socket: str = "") -> bool:
    """End a session of ours. Return False if there is none with this name.

    Wait up to 5 seconds until tmux no longer lists it.
    """
    if not session_exists(name, socket):
        return False
    _open_server(socket).cmd("kill-session", "-t", f"={name}")  # `=`: not a mere prefix of the name
    deadline = time.monotonic() + 5
    while session_exists(name, socket) and time.monotonic() < deadline:
        time.sleep(0.01)
    return True


def attach_command(name: str, socket: str, environ: Mapping[str, str]) -> list[str]:
    """Return the command that attaches the terminal to a session, or switches to it inside tmux.

    Raises:
        MissingToolError: tmux is not installed.
        NotFoundError: the session does not exist.
    """
    program = process.require_program("tmux", environ.get("PATH"))
    if name not in list_sessions(socket):
        raise NotFoundError(f"no session {safe_line(name, 100)!r}", "run `pots list` to see the sessions")
    current_socket = environ.get("TMUX", "").split(",")[0].rpartition("/")[2]
    verb = "switch-client" if current_socket == (socket or "default") else "attach-session"
    return [*_tmux_command(program, socket), verb, "-t", f"={name}"]


def _tmux_command(program: str, socket: str) -> list[str]:
    return [program, "-L", socket] if socket else [program]


def _open_server(socket: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 - libtmux is imported on use only
    if not is_installed():
        raise MissingToolError("tmux is not installed", "install tmux 3.2 or newer")
    import libtmux

    return libtmux.Server(socket_name=socket or None)
