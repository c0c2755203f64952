"""Gathering: from a task and a tree to what a model is shown. Read this first of the contexts."""

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from prunejuice import git as gits
from prunejuice import settings
from prunejuice.context import Bundle, Item, LeftOut, Reason, body
from prunejuice.contexts import bundling, files, past, retrieval, static, tokens
from prunejuice.contexts.asked import Ask, Reach, resolved
from prunejuice.contexts.corpus import Corpus
from prunejuice.contexts.differences import Difference, difference
from prunejuice.contexts.index import VERSION, Entry, Index
from prunejuice.contexts.pages import Counted, Pages
from prunejuice.errors import DamagedError, GitError, UsageError
from prunejuice.git import Git
from prunejuice.packing import NAMED, SHOWN, Step, chosen, steps
from prunejuice.ranking import PRESENT, chances, shares
from prunejuice.screening import masked, unfit

MOST_PACKED = 128
"""Files of which something may be shown."""
LEAST = 1.5e-6
"""Worth for a token below which nothing is shown, however much is left of the budget."""
_WHOLE = 0.85
"""A file of which this share would be shown is shown whole."""
T = TypeVar("T")
_PINNED = 0.75
"""The share of the budget that files may take which were given or changed."""
_DIFF, _INPUT = 0.4, 0.3
"""The shares of the budget that the difference and the given output may take."""
_FRAME = 20


class _Chosen(NamedTuple):
    """Files that are pinned, with the reason, and those that may be shown besides; None for all.

    `difference` is how they differ from the commit that was asked for, else from the head.
    """

    pinned: Mapping[int, str]
    allowed: frozenset[int] | None
    reach: Reach
    difference: Difference


