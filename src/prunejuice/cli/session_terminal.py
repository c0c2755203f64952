"""Attaching this terminal to a tmux session."""

import shlex
import sys
from collections.abc import Mapping

from prunejuice.errors import UsageError
from prunejuice.system import process
from prunejuice.worktrees import tmux


def attach_terminal(name: str, socket: str, environ: Mapping[str, str]) -> None:
    """Replace this process by tmux, attached to a session; inside tmux, switch to it.

    Raises:
        UsageError: there is no terminal, or it belongs to another tmux server.
    """
    argv = tmux.attach_command(name, socket, environ)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "attaching needs a terminal", f"attach to session {name} from a terminal: {shlex.join(argv)}"
        )
    if environ.get("TMUX") and "attach-session" in argv:
        raise UsageError(
            "this terminal is inside another tmux server", f"run in a new terminal: {shlex.join(argv)}"
        )
    process.exec_program(argv, environ)
