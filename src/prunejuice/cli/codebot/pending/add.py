"""Keep the changes in a file as a pending change set."""

from collections.abc import Sequence

import click

from prunejuice.changes import parsed_answer, pending
from prunejuice.cli.codebot import change_input, change_view
from prunejuice.cli.codebot.change_store import open_change_store
from prunejuice.cli.codebot.pending.record_json import report_record
from prunejuice.cli.options import allow_option, json_option
from prunejuice.cli.param_type import FormatName
from prunejuice.errors import UsageError
from prunejuice.workflow.project import current_directory


@click.command("add")
@click.argument("file", metavar="FILE|-")
@click.option("--format", "form", type=FormatName(), help="Format of the file.")
@click.option(
    "--apply/--no-apply",
    "at_once",
    default=None,
    help="Apply the change set at once  [default: setting apply].",
)
@allow_option
@json_option
def add_command(
    *, file: str, form: str | None, at_once: bool | None, grant: Sequence[str], as_json: bool
) -> int:
    store = open_change_store()
    answer = parsed_answer.read_answer(
        change_input.read_changes(file),
        store.tree_state,
        change_input.edit_format(form),
        as_json=form == "json" or None,
        directory=current_directory(),
    )
    if answer.rejected_edits:
        return change_view.report_rejected(answer, as_json=as_json)
    if not answer.differences:
        raise UsageError("the changes have no effect", "the files already have this content")
    record = pending.add_change_set(store, answer.change_set, answer.differences)
    from prunejuice.app import wiring  # noqa: PLC0415 - slow

    if wiring.open_app().settings.apply if at_once is None else at_once:
        record = pending.apply(store, [record], grant)[0][0]
    report_record(record, "is pending" if record.state == "pending" else "is applied", as_json=as_json)
    return 0
