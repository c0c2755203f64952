"""Review a change set hunk by hunk: record decisions and list what is undecided, without any interface."""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from prunejuice.changes import classify
from prunejuice.changes.classify import HunkInFile
from prunejuice.edits import diff, path_rules, protected_files
from prunejuice.edits.diff import FileDiff, Hunk, Version
from prunejuice.errors import UsageError
from prunejuice.text import safe_line, spelling_hint

ReviewAction = Literal["approve", "reject", "modify"]
DecidedBy = Literal["person", "pattern", "program"]


class ApprovalPattern(Struct, frozen=True, omit_defaults=True):
    """A rule that approves hunks: a kind of change, the same lines elsewhere, or files by a glob."""

    kind: str = ""
    detail: str = ""
    glob: str = ""

    def __str__(self) -> str:
        if self.glob:
            return f"files {self.glob}"
        return f"{self.kind}: {self.detail}" if self.detail and self.kind != "same lines" else self.kind


class ReviewDecision(Struct, frozen=True, omit_defaults=True):
    """The decision about one hunk.

    `reason` says why it was rejected, or how to modify it; `lines` are the new lines that a person wrote.
    """

    hunk: str
    action: ReviewAction
    by: DecidedBy = "person"
    reason: str = ""
    pattern: str = ""
    lines: tuple[str, ...] | None = None


class Review(Struct, frozen=True):
    """A review in progress: the hunks of a change set in order, and the decision about each, by hunk id.

    `files` maps each path to the file before and after. Undecided hunks are not written.
    """

    files: Mapping[str, FileDiff]
    hunks: tuple[Hunk, ...]
    decisions: Mapping[str, ReviewDecision] = {}
    patterns: tuple[ApprovalPattern, ...] = ()
    position: int = 0

    @property
    def current(self) -> Hunk | None:
        """The hunk to decide next, or None when all are decided."""
        return self.hunks[self.position] if self.position < len(self.hunks) else None


def begin_review(differences: Sequence[FileDiff], grain: Literal["hunk", "file"] = "hunk") -> Review:
    """Return a review without decisions; with the grain "file", each file has a single hunk."""
    hunks = diff.with_unique_ids(
        hunk for file_diff in differences for hunk in _hunks_by_grain(file_diff, grain)
    )
    return Review({file_diff.path: file_diff for file_diff in differences}, tuple(hunks))


def _hunks_by_grain(difference: FileDiff, grain: str) -> list[Hunk]:
    hunks = diff.compute_hunks(difference)
    return hunks if grain == "hunk" or len(hunks) < 2 else [_join_hunks(difference, hunks)]


def _join_hunks(difference: FileDiff, hunks: Sequence[Hunk]) -> Hunk:
    """Join all hunks of a file into one."""
    old_lines, new_lines = (
        diff.lines_from_bytes(version.data) for version in (difference.old, difference.new)
    )
    first, last = hunks[0], hunks[-1]
    end = last.line - 1 + len(last.old)
    parts = []
    shift = 0  # lines that the hunks before this one added
    for hunk in hunks:
        start = hunk.line - first.line
        parts += [(start + a, start + b, start + shift + c, start + shift + d) for a, b, c, d in hunk.parts]
        shift += len(hunk.new) - len(hunk.old)
    new = new_lines[first.line - 1 : end + shift]
    old = tuple(old_lines[first.line - 1 : end])
    joined = replace(first, old=old, new=tuple(new), after=last.after, parts=tuple(parts))
    return diff.with_id(joined, difference)


def record_decision(review: Review, decision: ReviewDecision) -> Review:
    """Record a decision about the current hunk, and move to the next one that no pattern decides.

    A decision about another hunk is ignored.
    """
    current = review.current
    if current is None or decision.hunk != current.id:
        return review
    decided = replace(
        review, decisions={**review.decisions, current.id: decision}, position=review.position + 1
    )
    return skip_to_undecided(decided)


def approve_pattern(review: Review, pattern: ApprovalPattern) -> Review:
    """Approve the current hunk, and every later one that the pattern covers."""
    if review.current is None:
        return review
    added = replace(review, patterns=(*review.patterns, pattern))
    return record_decision(added, ReviewDecision(review.current.id, "approve", pattern=str(pattern)))


