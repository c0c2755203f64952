"""The table of guards that `make mutants` removes names code and tests that exist."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = tomllib.loads((ROOT / "tests/guards.toml").read_text())


@pytest.mark.parametrize("guard", TABLE["guard"], ids=lambda guard: guard["why"])
def test_each_guard_stands_once_in_its_file(guard):
    assert (ROOT / guard["file"]).read_text().count(guard["old"]) == 1


@pytest.mark.parametrize(
    "row", [*TABLE["guard"], *TABLE["module"]], ids=lambda row: row.get("file") or row["path"]
)
def test_each_row_names_files_that_exist(row):
    assert (ROOT / (row.get("file") or row["path"])).is_file()
    assert all((ROOT / test).exists() for test in row["tests"])
