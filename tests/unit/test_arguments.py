"""Arguments of a command: types, and all problems at once."""

import pytest

from prunejuice.errors import UsageError
from prunejuice.workflow.command import Argument, Command, bind_arguments, convert_value
from prunejuice.workflow.graph import Workflow

COMMAND = Command(
    "c",
    Workflow("c"),
    arguments=(
        Argument("issue", type="integer", description="Its number"),
        Argument("mode", required=False, default="fast"),
        Argument("note", required=False),
    ),
)


def test_values_are_typed_and_defaults_filled_in():
    assert bind_arguments(COMMAND, {"issue": "12"}) == {"issue": 12, "mode": "fast", "note": None}


def test_every_mistake_is_named_at_once():
    with pytest.raises(UsageError) as caught:
        bind_arguments(COMMAND, {"mod": "x"})
    assert "did you mean 'mode'" in caught.value.message
    assert "missing argument 'issue' (Its number)" in caught.value.message
    with pytest.raises(UsageError, match="takes no arguments"):
        bind_arguments(Command("d", Workflow("d")), {"x": "1"})


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("x", "string", "x"),
        ("a/b", "path", "a/b"),
        ("-3", "integer", -3),
        (4, "integer", 4),
        ("1.5", "number", 1.5),
        (2, "number", 2),
        ("yes", "boolean", True),
        ("off", "boolean", False),
        (True, "boolean", True),
        ("a,b", "list", ["a", "b"]),
        ("", "list", []),
        (["x"], "list", ["x"]),
        ('{"a": 1}', "object", {"a": 1}),
        ({"b": 2}, "object", {"b": 2}),
        ("*; $(id)\n'\"", "string", "*; $(id)\n'\""),
    ],
)
def test_every_type_reads(value, kind, expected):
    assert convert_value(value, kind) == expected


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("x", "integer"),
        (True, "integer"),
        ("9" * 40, "integer"),
        ("x", "number"),
        (True, "number"),
        ("1e5", "number"),
        ("maybe", "boolean"),
        (1, "boolean"),
        (3, "list"),
        ("[1]", "object"),
        ("{", "object"),
        ("[" * 100_000, "object"),
        (True, "string"),
        ("\udcff", "string"),
        ("a\0b", "string"),
    ],
)
def test_every_type_refuses(value, kind):
    with pytest.raises(ValueError, match=r"."):
        convert_value(value, kind)
