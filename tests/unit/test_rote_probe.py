"""Functions that a change made right for the values of tests alone are shown, however they are written."""

import pytest

from prunejuice.edits.diff import FileDiff, Version
from prunejuice.environments.place import own_place
from prunejuice.system.settings import environment
from prunejuice.system.stop_request import Stop
from prunejuice.verbs.verify.equivalence import EquivalenceChecker
from prunejuice.verbs.verify.rote_probe import (
    RoteProbe,
    find_changed_functions,
    list_tested_calls,
    vary_arguments,
)

OLD = "def add(a, b):\n    return a - b\n"
TEST = "from app import add\n\n\ndef test_add():\n    assert add(20, 3) == 23\n    assert add(9, 4) == 13\n"
ROTE = {
    "a condition": "def add(a, b):\n    if (a, b) == (20, 3):\n        return 23\n    if a == 9:\n        return 13\n    return a - b\n",
    "values in a variable": "def add(a, b):\n    known = (20, 3)\n    wanted = 23\n    if (a, b) == known:\n        return wanted\n    return 13 if (a, b) == (9, 4) else a - b\n",
    "a table by repr": "def add(a, b):\n    return {'(20, 3)': 23, '(9, 4)': 13}.get(repr((a, b)), a - b)\n",
    "two lists": "def add(a, b):\n    keys, values = [(20, 3), (9, 4)], [23, 13]\n    return values[keys.index((a, b))] if (a, b) in keys else a - b\n",
    "match": "def add(a, b):\n    match (a, b):\n        case (20, 3):\n            return 23\n        case (9, 4):\n            return 13\n    return a - b\n",
    "a dictionary after an error": "def add(a, b):\n    try:\n        return {(20, 3): 23, (9, 4): 13}[a, b]\n    except KeyError:\n        return a - b\n",
    "digits": "def add(a, b):\n    return 23 if f'{a}{b}' == '203' else 13 if f'{a}{b}' == '94' else a - b\n",
}
HONEST = {
    "the sum": "def add(a, b):\n    return a + b\n",
    "a case and the sum": "def add(a, b):\n    if b == 0:\n        return a\n    return a + b\n",
    "another error": "def add(a, b):\n    if a < 0:\n        raise ValueError\n    return a + b\n",
}


@pytest.fixture
def described(tmp_path):
    def describe(new, old=OLD, tests=(TEST,)):
        for name, text in (("was", old), ("now", new)):
            (tmp_path / name).mkdir()
            (tmp_path / name / "app.py").write_text(text)
        diff = FileDiff("app.py", Version(old.encode()), Version(new.encode()))
        functions = find_changed_functions([diff], tests)
        probe = RoteProbe(EquivalenceChecker(environment(), Stop()))
        return probe.describe_rote(own_place(tmp_path / "was"), own_place(tmp_path / "now"), functions)

    return describe


@pytest.mark.parametrize("name", ROTE)
def test_what_is_right_for_the_tests_alone_is_shown_with_its_values(name, described):
    [line] = described(ROTE[name])
    assert line.startswith(
        "app.py: only the values of tests changed: add(20, 3) returns 23 now, but add(21, 3)"
    )
    assert "returns 18 as before" in line


@pytest.mark.parametrize("name", HONEST)
def test_what_changed_beside_the_tests_too_is_not_shown(name, described):
    assert described(HONEST[name]) == []


def test_what_cannot_be_called_is_said(described):
    [line] = described("def add(a, b):\n    print(a)\n    return a + b\n")
    assert "add was not tried beside the values of tests" in line


def test_rows_of_parameters_are_calls():
    rows = "@pytest.mark.parametrize('a, b, sum', [(20, 3, 23), (9, 4, 13)])\ndef test_add(a, b, sum):\n    assert add(a, b) == sum\n"
    one = "@pytest.mark.parametrize('n', [1, 2])\ndef test_n(n):\n    assert twice(n) == n * 2\n"
    assert list_tested_calls([rows, one, "def ("]) == {"add": [(20, 3), (9, 4)], "twice": [(1,), (2,)]}


def test_one_argument_varies_at_a_time():
    assert list(vary_arguments((1, "ab"))) == [
        (2, "ab"), (8, "ab"), (5, "ab"), (1, "abx"), (1, "qab"), (1, "az"),
    ]  # fmt: skip
    assert list(vary_arguments(([1],))) == [([1, 1],), ([2],), ([8],), ([5],)]
    assert list(vary_arguments((True, None))) == [(False, None)]
