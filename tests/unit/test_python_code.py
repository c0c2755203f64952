"""Analysis of Python code: mutants, public API, pure functions."""

import ast

import pytest

from prunejuice.code import public_api, purity
from prunejuice.code.mutant import generate_mutants

SOURCE = '''"""A module."""

LIMIT = 10


def grade(points, *, bonus=0):
    """The grade."""
    if points + bonus >= LIMIT and points > 0:
        return "pass" if points != 7 else "ü7"
    return None
'''


def test_every_mutant_parses_and_differs_in_one_place():
    found = list(generate_mutants(SOURCE, range(1, 20)))
    assert len(found) > 8
    for each in found:
        ast.parse(each.source)
        assert each.source != SOURCE
        assert sum(a != b for a, b in zip(SOURCE.split("\n"), each.source.split("\n"), strict=True)) == 1
    assert {(">=", ">"), ("and", "or"), ("!=", "==")} <= {(each.was, each.now) for each in found}


def test_documentation_is_no_place_for_a_fault():
    assert all('"""' not in each.was for each in generate_mutants(SOURCE, range(1, 20)))
    assert list(generate_mutants(SOURCE, {1, 7})) == []


def test_faults_only_where_they_are_wanted():
    assert {each.line for each in generate_mutants(SOURCE, {8})} == {8}
    assert list(generate_mutants("def broken(:\n", {1})) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("def f(a): pass", "def f(a, b): pass", ["f(a) changed to f(a, b)"]),
        ("def f(a): pass", "def f(a, b=1): pass", ["f(a) changed to f(a, b=)"]),
        ("def f(a): pass", "async def f(a): pass", ["f(a) changed to fasync (a)"]),
        ("def f(a, /, *b, c, d=1, **e): pass", "def f(a, /, *b, c, d=1, **e): return 1", []),
        (
            "class A(B):\n    def m(self): pass",
            "class A(C):\n    def m(self): pass",
            ["A of B changed to A of C"],
        ),
        ("class A:\n    def m(self): pass", "class A:\n    pass", ["A.m was removed"]),
        ("class A:\n    def _m(self): pass", "class A:\n    pass", []),
        ("X = 1", "Y = 1", ["X was removed"]),
        ("def f(): pass", "from other import f", []),
        ("import os", "", []),
        ("def _f(): pass", "", []),
        ("__all__ = ['f']\ndef f(): pass\ndef g(): pass", "__all__ = ['f']\ndef f(): pass", []),
        ("if True:\n    def f(): pass", "def g(): pass", ["f was removed"]),
        ("x: int = 1", "x: int = 2", []),
        ("def f(a=1): pass", "def f(a=_ONE): pass", []),
        ("def f(a=1): pass", "def f(a=2): pass", ["f(a) = 1 changed to f(a) = 2"]),
        (
            "class A:\n    @property\n    def b(self): pass",
            "class A:\n    def b(self): pass",
            ["A.b@property (self) changed to A.b(self)"],
        ),
        ("a, (b, *c) = 1, (2,)", "a = 1", ["b was removed", "c was removed"]),
        ("try:\n    import x\nexcept ImportError:\n    def y(): pass", "", ["y was removed"]),
        ("from x import y\n__all__ = ['y']", "__all__ = ['y']", ["y was removed"]),
        (
            "class A:\n    @property\n    def b(self): pass\n    @b.setter\n    def b(self, v): pass",
            "class A:\n    @property\n    def b(self): pass",
            ["A.b.setter was removed"],
        ),
    ],
)
def test_public_api_changes_are_reported(old, new, said):
    assert public_api.breaking_changes(public_api.public_names(old), public_api.public_names(new)) == said


PURE = "def f(prices, rate: float = 0.5):\n    return [p * rate for p in prices]\n"


@pytest.mark.parametrize(
    ("body", "is_pure"),
    [
        ("return sum(a)", True),
        ("return math.sqrt(a)", True),
        ("return other(a)", True),
        ("def inner(b):\n        return b + 1\n    return inner(a)", True),
        ("try:\n        return int(a)\n    except ValueError as e:\n        return str(e)", True),
        ("return open(a).read()", False),
        ("print(a)", False),
        ("return os.getcwd()", False),
        ("global x\n    x = 1", False),
        ("import os\n    return os", False),
        ("return unclean(a)", False),
        ("return state.append(a)", False),
    ],
)
def test_which_functions_only_compute(body, is_pure):
    source = f"import math, os\nstate = []\n\n\ndef other(a):\n    return a\n\n\ndef unclean(a):\n    print(a)\n\n\ndef f(a):\n    {body}\n"
    changed = source.replace("def f(a):\n", "def f(a):\n    a = a\n")
    assert [each.name for each in purity.changed_pure_functions(source, changed)] == (
        ["f"] if is_pure else []
    )


@pytest.mark.parametrize(
    "annotation", ["int", "list[int]", "str | None", "Optional[float]", "'dict'", "Sequence[str]", "Thing"]
)
def test_inputs_can_be_read_as_literals(annotation):
    [function] = ast.parse(f"def f(a: {annotation}, b=1):\n    return a\n").body
    found = purity.sample_inputs(function)
    assert len(found) > 8
    assert all(isinstance(ast.literal_eval(each), tuple) for each in found)
    assert {len(ast.literal_eval(each)) for each in found} == {1, 2}


def test_functions_with_too_much_to_try():
    assert purity.sample_inputs(ast.parse("def f(*a): pass").body[0]) == ()
    assert purity.sample_inputs(ast.parse("def f(a, b, c, d, e, g, h): pass").body[0]) == ()
    assert purity.changed_pure_functions(PURE, PURE) == []
