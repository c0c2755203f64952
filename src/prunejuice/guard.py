"""Whether a change makes a check pass by weakening it: tests, settings, what silences a checker."""

import json
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from prunejuice.hunk import Difference, Hunk, hunks

_TEST = re.compile(
    r"(?:^|/)(?:tests?|__tests__|specs?)/|(?:^|/)test_[^/]+$|(?:_test|[._]spec|\.test)\.\w+$", re.IGNORECASE
)
_RULES = re.compile(
    r"(?:^|/)(?:\.github/|\.gitlab-ci|\.circleci/|azure-pipelines|Jenkinsfile|conftest\.py$|pytest\.ini$|tox\.ini$"
    r"|noxfile\.py$|setup\.cfg$|\.coveragerc$|\.?mypy\.ini$|\.?ruff\.toml$|pyrightconfig\.json$|\.flake8$|\.pylintrc$"
    r"|\.pre-commit-config\.yaml$|\.eslintrc|eslint\.config\.|jest\.config\.|vitest\.config\.|tsconfig[^/]*\.json$"
    r"|\.golangci|clippy\.toml$|[Mm]akefile$|justfile$|Rakefile$|Gulpfile|Taskfile\.ya?ml$)"
)
_TAKES_OVER = re.compile(r"(?:^|/)(?:sitecustomize|usercustomize|pytest|unittest)(?:\.py|/__init__\.py)$")
_SHADOWS = re.compile(r"(?:src/)?(\w+)(?:\.py|/__init__\.py)")
_RUNNERS = sys.stdlib_module_names | {"_pytest", "pluggy", "iniconfig", "packaging", "xdist", "coverage"}
"""What a test run imports; the tree comes first there."""
_SCRIPT = re.compile(r"(?:^|/)(?:[^./]+|[^/]+\.(?:sh|bash|zsh|bats)|(?:check|verify|lint)[^/]*)$")
_MANIFESTS = {"package.json": "scripts", "composer.json": "scripts", "deno.json": "tasks"}
"""Files of JSON that name commands, and where."""
_EQUAL = re.compile(
    r"def __(?:eq|ne)__\([^)]*\)[^:]*:\s*(?:\"\"\".*?\"\"\"\s*)?return (?:True|False)\b"
    r"|__(?:eq|ne)__\s*=\s*lambda\b",
    re.DOTALL,
)
_SKIPS_ANYWHERE = re.compile(
    r"pytest\.(?:skip|xfail|exit|importorskip)\(|unittest\.skip|\bSkipTest\b|\.skipTest\("
)
_TABLES = re.compile(r"^\[tool\.(?:pytest|coverage|mypy|pyright|ruff|black|pylint|tox|hatch\.envs)\b")
_SKIPS = re.compile(
    r"mark\.(?:skip|xfail)|pytest\.(?:skip|xfail|importorskip)\(|unittest\.skip|SkipTest|skipTest\(|collect_ignore"
    r"|\b(?:it|test|describe)\.(?:skip|only|todo)\b|\bx(?:it|describe|test)\(|\.Skip(?:Now|f)?\(|#\[ignore|@Disabled|@Ignore"
)
_SILENCES = re.compile(
    r"#\s*(?:type:\s*ignore|noqa|pylint:\s*disable|pyright:\s*ignore|pragma:\s*no cover|mypy:\s*ignore)"
    r"|eslint-disable|@ts-(?:ignore|nocheck|expect-error)|//\s*nolint|#!?\[allow\("
)
_ENDS = re.compile(r"\bos\._exit\(|\bsys\.exit\(\s*0?\s*\)|process\.exit\(\s*0?\s*\)")
_HARMLESS = re.compile(r"^\s*(?:#.*|//.*|(?:from|import)\b.*|\"\"\".*\"\"\"|[)\]},]*)\s*$")


class Weakened(NamedTuple):
    """A place where a change weakens a check: the file, the line from 1 in it as it was, and how."""

    path: str
    line: int
    why: str


