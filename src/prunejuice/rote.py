"""Answers that are written for the values of a test instead of being worked out. Pure.

`if prices == [1, 2]: return 3`, where a test says `assert total([1, 2]) == 3`, is one.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from prunejuice.guard import Weakened, is_test
from prunejuice.hunk import Difference

_COMMON = frozenset(map(repr, (0, 1, -1, 2, 0.0, 1.0, "", None, True, False, [], (), {})))
"""Values that honest code treats apart too: where a recursion or a loop ends."""


class Expected(NamedTuple):
    """What a test says of a call: the arguments and the result, as Python writes them."""

    function: str
    given: tuple[str, ...]
    result: str


def expected(source: str) -> Iterator[Expected]:
    """The calls that tests compare with a value, all of it written out."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, ops=[ast.Eq() | ast.Is()], comparators=[right]):
                yield from _pair(left, right)
                yield from _pair(right, left)
            case ast.Call(func=ast.Attribute(attr="assertEqual" | "assertEquals"), args=[left, right, *_]):
                yield from _pair(left, right)
                yield from _pair(right, left)


def _pair(call: ast.expr, value: ast.expr) -> Iterator[Expected]:
    result = _literal(value)
    if not isinstance(call, ast.Call) or result is None:
        return
    given = [_literal(each) for each in (*call.args, *(word.value for word in call.keywords))]
    name = ast.unparse(call.func).rpartition(".")[2]
    if given and None not in given:
        yield Expected(name, tuple(str(each) for each in given), result)


def _literal(node: ast.expr) -> str | None:
    """What a literal is, as Python writes it; None for what has to be worked out."""
    try:
        return repr(ast.literal_eval(node))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def by_rote(found: Iterable[Difference], tests: Iterable[str]) -> list[Weakened]:
    """The places where a change answers by rote what tests expect."""
    known = {each for source in tests for each in expected(source)}
    by_name: dict[str, set[Expected]] = {}
    for each in known:
        by_name.setdefault(each.function, set()).add(each)
    return [place for each in found for place in _of_file(each, by_name)] if known else []


def _of_file(each: Difference, known: Mapping[str, set[Expected]]) -> Iterator[Weakened]:
    path = each.to or each.path
    if not path.endswith(".py") or is_test(path) or each.new.data is None:
        return
    try:
        new = ast.parse(each.new.data)
        old = ast.parse(each.old.data or b"")
    except (SyntaxError, ValueError):
        return
    before = {ast.dump(node) for node in ast.walk(old) if isinstance(node, ast.If | ast.Dict | ast.Return)}
    named = (n for n in ast.walk(new) if isinstance(n, ast.FunctionDef) and n.name in known)
    for function in named:
        line = next(_places(function, known[function.name], before), 0)
        if line:
            yield Weakened(path, line, f"{function.name} answers by rote what a test expects")
    pairs = set().union(*known.values())
    for node in new.body:
        match node:
            case ast.Assign(value=ast.Dict() as table) if ast.dump(table) not in before and _is_table(
                table, pairs
            ):
                yield Weakened(path, node.lineno, "a table has what a test expects")


def _places(function: ast.FunctionDef, known: set[Expected], before: set[str]) -> Iterator[int]:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    match body:
        case [ast.Return(value=ast.expr() as value)] if (
            function.args.args and ast.dump(body[0]) not in before
        ):
            said = _literal(value)
            if said not in _COMMON and any(each.result == said for each in known):
                yield function.lineno
    for node in ast.walk(function):
        match node:
            case ast.If(test=test, body=[ast.Return(value=ast.expr() as value)]) if (
                ast.dump(node) not in before
            ):
                if _matches(_compared(test), _literal(value), known):
                    yield node.lineno
            case ast.Dict() if ast.dump(node) not in before and _is_table(node, known):
                yield node.lineno


def _compared(test: ast.expr) -> set[str]:
    """The values that a condition compares something with, but for common ones."""
    found = set()
    for node in ast.walk(test):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.Is | ast.In):
            found |= {_literal(each) for each in (node.left, *node.comparators)}
    return {each for each in found if each is not None} - _COMMON


def _matches(given: set[str], result: str | None, known: set[Expected]) -> bool:
    if result is None or not given:
        return False
    for each in known:
        whole = f"({', '.join(each.given)}{',' if len(each.given) == 1 else ''})"
        if each.result == result and given & {*each.given, whole, f"[{', '.join(each.given)}]"}:
            return True
    return False


def _is_table(table: ast.Dict, known: set[Expected]) -> bool:
    """Whether a table has nothing but what tests expect."""
    rows = [
        (_literal(key) if key else None, _literal(value))
        for key, value in zip(table.keys, table.values, strict=True)
    ]
    kept = [(key, value) for key, value in rows if key is not None]
    return bool(kept) and all(_matches({key} - _COMMON, value, known) for key, value in kept)
