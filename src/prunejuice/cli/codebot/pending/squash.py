"""Combine several change sets into one, in their order."""

import click

from prunejuice.changes import pending
from prunejuice.cli.codebot.change_store import find_change_set
from prunejuice.cli.codebot.pending.record_json import report_record
from prunejuice.cli.options import json_option


@click.command("squash")
@click.argument("ids", nargs=-1, required=True, metavar="ID ID…")
@json_option
def squash_command(*, ids: tuple[str, ...], as_json: bool) -> None:
    store, _ = find_change_set(ids[0])
    report_record(
        pending.squash_records(store, [store.find(record_id) for record_id in ids]),
        "is pending",
        as_json=as_json,
    )
