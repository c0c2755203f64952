"""YAML is read strictly, with line numbers and limits."""

import pytest

from prunejuice.errors import DefinitionError
from prunejuice.system import yaml_reader


def test_words_and_numbers_mean_what_they_look_like():
    text = (
        "a: no\nb: on\nc: true\nd: 12\ne: 1.5\nf: '12'\ng: ~\nh: 12:30:45\ni: 1e999\nj: -3\non: 1\n1: x\n"
    )
    assert yaml_reader.parse(text, "f").data == {
        "a": "no",
        "b": "on",
        "c": True,
        "d": 12,
        "e": 1.5,
        "f": "12",
        "g": None,
        "h": "12:30:45",
        "i": "1e999",
        "j": -3,
        "on": 1,
        "1": "x",
    }


def test_every_value_knows_its_line():
    read = yaml_reader.parse("a: 1\nb:\n  - x\n  - c: 2\n    d: |\n      t\n", "f")
    assert read.line_of(("b", 1, "c")) == 4
    assert read.line_of(("b", 1, "d")) == 5
    assert read.line_of(("b", 1, "nope")) == 4
    assert read.line_of(("zzz",)) == 1


def test_anchors_are_values():
    assert yaml_reader.parse("a: &x [1, 2]\nb: *x\n", "f").data == {"a": [1, 2], "b": [1, 2]}
    assert yaml_reader.parse(b"", "f").data is None


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{c}: &{c} [{','.join('*' + p for _ in range(9))}]\n"
    for p, c in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE = {
    "bomb": (BOMB, "aliases expanded"),
    "brackets": ("[" * 100_000, "nested more than"),
    "deep": ("\n".join(" " * i + "a:" for i in range(400)), "nested more than"),
    "python": ("a: !!python/object/apply:os.system [id]", "tag"),
    "tag": ("a: !x 1", "tag"),
    "recursive": ("a: &a [*a]", "contains itself"),
    "unknown alias": ("a: *b", "undefined or contains itself"),
    "twice": ("a: 1\nb: 2\na: 3", "duplicate key"),
    "merge": ("x: &x {a: 1}\ny: {<<: *x}", "extends"),
    "scalar": ("a: '" + "x" * 10_000_000 + "'", "larger than"),
    "keys": ("\n".join(f"k{i}: 1" for i in range(20_000)), "more than 10000"),
    "utf-8": (b"a: \xff", "not valid UTF-8"),
    "two": ("a: 1\n---\nb: 2", "multiple documents"),
    "tab": ("a:\n\t- b", "cannot start"),
    "control": ("a: \x1b[0m", "invalid YAML"),
    "list key": ("? [a]\n: b", "must be a scalar"),
    "alias key": ("a: &x [1]\n*x : b", "must be a scalar"),
    "unclosed": ("a: [1", "expected"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_named_errors_at_once(name):
    text, message = HOSTILE[name]
    with pytest.raises(DefinitionError, match=message) as caught:
        yaml_reader.parse(text, "evil.yaml")
    assert "evil.yaml" in str(caught.value)
