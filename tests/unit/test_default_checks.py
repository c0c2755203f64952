"""The default check of a project comes from the files that configure its tools."""

import pytest

from prunejuice.verbs.verify.default_checks import find_default_check


@pytest.mark.parametrize(
    ("verb", "name", "text", "command"),
    [
        ("lint", "pyproject.toml", "[tool.ruff]\nline-length = 90\n", "ruff check"),
        ("lint", "ruff.toml", "", "ruff check"),
        ("lint", ".flake8", "", "flake8"),
        ("lint", "package.json", '{"scripts": {"lint": "eslint ."}}', "npm run --silent lint"),
        ("lint", "eslint.config.mjs", "", "npx --no-install eslint ."),
        ("lint", "go.mod", "module a\n", "go vet ./..."),
        ("lint", "Cargo.toml", "", "cargo clippy"),
        ("fix-types", "pyproject.toml", "[tool.mypy]\nstrict = true\n", "mypy ."),
        ("fix-types", "pyproject.toml", '[tool.mypy]\nfiles = ["src"]\n', "mypy"),
        ("fix-types", "pyrightconfig.json", "{}", "pyright"),
        ("fix-types", "tsconfig.json", "{}", "npx --no-install tsc --noEmit"),
        ("fix", "pyproject.toml", '[tool.pytest.ini_options]\naddopts = "-q"\n', "pytest -q"),
        ("fix", "package.json", '{"scripts": {"test": "vitest"}}', "npm test --silent"),
        ("fix", "go.mod", "module a\n", "go test ./..."),
        ("fix", "test_a.py", "", "pytest -q"),
        ("fix", "pyproject.toml", "not toml [", ""),
        ("fix", "package.json", "not json", ""),
        ("lint", "package.json", '{"scripts": []}', ""),
        ("do", "pyproject.toml", "[tool.ruff]\n", ""),
    ],
)
def test_the_configuration_names_the_check(tmp_path, verb, name, text, command):
    (tmp_path / name).write_text(text)
    assert find_default_check(verb, tmp_path) == command
