"""Where in a file an edit belongs: one place, or none. The rungs go from the strictest to the loosest.

Each rung reads the lines with one more thing left aside, and must find exactly one place; with several the
edit is refused, because no looser rung could tell them apart. Only what differs between `search` and
`replace` is written: the other lines stay as the file has them, however the model remembers them.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from difflib import SequenceMatcher, get_close_matches
from itertools import islice, pairwise
from typing import NamedTuple

from prunejuice.content import Content, Line
from prunejuice.edit import Edit, Placed, RejectedError, Tier, shown
from prunejuice.indent import Indent, kept, lead_of, rules
from prunejuice.omission import is_elision, stands_for_others
from prunejuice.unwrap import readings, reread, without_blanks

Texts = Sequence[str]
Key = Callable[[str], str]

_PUNCTUATION = str.maketrans("“”„‟«»‘’‚‛′‐‑‒–—―−\u00a0\u2007\u202f\u3000", '""""""\'\'\'\'\'-------    ')
_CLOSE = 0.6  # of a context line that changed since it was read
_CLOSER = 0.85  # of one beside which lines are put in
_MAY_DIFFER = 2
_MANY = 200_000  # comparisons of lines
_FIRST_SIGN = 0xE000  # behind the surrogates, which text cannot have
_ENOUGH, _LITTLE = 12, 4  # letters and digits, for lines to say something
_LOOKED_AT = 200  # lines, for what may have been meant
_WIDE = 2000  # signs of a line that is compared sign by sign


class Place(NamedTuple):
    """Where the lines of `search` are in the file, and how its indentation becomes the file's."""

    lines: tuple[int, ...]
    indent: Indent

    @property
    def first(self) -> int:
        """The first of them."""
        return self.lines[0]


class Found(NamedTuple):
    """The reading of an edit that was found: the edit as read, its place, and the rung."""

    edit: Edit
    place: Place
    tier: Tier


def place(content: Content, edit: Edit) -> tuple[Content, Placed]:
    """A file with one `replace` edit made.

    Raises:
        RejectedError: it has no place or several, is already half made, or leaves out what it should write.
    """
    texts = content.texts
    _refuse_omission(texts, edit)
    if not any(line.strip() for line in edit.search):
        raise RejectedError("empty", "the search part is empty", "say which lines are to be replaced")
    done = _made(texts, edit)
    found = _found(texts, edit, _LOOKS if done is None else _STRICT)
    if done is not None and found is None and _elsewhere(texts, edit, done):
        raise _absent(texts, edit)
    if done is not None and (found is None or _inside(found.place, done, done + len(edit.replace))):
        return content, Placed("already applied", done + 1, len(edit.replace))
    if found is None:
        raise _absent(texts, edit)
    made = content.joined(_written(content, found))
    first, last = found.place.lines[0], found.place.lines[-1]
    if edit.newline is not None and last == len(texts) - 1:
        made = made.ended(edit.newline)
    return made, Placed(found.tier, first + 1, last - first + 1)


def _found(texts: Texts, edit: Edit, looks: "Sequence[Look]") -> Found | None:
    for look in looks:
        places = look(texts, edit)
        if len(places) > 1:
            places = _told_apart(texts, edit, places)
        if places:
            return places[0]
    return None


# -- the rungs --------------------------------------------------------------------------------------


def _same(text: str) -> str:
    return text


def _plain(text: str) -> str:
    return text.translate(_PUNCTUATION).rstrip()


def _bare(text: str) -> str:
    return text.translate(_PUNCTUATION).strip()


def _packed(text: str) -> str:
    return "".join(text.translate(_PUNCTUATION).split())


_KEYS: tuple[tuple[Tier, Key], ...] = (
    ("exact", _same),
    ("trailing space", str.rstrip),
    ("punctuation", _plain),
    ("indentation", _bare),
)


