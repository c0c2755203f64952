"""Lookup of runs and of the sessions that drive them."""

import os
from pathlib import Path

from msgspec.structs import replace

from prunejuice.app import wiring
from prunejuice.cli import render
from prunejuice.cli.run_history import find_run_id
from prunejuice.engine.history import RunHistory
from prunejuice.engine.run import Run
from prunejuice.text import safe_line
from prunejuice.worktrees import tmux
from prunejuice.worktrees.waiting_changes import find_moved_worktree


def driver_session_name(run: Run) -> str:
    """Return the name of the tmux session that drives a detached run."""
    return tmux.session_name(Path(run.plan.project).name, run.id[:8], tmux.DRIVER_TASK)


def find_run(app: wiring.App, word: str) -> Run:
    """Return the run that a word of the command line names; see `find_run_id`.

    Raises:
        NotFoundError: no run or several runs match.
    """
    history = RunHistory(app.settings.home, app.store)
    run = _follow_moved_worktree(history.load_run(find_run_id(history, word)))
    if run.plan.project != str(app.project.root) and run.workspace.worktree != str(app.project.root):
        render.print_message(f"note: run {run.id[:8]} is one of {safe_line(run.plan.project, 200)}")
    return run


def open_app_of_run(app: wiring.App, run: Run) -> wiring.App:
    """Return the app of the project of a run: its settings and its trust count, wherever it is named."""
    folders = {str(app.project.root), run.workspace.worktree}
    return app if run.plan.project in folders else wiring.open_app(Path(run.plan.project))


def _follow_moved_worktree(run: Run) -> Run:
    """Return a run with the place of its worktree now; `git worktree move` may have moved it."""
    old = run.workspace.worktree
    new = find_moved_worktree(old, run.workspace.git_dir)
    if new == old:
        return run
    directory = Path(new, os.path.relpath(run.workspace.directory, old))
    return replace(run, workspace=replace(run.workspace, worktree=new, directory=str(directory)))
