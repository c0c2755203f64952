"""Find changes that make a check pass by weakening it: tests, settings, suppression comments."""

import ast
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from prunejuice.code.testpaths import is_test_or_support_path, is_test_path
from prunejuice.edits.diff import FileDiff, Hunk, compute_hunks
from prunejuice.text import safe_line
from prunejuice.verbs.verify import check_files
from prunejuice.verbs.verify.plain_additions import is_plain_addition

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
_ALWAYS_EQUAL = re.compile(
    r"def __(?:eq|ne)__\([^)]*\)[^:]*:\s*(?:\"\"\".*?\"\"\"\s*)?return (?:True|False)\b"
    r"|__(?:eq|ne)__\s*=\s*lambda\b",
    re.DOTALL,
)
_SKIPS_ANYWHERE = re.compile(
    r"pytest\.(?:skip|xfail|exit|importorskip)\(|unittest\.skip|\bSkipTest\b|\.skipTest\("
)
_SKIPS = re.compile(
    r"mark\.(?:skip|xfail)\b|pytest\.(?:skip|xfail|importorskip)\(|unittest\.skip|SkipTest|skipTest\(|collect_ignore"
    r"|\b(?:it|test|describe)\.(?:skip|only|todo)\b|\bx(?:it|describe|test)\(|\.Skip(?:Now|f)?\(|#\[ignore|@Disabled|@Ignore"
)
_SUPPRESSION = re.compile(
    r"#\s*(?:type:\s*ignore|noqa|pylint:\s*disable|pyright:\s*ignore|pragma:\s*no cover|mypy:\s*ignore)"
    r"|eslint-disable|@ts-(?:ignore|nocheck|expect-error)|//\s*nolint|#!?\[allow\("
)
_EARLY_EXIT = re.compile(
    r"\b_exit\b|\bsys\.exit\(\s*0?\s*\)|process\.(?:exit|reallyExit)\(\s*0?\s*\)|\bos\.Exit\(0\)|\bSystem\.exit\(0\)"
)
_RUNNER_CHANGE = re.compile(
    r"\b(?:pytest|_pytest|unittest|TestCase)(?:\.\w+)+\s*=(?!=)|\bmodules\[[^\]]*\](?:\.\w+)+\s*=(?!=)|\.runtest\s*=(?!=)"
    r"|\bsetattr\(\s*(?:pytest|_pytest|unittest|TestCase)\b"
    r"|\b(?:global|globalThis)\.(?:expect|assert|it|test|describe)\s*=(?!=)"
)
"""Code that replaces a function of a test runner."""
_RUNNER_IMPORT = re.compile(
    r"^\s*(?:import|from)\s+(?:pytest|_pytest|unittest|pluggy)\b"
    r"|__import__\(\s*['\"](?:_?pytest|unittest)|import_module\(\s*['\"](?:_?pytest|unittest)|\bmodules\[\s*['\"](?:_?pytest|unittest)"
)
"""Code under test that uses its test runner."""
_TEST_EXCLUSION = re.compile(
    r"collect_ignore|--(?:deselect|ignore)|norecursedirs|testpaths|pytest_(?:ignore_collect|collection_modifyitems)"
    r"|pytest_(?:runtest|pyfunc|report)\w*|mark\.skip|pytest\.skip|continue-on-error"
)
"""Text by which a new configuration file excludes tests or suppresses failures."""
_MAIN_GUARD = re.compile(r"__name__ == '__main__'|'__main__' == __name__")
_MAIN_NAMES = {"main", "_main", "cli", "usage"}
"""Functions that end a program."""
_PROSE = re.compile(r"\.(?:md|rst|adoc)$", re.IGNORECASE)
_HARMLESS = re.compile(r"^\s*(?:#.*|//.*|(?:from|import)\b.*|\"\"\".*\"\"\"|[)\]},]*)\s*$")
_SABOTAGE = {
    _SUPPRESSION: "a checker is silenced",
    _EARLY_EXIT: "the program exits early with success",
    _RUNNER_CHANGE: "the test runner is changed",
}
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
    diffs = list(diffs)
    scripts = check_files.find_check_scripts(check)
    if "doctest" in check:
        for diff in diffs:
            if example := check_files.find_lost_doctest(diff):
                return [TamperFinding(diff.path, 1, f"a doctest is changed: {example.strip()[:80]}")]
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
    elif check_files.CONFIG_PATH.search(path) and (exclusion := _TEST_EXCLUSION.search(text)):
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
    if diff.path.endswith("pyproject.toml") and not is_plain_addition(diff):
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
    names = filter(None, (diff.path, diff.to))
    configures = any(map(check_files.CONFIG_PATH.search, names)) or check_files.changes_manifest(diff)
    return configures and not is_plain_addition(diff)


