"""The default check of a project comes from the files that configure its tools."""

import pytest

from conftest import write_files
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
        ("fix", "go.work", "", "go test ./..."),
        ("fix", "gradlew", "", "./gradlew test"),
        ("fix", "pom.xml", "", "mvn -q test"),
        ("fix", "a.csproj", "", "dotnet test"),
        ("fix", ".rspec", "", "bundle exec rspec"),
        ("fix", "phpunit.xml.dist", "", "vendor/bin/phpunit"),
        ("fix", "mix.exs", "", "mix test"),
        ("fix", "Makefile", "all:\n\ttrue\ntest: all\n\ttrue\n", "make test"),
        ("fix", "Makefile", "tests: all\n", ""),
        (
            "fix",
            "package.json",
            '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}',
            "",
        ),
        ("fix", "pyproject.toml", "not toml [", ""),
        ("fix", "package.json", "not json", ""),
        ("lint", "package.json", '{"scripts": []}', ""),
        ("do", "pyproject.toml", "[tool.ruff]\n", ""),
    ],
)
def test_the_configuration_names_the_check(tmp_path, verb, name, text, command):
    (tmp_path / name).write_text(text)
    assert find_default_check(verb, tmp_path) == command


SCRIPT = '{"scripts": {"test": "vitest"}}'


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"test_a.py": "", "uv.lock": ""}, "uv run -q pytest -q"),
        ({"test_a.py": "", "uv.lock": "", ".venv/pyvenv.cfg": ""}, "pytest -q"),
        ({"test_a.py": "", "poetry.lock": ""}, "poetry run pytest -q"),
        ({"tests/__init__.py": "", "tests/test_a.py": "import unittest\n"}, "python3 -m unittest"),
        ({"tests/test_a.py": "import unittest\n"}, "pytest -q"),
        (
            {
                "tests/__init__.py": "",
                "tests/test_a.py": "import unittest\n",
                "requirements.txt": "pytest\n",
            },
            "pytest -q",
        ),
        (
            {"tests/__init__.py": "", "tests/test_a.py": "import unittest\n", "tests/test_b.py": ""},
            "pytest -q",
        ),
        ({"test_a.py": "", "pdm.lock": ""}, "pdm run pytest -q"),
        ({"package.json": SCRIPT, "pnpm-lock.yaml": ""}, "pnpm test"),
        ({"package.json": SCRIPT, "yarn.lock": ""}, "yarn test"),
        ({"package.json": SCRIPT, "bun.lock": ""}, "bun run test"),
        ({"package.json": SCRIPT, "package-lock.json": "", "yarn.lock": ""}, "npm test --silent"),
        ({"package.json": SCRIPT, "test_a.py": ""}, "pytest -q && npm test --silent"),
        (
            {"go.mod": "", "package.json": SCRIPT, "Makefile": "test:\n"},
            "npm test --silent && go test ./...",
        ),
    ],
)
def test_every_language_is_tested_as_its_manager_runs_it(tmp_path, files, command):
    write_files(tmp_path, files)
    assert find_default_check("fix", tmp_path) == command
