"""A program for a person, in a window of the run's session: for a run that has no terminal to give."""

import json
import time
from pathlib import Path

from prunejuice import process, settings
from prunejuice.errors import StepError
from prunejuice.event import PersonCalled
from prunejuice.history import DRIVER_LOCK
from prunejuice.probes import window as inside
from prunejuice.process import Call
from prunejuice.protocols import Handle, Stop
from prunejuice.steps.world import World, teller
from prunejuice.workspaces import tmux

_LOOK = 0.2
"""Seconds between two looks at a program in a window."""
_SHELL = 'exec "$0" "$@" "TERM=$TERM" "TMUX=$TMUX" "TMUX_PANE=$TMUX_PANE"'
"""Adds what only the window knows."""
_CLOSED = 129
"""The exit code of a program whose window was closed: that of a hang-up."""


def run(handle: Handle, world: World, call: Call, stop: Stop) -> int:
    """Run a program there until it ends, its window is closed, or it has to stop; its exit code.

    A program that has to stop is hung up, and has the grace of the settings to end by itself.

    Raises:
        MissingToolError: there is no tmux.
        StepError: tmux refused, or the program cannot be started.
    """
    name, socket = Path(call.argv[0]).name, world.settings.tmux_socket
    order, ended = (handle.directory / "temp" / f"{handle.log.stem}.{end}" for end in ("order", "ended"))
    order.parent.mkdir(exist_ok=True)
    for left in (order, ended):
        left.unlink(missing_ok=True)
    _hand_over(order, call, ended, handle.directory / DRIVER_LOCK)
    command = ["/bin/sh", "-c", _SHELL, process.python(), "-I", inside.__file__, str(order)]
    _open(handle, world, name, command)
    message = f"{name} is open for you: prj attach {handle.run.id[:8]}"
    teller(handle, world)(message)
    _call(handle, message)
    try:
        while not ended.exists() and not stop.level and tmux.is_open(handle.tag, socket):
            time.sleep(_LOOK)
    finally:
        _call(handle, "")
        tmux.close_pane(handle.tag, socket)
        _end(call, world.settings.grace)
        order.unlink(missing_ok=True)
    return _code(ended, name)


def forget(directory: Path) -> None:
    """Remove what a driver that was killed had written down for windows of a run."""
    for order in directory.glob("temp/*.order"):
        order.unlink(missing_ok=True)


def _code(ended: Path, name: str) -> int:
    if not ended.exists():
        return _CLOSED
    said = json.loads(ended.read_text())
    if said["error"]:
        raise StepError(f"{name} cannot be started: {said['error']}")
    return int(said["code"])


def _call(handle: Handle, message: str) -> None:
    """Call a person, or no more."""
    handle.emit(PersonCalled(at=time.time(), step=handle.step.id, visit=handle.visit, message=message))


def _end(call: Call, grace: float) -> None:
    """Wait until a program that was hung up has ended, and end it when that takes too long."""
    until = time.monotonic() + grace
    while process.tagged(call.tag) and time.monotonic() < until:
        time.sleep(_LOOK)
    process.sweep(call.tag)


def _hand_over(order: Path, call: Call, ended: Path, lock: Path) -> None:
    """Write down what is to be run; its environment is for the eyes of its user only."""
    given = {
        "argv": [*call.argv],
        "cwd": str(call.cwd),
        "env": process.with_tags(call),
        "ended": str(ended),
        "lock": str(lock),
    }
    settings.keep_private(order, given)


def _open(handle: Handle, world: World, title: str, command: list[str]) -> None:
    """Open a window in the session where the run works, where it is driven, or in a new one."""
    socket, workspace = world.settings.tmux_socket, handle.workspace
    window = tmux.Window(title, workspace.directory, command, handle.tag)
    there = tmux.sessions(socket)
    ours = [each.name for each in there.values() if each.mark and each.mark.run == handle.run.id]
    if workspace.session in there:
        ours.insert(0, workspace.session)
    project = Path(handle.plan.project).name
    name = tmux.session_name(project[:40], handle.run.id[:8], handle.log.stem)
    mark = tmux.Mark(project, workspace.directory, handle.step.id, handle.run.id)
    if ours:
        tmux.open_window(ours[0], socket, window)
    elif not tmux.create(name, workspace.directory, socket, mark, window=window):
        tmux.open_window(name, socket, window)
