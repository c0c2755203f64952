"""Apply again the change set that was undone last, or the given one."""

import click

from prunejuice.changes import pending
from prunejuice.cli.codebot.change_store import find_change_set, find_latest
from prunejuice.cli.codebot.change_view import report_state_change
from prunejuice.cli.options import json_option
from prunejuice.cli.run_work import record_run_work
from prunejuice.errors import UsageError


@click.command("redo")
@click.argument("what", required=False, default="", metavar="[ID]")
@json_option
def redo_command(*, what: str, as_json: bool) -> None:
    store, record = find_change_set(what) if what else find_latest("undone", "nothing to redo")
    if record.state != "undone":
        raise UsageError(
            f"{record.id} is {record.state}, not undone",
            "run `codebot pending list --all` to see the change sets",
        )
    # The protected files were approved when the change set was first applied.
    applied = pending.apply(store, [record], approved=[*record.paths, *record.targets])
    record_run_work(store, [record])
    report_state_change(
        applied[0][0], [target.path for target in applied[0][1].targets], "redone", "undo", as_json=as_json
    )
