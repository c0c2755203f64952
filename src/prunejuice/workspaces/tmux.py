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
PANE = "@prunejuice_pane"
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
    """`project-worktree-task` in the characters tmux takes, without saying the project or task twice.

    The project's name is cut where the whole is longer than 100 characters.
    """
    project = project[: max(8, 98 - len(worktree) - len(task))]
    worktree = worktree.removeprefix(project).lstrip("-") or worktree
    parts = [project, worktree, task] if worktree != project else [project, task]
    text = "-".join(part for part in parts if part).lower()
    return re.sub(r"-+", "-", re.sub(r"[^a-z0-9-]", "-", text)).strip("-")[:100]


def is_installed() -> bool:
    """Whether there is a tmux."""
    return shutil.which("tmux") is not None


class Window(NamedTuple):
    """A command in a window of its own; `tag` tells its pane from every other."""

    title: str
    directory: str
    command: Sequence[str]
    tag: str


def create(
    name: str,
    directory: str,
    socket: str,
    mark: Mark,
    command: Sequence[str] = (),
    window: Window | None = None,
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
    words = ["-P", "-F", "#{pane_id}", "-d", "-s", name]
    words += _in_window(window) if window else ["-c", _plain(directory), *command]
    words += [";", "set-option", "-t", f"{name}:", MARK, msgspec.json.encode(mark).decode()]
    done = server.cmd("new-session", *words)
    if done.stderr:
        said = safe_line(" ".join(done.stderr))
        raise StepError(f"tmux cannot make the session {name!r}: {said}")
    if window:
        server.cmd("set-option", "-p", "-t", done.stdout[0], PANE, window.tag)
    return True


def open_window(name: str, socket: str, window: Window) -> None:
    """A window in a session of ours, which then shows it.

    Raises:
        StepError: tmux refused.
    """
    server = _server(socket)
    done = server.cmd("new-window", "-P", "-F", "#{pane_id}", "-t", f"={name}:", *_in_window(window))
    if done.stderr or not done.stdout:
        raise StepError(f"tmux cannot open a window in {name!r}: {safe_line(' '.join(done.stderr))}")
    server.cmd("set-option", "-p", "-t", done.stdout[0], PANE, window.tag)


def _in_window(window: Window) -> list[str]:
    return ["-n", _plain(window.title), "-c", _plain(window.directory), *window.command]


def _plain(text: str) -> str:
    """A text in which tmux finds no format to fill in, and no end of its command."""
    text = text.replace("#", "##")
    return f"{text[:-1]}\\;" if text.endswith(";") else text


def is_open(tag: str, socket: str) -> bool:
    """Whether the command in the window of a tag goes on."""
    return any(not dead for _, dead in _panes(tag, socket))


def close_pane(tag: str, socket: str) -> None:
    """Close what is left of the window of a tag; what somebody put beside it stays."""
    for pane, _ in _panes(tag, socket):
        _server(socket).cmd("kill-pane", "-t", pane)


def _panes(tag: str, socket: str) -> list[tuple[str, bool]]:
    """The panes of a tag, and whether the command in each has ended."""
    form = f"#{{pane_id}}\t#{{pane_dead}}\t#{{{PANE}}}"
    rows = (row.split("\t", 2) for row in _server(socket).cmd("list-panes", "-a", "-F", form).stdout)
    return [(row[0], row[1] == "1") for row in rows if len(row) == 3 and row[2] == tag]


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
