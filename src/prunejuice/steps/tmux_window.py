"""Run a program for a person in a tmux window, for a run without a terminal."""

import json
import time
from pathlib import Path

from prunejuice.engine.event import AttentionRequested
from prunejuice.engine.history import DRIVER_LOCK
from prunejuice.engine.ports import StepContext
from prunejuice.errors import StepError
from prunejuice.steps.resources import StepResources, make_teller
from prunejuice.system import process, settings
from prunejuice.system.process import ProcessSpec
from prunejuice.system.process_tags import kill_tagged, tagged_pids
from prunejuice.system.stop_request import Stop
from prunejuice.verbs.verify.probes import window as inside
from prunejuice.worktrees import tmux

_POLL_SECONDS = 0.2
"""Seconds between two checks of a program in a window."""
_WINDOW_SCRIPT = 'exec "$0" "$@" "TERM=$TERM" "TMUX=$TMUX" "TMUX_PANE=$TMUX_PANE"'
"""Adds the variables that only the window has."""
_CLOSED_EXIT_CODE = 129
"""The exit code of a program whose window was closed: 128 + SIGHUP."""


def run_in_window(handle: StepContext, resources: StepResources, call: ProcessSpec, stop: Stop) -> int:
    """Run a program in a tmux window until it ends, its window is closed or a stop is requested.

    Return its exit code. On a stop the program is hung up, and killed after the configured grace period.

    Raises:
        MissingToolError: tmux is not installed.
        StepError: tmux refused, the program could not be started, or its sandbox needs what a window cannot
            inherit.
    """
    with process.enter_sandbox(call) as contained:
        if contained.pass_fds:
            raise StepError(
                "a tmux window cannot have the sandbox `files+net`, nor limits of memory and processes",
                "use `sandbox: files`, or run the program in your terminal",
            )
        name = Path(call.argv[0]).name
        return _run_in_window(handle, resources, contained, stop, name)


def _run_in_window(
    handle: StepContext, resources: StepResources, call: ProcessSpec, stop: Stop, name: str
) -> int:
    socket = resources.settings.tmux_socket
    order, ended = (handle.directory / "temp" / f"{handle.log.stem}.{end}" for end in ("order", "ended"))
    order.parent.mkdir(exist_ok=True)
    for leftover in (order, ended):
        leftover.unlink(missing_ok=True)
    _write_order(order, call, ended, handle.directory / DRIVER_LOCK)
    command = [
        "/bin/sh",
        "-c",
        _WINDOW_SCRIPT,
        process.python_executable(),
        "-I",
        inside.__file__,
        str(order),
    ]
    _open_window(handle, resources, name, command)
    message = f"{name} is open for you: prj attach {handle.run.id[:8]}"
    make_teller(handle, resources)(message)
    _call_person(handle, message)
    try:
        while not ended.exists() and not stop.level and tmux.is_window_open(handle.tag, socket):
            time.sleep(_POLL_SECONDS)
    finally:
        _call_person(handle, "")
        tmux.close_pane(handle.tag, socket)
        _end_program(call, resources.settings.grace)
        order.unlink(missing_ok=True)
    return _read_exit_code(ended, name)


def delete_orders(directory: Path) -> None:
    """Delete the order files that a killed driver left in a run's directory."""
    for order in directory.glob("temp/*.order"):
        order.unlink(missing_ok=True)


def _read_exit_code(ended: Path, name: str) -> int:
    if not ended.exists():
        return _CLOSED_EXIT_CODE
    status = json.loads(ended.read_text())
    if status["error"]:
        raise StepError(f"could not start {name}: {status['error']}")
    return int(status["code"])


def _call_person(handle: StepContext, message: str) -> None:
    """Ask for a person's attention, or clear the request with an empty message."""
    handle.emit(
        AttentionRequested(at=time.time(), step=handle.step.id, visit=handle.visit, message=message)
    )


def _end_program(call: ProcessSpec, grace: float) -> None:
    """Wait up to `grace` seconds for a program that was hung up to end, then kill it."""
    deadline = time.monotonic() + grace
    while tagged_pids(call.tag) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    kill_tagged(call.tag)


def _write_order(order: Path, call: ProcessSpec, ended: Path, lock: Path) -> None:
    """Write the order file that the probe in the window reads; only its user can read it."""
    fields = {
        "argv": [*call.argv],
        "cwd": str(call.cwd),
        "env": process.tagged_environment(call),
        "ended": str(ended),
        "lock": str(lock),
    }
    settings.write_private_json(order, fields)


def _open_window(handle: StepContext, resources: StepResources, title: str, command: list[str]) -> None:
    """Open a window in the session of the workspace, in another session of the run, or in a new one."""
    socket, workspace = resources.settings.tmux_socket, handle.workspace
    window = tmux.Window(title, workspace.directory, command, handle.tag)
    sessions = tmux.list_sessions(socket)
    own_sessions = [
        session.name for session in sessions.values() if session.mark and session.mark.run == handle.run.id
    ]
    if workspace.session in sessions:
        own_sessions.insert(0, workspace.session)
    project = Path(handle.plan.project).name
    name = tmux.session_name(project[:40], handle.run.id[:8], handle.log.stem)
    mark = tmux.SessionMark(project, workspace.directory, handle.step.id, handle.run.id)
    if own_sessions:
        tmux.open_window(own_sessions[0], socket, window)
    elif not tmux.create_session(name, workspace.directory, socket, mark, window=window):
        tmux.open_window(name, socket, window)
