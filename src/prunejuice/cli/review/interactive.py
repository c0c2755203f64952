"""Ask a person about hunks, in a terminal with single keys."""

from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path

import click

from prunejuice.changes import change_set, classify, tree_state
from prunejuice.changes import review as reviews
from prunejuice.changes.change_set import FileChange
from prunejuice.changes.review import ApprovalPattern, Review, ReviewDecision
from prunejuice.cli import render, terminal
from prunejuice.edits import diff
from prunejuice.edits.diff import Hunk
from prunejuice.errors import HumanNeededError
from prunejuice.system import settings
from prunejuice.text import safe_line, safe_text

MAX_LINES_SHOWN = 400
MAX_EXPLANATION_LINES = 20
_KEYS = "a approve, r reject, m modify, e edit, s split, A approve alike, b back, q quit"

_KEY_HELP = (
    "a  apply this hunk",
    "r  drop it; you are asked why",
    "m  ask for another version in words; the hunk waits",
    "e  change its lines yourself in your editor, and apply them",
    "s  split it into smaller hunks",
    "A  apply this and every hunk like it: of the same kind, with the same lines, or in files by a glob",
    "b  go back to the hunk before",
    "q  stop; what you have not decided keeps waiting",
)


def require_terminal() -> None:
    """Raise if no terminal is available for a review.

    Raises:
        HumanNeededError: there is no terminal.
    """
    if not terminal.is_interactive():
        fix = "decide as JSON instead with --decisions FILE|-, or take all with --yes"
        raise HumanNeededError("a review needs a terminal", fix)


def show_explanation(explanation: str) -> None:
    """Print what the author of a change says about the whole of it."""
    for line in explanation.strip().splitlines()[:MAX_EXPLANATION_LINES]:
        render.print_message(safe_line(line, 300))


def review_interactively(review: Review, reasons: Mapping[str, str]) -> Review:
    """Ask about every hunk in the terminal, and return the review.

    Raises:
        HumanNeededError: there is no terminal.
        click.Abort: the person cancels the review.
    """
    require_terminal()
    review = reviews.skip_to_undecided(review)
    while (hunk := review.current) is not None:
        _show_hunk(review, hunk, reasons.get(hunk.path, ""))
        answer = _read_decision(review, hunk)
        if answer is None:
            break
        review = answer
    return review


class InteractiveReviewer:
    """Asks a person about changes in the terminal; approved patterns apply to later changes too."""

    def __init__(self, root: str | Path = ".") -> None:
        self.root = Path(root)
        self.approved_patterns: tuple[ApprovalPattern, ...] = ()

    async def review_change(self, change: FileChange) -> ReviewDecision:
        """Return the decision of a person about one change as a whole.

        Raises:
            HumanNeededError: there is no terminal.
        """
        import asyncio  # noqa: PLC0415 - slow to import

        state = tree_state.find_tree_state(self.root.absolute(), settings.environment())
        review = reviews.begin_review(
            change_set.resolve_diffs(change_set.ChangeSet((change,)), state), "file"
        )
        review = reduce(reviews.approve_pattern, self.approved_patterns, review)
        result = await asyncio.to_thread(review_interactively, review, {change.filepath: change.why})
        self.approved_patterns = result.patterns
        decision = next(iter(result.decisions.values()), None)
        return decision or ReviewDecision(
            review.hunks[0].id if review.hunks else "", "reject", reason="left open"
        )


def _show_hunk(review: Review, hunk: Hunk, reason: str) -> None:
    file = review.files[hunk.path]
    added, removed = diff.count_changed_lines(hunk)
    labels = {
        "": "",
        "created": "new file",
        "deleted": "deleted",
        "renamed": f"renamed to {safe_line(file.to, 120)}",
    }
    render.print_message("")
    place = f"[{review.position + 1}/{len(review.hunks)}] {safe_line(hunk.path, 160)}"
    label = labels.get(hunk.change_type, hunk.change_type)
    render.print_message(click.style(f"{place}  {label}".rstrip(), bold=True) + f"  +{added} -{removed}")
    if reason:
        render.print_message(f"  why   {safe_line(reason, 300)}")
    for risk in classify.find_risks(hunk, file.new.mode):
        render.print_message(click.style(f"  look  {risk}", fg="red"))
    for line in _hunk_lines(hunk):
        render.print_message(line)


