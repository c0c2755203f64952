"""Fill a budget: from the files that a search found to the chunks of each that are shown."""

from collections.abc import Mapping, Sequence

from prunejuice.context.packing import FULL_TEXT, SIGNATURE_ONLY, PackingStep, choose_chunks, packing_steps
from prunejuice.context.ranking import OUTSIDE_SHARE, chunk_shares
from prunejuice.context.render import FileRenderer
from prunejuice.context.retrieval import SearchResult

MIN_RATE = 1.5e-6
"""The worth per token below which nothing is shown, however much of the budget is left."""
_WHOLE = 0.85
"""If at least this share of a file's chunks is chosen, the whole file is shown if it fits."""
_ChosenForms = dict[int, dict[int, int]]
"""The form of each chosen chunk, by file."""


def plan_steps(
    renderer: FileRenderer, results: SearchResult, likely: Mapping[int, float], least: float = MIN_RATE
) -> list[PackingStep]:
    """Return the steps that are worth at least `least` per token, the best first.

    `likely` are the files that may be shown, with the probability that they are relevant.
    """
    groups = []
    for file, chance in likely.items():
        _, first, count, _ = renderer.corpus.entries[file]
        if not count:
            continue
        scores = results.chunk_scores[first : first + count]
        names = results.name_scores[first : first + count]
        shares = chunk_shares(renderer.chunks(file), scores, names, results.best_score)
        groups += renderer.definition_groups(file, chance, shares, least)
    entries = {
        file: (0.5 * OUTSIDE_SHARE * chance, renderer.frame_tokens(file)) for file, chance in likely.items()
    }
    return [step for step in packing_steps(groups, entries) if step.rate >= least]


def fill_budget(renderer: FileRenderer, steps: Sequence[PackingStep], budget: int) -> _ChosenForms:
    """Return the chunks within a budget; complete a file that is nearly whole while there is room."""
    chosen = choose_chunks(steps, budget, renderer.growth_tokens)
    left = budget - sum(renderer.growth_tokens(file, {}, forms) for file, forms in chosen.items())
    for file, forms in chosen.items():
        all_chunks = renderer.whole_file(file)
        shown = sum(form == FULL_TEXT for form in forms.values())
        if (
            forms != all_chunks
            and shown >= len(all_chunks) * _WHOLE
            and (extra := renderer.growth_tokens(file, forms, all_chunks)) <= left
        ):
            chosen[file] = all_chunks
            left -= extra
    return _add_enclosing(renderer, chosen, left)


def _add_enclosing(renderer: FileRenderer, chosen: _ChosenForms, left: int) -> _ChosenForms:
    """Return the chunks with the signatures of the definitions around them, as far as there is room."""
    enclosed = {}
    for file, forms in chosen.items():
        extended = forms | dict.fromkeys(renderer.enclosing_chunks(file, forms), SIGNATURE_ONLY)
        cost = renderer.growth_tokens(file, forms, extended) if extended != forms else 0
        enclosed[file] = extended if cost <= left else forms
        left -= cost if cost <= left else 0
    return enclosed
