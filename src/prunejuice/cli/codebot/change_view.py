"""Changes and the results of applying them, as text and JSON."""

import stat
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from prunejuice.changes import change_set, parsed_answer, review
from prunejuice.changes.change_set import ChangeSet
from prunejuice.changes.change_set_store import ChangeSetRecord
from prunejuice.changes.parsed_answer import PLACEMENTS, PlacedAnswer
from prunejuice.cli import render
from prunejuice.cli.codebot.apply_options import NO_REVIEW, ApplyOptions, ReviewOutcome
from prunejuice.cli.review import hunk_view, revision
from prunejuice.edits import diff
from prunejuice.edits.diff import FileDiff
from prunejuice.edits.protected_files import protection_level
from prunejuice.text import format_count, safe_line, safe_text, to_utf8


def report_rejected(answer: PlacedAnswer, *, as_json: bool) -> int:
    """Print why edits could not be placed, and return the exit code. Nothing of the answer is applied."""
    count, total = len(answer.rejected_edits), len(answer.outcomes)
    for outcome in answer.rejected_edits:
        error = outcome.rejection
        where = f"{safe_line(outcome.edit.path, 120)} (line {outcome.edit.answer_line} of the answer)"
        render.print_error(
            f"{where}: {error.message if error else ''}", error.fix if error else "", as_json=False
        )
    message = f"could not place {count} of {total} edits"
    render.print_message(f"{message}; nothing was changed")
    if as_json:
        render.print_json(
            "rejected",
            {
                "error": {"message": message},
                "format": answer.format,
                "edits": parsed_answer.edit_outcomes_data(answer),
            },
        )
    return 4


def warn_of_hard_links(root: Path, paths: Iterable[str]) -> None:
    """Print a line for each file that has other names: they keep the old file when it is replaced."""
    for path in dict.fromkeys(paths):
        with suppress(OSError):
            status = (root / path).lstat()
            if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
                others = format_count(status.st_nlink - 1, "other name")
                render.print_message(
                    f"warning: {safe_line(path, 120)} has {others} (hard links), which keep the old content"
                )


def show_preview(differences: Sequence[FileDiff], about: Mapping[str, Any], *, as_json: bool) -> int:
    """Print the changes without applying them, and return the exit code."""
    text = "".join(map(diff.format_diff, differences))
    if as_json:
        preview = review.begin_review(differences)
        items = [hunk_view.hunk_to_dict(preview, hunk) for hunk in preview.hunks]
        body = {
            "dry_run": True,
            "files": _files_to_dicts(differences),
            "diff": to_utf8(text),
            "hunks": items,
        }
        render.print_json("preview", {**about, **body})
    elif sys.stdout.isatty():
        for line in text.split("\n")[:-1]:
            render.print_line(render.format_patch_line(safe_text(line)))
    else:  # a pipe gets a patch that git can apply, byte for byte
        render.print_bytes(text.encode("utf-8", "surrogateescape"))
    return 0


def _files_to_dicts(differences: Sequence[FileDiff]) -> list[dict[str, Any]]:
    return [_file_to_dict(difference) for difference in differences]


def _file_to_dict(difference: FileDiff) -> dict[str, Any]:
    is_text = diff.is_text(difference.old.data) and diff.is_text(difference.new.data)
    counts = [diff.count_changed_lines(hunk) for hunk in diff.compute_hunks(difference)] if is_text else []
    operation = "write"
    if difference.new.data is None:
        operation = "delete"
    elif difference.to:
        operation = "rename"
    elif difference.new.data == difference.old.data:
        operation = "mode"
    data = {
        "filepath": difference.path,
        "operation": operation,
        **({"to": difference.to} if difference.to else {}),
    }
    if not is_text:
        return {**data, "added": None, "removed": None}
    return {
        **data,
        "added": sum(added for added, _ in counts),
        "removed": sum(removed for _, removed in counts),
    }


def report_pending(
    record: ChangeSetRecord,
    differences: Sequence[FileDiff],
    options: ApplyOptions,
    about: Mapping[str, Any],
) -> None:
    """Print that a change set is pending, and the commands that continue with it."""
    if options.as_json:
        text = "".join(map(diff.format_diff, differences))
        files = _files_to_dicts(differences)
        render.print_json("proposed", {"id": record.id, "diff": to_utf8(text), **about, "files": files})
        return
    show_files(differences, options, record.change_set)
    render.print_line(record.id)
    if needs := change_set.find_disallowed_paths(differences, options.grant):
        flags = " ".join(f"--allow {safe_line(name, 80)!r}" for name in needs[:3])
        render.print_message(
            f"it changes files that decide what runs on this machine: apply it with {flags}"
        )
    render.print_message(
        f"pending: see `codebot pending show {record.id}`, "
        f"apply with `codebot apply {record.id}` (-r to review)"
    )


