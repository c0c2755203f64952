"""Summarize files, folders and projects offline or with an agent, and cache the results."""

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

from prunejuice.agents import budget
from prunejuice.agents.protocol import (
    NO_USAGE,
    Agent,
    AgentResult,
    Limits,
    Task,
    Usage,
    collect_result,
    total_usage,
)
from prunejuice.code import outline as outlines
from prunejuice.code import tokens
from prunejuice.code.exclude import MAX_NAMED_BYTES
from prunejuice.code.languages import language_for_path
from prunejuice.code.manifest import Manifest, parse_manifest
from prunejuice.code.mask_secrets import mask_secrets
from prunejuice.code.outline import Outline, outline
from prunejuice.code.relations import SurveyInput
from prunejuice.context.assemble import truncate_text
from prunejuice.context.corpus import Corpus
from prunejuice.context.engine import Engine
from prunejuice.context.request import resolve_paths
from prunejuice.errors import AgentError, LimitError, NotFoundError, UsageError
from prunejuice.system.stop_request import STOP, Stop
from prunejuice.verbs.summarize import hierarchy
from prunejuice.verbs.summarize import survey as surveys
from prunejuice.verbs.summarize.hierarchy import SummaryNode
from prunejuice.verbs.summarize.summary import SummaryResult
from prunejuice.worktrees import file_listing

FOLDER = ".codebot/summaries"
LATEST = f"{FOLDER}/latest.md"
DEFAULT_LIMIT = 2_000
"""The default length of a summary in tokens."""
OFFLINE = "offline"
_FILE_LIMIT, _MODULE_LIMIT = 250, 600
"""Tokens of the summaries of a file and of a folder, which go into another summary."""
_MATERIAL_LIMIT = 24_000
"""Tokens of material in one question."""
_SHORT_FILE_BYTES = 400
"""Files of fewer bytes are summarized offline instead of asking a model."""
_PROMPTS = Path(__file__).parents[1] / "prompts"


class SummaryRequest(NamedTuple):
    """The paths to summarize, the length in tokens, the model, and the number of concurrent questions.

    `limits` apply to the cost and the tokens of all questions together.
    """

    paths: tuple[str, ...] = ()
    limit: int = DEFAULT_LIMIT
    model: str = ""
    jobs: int = 8
    limits: Limits = Limits()


class SummaryReport(NamedTuple):
    """A summary and how it was made.

    `source` is the model, or `offline`. `files` is the number of summarized files, `calls` the number of
    questions, and `cached` the number of results taken from the cache.
    """

    result: SummaryResult
    source: str
    files: int
    calls: int = 0
    cached: int = 0
    usage: Usage = NO_USAGE


class SummaryEstimate(NamedTuple):
    """The expected effort: files, model calls, and approximate tokens of material."""

    files: int
    calls: int
    tokens: int


