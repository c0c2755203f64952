"""Summarize code without a model, from syntax trees, comments and manifests."""

import math
import posixpath
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from prunejuice.code.outline import Member, Outline
from prunejuice.code.relations import COMMON_NAMES, Relations, SurveyInput
from prunejuice.verbs.summarize import synopsis
from prunejuice.verbs.summarize.summary import CodeComponent, SummaryResult
from prunejuice.verbs.summarize.synopsis import end_sentence, format_names

VERSION = 2
"""The version of the algorithm and its wording; summaries cached by another version are not used."""
_NON_COMPONENT_SHARE = 0.45
"""The share of a limit that everything besides components may take."""
_MAX_DEPENDENCIES = 6
_REPEAT_FACTOR = 0.75
"""The factor on the score of each further definition of the same file."""
_TEST_FACTOR = 0.05
"""The factor on the score of anything in a test file."""
_FOLDER_DESCRIPTIONS = ("__init__.py", "README.md", "index.ts", "index.js", "mod.rs", "doc.go")
"""The files whose comments describe their folder."""


class _Candidate(NamedTuple):
    score: float
    component: CodeComponent
    line: int = 0


def survey_code(facts: SurveyInput, limit: int, count: Callable[[str], int]) -> SummaryResult:
    """Return a summary of at most `limit` tokens: the most used components, sorted by path."""
    relations = Relations(facts)
    candidates = _interleave_by_score([
        *_folder_candidates(facts, relations),
        *_file_candidates(relations),
        *_definition_candidates(relations),
    ])
    full = SummaryResult(
        overview=synopsis.overview_text(facts, relations),
        external_dependencies=tuple(synopsis.dependency_lines(facts, relations)),
        patterns=tuple(synopsis.code_patterns(relations)),
        entry_points=tuple(synopsis.entry_points(facts)),
    )
    base = full.trim_to_limit(int(limit * _NON_COMPONENT_SHARE), count)
    best, low, high = base, 0, min(len(candidates), limit // 8)
    while low <= high:
        middle = (low + high) // 2
        candidate = base.model_copy(update={"components": _components_by_path(candidates[:middle])})
        if count(candidate.to_markdown()) <= limit:
            best, low = candidate, middle + 1
        else:
            high = middle - 1
    return best


def _interleave_by_score(candidates: Iterable[_Candidate]) -> list[_Candidate]:
    """Sort candidates by score, alternating modules and definitions."""
    kinds: dict[bool, list[_Candidate]] = {True: [], False: []}
    for candidate in sorted(
        candidates, key=lambda candidate: (-candidate.score, candidate.component.file_path, candidate.line)
    ):
        kinds[candidate.component.type == "module"].append(candidate)
    turns = [(2 * n, candidate) for n, candidate in enumerate(kinds[True])]
    turns += [(3 * n + 1, candidate) for n, candidate in enumerate(kinds[False])]
    return [candidate for _, candidate in sorted(turns, key=lambda turn: turn[0])]


def _components_by_path(candidates: Iterable[_Candidate]) -> tuple[CodeComponent, ...]:
    placed = sorted(candidates, key=lambda candidate: (candidate.component.file_path, candidate.line))
    return tuple(candidate.component for candidate in placed)


def _file_candidates(relations: Relations) -> Iterator[_Candidate]:
    for path, outline in relations.code.items():
        users = relations.used[path]
        description = end_sentence(outline.doc or _defines_phrase(outline), _used_by_sentence(users))
        if description and (outline.members or outline.entry):
            score = 2 + 3 * math.sqrt(users) + (2 if outline.entry else 0) + min(outline.size, 400) / 200
            uses = sorted(relations.uses.get(path, ()), key=lambda file: (-relations.used[file], file))
            component = CodeComponent(
                name=_display_name(path),
                type="module",
                description=description,
                file_path=path,
                dependencies=_dependency_names(map(_display_name, uses), _display_name(path)),
            )
            yield _Candidate(score * _score_factor(relations, path), component)


def _definition_candidates(relations: Relations) -> Iterator[_Candidate]:
    """Yield definitions; each further one of a file scores lower, so that no file crowds out the others."""
    for path, outline in relations.code.items():
        inner = Counter(member.name.rpartition(".")[0] for member in outline.members)
        ranked = [
            candidate
            for member in outline.members
            if _is_nameable(relations, member)
            and (candidate := _make_definition_candidate(relations, path, member, inner[member.name]))
        ]
        ranked.sort(key=lambda candidate: (-candidate.score, candidate.line))
        yield from (
            candidate._replace(score=candidate.score * _REPEAT_FACTOR**n)
            for n, candidate in enumerate(ranked)
        )


def _is_nameable(relations: Relations, member: Member) -> bool:
    """Return whether to name a definition: in more than a few files, methods are left out."""
    outer, _, name = member.name.rpartition(".")
    return not name.startswith("__") and not (
        outer and member.kind == "function" and len(relations.code) > 6
    )


def _make_definition_candidate(
    relations: Relations, path: str, member: Member, inner: int
) -> _Candidate | None:
    outer, _, short_name = member.name.rpartition(".")
    description = member.doc or _description_from_body(relations, path, member)
    if not description:
        return None
    score = (
        3 * math.sqrt(relations.called[path, short_name])
        + 2 * member.public
        + bool(member.doc)
        + min(inner, 10) / 4
    )
    score = (
        (score + 1.5 * (member.kind != "function")) * (0.6 if outer else 1) * _score_factor(relations, path)
    )
    calls = [name for name in member.calls if relations.defining_file(path, name) not in {"", path}]
    component = CodeComponent(
        name=member.name,
        type=member.kind,
        description=end_sentence(description),
        file_path=path,
        dependencies=_dependency_names((*member.bases, *calls), member.name),
    )
    return _Candidate(score, component, member.line)


def _description_from_body(relations: Relations, path: str, member: Member) -> str:
    """Describe an uncommented definition by its methods, or by the functions that it calls."""
    prefix = member.name + "."
    inside = [
        other.name.removeprefix(prefix)
        for other in relations.code[path].members
        if other.name.startswith(prefix)
    ]
    methods = [name for name in inside if "." not in name and name[:1] != "_" and name != "constructor"]
    if methods:
        return f"Has {format_names(methods)}"
    calls = [name for name in member.calls if name in relations.files_by_name and name not in COMMON_NAMES]
    return f"Calls {format_names(calls)}" if calls else ""


def _folder_candidates(facts: SurveyInput, relations: Relations) -> Iterator[_Candidate]:
    paths_by_folder: dict[str, list[str]] = {}
    for path in relations.code:
        paths_by_folder.setdefault(posixpath.dirname(path), []).append(path)
    for folder, paths in paths_by_folder.items():
        if folder and len(paths) > 1:
            yield _make_folder_candidate(facts, relations, folder, paths)


def _make_folder_candidate(
    facts: SurveyInput, relations: Relations, folder: str, paths: Sequence[str]
) -> _Candidate:
    inside = set(paths)
    users = sum(
        bool(uses & inside)
        for path, uses in relations.uses.items()
        if path not in inside and path not in relations.tests
    )
    described = [path for path in paths if path not in relations.tests] or paths
    names = [
        posixpath.basename(path)
        for path in sorted(described, key=lambda path: (-relations.used[path], path))
    ]
    outlines = (facts.files.get(f"{folder}/{name}") for name in _FOLDER_DESCRIPTIONS)
    doc = next((outline.doc for outline in outlines if outline and outline.doc), "")
    used_folders = {posixpath.dirname(file) for path in paths for file in relations.uses.get(path, ())} - {
        folder,
        "",
    }
    score = 10 + 3 * math.sqrt(users) + min(len(paths), 20) / 4
    component = CodeComponent(
        name=posixpath.basename(folder),
        type="module",
        description=end_sentence(
            doc or f"{synopsis.format_file_count(len(described))}: {format_names(names)}",
            _used_by_sentence(users),
        ),
        file_path=folder + "/",
        dependencies=_dependency_names(
            map(posixpath.basename, sorted(used_folders)), posixpath.basename(folder)
        ),
    )
    return _Candidate(
        score * (_score_factor(relations, paths[0]) if relations.tests.issuperset(paths) else 1), component
    )


def _score_factor(relations: Relations, path: str) -> float:
    return _TEST_FACTOR if path in relations.tests else 1.0


def _dependency_names(names: Iterable[str], excluded: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name and name != excluded))[:_MAX_DEPENDENCIES]


def _display_name(path: str) -> str:
    base = posixpath.basename(path)
    return base.rpartition(".")[0] if base != "__init__.py" else posixpath.basename(posixpath.dirname(path))


def _defines_phrase(outline: Outline) -> str:
    names = [member.name for member in outline.members if member.public and "." not in member.name]
    return f"Defines {format_names(names)}" if names else ""


def _used_by_sentence(number: int) -> str:
    return f"Used by {number} files." if number > 1 else ""