def _touches_tests(diff: FileDiff) -> bool:
    return is_test_path(diff.path) or is_test_path(diff.to or "")


def _file_findings(diff: FileDiff, scripts: Collection[str]) -> Iterator[TamperFinding]:
    path = diff.to or diff.path
    tests = _touches_tests(diff)
    if _is_check_config(diff) or check_files.is_named(diff.path, scripts):
        yield TamperFinding(diff.path, 1, "it configures the checks")
        return
    if _shadows_test_runner(path) and (diff.old.data is None or diff.to):
        yield TamperFinding(path, 1, "it replaces a module of the test runner")
    if tests and (diff.new.data is None or diff.to):
        yield TamperFinding(
            diff.path, 1, "a test is removed" if diff.new.data is None else "a test is renamed"
        )
        return
    in_main_block = _main_block_lines(diff.new.data) if path.endswith(".py") else frozenset()
    for hunk in compute_hunks(diff):
        yield from _hunk_findings(path, hunk, in_main_block, tests=tests)
    if path.endswith("pyproject.toml") and diff.old.data is not None and not is_plain_addition(diff):
        yield from _pyproject_findings(diff)


def _main_block_lines(data: bytes | None) -> frozenset[str]:
    """Return the lines, stripped, of a Python file that run only when it is the main program."""
    try:
        tree = ast.parse(data or b"")
    except (SyntaxError, ValueError, RecursionError):
        return frozenset()
    lines = (data or b"").decode("utf-8", "replace").split("\n")
    conditionals = (node for node in tree.body if isinstance(node, ast.If))
    blocks = [node.body for node in conditionals if _MAIN_GUARD.fullmatch(ast.unparse(node.test))]
    blocks += [
        node.body for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in _MAIN_NAMES
    ]
    return frozenset(
        line.strip() for body in blocks for line in lines[body[0].lineno - 1 : body[-1].end_lineno]
    )


def _hunk_findings(
    path: str, hunk: Hunk, in_main_block: Collection[str], *, tests: bool
) -> Iterator[TamperFinding]:
    if tests and hunk.change_type != "created":
        yield from _removed_line_findings(path, hunk)
    yield from _added_pattern_findings(
        path, hunk, _SKIPS if tests else _SKIPS_ANYWHERE, "a test is skipped"
    )
    if _PROSE.search(path):
        return
    for pattern, what in _SABOTAGE.items():
        ignored = in_main_block if pattern is _EARLY_EXIT else ()
        yield from _added_pattern_findings(path, hunk, pattern, what, ignored)
    if not tests and not is_test_or_support_path(path):
        yield from _added_pattern_findings(path, hunk, _RUNNER_IMPORT, "the code uses its test runner")
    if path.endswith(".py") and _ALWAYS_EQUAL.search("\n".join(_lines_only_in(hunk.new, hunk.old))):
        yield TamperFinding(path, hunk.line, "a class is made equal to everything")


def _removed_line_findings(path: str, hunk: Hunk) -> Iterator[TamperFinding]:
    removed = [line for line in _lines_only_in(hunk.old, hunk.new) if not _HARMLESS.match(line)]
    if removed:
        yield TamperFinding(path, hunk.line, f"a line of a test is removed: {removed[0].strip()[:80]}")


def _added_pattern_findings(
    path: str, hunk: Hunk, pattern: "re.Pattern[str]", what: str, ignored: Collection[str] = ()
) -> Iterator[TamperFinding]:
    """Yield a finding if a hunk adds more matches of a pattern than it removes."""
    removed, added = _lines_only_in(hunk.old, hunk.new), _lines_only_in(hunk.new, hunk.old)
    added = [line for line in added if line.strip() not in ignored]
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
            added = any(check_files.CHECKER_TABLE.match(line) for line in hunk.new)
            if added or (heads and check_files.CHECKER_TABLE.match(heads[-1])):
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