def _by_lines(texts: Texts, edit: Edit) -> list[Found]:
    for tier, key in _KEYS:
        keys = texts if key is _same else [key(text) for text in texts]
        wanted = edit.search if key is _same else [key(text) for text in edit.search]
        starts = _runs(keys, wanted)
        places = [Place(tuple(range(at, at + len(wanted))), kept) for at in starts]
        if tier == "indentation":
            if not _says(edit.search, _LITTLE):
                return []
            places = [each for each in (_indented(texts, edit, one) for one in places) if each]
        if places:
            return [Found(edit, each, tier) for each in places]
    return []


def _trimmed(texts: Texts, edit: Edit) -> list[Found]:
    trimmed = without_blanks(edit)
    return _by_lines(texts, trimmed) if trimmed.search != edit.search else []


def _runs(keys: Texts, wanted: Texts) -> list[int]:
    """Where a sequence begins in another."""
    size = len(wanted)
    if not size or keys.count(wanted[0]) * size > _MANY:
        return _runs_of_many(keys, wanted)
    found, at = [], -1
    with suppress(ValueError):
        while True:
            at = keys.index(wanted[0], at + 1)
            if list(keys[at : at + size]) == list(wanted):
                found.append(at)
    return found


def _runs_of_many(keys: Texts, wanted: Texts) -> list[int]:
    """The same in time that does not grow with both, for files of many equal lines."""
    names: dict[str, int] = {}
    sign = [chr(_FIRST_SIGN + names.setdefault(key, len(names))) for key in (*keys, *wanted)]
    whole, part = "".join(sign[: len(keys)]), "".join(sign[len(keys) :])
    found, at = [], whole.find(part) if part else -1
    while at >= 0:
        found.append(at)
        at = whole.find(part, at + 1)
    return found


def _unwrapped(texts: Texts, edit: Edit) -> list[Found]:
    for reading in readings(edit):
        if found := _by_lines(texts, reading):
            return [each._replace(tier="unwrapped") for each in found]
    return []


def _elided(texts: Texts, edit: Edit) -> list[Found]:
    """Blocks with lines written as `...`: what those stand for is found between the others."""
    if not any(map(is_elision, edit.search)):
        return []
    pieces, written = _pieces(edit.search), _pieces(edit.replace)
    if len(pieces) != len(written) or not all(pieces):
        return []
    for _, key in _KEYS[:3]:
        keys = [key(text) for text in texts]
        if chain := _chain(keys, [[key(text) for text in piece] for piece in pieces]):
            return [Found(_spelled(texts, edit, chain), _span(chain), "elided")]
    return []


def _pieces(lines: Texts) -> list[list[str]]:
    pieces: list[list[str]] = [[]]
    for line in lines:
        if is_elision(line):
            pieces.append([])
        else:
            pieces[-1].append(line)
    return pieces


def _chain(keys: Texts, pieces: Sequence[Texts]) -> list[tuple[int, int]]:
    """Where all pieces are, each in one place and behind the one before; empty when they are not."""
    starts = [_runs(keys, piece) for piece in pieces]
    if any(len(each) != 1 for each in starts):
        return []
    chain = [(each[0], each[0] + len(piece)) for each, piece in zip(starts, pieces, strict=True)]
    return chain if all(left[1] <= right[0] for left, right in pairwise(chain)) else []


def _span(chain: Sequence[tuple[int, int]]) -> Place:
    return Place(tuple(range(chain[0][0], chain[-1][1])), kept)


def _spelled(texts: Texts, edit: Edit, chain: Sequence[tuple[int, int]]) -> Edit:
    """The edit with what was elided written out."""
    gaps = [texts[left[1] : right[0]] for left, right in pairwise(chain)]
    search, replace = (_filled(_pieces(lines), gaps) for lines in (edit.search, edit.replace))
    return reread(edit, search, replace)


def _filled(pieces: Sequence[Texts], gaps: Sequence[Texts]) -> list[str]:
    filled = list(pieces[0])
    for gap, piece in zip(gaps, pieces[1:], strict=True):
        filled += [*gap, *piece]
    return filled


