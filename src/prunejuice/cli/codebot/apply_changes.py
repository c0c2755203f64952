"""Review and application of change sets."""

from collections.abc import Callable, Sequence
from typing import Any

from prunejuice.changes import change_set, parsed_answer, pending, review
from prunejuice.changes.change_set_store import ChangeSetRecord, ChangeSetStore
from prunejuice.changes.parsed_answer import PlacedAnswer
from prunejuice.changes.review import Review
from prunejuice.cli import render, terminal
from prunejuice.cli.codebot.apply_options import ApplyOptions, ReviewOutcome
from prunejuice.cli.codebot.change_input import read_changes
from prunejuice.cli.codebot.change_view import (
    report_applied,
    report_rejected,
    show_files,
    show_placements,
    show_preview,
    warn_of_hard_links,
)
from prunejuice.cli.review import decisions as review_decisions
from prunejuice.cli.review import interactive, revision
from prunejuice.cli.run_work import record_run_work
from prunejuice.edits.diff import FileDiff
from prunejuice.errors import ConflictError, DeniedError, PruneJuiceError, UsageError
from prunejuice.system import settings
from prunejuice.text import safe_line


class Declined(PruneJuiceError):  # noqa: N818 - a decision, not an error
    """The user answered no."""

    def __init__(self) -> None:
        super().__init__("cancelled: nothing was changed")


def apply_records(
    store: ChangeSetStore, records: list[ChangeSetRecord], options: ApplyOptions, *, dry_run: bool = False
) -> int:
    """Apply pending change sets, after a review if the options ask for one; return the exit code."""
    statuses = pending.load_record_statuses(store, records)
    for status in statuses:
        pending.require_no_conflict(status)
    differences = [difference for status in statuses for difference in status.differences]
    if dry_run:
        return show_preview(differences, {}, as_json=options.as_json)
    if options.grain or options.decisions:
        if len(records) > 1:
            raise UsageError("only one change set can be reviewed at a time", "run `codebot apply ID -r`")
        answer = PlacedAnswer(records[0].change_set, tuple(differences), "pending")
        code = review_and_apply(store, records[0], answer, options)
        record_run_work(store, records)
        return code
    _confirm_changes(len({difference.path for difference in differences}), options)
    approved = _confirm_protected_files(differences, options)
    warn_of_hard_links(store.tree_state.root, [path for record in records for path in record.paths])
    applied = pending.apply(store, records, options.grant, approved)
    record_run_work(store, records)
    report_applied(applied, differences, options, None)
    return 0


def _confirm_changes(files: int, options: ApplyOptions) -> None:
    """Ask before files change, if a human is at the terminal."""
    if not options.yes and not options.as_json and terminal.is_interactive():
        word = "file" if files == 1 else "files"
        if not terminal.confirm(f"change {files} {word}?"):
            raise Declined


def _confirm_protected_files(differences: Sequence[FileDiff], options: ApplyOptions) -> list[str]:
    """Return the protected files that a human allows to change; `--yes` never allows them."""
    protected = change_set.find_disallowed_paths(differences, options.grant)
    if not protected or options.as_json or options.yes or not terminal.is_interactive():
        return []
    return [
        name
        for name in protected
        if terminal.confirm(f"{safe_line(name, 120)} decides what runs on this machine. Change it?")
    ]


def review_and_apply(
    store: ChangeSetStore, record: ChangeSetRecord | None, answer: PlacedAnswer, options: ApplyOptions
) -> int:
    """Review the changes if requested, apply the accepted ones and keep the undecided ones pending."""
    if not answer.differences:
        if not options.as_json:
            show_placements(answer.change_set)
        report_applied([], [], options, answer)
        return 0
    if not (options.grain or options.decisions):
        show_files(answer.differences, options, answer.change_set)
        _confirm_changes(len(answer.differences), options)
        approved = _confirm_protected_files(answer.differences, options)
        change_set.require_allowed(answer.differences, options.grant, approved)
        proposed = pending.add_change_set(store, answer.change_set, answer.differences)
        report_applied(
            _apply_new_record(store, proposed, options, approved), answer.differences, options, answer
        )
        return 0
    if not options.as_json:
        show_placements(answer.change_set)
    reviewed = _review_changes(answer, options)
    return _apply_review(store, record, answer, reviewed, options)


