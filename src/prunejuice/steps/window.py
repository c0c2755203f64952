"""A program for a person, in a window of the run's session: for a run that has no terminal to give."""

import json
import os
import time
from pathlib import Path

from prunejuice import process
from prunejuice.event import PersonCalled
from prunejuice.probes import window as inside
from prunejuice.process import Call
from prunejuice.protocols import Handle, Stop
from prunejuice.steps.world import World, teller
from prunejuice.workspaces import tmux

_LOOK = 0.2
"""Seconds between two looks at a program in a window."""
_SHELL = 'exec "$0" "$@" "TERM=$TERM" "TMUX=$TMUX" "TMUX_PANE=$TMUX_PANE"'
"""Adds what only the window knows."""
CLOSED = 129
"""The exit code of a program whose window was closed: that of a hang-up."""


def run(handle: Handle, world: World, call: Call, stop: Stop) -> int:
    """Run a program there until it ends, its window is closed, or it has to stop; its exit code.

    Raises:
        MissingToolError: there is no tmux.
        StepError: tmux refused.
    """
    name, socket = Path(call.argv[0]).name, world.settings.tmux_socket
    order, ended = (handle.directory / "temp" / f"{handle.log.stem}.{end}" for end in ("order", "ended"))
    order.parent.mkdir(exist_ok=True)
    for left in (order, ended):
        left.unlink(missing_ok=True)
    _hand_over(order, call, ended)
    command = ["/bin/sh", "-c", _SHELL, process.python(), "-I", inside.__file__, str(order)]
    pane = _opened(handle, world, name, command)
    _call(handle, world, f"{name} is open for you: prj attach {handle.run.id[:8]}")
    try:
        while not ended.exists() and not stop.level and tmux.is_open(pane, socket):
            time.sleep(_LOOK)
        return int(ended.read_text()) if ended.exists() else CLOSED
    finally:
        tmux.close_window(pane, socket)
        process.sweep(call.tag)
        order.unlink(missing_ok=True)


def _call(handle: Handle, world: World, message: str) -> None:
    """Say it to whoever watches the run, and to whoever looks at it."""
    teller(handle, world)(message)
    handle.emit(PersonCalled(at=time.time(), step=handle.step.id, visit=handle.visit, message=message))


def _hand_over(order: Path, call: Call, ended: Path) -> None:
    """Write down what is to be run; its environment is for the eyes of its user only."""
    given = {
        "argv": [*call.argv],
        "cwd": str(call.cwd),
        "env": process.with_tags(call),
        "ended": str(ended),
    }
    fd = os.open(order, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump(given, file)


def _opened(handle: Handle, world: World, title: str, command: list[str]) -> str:
    """The pane of a window in the session where the run works, where it is driven, or in a new one."""
    socket, workspace = world.settings.tmux_socket, handle.workspace
    there = tmux.sessions(socket)
    ours = [each.name for each in there.values() if each.mark and each.mark.run == handle.run.id]
    if workspace.session in there:
        ours.insert(0, workspace.session)
    if ours:
        return tmux.open_window(ours[0], title, workspace.directory, socket, command)
    project = Path(handle.plan.project).name
    name = tmux.session_name(project, handle.run.id[:8], handle.step.id)
    mark = tmux.Mark(project, workspace.directory, handle.step.id, handle.run.id)
    tmux.create(name, workspace.directory, socket, mark, command, title)
    return tmux.first_pane(name, socket)