def _drifted(texts: Texts, edit: Edit) -> list[Found]:
    """The one place where all that matters is as expected, and a line or two around it are not."""
    wanted = [_packed(text) for text in edit.search]
    held, beside = _that_matter(edit)
    if len(wanted) < 3 or not _says(edit.search):
        return []
    keys = [_packed(text) for text in texts]
    scores = [(at, _drift(keys, wanted, at, held, beside)) for at in _candidates(keys, wanted)]
    close = [at for at, fits in scores if fits]
    places = [_indented(texts, edit, Place(tuple(range(at, at + len(wanted))), kept)) for at in close]
    return [Found(edit, each, "drift") for each in places if each]


def _candidates(keys: Texts, wanted: Texts) -> list[int]:
    """Where enough lines are the same, counted along each way to lay the one beside the other."""
    spots: dict[str, list[int]] = {}
    for at, key in enumerate(keys):
        spots.setdefault(key, []).append(at)
    counted: dict[int, int] = {}
    for offset, key in enumerate(wanted):
        for at in spots.get(key, ()):
            counted[at - offset] = counted.get(at - offset, 0) + 1
    enough = max(2, len(wanted) - _MAY_DIFFER)
    return [at for at, n in counted.items() if n >= enough and 0 <= at <= len(keys) - len(wanted)]


def _that_matter(edit: Edit) -> tuple[set[int], set[int]]:
    """The lines of `search` that are taken away, and those beside which something is put in."""
    held: set[int] = set()
    beside: set[int] = set()
    for tag, start, end, _, _ in _difference(edit, str.rstrip):
        if tag in {"replace", "delete"}:
            held.update(range(start, end))
        if tag == "insert":
            beside.update({start - 1, start} & set(range(len(edit.search))))
    return held, beside - held


def _names_a_place(keys: Texts, key: str) -> bool:
    """Whether a line that is not here is at one other place, which may be the one that is meant."""
    return _says([key]) and keys.count(key) == 1


def _drift(keys: Texts, wanted: Texts, at: int, held: set[int], beside: set[int]) -> bool:
    off = [n for n, want in enumerate(wanted) if keys[at + n] != want]
    if len(off) > _MAY_DIFFER or held & set(off) or len(off) * 2 >= len([want for want in wanted if want]):
        return False
    if beside & set(off) and (len(off) > 1 or not beside - set(off)):
        return False
    if any(len(keys[at + n]) > _WIDE or _names_a_place(keys, wanted[n]) for n in off):
        return False
    near = {n: SequenceMatcher(None, keys[at + n], wanted[n], autojunk=False).ratio() for n in off}
    return all(ratio >= (_CLOSER if n in beside else _CLOSE) for n, ratio in near.items())


def _indented(texts: Texts, edit: Edit, at: Place) -> Place | None:
    """The place with the rule that turns the edit's indentation into the file's; nothing without one."""
    pairs = {
        (lead_of(want), lead_of(texts[line]))
        for want, line in zip(edit.search, at.lines, strict=True)
        if want.strip() and _packed(want) == _packed(texts[line])
    }
    new = {lead_of(line) for line in edit.replace if line.strip()}
    for rule in rules(pairs):
        if all(rule(theirs) == ours for theirs, ours in pairs) and all(
            rule(lead) is not None for lead in new
        ):
            return at._replace(indent=rule)
    return None


# -- what is written --------------------------------------------------------------------------------


def _difference(edit: Edit, key: Key) -> Sequence[tuple[str, int, int, int, int]]:
    old, new = [key(line) for line in edit.search], [key(line) for line in edit.replace]
    return SequenceMatcher(None, old, new, autojunk=False).get_opcodes()


