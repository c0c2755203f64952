"""Judging hunks: on a terminal with single keys, or by a program with JSON."""

import json
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import Struct

from prunejuice import change as changes
from prunejuice import hunk as hunks
from prunejuice import kind, pathname, review, settings
from prunejuice.change import FileChange
from prunejuice.cli import render, terminal
from prunejuice.errors import HumanNeededError, UsageError
from prunejuice.hunk import Hunk
from prunejuice.review import Decision, Pattern, Review
from prunejuice.text import safe_line, safe_text, utf8
from prunejuice.workspaces import house as houses

MOST_SHOWN = 400
_KEYS = (
    "a approve · r reject · m describe a change · e edit · s split · "
    "A approve all of a kind · b back · q quit"
)


class Told(Struct, frozen=True, forbid_unknown_fields=True):
    """A decision as a program writes it: about a hunk (`*`: all that are left), a glob, or a kind."""

    action: review.Action
    hunk: str = ""
    glob: str = ""
    kind: str = ""
    reason: str = ""
    lines: list[str] | None = None


def by_program(found: Review, text: str) -> Review:
    """The review with decisions that are JSON: a list of objects.

    Raises:
        UsageError: they are not as they should be, or name no hunk.
    """
    try:
        told = msgspec.convert(json.loads(text), list[Told])
        json.dumps(msgspec.to_builtins(told), ensure_ascii=False).encode()  # which a lone surrogate is not
    except (ValueError, msgspec.ValidationError, RecursionError) as error:
        what = f"the decisions cannot be read: {safe_line(str(error), 200)}"
        raise UsageError(
            what, '[{"hunk": "ID", "action": "approve"}, {"hunk": "*", "action": "reject"}]'
        ) from error
    return review.judged(found, [each for one in told for each in _decisions(found, one)])


def _decisions(found: Review, told: Told) -> list[Decision]:
    if (told.hunk != "") + (told.glob != "") + (told.kind != "") != 1:
        raise UsageError("a decision names one of: hunk, glob, kind", '{"hunk": "*", "action": "reject"}')
    lines = None if told.lines is None else tuple(f"{line}\n" for line in told.lines)
    if told.action == "modify" and lines is None and not told.reason:
        raise UsageError(
            f"the decision about {told.hunk!r} says modify and not how", "give lines, or a reason"
        )
    if told.hunk:
        return [Decision(told.hunk, told.action, reason=told.reason, lines=lines)]
    if told.kind and told.kind not in kind.KINDS:
        raise UsageError(
            f"there is no kind {safe_line(told.kind, 40)!r}", f"the kinds are: {', '.join(kind.KINDS)}"
        )
    pattern = Pattern(glob=told.glob) if told.glob else Pattern(told.kind)
    covered = (each for each in found.hunks if _is_of(found, each, pattern, told.action))
    return [Decision(each.id, told.action, reason=told.reason, pattern=str(pattern)) for each in covered]


def _is_of(found: Review, hunk: Hunk, pattern: Pattern, action: review.Action) -> bool:
    if not pattern.glob:
        return any(each.kind == pattern.kind for each in review.patterns(found, hunk))
    if action == "approve":
        return review.covers(found, pattern, hunk)
    return pathname.matches(hunk.path, [pattern.glob])


def demand_terminal() -> None:
    """A review is asked for where nobody can be asked.

    Raises:
        HumanNeededError: there is no terminal.
    """
    if not terminal.is_there():
        fix = "judge what waits as JSON: codebot apply ID --decisions FILE|-"
        raise HumanNeededError("a review needs a terminal", fix)


def by_person(found: Review, reasons: Mapping[str, str]) -> Review:
    """Ask about every hunk on the terminal.

    Raises:
        HumanNeededError: there is no terminal.
        click.Abort: the person wants nothing of it.
    """
    demand_terminal()
    found = review.advanced(found)
    while (hunk := found.current) is not None:
        _show(found, hunk, reasons.get(hunk.path, ""))
        answer = _answered(found, hunk)
        if answer is None:
            break
        found = answer
    return found


class InteractiveReviewer:
    """Asks a person about changes, on the terminal; approved patterns count for the next ones too."""

    def __init__(self, root: str | Path = ".") -> None:
        self.root = Path(root)
        self.approved_patterns: tuple[review.Pattern, ...] = ()

    async def review_change(self, change: FileChange) -> Decision:
        """What a person decides about one change as a whole.

        Raises:
            HumanNeededError: there is no terminal.
        """
        import asyncio  # noqa: PLC0415 - slow

        house = houses.around(self.root.absolute(), settings.environment())
        found = review.begin(changes.resolve(changes.ChangeSet((change,)), house), "file")
        found = reduce(review.approve_pattern, self.approved_patterns, found)
        done = await asyncio.to_thread(by_person, found, {change.filepath: change.why})
        self.approved_patterns = done.patterns
        told = next(iter(done.decisions.values()), None)
        return told or Decision(found.hunks[0].id if found.hunks else "", "reject", reason="left open")


