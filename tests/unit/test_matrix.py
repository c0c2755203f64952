"""Combinations of several values."""

import pytest

from prunejuice.errors import UsageError
from prunejuice.workflow.command import Argument, Command
from prunejuice.workflow.graph import Workflow
from prunejuice.workflow.matrix import argument_combinations

COMMAND = Command(
    "c",
    Workflow("c", {}),
    arguments=(
        Argument("issue", type="integer"),
        Argument("text"),
        Argument("names", type="list"),
        Argument("on", type="boolean"),
    ),
)


@pytest.mark.parametrize(
    ("given", "matrix", "times", "count"),
    [
        ({}, (), 1, 1),
        ({}, (), 3, 3),
        ({"issue": "1,2,3"}, (), 1, 3),
        ({"issue": "1,2,2"}, (), 2, 4),
        ({"issue": "1,x"}, (), 1, 1),
        ({"text": "well, yes"}, (), 1, 1),
        ({"names": "a,b"}, (), 1, 1),
        ({"issue": "1,2", "on": "yes,no"}, (), 1, 4),
        ({"issue": "1"}, ("text=a,b", "on=yes,no"), 2, 8),
        ({"unknown": "1,2"}, (), 1, 1),
    ],
)
def test_how_many_runs(given, matrix, times, count):
    assert len(argument_combinations(COMMAND, given, matrix, times)) == count


def test_matrix_combines_each_value_with_every_other():
    assert argument_combinations(COMMAND, {"issue": "1,2"}, ("text=a,b",)) == [
        {"issue": "1", "text": "a"},
        {"issue": "1", "text": "b"},
        {"issue": "2", "text": "a"},
        {"issue": "2", "text": "b"},
    ]


@pytest.mark.parametrize("word", ["issue=3", "text", "text=", "text=a,", "=a"])
def test_invalid_matrix_argument_is_refused(word):
    with pytest.raises(UsageError, match="matrix"):
        argument_combinations(COMMAND, {"issue": "1"}, (word,))


def test_too_many():
    with pytest.raises(UsageError, match="1010 runs"):
        argument_combinations(COMMAND, {"issue": ",".join(map(str, range(101)))}, (), 10)
