"""Show functions that a change made right for the values of the tests alone.

Such a function gives a new result for the arguments of a test, and the old one for most arguments beside
them. How it is written does not matter: it is called. An honest special case looks the same, so this is
evidence for a reviewer and refuses nothing.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from prunejuice.code import purity
from prunejuice.code.testpaths import is_test_path
from prunejuice.edits.diff import FileDiff
from prunejuice.environments.place import Place
from prunejuice.text import safe_line
from prunejuice.verbs.verify.equivalence import EquivalenceChecker, parseable_text

_MAX_CALLS = 12
"""How many calls of a test are varied, for each function."""
_MIN_NEIGHBOURS = 4
_MIN_SHARE = 0.75
"""The share of arguments beside those of tests for which nothing changed."""
_MAX_SHOWN = 3
_NO_RESULT = ("raises TypeError", "raises AttributeError")


class ChangedFunction(NamedTuple):
    """A function that a change altered: its file, its name, and the arguments that tests call it with.

    `is_pure` is false if calling it may have side effects.
    """

    path: str
    name: str
    tested: tuple[tuple[Any, ...], ...]
    is_pure: bool = True


def find_changed_functions(diffs: Iterable[FileDiff], tests: Iterable[str]) -> list[ChangedFunction]:
    """Return the changed functions at the top level that tests call with literals."""
    calls = list_tested_calls(tests)
    found = []
    for diff in diffs:
        old, new = parseable_text(diff.old.data), parseable_text(diff.new.data)
        if (
            not diff.path.endswith(".py")
            or is_test_path(diff.path)
            or diff.to
            or old is None
            or new is None
        ):
            continue
        pure = {function.name for function in purity.changed_pure_functions(old, new)}
        found += [
            ChangedFunction(diff.path, name, tuple(calls[name][:_MAX_CALLS]), name in pure)
            for name in _changed_names(old, new)
            if name in calls
        ]
    return found


def _changed_names(old: str, new: str) -> list[str]:
    before, after = (
        {node.name: ast.dump(node) for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
        for text in (old, new)
    )
    return [name for name in after if name in before and after[name] != before[name]]


def list_tested_calls(tests: Iterable[str]) -> dict[str, list[tuple[Any, ...]]]:
    """Return the literal arguments of the calls in tests, by the name of the function."""
    calls: dict[str, list[tuple[Any, ...]]] = {}
    for source in tests:
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                for name, arguments in _calls_of_test(node):
                    calls.setdefault(name, []).append(arguments)
    return calls


def _calls_of_test(test: ast.FunctionDef) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield the calls of a test with literals, and those with its parameters for each row of them."""
    rows = [row for decorator in test.decorator_list for row in _parameter_rows(decorator)]
    for node in (node for statement in test.body for node in ast.walk(statement)):
        if not isinstance(node, ast.Call) or node.keywords or not node.args:
            continue
        name = ast.unparse(node.func).rpartition(".")[2]
        for row in rows or [{}]:
            values = [_value(argument, row) for argument in node.args]
            if None not in values:
                yield name, tuple(value[0] for value in values if value)


def _parameter_rows(decorator: ast.expr) -> Iterator[dict[str, Any]]:
    """Yield the values of the parameters of `pytest.mark.parametrize`, by their names."""
    match decorator:
        case ast.Call(func=ast.Attribute(attr="parametrize"), args=[names, rows, *_]):
            try:
                listed, values = ast.literal_eval(names), ast.literal_eval(rows)
            except (ValueError, TypeError, SyntaxError, RecursionError):
                return
            words = [word.strip() for word in listed.split(",")] if isinstance(listed, str) else [*listed]
            for value in values:
                row = value if len(words) > 1 else (value,)
                if isinstance(row, tuple | list) and len(row) == len(words):
                    yield dict(zip(words, row, strict=True))


def _value(argument: ast.expr, row: Mapping[str, Any]) -> tuple[Any] | None:
    """Return the value of an argument in a tuple, or None if it is not known."""
    if isinstance(argument, ast.Name) and argument.id in row:
        return (row[argument.id],)
    try:
        return (ast.literal_eval(argument),)
    except (ValueError, TypeError, SyntaxError, RecursionError):
        return None


def vary_arguments(arguments: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """Yield arguments with one of them a little different."""
    for number, argument in enumerate(arguments):
        for other in _vary_value(argument):
            yield (*arguments[:number], other, *arguments[number + 1 :])


def _vary_value(value: Any) -> Iterator[Any]:
    match value:
        case bool():
            yield not value
        case int() | float():
            yield from (value + 1, value + 7, value * 2 + 3)
        case str():
            yield from (f"{value}x", f"q{value}", value[:-1] + "z")
        case [first, *rest] if isinstance(value, list | tuple):
            kind = type(value)
            yield kind([*value, first])
            yield from (kind([other, *rest]) for other in _vary_value(first))


class RoteProbe:
    """Calls changed functions in the tree before and after a change."""

    def __init__(self, checker: EquivalenceChecker) -> None:
        self._checker = checker

    def describe_rote(self, was: Place, now: Place, functions: Sequence[ChangedFunction]) -> list[str]:
        """Return a line for each function that changed for the values of tests, or cannot be varied."""
        return [line for function in functions if (line := self._describe(was, now, function))]

    def _describe(self, was: Place, now: Place, function: ChangedFunction) -> str:
        if not function.is_pure:
            said = "was not tried beside the values of tests: it may have side effects"
            return f"{function.path}: {function.name} {said}"
        tested = list(dict.fromkeys(map(repr, function.tested)))
        beside = dict.fromkeys(repr(other) for call in function.tested for other in vary_arguments(call))
        literals = [*tested, *(call for call in beside if call not in tested)]
        calls = {function.name: literals}
        runs = [self._checker.call_functions(tree, function.path, calls) for tree in (was, was, now)]
        if any(run is None for run in runs):
            return ""
        outcomes = zip(*(run[function.name] for run in runs if run), strict=True)
        rows = dict(zip(literals, outcomes, strict=True))
        return _describe_rows(function, tested, rows)


def _describe_rows(
    function: ChangedFunction, tested: Sequence[str], rows: Mapping[str, tuple[str, ...]]
) -> str:
    """Return the evidence in the outcomes of calls before, before again and after, or an empty text."""
    steady = {call: row for call, row in rows.items() if row[0] == row[1]}
    fixed = [call for call in tested if call in steady and steady[call][0] != steady[call][2]]
    others = [call for call in steady if call not in tested and not steady[call][2].startswith(_NO_RESULT)]
    if not fixed or len(others) < _MIN_NEIGHBOURS:
        return ""
    same = [call for call in others if steady[call][0] == steady[call][2]]
    if len(same) < len(others) * _MIN_SHARE:
        return ""
    shown = "; ".join(f"{function.name}{call} {steady[call][2]} as before" for call in same[:_MAX_SHOWN])
    now = f"{function.name}{fixed[0]} {steady[fixed[0]][2]} now"
    return safe_line(f"{function.path}: only the values of tests changed: {now}, but {shown}", 400)