def weakened(found: Iterable[Difference], check: str = "") -> list[Weakened]:
    """Every place where a change weakens what judges it, a `check` too; additions to tests are welcome."""
    scripts = {
        word.removeprefix("./") for word in re.split(r"[\s;&|'\"()]+", check) if _SCRIPT.search(word)
    }
    return [place for each in found for place in _of_file(each, scripts)]


def is_test(path: str) -> bool:
    """Whether a file of this name has tests."""
    return bool(_TEST.search(path))


def _of_file(each: Difference, scripts: Collection[str]) -> Iterator[Weakened]:
    path = each.to or each.path
    tests = is_test(each.path) or is_test(path)
    if _RULES.search(each.path) or _RULES.search(path) or each.path in scripts or _names_commands(each):
        yield Weakened(each.path, 1, "it says what is checked, and how")
        return
    shadow = _SHADOWS.fullmatch(path)
    takes_over = _TAKES_OVER.search(path) or (shadow and shadow[1] in _RUNNERS)
    if takes_over and (each.old.data is None or each.to):
        yield Weakened(path, 1, "it takes the place of what runs the tests")
    if tests and (each.new.data is None or each.to):
        yield Weakened(
            each.path, 1, "a test is gone" if each.new.data is None else "a test gets another name"
        )
        return
    for hunk in hunks(each):
        yield from _of_hunk(path, hunk, tests=tests)
    if path.endswith("pyproject.toml") and each.old.data is not None:
        yield from _of_tables(each)


def _names_commands(each: Difference) -> bool:
    """Whether commands that are called by their names become others."""
    key = _MANIFESTS.get(each.path.rpartition("/")[2])
    return key is not None and _named(each.old.data, key) not in ({}, _named(each.new.data, key))


def _named(data: bytes | None, key: str) -> Any:
    try:
        found = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        return None
    return found.get(key) or {} if isinstance(found, dict) else {}


def _of_hunk(path: str, hunk: Hunk, *, tests: bool) -> Iterator[Weakened]:
    lost, new = _only(hunk.old, hunk.new), _only(hunk.new, hunk.old)
    if tests and hunk.what != "created" and (gone := [line for line in lost if not _HARMLESS.match(line)]):
        yield Weakened(path, hunk.line, f"a line of a test is taken away: {gone[0].strip()[:80]}")
    for pattern, what, where in (
        (_SKIPS if tests else _SKIPS_ANYWHERE, "a test is skipped", True),
        (_SILENCES, "a checker is silenced", True),
        (_ENDS, "the program ends as if all were well", True),
    ):
        more = _count(pattern, new) - _count(pattern, lost)
        if where and more > 0:
            shown = next(line for line in new if pattern.search(line))
            yield Weakened(path, hunk.line, f"{what}: {shown.strip()[:80]}")
    if path.endswith(".py") and _EQUAL.search("\n".join(new)):
        yield Weakened(path, hunk.line, "things are made equal to whatever they are compared with")


def _of_tables(each: Difference) -> Iterator[Weakened]:
    """Changes in those tables of a pyproject.toml that say how the code is checked."""
    rows = (each.old.data or b"").decode("utf-8", "replace").split("\n")
    for hunk in hunks(each):
        for start, end, *_ in hunk.parts or ((0, len(hunk.old), 0, 0),):
            first = hunk.line + start
            heads = [row for row in rows[: max(first, first + end - start)] if row.startswith("[")]
            added = any(_TABLES.match(line) for line in hunk.new)
            if added or (heads and _TABLES.match(heads[-1])):
                yield Weakened(each.path, first, "it says what is checked, and how")
                return


def _only(these: Sequence[str], others: Sequence[str]) -> list[str]:
    """The lines of one side that the other has not; what was only moved is on both."""
    left = list(others)
    found = []
    for line in these:
        if line in left:
            left.remove(line)
        else:
            found.append(line)
    return found


def _count(pattern: "re.Pattern[str]", lines: Iterable[str]) -> int:
    return sum(len(pattern.findall(line)) for line in lines)
