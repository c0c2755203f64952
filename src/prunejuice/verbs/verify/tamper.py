"""Find changes that make a check pass by weakening it: tests, settings, suppression comments."""

import ast
import json
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from prunejuice.code.testpaths import is_test_path
from prunejuice.edits.diff import FileDiff, Hunk, compute_hunks
from prunejuice.text import safe_line

_CHECK_CONFIG = re.compile(
    r"(?:^|/)(?:\.github/|\.gitlab-ci|\.circleci/|azure-pipelines|Jenkinsfile|conftest\.py$|pytest\.ini$|tox\.ini$"
    r"|noxfile\.py$|setup\.cfg$|\.coveragerc$|\.?mypy\.ini$|\.?ruff\.toml$|pyrightconfig\.json$|\.flake8$|\.pylintrc$"
    r"|\.pre-commit-config\.yaml$|\.eslintrc|eslint\.config\.|jest\.config\.|vitest\.config\.|tsconfig[^/]*\.json$"
    r"|\.golangci|clippy\.toml$|[Mm]akefile$|justfile$|Rakefile$|Gulpfile|Taskfile\.ya?ml$)"
)
_RUNNER_MODULE = re.compile(
    r"(?:^|/)(?:sitecustomize|usercustomize|pytest|unittest)(?:\.py|/__init__\.py)$"
)
_TOP_LEVEL_MODULE = re.compile(r"(?:src/)?(\w+)(?:\.py|/__init__\.py)")
_RUNNER_IMPORTS = sys.stdlib_module_names | {
    "_pytest",
    "pluggy",
    "iniconfig",
    "packaging",
    "xdist",
    "coverage",
}
"""Modules that a test run imports. A file of the tree with such a name would replace them."""
_SCRIPT = re.compile(r"(?:^|/)(?:[^./]+|[^/]+\.(?:sh|bash|zsh|bats)|(?:check|verify|lint)[^/]*)$")
_MANIFESTS = {"package.json": "scripts", "composer.json": "scripts", "deno.json": "tasks"}
"""JSON files that define commands, with the key that holds them."""
_ALWAYS_EQUAL = re.compile(
    r"def __(?:eq|ne)__\([^)]*\)[^:]*:\s*(?:\"\"\".*?\"\"\"\s*)?return (?:True|False)\b"
    r"|__(?:eq|ne)__\s*=\s*lambda\b",
    re.DOTALL,
)
_SKIPS_ANYWHERE = re.compile(
    r"pytest\.(?:skip|xfail|exit|importorskip)\(|unittest\.skip|\bSkipTest\b|\.skipTest\("
)
_CHECKER_TABLE = re.compile(
    r"^\[tool\.(?:pytest|coverage|mypy|pyright|ruff|black|pylint|tox|hatch\.envs)\b"
)
_SKIPS = re.compile(
    r"mark\.(?:skip|xfail)|pytest\.(?:skip|xfail|importorskip)\(|unittest\.skip|SkipTest|skipTest\(|collect_ignore"
    r"|\b(?:it|test|describe)\.(?:skip|only|todo)\b|\bx(?:it|describe|test)\(|\.Skip(?:Now|f)?\(|#\[ignore|@Disabled|@Ignore"
)
_SUPPRESSION = re.compile(
    r"#\s*(?:type:\s*ignore|noqa|pylint:\s*disable|pyright:\s*ignore|pragma:\s*no cover|mypy:\s*ignore)"
    r"|eslint-disable|@ts-(?:ignore|nocheck|expect-error)|//\s*nolint|#!?\[allow\("
)
_EARLY_EXIT = re.compile(r"\bos\._exit\(|\bsys\.exit\(\s*0?\s*\)|process\.exit\(\s*0?\s*\)")
_TEST_EXCLUSION = re.compile(
    r"collect_ignore|--(?:deselect|ignore)|norecursedirs|testpaths|pytest_(?:ignore_collect|collection_modifyitems)"
    r"|pytest_(?:runtest|pyfunc|report)\w*|mark\.skip|pytest\.skip|continue-on-error"
)
"""Text by which a new configuration file excludes tests or suppresses failures."""
_PROSE = re.compile(r"\.(?:md|rst|adoc)$", re.IGNORECASE)
_HARMLESS = re.compile(r"^\s*(?:#.*|//.*|(?:from|import)\b.*|\"\"\".*\"\"\"|[)\]},]*)\s*$")
ALLOW_HINT = "use --allow-tests-change to allow this"
"""The fix for an error about weakened tests or checks."""