def _show(found: Review, hunk: Hunk, reason: str) -> None:
    file = found.files[hunk.path]
    added, removed = hunks.counted(hunk)
    what = {
        "": "",
        "created": "new file",
        "deleted": "deleted",
        "renamed": f"renamed to {safe_line(file.to, 120)}",
    }
    render.say("")
    place = f"[{found.at + 1}/{len(found.hunks)}] {safe_line(hunk.path, 160)}"
    word = what.get(hunk.what, hunk.what)
    render.say(click.style(f"{place}  {word}".rstrip(), bold=True) + f"  +{added} -{removed}")
    if reason:
        render.say(f"  why   {safe_line(reason, 300)}")
    for risk in kind.risks(hunk, file.new.mode):
        render.say(click.style(f"  look  {risk}", fg="red"))
    for line in shown(hunk):
        render.say(line)


def shown(hunk: Hunk) -> list[str]:
    """The lines of a hunk for a terminal; no more than anybody reads."""
    if hunk.what == "binary":
        return ["  (binary, not shown)"]
    found = [hunks.header(hunk), *hunks.lines(hunk)]
    cut = [f"  … {len(found) - MOST_SHOWN} more lines (e shows all)"] if len(found) > MOST_SHOWN else []
    return [render.patch_line(safe_text(line)) for line in found[:MOST_SHOWN]] + cut


def _answered(found: Review, hunk: Hunk) -> Review | None:
    """The review after one key; nothing when the person has had enough."""
    while True:
        key = terminal.key(_KEYS)
        if key == "q":
            return None
        if key in {"a", "r"}:
            return review.decide(found, _plain(key, hunk))
        if key == "b":
            return review.advanced(review.back(found)) if found.at else found
        if key == "s":
            return review.divide(found)
        made = _longer(key, found, hunk)
        if made is not None:
            return made


def _plain(key: str, hunk: Hunk) -> Decision:
    if key == "a":
        return Decision(hunk.id, "approve")
    return Decision(hunk.id, "reject", reason=terminal.asked("why"))


def _longer(key: str, found: Review, hunk: Hunk) -> Review | None:
    if key == "m":
        wish = terminal.asked("how should it be")
        return review.decide(found, Decision(hunk.id, "modify", reason=wish)) if wish else None
    if key == "e":
        return _edited(found, hunk)
    if key == "A":
        return _of_pattern(found, hunk)
    return None


def _edited(found: Review, hunk: Hunk) -> Review | None:
    whole = "".join(hunk.new)
    if hunk.what in {"deleted", "binary", "mode"} or _is_odd(whole):
        render.say("there is nothing that can be edited here")
        return None
    text = terminal.edited("".join(hunk.new), hunk.path)
    if text is None or text == "".join(hunk.new):
        return None
    return review.decide(found, Decision(hunk.id, "modify", lines=tuple(hunks.lines_of(text.encode()))))


def _is_odd(text: str) -> bool:
    """Whether a text has bytes that are not UTF-8."""
    return any("\ud800" <= sign <= "\udfff" for sign in text)


def _of_pattern(found: Review, hunk: Hunk) -> Review | None:
    choices: Sequence[Pattern] = review.patterns(found, hunk)
    for number, each in enumerate(choices, 1):
        render.say(f"  {number}  {safe_line(str(each), 120)}")
    word = terminal.asked("approve which: a number, or a glob of files")
    if word.isdigit() and 1 <= int(word) <= len(choices):
        return review.approve_pattern(found, choices[int(word) - 1])
    return review.approve_pattern(found, Pattern(glob=word)) if word and not word.isdigit() else None


def item(found: Review, hunk: Hunk) -> dict[str, Any]:
    """A hunk as programs get it."""
    decision = found.decisions.get(hunk.id)
    about = {
        "id": hunk.id,
        "path": hunk.path,
        "line": hunk.line,
        "old": _lines(hunk.old),
        "new": _lines(hunk.new),
    }
    more = {"what": hunk.what, "kinds": [each.kind for each in review.patterns(found, hunk)]}
    more |= {"risks": kind.risks(hunk, found.files[hunk.path].new.mode)}
    more |= {"decision": msgspec.to_builtins(decision)} if decision else {}
    return about | {key: value for key, value in more.items() if value}


def _lines(lines: Sequence[str]) -> list[str]:
    return [utf8(line.removesuffix("\n")) for line in lines]
