"""What the hints of an edit about its place say: anchors, and the definitions that they name."""

import pytest

from prunejuice.edits.hints import (
    contradicts_anchors,
    find_anchor_block,
    find_anchor_lines,
    is_missing_definition,
)

NESTED = ["class A:", "    def f():", "        x", "    def g():", "        y", "class B:", "    z"]


@pytest.mark.parametrize(
    ("texts", "anchors", "lines"),
    [
        (["class AB", "x", "class A", "x"], ("class A",), [2]),
        (["class AB", "x", "class AC"], ("class A",), [0, 2]),
        (NESTED, ("class A:", "def g():"), [3]),
        (NESTED, ("class B:", "def g():"), []),
        (NESTED, ("",), []),
        (NESTED, (), []),
    ],
)
def test_an_anchor_is_searched_for_below_the_one_before(texts, anchors, lines):
    assert find_anchor_lines(texts, anchors) == lines


@pytest.mark.parametrize(
    ("texts", "anchors", "is_missing"),
    [
        (["x"], (), False),
        (["def a():"], ("def a():",), False),
        (["x"], ("def a():",), True),
        (["x"], ("class B", "def a():"), True),
        (["a = 1"], ("def a():",), False),
        (["x"], ("# a section",), False),
    ],
)
def test_a_definition_is_missing_if_the_file_never_names_it(texts, anchors, is_missing):
    assert is_missing_definition(texts, anchors) is is_missing


@pytest.mark.parametrize(
    ("anchors", "first", "contradicts"),
    [
        (("class A:",), 0, False),
        (("class A:",), 2, False),
        (("class A:",), 4, False),
        (("class A:",), 6, True),
        (("class B:",), 2, True),
        (("def f():",), 2, False),
        (("def f():",), 4, True),
        (("def f():",), 6, True),
        (("def gone():",), 2, False),
    ],
)
def test_a_place_under_another_definition_contradicts_the_anchor(anchors, first, contradicts):
    assert contradicts_anchors(NESTED, anchors, first) is contradicts


def test_a_sibling_right_below_an_anchor_ends_what_stands_under_it():
    assert contradicts_anchors(["class A: pass", "class B:", "    x = 1"], ("class A: pass",), 2)


def test_only_definitions_end_what_stands_under_an_anchor():
    texts = ["# one", "x", "# two", "y", "def f():", "    z"]
    assert not contradicts_anchors(texts, ("# one",), 3)
    assert contradicts_anchors(texts, ("# one",), 5)
    assert not contradicts_anchors(texts, ("# one",), 5, original=("# one", "x"))


@pytest.mark.parametrize(
    ("texts", "anchors", "block"),
    [
        (["class A:", "x = 1", "    y = 2"], ("class A:",), (0, 1)),
        (["class A:", "    y = 2", "x = 1"], ("class A:",), (0, 2)),
        (["f() {", "  x", "}", "y"], ("f() {",), (0, 3)),
        (["class AB:", "    x"], ("class A",), (0, 2)),
        (NESTED, ("class A:", "def g():"), (3, 5)),
        (NESTED, ("def h():",), (0, 0)),
        (["def f():", "def f():"], ("def f():",), (0, 0)),
        (NESTED, (), (0, 7)),
    ],
)
def test_the_block_of_an_anchor_ends_where_the_indentation_does(texts, anchors, block):
    assert find_anchor_block(texts, anchors) == block
