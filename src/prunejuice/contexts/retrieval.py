"""From the words of a task to what speaks for each file, and to scores of parts."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice, pairwise
from typing import TYPE_CHECKING, NamedTuple

from prunejuice import grammar
from prunejuice.contexts.corpus import Corpus
from prunejuice.contexts.index import IMPACT_BITS, STRONGEST
from prunejuice.contexts.past import Past
from prunejuice.ranking import IDLE, WEIGHTS, Signals, normed, rarity, score
from prunejuice.words import names, terms, terms_of

if TYPE_CHECKING:
    from array import array

MOST_FILES = 400
"""Files that are looked at closely."""
LEADERS = 10
"""The best files, whose company is asked for too."""
_COMMON = 0.4
"""A term in a larger share of the files says nothing."""
_LONGEST = 20_000
"""Letters of a task that are read."""
_SCOPE = re.compile(r"^\w+\(([\w/., -]+)\)!?:|^\[?([\w./-]+)\]?:")
_PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)+|\b[\w-]+\.[a-z]{1,4}\b|\b\w+(?:\.\w+)+\b")
Numbers = Mapping[int, float]


class Task(NamedTuple):
    """The words of a task with what each weighs, the names in it, and what may be paths."""

    weights: Mapping[str, float]
    names: frozenset[str]
    mentions: tuple[str, ...]


class Found(NamedTuple):
    """Files by number with what speaks for them, the best first; the scores of all parts.

    `named` are scores by the names that parts define, `best` is the best score of any part; `weights` are
    those that the scores were made with.
    """

    task: Task
    signals: dict[int, Signals]
    scores: dict[int, float]
    parts: Sequence[float]
    named: Sequence[float]
    best: float
    weights: Signals


class _Words(NamedTuple):
    """What the words of a task found: by part, by name, by text, by exact name; the rarity of each word."""

    parts: list[float]
    named: list[float]
    text: dict[int, float]
    exact: dict[int, float]


def read(query: str) -> Task:
    """The terms of a task. Those of its first line count more, those of its scope most."""
    query = query[:_LONGEST]
    headline, _, _ = query.partition("\n")
    first = terms(headline)
    weights = {
        term: 1 + 0.3 * min(count - 1, 4) + (0.7 if term in first else 0.0)
        for term, count in terms(query).items()
    }
    for match in _SCOPE.finditer(headline):
        for term in terms(match[1] or match[2]):
            weights[term] = weights.get(term, 0.0) + 1.0
    for term in _joined(query):
        weights.setdefault(term, 0.8)
    named = frozenset(pieces[-1] for name in names(query) if (pieces := terms_of(name)))
    mentions = tuple(dict.fromkeys(match.group().strip(".") for match in _PATH.finditer(query)))
    return Task(weights, named, mentions)


def _joined(query: str) -> Iterable[str]:
    """Neighbouring words as one: what prose calls an access token may be an AccessToken."""
    for line in query.splitlines():
        words = re.findall(r"[A-Za-z]+", line.lower())
        for one, two in pairwise(words):
            if len(one) > 2 and len(two) > 2 and terms_of(one) and terms_of(two):
                yield one + two


def search(
    corpus: Corpus, past: Past, query: str, given: Sequence[int], allowed: Collection[int] | None = None
) -> Found:
    """Everything that speaks for the files that are allowed, and for those that were given."""
    task = read(query)
    words = _by_words(corpus, task)
    weights = WEIGHTS if task.weights else IDLE
    asked = _Asked(task, weights, given, allowed)
    signals = _signals(corpus, past, asked, words)
    scores = {file: score(found, weights) for file, found in signals.items()}
    order = sorted(scores, key=lambda file: (-scores[file], file))
    best = max(max(words.parts, default=0.0), 1e-9)
    ordered = {file: signals[file] for file in order}
    return Found(task, ordered, {f: scores[f] for f in order}, words.parts, words.named, best, weights)


class _Asked(NamedTuple):
    """A task and how its signals weigh, the files that were given, and those that may be found."""

    task: Task
    weights: Signals
    given: Sequence[int]
    allowed: Collection[int] | None

    def standing(self, corpus: Corpus, values: Numbers) -> Numbers:
        """Values of contents, each for the first file of that content which may be found."""
        if self.allowed is None:
            return values
        found: dict[int, float] = {}
        for file, value in values.items():
            same = (file, *corpus.twins.get(file, ()))
            found[next((each for each in same if each in self.allowed), file)] = value
        return found


def _by_words(corpus: Corpus, task: Task) -> _Words:
    most = len(corpus.owner)
    found = _Words([0.0] * most, [0.0] * most, {}, {})
    for term, weight in task.weights.items():
        postings = corpus.index.postings(term)
        mine = [
            (file, posting & STRONGEST)
            for posting in postings.files
            if (file := corpus.file_of.get(posting >> IMPACT_BITS)) is not None
        ]
        if not mine or (len(mine) > len(corpus.paths) * _COMMON and len(corpus.paths) > 50):
            continue
        gain = rarity(len(mine), len(corpus.paths)) * weight
        for file, impact in mine:
            found.text[file] = found.text.get(file, 0.0) + gain * impact
        _add(found.parts, postings.parts, gain)
        _add(found.named, postings.names, gain)
        if term in task.names:
            _credit(found.exact, corpus, postings.names)
    return found


def _add(scores: list[float], postings: "array[int]", gain: float) -> None:
    worth = [gain * impact for impact in range(STRONGEST + 1)]
    most = len(scores)
    for posting in postings:
        part = posting >> IMPACT_BITS
        if part < most:
            scores[part] += worth[posting & STRONGEST]


def _credit(exact: dict[int, float], corpus: Corpus, postings: "array[int]") -> None:
    """Credit the files that define a name; the fewer they are, the more for each."""
    owner, most = corpus.owner, len(corpus.owner)
    parts = (p >> IMPACT_BITS for p in postings if p & STRONGEST == STRONGEST)
    owners = {owner[part] for part in parts if part < most} - {-1}
    for file in owners:
        exact[file] = exact.get(file, 0.0) + 1 / (1 + len(owners)) ** 0.5


def _signals(corpus: Corpus, past: Past, asked: _Asked, words: _Words) -> dict[int, Signals]:
    task, given = asked.task, asked.given
    paths = _by_path(corpus, task)
    mention = _mentioned(corpus, task)
    weights = {
        t: rarity(past.frequency[t], len(past.line) + 1) * w
        for t, w in task.weights.items()
        if past.frequency[t]
    }
    given_paths = [corpus.paths[file] for file in given]
    recent = normed(_numbered(corpus, past.recent))
    base: dict[str, Numbers] = {
        "parts": asked.standing(corpus, normed(_by_file(corpus, words.parts))),
        "text": asked.standing(corpus, normed(words.text)),
        "names": asked.standing(corpus, normed(_by_file(corpus, words.named))),
        "symbol": asked.standing(corpus, {file: min(1.0, value) for file, value in words.exact.items()}),
        "path": normed(paths),
        "mention": mention,
        "said": _rooted(normed(_numbered(corpus, past.votes(weights)))),
        "beside": _rooted(normed(_numbered(corpus, past.beside(given_paths)))),
        "recent": _rooted(recent),
    }
    chosen = [*_best(corpus, base, asked), *given]
    leaders = list(dict.fromkeys([*given, *chosen[:LEADERS]]))
    near = past.beside([corpus.paths[file] for file in chosen[:LEADERS]])
    folders = {_folder(corpus.paths[file]) for file in (given or chosen[:3])}
    stems = {stem(corpus.paths[file]): file for file in reversed(leaders)}
    base |= {
        "near": _rooted(normed(_numbered(corpus, near))),
        "linked": _linked(corpus, leaders, chosen),
        "pair": {f: 1.0 for f in chosen if stems.get(stem(corpus.paths[f]), f) != f},
        "folder": {f: 1.0 for f in chosen if _folder(corpus.paths[f]) in folders},
        "code": {f: 1.0 for f in chosen if grammar.language(corpus.paths[f])},
    }
    return {f: Signals(*(base[name].get(f, 0.0) for name in Signals._fields)) for f in chosen}


def _best(corpus: Corpus, base: Mapping[str, Numbers], asked: _Asked) -> list[int]:
    """The files that are looked at closely, the best first.

    Without a task, or where some are all that may be found, the rest of them follow.
    """
    sums: dict[int, float] = {}
    allowed = asked.allowed
    for name, values in base.items():
        weight = getattr(asked.weights, name)
        for file, value in values.items():
            if allowed is None or file in allowed:
                sums[file] = sums.get(file, 0.0) + weight * value
    order = sorted(sums, key=lambda file: (-sums[file], file))[:MOST_FILES]
    if allowed is not None or not asked.task.weights or not order:
        rest = sorted(allowed) if allowed is not None else range(len(corpus.paths))
        own = (file for file in rest if file not in sums)
        order += islice(own, MOST_FILES - len(order))
    return order


def _rooted(values: Numbers) -> dict[int, float]:
    return {file: value**0.5 for file, value in values.items()}


def _by_file(corpus: Corpus, scores: Sequence[float]) -> dict[int, float]:
    """The best part of each file, and a quarter of the next two."""
    tops: dict[int, list[float]] = {}
    for file, value in zip(corpus.owner, scores, strict=True):
        if value and file >= 0:
            if file in tops:
                tops[file].append(value)
            else:
                tops[file] = [value]
    return {file: _top(values) for file, values in tops.items()}


def _top(values: list[float]) -> float:
    values.sort(reverse=True)
    return values[0] + 0.25 * sum(values[1:3])


def _by_path(corpus: Corpus, task: Task) -> dict[int, float]:
    """Words of the task in paths, the rarer the better, and the shorter the path."""
    within: dict[str, list[int]] = {}
    for file, found in enumerate(corpus.path_terms):
        for term in found & task.weights.keys():
            within.setdefault(term, []).append(file)
    scored: dict[int, float] = {}
    for term, numbers in within.items():
        gain = rarity(len(numbers), len(corpus.paths)) * task.weights[term]
        for file in numbers:
            scored[file] = scored.get(file, 0.0) + gain
    return {file: value / (2 + len(corpus.path_terms[file])) ** 0.5 for file, value in scored.items()}


def _mentioned(corpus: Corpus, task: Task) -> dict[int, float]:
    """Files whose path, its end, or whose dotted module is written in the task."""
    found: dict[int, float] = {}
    for said in task.mentions:
        tail, dotted = f"/{said}", f"/{said.replace('.', '/')}."
        hits = [file for file, path in enumerate(corpus.rooted) if path.endswith(tail) or dotted in path]
        for file in hits:
            found[file] = max(found.get(file, 0.0), len(hits) ** -0.5)
    return found


def _numbered(corpus: Corpus, values: Mapping[str, float]) -> dict[int, float]:
    return {corpus.number[path]: value for path, value in values.items() if path in corpus.number}


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def stem(path: str) -> str:
    """What a file and its test have in common of their names."""
    name = path.rpartition("/")[2].partition(".")[0]
    return name.removeprefix("test_").removesuffix("_test").removesuffix("_tests").removesuffix("_spec")


def _linked(corpus: Corpus, leaders: Sequence[int], chosen: Iterable[int]) -> dict[int, float]:
    """Files whose name, or whose folder's, is the last part of what a leader imports."""
    called: dict[str, list[int]] = {}
    for file in chosen:
        folder, _, name = corpus.paths[file].rpartition("/")
        called.setdefault(name.partition(".")[0], []).append(file)
        called.setdefault(folder.rpartition("/")[2], []).append(file)
    found: dict[int, float] = {}
    for leader in leaders:
        for link in corpus.index.links(corpus.entries[leader].id):
            last = re.split(r"[./:\\]", link.removesuffix(".js").removesuffix(".ts"))[-1]
            for file in called.get(last, ())[:3]:
                if file != leader:
                    found[file] = 1.0
    return found
