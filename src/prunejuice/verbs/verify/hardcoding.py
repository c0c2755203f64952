"""Find results that are hard-coded for the values of a test instead of computed. Pure.

An example is `if prices == [1, 2]: return 3`, where a test says `assert total([1, 2]) == 3`.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from prunejuice.code.testpaths import is_test_path
from prunejuice.edits.diff import FileDiff
from prunejuice.verbs.verify.tamper import TamperFinding

_COMMON_VALUES = frozenset(map(repr, (0, 1, -1, 2, 0.0, 1.0, "", None, True, False, [], (), {})))
"""Values that honest code often treats separately, such as the base case of a recursion."""


class ExpectedCall(NamedTuple):
    """A call that a test expects a result of: the arguments and the result as Python literals."""

    function: str
    arguments: tuple[str, ...]
    result: str


def find_expected_calls(source: str) -> Iterator[ExpectedCall]:
    """Yield the calls with literal arguments that tests compare with a literal."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, ops=[ast.Eq() | ast.Is()], comparators=[right]):
                yield from _expected_call(left, right)
                yield from _expected_call(right, left)
            case ast.Call(func=ast.Attribute(attr="assertEqual" | "assertEquals"), args=[left, right, *_]):
                yield from _expected_call(left, right)
                yield from _expected_call(right, left)


def _expected_call(call: ast.expr, value: ast.expr) -> Iterator[ExpectedCall]:
    result = _literal_text(value)
    if not isinstance(call, ast.Call) or result is None:
        return
    arguments = [_literal_text(node) for node in (*call.args, *(word.value for word in call.keywords))]
    name = ast.unparse(call.func).rpartition(".")[2]
    if arguments and None not in arguments:
        yield ExpectedCall(name, tuple(str(node) for node in arguments), result)


def _literal_text(node: ast.expr) -> str | None:
    """Return the `repr` of a literal, or None for any other expression."""
    try:
        return repr(ast.literal_eval(node))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def find_hardcoded_answers(diffs: Iterable[FileDiff], tests: Iterable[str]) -> list[TamperFinding]:
    """Return the places where a change returns expected results of tests without computing them."""
    expected_calls = {call for source in tests for call in find_expected_calls(source)}
    by_name: dict[str, set[ExpectedCall]] = {}
    for call in expected_calls:
        by_name.setdefault(call.function, set()).add(call)
    return (
        [finding for diff in diffs for finding in _file_findings(diff, by_name)] if expected_calls else []
    )


def _file_findings(diff: FileDiff, expected: Mapping[str, set[ExpectedCall]]) -> Iterator[TamperFinding]:
    path = diff.to or diff.path
    if not path.endswith(".py") or is_test_path(path) or diff.new.data is None:
        return
    try:
        new = ast.parse(diff.new.data)
        old = ast.parse(diff.old.data or b"")
    except (SyntaxError, ValueError):
        return
    before = {ast.dump(node) for node in ast.walk(old) if isinstance(node, ast.If | ast.Dict | ast.Return)}
    before |= {ast.dump(node) for node in _extended_cases(old, new)}
    functions = (
        node for node in ast.walk(new) if isinstance(node, ast.FunctionDef) and node.name in expected
    )
    for function in functions:
        line = next(_hardcoded_lines(function, expected[function.name], before), 0)
        if line:
            yield TamperFinding(path, line, f"{function.name} hard-codes a result that a test expects")
    pairs = set().union(*expected.values())
    for node in new.body:
        match node:
            case ast.Assign(value=ast.Dict() as table) if ast.dump(
                table
            ) not in before and _is_answer_table(table, pairs):
                yield TamperFinding(path, node.lineno, "a table hard-codes results that a test expects")


def _extended_cases(old: ast.Module, new: ast.Module) -> Iterator[ast.If | ast.Dict]:
    """Yield the special cases and tables of the new code that join others which were there before."""
    was = {node.name: node for node in ast.walk(old) if isinstance(node, ast.FunctionDef)}
    for function in (node for node in ast.walk(new) if isinstance(node, ast.FunctionDef)):
        known = {_case_subject(node) for node in ast.walk(was.get(function.name, ast.Pass()))} - {""}
        yield from (
            node for node in ast.walk(function) if isinstance(node, ast.If) and _case_subject(node) in known
        )
    rows = [_row_dumps(node) for node in ast.walk(old) if isinstance(node, ast.Dict)]
    for table in (node for node in ast.walk(new) if isinstance(node, ast.Dict)):
        if any(row and row < _row_dumps(table) for row in rows):
            yield table


def _case_subject(node: ast.AST) -> str:
    """Return what a case such as `if name == "red": return "#f00"` looks at; empty for anything else."""
    match node:
        case ast.If(
            test=ast.Compare(left=left, ops=[ast.Eq() | ast.Is()], comparators=[ast.Constant()]),
            body=[ast.Return(value=ast.Constant())],
        ):
            return ast.dump(left)
    return ""


def _row_dumps(table: ast.Dict) -> set[str]:
    return {
        f"{ast.dump(key)}: {ast.dump(value)}"
        for key, value in zip(table.keys, table.values, strict=True)
        if key
    }


def _hardcoded_lines(
    function: ast.FunctionDef, expected: set[ExpectedCall], before: set[str]
) -> Iterator[int]:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    match body:
        case [ast.Return(value=ast.expr() as value)] if (
            function.args.args and ast.dump(body[0]) not in before
        ):
            literal = _literal_text(value)
            if literal not in _COMMON_VALUES and any(call.result == literal for call in expected):
                yield function.lineno
    for node in ast.walk(function):
        match node:
            case ast.If(test=test, body=[ast.Return(value=ast.expr() as value)]) if (
                ast.dump(node) not in before
            ):
                if _matches_expected_call(_compared_values(test), _literal_text(value), expected):
                    yield node.lineno
            case ast.Dict() if ast.dump(node) not in before and _is_answer_table(node, expected):
                yield node.lineno


def _compared_values(test: ast.expr) -> set[str]:
    """Return the literals that a condition compares with, without common ones."""
    literals = set()
    for node in ast.walk(test):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.Is | ast.In):
            literals |= {_literal_text(part) for part in (node.left, *node.comparators)}
    return {part for part in literals if part is not None} - _COMMON_VALUES


def _matches_expected_call(compared: set[str], result: str | None, expected: set[ExpectedCall]) -> bool:
    if result is None or not compared:
        return False
    for call in expected:
        whole = f"({', '.join(call.arguments)}{',' if len(call.arguments) == 1 else ''})"
        if call.result == result and compared & {*call.arguments, whole, f"[{', '.join(call.arguments)}]"}:
            return True
    return False


def _is_answer_table(table: ast.Dict, expected: set[ExpectedCall]) -> bool:
    """Return whether a table contains nothing but expected results of tests."""
    rows = [
        (_literal_text(key) if key else None, _literal_text(value))
        for key, value in zip(table.keys, table.values, strict=True)
    ]
    pairs = [(key, value) for key, value in rows if key is not None]
    return bool(pairs) and all(
        _matches_expected_call({key} - _COMMON_VALUES, value, expected) for key, value in pairs
    )
