"""Mutants of Python code: copies of a file with one small fault, to check whether a test notices it."""

import ast
import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

_SWAPS = {
    "<=": "<", "<": "<=", ">=": ">", ">": ">=", "==": "!=", "!=": "==", "not in": "in", "in": "not in",
    "is not": "is", "is": "is not", "+": "-", "-": "+", "*": "+", "//": "*", "/": "*", "%": "*", "**": "*",
    "and": "or", "or": "and",
}  # fmt: skip
_OPERATOR = re.compile(
    r"<=|>=|==|!=|\*\*|//|\bnot\s+in\b|\bis\s+not\b|\bin\b|\bis\b|\band\b|\bor\b|[<>+\-*/%]"
)


class Mutant(NamedTuple):
    """A fault at a line (from 1): the old code, the new code, and the source of the whole mutant."""

    line: int
    was: str
    now: str
    source: str


class _Replacement(NamedTuple):
    """A byte range of a file and the code that replaces it."""

    start: int
    end: int
    now: str


def generate_mutants(source: str, lines: Collection[int]) -> Iterator[Mutant]:
    """Yield every mutant with a fault on one of the lines, most disruptive first.

    Yields nothing if the source does not parse.
    """
    data = source.encode()
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError):
        return
    starts = _line_offsets(data)
    spans = [
        (_RANK.get(type(node), 9), node.lineno, span)
        for node in _mutable_nodes(tree)
        if node.lineno in lines
        for span in _replacements(node, data, starts)
    ]
    for _, line, span in sorted(spans, key=lambda ranked: ranked[:2]):
        was = data[span.start : span.end].decode()
        mutated = data[: span.start] + span.now.encode() + data[span.end :]
        yield Mutant(line, was, span.now, mutated.decode())


_RANK = {ast.Return: 0, ast.Compare: 1, ast.BoolOp: 2, ast.BinOp: 3, ast.If: 4, ast.Constant: 5}


def _mutable_nodes(tree: ast.Module) -> Iterator["ast.expr | ast.stmt"]:
    """Yield the statements and expressions, except docstrings, annotations and parts of f-strings."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))
        if isinstance(node, ast.arg | ast.AnnAssign | ast.FunctionDef) and (
            annotation := getattr(node, "annotation", None) or getattr(node, "returns", None)
        ):
            skipped |= {id(inner) for inner in ast.walk(annotation)}
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(inner) for inner in ast.walk(node) if inner is not node}
    for node in ast.walk(tree):
        if isinstance(node, ast.expr | ast.stmt) and id(node) not in skipped:
            yield node


def _line_offsets(data: bytes) -> list[int]:
    offsets = [0]
    for line in data.splitlines(keepends=True):
        offsets.append(offsets[-1] + len(line))
    return offsets


def _replacements(node: "ast.expr | ast.stmt", data: bytes, starts: list[int]) -> Iterator[_Replacement]:
    # The parser's columns count UTF-8 bytes, so positions are offsets into the encoded source.
    def at(target: ast.AST, *, end: bool = False) -> int:
        line, column = ("end_lineno", "end_col_offset") if end else ("lineno", "col_offset")
        return int(starts[getattr(target, line) - 1] + getattr(target, column))

    match node:
        case ast.Return(value=ast.expr() as value) if not _is_none(value):
            yield _Replacement(at(value), at(value, end=True), "None")
        case ast.Compare(left=left, comparators=[first, *_]):
            yield from _operator_swap(data, at(left, end=True), at(first))
        case ast.BinOp(left=left, right=right):
            yield from _operator_swap(data, at(left, end=True), at(right))
        case ast.BoolOp(values=[left, right, *_]):
            yield from _operator_swap(data, at(left, end=True), at(right))
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            condition = data[at(test) : at(test, end=True)].decode()
            yield _Replacement(at(test), at(test, end=True), f"not ({condition})")
        case ast.Constant(value=value) if (other := _other_value(value)) is not None:
            yield _Replacement(at(node), at(node, end=True), other)


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _operator_swap(data: bytes, start: int, end: int) -> Iterator[_Replacement]:
    between = data[start:end].decode("utf-8", "replace")
    match = _OPERATOR.search(between)
    # Offsets in the decoded text are byte offsets only if it is ASCII.
    if match and between.isascii():
        operator = " ".join(match.group().split())
        yield _Replacement(start + match.start(), start + match.end(), _SWAPS[operator])


def _other_value(value: object) -> str | None:
    """Return the code of another value of the same type; None for types without one."""
    match value:
        case bool():
            return str(not value)
        case int() | float():
            return repr(value + 1)
        case str() if value:
            return '""'
        case _:
            return None