class TamperFinding(NamedTuple):
    """A place where a change weakens a check: the file, the line from 1 in the old file, and how."""

    path: str
    line: int
    reason: str


def find_weakened_checks(diffs: Iterable[FileDiff], check: str = "") -> list[TamperFinding]:
    """Return every place where a change weakens tests or checks, including scripts that `check` runs.

    Additions to tests are allowed.
    """
    scripts = {
        word.removeprefix("./") for word in re.split(r"[\s;&|'\"()]+", check) if _SCRIPT.search(word)
    }
    return [finding for diff in diffs for finding in _file_findings(diff, scripts)]


def find_rewritten_tests(diffs: Iterable[FileDiff]) -> list[TamperFinding]:
    """Return every place where a change rewrites existing tests or the configuration of test runs."""
    return [
        finding
        for diff in diffs
        for finding in (_existing_file_findings if diff.old.data is not None else _new_file_findings)(diff)
    ]


def format_findings(findings: Sequence[TamperFinding]) -> str:
    """Format the first three findings as text."""
    return "; ".join(
        f"{safe_line(finding.path, 80)}:{finding.line}: {finding.reason}" for finding in findings[:3]
    )


def _new_file_findings(diff: FileDiff) -> Iterator[TamperFinding]:
    """Yield findings for a new file that excludes tests or replaces a module of the test runner."""
    path, text = diff.to or diff.path, (diff.new.data or b"").decode("utf-8", "replace")
    if _shadows_test_runner(path):
        yield TamperFinding(path, 1, "it replaces a module of the test runner")
    elif _CHECK_CONFIG.search(path) and (exclusion := _TEST_EXCLUSION.search(text)):
        yield TamperFinding(
            path, 1 + text.count("\n", 0, exclusion.start()), f"tests are excluded: {exclusion[0]}"
        )


def _existing_file_findings(diff: FileDiff) -> Iterator[TamperFinding]:
    tests = is_test_path(diff.path)
    if _is_check_config(diff) or (tests and (diff.new.data is None or diff.to)):
        yield from _file_findings(diff, ())
        return
    for hunk in compute_hunks(diff) if tests and not _PROSE.search(diff.path) else ():
        yield from _removed_line_findings(diff.path, hunk)
        yield from _added_pattern_findings(diff.path, hunk, _SKIPS, "a test is skipped")
    if tests and diff.path.endswith(".py"):
        yield from _disabled_test_findings(diff)
    if diff.path.endswith("pyproject.toml"):
        yield from _pyproject_findings(diff)


def _disabled_test_findings(diff: FileDiff) -> Iterator[TamperFinding]:
    """Yield tests that were removed or return early, although no line of theirs is gone."""
    before, after = _first_statement_by_test(diff.old.data), _first_statement_by_test(diff.new.data)
    for name, first in before.items():
        if name not in after:
            yield TamperFinding(diff.path, 1, f"a test is removed: {name}")
        elif after[name] == "Return" != first:
            yield TamperFinding(diff.path, 1, f"a test returns before it tests: {name}")


