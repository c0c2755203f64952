"""Judging a change set hunk by hunk: what was decided, and what is left to decide; not who asks, or how."""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from prunejuice import hunk as hunks
from prunejuice import kind, pathname
from prunejuice.errors import UsageError
from prunejuice.hunk import Difference, Hunk, Version
from prunejuice.kind import Looked
from prunejuice.text import nearest, safe_line

Action = Literal["approve", "reject", "modify"]
By = Literal["person", "pattern", "program"]


class Pattern(Struct, frozen=True, omit_defaults=True):
    """What is approved from here on: a kind of change, the same lines elsewhere, or files by a glob."""

    kind: str = ""
    detail: str = ""
    glob: str = ""

    def __str__(self) -> str:
        if self.glob:
            return f"files {self.glob}"
        return f"{self.kind}: {self.detail}" if self.detail and self.kind != "same lines" else self.kind


class Decision(Struct, frozen=True, omit_defaults=True):
    """What was decided about a hunk.

    `reason` says why it was rejected, or how its maker is to change it; `lines` are the new lines that a
    person wrote instead.
    """

    hunk: str
    action: Action
    by: By = "person"
    reason: str = ""
    pattern: str = ""
    lines: tuple[str, ...] | None = None


ReviewDecision = Decision


class Review(Struct, frozen=True):
    """A change set while it is judged: its hunks in order, and the decision about each, by id.

    `files` has every file before and after, by path. What nobody decided about is not written.
    """

    files: Mapping[str, Difference]
    hunks: tuple[Hunk, ...]
    decisions: Mapping[str, Decision] = {}
    patterns: tuple[Pattern, ...] = ()
    at: int = 0

    @property
    def current(self) -> Hunk | None:
        """The hunk in question; nothing when all are decided."""
        return self.hunks[self.at] if self.at < len(self.hunks) else None


def begin(differences: Sequence[Difference], grain: Literal["hunk", "file"] = "hunk") -> Review:
    """A review in which nothing is decided; by `file`, a file's changes are judged together."""
    found = hunks.distinct(each for one in differences for each in _grained(one, grain))
    return Review({each.path: each for each in differences}, tuple(found))


def _grained(difference: Difference, grain: str) -> list[Hunk]:
    found = hunks.hunks(difference)
    return found if grain == "hunk" or len(found) < 2 else [_joined(difference, found)]


def _joined(difference: Difference, found: Sequence[Hunk]) -> Hunk:
    """All hunks of a file as one."""
    olds, news = (hunks.lines_of(each.data) for each in (difference.old, difference.new))
    first, last = found[0], found[-1]
    end = last.line - 1 + len(last.old)
    parts = []
    shift = 0
    for each in found:
        start = each.line - first.line
        parts += [(start + a, start + b, start + shift + c, start + shift + d) for a, b, c, d in each.parts]
        shift += len(each.new) - len(each.old)
    new = news[first.line - 1 : end + shift]
    body = tuple(olds[first.line - 1 : end])
    whole = replace(first, old=body, new=tuple(new), after=last.after, parts=tuple(parts))
    return hunks.named(whole, difference)


def decide(review: Review, decision: Decision) -> Review:
    """The review with a decision about the hunk in question, at the next one that no pattern decides."""
    current = review.current
    if current is None or decision.hunk != current.id:
        return review
    decided = replace(review, decisions={**review.decisions, current.id: decision}, at=review.at + 1)
    return advanced(decided)


def approve_pattern(review: Review, pattern: Pattern) -> Review:
    """Approve the hunk in question, and every later one of the same pattern."""
    if review.current is None:
        return review
    added = replace(review, patterns=(*review.patterns, pattern))
    return decide(added, Decision(review.current.id, "approve", pattern=str(pattern)))


def advanced(review: Review) -> Review:
    """The review at the next hunk that is not decided, those of an approved pattern being decided."""
    decisions = dict(review.decisions)
    at = review.at
    while at < len(review.hunks):
        hunk = review.hunks[at]
        if hunk.id not in decisions:
            pattern = next((each for each in review.patterns if covers(review, each, hunk)), None)
            if pattern is None:
                break
            decisions[hunk.id] = Decision(hunk.id, "approve", "pattern", pattern=str(pattern))
        at += 1
    return replace(review, decisions=decisions, at=at)


def back(review: Review) -> Review:
    """The review at the last decision that a person made, which is forgotten with all after it."""
    for at in range(min(review.at, len(review.hunks)) - 1, -1, -1):
        decision = review.decisions.get(review.hunks[at].id)
        if decision and decision.by != "pattern":
            gone = {hunk.id for hunk in review.hunks[at:]}
            kept = {name: each for name, each in review.decisions.items() if name not in gone}
            patterns = review.patterns[:-1] if decision.pattern else review.patterns
            return replace(review, decisions=kept, patterns=patterns, at=at)
    return review


def divide(review: Review) -> Review:
    """The review with the hunk in question as several, one for each change in it."""
    if review.current is None:
        return review
    parts = hunks.split(review.current)
    return replace(review, hunks=(*review.hunks[: review.at], *parts, *review.hunks[review.at + 1 :]))


