"""The commands about change sets that are kept: pending, blame, schema."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from prunejuice import answer as answers
from prunejuice import blame as blames
from prunejuice import change, hunk, pending, project, review
from prunejuice.cli import applying, render, reviewing
from prunejuice.cli.applying import shelf_here
from prunejuice.errors import UsageError
from prunejuice.formats import FORMATS
from prunejuice.pending import Standing
from prunejuice.shelf import Happened, Record, Shelf
from prunejuice.text import safe_line, safe_text
from prunejuice.view import stamp

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


@click.group("pending", invoke_without_command=True)
@_JSON
@click.pass_context
def pending_command(context: click.Context, *, as_json: bool) -> None:
    """The change sets that wait to be applied; without a command, list them."""
    if context.invoked_subcommand is None:
        _list(every=False, as_json=as_json)


@pending_command.command("list")
@click.option("--all", "every", is_flag=True, help="Those applied, undone and dropped too.")
@_JSON
def list_command(*, every: bool, as_json: bool) -> None:
    """List change sets, and how each would apply after those before it."""
    _list(every=every, as_json=as_json)


def _list(*, every: bool, as_json: bool) -> None:
    shelf = shelf_here()
    waiting = {each.record.id: each for each in pending.standings(shelf, shelf.of_state("pending"))}
    records = shelf.all() if every else [each.record for each in waiting.values()]
    if as_json:
        render.json("pending", [_item(each, waiting.get(each.id)) for each in records])
        return
    for row in render.columns(_row(each, waiting.get(each.id)) for each in records):
        render.out(row)
    if not records:
        render.out("no change set waits")


def _note(standing: Standing | None) -> str:
    if standing is None:
        return ""
    if standing.conflict:
        return f"conflict: {standing.conflict.message}"
    return f"on {', '.join(standing.stacks_on)}" if standing.stacks_on else "ready"


def _row(record: Record, standing: Standing | None) -> tuple[str, ...]:
    names = ", ".join(record.paths[:3]) + (
        f" and {len(record.paths) - 3} more" if len(record.paths) > 3 else ""
    )
    what = record.change_set.summary or record.change_set.command
    note = safe_line(_note(standing) if standing else record.state, 160)
    return (record.id, render.ago(record.at), safe_line(names, 80), safe_line(what, 60), note)


def _item(record: Record, standing: Standing | None) -> dict[str, Any]:
    about = {"id": record.id, "state": record.state, "at": stamp(record.at), "files": record.paths}
    more = {
        "summary": record.change_set.summary,
        "command": record.change_set.command,
        "run": record.change_set.run,
    }
    found: dict[str, Any] = about | {key: value for key, value in more.items() if value}
    if standing is not None:
        found["stacks_on"] = list(standing.stacks_on)
        found["conflict"] = standing.conflict.message if standing.conflict else None
    return found


@pending_command.command("show")
@click.argument("id")
@_JSON
def show_command(*, id: str, as_json: bool) -> None:  # noqa: A002 - the name people see
    """Show what a change set would change, or did, and everything that happened to it."""
    shelf = shelf_here()
    record = shelf.find(id)
    standing = pending.standings(shelf, [record])[0] if record.state == "pending" else None
    differences: Sequence[hunk.Difference] = standing.differences if standing else ()
    if standing is None or standing.conflict:
        differences = pending.as_made(record)
    if as_json:
        found = review.begin(differences)
        items = [reviewing.item(found, each) for each in found.hunks]
        render.json("change_set", {**_item(record, standing), "hunks": items, **pending.as_json(record)})
        return
    render.out(f"{record.id} {record.state}  {safe_line(record.change_set.summary, 120)}".rstrip())
    for told in record.history:
        render.out(f"  {stamp(told.at)}  {_happened(told)}")
    for each in differences:
        for line in hunk.diff(each).split("\n")[:-1]:
            render.out(render.patch_line(safe_text(line)) if sys.stdout.isatty() else safe_text(line))
    if standing:
        pending.demand_fit(standing)


def _happened(told: Happened) -> str:
    if told.decision is None:
        return f"{told.what} {safe_line(told.note, 120)}".rstrip()
    by = told.decision.pattern or told.decision.by
    why = f": {told.decision.reason}" if told.decision.reason else ""
    return safe_line(f"hunk {told.decision.hunk}: {told.decision.action} ({by}){why}", 200)


@pending_command.command("add")
@click.argument("file", metavar="FILE|-")
@click.option("--format", "form", type=click.Choice(["json", *FORMATS]), help="What the file is in.")
@click.option("--apply/--no-apply", "at_once", default=None, help="Apply it at once  [setting apply].")
@click.option("--grant", multiple=True, metavar="GLOB", help="Files that decide what runs, and may change.")
@_JSON
def add_command(
    *, file: str, form: str | None, at_once: bool | None, grant: Sequence[str], as_json: bool
) -> int:
    """Keep the changes in a FILE until they are applied."""
    shelf = shelf_here()
    taken = answers.take(
        applying.text_of(file), shelf.house, applying.format_of(form), as_json=form == "json" or None
    )
    if taken.rejected:
        return applying.refused(taken, as_json=as_json)
    if not taken.differences:
        raise UsageError("the changes change nothing", "the files are so already")
    record = pending.propose(shelf, taken.change_set, taken.differences)
    from prunejuice import app as apps  # noqa: PLC0415 - slow, and few of these need it

    if apps.open_app().settings.apply if at_once is None else at_once:
        record = pending.apply(shelf, [record], grant)[0][0]
    _told(record, "waits" if record.state == "pending" else "is applied", as_json=as_json)
    return 0


@pending_command.command("drop")
@click.argument("id")
@_JSON
def drop_command(*, id: str, as_json: bool) -> None:  # noqa: A002
    """Throw a change set away that waits."""
    shelf = shelf_here()
    _told(pending.drop(shelf, shelf.find(id)), "is dropped", as_json=as_json)


@pending_command.command("split")
@click.argument("id")
@click.argument("files", nargs=-1, required=True, metavar="GLOB…")
@_JSON
def split_command(*, id: str, files: tuple[str, ...], as_json: bool) -> None:  # noqa: A002
    """Make two change sets of one: the files of the globs, and the others."""
    shelf = shelf_here()
    made = pending.split(shelf, shelf.find(id), files)
    if as_json:
        render.json("pending", [_item(each, None) for each in made])
        return
    for each in made:
        render.out(f"{each.id}  {safe_line(', '.join(each.paths), 160)}")


@pending_command.command("squash")
@click.argument("ids", nargs=-1, required=True, metavar="ID ID…")
@_JSON
def squash_command(*, ids: tuple[str, ...], as_json: bool) -> None:
    """Make one change set of several, in their order."""
    shelf = shelf_here()
    _told(pending.squash(shelf, [shelf.find(each) for each in ids]), "waits", as_json=as_json)


def _told(record: Record, state: str, *, as_json: bool) -> None:
    if as_json:
        render.json("change_set", _item(record, None))
    else:
        count = len(record.paths)
        render.out(f"{record.id} {state}: {count} {'file' if count == 1 else 'files'}")


@click.command("blame")
@click.argument("place", metavar="FILE:LINE")
@_JSON
def blame_command(*, place: str, as_json: bool) -> None:
    """Show which change set wrote a line, by what command, in which run, and why."""
    path, _, number = place.rpartition(":")
    if not path or not number.isdigit():
        raise UsageError(f"{safe_line(place, 80)!r} names no line", "codebot blame src/a.py:12")
    shelf = shelf_here()
    path = _from_top(shelf, path)
    found = blames.blame(shelf, path, int(number))
    if as_json:
        body = {"path": path, "line": int(number), "change_set": _blamed(found, path) if found else None}
        render.json("blame", body)
        return
    if found is None:
        render.out("no change set that is kept wrote this line (git blame may know)")
        return
    for row in render.columns(
        (name, safe_line(str(value), 200)) for name, value in _blamed(found, path).items()
    ):
        render.out(row)


def _from_top(shelf: Shelf, path: str) -> str:
    """A name as the tree has it, of a file named from where one stands."""
    place = Path(os.path.normpath(project.here() / path))
    top = shelf.house.root.absolute()
    return place.relative_to(top).as_posix() if place.is_file() and place.is_relative_to(top) else path


def _blamed(found: blames.Blamed, path: str) -> dict[str, Any]:
    record = found.record
    about = {"id": record.id, "at": stamp(record.at), "line_then": found.line}
    more = {
        "command": record.change_set.command,
        "run": record.change_set.run,
        "summary": record.change_set.summary,
    }
    more |= {"reason": found.reason(path)}
    return about | {key: value for key, value in more.items() if value}


@click.command("schema")
def schema_command() -> None:
    """Show the JSON Schema of changes, as codebot apply takes them."""
    render.out(change.schema_text())
