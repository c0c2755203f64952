"""Show the diff and the history of a change set."""

import sys
from typing import TYPE_CHECKING

import click

from prunejuice.changes import parsed_answer, pending, rebase, review
from prunejuice.changes.change_set_store import ChangeSetEvent
from prunejuice.cli import render
from prunejuice.cli.codebot.change_store import find_change_set
from prunejuice.cli.codebot.pending.record_json import record_to_dict, stored_fields
from prunejuice.cli.options import json_option
from prunejuice.cli.review import hunk_view
from prunejuice.edits import diff
from prunejuice.engine.view import format_time
from prunejuice.text import safe_line, safe_text

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command("show")
@click.argument("id")
@json_option
def show_command(*, id: str, as_json: bool) -> None:  # noqa: A002 - the name of the argument in the help
    store, record = find_change_set(id)
    status = pending.load_record_statuses(store, [record])[0] if record.state == "pending" else None
    differences: Sequence[diff.FileDiff] = status.differences if status else ()
    if status is None or status.conflict:
        differences = rebase.original_diffs(record)
    if as_json:
        reviewed = review.begin_review(differences)
        items = [hunk_view.hunk_to_dict(reviewed, hunk) for hunk in reviewed.hunks]
        render.print_json(
            "change_set",
            {**record_to_dict(record, status), "hunks": items, **stored_fields(record)},
        )
        return
    render.print_line(f"{record.id} {record.state}  {safe_line(record.change_set.summary, 120)}".rstrip())
    for event in record.history:
        render.print_line(f"  {format_time(event.at)}  {_format_history_entry(event)}")
    for note in record.change_set.metadata.get(parsed_answer.PLACEMENTS, ()):
        render.print_line(f"  {safe_line(str(note))}")
    for difference in differences:
        for line in diff.format_diff(difference).split("\n")[:-1]:
            render.print_line(
                render.format_patch_line(safe_text(line)) if sys.stdout.isatty() else safe_text(line)
            )
    if status:  # last, so that the diff is shown even in a conflict
        pending.require_no_conflict(status)


def _format_history_entry(event: ChangeSetEvent) -> str:
    if event.decision is None:
        return f"{event.what} {safe_line(event.note, 120)}".rstrip()
    by = event.decision.pattern or event.decision.by
    reason = f": {event.decision.reason}" if event.decision.reason else ""
    return safe_line(f"hunk {event.decision.hunk}: {event.decision.action} ({by}){reason}", 200)
