"""Lookup of runs and of the sessions that drive them."""

from pathlib import Path

from prunejuice.app import wiring
from prunejuice.engine.history import RunHistory
from prunejuice.engine.run import Run
from prunejuice.worktrees import tmux

_MAX_RUNS = 500


def driver_session_name(run: Run) -> str:
    """Return the name of the tmux session that drives a detached run."""
    return tmux.session_name(Path(run.plan.project).name, run.id[:8], tmux.DRIVER_TASK)


def find_run(app: wiring.App, prefix: str) -> Run:
    """Return the run whose id starts with a prefix, or the newest one of this project for an issue.

    Raises:
        NotFoundError: no run or several runs match.
    """
    history = RunHistory(app.settings.home, app.store)
    if (run := _find_run_of_issue(app, history, prefix)) is not None:
        return run
    return history.load_run(history.find_run_id(prefix))


def _find_run_of_issue(app: wiring.App, history: RunHistory, word: str) -> Run | None:
    """Return the newest run of the project whose argument `issue` is a number, written as `12` or `#12`."""
    number = word.removeprefix("#")
    if not (number.isascii() and number.isdigit()):
        return None
    for line in history.list_runs(str(app.project.root), (), _MAX_RUNS):
        if f"issue={number}" in line.arguments.split():
            run = history.load_run(line.id)
            if run.plan.arguments.get("issue") == int(number):
                return run
    return None
