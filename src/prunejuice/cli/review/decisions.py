"""Apply the decisions about hunks that a program makes, as JSON."""

import json

import msgspec
from msgspec import Struct

from prunejuice.changes import classify
from prunejuice.changes import review as reviews
from prunejuice.changes.review import ApprovalPattern, Review, ReviewDecision
from prunejuice.edits import path_rules
from prunejuice.edits.diff import Hunk
from prunejuice.errors import UsageError
from prunejuice.text import safe_line


class DecisionInput(Struct, frozen=True, forbid_unknown_fields=True):
    """A decision as a program writes it: about a hunk (`*` for all that are left), a glob, or a kind."""

    action: reviews.ReviewAction
    hunk: str = ""
    glob: str = ""
    kind: str = ""
    reason: str = ""
    lines: list[str] | None = None


def apply_json_decisions(review: Review, text: str) -> Review:
    """Return the review with decisions in JSON, which is a list of objects.

    Raises:
        UsageError: the decisions are malformed, or name an unknown hunk.
    """
    try:
        decisions = msgspec.convert(json.loads(text), list[DecisionInput])
        json.dumps(msgspec.to_builtins(decisions), ensure_ascii=False).encode()  # rejects lone surrogates
    except (ValueError, msgspec.ValidationError, RecursionError) as error:
        message = f"could not read the decisions: {safe_line(str(error), 200)}"
        raise UsageError(
            message,
            'write them as [{"hunk": "ID", "action": "approve"}, {"hunk": "*", "action": "reject"}]',
        ) from error
    return reviews.apply_decisions(
        review, [decision for item in decisions for decision in _to_decisions(review, item)]
    )


def _to_decisions(review: Review, decision: DecisionInput) -> list[ReviewDecision]:
    if (decision.hunk != "") + (decision.glob != "") + (decision.kind != "") != 1:
        raise UsageError(
            "a decision must name exactly one of: hunk, glob, kind",
            'write it as {"hunk": "*", "action": "reject"}',
        )
    lines = None if decision.lines is None else tuple(f"{line}\n" for line in decision.lines)
    if decision.action == "modify" and lines is None and not decision.reason:
        raise UsageError(
            f"the decision to modify {decision.hunk!r} has no lines and no reason",
            "add `lines` or `reason`",
        )
    if decision.hunk:
        return [ReviewDecision(decision.hunk, decision.action, reason=decision.reason, lines=lines)]
    if decision.kind and decision.kind not in classify.KINDS:
        raise UsageError(
            f"unknown kind {safe_line(decision.kind, 40)!r}", f"choose one of: {', '.join(classify.KINDS)}"
        )
    pattern = ApprovalPattern(glob=decision.glob) if decision.glob else ApprovalPattern(decision.kind)
    covered = (hunk for hunk in review.hunks if _is_covered(review, hunk, pattern, decision.action))
    return [
        ReviewDecision(hunk.id, decision.action, reason=decision.reason, pattern=str(pattern))
        for hunk in covered
    ]


def _is_covered(review: Review, hunk: Hunk, pattern: ApprovalPattern, action: reviews.ReviewAction) -> bool:
    if not pattern.glob:
        return any(candidate.kind == pattern.kind for candidate in reviews.patterns_for_hunk(review, hunk))
    if action == "approve":
        return reviews.is_covered_by(review, pattern, hunk)
    return path_rules.matches_any(hunk.path, [pattern.glob])
