"""Attach this terminal to the tmux session of a run.

Press Ctrl-b d to detach.
"""

import click

from prunejuice.app import wiring
from prunejuice.cli.completion import complete_run
from prunejuice.cli.run_history import find_run_id
from prunejuice.cli.run_lookup import driver_session_name
from prunejuice.cli.session_terminal import attach_terminal
from prunejuice.engine.history import RunHistory
from prunejuice.engine.run import FINAL_STATUSES
from prunejuice.errors import UsageError
from prunejuice.worktrees import tmux


@click.command("attach")
@click.argument("run", shell_complete=complete_run)
@click.option(
    "--driver", is_flag=True, help="Attach to the session that drives the run, not the one it works in."
)
def attach_command(*, run: str, driver: bool) -> None:
    app = wiring.open_app()
    history = RunHistory(app.settings.home, app.store)
    loaded = history.load_run(find_run_id(history, run))
    sessions = tmux.list_sessions(app.settings.tmux_socket)
    marked = [
        session.name for session in sessions.values() if session.mark and session.mark.run == loaded.id
    ]
    names = (
        [driver_session_name(loaded)]
        if driver
        else [loaded.workspace.session, driver_session_name(loaded), *marked]
    )
    name = next((session for session in names if session in sessions), None)
    if name is None:
        short = loaded.id[:8]
        if loaded.status in FINAL_STATUSES:
            raise UsageError(f"run {short} has ended", f"read its output: prj logs {short}")
        raise UsageError(f"run {short} has no session", f"follow it: prj logs -f {short}")
    attach_terminal(name, app.settings.tmux_socket, app.environ)