def _written(content: Content, found: Found) -> list[Line | str]:
    """The lines of the file with the difference of the edit made at its place."""
    edit, (at, indent) = found.edit, found.place
    lines: list[Line | str] = list(content.lines[: at[0]])
    for tag, start, end, begin, stop in _difference(edit, str.rstrip):
        if tag == "equal":
            both = zip(edit.search[start:end], edit.replace[begin:stop], at[start:end], strict=True)
            lines += [_trailing(content.lines[n], search, text) for search, text, n in both]
            continue
        same_count = end - start == stop - begin
        for offset, text in enumerate(edit.replace[begin:stop]):
            old = content.lines[at[start + offset]] if same_count else None
            lines.append(_line(old, edit.search[start + offset] if old else "", text, indent))
    return lines + list(content.lines[at[-1] + 1 :])


def _trailing(old: Line, search: str, text: str) -> Line:
    """A line that stays; its trailing space changes only if the edit knew it as it is."""
    if search != text and old.text[len(old.text.rstrip()) :] == search[len(search.rstrip()) :]:
        return Line(old.text.rstrip() + text[len(text.rstrip()) :], old.end)
    return old


def _line(old: Line | None, search: str, text: str, indent: Indent) -> Line | str:
    """A new line, indented as the file is; what it shares with the one it replaces stays as it is there."""
    made = (indent(lead_of(text)) or "") + text.lstrip() if text else text
    if old is None:
        return made
    if old.text.rstrip() != search.rstrip() and _plain(old.text) == _plain(search):
        carried = _carried(old.text.rstrip(), search.rstrip(), made)
        made = made if _mixed(carried) else carried
    return Line(made, old.end)


def _carried(old: str, search: str, new: str) -> str:
    """`new` with the signs of `old` where it agrees with `search`, which is `old` in other punctuation."""
    parts = []
    if max(len(search), len(new)) > _WIDE:
        return new
    for tag, start, end, begin, stop in SequenceMatcher(None, search, new, autojunk=False).get_opcodes():
        parts.append(old[start:end] if tag == "equal" else new[begin:stop])
    return "".join(parts)


def _mixed(text: str) -> bool:
    """Whether quotes of one kind are written in two ways."""
    return any(mark in text and set(curly) & set(text) for mark, curly in (('"', "“”"), ("'", "‘’")))


# -- refusals ---------------------------------------------------------------------------------------


def _made(texts: Texts, edit: Edit) -> int | None:
    """Where what the edit would make is already; nothing when it is not, or when that says nothing."""
    old, new = [line.rstrip() for line in edit.search], [line.rstrip() for line in edit.replace]
    made = _runs([text.rstrip() for text in texts], new) if new and new != old else []
    return made[0] if len(made) == 1 and _tells(old, new) else None


def _tells(old: Texts, new: Texts) -> bool:
    """Whether these lines could hardly be there for another reason: they say enough, and keep some."""
    parts = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    added = [line for tag, _, _, c, d in parts if tag != "equal" for line in new[c:d] if line.strip()]
    kept = any(line.strip() for tag, a, b, _, _ in parts if tag == "equal" for line in old[a:b])
    if not added:
        inside = all(start > 0 and end < len(old) for tag, start, end, _, _ in parts if tag == "delete")
        return inside and _says(new)
    return _says(added, _LITTLE) and (kept or (len(new) >= len(old) and _alike(old, new)))


def _alike(old: Texts, new: Texts) -> bool:
    before, after = ("".join(lines).casefold() for lines in (old, new))
    if max(len(before), len(after)) > _WIDE:
        return False
    return SequenceMatcher(None, before, after, autojunk=False).ratio() >= _CLOSE


def _says(lines: Texts, enough: int = _ENOUGH) -> bool:
    """Whether lines say enough to be known again by, more than brackets."""
    return sum(sign.isalnum() for line in lines for sign in line) >= enough


def _elsewhere(texts: Texts, edit: Edit, made: int) -> bool:
    """Whether a place that nearly fits is somewhere else than where the edit seems to be made already."""
    return any(not _inside(each.place, made, made + len(edit.replace)) for each in _drifted(texts, edit))


def _inside(at: Place, start: int, end: int) -> bool:
    """Whether the lines to be replaced are only a part of what they would become."""
    return start <= at.lines[0] and at.lines[-1] < end and len(at.lines) < end - start


