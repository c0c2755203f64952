"""Globs match the right paths in bounded time."""

import pytest

from prunejuice.edits.path_rules import matches_glob
from prunejuice.errors import UsageError


@pytest.mark.parametrize(
    ("pattern", "names", "others"),
    [
        ("**/*.py", ["a.py", "x/a.py", "x/y/a.py"], ["a.pyc", "x/a.txt"]),
        (
            "src/**/tests/**/x.py",
            ["src/tests/x.py", "src/a/tests/x.py", "src/a/tests/b/x.py"],
            ["tests/x.py"],
        ),
        ("a/**/b/**/c", ["a/b/c", "a/x/b/c", "a/x/b/y/c"], ["a/b", "x/b/c"]),
        ("test_*.py", ["test_a.py", "x/test_a.py"], ["a_test.py"]),
        ("x**/a", ["xy/a", "x/a"], ["a"]),
        ("**/**/**/a", ["a", "x/a"], ["b"]),
        (".github/*.yml", [".github/a.yml"], [".github/workflows/deploy.yml"]),
        ("docs", ["docs/a.md", "x/docs/a.md"], ["docs.md"]),
        ("!important", ["!important"], ["important"]),
        ("#1", ["#1"], ["1"]),
    ],
)
def test_a_glob(pattern, names, others):
    assert [name for name in names if not matches_glob(name, pattern)] == []
    assert [name for name in others if matches_glob(name, pattern)] == []


def test_repeated_globstars_count_once():
    assert not matches_glob("a/b/c", "**/" * 2000 + "x")
    assert matches_glob("a/b/x", "**/" * 2000 + "x")


@pytest.mark.parametrize("pattern", ["/".join(["**/y"] * 30), "a\\"])
def test_a_glob_that_is_invalid_or_slow_is_refused(pattern):
    with pytest.raises(UsageError, match="glob"):
        matches_glob("y/" * 40 + "c", pattern)
