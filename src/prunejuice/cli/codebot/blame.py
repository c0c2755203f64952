"""Show which change set wrote a line, and why."""

import os
from pathlib import Path
from typing import Any

import click

from prunejuice.changes import blame as blames
from prunejuice.changes.change_set_store import ChangeSetStore
from prunejuice.cli import render
from prunejuice.cli.codebot.change_store import open_change_store
from prunejuice.cli.options import json_option
from prunejuice.engine.view import format_time
from prunejuice.errors import UsageError
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
    if as_json:
        body = {
            "path": path,
            "line": int(number),
            "change_set": _blame_to_dict(result, path) if result else None,
        }
        render.print_json("blame", body)
        return
    if result is None:
        render.print_line("no stored change set wrote this line (try `git blame`)")
        return
    for row in render.align_columns(
        (name, safe_line(str(value), 200)) for name, value in _blame_to_dict(result, path).items()
    ):
        render.print_line(row)


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
