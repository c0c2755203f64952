"""Show the runs of this project, grouped by what needs you."""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, get_args

import click
from msgspec.structs import replace

from prunejuice.cli import render
from prunejuice.cli.options import all_projects_option, json_option, wide_option
from prunejuice.cli.run_history import mark_lost_runs, open_reading_history, project_filter
from prunejuice.engine import view
from prunejuice.engine.history import RunHistory
from prunejuice.engine.view import RunSummary
from prunejuice.errors import StoreError, UsageError
from prunejuice.system import settings
from prunejuice.text import format_count, safe_line, safe_text
from prunejuice.workflow import project
from prunejuice.workflow.project import Project
from prunejuice.worktrees.waiting_changes import find_changes_of_runs, find_moved_worktree

WATCH_SECONDS = 1.0


@click.command("status")
@all_projects_option
@click.option("--watch", is_flag=True, help="Redraw the list every second until Ctrl-C.")
@wide_option
@json_option
def status_command(*, everywhere: bool, watch: bool, wide: bool, as_json: bool) -> None:
    project_root = project_filter(everywhere=everywhere)
    if watch:
        if as_json or not render.can_redraw():
            problem = "--watch needs a terminal that can redraw lines, and no --json"
            raise UsageError(problem, "run `prj status --json` in a loop")
        _watch_status(project_root, wide=wide)
        return
    overview = _load_overview(open_reading_history(), project_root)
    if as_json:
        render.print_json("runs", overview.to_dicts())
        return
    if _has_interrupted_operation(project.find_project(project.current_directory())):
        render.print_message("a merge or a removal was interrupted: finish it with `prj doctor --repair`")
    for folder in () if overview.lines else _missing_projects(overview.history)[:3]:
        render.print_message(
            f"runs are kept of {safe_line(folder, 200)}, which is gone: `prj status --all`"
        )
    for line in overview.text_lines(wide=wide):
        render.print_line(line)


def _watch_status(project_root: str, *, wide: bool) -> None:
    from rich.live import Live
    from rich.text import Text

    history = open_reading_history()
    with suppress(KeyboardInterrupt), Live(screen=True, auto_refresh=False) as live:
        while True:
            try:
                text = "\n".join(_load_overview(history, project_root).text_lines(wide=wide))
                shown = Text.from_ansi(text, no_wrap=True, overflow="crop")
            except StoreError as error:  # the next pass may be able to read it
                shown = Text(safe_text(f"error: {error.message}\nfix: {error.fix}"))
            live.update(shown, refresh=True)
            time.sleep(WATCH_SECONDS)


class _Overview(NamedTuple):
    """The newest runs of a project, with their status groups and overlaps by run id."""

    history: RunHistory
    lines: Sequence[RunSummary]
    standings: Mapping[str, view.RunStatusLine]
    waiting: Mapping[str, Sequence[str]]
    overlaps: Mapping[str, Mapping[str, Sequence[str]]]

    def to_dicts(self) -> list[dict[str, Any]]:
        return [
            {
                **view.summary_to_dict(line),
                **_standing_to_dict(self.standings[line.id], self.overlaps.get(line.id, {})),
                **({"waiting": self.waiting[line.id]} if self.waiting[line.id] else {}),
            }
            for line in self.lines
        ]

    def text_lines(self, *, wide: bool) -> Iterator[str]:
        """Yield the lines of the list, cut to the width of the terminal unless `wide`."""
        if not self.lines:
            yield "no runs yet: run `prj list` to see the available commands"
        width = 0 if wide else render.row_width()
        for title in get_args(view.StatusGroup):
            group = [line for line in self.lines if self.standings[line.id].group == title]
            if group:
                yield click.style(f"{title} ({len(group)})", bold=True)
            rows = (
                _status_row(self.history, line, self.overlaps.get(line.id, {}), self.waiting[line.id])
                for line in group[: 5 if title == "done" else 50]
            )
            for row in render.align_columns(rows):
                yield render.cut_row(f"  {row}", width)


def _load_overview(history: RunHistory, project_root: str) -> _Overview:
    loaded = [line for line in _load_runs(history, project_root) if not line.parent][:50]
    moved = [find_moved_worktree(line.worktree, line.git_dir) for line in loaded]
    lines = [
        line if line.worktree == place else replace(line, worktree=place)
        for line, place in zip(loaded, moved, strict=True)
    ]
    sessions = _live_sessions(lines)
    waiting = find_changes_of_runs((line.id, line.worktree, line.directory, line.git_dir) for line in lines)
    standings = {line.id: _run_standing(line, sessions, waiting[line.id]) for line in lines}
    live = [line for line in lines if standings[line.id].group != "done" and Path(line.worktree).is_dir()]
    return _Overview(history, lines, standings, waiting, view.find_overlaps(live))


def _missing_projects(history: RunHistory) -> list[str]:
    """Return the folders of projects with runs that no longer exist: they may have been moved here."""
    projects = dict.fromkeys(line.project for line in history.list_runs("", (), 500))
    return [folder for folder in projects if not Path(folder).is_dir()]


def _has_interrupted_operation(here: Project) -> bool:
    """Return whether a merge or a removal of this repository was killed; looked up without starting git."""
    return any((here.root / ".git" / "prunejuice" / "operations").glob("op-*.begun.json"))


def _load_runs(history: RunHistory, project_root: str) -> list[RunSummary]:
    """Return the summaries of a history, in one query unless a driver died."""
    lines = history.store.summaries(project=project_root, limit=500, children=True)
    if not history.filter_lost_runs(lines):
        return lines
    mark_lost_runs(history)
    return history.store.summaries(project=project_root, limit=500, children=True)


def _live_sessions(lines: Sequence[RunSummary]) -> Collection[str]:
    """Return the names of live sessions; tmux is asked only if a run has a session."""
    if not any(line.session for line in lines):
        return ()
    from prunejuice.worktrees import tmux  # noqa: PLC0415 - it can start processes, which reads need not

    environ = settings.environment()
    return tmux.list_sessions(settings.load(environ).tmux_socket, environ)


def _run_standing(
    line: RunSummary, sessions: Collection[str], waiting: Sequence[str]
) -> view.RunStatusLine:
    has_worktree = bool(line.worktree) and Path(line.worktree).is_dir()
    return view.status_line(
        line, has_worktree=has_worktree, has_session=line.session in sessions, waiting=waiting
    )


def _standing_to_dict(
    standing: view.RunStatusLine, overlaps: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    about: dict[str, Any] = {"group": standing.group, "evidence": list(standing.evidence)}
    if overlaps:
        about["overlaps"] = [{"run": other, "files": list(files)} for other, files in overlaps.items()]
    return about


def _status_row(
    history: RunHistory, line: RunSummary, overlaps: Mapping[str, Sequence[str]], waiting: Sequence[str]
) -> tuple[str, ...]:
    """Return the row of a run, with its last output, what waits, and runs that changed the same files."""
    row = render.run_row(line)
    output = render.last_output(history, line)
    overlap = f"changed the same files as {', '.join(other[:8] for other in overlaps)}" if overlaps else ""
    review = f"{format_count(len(waiting), 'change set')} to review" if waiting else ""
    return (*row[:-1], "  ".join(filter(None, (row[-1], review, safe_line(output, 60), overlap))))
