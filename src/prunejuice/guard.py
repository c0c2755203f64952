"""Whether a change makes a check pass by weakening it: tests, settings, what silences a checker."""

import ast
import json
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from prunejuice.hunk import Difference, Hunk, hunks
from prunejuice.text import safe_line

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
_LEAVES_OUT = re.compile(
    r"collect_ignore|--(?:deselect|ignore)|norecursedirs|testpaths|pytest_(?:ignore_collect|collection_modifyitems)"
    r"|pytest_(?:runtest|pyfunc|report)\w*|mark\.skip|pytest\.skip|continue-on-error"
)
"""What a new file that says how tests are run has them left out by."""
_PROSE = re.compile(r"\.(?:md|rst|adoc)$", re.IGNORECASE)
_HARMLESS = re.compile(r"^\s*(?:#.*|//.*|(?:from|import)\b.*|\"\"\".*\"\"\"|[)\]},]*)\s*$")


ALLOW = "if that is what you want: --allow-tests-change"
"""What to do about a place."""


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


def rewritten(found: Iterable[Difference]) -> list[Weakened]:
    """Every place where tests that are there, or what says how they are run, would be others."""
    return [
        place for each in found for place in (_of_existing if each.old.data is not None else _of_new)(each)
    ]


def shown(places: Sequence[Weakened]) -> str:
    """The first places, as words."""
    return "; ".join(f"{safe_line(each.path, 80)}:{each.line}: {each.why}" for each in places[:3])


def is_test(path: str) -> bool:
    """Whether a file of this name has tests."""
    return bool(_TEST.search(path))


def _of_new(each: Difference) -> Iterator[Weakened]:
    """A new file that has tests left out, or takes the place of what runs them."""
    path, text = each.to or each.path, (each.new.data or b"").decode("utf-8", "replace")
    if _takes_over(path):
        yield Weakened(path, 1, "it takes the place of what runs the tests")
    elif _RULES.search(path) and (found := _LEAVES_OUT.search(text)):
        yield Weakened(path, 1 + text.count("\n", 0, found.start()), f"tests are left out: {found[0]}")


def _of_existing(each: Difference) -> Iterator[Weakened]:
    tests = is_test(each.path)
    if _is_rule(each) or (tests and (each.new.data is None or each.to)):
        yield from _of_file(each, ())
        return
    for hunk in hunks(each) if tests and not _PROSE.search(each.path) else ():
        yield from _taken_away(each.path, hunk)
        yield from _more(each.path, hunk, _SKIPS, "a test is skipped")
    if tests and each.path.endswith(".py"):
        yield from _silent(each)
    if each.path.endswith("pyproject.toml"):
        yield from _of_tables(each)


def _silent(each: Difference) -> Iterator[Weakened]:
    """Tests that are there no more, or end before they test anything, although no line is gone."""
    before, after = _tests(each.old.data), _tests(each.new.data)
    for name, first in before.items():
        if name not in after:
            yield Weakened(each.path, 1, f"a test is gone: {name}")
        elif after[name] == "Return" != first:
            yield Weakened(each.path, 1, f"a test ends before it tests: {name}")


def _tests(data: bytes | None) -> dict[str, str]:
    """The tests of a file of Python by name, and what kind of statement each begins with."""
    try:
        tree = ast.parse(data or b"")
    except (SyntaxError, ValueError, RecursionError):
        return {}
    found = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {node.name: type(node.body[0]).__name__ for node in found if node.name.startswith("test")}


def _takes_over(path: str) -> bool:
    """Whether a file of this name is imported in the place of what runs the tests."""
    shadow = _SHADOWS.fullmatch(path)
    return bool(_TAKES_OVER.search(path) or (shadow and shadow[1] in _RUNNERS))


def _is_rule(each: Difference) -> bool:
    return bool(_RULES.search(each.path) or _RULES.search(each.to or "") or _names_commands(each))


def _has_tests(each: Difference) -> bool:
    return is_test(each.path) or is_test(each.to or "")


def _of_file(each: Difference, scripts: Collection[str]) -> Iterator[Weakened]:
    path = each.to or each.path
    tests = _has_tests(each)
    if _is_rule(each) or each.path in scripts:
        yield Weakened(each.path, 1, "it says what is checked, and how")
        return
    if _takes_over(path) and (each.old.data is None or each.to):
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
    if tests and hunk.what != "created":
        yield from _taken_away(path, hunk)
    yield from _more(path, hunk, _SKIPS if tests else _SKIPS_ANYWHERE, "a test is skipped")
    yield from _more(path, hunk, _SILENCES, "a checker is silenced")
    yield from _more(path, hunk, _ENDS, "the program ends as if all were well")
    if path.endswith(".py") and _EQUAL.search("\n".join(_only(hunk.new, hunk.old))):
        yield Weakened(path, hunk.line, "things are made equal to whatever they are compared with")


def _taken_away(path: str, hunk: Hunk) -> Iterator[Weakened]:
    gone = [line for line in _only(hunk.old, hunk.new) if not _HARMLESS.match(line)]
    if gone:
        yield Weakened(path, hunk.line, f"a line of a test is taken away: {gone[0].strip()[:80]}")


def _more(path: str, hunk: Hunk, pattern: "re.Pattern[str]", what: str) -> Iterator[Weakened]:
    """That a pattern is there more often than before."""
    lost, new = _only(hunk.old, hunk.new), _only(hunk.new, hunk.old)
    if _count(pattern, new) > _count(pattern, lost):
        line = next(line for line in new if pattern.search(line))
        yield Weakened(path, hunk.line, f"{what}: {line.strip()[:80]}")


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
