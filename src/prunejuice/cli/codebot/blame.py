"""Show which change set or run wrote a line, and why."""

import os
from pathlib import Path
from typing import Any

import click

from prunejuice.changes import blame as blames
from prunejuice.changes.change_set_store import ChangeSetStore
from prunejuice.cli import render
from prunejuice.cli.codebot.change_store import open_change_store
from prunejuice.cli.options import json_option
from prunejuice.cli.run_history import open_reading_history
from prunejuice.engine import run_texts
from prunejuice.engine.view import format_time
from prunejuice.errors import UsageError
from prunejuice.system import settings
from prunejuice.text import safe_line
from prunejuice.workflow import project


@click.command("blame")
@click.argument("place", metavar="FILE:LINE")
@json_option
def blame_command(*, place: str, as_json: bool) -> None:
    path, _, number = place.rpartition(":")
    if not path or not number.isdigit():
        raise UsageError(
            f"invalid line {safe_line(place, 80)!r}: expected FILE:LINE",
            "run, for example, `codebot blame src/a.py:12`",
        )
    store = open_change_store()
    path = _path_in_tree(store, path)
    result = blames.blame_line(store, path, int(number))
    change_set = _blame_to_dict(result, path) if result else None
    work = None if result else _find_work(store.tree_state.root, path, int(number))
    if as_json:
        body = {"path": path, "line": int(number), "change_set": change_set, "work": work}
        render.print_json("blame", body)
        return
    shown = change_set or work
    if shown is None:
        render.print_line("no stored change set and no run wrote this line (try `git blame`)")
        return
    for row in render.align_columns((name, safe_line(str(value), 200)) for name, value in shown.items()):
        render.print_line(row)


def _find_work(root: Path, path: str, line: int) -> dict[str, Any] | None:
    """Return the run and the step that wrote a line, as JSON-compatible data without empty values."""
    from prunejuice.app.line_origin import find_line_origin  # noqa: PLC0415 - only without a change set

    origin = find_line_origin(root, path, line, open_reading_history(), settings.environment())
    if origin is None:
        return None
    run = origin.run
    visit = run.last_visit(origin.step) if origin.step else None
    data = {
        "run": run.id[:8],
        "at": format_time(visit.ended if visit else run.ended or run.created),
        "command": run.plan.command.name,
        "task": run_texts.describe_task(run),
        "by": f"step {origin.step}" if origin.step else "a person, after or between the steps",
        "change_set": origin.change_set,
        "summary": str(visit.outputs.get("summary") or "") if visit else "",
        "commit": origin.commit[:12],
    }
    return {key: value for key, value in data.items() if value}


def _path_in_tree(store: ChangeSetStore, path: str) -> str:
    """Return a path, given relative to the current directory, relative to the top of the tree."""
    absolute = Path(os.path.normpath(project.current_directory() / path))
    root = store.tree_state.root.absolute()
    return (
        absolute.relative_to(root).as_posix()
        if absolute.is_file() and absolute.is_relative_to(root)
        else path
    )


def _blame_to_dict(result: blames.BlameResult, path: str) -> dict[str, Any]:
    record = result.record
    data = {"id": record.id, "at": format_time(record.at), "line_then": result.line}
    optional = {
        "command": record.change_set.command,
        "run": record.change_set.run,
        "summary": record.change_set.summary,
    }
    optional |= {"reason": result.reason(path)}
    return data | {key: value for key, value in optional.items() if value}
