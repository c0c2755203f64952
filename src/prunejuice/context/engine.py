"""Gather the context of a task: from a request and a tree to a bundle. Start reading the package here."""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from prunejuice.code import tokens
from prunejuice.code.exclude import exclusion_reason
from prunejuice.code.mask_secrets import mask_secrets
from prunejuice.context import assemble, fixed_weights, history, retrieval
from prunejuice.context.bundle import Bundle, Item, OmittedFile, Reason, escape_body
from prunejuice.context.changed import TreeDiff, changed_by_hand, read_tree_diff
from prunejuice.context.corpus import Corpus
from prunejuice.context.fill import MIN_RATE, fill_budget, plan_steps
from prunejuice.context.index import CodeIndex, IndexEntry
from prunejuice.context.index_location import locate_index
from prunejuice.context.packing import FULL_TEXT
from prunejuice.context.ranking import chances
from prunejuice.context.render import FileRenderer, TokenCache
from prunejuice.context.request import ContextRequest, PathScope, resolve_paths
from prunejuice.errors import DamagedStoreError, GitError, UsageError
from prunejuice.worktrees import file_listing

MAX_FILES = 128
"""The most ranked files that are considered for packing."""
T = TypeVar("T")
_PINNED = 0.75
"""The share of the budget for files that were named or changed."""
_DIFF = 0.4
_INPUT = 0.3
"""The shares of the budget for the diff and for the given output."""
_FRAME = 20
"""Tokens of the frame around the diff or the output, roughly."""


class _Selection(NamedTuple):
    """Pinned files with the reason, and the files that may be shown besides; None for all.

    `diff` is the diff against the requested commit, or against the head if none was requested.
    """

    pinned: Mapping[int, str]
    allowed: frozenset[int] | None
    scope: PathScope
    diff: TreeDiff


