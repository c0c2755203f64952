"""The commands that only look: status, show, logs, history, artifacts. They load no definitions."""

import codecs
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import click

from prunejuice import project, settings, view
from prunejuice.cli import render
from prunejuice.history import History
from prunejuice.run import RUN_STATUSES, Run, StepRun
from prunejuice.stores.sqlite import SqliteStore
from prunejuice.text import nearest, safe_line, safe_text
from prunejuice.view import Summary
from prunejuice.workspaces import tmux

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
_ALL = click.option("--all", "everywhere", is_flag=True, help="Runs of all projects.")


def open_history() -> History:
    """The runs of this machine; those whose driver died are marked first."""
    home = settings.home(settings.environment())
    history = History(home, SqliteStore(home / "prunejuice.db"))
    if history.lost():
        recovery = import_module("prunejuice.app")
        import_module("prunejuice.lifecycle").recover(recovery.open_app().tools())
    return history


def _here(*, everywhere: bool) -> str:
    return "" if everywhere else str(project.find(project.here()).root)


@click.command("status")
@_ALL
@_JSON
def status_command(*, everywhere: bool, as_json: bool) -> None:
    """Show the runs of this project by what is to be done about them."""
    history, lines = _looked_at(_here(everywhere=everywhere))
    lines = [line for line in lines if not line.parent][:50]
    alive = _sessions(lines)
    stands = {line.id: _stands(line, alive) for line in lines}
    live = [line for line in lines if stands[line.id].group != "done" and Path(line.worktree).is_dir()]
    meets = view.overlaps(live)
    if as_json:
        items = [{**view.item(line), **_about(stands[line.id], meets.get(line.id, {}))} for line in lines]
        render.json("runs", items)
        return
    if not lines:
        render.out("no runs yet: prj list shows what can be run")
    for title in get_args(view.Group):
        group = [line for line in lines if stands[line.id].group == title]
        if group:
            render.out(click.style(f"{title} ({len(group)})", bold=True))
        rows = (
            _row(history, line, meets.get(line.id, {})) for line in group[: 5 if title == "done" else 50]
        )
        for row in render.columns(rows):
            render.out(f"  {row}")


def _looked_at(project_root: str) -> tuple[History, list[Summary]]:
    """The history and its lines, in one query when no driver died."""
    home = settings.home(settings.environment())
    history = History(home, SqliteStore(home / "prunejuice.db"))
    lines = history.store.summaries(project=project_root, limit=500, children=True)
    if not history.lost_among(lines):
        return history, lines
    history = open_history()
    return history, history.store.summaries(project=project_root, limit=500, children=True)


def _sessions(lines: Sequence[Summary]) -> Collection[str]:
    """The sessions that live, asked for once, and only when some run has one."""
    if not any(line.session for line in lines):
        return ()
    environ = settings.environment()
    return tmux.sessions(settings.load(environ).tmux_socket, environ)


def _stands(line: Summary, alive: Collection[str]) -> view.Standing:
    has_worktree = bool(line.worktree) and Path(line.worktree).is_dir()
    return view.standing(line, has_worktree=has_worktree, has_session=line.session in alive)