def _first_statement_by_test(data: bytes | None) -> dict[str, str]:
    """Return the kind of the first statement of each test in a Python file."""
    try:
        tree = ast.parse(data or b"")
    except (SyntaxError, ValueError, RecursionError):
        return {}
    functions = (
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return {node.name: type(node.body[0]).__name__ for node in functions if node.name.startswith("test")}


def _shadows_test_runner(path: str) -> bool:
    """Return whether a file would be imported instead of a module of the test runner."""
    shadow = _TOP_LEVEL_MODULE.fullmatch(path)
    return bool(_RUNNER_MODULE.search(path) or (shadow and shadow[1] in _RUNNER_IMPORTS))


def _is_check_config(diff: FileDiff) -> bool:
    return bool(
        _CHECK_CONFIG.search(diff.path) or _CHECK_CONFIG.search(diff.to or "") or _changes_scripts(diff)
    )


def _touches_tests(diff: FileDiff) -> bool:
    return is_test_path(diff.path) or is_test_path(diff.to or "")


def _file_findings(diff: FileDiff, scripts: Collection[str]) -> Iterator[TamperFinding]:
    path = diff.to or diff.path
    tests = _touches_tests(diff)
    if _is_check_config(diff) or diff.path in scripts:
        yield TamperFinding(diff.path, 1, "it configures the checks")
        return
    if _shadows_test_runner(path) and (diff.old.data is None or diff.to):
        yield TamperFinding(path, 1, "it replaces a module of the test runner")
    if tests and (diff.new.data is None or diff.to):
        yield TamperFinding(
            diff.path, 1, "a test is removed" if diff.new.data is None else "a test is renamed"
        )
        return
    for hunk in compute_hunks(diff):
        yield from _hunk_findings(path, hunk, tests=tests)
    if path.endswith("pyproject.toml") and diff.old.data is not None:
        yield from _pyproject_findings(diff)


def _changes_scripts(diff: FileDiff) -> bool:
    """Return whether the commands that a manifest defines have changed."""
    key = _MANIFESTS.get(diff.path.rpartition("/")[2])
    return key is not None and _manifest_scripts(diff.old.data, key) not in (
        {},
        _manifest_scripts(diff.new.data, key),
    )


def _manifest_scripts(data: bytes | None, key: str) -> Any:
    try:
        manifest = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        return None
    return manifest.get(key) or {} if isinstance(manifest, dict) else {}


def _hunk_findings(path: str, hunk: Hunk, *, tests: bool) -> Iterator[TamperFinding]:
    if tests and hunk.change_type != "created":
        yield from _removed_line_findings(path, hunk)
    yield from _added_pattern_findings(
        path, hunk, _SKIPS if tests else _SKIPS_ANYWHERE, "a test is skipped"
    )
    yield from _added_pattern_findings(path, hunk, _SUPPRESSION, "a checker is silenced")
    yield from _added_pattern_findings(path, hunk, _EARLY_EXIT, "the program exits early with success")
    if path.endswith(".py") and _ALWAYS_EQUAL.search("\n".join(_lines_only_in(hunk.new, hunk.old))):
        yield TamperFinding(path, hunk.line, "a class is made equal to everything")


def _removed_line_findings(path: str, hunk: Hunk) -> Iterator[TamperFinding]:
    removed = [line for line in _lines_only_in(hunk.old, hunk.new) if not _HARMLESS.match(line)]
    if removed:
        yield TamperFinding(path, hunk.line, f"a line of a test is removed: {removed[0].strip()[:80]}")


def _added_pattern_findings(
    path: str, hunk: Hunk, pattern: "re.Pattern[str]", what: str
) -> Iterator[TamperFinding]:
    """Yield a finding if a hunk adds more matches of a pattern than it removes."""
    removed, added = _lines_only_in(hunk.old, hunk.new), _lines_only_in(hunk.new, hunk.old)
    if _count_matches(pattern, added) > _count_matches(pattern, removed):
        line = next(line for line in added if pattern.search(line))
        yield TamperFinding(path, hunk.line, f"{what}: {line.strip()[:80]}")


def _pyproject_findings(diff: FileDiff) -> Iterator[TamperFinding]:
    """Yield a finding for changes in the tables of a pyproject.toml that configure checks."""
    rows = (diff.old.data or b"").decode("utf-8", "replace").split("\n")
    for hunk in compute_hunks(diff):
        for start, end, *_ in hunk.parts or ((0, len(hunk.old), 0, 0),):
            first = hunk.line + start
            heads = [row for row in rows[: max(first, first + end - start)] if row.startswith("[")]
            added = any(_CHECKER_TABLE.match(line) for line in hunk.new)
            if added or (heads and _CHECKER_TABLE.match(heads[-1])):
                yield TamperFinding(diff.path, first, "it configures the checks")
                return


def _lines_only_in(lines: Sequence[str], other_lines: Sequence[str]) -> list[str]:
    """Return the lines of one side that the other lacks; moved lines are on both sides."""
    unmatched = list(other_lines)
    missing = []
    for line in lines:
        if line in unmatched:
            unmatched.remove(line)
        else:
            missing.append(line)
    return missing


def _count_matches(pattern: "re.Pattern[str]", lines: Iterable[str]) -> int:
    return sum(len(pattern.findall(line)) for line in lines)
