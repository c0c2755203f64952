"""Mutants of Python code: the same file with one small fault, to see whether a test notices. Pure."""

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
    """A fault at a line, from 1: what stood there, what stands there now, and the whole file with it."""

    line: int
    was: str
    now: str
    source: str


class _Span(NamedTuple):
    """Bytes of a file that are replaced."""

    start: int
    end: int
    now: str


def mutants(source: str, lines: Collection[int]) -> Iterator[Mutant]:
    """Every mutant with its fault on one of some lines, those that change the most first."""
    data = source.encode()
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError):
        return
    starts = _starts(data)
    found = [
        (_RANK.get(type(node), 9), node.lineno, span)
        for node in _nodes(tree)
        if node.lineno in lines
        for span in _spans(node, data, starts)
    ]
    for _, line, span in sorted(found, key=lambda each: each[:2]):
        was = data[span.start : span.end].decode()
        made = data[: span.start] + span.now.encode() + data[span.end :]
        yield Mutant(line, was, span.now, made.decode())


_RANK = {ast.Return: 0, ast.Compare: 1, ast.BoolOp: 2, ast.BinOp: 3, ast.If: 4, ast.Constant: 5}


def _nodes(tree: ast.Module) -> Iterator["ast.expr | ast.stmt"]:
    """Statements and expressions, without what only documents or annotates."""
    passed: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            passed.add(id(node.value))
        if isinstance(node, ast.arg | ast.AnnAssign | ast.FunctionDef) and (
            note := getattr(node, "annotation", None) or getattr(node, "returns", None)
        ):
            passed |= {id(each) for each in ast.walk(note)}
        if isinstance(node, ast.JoinedStr):
            passed |= {id(each) for each in ast.walk(node) if each is not node}
    for node in ast.walk(tree):
        if isinstance(node, ast.expr | ast.stmt) and id(node) not in passed:
            yield node


def _starts(data: bytes) -> list[int]:
    found = [0]
    for row in data.splitlines(keepends=True):
        found.append(found[-1] + len(row))
    return found


def _spans(node: "ast.expr | ast.stmt", data: bytes, starts: list[int]) -> Iterator[_Span]:
    def at(each: ast.AST, *, end: bool = False) -> int:
        line, column = ("end_lineno", "end_col_offset") if end else ("lineno", "col_offset")
        return int(starts[getattr(each, line) - 1] + getattr(each, column))

    match node:
        case ast.Return(value=ast.expr() as value) if not _is_none(value):
            yield _Span(at(value), at(value, end=True), "None")
        case ast.Compare(left=left, comparators=[first, *_]):
            yield from _operator(data, at(left, end=True), at(first))
        case ast.BinOp(left=left, right=right):
            yield from _operator(data, at(left, end=True), at(right))
        case ast.BoolOp(values=[one, other, *_]):
            yield from _operator(data, at(one, end=True), at(other))
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            shown = data[at(test) : at(test, end=True)].decode()
            yield _Span(at(test), at(test, end=True), f"not ({shown})")
        case ast.Constant(value=value) if (now := _other(value)) is not None:
            yield _Span(at(node), at(node, end=True), now)


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _operator(data: bytes, start: int, end: int) -> Iterator[_Span]:
    between = data[start:end].decode("utf-8", "replace")
    found = _OPERATOR.search(between)
    if found and between.isascii():
        word = " ".join(found.group().split())
        yield _Span(start + found.start(), start + found.end(), _SWAPS[word])


def _other(value: object) -> str | None:
    """Another value of the same kind, as code."""
    match value:
        case bool():
            return str(not value)
        case int() | float():
            return repr(value + 1)
        case str() if value:
            return '""'
        case _:
            return None
