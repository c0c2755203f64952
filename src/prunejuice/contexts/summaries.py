"""Summaries of files, folders and projects: read out of syntax trees, or asked of an agent, and kept."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from prunejuice import grammar, hierarchy
from prunejuice import outline as outlines
from prunejuice import survey as surveys
from prunejuice.agent import NOTHING, Answer, Limits, Spent, Task, added, taken
from prunejuice.contexts import budget, files, tokens
from prunejuice.contexts.asked import resolved
from prunejuice.contexts.bundling import cut
from prunejuice.contexts.corpus import Corpus
from prunejuice.contexts.gather import Engine
from prunejuice.errors import AgentError, LimitError, NotFoundError, UsageError
from prunejuice.hierarchy import Node
from prunejuice.manifest import Manifest, manifest
from prunejuice.outline import Outline, outline
from prunejuice.protocols import STOP, Agent, Stop
from prunejuice.relations import Told
from prunejuice.screening import LARGEST_NAMED, masked
from prunejuice.summary import SummaryResult

FOLDER = ".codebot/summaries"
LATEST = f"{FOLDER}/latest.md"
LIMIT = 2_000
"""Tokens of a summary when nothing else is said."""
OFFLINE = "offline"
_FILE, _MODULE = 250, 600
"""Tokens of the summaries of a file and of a folder, which become part of another."""
_PROMPT = 24_000
"""Tokens of the material of one question."""
_SHORT = 400
"""Bytes of a file that is too short to ask about: it is read out of its syntax tree."""
_PROMPTS = Path(__file__).parents[1] / "prompts"


class Wanted(NamedTuple):
    """What to summarize, in how many tokens, by which model, and how many questions may run at once.

    `limits` are those of money and tokens, of all questions together.
    """

    paths: tuple[str, ...] = ()
    limit: int = LIMIT
    model: str = ""
    jobs: int = 8
    limits: Limits = Limits()


class Made(NamedTuple):
    """A summary: `by` whom, of how many `files`, after how many `calls`; `kept` answers were known."""

    result: SummaryResult
    by: str
    files: int
    calls: int = 0
    kept: int = 0
    spent: Spent = NOTHING


class Planned(NamedTuple):
    """What making a summary takes: files, calls of a model, and about how many tokens of material."""

    files: int
    calls: int
    tokens: int


class Summaries:
    """The summaries of one tree."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._root = Path(engine.git.directory)
        self._places = _places(self._root, Path(engine.git.common) if engine.git.common else None)

    def offline(self, wanted: Wanted) -> Made:
        """The summary that files give of themselves.

        Raises:
            NotFoundError: a path names no file.
            UsageError: the limit holds nothing.
        """
        scope = self._scope(wanted)
        told = self._told(scope)
        whole = (str(outlines.VERSION), str(surveys.VERSION), OFFLINE, str(wanted.limit))
        around = [path for path in scope.corpus.paths if grammar.language(path)]
        key = _digest(*whole, *around, *(f"{path} {scope.blob(path)}" for path in scope.paths))
        result = self._known(key)
        kept = int(result is not None)
        if result is None:
            result = surveys.survey(told, wanted.limit, tokens.count)
            self._keep(key, result)
        return Made(result, OFFLINE, len(scope.paths), kept=kept)

    def planned(self, wanted: Wanted) -> Planned:
        """What asking would take now."""
        work = self._work(wanted)
        nodes = [node for level in work.levels for node in level]
        sizes = (
            min(work.scope.size(node.path) / 3.6, _PROMPT)
            if not node.children
            else _MODULE * len(node.children)
            for node in nodes
        )
        return Planned(len(work.scope.paths), len(nodes), int(sum(sizes)))

    def asked(
        self,
        wanted: Wanted,
        agent: Agent,
        stop: Stop,
        tell: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> Made:
        """The summary by a model: of files first, then of folders, only of what changed since.

        What was answered is kept at once, so that a run which ends early is gone on with by the next.

        Raises:
            AgentError: a question was not answered.
            LimitError: a limit was reached.
        """
        work = self._work(wanted)
        total = sum(map(len, work.levels))
        spent, done = NOTHING, 0
        for level in work.levels:
            asking = _Asking(agent, stop, wanted, spent)
            try:
                for key, answer in asking.answers({node.key: self._task(work, node) for node in level}):
                    work.results[key] = self._accepted(answer, key)
                    done += 1
                    tell(done, total)
            except (AgentError, LimitError) as error:
                if done:
                    kept = f"{done} of {total} answers are kept: the same command goes on from there"
                    error.message = f"{error.message} ({kept})"
                raise
            spent = asking.spent
        nodes = sum(1 for _ in _all(work.top))
        return Made(
            work.results[work.top.key], wanted.model, len(work.scope.paths), total, nodes - total, spent
        )

    def publish(self, result: SummaryResult) -> bool:
        """Write the summary as Markdown where people look for it; whether that could be done."""
        return _written(self._root, self._root / LATEST, result.to_markdown())

    # -- what is to be done ---------------------------------------------------------------------

    def _scope(self, wanted: Wanted) -> "_Scope":
        if wanted.limit < 100:
            raise UsageError(f"a summary of {wanted.limit} tokens says nothing", "give at least 100")
        paths = tuple(self._engine.rooted(path) for path in wanted.paths)
        named = frozenset(path for path in paths if not path.startswith("!"))
        corpus = self._engine.steady(lambda: self._engine.corpus(named))
        reach = resolved(corpus, paths)
        rest = reach.allowed(corpus) if reach.within is not None or not reach.named else frozenset()
        numbers = sorted({*reach.named, *(range(len(corpus.paths)) if rest is None else rest)})
        shown = [corpus.paths[n] for n in numbers]
        if not shown:
            raise NotFoundError("there is nothing to summarize here", "codeclip lists what there is")
        return _Scope(corpus, shown)

    def _told(self, scope: "_Scope") -> Told:
        found = self._engine.steady(lambda: self._outlines(scope))
        manifests: dict[str, Manifest] = {}
        for path in scope.paths:
            if not grammar.language(path) and (made := manifest(path, scope.text(path))):
                manifests[path] = made
        around = {path: language for path in scope.corpus.paths if (language := grammar.language(path))}
        introduction = next((found[path].doc for path in scope.paths if path == scope.readme), "")
        return Told(found, manifests, introduction, around)

    def _outlines(self, scope: "_Scope") -> dict[str, Outline]:
        """The outlines of files; those of contents that are new are read and kept."""
        index, found = self._engine.index, {}
        packed, new = index.outlines(outlines.VERSION), {}
        for path in scope.paths:
            row = scope.row(path)
            if row not in packed:
                made = outline(grammar.language(path), scope.text(path).encode("utf-8", "replace"))
                packed[row] = new[row] = msgspec.msgpack.encode(made)
            found[path] = msgspec.msgpack.decode(packed[row], type=Outline)
        if new:
            index.keep_outlines(outlines.VERSION, new)
        return found

    def _work(self, wanted: Wanted) -> "_Work":
        """The tree of what is to be summarized, and what of it is not known yet."""
        if not wanted.model:
            raise UsageError("no model is named", "name one: --model provider:name; --offline needs none")
        scope = self._scope(wanted)
        told = self._told(scope)
        contents = {path: scope.blob(path) for path in scope.paths if grammar.language(path)}
        contents = contents or {path: scope.blob(path) for path in scope.paths}
        salt = _digest(
            *map(_prompt, ("file", "module")),
            json.dumps(SummaryResult.schema_within(_FILE)),
            wanted.model,
            f"{_FILE} {_MODULE}",
        )
        top = hierarchy.hierarchy(contents, salt)
        facts = sorted(
            f"{path} {scope.blob(path)}" for path in (*told.manifests, scope.readme) if path in scope
        )
        top = top._replace(key=_digest(top.key, str(wanted.limit), *facts))
        work = _Work(scope, told, wanted, top, {}, [])
        work.levels.extend(hierarchy.missing(top, lambda node: self._have(work, node)))
        return work

    def _have(self, work: "_Work", node: Node) -> bool:
        """Whether a summary is known, or is read out of the file because that is too short to ask about."""
        result = self._known(node.key)
        if (
            result is None
            and not node.children
            and node != work.top
            and work.scope.size(node.path) < _SHORT
        ):
            told = Told({node.path: work.told.files[node.path]}, {}, "", work.told.around)
            result = surveys.survey(told, _FILE, tokens.count)
        if result is not None:
            work.results[node.key] = result
        return result is not None

    # -- what is asked --------------------------------------------------------------------------

    def _task(self, work: "_Work", node: Node) -> Task:
        limit = work.wanted.limit if node == work.top else _MODULE if node.children else _FILE
        material = self._parts(work, node) if node.children else self._file(work, node)
        paths = frozenset(path.path for path in hierarchy.leaves([node]))

        def check(output: Any) -> Any:
            result = SummaryResult.model_validate(output)
            return _grounded(result, paths).within(limit, tokens.count).model_dump(mode="json")

        return Task(
            prompt=f"{material}\n\nSummarize this in at most {limit} tokens.",
            instructions=_prompt("module" if node.children else "file"),
            schema=SummaryResult.schema_within(limit),
            check=check,
            model=work.wanted.model,
        )

    def _file(self, work: "_Work", node: Node) -> str:
        path = node.path
        told = Told({path: work.told.files[path]}, work.told.manifests, "", work.told.around)
        outlined = surveys.survey(told, 2 * _FILE, tokens.count).to_markdown()
        text = cut(masked(path, work.scope.text(path)), _PROMPT)
        return _framed(f"What its syntax tree tells of {path}", outlined) + "\n\n" + _framed(path, text)

    def _parts(self, work: "_Work", node: Node) -> str:
        room = _PROMPT // len(node.children)
        shown = []
        if node == work.top:
            outlined = surveys.survey(work.told, work.wanted.limit, tokens.count).to_markdown()
            shown.append(_framed("What syntax trees and manifests tell of all of it", outlined))
        for child in node.children:
            result = work.results.get(child.key) or self._known(child.key)
            if result is not None:
                shown.append(_framed(child.path, result.within(max(room, 60), tokens.count).to_markdown()))
        return "\n\n".join(shown)

    def _accepted(self, answer: Answer, key: str) -> SummaryResult:
        ended = answer.ended
        if ended.status != "ok":
            kind = LimitError if ended.status == "limit" else AgentError
            raise kind(ended.error, ended.fix)
        result = SummaryResult.model_validate(ended.output)
        self._keep(key, result)
        return result

    # -- what is kept ---------------------------------------------------------------------------

    def _known(self, key: str) -> SummaryResult | None:
        for place in self._places:
            with suppress(OSError, ValueError):
                return SummaryResult.model_validate_json((place / key[:2] / f"{key}.json").read_bytes())
        return None

    def _keep(self, key: str, result: SummaryResult) -> None:
        place = self._places[0]
        ignored = place / ".gitignore"
        if not ignored.exists():
            _written(self._root, ignored, "*\n")
        _written(self._root, place / key[:2] / f"{key}.json", result.model_dump_json(indent=1) + "\n")


class _Scope(NamedTuple):
    """The files that are summarized, by their paths, in order."""

    corpus: Corpus
    paths: Sequence[str]

    def __contains__(self, path: object) -> bool:
        return path in self.corpus.number

    @property
    def readme(self) -> str:
        """What introduces the files: the README of the folder that holds them all."""
        folder = os.path.commonpath(self.paths) if len(self.paths) > 1 else ""
        prefix = f"{folder}/" if folder else ""
        tops = [path for path in self.paths if path.startswith(prefix) and "/" not in path[len(prefix) :]]
        return next((path for path in tops if path[len(prefix) :].lower().startswith("readme")), "")

    def blob(self, path: str) -> str:
        """The id of the content of a file."""
        return self.corpus.blobs[self.corpus.number[path]]

    def row(self, path: str) -> int:
        """The row of the content of a file in the index."""
        return self.corpus.entries[self.corpus.number[path]].id

    def size(self, path: str) -> int:
        """The bytes of a file."""
        return self.corpus.entries[self.corpus.number[path]].size

    def text(self, path: str) -> str:
        """The text of a file; empty when it is gone by now."""
        data = files.content(self.corpus.listing.root, path, LARGEST_NAMED)
        return (data or b"").decode("utf-8", "replace")


class _Work(NamedTuple):
    """A tree of nodes, those results that are known by key, and in levels what has to be asked."""

    scope: _Scope
    told: Told
    wanted: Wanted
    top: Node
    results: dict[str, SummaryResult]
    levels: list[list[Node]]


def _prompt(name: str) -> str:
    return (_PROMPTS / f"summarize-{name}.md").read_text()


class _Asking:
    """Questions of one level, some at once, as long as there is money and there are tokens for them."""

    def __init__(self, agent: Agent, stop: Stop, wanted: Wanted, spent: Spent) -> None:
        self.agent, self.stop, self.wanted, self.spent = agent, stop, wanted, spent
        self.running: dict[Future[Answer], tuple[str, Spent]] = {}

    def answers(self, tasks: Mapping[str, Task]) -> Iterator[tuple[str, Answer]]:
        """The answers as they come; whoever takes no more stops the rest.

        Raises:
            LimitError: there is no room for a question; what was asked before is answered first.
        """
        waiting, fault = list(tasks.items()), None
        with ThreadPoolExecutor(self.wanted.jobs) as pool:
            try:
                while waiting or self.running:
                    try:
                        while waiting and len(self.running) < self.wanted.jobs:
                            self.ask(pool, *waiting[0])
                            waiting.pop(0)
                    except LimitError as error:
                        waiting, fault = [], error
                    yield from self.heard()
            finally:
                if self.running:
                    self.stop.request(STOP)
                    pool.shutdown(cancel_futures=True)
        if fault is not None:
            raise fault

    def ask(self, pool: ThreadPoolExecutor, key: str, task: Task) -> None:
        limits = self.wanted.limits
        out = reduce(added, (taking for _, taking in self.running.values()), self.spent)
        taking = budget.demand(limits, out, task.prompt, task.model)
        task = task._replace(limits=limits.less(out))
        self.running[pool.submit(lambda: taken(self.agent.run(task, self.stop)))] = key, taking

    def heard(self) -> Iterator[tuple[str, Answer]]:
        """What is answered next."""
        for future in wait(self.running, return_when=FIRST_COMPLETED).done:
            key, _ = self.running.pop(future)
            answer = future.result()
            self.spent = added(self.spent, answer.spent)
            yield key, answer


def _framed(title: str, text: str) -> str:
    """Material between two lines that it cannot imitate, because they carry a digest of it."""
    mark = _digest(title, text)[:12]
    return f"--- {title} [{mark}]\n{text.rstrip()}\n--- end [{mark}]"


def _grounded(result: SummaryResult, paths: frozenset[str]) -> SummaryResult:
    """A result without components in files that are not there; of one file all are in it."""
    if len(paths) == 1:
        [path] = paths
        every = tuple(each.model_copy(update={"file_path": path}) for each in result.components)
        return result.model_copy(update={"components": every})
    kept = tuple(
        each
        for each in result.components
        if each.file_path in paths
        or any(path.startswith(each.file_path.rstrip("/") + "/") for path in paths)
    )
    return result.model_copy(update={"components": kept})


def _all(node: Node) -> "list[Node]":
    return [node, *(inner for child in node.children for inner in _all(child))]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def _places(root: Path, common: Path | None) -> tuple[Path, ...]:
    """Where summaries are looked for: in the tree itself, and in the checkout that it is a worktree of."""
    own = root / FOLDER / "cache"
    main = common.parent / FOLDER / "cache" if common is not None and common.name == ".git" else own
    return (own,) if main == own else (own, main)


def _written(root: Path, place: Path, text: str) -> bool:
    """Write a file of ours below a root, whole or not at all, and never through a link."""
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.parent.resolve() != root.resolve() / place.parent.relative_to(root):
            return False
        if place.is_file() and place.read_text(encoding="utf-8", errors="replace") == text:
            return True
        beside = place.with_name(f".{place.name}.{os.getpid()}")
        beside.write_text(text, encoding="utf-8")
        beside.replace(place)
        return True
    return False