class Summarizer:
    """Summarizes the code of one tree."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._root = Path(engine.git.directory)
        self._cache_folders = _find_cache_folders(
            self._root, Path(engine.git.common) if engine.git.common else None
        )

    def summarize_offline(self, request: SummaryRequest) -> SummaryReport:
        """Return a summary from syntax trees and manifests, without a model.

        Raises:
            NotFoundError: a path matches no file.
            UsageError: the limit is below 100 tokens.
        """
        scope = self._resolve_scope(request)
        facts = self._collect_facts(scope)
        settings = (str(outlines.VERSION), str(surveys.VERSION), OFFLINE, str(request.limit))
        source_paths = [path for path in scope.corpus.paths if language_for_path(path)]
        key = _digest(*settings, *source_paths, *(f"{path} {scope.blob_id(path)}" for path in scope.paths))
        result = self._load_cached(key)
        cached = int(result is not None)
        if result is None:
            result = surveys.survey_code(facts, request.limit, tokens.count)
            self._save_cached(key, result)
        return SummaryReport(result, OFFLINE, len(scope.paths), cached=cached)

    def estimate_cost(self, request: SummaryRequest) -> SummaryEstimate:
        """Return what asking a model would take now."""
        work = self._plan_work(request)
        nodes = [node for level in work.levels for node in level]
        # A token of code has about 3.6 bytes.
        sizes = (
            min(work.scope.byte_size(node.path) / 3.6, _MATERIAL_LIMIT)
            if not node.children
            else _MODULE_LIMIT * len(node.children)
            for node in nodes
        )
        return SummaryEstimate(len(work.scope.paths), len(nodes), int(sum(sizes)))

    def summarize_with_agent(
        self,
        request: SummaryRequest,
        agent: Agent,
        stop: Stop,
        tell: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> SummaryReport:
        """Return a summary by a model, which summarizes changed files first, then their folders.

        Each answer is cached at once, so that the next run continues where this one ended. `tell` receives
        the numbers of completed and of all questions.

        Raises:
            AgentError: a question was not answered.
            LimitError: a limit was reached.
        """
        work = self._plan_work(request)
        total = sum(map(len, work.levels))
        usage, completed = NO_USAGE, 0
        for level in work.levels:
            runner = _LevelRunner(agent, stop, request, usage)
            try:
                for key, answer in runner.run_tasks({
                    node.key: self._make_task(work, node) for node in level
                }):
                    work.results[key] = self._accept_answer(answer, key)
                    completed += 1
                    tell(completed, total)
            except (AgentError, LimitError) as error:
                if completed:
                    note = f"{completed} of {total} answers are kept; run the same command to continue"
                    error.message = f"{error.message} ({note})"
                raise
            usage = runner.usage
        nodes = sum(1 for _ in _all_nodes(work.top))
        return SummaryReport(
            work.results[work.top.key], request.model, len(work.scope.paths), total, nodes - total, usage
        )

    def publish_summary(self, result: SummaryResult) -> bool:
        """Write the summary to `LATEST` as Markdown; return whether that succeeded."""
        return _write_file(self._root, self._root / LATEST, result.to_markdown())

    # -- planning ------------------------------------------------------------------------------

    def _resolve_scope(self, request: SummaryRequest) -> "_SummaryScope":
        if request.limit < 100:
            raise UsageError(f"a limit of {request.limit} tokens is too small", "use at least 100")
        paths = tuple(self._engine.path_from_root(path) for path in request.paths)
        named = frozenset(path for path in paths if not path.startswith("!"))
        corpus = self._engine.run_with_rebuild(lambda: self._engine.corpus(named))
        resolved = resolve_paths(corpus, paths)
        within = (
            resolved.allowed_files(corpus)
            if resolved.within is not None or not resolved.named
            else frozenset()
        )
        numbers = sorted({*resolved.named, *(range(len(corpus.paths)) if within is None else within)})
        selected = [corpus.paths[n] for n in numbers]
        if not selected:
            raise NotFoundError("no files to summarize", "run `codeclip` to list the files")
        return _SummaryScope(corpus, selected)

    def _collect_facts(self, scope: "_SummaryScope") -> SurveyInput:
        outlines_by_path = self._engine.run_with_rebuild(lambda: self._load_outlines(scope))
        manifests: dict[str, Manifest] = {}
        for path in scope.paths:
            if not language_for_path(path) and (manifest := parse_manifest(path, scope.read_text(path))):
                manifests[path] = manifest
        languages = {path: language for path in scope.corpus.paths if (language := language_for_path(path))}
        introduction = next(
            (outlines_by_path[path].doc for path in scope.paths if path == scope.readme_path), ""
        )
        return SurveyInput(outlines_by_path, manifests, introduction, languages)

    def _load_outlines(self, scope: "_SummaryScope") -> dict[str, Outline]:
        """Return the outlines of files; outline new contents and store the results."""
        index, outlines_by_path = self._engine.index, {}
        packed, new = index.outlines(outlines.VERSION), {}
        for path in scope.paths:
            row = scope.content_row(path)
            if row not in packed:
                parsed = outline(language_for_path(path), scope.read_text(path).encode("utf-8", "replace"))
                packed[row] = new[row] = msgspec.msgpack.encode(parsed)
            outlines_by_path[path] = msgspec.msgpack.decode(packed[row], type=Outline)
        if new:
            index.save_outlines(outlines.VERSION, new)
        return outlines_by_path

    def _plan_work(self, request: SummaryRequest) -> "_SummaryWork":
        """Return the tree of nodes to summarize, and the levels that are not cached."""
        if not request.model:
            raise UsageError("no model is set", "use --model provider:name, or --offline")
        scope = self._resolve_scope(request)
        facts = self._collect_facts(scope)
        contents = {path: scope.blob_id(path) for path in scope.paths if language_for_path(path)}
        contents = contents or {path: scope.blob_id(path) for path in scope.paths}
        salt = _digest(
            *map(_load_prompt, ("file", "module")),
            json.dumps(SummaryResult.schema_for_limit(_FILE_LIMIT)),
            request.model,
            f"{_FILE_LIMIT} {_MODULE_LIMIT}",
        )
        top = hierarchy.build_hierarchy(contents, salt)
        fact_lines = sorted(
            f"{path} {scope.blob_id(path)}"
            for path in (*facts.manifests, scope.readme_path)
            if path in scope
        )
        top = top._replace(key=_digest(top.key, str(request.limit), *fact_lines))
        work = _SummaryWork(scope, facts, request, top, {}, [])
        work.levels.extend(hierarchy.missing_levels(top, lambda node: self._is_available(work, node)))
        return work

    def _is_available(self, work: "_SummaryWork", node: SummaryNode) -> bool:
        """Return whether the result of a node is cached, or made offline because the file is short."""
        result = self._load_cached(node.key)
        if (
            result is None
            and not node.children
            and node != work.top
            and work.scope.byte_size(node.path) < _SHORT_FILE_BYTES
        ):
            facts = SurveyInput({node.path: work.facts.files[node.path]}, {}, "", work.facts.around)
            result = surveys.survey_code(facts, _FILE_LIMIT, tokens.count)
        if result is not None:
            work.results[node.key] = result
        return result is not None

    # -- asking --------------------------------------------------------------------------------

    def _make_task(self, work: "_SummaryWork", node: SummaryNode) -> Task:
        limit = work.request.limit if node == work.top else _MODULE_LIMIT if node.children else _FILE_LIMIT
        material = self._folder_material(work, node) if node.children else self._file_material(work, node)
        paths = frozenset(leaf.path for leaf in hierarchy.leaf_nodes([node]))

        def check(output: Any) -> Any:
            result = SummaryResult.model_validate(output)
            return (
                _drop_unknown_components(result, paths)
                .trim_to_limit(limit, tokens.count)
                .model_dump(mode="json")
            )

        return Task(
            prompt=f"{material}\n\nSummarize this in at most {limit} tokens.",
            instructions=_load_prompt("module" if node.children else "file"),
            schema=SummaryResult.schema_for_limit(limit),
            check=check,
            model=work.request.model,
        )

    def _file_material(self, work: "_SummaryWork", node: SummaryNode) -> str:
        path = node.path
        facts = SurveyInput({path: work.facts.files[path]}, work.facts.manifests, "", work.facts.around)
        outlined = surveys.survey_code(facts, 2 * _FILE_LIMIT, tokens.count).to_markdown()
        text = truncate_text(mask_secrets(path, work.scope.read_text(path)), _MATERIAL_LIMIT)
        return (
            _frame_material(f"Outline of {path} from its syntax tree", outlined)
            + "\n\n"
            + _frame_material(path, text)
        )

    def _folder_material(self, work: "_SummaryWork", node: SummaryNode) -> str:
        room = _MATERIAL_LIMIT // len(node.children)
        sections = []
        if node == work.top:
            outlined = surveys.survey_code(work.facts, work.request.limit, tokens.count).to_markdown()
            sections.append(
                _frame_material("Outline of everything from syntax trees and manifests", outlined)
            )
        for child in node.children:
            result = work.results.get(child.key) or self._load_cached(child.key)
            if result is not None:
                sections.append(
                    _frame_material(
                        child.path, result.trim_to_limit(max(room, 60), tokens.count).to_markdown()
                    )
                )
        return "\n\n".join(sections)

    def _accept_answer(self, answer: AgentResult, key: str) -> SummaryResult:
        ended = answer.ended
        if ended.status != "ok":
            error_type = LimitError if ended.status == "limit" else AgentError
            raise error_type(ended.error, ended.fix)
        result = SummaryResult.model_validate(ended.output)
        self._save_cached(key, result)
        return result

    # -- caching -------------------------------------------------------------------------------

    def _load_cached(self, key: str) -> SummaryResult | None:
        for folder in self._cache_folders:
            with suppress(OSError, ValueError):
                return SummaryResult.model_validate_json((folder / key[:2] / f"{key}.json").read_bytes())
        return None

    def _save_cached(self, key: str, result: SummaryResult) -> None:
        folder = self._cache_folders[0]
        ignore_file = folder / ".gitignore"
        if not ignore_file.exists():
            _write_file(self._root, ignore_file, "*\n")
        _write_file(self._root, folder / key[:2] / f"{key}.json", result.model_dump_json(indent=1) + "\n")


class _SummaryScope(NamedTuple):
    """The files to summarize, as sorted paths."""

    corpus: Corpus
    paths: Sequence[str]

    def __contains__(self, path: object) -> bool:
        return path in self.corpus.number

    @property
    def readme_path(self) -> str:
        """Return the README of the folder that holds all the files, or "" without one."""
        folder = os.path.commonpath(self.paths) if len(self.paths) > 1 else ""
        prefix = f"{folder}/" if folder else ""
        tops = [path for path in self.paths if path.startswith(prefix) and "/" not in path[len(prefix) :]]
        return next((path for path in tops if path[len(prefix) :].lower().startswith("readme")), "")

    def blob_id(self, path: str) -> str:
        """Return the id of a file's content."""
        return self.corpus.blobs[self.corpus.number[path]]

    def content_row(self, path: str) -> int:
        """Return the row of a file's content in the index."""
        return self.corpus.entries[self.corpus.number[path]].id

    def byte_size(self, path: str) -> int:
        """Return the size of a file in bytes."""
        return self.corpus.entries[self.corpus.number[path]].size

    def read_text(self, path: str) -> str:
        """Return the text of a file; empty if it has been deleted."""
        data = file_listing.read_content(self.corpus.listing.root, path, MAX_NAMED_BYTES)
        return (data or b"").decode("utf-8", "replace")