class Engine:
    """One tree, its index open, and what is known of it remembered between questions."""

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        """Open the index of the repository around a folder, or of the folder itself outside one.

        Raises:
            UsageError: it is in a bare repository.
        """
        self.directory = directory.resolve()
        self.git, place = _opened(self.directory, environ)
        self.index = Index(place)
        self._known: dict[str, Entry] = {}
        self._past: tuple[str, past.Past] = ("", past.Past([]))
        self._corpus: tuple[files.Listing, frozenset[str], Corpus] | None = None
        self._counted = Counted({}, {}, set())
        self._without: list[str] = []
        self._known = self.steady(self.index.entries)

    def corpus(self, wanted: frozenset[str] = frozenset()) -> Corpus:
        """The files as they are now; only what changed is read again."""
        listing = files.listed(self.git, wanted)
        if self._corpus and self._corpus[:2] == (listing, wanted) and self._corpus[2].current():
            return self._corpus[2]
        made = Corpus(listing, self.index, self._known, wanted)
        self._corpus = (listing, wanted, made)
        return made

    def past(self, head: str) -> past.Past:
        """The last commits before a head."""
        if self._past[0] != head:
            try:
                found = past.commits(self.git, self.index, head)
            except GitError as error:
                found = []
                self._without.append(f"the history is not used: {error.message}")
            self._past = (head, past.Past(found))
        return self._past[1]

    def gather(self, ask: Ask) -> Bundle:
        """What a model is shown for a task; never more tokens than the budget.

        Raises:
            NotFoundError: a path names no file.
            UsageError: the budget is too small for anything, or there is no such commit.
        """
        if ask.budget < 200:
            raise UsageError(f"a budget of {ask.budget} tokens holds nothing", "give at least 200")
        factor, budget = tokens.factor(ask.model), ask.budget
        ask = ask._replace(
            paths=tuple(self.rooted(path) for path in ask.paths), budget=int(ask.budget / factor)
        )
        return bundling.counted_for(self.steady(lambda: self._gathered(ask)), factor, budget)

    def steady(self, do: Callable[[], T]) -> T:
        """Do something with the index, and once more with a new one when it turns out to be damaged."""
        try:
            return do()
        except DamagedError as error:
            self.index.rebuild(error.message)
            self._known, self._corpus, self._past = {}, None, ("", past.Past([]))
            self._counted = Counted({}, {}, set())
            return do()

    def listed(self) -> Collection[str]:
        """The files of the tree that git does not ignore."""
        return files.listed(self.git).files

    def _gathered(self, ask: Ask) -> Bundle:
        corpus = self.corpus(frozenset(path for path in ask.paths if not path.startswith("!")))
        shown = bundling.cut(masked("", ask.given), int(ask.budget * _INPUT), ask.style)
        choice = self._choice(ask, corpus)
        diff = bundling.cut(self._differing(ask, corpus, choice), int(ask.budget * _DIFF), ask.style)
        spent = tokens.count(body(ask.style, diff)) + tokens.count(body(ask.style, shown)) + 2 * _FRAME
        found = None
        if ask.strategy == "static":
            items = self._static(ask, corpus, choice, spent)
        else:
            query = f"{ask.query}\n{ask.given}" if ask.given else ask.query
            line = self.past(corpus.listing.head)
            found = retrieval.search(corpus, line, query, list(choice.pinned), choice.allowed)
            items = self._ranked(ask, corpus, found, choice, spent)
        return self._bundle(ask, corpus, found, items, _Shown(diff, shown, choice))

    def select(
        self, query: str, given: Sequence[str], budgets: Sequence[int]
    ) -> dict[int, tuple[Item, ...]]:
        """What is shown besides some given files, for several budgets at once."""
        return self.steady(lambda: self._selected(query, given, budgets))

    def _selected(
        self, query: str, given: Sequence[str], budgets: Sequence[int]
    ) -> dict[int, tuple[Item, ...]]:
        corpus = self.corpus()
        numbers = [corpus.number[path] for path in given if path in corpus.number]
        found = retrieval.search(corpus, self.past(corpus.listing.head), query, numbers)
        pages = Pages(corpus, "text", self._counted)
        likely = _likely(found, frozenset(numbers), None)
        ordered, price = self._steps(pages, found, likely)
        picked = {budget: self._packed(pages, ordered, budget, price) for budget in budgets}
        items = {
            budget: tuple(
                bundling.item(pages, file, forms[file], "slice", found, likely)
                for file in likely
                if file in forms
            )
            for budget, forms in picked.items()
        }
        self._keep(pages)
        return items

    def rooted(self, path: str) -> str:
        """A path as it is from the root of the tree, `!` kept; globs stay as they are."""
        sign = "!" if path.startswith("!") else ""
        place = Path(os.path.normpath(self.directory / path.removeprefix("!")))
        root = self.git.directory
        if not place.is_relative_to(root):
            place = place.parent.resolve() / place.name
        if not place.is_relative_to(root):
            raise UsageError(f"{path} is outside {root}", "go there, and ask again")
        found = "" if str(place) == root else str(place.relative_to(root))
        return sign + (f"./{found}" if found.startswith("!") else found)

    # -- what is asked for ----------------------------------------------------------------------

    def _choice(self, ask: Ask, corpus: Corpus) -> _Chosen:
        reach = resolved(corpus, ask.paths)
        differs = self._difference(ask, corpus)
        allowed = reach.allowed(corpus)
        pinned = dict.fromkeys(reach.named, "given")
        touched = corpus.listing.changed if corpus.listing.head else ()
        for path in (*sorted(differs.lines if ask.diff else ()), *sorted(touched)):
            file = corpus.number.get(path)
            if file is not None and not ask.only and (allowed is None or file in allowed):
                pinned.setdefault(file, "changed")
        if ask.tests:
            pinned |= dict.fromkeys(_tests(corpus, pinned, reach), "a test of what is given")
            if reach.within is not None:
                allowed = reach.within.union(_tests(corpus, reach.within, reach))
        if ask.only:
            allowed = frozenset(pinned) | (allowed if reach.within is not None and allowed else frozenset())
        return _Chosen(pinned, allowed, reach, differs)

    def _difference(self, ask: Ask, corpus: Corpus) -> Difference:
        """How the tree differs from the commit that is asked for, else from its head.

        Raises:
            UsageError: there is no such commit.
        """
        head = corpus.listing.head
        if not ask.diff:
            return difference(self.git, head, 0) if head and corpus.listing.changed else Difference()
        since = self.git.resolve(ask.diff) if head else ""
        if not since:
            fix = "name one that git log shows" if head else "commit something first, or leave out --diff"
            raise UsageError(f"there is no commit {ask.diff!r} to compare with", fix)
        return difference(self.git, since, 2)

    def _differing(self, ask: Ask, corpus: Corpus, choice: _Chosen) -> str:
        """The text of a difference: of files that may be shown, also of those that are gone."""
        named, lines = frozenset(ask.paths), choice.difference.lines
        gone = files.hidden(self.git, [path for path in lines if path not in corpus.number])

        def fits(path: str) -> bool:
            apart = path in corpus.left or (path not in corpus.number and unfit(path)) or path in gone
            return choice.reach.has(path) and (path in named or not apart)

        return choice.difference.text(fits) if ask.diff else ""

    # -- ranked ---------------------------------------------------------------------------------

    def _ranked(
        self, ask: Ask, corpus: Corpus, found: retrieval.Found, choice: _Chosen, spent: int
    ) -> tuple[Item, ...]:
        pages = Pages(corpus, ask.style, self._counted)
        budget = ask.budget - spent
        items: list[Item] = []
        room = int(budget * (1 if ask.only else _PINNED))
        hunks = choice.difference.lines
        for file, why in choice.pinned.items():
            touched = hunks.get(corpus.paths[file], ()) if why == "changed" else ()
            item = self._pinned(pages, found, file, (why, touched), room)
            if item is not None:
                items.append(item)
                room -= item.tokens
                budget -= item.tokens
        likely = _likely(found, frozenset(choice.pinned), choice.allowed)
        least = LEAST if found.task.weights else 0.0
        ordered, price = self._steps(pages, found, likely, least)
        picked = self._packed(pages, ordered, budget, price)
        items += [
            bundling.item(pages, file, picked[file], "slice", found, likely)
            for file in likely
            if file in picked
        ]
        self._keep(pages)
        return tuple(items)

    def _pinned(
        self, pages: Pages, found: retrieval.Found, file: int, why: "_Why", room: int
    ) -> Item | None:
        """A file that was given, or what changed of one: all of it, or its best parts."""
        pinned = {file: 1.0}
        reason, lines = why
        numbers = [
            number
            for number, part in enumerate(pages.parts(file))
            if not lines or any(part.first <= last and first <= part.last for first, last in lines)
        ]
        every = dict.fromkeys(numbers, SHOWN)
        size = pages.corpus.entries[file].size / 8
        if (lines or size < room) and pages.entry(file) + pages.cost(file, every) <= room:
            forms = {file: every}
        else:
            ordered, price = self._steps(pages, found, pinned)
            forms = chosen(ordered, room, price)
            left = room - sum(price(each, {}, forms[each]) for each in forms)
            forms = _framed(pages, forms, left, price)
        if file not in forms:
            return None
        made = bundling.item(pages, file, forms[file], "pinned", found, pinned)
        return msgspec.structs.replace(made, reasons=(Reason(reason, 10.0), *made.reasons))

    def _steps(
        self, pages: Pages, found: retrieval.Found, likely: Mapping[int, float], least: float = LEAST
    ) -> tuple[list[Step], "Price"]:
        groups = []
        for file, chance in likely.items():
            _, first, count, _ = pages.corpus.entries[file]
            if not count:
                continue
            scores, named = found.parts[first : first + count], found.named[first : first + count]
            share = shares(pages.parts(file), scores, named, found.best)
            groups += pages.groups(file, chance, share, least)
        entries = {file: (0.5 * PRESENT * chance, pages.entry(file)) for file, chance in likely.items()}

        def price(file: int, before: Mapping[int, int], after: Mapping[int, int]) -> int:
            fee = 0 if before else pages.entry(file)
            return fee + pages.cost(file, after) - pages.cost(file, before)

        ordered = [step for step in steps(groups, entries) if step.rate >= least]
        return ordered, price

    def _packed(
        self, pages: Pages, ordered: Sequence[Step], budget: int, price: "Price"
    ) -> dict[int, dict[int, int]]:
        """Parts within a budget; a file that is nearly whole is made whole while there is room."""
        picked = chosen(ordered, budget, price)
        left = budget - sum(price(file, {}, forms) for file, forms in picked.items())
        for file, forms in picked.items():
            every = pages.whole(file)
            shown = sum(form == SHOWN for form in forms.values())
            if (
                forms != every
                and shown >= len(every) * _WHOLE
                and (more := price(file, forms, every)) <= left
            ):
                picked[file] = every
                left -= more
        return _framed(pages, picked, left, price)

    def _keep(self, pages: Pages) -> None:
        if pages.new:
            self.index.keep_counts({row: self._counted.parts[row] for row in pages.new})

    # -- static ---------------------------------------------------------------------------------

    def _static(self, ask: Ask, corpus: Corpus, choice: _Chosen, spent: int) -> tuple[Item, ...]:
        """Whole files by fixed weights, the first that fit."""
        pages = Pages(corpus, ask.style, self._counted)
        among = choice.allowed if choice.allowed is not None else frozenset(range(len(corpus.paths)))
        facts = self._facts(corpus, choice, among | choice.pinned.keys())
        sizes = {file: corpus.entries[file].size for file in facts}
        budget, items = ask.budget - spent, []
        for file, worth in static.ordered(facts, sizes):
            every = pages.whole(file)
            if sizes[file] / 16 > budget or (cost := pages.entry(file) + pages.cost(file, every)) > budget:
                continue
            budget -= cost
            made = bundling.item(pages, file, every, "full", None, {})
            items.append(msgspec.structs.replace(made, score=worth, reasons=static.reasons(facts[file])))
            if budget < 20:
                break
        self._keep(pages)
        return tuple(items)

    def _facts(self, corpus: Corpus, choice: _Chosen, among: Iterable[int]) -> dict[int, list[str]]:
        recent = self.past(corpus.listing.head).recent
        stems = {retrieval.stem(corpus.paths[file]) for file in choice.pinned}
        links = {
            link.replace("\\", "/").replace("::", "/").replace(".", "/").rpartition("/")[2]
            for file in choice.pinned
            for link in corpus.index.links(corpus.entries[file].id)
        }
        facts: dict[int, list[str]] = {}
        for file in among:
            path = corpus.paths[file]
            known = facts[file] = []
            if file in choice.pinned:
                known.append("diff")
            elif retrieval.stem(path) in stems:
                known.append("test")
            elif retrieval.stem(path) in links:
                known.append("import")
            if recent.get(path, 0.0) > 0.5:
                known.append("recent")
        return facts

    # -- what comes of it -----------------------------------------------------------------------

    def _bundle(
        self,
        ask: Ask,
        corpus: Corpus,
        found: retrieval.Found | None,
        items: tuple[Item, ...],
        shown: "_Shown",
    ) -> Bundle:
        notes = [f"the index was rebuilt: {self.index.rebuilt}"] if self.index.rebuilt else []
        there = {item.path for item in items}
        given = [corpus.paths[file] for file, why in shown.choice.pinned.items() if why == "given"]
        lacking = [path for path in given if path not in there]
        if found is not None and ask.query and not any(found.parts):
            notes.append("no word of the task is in any file: what is shown is a guess")
        notes += [*self._without, *(f"{path} is not shown: {bundling.DOES_NOT_FIT}" for path in lacking)]
        beside = (shown.diff, shown.given)
        room = ask.budget - sum(item.tokens for item in items) - sum(map(tokens.count, beside))
        left = [LeftOut(path, bundling.DOES_NOT_FIT, 1.0) for path in lacking]
        rest = bundling.left_out(corpus, found, there.union(lacking), room=room)
        bundle = Bundle(
            query=masked("", ask.query),
            root=corpus.listing.root,
            head=corpus.listing.head,
            budget=ask.budget,
            used=0,
            tokenizer=tokens.ENCODING,
            strategy=ask.strategy,
            items=tuple(sorted(items, key=lambda item: item.path)),
            diff=shown.diff,
            given=shown.given,
            left_out=(*left, *rest),
            notes=tuple(notes),
        )
        return bundling.within(bundle, ask.style)