def patterns(review: Review, hunk: Hunk) -> list[Pattern]:
    """The patterns that a hunk could stand for; none for what decides what runs."""
    if hunk.what or pathname.care(hunk.path):
        return []
    found = [Pattern(name, detail) for name, detail in kind.kinds(_looked(review, hunk)).items()]
    return [*found, Pattern("same lines", _body(hunk))]


def covers(review: Review, pattern: Pattern, hunk: Hunk) -> bool:
    """Whether a hunk is of a pattern."""
    if pathname.decides(hunk.path) or pathname.decides(review.files[hunk.path].to):
        return False
    if pattern.glob:
        return pathname.matches(hunk.path, [pattern.glob])
    return pattern in patterns(review, hunk)


def _looked(review: Review, hunk: Hunk) -> Looked:
    file = review.files[hunk.path]
    old, new = ("".join(hunks.lines_of(each.data)) for each in (file.old, file.new))
    return Looked(hunk, old, new)


def _body(hunk: Hunk) -> str:
    return "".join(hunk.old) + "\0" + "".join(hunk.new)


def judged(review: Review, decisions: Sequence[Decision]) -> Review:
    """The review with the decisions of a program: those about one hunk count before those of a pattern.

    Each names a hunk by id; `*` is all that are left.

    Raises:
        UsageError: a decision names no hunk of this review.
    """
    known = {hunk.id: hunk for hunk in review.hunks}
    found = dict(review.decisions)
    for decision in sorted(decisions, key=lambda each: bool(each.pattern) + 2 * (each.hunk == "*")):
        if decision.hunk == "*":
            found |= {
                name: replace(decision, hunk=name, by="program") for name in known if name not in found
            }
            continue
        if decision.hunk not in known:
            hint = nearest(decision.hunk, known) or f"there are: {', '.join(list(known)[:8])}"
            raise UsageError(f"there is no hunk {safe_line(decision.hunk, 40)!r}", hint)
        if decision.lines is not None and known[decision.hunk].what in {"deleted", "binary", "mode"}:
            raise UsageError(f"hunk {decision.hunk} has no lines to modify", "approve or reject it")
        if not (decision.pattern and decision.hunk in found):
            found[decision.hunk] = replace(decision, by="program")
    return replace(review, decisions=found, at=len(review.hunks))


def accepted(review: Review) -> list[Difference]:
    """The files as they are to be: with the hunks that were approved or written anew, and no others."""
    made = []
    for path, file in review.files.items():
        own = [hunk for hunk in review.hunks if hunk.path == path]
        kept = [_as_decided(hunk, review.decisions[hunk.id]) for hunk in own if _is_kept(review, hunk)]
        if not kept:
            continue
        if kept[0].what:
            made.append(_whole(file, kept[0], own[0]))
        else:
            new = Version(hunks.combined(file.old.data, kept), file.new.mode)
            made.append(file._replace(new=new))
    return made


def left_open(review: Review) -> list[Difference]:
    """The files with what nobody decided about, on top of what was accepted."""
    made = []
    for path, file in review.files.items():
        own = [hunk for hunk in review.hunks if hunk.path == path]
        open_ones = [hunk for hunk in own if hunk.id not in review.decisions]
        if open_ones and open_ones[0].what:
            made.append(file)
        elif open_ones:
            kept = [_as_decided(hunk, review.decisions[hunk.id]) for hunk in own if _is_kept(review, hunk)]
            old, new = (hunks.combined(file.old.data, each) for each in (kept, kept + open_ones))
            made.append(file._replace(old=Version(old, file.old.mode), new=Version(new, file.new.mode)))
    return made


def _whole(file: Difference, kept: Hunk, own: Hunk) -> Difference:
    if kept.new == own.new or file.new.data is None:
        return file
    return file._replace(new=Version(hunks.data_of(kept.new), file.new.mode))


def _is_kept(review: Review, hunk: Hunk) -> bool:
    decision = review.decisions.get(hunk.id)
    return decision is not None and (decision.action == "approve" or _is_written(decision))


def _is_written(decision: Decision) -> bool:
    return decision.action == "modify" and decision.lines is not None


def _as_decided(hunk: Hunk, decision: Decision) -> Hunk:
    return replace(hunk, new=decision.lines) if decision.lines is not None else hunk


def sent_back(review: Review) -> list[tuple[Hunk, Decision]]:
    """The hunks that their maker is asked for again, with the reasons: rejected, or to be changed."""
    pairs = [(hunk, review.decisions.get(hunk.id)) for hunk in review.hunks]
    return [
        (hunk, each) for hunk, each in pairs if each and each.action != "approve" and not _is_written(each)
    ]


def granted(review: Review) -> frozenset[str]:
    """The files that decide what runs, of which a person approved by itself each hunk that is accepted."""
    found: dict[str, bool] = {}
    for hunk in review.hunks:
        if _is_kept(review, hunk):
            decision = review.decisions[hunk.id]
            by_itself = decision.by == "person" and not decision.pattern
            for name in (hunk.path, review.files[hunk.path].to):
                found[name] = found.get(name, True) and by_itself
    return frozenset(name for name, by_itself in found.items() if by_itself and pathname.decides(name))
