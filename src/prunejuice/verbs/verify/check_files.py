"""Tell the files that judge a change from the code that is judged. Pure."""

import doctest
import json
import re
import tomllib
from collections.abc import Collection, Iterable
from typing import Any

from prunejuice.code.testpaths import is_test_path
from prunejuice.edits.diff import FileDiff

CONFIG_PATH = re.compile(
    r"(?:^|/)(?:\.github/|\.gitlab-ci|\.circleci/|azure-pipelines|Jenkinsfile|conftest\.py$|\.npmrc$|\.yarnrc|[^/]+\.(?:dist|egg)-info/|\.cargo/config|\.?pytest\.(?:ini|toml)$"
    r"|tox\.(?:ini|toml)$|noxfile\.py$|setup\.cfg$|\.coveragerc$|\.?mypy\.ini$|\.?ruff\.toml$|pyrightconfig\.json$"
    r"|\.flake8$|\.pylintrc$|\.pre-commit-config\.yaml$|\.eslintrc|eslint\.config\.|jest\.(?:config|setup)|vitest\.|karma\.conf"
    r"|\.mocharc|\.nycrc|ava\.config|cypress\.config|playwright\.config|tsconfig[^/]*\.json$|\.golangci|clippy\.toml$"
    r"|nextest\.toml$|phpunit\.xml|\.rspec$|makefile$|GNUmakefile$|justfile$|Rakefile$|Gulpfile|Taskfile\.ya?ml$)",
    re.IGNORECASE,
)
_TEST_DATA_FOLDER = re.compile(
    r"(?:^|/)(?:fixtures?|test[-_]?data|__(?:snapshots|fixtures|mocks)__|snapshots?|goldens?|cassettes)/",
    re.IGNORECASE,
)
_MANIFEST_KEYS = {
    "package.json": ("scripts", "jest", "mocha", "ava", "vitest", "c8", "nyc", "eslintConfig"),
    "composer.json": ("scripts",),
    "deno.json": ("tasks", "test", "lint"),
}
"""JSON files that define commands and settings of test runners, with the keys that hold them."""
CHECKER_TABLE = re.compile(
    r"^\[+tool\.(?:pytest|coverage|mypy|pyright|ruff|black|pylint|tox|nox|hatch\.envs|poe|taskipy|pdm\.scripts)\b",
    re.MULTILINE,
)
_SCRIPT = re.compile(
    r"(?:^|/)(?:[^./]+|[^/]+\.(?:sh|bash|zsh|bats|mk|ini|cfg|toml|ya?ml|xml|env)|\.env[^/]*"
    r"|(?:check|verify|lint|judge|run[_-]?tests?|suite|ci)[^/]*)$"
)
_HOOK = re.compile(r"^\s*(?:async )?def pytest_\w+\(|^\[pytest11\]", re.MULTILINE)
"""Code or settings by which a file becomes a plug-in of pytest."""
_QUOTED_PATH = re.compile(r"""["'`]([\w./-]{3,120})["'`]""")
_MIN_NAME_CHARS = 4
_CODE_SUFFIX = re.compile(
    r"\.(?:pyi?|[cm]?[jt]sx?|go|rs|java|rb|php|c|cc|cpp|h|hpp|cs|kt|swift|scala|sh)$", re.IGNORECASE
)


def find_test_data(tests: Iterable[str], sources: Iterable[str]) -> set[str]:
    """Return the names of files and folders that the texts of tests name, and those of sources do not."""
    named = {part for text in tests for path in _QUOTED_PATH.findall(text) for part in path.split("/")}
    shared = {part for text in sources for path in _QUOTED_PATH.findall(text) for part in path.split("/")}
    return {name for name in named - shared if len(name) >= _MIN_NAME_CHARS}


def may_be_data(diff: FileDiff) -> bool:
    """Return whether a changed file is no code by its name."""
    return any(not _CODE_SUFFIX.search(path) for path in filter(None, (diff.path, diff.to)))