def _told_apart(texts: Texts, edit: Edit, found: list[Found]) -> list[Found]:
    """The one of several places that the edit's own hints name."""
    hinted = [each for each in found if each.place.first + 1 == edit.line and each.tier == "exact"]
    if edit.line < 0:
        hinted = [each for each in found if each.place.lines[-1] == len(texts) - 1]
    if edit.anchors:
        start, end = _under(texts, edit.anchors)
        inside = [each for each in found if start <= each.place.first < end]
        hinted = [each for each in hinted if each in inside] if hinted and end else hinted or inside
    if len(hinted) == 1:
        return hinted
    lines = [each.place.first + 1 for each in found]
    where = ", ".join(map(str, lines[:8]))
    fix = "add lines around it until only one place is meant:\n" + shown(texts, lines)
    raise RejectedError(
        "ambiguous", f"the lines are there {len(lines)} times, at lines {where}", fix, lines
    )


def _under(texts: Texts, anchors: Texts) -> tuple[int, int]:
    """The block that the last anchor opens, each looked for in the one before; empty when not unique."""
    start, end = 0, len(texts)
    for anchor in anchors:
        wanted = anchor.strip()
        exact = [n for n in range(start, end) if texts[n].strip() == wanted]
        hits = exact or [n for n in range(start, end) if wanted and texts[n].strip().startswith(wanted)]
        if len(hits) != 1:
            return 0, 0
        depth = len(lead_of(texts[hits[0]]))
        below = range(hits[0] + 1, end)
        start = hits[0]
        end = next((n for n in below if texts[n].strip(" \t})]") and len(lead_of(texts[n])) <= depth), end)
    return start, end


Look = Callable[[Texts, Edit], list[Found]]
_STRICT: tuple[Look, ...] = (_by_lines, _trimmed, _unwrapped, _elided)
_LOOKS: tuple[Look, ...] = (*_STRICT, _drifted)


def _refuse_omission(texts: Texts, edit: Edit) -> None:
    """Refuse lines that stand for code which the model did not write."""
    known = {text.strip() for text in (*texts, *edit.search)}
    omitted = [line for line in edit.replace if stands_for_others(line) and line.strip() not in known]
    if omitted:
        message = f"{omitted[0].strip()[:60]!r} stands for lines that were left out"
        raise RejectedError("elided", message, "write every line that is to be in the file")


def refuse_omission(content: Content | None, edit: Edit) -> None:
    """Refuse a whole file with lines that stand for code which the model did not write.

    Raises:
        RejectedError: it has such a line, and the file did not.
    """
    _refuse_omission(content.texts if content else (), edit)


def _absent(texts: Texts, edit: Edit) -> RejectedError:
    near = _nearest(texts, edit)
    fix = "read the file again, and write the lines as they are now" + (
        ":\n" + shown(texts, near, min(len(edit.search) + 4, 20)) if near else ""
    )
    return RejectedError("not found", "the lines are not in the file", fix, near)


def _nearest(texts: Texts, edit: Edit) -> list[int]:
    """The lines (from 1) that look most like the beginning of the edit."""
    votes: dict[int, int] = {}
    keys = [text.strip() for text in texts]
    for offset, line in enumerate(edit.search[:_LOOKED_AT]):
        key = line.strip()
        if key and 0 < keys.count(key) <= 20:
            for at in (n for n, text in enumerate(keys) if text == key):
                votes[at - offset] = votes.get(at - offset, 0) + 1
    if votes:
        return [max(1, max(votes, key=lambda at: votes[at]) + 1)]
    first = next((line.strip() for line in edit.search if line.strip()), "")[:200]
    words = set(re.findall(r"\w{3,}", first))
    shared = (key[:200] for key in keys if any(word in key for word in words))
    close = get_close_matches(first, list(islice(shared, _LOOKED_AT)), n=1, cutoff=0.6)
    return [next(n for n, key in enumerate(keys, 1) if key[:200] == close[0])] if close else []
