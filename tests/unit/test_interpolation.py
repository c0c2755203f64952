"""`${{ }}` in values."""

import pytest

from prunejuice.errors import ConditionError
from prunejuice.workflow import interpolation

DATA = {"args": {"n": 3, "list": ["a"], "t": True, "none": None}}


def test_lone_expression_keeps_its_type_and_mixed_text_becomes_a_string():
    value = {"a": "${{ args.n }}", "b": "n=${{ args.n }}, ${{ args.t }}", "c": ["${{ args.list }}", 1, "x"]}
    assert interpolation.render(value, DATA) == {"a": 3, "b": "n=3, true", "c": [["a"], 1, "x"]}
    assert interpolation.render("x${{ args.none }}y${{ args.list }}", DATA) == 'xy["a"]'


def test_expressions_are_found_wherever_they_stand():
    assert (
        len(list(interpolation.expressions({"a": ["${{ args.n }}", {"b": "${{ args.t }}"}], "c": 1}))) == 2
    )


@pytest.mark.parametrize("text", ["${{ args.n", "${{ }}", "${{ nope() }}"])
def test_a_broken_expression_is_a_named_error(text):
    with pytest.raises(ConditionError):
        interpolation.render(text, DATA)