def skip_to_undecided(review: Review) -> Review:
    """Move to the next undecided hunk, and approve those on the way that a pattern covers."""
    decisions = dict(review.decisions)
    position = review.position
    while position < len(review.hunks):
        hunk = review.hunks[position]
        if hunk.id not in decisions:
            pattern = next((rule for rule in review.patterns if is_covered_by(review, rule, hunk)), None)
            if pattern is None:
                break
            decisions[hunk.id] = ReviewDecision(hunk.id, "approve", "pattern", pattern=str(pattern))
        position += 1
    return replace(review, decisions=decisions, position=position)


def undo_last_decision(review: Review) -> Review:
    """Move back to the last decision of a person, and drop it with all decisions after it."""
    for position in range(min(review.position, len(review.hunks)) - 1, -1, -1):
        decision = review.decisions.get(review.hunks[position].id)
        if decision and decision.by != "pattern":
            dropped = {hunk.id for hunk in review.hunks[position:]}
            decisions = {name: other for name, other in review.decisions.items() if name not in dropped}
            patterns = review.patterns[:-1] if decision.pattern else review.patterns
            return replace(review, decisions=decisions, patterns=patterns, position=position)
    return review


def split_current_hunk(review: Review) -> Review:
    """Split the current hunk into one hunk for each change in it."""
    if review.current is None:
        return review
    parts = diff.split_hunk(review.current)
    return replace(
        review, hunks=(*review.hunks[: review.position], *parts, *review.hunks[review.position + 1 :])
    )


def patterns_for_hunk(review: Review, hunk: Hunk) -> list[ApprovalPattern]:
    """Return the patterns by which a hunk can be approved; none in files that decide what runs."""
    if hunk.change_type or protected_files.protection_level(hunk.path):
        return []
    kinds = classify.classify_hunk(_hunk_in_file(review, hunk))
    patterns = [ApprovalPattern(kind, detail) for kind, detail in kinds.items()]
    return [*patterns, ApprovalPattern("same lines", _pattern_detail(hunk))]


def is_covered_by(review: Review, pattern: ApprovalPattern, hunk: Hunk) -> bool:
    """Return whether a pattern covers a hunk; none covers a protected file."""
    if protected_files.is_protected(hunk.path) or protected_files.is_protected(review.files[hunk.path].to):
        return False
    if pattern.glob:
        return path_rules.matches_any(hunk.path, [pattern.glob])
    return pattern in patterns_for_hunk(review, hunk)


def _hunk_in_file(review: Review, hunk: Hunk) -> HunkInFile:
    file = review.files[hunk.path]
    old, new = ("".join(diff.lines_from_bytes(version.data)) for version in (file.old, file.new))
    return HunkInFile(hunk, old, new)


def _pattern_detail(hunk: Hunk) -> str:
    return "".join(hunk.old) + "\0" + "".join(hunk.new)


def apply_decisions(review: Review, decisions: Sequence[ReviewDecision]) -> Review:
    """Record the decisions of a program; one about a single hunk takes precedence over one by pattern.

    Each names a hunk by id; `*` stands for all that are left.

    Raises:
        UsageError: a decision names an unknown hunk, or has lines for a hunk without lines.
    """
    hunks_by_id = {hunk.id: hunk for hunk in review.hunks}
    merged = dict(review.decisions)
    # Single hunks come first, then patterns, then `*`, which fills in the rest.
    for decision in sorted(decisions, key=lambda item: bool(item.pattern) + 2 * (item.hunk == "*")):
        if decision.hunk == "*":
            merged |= {
                name: replace(decision, hunk=name, by="program")
                for name in hunks_by_id
                if name not in merged
            }
            continue
        if decision.hunk not in hunks_by_id:
            hint = (
                spelling_hint(decision.hunk, hunks_by_id)
                or f"the hunks are: {', '.join(list(hunks_by_id)[:8])}"
            )
            raise UsageError(f"unknown hunk {safe_line(decision.hunk, 40)!r}", hint)
        if decision.lines is not None and hunks_by_id[decision.hunk].change_type in {
            "deleted",
            "binary",
            "mode",
        }:
            raise UsageError(f"hunk {decision.hunk} has no lines to modify", "approve or reject it")
        if not (decision.pattern and decision.hunk in merged):
            merged[decision.hunk] = replace(decision, by="program")
    return replace(review, decisions=merged, position=len(review.hunks))


