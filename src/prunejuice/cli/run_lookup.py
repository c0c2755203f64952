"""Lookup of runs and of the sessions that drive them."""

from pathlib import Path

from prunejuice.app import wiring
from prunejuice.cli.run_history import find_run_id
from prunejuice.engine.history import RunHistory
from prunejuice.engine.run import Run
from prunejuice.worktrees import tmux


def driver_session_name(run: Run) -> str:
    """Return the name of the tmux session that drives a detached run."""
    return tmux.session_name(Path(run.plan.project).name, run.id[:8], tmux.DRIVER_TASK)


def find_run(app: wiring.App, word: str) -> Run:
    """Return the run that a word of the command line names; see `find_run_id`.

    Raises:
        NotFoundError: no run or several runs match.
    """
    history = RunHistory(app.settings.home, app.store)
    return history.load_run(find_run_id(history, word))
