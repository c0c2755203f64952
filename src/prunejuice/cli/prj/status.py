"""Show the runs of this project, grouped by what needs you."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import click

from prunejuice.cli import render
from prunejuice.cli.options import all_projects_option, json_option
from prunejuice.cli.run_history import open_history, project_filter
from prunejuice.engine import view
from prunejuice.engine.history import RunHistory
from prunejuice.engine.stores.registry import open_store
from prunejuice.engine.view import RunSummary
from prunejuice.system import settings
from prunejuice.text import safe_line
from prunejuice.workflow import project
from prunejuice.workflow.project import Project
from prunejuice.worktrees import tmux


@click.command("status")
@all_projects_option
@json_option
def status_command(*, everywhere: bool, as_json: bool) -> None:
    history, lines = _load_runs(project_filter(everywhere=everywhere))
    lines = [line for line in lines if not line.parent][:50]
    sessions = _live_sessions(lines)
    standings = {line.id: _run_standing(line, sessions) for line in lines}
    live = [line for line in lines if standings[line.id].group != "done" and Path(line.worktree).is_dir()]
    overlaps = view.find_overlaps(live)
    if as_json:
        items = [
            {
                **view.summary_to_dict(line),
                **_standing_to_dict(standings[line.id], overlaps.get(line.id, {})),
            }
            for line in lines
        ]
        render.print_json("runs", items)
        return
    if _has_interrupted_operation(project.find_project(project.current_directory())):
        render.print_message("a merge or a removal was interrupted: finish it with `prj doctor --repair`")
    if not lines:
        render.print_line("no runs yet: run `prj list` to see the available commands")
    for title in get_args(view.StatusGroup):
        group = [line for line in lines if standings[line.id].group == title]
        if group:
            render.print_line(click.style(f"{title} ({len(group)})", bold=True))
        rows = (
            _status_row(history, line, overlaps.get(line.id, {}))
            for line in group[: 5 if title == "done" else 50]
        )
        for row in render.align_columns(rows):
            render.print_line(f"  {row}")


def _has_interrupted_operation(here: Project) -> bool:
    """Return whether a merge or a removal of this repository was killed; looked up without starting git."""
    return any((here.root / ".git" / "prunejuice" / "operations").glob("op-*.begun.json"))


def _load_runs(project_root: str) -> tuple[RunHistory, list[RunSummary]]:
    """Return the history and its summaries, in one query unless a driver died."""
    environ = settings.environment()
    home = settings.state_directory(environ)
    history = RunHistory(home, open_store(home, environ))
    lines = history.store.summaries(project=project_root, limit=500, children=True)
    if not history.filter_lost_runs(lines):
        return history, lines
    history = open_history()
    return history, history.store.summaries(project=project_root, limit=500, children=True)


def _live_sessions(lines: Sequence[RunSummary]) -> Collection[str]:
    """Return the names of live sessions; tmux is asked only if a run has a session."""
    if not any(line.session for line in lines):
        return ()
    environ = settings.environment()
    return tmux.list_sessions(settings.load(environ).tmux_socket, environ)


def _run_standing(line: RunSummary, sessions: Collection[str]) -> view.RunStatusLine:
    has_worktree = bool(line.worktree) and Path(line.worktree).is_dir()
    return view.status_line(line, has_worktree=has_worktree, has_session=line.session in sessions)


def _standing_to_dict(
    standing: view.RunStatusLine, overlaps: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    about: dict[str, Any] = {"group": standing.group, "evidence": list(standing.evidence)}
    if overlaps:
        about["overlaps"] = [{"run": other, "files": list(files)} for other, files in overlaps.items()]
    return about


def _status_row(
    history: RunHistory, line: RunSummary, overlaps: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    """Return the row of a run, with its last output and the runs that changed the same files."""
    row = render.run_row(line)
    output = (
        _last_log_line(history.run_directory(line.id) / line.log)
        if line.status == "running" and line.log and not line.called
        else ""
    )
    overlap = f"changed the same files as {', '.join(other[:8] for other in overlaps)}" if overlaps else ""
    return (*row[:-1], "  ".join(filter(None, (row[-1], safe_line(output, 60), overlap))))


def _last_log_line(log: Path) -> str:
    with suppress(OSError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 2000))
        return render.last_line(file.read().decode("utf-8", "replace"))
    return ""
