"""List change sets, and whether each applies after those before it."""

import click

from prunejuice.changes import pending
from prunejuice.changes.change_set_store import ChangeSetRecord
from prunejuice.changes.pending import RecordStatus
from prunejuice.cli import render
from prunejuice.cli.codebot.change_store import open_change_store
from prunejuice.cli.codebot.pending.record_json import record_to_dict
from prunejuice.cli.options import json_option
from prunejuice.text import safe_line


@click.command("list")
@click.option("--all", "every", is_flag=True, help="Include applied, undone and dropped change sets.")
@json_option
def list_command(*, every: bool, as_json: bool) -> None:
    show_change_sets(every=every, as_json=as_json)


def show_change_sets(*, every: bool, as_json: bool) -> None:
    """Print the pending change sets, or all with `every`."""
    store = open_change_store()
    statuses = {
        status.record.id: status
        for status in pending.load_record_statuses(store, store.load_in_state("pending"))
    }
    records = store.load_all() if every else [status.record for status in statuses.values()]
    if as_json:
        render.print_json(
            "pending", [record_to_dict(record, statuses.get(record.id)) for record in records]
        )
        return
    for row in render.align_columns(_record_row(record, statuses.get(record.id)) for record in records):
        render.print_line(row)
    if not records:
        render.print_line("no pending changes")


def _format_standing(status: RecordStatus | None) -> str:
    if status is None:
        return ""
    if status.conflict:
        return f"conflict: {status.conflict.message}"
    return f"on {', '.join(status.stacks_on)}" if status.stacks_on else "ready"


def _record_row(record: ChangeSetRecord, status: RecordStatus | None) -> tuple[str, ...]:
    names = ", ".join(record.paths[:3]) + (
        f" and {len(record.paths) - 3} more" if len(record.paths) > 3 else ""
    )
    what = record.change_set.summary or record.change_set.command
    note = safe_line(_format_standing(status) if status else record.state, 160)
    return (record.id, render.format_age(record.at), safe_line(names, 80), safe_line(what, 60), note)
