"""The check that a project itself uses for linting, types or tests, by the files that configure it."""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prunejuice.system.untrusted_files import read_small_text

AUTOMATIC_CHECK = "auto"
"""The value of `check` that means the check of the settings, or else the tests of the project."""
Rule = Callable[[Path], bool]


def resolve_check(given: str, configured: str, root: Path) -> str:
    """Return a check as given, or for `auto` that of the settings or the tests that the project has."""
    return given if given != AUTOMATIC_CHECK else configured or find_default_check("fix", root)


def find_default_check(verb: str, root: Path) -> str:
    """Return the command that has to pass after `lint`, `fix-types` or `fix`; empty if unknown.

    Nothing is run: the files at the top of the tree say which tools the project uses.
    """
    if verb == "fix":
        return find_test_command(root)
    for is_used, command in _CHECKS.get(verb, ()):
        if is_used(root):
            return command
    return ""


def find_test_command(root: Path) -> str:
    """Return the command that runs the tests of every language at the top of a tree; empty if unknown."""
    found = [next((command for is_used, command in rules if is_used(root)), "") for rules in _TESTS]
    return " && ".join(_with_manager(root, command) for command in found if command) or (
        "make test" if _MAKE_TEST.search(read_small_text(root / "Makefile")) else ""
    )


def _with_manager(root: Path, command: str) -> str:
    """Return a command as the package manager runs it, where programs are not in a folder of the tree."""
    if command.startswith("npm ") and not (root / "package-lock.json").is_file():
        return next((own for lock, own in _NODE_MANAGERS if (root / lock).is_file()), command)
    if command.startswith("pytest") and not ((root / ".venv").is_dir() or (root / "venv").is_dir()):
        prefix = next((prefix for lock, prefix in _PYTHON_MANAGERS if (root / lock).is_file()), "")
        return f"{prefix}{command}"
    return command


def _has(*patterns: str) -> Rule:
    return lambda root: any(path.is_file() for pattern in patterns for path in root.glob(pattern))


def _has_tool(*names: str) -> Rule:
    return lambda root: any(name in _tools(root) for name in names)


def _has_script(name: str) -> Rule:
    return lambda root: _NO_TEST not in str(_scripts(root).get(name, _NO_TEST))


def _names_mypy_files(root: Path) -> bool:
    table = _tools(root).get("mypy")
    return isinstance(table, dict) and any(key in table for key in ("files", "packages", "modules"))


def _uses_unittest(root: Path) -> bool:
    """Return whether all tests of a package are written for unittest, and nothing speaks of pytest."""
    if not (root / "tests/__init__.py").is_file():
        return False
    texts = [read_small_text(path) for path in sorted((root / "tests").glob("test_*.py"))[:_MAX_TESTS]]
    manifests = [
        read_small_text(root / name) for name in ("pyproject.toml", "requirements.txt", "setup.cfg")
    ]
    names_pytest = any("pytest" in text for text in (*texts, *manifests))
    return bool(texts) and not names_pytest and all("unittest" in text for text in texts)


def _any(*rules: Rule) -> Rule:
    return lambda root: any(rule(root) for rule in rules)


def _tools(root: Path) -> Mapping[str, Any]:
    """Return the tables below `[tool]` in pyproject.toml."""
    try:
        tools = tomllib.loads(read_small_text(root / "pyproject.toml")).get("tool", {})
    except tomllib.TOMLDecodeError:
        return {}
    return tools if isinstance(tools, dict) else {}


def _scripts(root: Path) -> Mapping[str, Any]:
    """Return the scripts of package.json."""
    try:
        package = json.loads(read_small_text(root / "package.json") or "{}")
    except (ValueError, RecursionError):
        return {}
    scripts = package.get("scripts") if isinstance(package, dict) else None
    return scripts if isinstance(scripts, dict) else {}


_CHECKS: Mapping[str, tuple[tuple[Rule, str], ...]] = {
    "lint": (
        (_any(_has_tool("ruff"), _has("ruff.toml", ".ruff.toml")), "ruff check"),
        (_has(".flake8"), "flake8"),
        (_any(_has_tool("pylint"), _has(".pylintrc", "pylintrc")), "pylint ."),
        (_has_script("lint"), "npm run --silent lint"),
        (_has("eslint.config.*", ".eslintrc*"), "npx --no-install eslint ."),
        (_has("biome.json", "biome.jsonc"), "npx --no-install biome check"),
        (_has(".golangci.y*ml", ".golangci.toml"), "golangci-lint run"),
        (_has("go.mod"), "go vet ./..."),
        (_has("Cargo.toml"), "cargo clippy"),
    ),
    "fix-types": (
        (_names_mypy_files, "mypy"),
        (_any(_has_tool("mypy"), _has("mypy.ini", ".mypy.ini")), "mypy ."),
        (_any(_has_tool("pyright", "basedpyright"), _has("pyrightconfig.json")), "pyright"),
        (_has_tool("ty"), "ty check"),
        (_has_script("typecheck"), "npm run --silent typecheck"),
        (_has("tsconfig.json"), "npx --no-install tsc --noEmit"),
        (_has("go.mod"), "go build ./..."),
        (_has("Cargo.toml"), "cargo check"),
    ),
}
"""For each verb the rules in order, each with the command of the tool that it finds."""
_TESTS: tuple[tuple[tuple[Rule, str], ...], ...] = (
    (
        (_any(_has_tool("pytest"), _has("pytest.ini", ".pytest.ini", "pytest.toml")), "pytest -q"),
        (_uses_unittest, "python3 -m unittest"),
        (_has("tests/test_*.py", "tests/*/test_*.py", "test_*.py", "tests/*_test.py"), "pytest -q"),
    ),
    ((_has_script("test"), "npm test --silent"),),
    ((_has("go.mod", "go.work"), "go test ./..."),),
    ((_has("Cargo.toml"), "cargo test"),),
    ((_has("gradlew"), "./gradlew test"), (_has("pom.xml"), "mvn -q test")),
    ((_has("*.sln", "*.slnx", "*.csproj"), "dotnet test"),),
    ((_has(".rspec"), "bundle exec rspec"),),
    ((_has("phpunit.xml", "phpunit.xml.dist"), "vendor/bin/phpunit"),),
    ((_has("mix.exs"), "mix test"),),
)
"""For each language the rules that find the command of its tests."""
_MAKE_TEST = re.compile(r"^test[ \t]*:", re.MULTILINE)
_MAX_TESTS = 20
_NO_TEST = "no test specified"
"""What the script says that `npm init` writes."""
_NODE_MANAGERS = (
    ("pnpm-lock.yaml", "pnpm test"),
    ("yarn.lock", "yarn test"),
    ("bun.lock", "bun run test"),
    ("bun.lockb", "bun run test"),
)
_PYTHON_MANAGERS = (
    ("uv.lock", "uv run -q "),
    ("poetry.lock", "poetry run "),
    ("pdm.lock", "pdm run "),
)
