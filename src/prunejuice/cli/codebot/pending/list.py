"""List the change sets of all worktrees, and whether each applies after those before it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import click

from prunejuice.changes import pending, worktree_stores
from prunejuice.changes.change_set_store import ChangeSetRecord
from prunejuice.changes.pending import RecordStatus
from prunejuice.changes.worktree_stores import WorktreeStore
from prunejuice.cli import render
from prunejuice.cli.codebot.change_store import open_change_store
from prunejuice.cli.codebot.pending.record_json import record_to_dict
from prunejuice.cli.options import json_option
from prunejuice.cli.run_history import describe_run
from prunejuice.errors import PruneJuiceError
from prunejuice.system import settings
from prunejuice.text import safe_line
from prunejuice.workflow import project


@click.command("list")
@click.option("--all", "every", is_flag=True, help="Include applied, undone and dropped change sets.")
@json_option
def list_command(*, every: bool, as_json: bool) -> None:
    show_change_sets(every=every, as_json=as_json)


class _Listed(NamedTuple):
    """The change sets of a worktree, and how the pending ones apply."""

    place: WorktreeStore
    records: list[ChangeSetRecord]
    statuses: dict[str, RecordStatus]

    def to_dicts(self) -> Iterator[dict[str, Any]]:
        where = {"worktree": str(self.place.root)} | ({"owner": self.place.run} if self.place.run else {})
        for record in self.records:
            yield record_to_dict(record, self.statuses.get(record.id)) | where


def show_change_sets(*, every: bool, as_json: bool) -> None:
    """Print the pending change sets of all worktrees, or all change sets with `every`."""
    stores = worktree_stores.list_worktree_stores(
        open_change_store(), project.current_directory(), settings.environment()
    )
    listed = [entry for entry in (_load(place, every=every) for place in stores) if entry.records]
    if as_json:
        render.print_json("pending", [item for entry in listed for item in entry.to_dicts()])
        return
    for entry in listed:
        if not entry.place.is_current:
            render.print_line(_heading(entry.place))
        for row in render.align_columns(
            _record_row(record, entry.statuses.get(record.id)) for record in entry.records
        ):
            render.print_line(row if entry.place.is_current else f"  {row}")
    if not listed:
        render.print_line("no pending changes")


def _load(place: WorktreeStore, *, every: bool) -> _Listed:
    waiting = place.store.load_in_state("pending")
    statuses: list[RecordStatus] = []
    if waiting or place.is_current:
        try:
            place.require_folder()
            statuses = pending.load_record_statuses(place.store, waiting)
        except PruneJuiceError as error:
            if place.is_current:
                raise
            statuses = [RecordStatus(record, conflict=error) for record in waiting]
    records = place.store.load_all() if every else [status.record for status in statuses]
    return _Listed(place, records, {status.record.id: status for status in statuses})


def _heading(place: WorktreeStore) -> str:
    run = describe_run(place.run) if place.run else ""
    return safe_line(f"in {place.root}{f', of {run}' if run else ''}", 300)


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