def _apply_new_record(
    store: ChangeSetStore, record: ChangeSetRecord, options: ApplyOptions, approved: Sequence[str]
) -> list[Any]:
    """Apply a record that was created for this purpose; delete it again if that fails."""
    warn_of_hard_links(store.tree_state.root, record.paths)
    try:
        applied = pending.apply(store, [record], options.grant, approved)
    except (ConflictError, DeniedError):
        store.delete(record)
        raise
    pending.delete_expired(store, settings.load(settings.environment()).trash_days)
    return applied


def _review_changes(answer: PlacedAnswer, options: ApplyOptions) -> Review:
    unreviewed = review.begin_review(answer.differences, "file" if options.grain == "file" else "hunk")
    if options.decisions:
        return review_decisions.apply_json_decisions(unreviewed, read_changes(options.decisions))
    interactive.require_terminal()
    interactive.show_explanation(answer.change_set.summary)
    return interactive.review_interactively(unreviewed, change_set.reasons_by_path(answer.change_set))


def _apply_review(
    store: ChangeSetStore,
    record: ChangeSetRecord | None,
    answer: PlacedAnswer,
    reviewed: Review,
    options: ApplyOptions,
) -> int:
    decisions = [reviewed.decisions[hunk.id] for hunk in reviewed.hunks if hunk.id in reviewed.decisions]
    if record is not None and not decisions:
        report_applied([], [], options, answer, ReviewOutcome(reviewed))
        return 0
    # Without a program to ask, the hunks wait with what the person asked for.
    keeps_requests = not options.again
    accepted = review.accepted_diffs(reviewed)
    undecided = review.undecided_diffs(reviewed, with_change_requests=keeps_requests)
    approved = sorted(review.approved_protected_paths(reviewed))
    change_set.require_allowed(accepted, options.grant, approved)
    if record is not None:  # another process may have changed it during the review
        pending.require_unchanged(store, record)
    applied: list[Any] = []
    if accepted:
        proposed = pending.add_change_set(store, answer.change_set, accepted, decisions)
        applied = _apply_new_record(store, proposed, options, approved)
    if record is not None:
        note = " ".join(applied_record.id for applied_record, _ in applied)
        store.save(record.with_decisions(decisions).with_event("reviewed", "dropped", note=note))
    pending_record = None
    if undecided:
        requests = review.list_change_requests(reviewed) if keeps_requests else []
        pending_record = pending.add_change_set(store, answer.change_set, undecided, requests)
    sent_back = review.hunks_to_revise(reviewed)
    if not (sent_back and options.again):
        report_applied(applied, accepted, options, answer, ReviewOutcome(reviewed, pending_record))
        return 0
    if not options.as_json:
        report_applied(applied, accepted, options, answer, ReviewOutcome(reviewed, pending_record))
    return _revise_sent_back(
        store,
        sent_back,
        options,
        lambda extra: report_applied(
            applied, accepted, options, answer, ReviewOutcome(reviewed, pending_record, extra)
        ),
    )


def _revise_sent_back(
    store: ChangeSetStore,
    sent_back: Sequence[Any],
    options: ApplyOptions,
    report: Callable[[dict[str, Any]], None],
) -> int:
    """Request a revision of the hunks that were sent back, and review it or keep it pending."""
    try:
        text = (
            options.again(sent_back)
            if callable(options.again)
            else revision.request_revision(options.again, store.tree_state.root, sent_back)
        )
        answer = parsed_answer.read_answer(text, store.tree_state)
    except PruneJuiceError as error:
        if not options.as_json:
            raise
        report({"again": {"error": {"message": error.message, "fix": error.fix}}})
        return 1
    if answer.rejected_edits:
        if not options.as_json:
            return report_rejected(answer, as_json=False)
        report({"again": {"format": answer.format, "edits": parsed_answer.edit_outcomes_data(answer)}})
        return 4
    if not options.decisions and not options.as_json:
        return review_and_apply(store, None, answer, options._replace(again=""))
    record = pending.add_change_set(store, answer.change_set, answer.differences)
    if options.as_json:
        report({"again": {"pending": record.id}})
    else:
        render.print_message(f"revised: {record.id} is pending (see `codebot pending show {record.id}`)")
    return 0
