"""A stored change set as text and JSON."""

from typing import Any

import msgspec

from prunejuice.changes.change_set import to_plain_data
from prunejuice.changes.change_set_store import ChangeSetRecord
from prunejuice.changes.pending import RecordStatus
from prunejuice.cli import render
from prunejuice.engine.view import format_time


def record_to_dict(record: ChangeSetRecord, status: RecordStatus | None) -> dict[str, Any]:
    """Return a record as JSON data; `status` adds how it applies after the ones before it."""
    data = {"id": record.id, "state": record.state, "at": format_time(record.at), "files": record.paths}
    optional = {
        "summary": record.change_set.summary,
        "command": record.change_set.command,
        "run": record.change_set.run,
    }
    result: dict[str, Any] = data | {key: value for key, value in optional.items() if value}
    if status is not None:
        result["stacks_on"] = list(status.stacks_on)
        result["conflict"] = status.conflict.message if status.conflict else None
    return result


def stored_fields(record: ChangeSetRecord) -> dict[str, Any]:
    """Return every field of a record as JSON data, without the original files."""
    fields: dict[str, Any] = msgspec.to_builtins(record)
    fields.pop("olds", None)
    return {**fields, "change_set": to_plain_data(record.change_set)}


def report_record(record: ChangeSetRecord, state: str, *, as_json: bool) -> None:
    """Print a record with a word about its state."""
    if as_json:
        render.print_json("change_set", record_to_dict(record, None))
    else:
        count = len(record.paths)
        render.print_line(f"{record.id} {state}: {count} {'file' if count == 1 else 'files'}")