def _framed(
    pages: Pages, picked: Mapping[int, dict[int, int]], left: int, price: "Price"
) -> dict[int, dict[int, int]]:
    """Parts with the signatures of what they are inside of, as far as there is room for them."""
    framed = {}
    for file, forms in picked.items():
        more = dict.fromkeys(pages.around(file, forms), NAMED) | forms
        cost = price(file, forms, more) if len(more) > len(forms) else 0
        framed[file] = more if cost <= left else forms
        left -= cost if cost <= left else 0
    return framed


class _Shown(NamedTuple):
    """What is shown besides files."""

    diff: str
    given: str
    choice: _Chosen


_Why = tuple[str, Sequence[tuple[int, int]]]
Price = Callable[[int, Mapping[int, int], Mapping[int, int]], int]


def _opened(directory: Path, environ: Mapping[str, str]) -> tuple[Git, Path | None]:
    name = f"context/index-{VERSION}.db"
    if gits.may_be_inside(directory):
        git = gits.git(directory, dict(environ)).located()
        place = Path(git.common) / "prunejuice" / name
        key = git.common
    else:
        root = directory.resolve()
        if (root / "HEAD").is_file() and (root / "objects").is_dir():
            gits.git(root, dict(environ)).located()  # says that it is a bare repository
        git = gits.outside(root, dict(environ))
        key, place = str(root), Path()
    if place == Path() or not _writable(place):
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:24]
        place = settings.home(environ) / "trees" / digest / name
    return git, place if _writable(place) else None


def _writable(place: Path) -> bool:
    """Whether a file can be written, and others beside it: SQLite keeps two."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    except OSError:
        return False
    return os.access(place, os.R_OK | os.W_OK) and os.access(place.parent, os.W_OK | os.X_OK)


def _tests(corpus: Corpus, of: Iterable[int], reach: Reach) -> list[int]:
    """The files that look like tests of some files, and may be shown."""
    stems = {retrieval.stem(corpus.paths[file]) for file in of}
    return [
        file
        for file, path in enumerate(corpus.paths)
        if retrieval.stem(path) in stems and "test" in path.lower() and not reach.excludes(path)
    ]


def _likely(
    found: retrieval.Found, without: frozenset[int], allowed: frozenset[int] | None
) -> dict[int, float]:
    """The files of which something may be shown, the best first, and how likely each matters."""
    top = [file for file in found.scores if file not in without and (allowed is None or file in allowed)][
        :MOST_PACKED
    ]
    if not top:
        return {}
    return dict(zip(top, chances([found.scores[file] for file in top]), strict=True))