class _SummaryWork(NamedTuple):
    """The node tree, the known results by key, and the levels of nodes to ask about."""

    scope: _SummaryScope
    facts: SurveyInput
    request: SummaryRequest
    top: SummaryNode
    results: dict[str, SummaryResult]
    levels: list[list[SummaryNode]]


def _load_prompt(name: str) -> str:
    return (_PROMPTS / f"summarize-{name}.md").read_text()


class _LevelRunner:
    """Runs the questions of one level concurrently, within the limits on cost and tokens."""

    def __init__(self, agent: Agent, stop: Stop, request: SummaryRequest, usage: Usage) -> None:
        self.agent, self.stop, self.request, self.usage = agent, stop, request, usage
        self.running: dict[Future[AgentResult], tuple[str, Usage]] = {}

    def run_tasks(self, tasks: Mapping[str, Task]) -> Iterator[tuple[str, AgentResult]]:
        """Yield the answers as they arrive; closing the iterator stops the remaining tasks.

        Raises:
            LimitError: a question would exceed a limit; raised after the running ones are answered.
        """
        waiting, limit_error = list(tasks.items()), None
        with ThreadPoolExecutor(self.request.jobs) as pool:
            try:
                while waiting or self.running:
                    try:
                        while waiting and len(self.running) < self.request.jobs:
                            self.submit_task(pool, *waiting[0])
                            waiting.pop(0)
                    except LimitError as error:
                        waiting, limit_error = [], error
                    yield from self.next_answers()
            finally:
                if self.running:
                    self.stop.request(STOP)
                    pool.shutdown(cancel_futures=True)
        if limit_error is not None:
            raise limit_error

    def submit_task(self, pool: ThreadPoolExecutor, key: str, task: Task) -> None:
        """Start a task, reserving its estimated usage together with that of the running ones.

        Raises:
            LimitError: the task would exceed a limit.
        """
        limits = self.request.limits
        committed = reduce(total_usage, (reserved for _, reserved in self.running.values()), self.usage)
        reserved = budget.require_budget(limits, committed, task.prompt, task.model)
        task = task._replace(limits=limits.remaining(committed))
        self.running[pool.submit(lambda: collect_result(self.agent.run(task, self.stop)))] = key, reserved

    def next_answers(self) -> Iterator[tuple[str, AgentResult]]:
        """Wait for the next answers and yield them."""
        for future in wait(self.running, return_when=FIRST_COMPLETED).done:
            key, _ = self.running.pop(future)
            answer = future.result()
            self.usage = total_usage(self.usage, answer.usage)
            yield key, answer


