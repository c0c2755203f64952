"""Globs of paths: what they name, however many folders lie between."""

import pytest

from prunejuice.pathname import globbed


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
    ],
)
def test_a_glob(pattern, names, others):
    assert [name for name in names if not globbed(name, pattern)] == []
    assert [name for name in others if globbed(name, pattern)] == []


def test_a_glob_with_no_end_of_folders_takes_no_time():
    assert not globbed("a/b/c", "**/" * 2000 + "x")
    assert not globbed("a/b/c", "/".join(["**/y"] * 300))