def show_placements(changes: ChangeSet) -> None:
    """Print a line to stderr for each edit that was placed although it is not exactly what the file has."""
    for note in changes.metadata.get(PLACEMENTS, ()):
        render.print_message(safe_line(str(note)))


def show_files(differences: Sequence[FileDiff], options: ApplyOptions, changes: ChangeSet) -> None:
    """Print a row for each changed file to stderr, unless the output is JSON."""
    if not options.as_json:
        show_placements(changes)
        for row in render.align_columns(_file_row(difference) for difference in differences):
            render.print_message(row)


def _file_row(difference: FileDiff) -> tuple[str, ...]:
    data = _file_to_dict(difference)
    name = f"{difference.path} → {difference.to}" if difference.to else difference.path
    operation = (
        "" if data["operation"] == "write" and difference.old.data is not None else data["operation"]
    )
    operation = "new" if difference.old.data is None else operation
    warning = {"granted": "decides what runs", "shown": "may decide what runs"}.get(
        protection_level(difference.to or difference.path), ""
    )
    return (
        *render.change_row(name, data["added"], data["removed"]),
        operation,
        click.style(warning, fg="red") if warning else "",
    )


def report_applied(
    applied: Sequence[tuple[ChangeSetRecord, Any]],
    differences: Sequence[FileDiff],
    options: ApplyOptions,
    answer: PlacedAnswer | None,
    outcome: ReviewOutcome = NO_REVIEW,
) -> None:
    """Print what was applied, left undecided and sent back for revision."""
    if options.is_silent:
        return
    if options.as_json:
        body = {
            "ids": [record.id for record, _ in applied],
            "files": _files_to_dicts(differences),
            **(
                {"format": answer.format, "edits": parsed_answer.edit_outcomes_data(answer)}
                if answer
                else {}
            ),
            **_review_to_dict(outcome),
        }
        render.print_json("applied", body)
        return
    for record, _ in applied:
        count = format_count(len(record.paths), "file")
        render.print_line(f"applied {record.id}: {count} (undo with `codebot undo {record.id}`)")
    if not applied:
        render.print_line("nothing was changed")
    _print_review(outcome, has_reviser=bool(options.again))


def _review_to_dict(outcome: ReviewOutcome) -> dict[str, Any]:
    """Return what a review decided and left open as plain data."""
    reviewed, left_open, extra = outcome
    body: dict[str, Any] = {"pending": left_open.id} if left_open else {}
    if reviewed:
        body["hunks"] = [hunk_view.hunk_to_dict(reviewed, hunk) for hunk in reviewed.hunks]
        sent_back = [revision.sent_back_to_dict(*pair) for pair in review.hunks_to_revise(reviewed)]
        body |= {"sent_back": sent_back} if sent_back else {}
    return {**body, **extra}


def _print_review(outcome: ReviewOutcome, *, has_reviser: bool) -> None:
    """Print what a review left open, and what it rejected or sent back."""
    reviewed, left_open, _ = outcome
    sent_back = len(review.hunks_to_revise(reviewed)) if reviewed else 0
    waits = reviewed and left_open and not has_reviser
    requests = len(review.list_change_requests(reviewed)) if reviewed and waits else 0
    if left_open:
        state = f"{format_count(requests, 'hunk')} with your request" if requests else "undecided"
        how = f"review with `codebot apply {left_open.id} -r`"
        render.print_line(f"{state}: {left_open.id} is pending ({how})")
    if sent_back > requests:
        word = "sent back for revision" if has_reviser else "rejected"
        render.print_line(f"{word}: {format_count(sent_back - requests, 'hunk')}")


def report_state_change(
    record: ChangeSetRecord, paths: Sequence[str], word: str, reverse: str, *, as_json: bool
) -> None:
    """Print that a change set was undone or redone; `reverse` is the command that reverts this."""
    if as_json:
        render.print_json(word, {"id": record.id, "state": record.state, "files": list(paths)})
        return
    for path in paths:
        render.print_message(f"  {safe_line(path, 200)}")
    render.print_line(
        f"{word} {record.id}: {format_count(len(paths), 'file')} "
        f"(revert with `codebot {reverse} {record.id}`)"
    )
