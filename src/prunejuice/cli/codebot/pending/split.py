"""Split a change set in two: the files that match the globs, and the rest."""

import click

from prunejuice.changes import pending
from prunejuice.cli import render
from prunejuice.cli.codebot.change_store import find_change_set
from prunejuice.cli.codebot.pending.record_json import record_to_dict
from prunejuice.cli.options import json_option
from prunejuice.text import safe_line


@click.command("split")
@click.argument("id")
@click.argument("files", nargs=-1, required=True, metavar="GLOB…")
@json_option
def split_command(*, id: str, files: tuple[str, ...], as_json: bool) -> None:  # noqa: A002 - the name of the argument in the help
    store, record = find_change_set(id)
    records = pending.split_record(store, record, files)
    if as_json:
        render.print_json("pending", [record_to_dict(record, None) for record in records])
        return
    for record in records:
        render.print_line(f"{record.id}  {safe_line(', '.join(record.paths), 160)}")
