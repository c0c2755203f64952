"""Tell the files that judge a change from the code that is judged. Pure."""

import json
import re
from collections.abc import Collection, Iterable
from typing import Any

from prunejuice.code.testpaths import is_test_path
from prunejuice.edits.diff import FileDiff

CONFIG_PATH = re.compile(
    r"(?:^|/)(?:\.github/|\.gitlab-ci|\.circleci/|azure-pipelines|Jenkinsfile|conftest\.py$|\.?pytest\.(?:ini|toml)$"
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
_SCRIPT = re.compile(r"(?:^|/)(?:[^./]+|[^/]+\.(?:sh|bash|zsh|bats)|(?:check|verify|lint)[^/]*)$")
_QUOTED_NAME = re.compile(r"""["'`](?:[^"'`\s]*/)?([\w][\w.-]*\.\w+)["'`]""")
_CODE_SUFFIX = re.compile(
    r"\.(?:pyi?|[cm]?[jt]sx?|go|rs|java|rb|php|c|cc|cpp|h|hpp|cs|kt|swift|scala|sh)$", re.IGNORECASE
)


def find_test_data(tests: Iterable[str], sources: Iterable[str]) -> set[str]:
    """Return the names of the data files that the texts of tests name and the texts of sources do not."""
    named = {name for text in tests for name in _QUOTED_NAME.findall(text)}
    shared = {name for text in sources for name in _QUOTED_NAME.findall(text)}
    return {name for name in named - shared if not _CODE_SUFFIX.search(name)}


def is_part_of_evaluator(diff: FileDiff, check: str, test_data: Collection[str]) -> bool:
    """Return whether a changed file judges: tests, their data, settings of runners, scripts of the check.

    `test_data` are names of data files, as returned by `find_test_data`.
    """
    scripts = find_check_scripts(check)
    return _settings(diff, diff.old.data) != _settings(diff, diff.new.data) or any(
        CONFIG_PATH.search(path)
        or is_test_path(path)
        or _TEST_DATA_FOLDER.search(path)
        or path in scripts
        or path.rpartition("/")[2] in test_data
        for path in filter(None, (diff.path, diff.to))
    )


def find_check_scripts(check: str) -> set[str]:
    """Return the words of a check that may be scripts which judge, rather than code that is judged."""
    words = (word.removeprefix("./") for word in re.split(r"[\s;&|'\"()]+", check))
    return {word for word in words if _SCRIPT.search(word)}


def changes_manifest(diff: FileDiff) -> bool:
    """Return whether a change alters the commands or the settings of checkers that a manifest had."""
    before = _settings(diff, diff.old.data)
    return bool(before) and before != _settings(diff, diff.new.data)


def _settings(diff: FileDiff, data: bytes | None) -> list[Any]:
    """Return the commands and the settings of checkers in a version of a manifest."""
    name = (diff.to or diff.path).rpartition("/")[2]
    if name == "pyproject.toml":
        tables = re.split(r"(?m)^(?=\[)", (data or b"").decode("utf-8", "replace"))
        return [table.strip() for table in tables if CHECKER_TABLE.match(table)]
    values = [_manifest_value(data, key) for key in _MANIFEST_KEYS.get(name, ())]
    return values if any(values) else []


def _manifest_value(data: bytes | None, key: str) -> Any:
    try:
        manifest = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        return None
    return manifest.get(key) or None if isinstance(manifest, dict) else None