def _about(stands: view.Standing, meets: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    about: dict[str, Any] = {"group": stands.group, "evidence": list(stands.evidence)}
    if meets:
        about["overlaps"] = [{"run": other, "files": list(files)} for other, files in meets.items()]
    return about


def _row(history: History, line: Summary, meets: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """A line about a run, with what it printed last and whom it may conflict with."""
    row = render.run_line(line)
    last = (
        _last_printed(history.directory(line.id) / line.log)
        if line.status == "running" and line.log and not line.called
        else ""
    )
    meeting = f"changed the same files as {', '.join(other[:8] for other in meets)}" if meets else ""
    return (*row[:-1], "  ".join(filter(None, (row[-1], safe_line(last, 60), meeting))))


def _last_printed(log: Path) -> str:
    with suppress(OSError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 2000))
        return render.last_line(file.read().decode("utf-8", "replace"))
    return ""


@click.command("history")
@click.option("--limit", type=click.IntRange(1, 100_000), default=10, help="How many.  [10]")
@click.option("--status", type=click.Choice(RUN_STATUSES), help="Only those.")
@_ALL
@_JSON
def history_command(*, limit: int, status: str | None, everywhere: bool, as_json: bool) -> None:
    """List past runs, newest first."""
    history = open_history()
    statuses = (status,) if status else ()
    lines = history.runs(_here(everywhere=everywhere), statuses, limit)
    if as_json:
        render.json("runs", [view.item(line) for line in lines])
        return
    for row in render.columns(render.run_line(line) for line in lines):
        render.out(row)


@click.command("show")
@click.argument("run")
@_JSON
def show_command(*, run: str, as_json: bool) -> None:
    """Show one run with its steps. RUN is an id, or the beginning of one."""
    history = open_history()
    found = history.load(history.find(run))
    directory = str(history.directory(found.id))
    if as_json:
        render.json("run", {**view.whole(found), "artifact_dir": directory})
        return
    for line in render.summary(found, directory):
        render.out(line)
    for row in render.columns(render.step_line(visit) for visit in found.visits):
        render.out(row)
    for line in render.failure_tail(found):
        render.out(line)


@click.command("artifacts")
@click.argument("run")
@_JSON
def artifacts_command(*, run: str, as_json: bool) -> None:
    """List the files that a run kept."""
    history = open_history()
    found = history.load(history.find(run))
    directory = history.directory(found.id)
    if as_json:
        render.json("artifacts", {"directory": str(directory), "items": view.whole(found)["artifacts"]})
        return
    rows = [
        (f"{a.size}", a.media_type, a.step, safe_line(str(directory / a.path), 300))
        for a in found.artifacts
    ]
    for row in render.columns(rows):
        render.out(row)


@click.command("logs")
@click.argument("run")
@click.argument("step", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends; Ctrl-C only detaches.")
def logs_command(*, run: str, step: str | None, follow: bool) -> None:
    """Show what the steps of a run printed."""
    history = open_history()
    run_id = history.find(run)
    _check_step(history.load(run_id), step)
    shown = _Shown(alone=bool(step))
    while True:
        found = history.load(run_id)
        for visit in _logged(found, step):
            shown.show(history.directory(run_id) / visit.log, visit)
        over = found.status not in {"running", "pending"} or run_id in {line.id for line in history.lost()}
        if not follow or over:
            return
        sys.stdout.flush()
        time.sleep(0.2)


def _check_step(run: Run, step: str | None) -> None:
    known = run.plan.workflow.steps
    if step is not None and step not in known:
        hint = nearest(step, known) or f"it has {', '.join(known)}"
        raise click.UsageError(f"run {run.id[:8]} has no step {safe_line(step, 60)!r}: {hint}")


def _logged(run: Run, step: str | None) -> Iterator[StepRun]:
    return (v for v in run.visits if v.log and step in {None, v.step})


class _Shown:
    """How far each log was shown; what ends in the middle of a character waits for the rest."""

    def __init__(self, *, alone: bool) -> None:
        self.alone = alone
        self.at: dict[str, int] = {}
        self.decoders: dict[str, codecs.IncrementalDecoder] = {}
        self.whole_line = True

    def show(self, path: Path, visit: StepRun) -> None:
        """Print what a log has gained since last time."""
        if not path.is_file():
            return
        with path.open("rb") as file:
            file.seek(self.at.get(visit.log, 0))
            while chunk := file.read(1 << 20):
                self.head(visit)
                self.at[visit.log] = self.at.get(visit.log, 0) + len(chunk)
                text = self.decoders[visit.log].decode(chunk)
                self.whole_line = text.endswith("\n")
                render.raw(safe_text(text))

    def head(self, visit: StepRun) -> None:
        if visit.log in self.decoders:
            return
        self.decoders[visit.log] = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        if not self.whole_line:
            render.out()
        if not self.alone:
            render.out(click.style(f"── {safe_line(visit.step)} ──", bold=True))
