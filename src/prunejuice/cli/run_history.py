"""The run history for commands that only read it, without importing the application."""

import re
from contextlib import suppress

from prunejuice.engine.history import RunHistory
from prunejuice.engine.stores.registry import open_store
from prunejuice.errors import PruneJuiceError
from prunejuice.system import settings
from prunejuice.workflow import project

_TRACKER_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*-[0-9]+")
_MAX_RUNS = 500
"""How many of the newest runs are searched for an issue."""


def open_reading_history() -> RunHistory:
    """Return the history of runs on this machine as it is."""
    environ = settings.environment()
    home = settings.state_directory(environ)
    return RunHistory(home, open_store(home, environ))


def open_history() -> RunHistory:
    """Return the history of runs on this machine, after marking runs whose driver died."""
    history = open_reading_history()
    if history.lost_runs():
        mark_lost_runs(history)
    return history


def mark_lost_runs(history: RunHistory) -> None:
    """Mark the runs in a history whose driver died as interrupted."""
    from prunejuice.app.wiring import open_app  # noqa: PLC0415 - slow, and needed only after a crash
    from prunejuice.engine.driver import recover_lost_runs  # noqa: PLC0415 - slow, and needed only after a crash

    recover_lost_runs(open_app()._replace(store=history.store).build_runtime())


def find_run_id(history: RunHistory, word: str) -> str:
    """Return the id of this project's newest run for an issue, or of the run with a prefix.

    An issue is `12`, `#12`, or a key of Jira such as `SHOP-12`.

    Raises:
        NotFoundError: no run or several runs match.
    """
    number = word.removeprefix("#")
    if number.isascii() and number.isdigit():
        root = find_project_root()
        for line in history.list_runs(root, (), _MAX_RUNS):
            # The words of another argument may look like it.
            may_be = f"issue={number}" in line.arguments.split()
            if may_be and history.load_run(line.id).plan.arguments.get("issue") == int(number):
                return line.id
    if _TRACKER_KEY.fullmatch(word):
        lines = history.list_runs(find_project_root(), (), _MAX_RUNS)
        found = next((line.id for line in lines if line.task.startswith(f"{word.upper()}: ")), "")
        return found or history.find_run_id(word)
    return history.find_run_id(word)


def describe_run(run_id: str) -> str:
    """Return the id, command and arguments of a run in a few words; only the id if its history is gone."""
    from prunejuice.engine.view import format_arguments  # noqa: PLC0415 - not for lists of runs

    shown = f"run {run_id[:8]}"
    with suppress(PruneJuiceError):
        run = open_reading_history().load_run(run_id)
        shown = f"{shown} {run.plan.command.name} {format_arguments(run)}".rstrip()
    return shown


def project_filter(*, everywhere: bool) -> str:
    """Return the root of the current project to filter runs by, or nothing for all projects."""
    return "" if everywhere else find_project_root()


def find_project_root() -> str:
    """Return the root of the current project; in the worktree of a run that of the run's project."""
    root = project.find_project(project.current_directory()).root
    if (root / ".git").is_file():
        run = open_reading_history().find_run_of_worktree(str(root))
        return run.project if run else str(root)
    return str(root)
