"""Sessions: tmux, through libtmux, on a socket that can be chosen.

Every session of ours carries a mark, as an option of its own; a session without one is somebody else's
and is never touched. What is only looked at is asked of tmux directly, in one call, because libtmux costs
as much to load as all else together.
"""

import re
import shutil
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct

from prunejuice import process, settings
from prunejuice.errors import MissingToolError, NotFoundError, StepError
from prunejuice.text import safe_line

MARK = "@prunejuice"
DRIVER = "driver"
"""The task of a session in which a run is driven."""
_FORMAT = f"#{{session_name}}\t#{{session_created}}\t#{{session_attached}}\t#{{{MARK}}}"


class Mark(Struct, frozen=True, omit_defaults=True):
    """What we know of a session that we made."""

    project: str
    directory: str
    task: str = ""
    run: str = ""


class Session(NamedTuple):
    """A session as it is; `created` is seconds since 1970; `mark` is None when it is not ours."""

    name: str
    created: float
    attached: bool
    mark: Mark | None


def session_name(project: str, worktree: str, task: str) -> str:
    """`project-worktree-task` in the characters tmux takes, without saying the project or task twice."""
    worktree = worktree.removeprefix(project).lstrip("-") or worktree
    parts = [project, worktree, task] if worktree != project else [project, task]
    text = "-".join(part for part in parts if part).lower()
    return re.sub(r"-+", "-", re.sub(r"[^a-z0-9-]", "-", text)).strip("-")[:100]


def is_installed() -> bool:
    """Whether there is a tmux."""
    return shutil.which("tmux") is not None


def create(
    name: str, directory: str, socket: str, mark: Mark, command: Sequence[str] = (), title: str = ""
) -> bool:
    """A marked session in the background; whether it is new: one of ours with that name is left as it is.

    Raises:
        MissingToolError: there is no tmux.
        StepError: tmux refused, or a session of somebody else has the name.
    """
    server = _server(socket)
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise StepError(
            f"tmux cannot make the session {safe_line(name, 100)!r}", "use letters, digits and -"
        )
    there = sessions(socket).get(name)
    if there is not None:
        if there.mark is None:
            raise StepError(f"a session {name!r} that is not ours is there", "name another task")
        return False
    words = ["-d", "-s", name, *(["-n", title] if title else []), "-c", directory, *command, ";"]
    words += ["set-option", "-t", f"{name}:", MARK, msgspec.json.encode(mark).decode()]
    done = server.cmd("new-session", *words)
    if done.stderr:
        said = safe_line(" ".join(done.stderr))
        raise StepError(f"tmux cannot make the session {name!r}: {said}")
    return True


def sessions(socket: str = "", environ: Mapping[str, str] | None = None) -> dict[str, Session]:
    """Every session of the server by name, in one call; none when there is no tmux or no server."""
    program = shutil.which("tmux")
    if program is None:
        return {}
    argv = [*_words(program, socket), "list-sessions", "-F", _FORMAT]
    done = process.capture(process.Call(argv, "/", environ or settings.environment(), timeout=10))
    lines = done.out.decode("utf-8", "replace").splitlines() if done.code == 0 else []
    found = (_session(line) for line in lines)
    return {each.name: each for each in found if each is not None}


def _session(line: str) -> Session | None:
    fields = line.split("\t", 3)
    if len(fields) != 4:
        return None
    name, created, attached, mark = fields
    try:
        known = msgspec.json.decode(mark, type=Mark) if mark else None
    except msgspec.MsgspecError:
        known = None
    return Session(name, float(created or 0), attached != "0", known)


def exists(name: str, socket: str = "") -> bool:
    """Whether there is such a session of ours."""
    there = sessions(socket).get(name)
    return there is not None and there.mark is not None


def open_window(name: str, title: str, directory: str, socket: str, command: Sequence[str]) -> str:
    """A command in a window of its own in a session of ours, which then shows it; the window's pane.

    Raises:
        StepError: tmux refused.
    """
    words = ["-P", "-F", "#{pane_id}", "-t", f"={name}:", "-n", title, "-c", directory, *command]
    done = _server(socket).cmd("new-window", *words)
    if done.stderr or not done.stdout:
        raise StepError(f"tmux cannot open a window in {name!r}: {safe_line(' '.join(done.stderr))}")
    return str(done.stdout[0])


def first_pane(name: str, socket: str) -> str:
    """The pane of a session that has one; nothing when the session has ended already."""
    panes = _server(socket).cmd("list-panes", "-t", f"={name}:", "-F", "#{pane_id}").stdout
    return str(panes[0]) if panes else ""


def is_open(pane: str, socket: str) -> bool:
    """Whether a pane is still there."""
    return pane in _server(socket).cmd("list-panes", "-a", "-F", "#{pane_id}").stdout


def close_window(pane: str, socket: str) -> None:
    """Close the window of a pane, if it is still there."""
    if pane:
        _server(socket).cmd("kill-window", "-t", pane)


def kill(name: str, socket: str = "") -> bool:
    """Whether a session of ours was there; it is gone now."""
    if not exists(name, socket):
        return False
    _server(socket).cmd("kill-session", "-t", f"={name}")
    until = time.monotonic() + 5
    while exists(name, socket) and time.monotonic() < until:
        time.sleep(0.01)
    return True


def attach(name: str, socket: str, environ: Mapping[str, str]) -> list[str]:
    """The words that bring this terminal to a session; inside tmux they switch to it.

    Raises:
        MissingToolError: there is no tmux.
        NotFoundError: there is no such session.
    """
    program = process.which("tmux", environ.get("PATH"))
    if name not in sessions(socket):
        raise NotFoundError(f"there is no session {safe_line(name, 100)!r}", "pots list shows them")
    inside = environ.get("TMUX", "").split(",")[0].rpartition("/")[2]
    verb = "switch-client" if inside == (socket or "default") else "attach-session"
    return [*_words(program, socket), verb, "-t", f"={name}"]


def _words(program: str, socket: str) -> list[str]:
    return [program, "-L", socket] if socket else [program]


def _server(socket: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 - libtmux is imported when used
    if not is_installed():
        raise MissingToolError("tmux is not installed", "install tmux 3.2 or newer")
    import libtmux

    return libtmux.Server(socket_name=socket or None)
