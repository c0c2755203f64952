"""Search: from the words of a task to the signals of each file and the scores of chunks."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import compress, islice, pairwise
from typing import TYPE_CHECKING, NamedTuple

from prunejuice.code.languages import language_for_path
from prunejuice.code.terms import identifier_terms, identifiers, terms
from prunejuice.context.corpus import Corpus
from prunejuice.context.history import CommitHistory
from prunejuice.context.ranking import (
    WEIGHTS,
    WEIGHTS_WITHOUT_QUERY,
    Signals,
    inverse_document_frequency,
    normalize,
    score,
)
from prunejuice.context.segment import IMPACT_BITS, MAX_IMPACT

if TYPE_CHECKING:
    from array import array

MOST_FILES = 400
"""The most files for which all signals are computed."""
LEADERS = 10
"""The number of best files whose imports, tests and co-changed files are found too."""
_COMMON = 0.4
"""Terms in a larger share of the files are ignored."""
_LONGEST = 20_000
"""Characters of a query that are read."""
_SCOPE = re.compile(r"^\w+\(([\w/., -]+)\)!?:|^\[?([\w./-]+)\]?:")
# Each begins where a run of its characters begins, or a long word would be tried from every letter.
_PATH = re.compile(r"(?<![\w.-])[\w.-]+(?:/[\w.-]+)+|(?<![\w-])[\w-]+\.[a-z]{1,4}\b|(?<!\w)\w+(?:\.\w+)+\b")
FileScores = Mapping[int, float]


class ParsedQuery(NamedTuple):
    """The terms of a query with their weights, the names in it, and the possible paths."""

    weights: Mapping[str, float]
    names: frozenset[str]
    mentions: tuple[str, ...]


class SearchResult(NamedTuple):
    """Files by number with their signals and scores, the best first, and the scores of all chunks.

    `name_scores` are the scores of chunks by the names they define, `best_score` is the highest score of
    any chunk. `weights` are the weights of the signals.
    """

    query: ParsedQuery
    signals: dict[int, Signals]
    scores: dict[int, float]
    chunk_scores: Sequence[float]
    name_scores: Sequence[float]
    best_score: float
    weights: Signals


class _TermScores(NamedTuple):
    """Scores by chunk, by the names of chunks, by the text of files, and by exact names in files."""

    chunk_scores: list[float]
    name_scores: list[float]
    text: dict[int, float]
    exact: dict[int, float]


def parse_query(query: str) -> ParsedQuery:
    """Return the terms of a query; terms of its first line weigh more, terms of its scope most."""
    query = query[:_LONGEST]
    headline, _, _ = query.partition("\n")
    headline_terms = terms(headline)
    weights = {
        term: 1 + 0.3 * min(count - 1, 4) + (0.7 if term in headline_terms else 0.0)
        for term, count in terms(query).items()
    }
    for match in _SCOPE.finditer(headline):
        for term in terms(match[1] or match[2]):
            weights[term] = weights.get(term, 0.0) + 1.0
    for term in _word_pairs(query):
        weights.setdefault(term, 0.8)
    names = frozenset(pieces[-1] for name in identifiers(query) if (pieces := identifier_terms(name)))
    mentions = tuple(dict.fromkeys(match.group().strip(".") for match in _PATH.finditer(query)))
    return ParsedQuery(weights, names, mentions)


def _word_pairs(query: str) -> Iterable[str]:
    """Yield neighbouring words as one: an access token in prose may be an AccessToken in code."""
    for line in query.splitlines():
        words = re.findall(r"[A-Za-z]+", line.lower())
        for first, second in pairwise(words):
            if len(first) > 2 and len(second) > 2 and identifier_terms(first) and identifier_terms(second):
                yield first + second


def search(
    corpus: Corpus,
    history: CommitHistory,
    query: str,
    given: Sequence[int],
    allowed: Collection[int] | None = None,
) -> SearchResult:
    """Return the signals and scores of the files that may be shown, and of the given files.

    `allowed` are the files that may be shown; None for all.
    """
    parsed = parse_query(query)
    term_scores = _score_terms(corpus, parsed)
    weights = WEIGHTS if parsed.weights else WEIGHTS_WITHOUT_QUERY
    request = _SearchRequest(parsed, weights, given, allowed)
    signals = _file_signals(corpus, history, request, term_scores)
    scores = {file: score(file_signals, weights) for file, file_signals in signals.items()}
    order = sorted(scores, key=lambda file: (-scores[file], file))
    best = max(max(term_scores.chunk_scores, default=0.0), 1e-9)
    ordered = {file: signals[file] for file in order}
    return SearchResult(
        parsed,
        ordered,
        {f: scores[f] for f in order},
        term_scores.chunk_scores,
        term_scores.name_scores,
        best,
        weights,
    )


class _SearchRequest(NamedTuple):
    """A query and the weights of its signals, the given files, and the files that may be found."""

    query: ParsedQuery
    weights: Signals
    given: Sequence[int]
    allowed: Collection[int] | None

    def move_to_allowed(self, corpus: Corpus, values: FileScores) -> FileScores:
        """Return values of contents, each for the first allowed file with that content."""
        if self.allowed is None:
            return values
        moved: dict[int, float] = {}
        for file, value in values.items():
            duplicates = (file, *corpus.duplicates.get(file, ()))
            moved[next((duplicate for duplicate in duplicates if duplicate in self.allowed), file)] = value
        return moved


def _score_terms(corpus: Corpus, query: ParsedQuery) -> _TermScores:
    chunk_count = len(corpus.owner)
    scores = _TermScores([0.0] * chunk_count, [0.0] * chunk_count, {}, {})
    for term, weight in query.weights.items():
        postings = corpus.index.postings(term)
        matches = [
            (file, posting & MAX_IMPACT)
            for posting in postings.files
            if (file := corpus.file_of.get(posting >> IMPACT_BITS)) is not None
        ]
        # In a small tree a term can be in most files and still matter.
        if not matches or (len(matches) > len(corpus.paths) * _COMMON and len(corpus.paths) > 50):
            continue
        gain = inverse_document_frequency(len(matches), len(corpus.paths)) * weight
        for file, impact in matches:
            scores.text[file] = scores.text.get(file, 0.0) + gain * impact
        _add_scores(scores.chunk_scores, postings.parts, gain)
        _add_scores(scores.name_scores, postings.names, gain)
        if term in query.names:
            _credit_definers(scores.exact, corpus, postings.names)
    return scores


def _add_scores(scores: list[float], postings: "array[int]", gain: float) -> None:
    gains = [gain * impact for impact in range(MAX_IMPACT + 1)]
    count = len(scores)
    for posting in postings:
        chunk = posting >> IMPACT_BITS
        if chunk < count:
            scores[chunk] += gains[posting & MAX_IMPACT]


def _credit_definers(exact: dict[int, float], corpus: Corpus, postings: "array[int]") -> None:
    """Credit the files that define a name; the fewer there are, the more each gets."""
    owner, count = corpus.owner, len(corpus.owner)
    # Only the last word of a defined name has the greatest impact.
    definers = (p >> IMPACT_BITS for p in postings if p & MAX_IMPACT == MAX_IMPACT)
    owners = {owner[part] for part in definers if part < count} - {-1}
    for file in owners:
        exact[file] = exact.get(file, 0.0) + 1 / (1 + len(owners)) ** 0.5


def _file_signals(
    corpus: Corpus, history: CommitHistory, request: _SearchRequest, term_scores: _TermScores
) -> dict[int, Signals]:
    query, given = request.query, request.given
    paths = _path_scores(corpus, query)
    mention = _mention_scores(corpus, query)
    message_weights = {
        t: inverse_document_frequency(history.frequency[t], len(history.commits) + 1) * w
        for t, w in query.weights.items()
        if history.frequency[t]
    }
    given_paths = [corpus.paths[file] for file in given]
    recency = normalize(_by_file_number(corpus, history.recency))
    base: dict[str, FileScores] = {
        "parts": request.move_to_allowed(corpus, normalize(_file_scores(corpus, term_scores.chunk_scores))),
        "text": request.move_to_allowed(corpus, normalize(term_scores.text)),
        "names": request.move_to_allowed(corpus, normalize(_file_scores(corpus, term_scores.name_scores))),
        "symbol": request.move_to_allowed(
            corpus, {file: min(1.0, value) for file, value in term_scores.exact.items()}
        ),
        "path": normalize(paths),
        "mention": mention,
        "said": _square_roots(normalize(_by_file_number(corpus, history.message_scores(message_weights)))),
        "beside": _square_roots(normalize(_by_file_number(corpus, history.cochange_scores(given_paths)))),
        "recent": _square_roots(recency),
    }
    # The signals below relate files to the best files by the signals above.
    chosen = [*_best_files(corpus, base, request), *given]
    leaders = list(dict.fromkeys([*given, *chosen[:LEADERS]]))
    cochanges = history.cochange_scores([corpus.paths[file] for file in chosen[:LEADERS]])
    folders = {_parent_folder(corpus.paths[file]) for file in (given or chosen[:3])}
    stems = {module_stem(corpus.paths[file]): file for file in reversed(leaders)}
    base |= {
        "near": _square_roots(normalize(_by_file_number(corpus, cochanges))),
        "linked": _import_scores(corpus, leaders, chosen),
        "pair": {f: 1.0 for f in chosen if stems.get(module_stem(corpus.paths[f]), f) != f},
        "folder": {f: 1.0 for f in chosen if _parent_folder(corpus.paths[f]) in folders},
        "code": {f: 1.0 for f in chosen if language_for_path(corpus.paths[f])},
    }
    return {f: Signals(*(base[name].get(f, 0.0) for name in Signals._fields)) for f in chosen}


def _best_files(corpus: Corpus, base: Mapping[str, FileScores], request: _SearchRequest) -> list[int]:
    """Return the files for which all signals are computed, the best first.

    Other files follow if there is no query, or if the allowed files are restricted.
    """
    sums: dict[int, float] = {}
    allowed = request.allowed
    for name, values in base.items():
        weight = getattr(request.weights, name)
        for file, value in values.items():
            if allowed is None or file in allowed:
                sums[file] = sums.get(file, 0.0) + weight * value
    order = sorted(sums, key=lambda file: (-sums[file], file))[:MOST_FILES]
    if allowed is not None or not request.query.weights or not order:
        others = sorted(allowed) if allowed is not None else range(len(corpus.paths))
        unscored = (file for file in others if file not in sums)
        order += islice(unscored, MOST_FILES - len(order))
    return order


def _square_roots(values: FileScores) -> dict[int, float]:
    return {file: value**0.5 for file, value in values.items()}


def _file_scores(corpus: Corpus, scores: Sequence[float]) -> dict[int, float]:
    """Return the score of each file: its best chunk, and a quarter of the next two."""
    tops: dict[int, list[float]] = {}
    for file, value in compress(zip(corpus.owner, scores, strict=True), scores):
        if file >= 0:
            if file in tops:
                tops[file].append(value)
            else:
                tops[file] = [value]
    return {file: _combine_scores(values) for file, values in tops.items()}


def _combine_scores(values: list[float]) -> float:
    values.sort(reverse=True)
    return values[0] + 0.25 * sum(values[1:3])


def _path_scores(corpus: Corpus, query: ParsedQuery) -> dict[int, float]:
    """Return a score for the words of a query in paths; rare words and short paths score higher."""
    files_by_term: dict[str, list[int]] = {}
    for file, shared in corpus.files_with_path_terms(query.weights.keys()):
        for term in shared:
            files_by_term.setdefault(term, []).append(file)
    scores: dict[int, float] = {}
    for term, numbers in files_by_term.items():
        gain = inverse_document_frequency(len(numbers), len(corpus.paths)) * query.weights[term]
        for file in numbers:
            scores[file] = scores.get(file, 0.0) + gain
    return {file: value / (2 + len(corpus.path_terms(file))) ** 0.5 for file, value in scores.items()}


def _mention_scores(corpus: Corpus, query: ParsedQuery) -> dict[int, float]:
    """Return a score for files whose path, its end, or whose dotted module is written in the query."""
    scores: dict[int, float] = {}
    for mention in query.mentions:
        tail, dotted = f"/{mention}", f"/{mention.replace('.', '/')}."
        matches = [
            file for file, path in enumerate(corpus.rooted_paths) if path.endswith(tail) or dotted in path
        ]
        for file in matches:
            scores[file] = max(scores.get(file, 0.0), len(matches) ** -0.5)
    return scores


def _by_file_number(corpus: Corpus, values: Mapping[str, float]) -> dict[int, float]:
    return {corpus.number[path]: value for path, value in values.items() if path in corpus.number}


def _parent_folder(path: str) -> str:
    return path.rpartition("/")[0]


def module_stem(path: str) -> str:
    """Return the part of a file's name that it shares with its test."""
    name = path.rpartition("/")[2].partition(".")[0]
    return name.removeprefix("test_").removesuffix("_test").removesuffix("_tests").removesuffix("_spec")


def _import_scores(corpus: Corpus, leaders: Sequence[int], chosen: Iterable[int]) -> dict[int, float]:
    """Return a score for files whose name or folder is the last part of an import of a leader."""
    files_by_name: dict[str, list[int]] = {}
    for file in chosen:
        folder, _, name = corpus.paths[file].rpartition("/")
        files_by_name.setdefault(name.partition(".")[0], []).append(file)
        files_by_name.setdefault(folder.rpartition("/")[2], []).append(file)
    scores: dict[int, float] = {}
    for leader in leaders:
        for target in corpus.index.import_targets(corpus.entries[leader].id):
            name = re.split(r"[./:\\]", target.removesuffix(".js").removesuffix(".ts"))[-1]
            for file in files_by_name.get(name, ())[:3]:
                if file != leader:
                    scores[file] = 1.0
    return scores