class Engine:
    """The context engine for one tree: keeps its index open, and caches results between requests."""

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        """Open the index of the repository around a directory, or of the directory itself outside one.

        Raises:
            UsageError: the directory is in a bare repository.
        """
        self.directory = directory.resolve()
        self.git, index_path = locate_index(self.directory, environ)
        self.index = CodeIndex(index_path)
        self._past: tuple[str, history.CommitHistory] = ("", history.CommitHistory([]))
        self._corpus: tuple[file_listing.FileListing, frozenset[str], Corpus] | None = None
        self._counted = TokenCache({}, {}, {}, set())
        self._warnings: list[str] = []
        self._known: dict[str, IndexEntry] = self.run_with_rebuild(self.index.entries)

    def close(self) -> None:
        """Close the index; the engine cannot gather any more."""
        self.index.close()

    def corpus(self, requested: frozenset[str] = frozenset()) -> Corpus:
        """Return the current files, reading only changed ones; `requested` files are never excluded."""
        listing = file_listing.list_files(self.git, requested)
        if self._corpus and self._corpus[:2] == (listing, requested) and self._corpus[2].is_current():
            return self._corpus[2]
        self._corpus = (listing, requested, Corpus(listing, self.index, self._known, requested))
        return self._corpus[2]

    def commit_history(self, head: str) -> history.CommitHistory:
        """Return the history of the last commits before `head`."""
        if self._past[0] != head:
            try:
                commits = history.load_commits(self.git, self.index, head)
            except GitError as error:
                commits = []
                self._warnings.append(f"the commit history is not used: {error.message}")
            self._past = (head, history.CommitHistory(commits))
        return self._past[1]

    def gather(self, request: ContextRequest) -> Bundle:
        """Return the bundle for a request; it never has more tokens than the budget.

        Raises:
            NotFoundError: a path selects no file.
            UsageError: the budget is below 200 tokens, or the commit of `diff` does not exist.
        """
        if request.budget < 200:
            raise UsageError(f"a budget of {request.budget} tokens is too small", "use at least 200")
        factor, budget = tokens.model_factor(request.model), request.budget
        request = request._replace(
            paths=tuple(self.path_from_root(path) for path in request.paths),
            budget=int(request.budget / factor),
        )
        bundle = self.run_with_rebuild(lambda: self._gather_once(request))
        return assemble.rescale_tokens(bundle, factor, budget)

    def run_with_rebuild(self, operation: Callable[[], T]) -> T:
        """Run an operation on the index; if the index is damaged, rebuild it and run it again."""
        try:
            return operation()
        except DamagedStoreError as error:
            self.index.rebuild(error.message)
            self._known, self._corpus, self._past = {}, None, ("", history.CommitHistory([]))
            self._counted = TokenCache({}, {}, {}, set())
            return operation()

    def listed_files(self) -> Collection[str]:
        """Return the files of the tree that git does not ignore."""
        return file_listing.list_files(self.git).files

    def _gather_once(self, request: ContextRequest) -> Bundle:
        corpus = self.corpus(frozenset(path for path in request.paths if not path.startswith("!")))
        given = assemble.truncate_text(
            mask_secrets("", request.given), int(request.budget * _INPUT), request.style
        )
        selection = self._select_files(request, corpus)
        diff = assemble.truncate_text(
            self._diff_text(request, corpus, selection), int(request.budget * _DIFF), request.style
        )
        spent = (
            tokens.count(escape_body(request.style, diff))
            + tokens.count(escape_body(request.style, given))
            + 2 * _FRAME
        )
        results = None
        if request.strategy == "static":
            items = self._static_items(request, corpus, selection, spent)
        else:
            query = f"{request.query}\n{request.given}" if request.given else request.query
            commits = self.commit_history(corpus.listing.head)
            results = retrieval.search(corpus, commits, query, list(selection.pinned), selection.allowed)
            items = self._ranked_items(request, corpus, results, selection, spent)
        return self._assemble_bundle(request, corpus, results, items, _ExtraText(diff, given, selection))

    def select_items(
        self, query: str, given: Sequence[str], budgets: Sequence[int]
    ) -> dict[int, tuple[Item, ...]]:
        """Return the items to show besides the files in `given`, for each of several budgets."""
        return self.run_with_rebuild(lambda: self._select_once(query, given, budgets))

    def _select_once(
        self, query: str, given: Sequence[str], budgets: Sequence[int]
    ) -> dict[int, tuple[Item, ...]]:
        corpus = self.corpus()
        numbers = [corpus.number[path] for path in given if path in corpus.number]
        results = retrieval.search(corpus, self.commit_history(corpus.listing.head), query, numbers)
        renderer = FileRenderer(corpus, "text", self._counted)
        likely = _likely_files(results, frozenset(numbers), None)
        steps = plan_steps(renderer, results, likely)
        chosen = {budget: fill_budget(renderer, steps, budget) for budget in budgets}
        items = {
            budget: tuple(
                assemble.build_item(renderer, file, forms[file], "slice", results, likely)
                for file in likely
                if file in forms
            )
            for budget, forms in chosen.items()
        }
        self._save_counts(renderer)
        return items

    def path_from_root(self, path: str) -> str:
        """Return a path relative to the root of the tree; a leading `!` is kept, globs stay as they are.

        Raises:
            UsageError: the path is outside the tree.
        """
        sign = "!" if path.startswith("!") else ""
        target = Path(os.path.normpath(self.directory / path.removeprefix("!")))
        root = self.git.directory
        # Of the parent only: a symlink itself is a file of the tree.
        if not target.is_relative_to(root):
            target = target.parent.resolve() / target.name
        if not target.is_relative_to(root):
            raise UsageError(f"{path} is outside {root}", "go to that folder and run the command there")
        relative = "" if str(target) == root else str(target.relative_to(root))
        # `./` keeps a name that begins with `!` from being read as an exclusion.
        return sign + (f"./{relative}" if relative.startswith("!") else relative)

    # -- selection ------------------------------------------------------------------------------

    def _select_files(self, request: ContextRequest, corpus: Corpus) -> _Selection:
        scope = resolve_paths(corpus, request.paths)
        diff = self._tree_diff(request, corpus)
        allowed = scope.allowed_files(corpus)
        pinned = dict.fromkeys(scope.named, "given")
        changed = changed_by_hand(corpus.listing)
        for path in (*sorted(diff.lines if request.diff else ()), *sorted(changed)):
            file = corpus.number.get(path)
            if file is not None and not request.only and (allowed is None or file in allowed):
                pinned.setdefault(file, "changed")
        if request.tests:
            pinned |= dict.fromkeys(_test_files(corpus, pinned, scope), "a test of what is given")
            if scope.within is not None:
                allowed = scope.within.union(_test_files(corpus, scope.within, scope))
        if request.only:
            allowed = frozenset(pinned) | (allowed if scope.within is not None and allowed else frozenset())
        return _Selection(pinned, allowed, scope, diff)

    def _tree_diff(self, request: ContextRequest, corpus: Corpus) -> TreeDiff:
        """Return the diff against the requested commit, or against the head if none was requested.

        Raises:
            UsageError: the commit does not exist.
        """
        head = corpus.listing.head
        if not request.diff:
            return read_tree_diff(self.git, head, 0) if head and corpus.listing.changed else TreeDiff()
        if not head:
            raise UsageError("no commit to compare with", "commit something first, or omit --diff")
        since = self.git.resolve(request.diff)
        if not since:
            raise UsageError(f"unknown commit {request.diff!r}", "name a commit that git log shows")
        return read_tree_diff(self.git, since, 2)

    def _diff_text(self, request: ContextRequest, corpus: Corpus, selection: _Selection) -> str:
        """Return the diff of the files that may be shown, deleted files included."""
        named, lines = frozenset(request.paths), selection.diff.lines
        unlisted = [path for path in lines if path not in corpus.number]
        ignored = file_listing.find_ignored_paths(self.git, unlisted)

        def fits(path: str) -> bool:
            is_hidden = (
                path in corpus.excluded
                or (path not in corpus.number and exclusion_reason(path))
                or path in ignored
            )
            return selection.scope.includes(path) and (path in named or not is_hidden)

        return selection.diff.text(fits) if request.diff else ""

    # -- ranked ---------------------------------------------------------------------------------

    def _ranked_items(
        self,
        request: ContextRequest,
        corpus: Corpus,
        results: retrieval.SearchResult,
        selection: _Selection,
        spent: int,
    ) -> tuple[Item, ...]:
        renderer = FileRenderer(corpus, request.style, self._counted)
        budget = request.budget - spent
        items: list[Item] = []
        room = int(budget * (1 if request.only else _PINNED))
        hunks = selection.diff.lines
        for file, reason in selection.pinned.items():
            lines = hunks.get(corpus.paths[file], ()) if reason == "changed" else ()
            item = self._pinned_item(renderer, results, file, (reason, lines), room)
            if item is not None:
                items.append(item)
                room -= item.tokens
                budget -= item.tokens
        likely = _likely_files(results, frozenset(selection.pinned), selection.allowed)
        least = MIN_RATE if results.query.weights else 0.0
        chosen = fill_budget(renderer, plan_steps(renderer, results, likely, least), budget)
        items += [
            assemble.build_item(renderer, file, chosen[file], "slice", results, likely)
            for file in likely
            if file in chosen
        ]
        self._save_counts(renderer)
        return tuple(items)

    def _pinned_item(
        self,
        renderer: FileRenderer,
        results: retrieval.SearchResult,
        file: int,
        pin_reason: "_PinReason",
        room: int,
    ) -> Item | None:
        """Return an item for a named or changed file: all of it, or its best chunks if it does not fit."""
        pinned = {file: 1.0}
        reason, lines = pin_reason
        numbers = [
            number
            for number, chunk in enumerate(renderer.chunks(file))
            if not lines or any(chunk.first <= last and first <= chunk.last for first, last in lines)
        ]
        all_chunks = dict.fromkeys(numbers, FULL_TEXT)
        # Tokens are hardly longer than 8 bytes: a larger file cannot fit, and need not be counted.
        size = renderer.corpus.entries[file].size / 8
        if (lines or size < room) and renderer.frame_tokens(file) + renderer.chunk_tokens(
            file, all_chunks
        ) <= room:
            forms = {file: all_chunks}
        else:
            forms = fill_budget(renderer, plan_steps(renderer, results, pinned), room)
        if file not in forms:
            return None
        item = assemble.build_item(renderer, file, forms[file], "pinned", results, pinned)
        return msgspec.structs.replace(item, reasons=(Reason(reason, 10.0), *item.reasons))

    def _save_counts(self, renderer: FileRenderer) -> None:
        if renderer.new:
            self.index.save_token_counts({row: self._counted.chunk_tokens[row] for row in renderer.new})

    # -- static ---------------------------------------------------------------------------------

    def _static_items(
        self, request: ContextRequest, corpus: Corpus, selection: _Selection, spent: int
    ) -> tuple[Item, ...]:
        """Return whole files in the order of their fixed weights, as long as they fit."""
        renderer = FileRenderer(corpus, request.style, self._counted)
        all_files = frozenset(range(len(corpus.paths)))
        candidates = all_files if selection.allowed is None else selection.allowed
        facts = self._static_facts(corpus, selection, candidates | selection.pinned.keys())
        sizes = {file: corpus.entries[file].size for file in facts}
        budget, items = request.budget - spent, []
        for file, worth in fixed_weights.rank_files(facts, sizes):
            all_chunks = renderer.whole_file(file)
            if (
                sizes[file] / 16 > budget
                or (cost := renderer.frame_tokens(file) + renderer.chunk_tokens(file, all_chunks)) > budget
            ):
                continue
            budget -= cost
            item = assemble.build_item(renderer, file, all_chunks, "full", None, {})
            items.append(
                msgspec.structs.replace(item, score=worth, reasons=fixed_weights.to_reasons(facts[file]))
            )
            if budget < 20:
                break
        self._save_counts(renderer)
        return tuple(items)

    def _static_facts(
        self, corpus: Corpus, selection: _Selection, candidates: Iterable[int]
    ) -> dict[int, list[str]]:
        recent = self.commit_history(corpus.listing.head).recency
        stems = {retrieval.module_stem(corpus.paths[file]) for file in selection.pinned}
        imported = {
            link.replace("\\", "/").replace("::", "/").replace(".", "/").rpartition("/")[2]
            for file in selection.pinned
            for link in corpus.index.import_targets(corpus.entries[file].id)
        }
        facts: dict[int, list[str]] = {}
        for file in candidates:
            path = corpus.paths[file]
            file_facts = facts[file] = []
            if file in selection.pinned:
                file_facts.append("diff")
            elif retrieval.module_stem(path) in stems:
                file_facts.append("test")
            elif retrieval.module_stem(path) in imported:
                file_facts.append("import")
            if recent.get(path, 0.0) > 0.5:
                file_facts.append("recent")
        return facts

    # -- the bundle -----------------------------------------------------------------------------

    def _assemble_bundle(
        self,
        request: ContextRequest,
        corpus: Corpus,
        results: retrieval.SearchResult | None,
        items: tuple[Item, ...],
        extra: "_ExtraText",
    ) -> Bundle:
        notes = [f"the index was rebuilt: {self.index.rebuilt}"] if self.index.rebuilt else []
        shown = {item.path for item in items}
        named = [corpus.paths[file] for file, reason in extra.selection.pinned.items() if reason == "given"]
        missing = [path for path in named if path not in shown]
        if results is not None and request.query and not any(results.chunk_scores):
            notes.append("no file contains a word of the task: the selection is a guess")
        notes += [*self._warnings, *(f"{path} is not shown: {assemble.DOES_NOT_FIT}" for path in missing)]
        extra_texts = (extra.diff, extra.given)
        room = request.budget - sum(item.tokens for item in items) - sum(map(tokens.count, extra_texts))
        omitted = [OmittedFile(path, assemble.DOES_NOT_FIT, 1.0) for path in missing]
        rest = assemble.omitted_files(corpus, results, shown.union(missing), room=room)
        bundle = Bundle(
            query=mask_secrets("", request.query),
            root=corpus.listing.root,
            head=corpus.listing.head,
            budget=request.budget,
            used=0,
            tokenizer=tokens.ENCODING,
            strategy=request.strategy,
            items=tuple(sorted(items, key=lambda item: item.path)),
            diff=extra.diff,
            given=extra.given,
            left_out=(*omitted, *rest),
            notes=tuple(notes),
        )
        return assemble.fit_budget(bundle, request.style)


class _ExtraText(NamedTuple):
    """The texts that are shown besides files, and the selection."""

    diff: str
    given: str
    selection: _Selection


_PinReason = tuple[str, Sequence[tuple[int, int]]]


def _test_files(corpus: Corpus, files: Iterable[int], scope: PathScope) -> list[int]:
    """Return the files that look like tests of some files, and may be shown."""
    stems = {retrieval.module_stem(corpus.paths[file]) for file in files}
    return [
        file
        for file, path in enumerate(corpus.paths)
        if retrieval.module_stem(path) in stems and "test" in path.lower() and not scope.excludes(path)
    ]


def _likely_files(
    results: retrieval.SearchResult, excluded: frozenset[int], allowed: frozenset[int] | None
) -> dict[int, float]:
    """Return the probability of each file that may be shown, the best first."""
    top = [
        file for file in results.scores if file not in excluded and (allowed is None or file in allowed)
    ][:MAX_FILES]
    if not top:
        return {}
    return dict(zip(top, chances([results.scores[file] for file in top]), strict=True))