def is_part_of_evaluator(diff: FileDiff, check: str, test_data: Collection[str]) -> bool:
    """Return whether a changed file judges: tests, their data, settings of runners, scripts of the check.

    `test_data` are names of data files, as returned by `find_test_data`.
    """
    scripts = find_check_scripts(check)
    if _settings(diff, diff.old.data) != _settings(diff, diff.new.data):
        return True
    if diff.old.data is None and _HOOK.search((diff.new.data or b"").decode("utf-8", "replace")):
        return True
    return any(
        CONFIG_PATH.search(path)
        or is_test_path(path)
        or is_named(path, scripts)
        or (not _CODE_SUFFIX.search(path) and _is_test_data(path, test_data))
        for path in filter(None, (diff.path, diff.to))
    )


def _is_test_data(path: str, test_data: Collection[str]) -> bool:
    return bool(_TEST_DATA_FOLDER.search(path)) or any(part in test_data for part in path.split("/"))


def is_named(path: str, scripts: Collection[str]) -> bool:
    """Return whether a check names a file, from whatever folder it runs in."""
    return any(path == script or path.endswith(f"/{script}") for script in scripts)


def find_lost_doctest(diff: FileDiff) -> str:
    """Return the first example whose source or result is gone in the new version; or ""."""
    old, new = (_list_doctests(version.data) for version in (diff.old, diff.new))
    return next((source for source, want in old if (source, want) not in new), "")


def _list_doctests(data: bytes | None) -> list[tuple[str, str]]:
    try:
        examples = doctest.DocTestParser().get_examples((data or b"").decode("utf-8", "replace"))
    except ValueError:  # inconsistent white space
        return []
    return [(example.source, example.want) for example in examples]


def find_check_scripts(check: str) -> set[str]:
    """Return the words of a check that may be scripts which judge, rather than code that is judged."""
    words = (word.removeprefix("./") for word in re.split(r"[\s;&|'\"()]+", check))
    modules = (f"{name.replace('.', '/')}.py" for name in re.findall(r"-m\s+([\w.]+)", check))
    return {word for word in (*words, *modules) if word and _SCRIPT.search(word)}


def changes_manifest(diff: FileDiff) -> bool:
    """Return whether a change alters the commands or the settings of checkers that a manifest had."""
    before = _settings(diff, diff.old.data)
    return bool(before) and before != _settings(diff, diff.new.data)


def _settings(diff: FileDiff, data: bytes | None) -> list[Any]:
    """Return the commands and the settings of checkers in a version of a manifest."""
    name = (diff.to or diff.path).rpartition("/")[2]
    if name == "pyproject.toml":
        return _checker_settings(data)
    values = [_manifest_value(data, key) for key in _MANIFEST_KEYS.get(name, ())]
    return values if any(values) else []


def _checker_settings(data: bytes | None) -> list[Any]:
    """Return the tables of a pyproject.toml that configure checkers."""
    text = (data or b"").decode("utf-8", "replace")
    try:
        tools = tomllib.loads(text).get("tool", {})
    except tomllib.TOMLDecodeError:
        tables = re.split(r"(?m)^(?=\[)", text)
        return [table.strip() for table in tables if CHECKER_TABLE.match(table)]
    if not isinstance(tools, dict):
        return []
    nested = {f"{name}.{key}": value for name, table in tools.items() for key, value in _items(table)}
    known = {**tools, **nested}
    names = sorted(name for name in known if CHECKER_TABLE.match(f"[tool.{name}]"))
    return [(name, known[name]) for name in names]


def _items(table: Any) -> Iterable[tuple[str, Any]]:
    return table.items() if isinstance(table, dict) else ()


def _manifest_value(data: bytes | None, key: str) -> Any:
    try:
        manifest = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        return None
    return manifest.get(key) or None if isinstance(manifest, dict) else None