def _frame_material(title: str, text: str) -> str:
    """Enclose material in markers that it cannot imitate, because they contain its digest."""
    mark = _digest(title, text)[:12]
    return f"--- {title} [{mark}]\n{text.rstrip()}\n--- end [{mark}]"


def _drop_unknown_components(result: SummaryResult, paths: frozenset[str]) -> SummaryResult:
    """Drop components in unknown files; for a single file, assign all components to it."""
    if len(paths) == 1:
        [path] = paths
        components = tuple(
            component.model_copy(update={"file_path": path}) for component in result.components
        )
        return result.model_copy(update={"components": components})
    existing = tuple(
        component
        for component in result.components
        if component.file_path in paths
        or any(path.startswith(component.file_path.rstrip("/") + "/") for path in paths)
    )
    return result.model_copy(update={"components": existing})


def _all_nodes(node: SummaryNode) -> "list[SummaryNode]":
    return [node, *(inner for child in node.children for inner in _all_nodes(child))]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def _find_cache_folders(root: Path, common: Path | None) -> tuple[Path, ...]:
    """Return the cache folders: that of the tree, and that of the main checkout for a worktree."""
    cache = root / FOLDER / "cache"
    main_cache = common.parent / FOLDER / "cache" if common is not None and common.name == ".git" else cache
    return (cache,) if main_cache == cache else (cache, main_cache)


def _write_file(root: Path, path: Path, text: str) -> bool:
    """Write a file below `root` atomically and never through a link; return whether that succeeded."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        # A folder in the tree may be a link that leads out of it.
        if path.parent.resolve() != root.resolve() / path.parent.relative_to(root):
            return False
        if path.is_file() and path.read_text(encoding="utf-8", errors="replace") == text:
            return True
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
        return True
    return False
