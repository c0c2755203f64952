"""Remove a worktree.

Refuses to lose work unless you pass --force; `prj undo` restores the worktree either way. A branch that
was created with it is deleted too, if another branch contains all of it.
"""

from pathlib import Path

import click

from prunejuice.cli import render
from prunejuice.cli.options import json_option
from prunejuice.cli.plum.environment import PlumEnvironment, open_environment
from prunejuice.cli.plum.worktree_lookup import complete_worktree, find_worktree
from prunejuice.engine.run import FINAL_STATUSES
from prunejuice.errors import UsageError
from prunejuice.system import settings
from prunejuice.text import safe_line
from prunejuice.worktrees import tmux, worktree


@click.command("remove")
@click.argument("name", shell_complete=complete_worktree)
@click.option(
    "-f", "--force", is_flag=True, help="Remove it even with unsaved work; `prj undo` restores it."
)
@click.option(
    "-b", "--branch", "drop", is_flag=True, help="Delete its branch too, even if plum did not create it."
)
@json_option
def remove_command(*, name: str, force: bool, drop: bool, as_json: bool) -> None:
    environment = open_environment()
    entry = find_worktree(environment.git, name)
    users = [
        run.id[:8]
        for run in environment.app.store.summaries(limit=10_000, children=True)
        if run.status not in FINAL_STATUSES and Path(run.directory).is_relative_to(entry.path)
    ]
    if users and not force:
        raise UsageError(
            f"run {users[0]} works in {entry.path}", f"stop it first with `prj stop {users[0]}`"
        )
    removed = worktree.remove(environment.git, entry.path, drop=drop, force=force)
    if removed.why:
        fix = "" if force or entry.main else "commit the work, or pass --force; `prj undo` restores it"
        raise UsageError(f"not removing {entry.path}: {removed.why}", fix)
    if (
        settings.load_shell_tool_settings(environment.app.environ, "pots").get(
            "POTS_CLEANUP_ON_WORKTREE_REMOVE"
        )
        == "true"
    ):
        _end_sessions(environment, entry.path)
    if as_json:
        render.print_json("removed", {"path": str(entry.path), "branch": entry.branch, **removed._asdict()})
        return
    branch_note = f" and its branch {entry.branch}" if removed.dropped else ""
    render.print_line(safe_line(f"removed {entry.path}{branch_note}", 400))
    render.print_line(f"  undo       prj undo {removed.operation}")


def _end_sessions(environment: PlumEnvironment, path: Path) -> None:
    socket = environment.app.settings.tmux_socket
    for session in tmux.list_sessions(socket).values():
        if session.mark and Path(session.mark.directory).is_relative_to(path):
            tmux.kill_session(session.name, socket)
