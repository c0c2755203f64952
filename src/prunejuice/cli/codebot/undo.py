"""Undo the change set that was applied last, or the given one.

Your later edits elsewhere in the files stay. If you edited the same lines, it is a conflict and nothing
changes.
"""

import click

from prunejuice.changes import pending
from prunejuice.cli.codebot.change_store import find_change_set, find_latest
from prunejuice.cli.codebot.change_view import report_state_change
from prunejuice.cli.options import json_option
from prunejuice.cli.run_work import record_run_work


@click.command("undo")
@click.argument("what", required=False, default="", metavar="[ID]")
@json_option
def undo_command(*, what: str, as_json: bool) -> None:
    store, record = find_change_set(what) if what else find_latest("applied", "nothing to undo")
    undone, paths = pending.undo(store, record)
    record_run_work(store, [record])
    report_state_change(undone, paths, "undone", "redo", as_json=as_json)