def accepted_diffs(review: Review) -> list[FileDiff]:
    """Return the files with only those hunks that were approved or rewritten."""
    differences = []
    for path, file in review.files.items():
        hunks = [hunk for hunk in review.hunks if hunk.path == path]
        accepted = [
            _apply_decision(hunk, review.decisions[hunk.id]) for hunk in hunks if _is_accepted(review, hunk)
        ]
        if not accepted:
            continue
        if accepted[0].change_type:
            differences.append(_accepted_whole_file(file, accepted[0], hunks[0]))
        else:
            new = Version(diff.apply_hunks(file.old.data, accepted), file.new.mode)
            differences.append(file._replace(new=new))
    return differences


def list_change_requests(review: Review) -> list[ReviewDecision]:
    """Return the decisions that ask for another version of a hunk in words."""
    return [decision for _, decision in hunks_to_revise(review) if decision.action == "modify"]


def undecided_diffs(review: Review, *, with_change_requests: bool = False) -> list[FileDiff]:
    """Return the files with the undecided hunks, on top of the accepted ones.

    `with_change_requests` adds the hunks for which another version was asked for in words.
    """
    requested = (
        {decision.hunk for decision in list_change_requests(review)} if with_change_requests else set()
    )
    differences = []
    for path, file in review.files.items():
        hunks = [hunk for hunk in review.hunks if hunk.path == path]
        undecided = [hunk for hunk in hunks if hunk.id not in review.decisions or hunk.id in requested]
        if undecided and undecided[0].change_type:
            differences.append(file)
        elif undecided:
            accepted = [
                _apply_decision(hunk, review.decisions[hunk.id])
                for hunk in hunks
                if _is_accepted(review, hunk)
            ]
            old, new = (
                diff.apply_hunks(file.old.data, chosen) for chosen in (accepted, accepted + undecided)
            )
            differences.append(
                file._replace(old=Version(old, file.old.mode), new=Version(new, file.new.mode))
            )
    return differences


def _accepted_whole_file(file: FileDiff, accepted: Hunk, original: Hunk) -> FileDiff:
    if accepted.new == original.new or file.new.data is None:
        return file
    return file._replace(new=Version(diff.bytes_from_lines(accepted.new), file.new.mode))


def _is_accepted(review: Review, hunk: Hunk) -> bool:
    decision = review.decisions.get(hunk.id)
    return decision is not None and (decision.action == "approve" or _is_rewritten(decision))


def _is_rewritten(decision: ReviewDecision) -> bool:
    return decision.action == "modify" and decision.lines is not None


def _apply_decision(hunk: Hunk, decision: ReviewDecision) -> Hunk:
    return replace(hunk, new=decision.lines) if decision.lines is not None else hunk


def hunks_to_revise(review: Review) -> list[tuple[Hunk, ReviewDecision]]:
    """Return the hunks to request again, with their decisions: rejected, or to be modified."""
    pairs = [(hunk, review.decisions.get(hunk.id)) for hunk in review.hunks]
    return [
        (hunk, decision)
        for hunk, decision in pairs
        if decision and decision.action != "approve" and not _is_rewritten(decision)
    ]


def approved_protected_paths(review: Review) -> frozenset[str]:
    """Return the protected files of which a person approved every accepted hunk individually.

    Approval by a pattern or by a program does not count.
    """
    approvals: dict[str, bool] = {}
    for hunk in review.hunks:
        if _is_accepted(review, hunk):
            decision = review.decisions[hunk.id]
            individually = decision.by == "person" and not decision.pattern
            for name in (hunk.path, review.files[hunk.path].to):
                approvals[name] = approvals.get(name, True) and individually
    return frozenset(
        name
        for name, individually in approvals.items()
        if individually and protected_files.is_protected(name)
    )
