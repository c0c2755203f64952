"""Build items and the bundle: what is shown, the reasons, and what was left out."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from math import ceil

import msgspec

from prunejuice.code import tokens
from prunejuice.code.chunk import Chunk, split_lines
from prunejuice.code.languages import language_for_path
from prunejuice.code.mask_secrets import mask_secrets
from prunejuice.context import retrieval
from prunejuice.context.bundle import (
    Bundle,
    Item,
    Mode,
    OmittedFile,
    Reason,
    Style,
    escape_body,
    render_bundle,
)
from prunejuice.context.corpus import Corpus
from prunejuice.context.packing import FULL_TEXT, LISTED
from prunejuice.context.ranking import MEANINGS, Signals, chances
from prunejuice.context.render import FileRenderer

_MAX_OMITTED = 50
"""Omitted files of each kind that are listed."""
_MAX_EVIDENCE = 3
"""Words of evidence in one reason."""
_SPENT = "the budget was spent on more likely files"
_IRRELEVANT = "has little in common with the task"
_ROOM = 400
"""With fewer tokens left than this, the budget counts as spent."""
DOES_NOT_FIT = "it does not fit into the budget"
_LEAST = 0.05
"""Reasons with a lower weight are not listed."""


def build_item(
    renderer: FileRenderer,
    file: int,
    forms: Mapping[int, int],
    mode: Mode,
    search_result: retrieval.SearchResult | None,
    probabilities: Mapping[int, float],
) -> Item:
    """Return an item that shows chunks of a file in the given forms, with the reasons for it."""
    corpus = renderer.corpus
    text, ranges = renderer.render(file, forms)
    is_whole = len(forms) == corpus.entries[file].length and all(
        form == FULL_TEXT for form in forms.values()
    )
    if mode != "pinned" or not (is_whole or ranges):
        introduced: Mode = "names" if all(form == LISTED for form in forms.values()) else "signatures"
        mode = "full" if is_whole else "slice" if ranges else introduced
    return Item(
        path=corpus.paths[file],
        blob=corpus.blobs[file],
        mode=mode,
        tokens=renderer.frame_tokens(file) + renderer.chunk_tokens(file, forms),
        text=text,
        ranges=() if is_whole else ranges,
        language=language_for_path(corpus.paths[file]),
        score=round(search_result.scores.get(file, 0.0), 3) if search_result else 0.0,
        chance=round(probabilities.get(file, 0.0), 4),
        reasons=_signal_reasons(corpus, file, renderer.chunks(file), search_result)
        if search_result
        else (),
    )


def _signal_reasons(
    corpus: Corpus, file: int, chunks: Sequence[Chunk], search_result: retrieval.SearchResult
) -> tuple[Reason, ...]:
    """Return the signals for a file, the strongest first, each with its evidence."""
    signals = search_result.signals.get(file, Signals())
    reasons = []
    for name, weight, value in zip(Signals._fields, search_result.weights, signals, strict=True):
        if weight * value > _LEAST:
            words = ", ".join(_signal_evidence(name, corpus, file, chunks, search_result))
            evidence = mask_secrets("", words)
            text = MEANINGS[name] + (f": {evidence}" if evidence else "")
            reasons.append(Reason(name, round(weight * value, 2), text))
    return tuple(sorted(reasons, key=lambda reason: -reason.weight))


def _signal_evidence(
    signal: str, corpus: Corpus, file: int, chunks: Sequence[Chunk], search_result: retrieval.SearchResult
) -> list[str]:
    """Return the words of the file and the task that a signal is based on; at most three."""
    query, first = search_result.query, corpus.entries[file].first
    if signal == "path":
        return sorted(corpus.path_terms(file) & query.weights.keys())[:_MAX_EVIDENCE]
    if signal == "mention":
        path = corpus.rooted_paths[file]
        return [
            mention for mention in query.mentions if mention in path or mention.replace(".", "/") in path
        ][:_MAX_EVIDENCE]
    if signal not in {"parts", "names", "symbol"}:
        return []
    scores = search_result.chunk_scores if signal == "parts" else search_result.name_scores
    ranked = sorted(range(len(chunks)), key=lambda number: -scores[first + number])
    names = (chunks[number].name for number in ranked if chunks[number].name and scores[first + number])
    return list(dict.fromkeys(names))[:_MAX_EVIDENCE]


def omitted_files(
    corpus: Corpus, search_result: retrieval.SearchResult | None, shown: set[str], *, room: int
) -> Iterable[OmittedFile]:
    """Return files that are not shown: the most likely first, then those that are never read.

    `room` is the remaining budget in tokens: if much is left, no other file was worth its tokens.
    """
    if search_result is not None:
        reason = _SPENT if room < _ROOM else _IRRELEVANT
        omitted = [file for file in search_result.scores if corpus.paths[file] not in shown][:_MAX_OMITTED]
        probabilities = chances([search_result.scores[file] for file in omitted]) if omitted else []
        for file, chance in zip(omitted, probabilities, strict=True):
            yield OmittedFile(corpus.paths[file], reason, round(chance, 4))
    else:
        others = (path for path in corpus.paths if path not in shown)
        yield from (OmittedFile(path, _SPENT) for path in islice(others, _MAX_OMITTED))
    yield from islice(_duplicate_files(corpus, shown), _MAX_OMITTED)
    for path, reason in sorted(corpus.excluded.items())[:_MAX_OMITTED]:
        yield OmittedFile(path, reason)


def _duplicate_files(corpus: Corpus, shown: set[str]) -> Iterable[OmittedFile]:
    """Yield the files whose content is shown under another path."""
    for owner, others in corpus.duplicates.items():
        paths = [corpus.paths[file] for file in (owner, *others)]
        if shown_path := next((path for path in paths if path in shown), ""):
            yield from (
                OmittedFile(path, f"the same as {shown_path}") for path in paths if path not in shown
            )


def truncate_text(text: str, budget: int, style: Style = "text") -> str:
    """Return the first lines of a text that fit into a budget, with a note about the rest."""
    if tokens.count(escape_body(style, text)) <= budget:
        return text
    lines = split_lines(text)
    low, high = 0, len(lines)
    while low < high:
        middle = (low + high + 1) // 2
        # 20 tokens are reserved for the note about the rest.
        fits = tokens.count(escape_body(style, "".join(lines[:middle]))) < budget - 20
        low, high = (middle, high) if fits else (low, middle - 1)
    return "".join(lines[:low]) + f"... {len(lines) - low} more lines\n"


def rescale_tokens(bundle: Bundle, factor: float, budget: int) -> Bundle:
    """Return a bundle with its tokens as another model counts them, rounded up."""
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


def fit_budget(bundle: Bundle, style: Style) -> Bundle:
    """Return a bundle whose whole text is counted and fits into the budget.

    For JSON the texts are counted, not the JSON around them.
    """
    style = "text" if style == "json" else style
    while True:
        # The counts of the items do not add up exactly: tokens may span their borders.
        used = tokens.count(render_bundle(bundle, style))
        if used <= bundle.budget or not (bundle.items or bundle.diff or bundle.given):
            return msgspec.structs.replace(bundle, used=used)
        bundle = _shrink_extras(bundle, style, used) if not bundle.items else _drop_least(bundle)


def _drop_least(bundle: Bundle) -> Bundle:
    least_likely = min(bundle.items, key=lambda item: (item.mode == "pinned", item.chance))
    remaining = tuple(item for item in bundle.items if item is not least_likely)
    dropped = OmittedFile(
        least_likely.path, _SPENT if least_likely.mode != "pinned" else DOES_NOT_FIT, least_likely.chance
    )
    return msgspec.structs.replace(bundle, items=remaining, left_out=(dropped, *bundle.left_out))


def _shrink_extras(bundle: Bundle, style: Style, used: int) -> Bundle:
    """Return a bundle without items, with a shorter diff and output."""
    share = 0.8 * bundle.budget / used
    diff, given = (
        truncate_text(text, int(tokens.count(escape_body(style, text)) * share), style)
        if len(text) > 200
        else ""
        for text in (bundle.diff, bundle.given)
    )
    return msgspec.structs.replace(bundle, diff=diff, given=given)
