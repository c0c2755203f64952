"""Drop a pending change set."""

import click

from prunejuice.changes import pending
from prunejuice.cli.codebot.change_store import find_change_set
from prunejuice.cli.codebot.pending.record_json import report_record
from prunejuice.cli.options import json_option


@click.command("drop")
@click.argument("id")
@json_option
def drop_command(*, id: str, as_json: bool) -> None:  # noqa: A002 - the name of the argument in the help
    store, record = find_change_set(id)
    report_record(pending.drop_record(store, record), "is dropped", as_json=as_json)
