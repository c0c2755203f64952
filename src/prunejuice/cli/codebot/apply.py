"""Apply a pending change set, or the changes in a file.

A FILE (- for stdin) holds JSON, or an answer with edits. Either all files change or none. Paths are
relative to the top of the working tree; in edits, a name without a folder is in your folder unless the
top has such a file. `codebot undo` reverts it.
"""

from pathlib import Path
from typing import Any

import click

from prunejuice.changes import denial, parsed_answer
from prunejuice.changes.change_set_store import ChangeSetRecord, ChangeSetStore
from prunejuice.changes.parsed_answer import PlacedAnswer
from prunejuice.cli.codebot.apply_changes import apply_records, review_and_apply
from prunejuice.cli.codebot.apply_options import ApplyOptions
from prunejuice.cli.codebot.change_input import edit_format, read_changes
from prunejuice.cli.codebot.change_store import find_change_set, open_change_store
from prunejuice.cli.codebot.change_view import report_rejected, show_placements, show_preview
from prunejuice.cli.options import again_option, allow_option, decisions_option, json_option
from prunejuice.cli.param_type import FormatName
from prunejuice.errors import NotFoundError, UsageError
from prunejuice.text import safe_line
from prunejuice.workflow.project import current_directory


@click.command("apply")
@click.argument("what", required=False, default="", metavar="[ID|FILE|-]")
@click.option("--all", "every", is_flag=True, help="Apply every pending change set, in order.")
@click.option(
    "--format", "form", type=FormatName(), help="Format: json, or a format of edits  [default: detected]."
)
@click.option("--dry-run", is_flag=True, help="Show the diff without applying it.")
@click.option("-r", "reviewed", is_flag=True, help="Review every hunk first.")
@click.option(
    "--review", "grain", type=click.Choice(["hunk", "file"]), help="Review first, by hunk or by file."
)
@decisions_option
@again_option
@allow_option
@click.option(
    "-y", "--yes", is_flag=True, help="Skip the confirmation; protected files still need --allow."
)
@json_option
def apply_command(
    *,
    what: str,
    every: bool,
    form: str | None,
    dry_run: bool,
    reviewed: bool,
    grain: str | None,
    **options: Any,
) -> int:
    store = open_change_store()
    apply_options = ApplyOptions(
        grain or ("hunk" if reviewed else ""),
        options["decisions"],
        options["yes"],
        options["grant"],
        options["again"],
        options["as_json"],
    )
    _require_compatible_options(what, apply_options, dry_run=dry_run)
    store, records = _find_pending(store, what, every=every)
    if records:
        return apply_records(store, records, apply_options, dry_run=dry_run)
    if what != "-" and not (grain or reviewed or apply_options.decisions or dry_run):
        denial.require_not_denied(Path(what))
    answer = parsed_answer.read_answer(
        read_changes(what),
        store.tree_state,
        edit_format(form),
        as_json=form == "json" or None,
        directory=current_directory(),
    )
    if answer.rejected_edits:
        return report_rejected(answer, as_json=apply_options.as_json)
    if dry_run:
        show_placements(answer.change_set)
        return show_preview(answer.differences, _answer_to_dict(answer), as_json=apply_options.as_json)
    return review_and_apply(store, None, answer, apply_options)


def _require_compatible_options(what: str, apply_options: ApplyOptions, *, dry_run: bool) -> None:
    is_reviewed = bool(apply_options.grain or apply_options.decisions)
    if what == "-" and apply_options.decisions == "-":
        raise UsageError("stdin cannot be both the changes and the decisions", "pass one of them as a file")
    if dry_run and is_reviewed:
        raise UsageError("--dry-run cannot be combined with a review", "drop -r, --review and --decisions")
    if apply_options.again and not is_reviewed:
        raise UsageError("--again requires a review", "add -r or --decisions")


def _find_pending(
    store: ChangeSetStore, what: str, *, every: bool
) -> tuple[ChangeSetStore, list[ChangeSetRecord]]:
    """Return the pending records that the arguments select, with their store.

    An empty list means a file or stdin. Without an id, only the current tree is looked at.
    """
    if every or not what:
        if what:
            raise UsageError("a change set and --all cannot be combined", "pass only one of them")
        records = store.load_in_state("pending")
        if not records:
            raise NotFoundError(
                "no pending changes", "run `codebot apply FILE` to apply the changes in a file"
            )
        if len(records) > 1 and not every:
            names = " ".join(record.id for record in records)
            raise UsageError(
                f"{len(records)} change sets are pending: {names}", "name one of them, or pass --all"
            )
        return store, records
    if what == "-" or Path(what).is_file():
        return store, []
    if Path(what).exists() or "/" in what or "." in what:
        raise NotFoundError(f"no such file: {safe_line(what, 120)!r}", "name a file, or - for stdin")
    store, record = find_change_set(what)
    return store, [record]


def _answer_to_dict(answer: PlacedAnswer) -> dict[str, Any]:
    return {"format": answer.format, "edits": parsed_answer.edit_outcomes_data(answer)}
