"""A summary without a model: chosen and worded out of what files say of themselves."""

import math
import posixpath
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from prunejuice import synopsis
from prunejuice.outline import Member, Outline
from prunejuice.relations import COMMON, Relations, Told
from prunejuice.summary import CodeComponent, SummaryResult
from prunejuice.synopsis import ended, listed

VERSION = 1
"""Of how a survey is made; what another made is made anew."""
_REST = 0.45
"""The share of a limit that everything besides components may take."""
_USES = 6
_NEXT = 0.75
"""What the second-best definition of a file is worth of what it would be worth alone."""
_APART = 0.05
"""What something in a test is worth of what it would be worth elsewhere."""
_ABOUT = ("__init__.py", "README.md", "index.ts", "index.js", "mod.rs", "doc.go")
"""The files that speak for their folder."""


class _Candidate(NamedTuple):
    worth: float
    component: CodeComponent
    line: int = 0


def survey(told: Told, limit: int, count: Callable[[str], int]) -> SummaryResult:
    """The summary of at most `limit` tokens: the components that others lean on most, in order of paths."""
    known = Relations(told)
    candidates = _mixed([*_folders(told, known), *_files(known), *_definitions(known)])
    whole = SummaryResult(
        overview=synopsis.overview(told, known),
        external_dependencies=tuple(synopsis.dependencies(told, known)),
        patterns=tuple(synopsis.patterns(known)),
        entry_points=tuple(synopsis.entries(told)),
    )
    base = whole.within(int(limit * _REST), count)
    best, low, high = base, 0, min(len(candidates), limit // 8)
    while low <= high:
        middle = (low + high) // 2
        tried = base.model_copy(update={"components": _ordered(candidates[:middle])})
        if count(tried.to_markdown()) <= limit:
            best, low = tried, middle + 1
        else:
            high = middle - 1
    return best


def _mixed(candidates: Iterable[_Candidate]) -> list[_Candidate]:
    """The best first, and among them places and definitions in turn."""
    kinds: dict[bool, list[_Candidate]] = {True: [], False: []}
    for each in sorted(candidates, key=lambda each: (-each.worth, each.component.file_path, each.line)):
        kinds[each.component.type == "module"].append(each)
    turns = [(2 * n, each) for n, each in enumerate(kinds[True])]
    turns += [(3 * n + 1, each) for n, each in enumerate(kinds[False])]
    return [each for _, each in sorted(turns, key=lambda turn: turn[0])]


def _ordered(candidates: Iterable[_Candidate]) -> tuple[CodeComponent, ...]:
    placed = sorted(candidates, key=lambda each: (each.component.file_path, each.line))
    return tuple(each.component for each in placed)


def _files(known: Relations) -> Iterator[_Candidate]:
    for path, each in known.code.items():
        leaned = known.used[path]
        description = ended(each.doc or _defines(each), _used_by(leaned))
        if description and (each.members or each.entry):
            worth = 2 + 3 * math.sqrt(leaned) + (2 if each.entry else 0) + min(each.size, 400) / 200
            uses = sorted(known.uses.get(path, ()), key=lambda file: (-known.used[file], file))
            made = CodeComponent(
                name=_stem(path),
                type="module",
                description=description,
                file_path=path,
                dependencies=_needed(map(_stem, uses), _stem(path)),
            )
            yield _Candidate(worth * _share(known, path), made)


def _definitions(known: Relations) -> Iterator[_Candidate]:
    """Definitions; each of a file is worth less than the one before it, so that none crowds out others."""
    for path, each in known.code.items():
        inner = Counter(member.name.rpartition(".")[0] for member in each.members)
        found = [
            made
            for member in each.members
            if _counts(known, member) and (made := _definition(known, path, member, inner[member.name]))
        ]
        found.sort(key=lambda made: (-made.worth, made.line))
        yield from (made._replace(worth=made.worth * _NEXT**n) for n, made in enumerate(found))


def _counts(known: Relations, member: Member) -> bool:
    """Whether a definition may be named: methods only where there is little else."""
    outer, _, own = member.name.rpartition(".")
    return not own.startswith("__") and not (outer and member.kind == "function" and len(known.code) > 6)


def _definition(known: Relations, path: str, member: Member, inner: int) -> _Candidate | None:
    outer, _, own = member.name.rpartition(".")
    description = member.doc or _does(known, path, member)
    if not description:
        return None
    worth = (
        3 * math.sqrt(known.called[path, own]) + 2 * member.public + bool(member.doc) + min(inner, 10) / 4
    )
    worth = (worth + 1.5 * (member.kind != "function")) * (0.6 if outer else 1) * _share(known, path)
    calls = [name for name in member.calls if known.home(path, name) not in {"", path}]
    made = CodeComponent(
        name=member.name,
        type=member.kind,
        description=ended(description),
        file_path=path,
        dependencies=_needed((*member.bases, *calls), member.name),
    )
    return _Candidate(worth, made, member.line)


def _does(known: Relations, path: str, member: Member) -> str:
    """What a definition without a comment does, by what is inside it and what it calls."""
    prefix = member.name + "."
    inside = [
        other.name.removeprefix(prefix)
        for other in known.code[path].members
        if other.name.startswith(prefix)
    ]
    methods = [own for own in inside if "." not in own and own[:1] != "_" and own != "constructor"]
    if methods:
        return f"Has {listed(methods)}"
    calls = [name for name in member.calls if name in known.homes and name not in COMMON]
    return f"Calls {listed(calls)}" if calls else ""


def _folders(told: Told, known: Relations) -> Iterator[_Candidate]:
    held: dict[str, list[str]] = {}
    for path in known.code:
        held.setdefault(posixpath.dirname(path), []).append(path)
    for folder, paths in held.items():
        if folder and len(paths) > 1:
            yield _folder(told, known, folder, paths)


def _folder(told: Told, known: Relations, folder: str, paths: Sequence[str]) -> _Candidate:
    inside = set(paths)
    leaned = sum(
        bool(uses & inside)
        for path, uses in known.uses.items()
        if path not in inside and path not in known.tests
    )
    shown = [path for path in paths if path not in known.tests] or paths
    most = [posixpath.basename(path) for path in sorted(shown, key=lambda path: (-known.used[path], path))]
    about = (told.files.get(f"{folder}/{name}") for name in _ABOUT)
    doc = next((each.doc for each in about if each and each.doc), "")
    out = {posixpath.dirname(file) for path in paths for file in known.uses.get(path, ())} - {folder, ""}
    worth = 10 + 3 * math.sqrt(leaned) + min(len(paths), 20) / 4
    made = CodeComponent(
        name=posixpath.basename(folder),
        type="module",
        description=ended(doc or f"{synopsis.files(len(shown))}: {listed(most)}", _used_by(leaned)),
        file_path=folder + "/",
        dependencies=_needed(map(posixpath.basename, sorted(out)), posixpath.basename(folder)),
    )
    return _Candidate(worth * (_share(known, paths[0]) if known.tests.issuperset(paths) else 1), made)


def _share(known: Relations, path: str) -> float:
    return _APART if path in known.tests else 1.0


def _needed(names: Iterable[str], own: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name and name != own))[:_USES]


def _stem(path: str) -> str:
    base = posixpath.basename(path)
    return base.rpartition(".")[0] if base != "__init__.py" else posixpath.basename(posixpath.dirname(path))


def _defines(each: Outline) -> str:
    names = [member.name for member in each.members if member.public and "." not in member.name]
    return f"Defines {listed(names)}" if names else ""


def _used_by(number: int) -> str:
    return f"Used by {number} files." if number > 1 else ""
