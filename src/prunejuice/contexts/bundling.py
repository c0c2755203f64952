"""Items, and the bundle that they make: what is shown, why, and what was left out."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from math import ceil

import msgspec

from prunejuice import grammar
from prunejuice.context import Bundle, Item, LeftOut, Mode, Reason, Style, body, present
from prunejuice.contexts import retrieval, tokens
from prunejuice.contexts.corpus import Corpus
from prunejuice.contexts.pages import Pages
from prunejuice.packing import SHOWN
from prunejuice.part import Part, lines
from prunejuice.ranking import MEANINGS, Signals, chances

_MOST_LEFT = 50
_MOST_SEEN = 3
_SPENT = "the budget was spent on what is likelier"
_NOTHING = "little in it speaks for the task"
_ROOM = 400
"""Tokens that are left when the budget is as good as spent."""
DOES_NOT_FIT = "it does not fit into the budget"
_LEAST = 0.05
"""A reason that weighs less is not told."""


def item(
    pages: Pages,
    file: int,
    forms: Mapping[int, int],
    mode: Mode,
    found: retrieval.Found | None,
    likely: Mapping[int, float],
) -> Item:
    """A file in some forms of its parts, with what spoke for it."""
    corpus = pages.corpus
    text, ranges = pages.shown(file, forms)
    whole = len(forms) == corpus.entries[file].length and all(form == SHOWN for form in forms.values())
    if mode != "pinned" or not (whole or ranges):
        mode = "full" if whole else "slice" if ranges else "signatures"
    return Item(
        path=corpus.paths[file],
        blob=corpus.blobs[file],
        mode=mode,
        tokens=pages.entry(file) + pages.cost(file, forms),
        text=text,
        ranges=() if whole else ranges,
        language=grammar.language(corpus.paths[file]),
        score=round(found.scores.get(file, 0.0), 3) if found else 0.0,
        chance=round(likely.get(file, 0.0), 4),
        reasons=_reasons(corpus, file, pages.parts(file), found) if found else (),
    )


def _reasons(
    corpus: Corpus, file: int, parts: Sequence[Part], found: retrieval.Found
) -> tuple[Reason, ...]:
    """The signals that speak for a file, the strongest first, each with what was seen."""
    signals = found.signals.get(file, Signals())
    made = []
    for name, weight, value in zip(Signals._fields, found.weights, signals, strict=True):
        if weight * value > _LEAST:
            seen = ", ".join(_seen(name, corpus, file, parts, found))
            said = MEANINGS[name] + (f": {seen}" if seen else "")
            made.append(Reason(name, round(weight * value, 2), said))
    return tuple(sorted(made, key=lambda reason: -reason.weight))


def _seen(
    signal: str, corpus: Corpus, file: int, parts: Sequence[Part], found: retrieval.Found
) -> list[str]:
    """What a signal goes by, in words of the file and the task; at most three."""
    task, first = found.task, corpus.entries[file].first
    if signal == "path":
        return sorted(corpus.path_terms[file] & task.weights.keys())[:_MOST_SEEN]
    if signal == "mention":
        path = corpus.rooted[file]
        return [said for said in task.mentions if said in path or said.replace(".", "/") in path][
            :_MOST_SEEN
        ]
    if signal not in {"parts", "names", "symbol"}:
        return []
    scores = found.parts if signal == "parts" else found.named
    order = sorted(range(len(parts)), key=lambda number: -scores[first + number])
    named = (parts[number].name for number in order if parts[number].name and scores[first + number])
    return list(dict.fromkeys(named))[:_MOST_SEEN]


def left_out(
    corpus: Corpus, found: retrieval.Found | None, shown: set[str], *, room: int
) -> Iterable[LeftOut]:
    """What is not shown: the likeliest files first, then those that are never read.

    `room` is what is left of the budget: with much of it, nothing else was worth its tokens.
    """
    if found is not None:
        reason = _SPENT if room < _ROOM else _NOTHING
        order = [file for file in found.scores if corpus.paths[file] not in shown][:_MOST_LEFT]
        scores = chances([found.scores[file] for file in order]) if order else []
        for file, chance in zip(order, scores, strict=True):
            yield LeftOut(corpus.paths[file], reason, round(chance, 4))
    else:
        others = (path for path in corpus.paths if path not in shown)
        yield from (LeftOut(path, _SPENT) for path in islice(others, _MOST_LEFT))
    yield from islice(_twins(corpus, shown), _MOST_LEFT)
    for path, reason in sorted(corpus.left.items())[:_MOST_LEFT]:
        yield LeftOut(path, reason)


def _twins(corpus: Corpus, shown: set[str]) -> Iterable[LeftOut]:
    """Files whose content is shown under another name."""
    for first, others in corpus.twins.items():
        same = [corpus.paths[file] for file in (first, *others)]
        if there := next((path for path in same if path in shown), ""):
            yield from (LeftOut(path, f"the same as {there}") for path in same if path not in shown)


def cut(text: str, budget: int, style: Style = "text") -> str:
    """The first lines of a text that fit a budget as they are shown, with a word about the rest."""
    if tokens.count(body(style, text)) <= budget:
        return text
    rows = lines(text)
    low, high = 0, len(rows)
    while low < high:
        middle = (low + high + 1) // 2
        fits = tokens.count(body(style, "".join(rows[:middle]))) < budget - 20
        low, high = (middle, high) if fits else (low, middle - 1)
    return "".join(rows[:low]) + f"... {len(rows) - low} more lines\n"


def counted_for(bundle: Bundle, factor: float, budget: int) -> Bundle:
    """A bundle with its tokens as another model counts them, rather too many than too few."""
    if factor == 1:
        return bundle
    items = (msgspec.structs.replace(item, tokens=ceil(item.tokens * factor)) for item in bundle.items)
    return msgspec.structs.replace(
        bundle,
        budget=budget,
        used=min(budget, ceil(bundle.used * factor)),
        tokenizer=f"{bundle.tokenizer} x {factor:g}",
        items=tuple(items),
    )


def within(bundle: Bundle, style: Style) -> Bundle:
    """A bundle whose text is counted as a whole, and within the budget; of JSON that of its texts."""
    style = "text" if style == "json" else style
    while True:
        used = tokens.count(present(bundle, style))
        if used <= bundle.budget or not (bundle.items or bundle.diff or bundle.given):
            return msgspec.structs.replace(bundle, used=used)
        bundle = _less(bundle, style, used) if not bundle.items else _without_least(bundle)


def _without_least(bundle: Bundle) -> Bundle:
    least = min(bundle.items, key=lambda item: (item.mode == "pinned", item.chance))
    rest = tuple(item for item in bundle.items if item is not least)
    dropped = LeftOut(least.path, _SPENT if least.mode != "pinned" else DOES_NOT_FIT, least.chance)
    return msgspec.structs.replace(bundle, items=rest, left_out=(dropped, *bundle.left_out))


def _less(bundle: Bundle, style: Style, used: int) -> Bundle:
    """A bundle of nothing but a difference and output, with less of both."""
    share = 0.8 * bundle.budget / used
    diff, given = (
        cut(text, int(tokens.count(body(style, text)) * share), style) if len(text) > 200 else ""
        for text in (bundle.diff, bundle.given)
    )
    return msgspec.structs.replace(bundle, diff=diff, given=given)
