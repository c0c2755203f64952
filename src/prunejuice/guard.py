"""Whether a change makes a check pass by weakening it: tests, settings, what silences a checker."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from prunejuice.hunk import Difference, Hunk, hunks

_TEST = re.compile(
    r"(?:^|/)(?:tests?|__tests__|specs?)/|(?:^|/)test_[^/]+$|(?:_test|[._]spec|\.test)\.\w+$", re.IGNORECASE
)
_RULES = re.compile(
    r"(?:^|/)(?:\.github/|\.gitlab-ci|\.circleci/|azure-pipelines|Jenkinsfile|conftest\.py$|pytest\.ini$|tox\.ini$"
    r"|noxfile\.py$|setup\.cfg$|\.coveragerc$|\.?mypy\.ini$|\.?ruff\.toml$|pyrightconfig\.json$|\.flake8$|\.pylintrc$"
    r"|\.pre-commit-config\.yaml$|\.eslintrc|eslint\.config\.|jest\.config\.|vitest\.config\.|tsconfig[^/]*\.json$"
    r"|\.golangci|clippy\.toml$|[Mm]akefile$|justfile$)"
)
_TAKES_OVER = re.compile(r"(?:^|/)(?:sitecustomize|usercustomize|pytest|unittest)(?:\.py|/__init__\.py)$")
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


def weakened(found: Iterable[Difference]) -> list[Weakened]:
    """Every place where a change weakens what judges it; additions to tests are welcome."""
    return [place for each in found for place in _of_file(each)]


def is_test(path: str) -> bool:
    """Whether a file of this name has tests."""
    return bool(_TEST.search(path))


def _of_file(each: Difference) -> Iterator[Weakened]:
    path = each.to or each.path
    tests = is_test(each.path) or is_test(path)
    if _RULES.search(each.path) or _RULES.search(path):
        yield Weakened(each.path, 1, "it says what is checked, and how")
        return
    if _TAKES_OVER.search(path) and each.old.data is None:
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


def _of_hunk(path: str, hunk: Hunk, *, tests: bool) -> Iterator[Weakened]:
    lost, new = _only(hunk.old, hunk.new), _only(hunk.new, hunk.old)
    if tests and hunk.what != "created" and (gone := [line for line in lost if not _HARMLESS.match(line)]):
        yield Weakened(path, hunk.line, f"a line of a test is taken away: {gone[0].strip()[:80]}")
    for pattern, what, where in (
        (_SKIPS, "a test is skipped", tests),
        (_SILENCES, "a checker is silenced", True),
        (_ENDS, "the program ends as if all were well", True),
    ):
        more = _count(pattern, new) - _count(pattern, lost)
        if where and more > 0:
            shown = next(line for line in new if pattern.search(line))
            yield Weakened(path, hunk.line, f"{what}: {shown.strip()[:80]}")


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