def _hunk_lines(hunk: Hunk) -> list[str]:
    """Return the lines of a hunk for the terminal, at most `MAX_LINES_SHOWN`."""
    if hunk.change_type == "binary":
        return ["  (binary, not shown)"]
    lines = [diff.hunk_header(hunk), *diff.hunk_lines(hunk)]
    note = (
        [f"  … {len(lines) - MAX_LINES_SHOWN} more lines (e shows all)"]
        if len(lines) > MAX_LINES_SHOWN
        else []
    )
    return [render.format_patch_line(safe_text(line)) for line in lines[:MAX_LINES_SHOWN]] + note


def _read_decision(review: Review, hunk: Hunk) -> Review | None:
    """Return the review after one key, or None if the person quits."""
    key = terminal.read_key(_KEYS)
    while True:
        if key == "q":
            return None
        if key in {"a", "r"}:
            return reviews.record_decision(review, _simple_decision(key, hunk))
        if key == "b":
            return (
                reviews.skip_to_undecided(reviews.undo_last_decision(review)) if review.position else review
            )
        if key == "s":
            return reviews.split_current_hunk(review)
        updated = _ask_for_details(key, review, hunk)
        if updated is not None:
            return updated
        is_known = key in {"m", "e", "A", "?"}
        key = terminal.read_key(_KEYS if is_known else "no such key; ? shows the keys")


def _simple_decision(key: str, hunk: Hunk) -> ReviewDecision:
    if key == "a":
        return ReviewDecision(hunk.id, "approve")
    reason = terminal.read_answer("why (Enter: no reason)") or "no reason given"
    return ReviewDecision(hunk.id, "reject", reason=reason)


def _ask_for_details(key: str, review: Review, hunk: Hunk) -> Review | None:
    """Return the review after a key that needs an answer, or None if nothing was decided."""
    if key == "m":
        reason = terminal.read_answer("how should it change")
        return (
            reviews.record_decision(review, ReviewDecision(hunk.id, "modify", reason=reason))
            if reason
            else None
        )
    if key == "e":
        return _edit_hunk(review, hunk)
    if key == "A":
        return _approve_by_pattern(review, hunk)
    for line in _KEY_HELP if key == "?" else ():
        render.print_message(f"  {line}")
    return None


def _edit_hunk(review: Review, hunk: Hunk) -> Review | None:
    original = "".join(hunk.new)
    if hunk.change_type in {"deleted", "binary", "mode"} or _has_undecodable_bytes(original):
        render.print_message("this hunk cannot be edited")
        return None
    text = terminal.edit_text(original, hunk.path)
    if text is None or text == original:
        return None
    return reviews.record_decision(
        review, ReviewDecision(hunk.id, "modify", lines=tuple(diff.lines_from_bytes(text.encode())))
    )


def _has_undecodable_bytes(text: str) -> bool:
    # Bytes that are not UTF-8 are decoded as lone surrogates, which an editor cannot show.
    return any("\ud800" <= char <= "\udfff" for char in text)


def _approve_by_pattern(review: Review, hunk: Hunk) -> Review | None:
    choices: Sequence[ApprovalPattern] = reviews.patterns_for_hunk(review, hunk)
    for number, pattern in enumerate(choices, 1):
        render.print_message(f"  {number}  {safe_line(str(pattern), 120)}")
    answer = terminal.read_answer("approve which (a number, or a glob of files)")
    if answer.isdigit() and 1 <= int(answer) <= len(choices):
        return reviews.approve_pattern(review, choices[int(answer) - 1])
    return (
        reviews.approve_pattern(review, ApprovalPattern(glob=answer))
        if answer and not answer.isdigit()
        else None
    )
