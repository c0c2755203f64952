"""The definitions of a source file, from the tree-sitter grammar of its language."""

import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any

from prunejuice.code.chunk import Definition
from prunejuice.code.languages import Language, find_language

MAX_DEPTH = 12
MAX_SIGNATURE_LINES = 8
"""The most lines of a signature after its first."""
_MAX_LINKS = 200
_TEST_GROUPS = frozenset(("describe", "suite", "context"))
_TEST_CALLS = _TEST_GROUPS | {"it", "test"}


def definitions(language: str, source: bytes) -> tuple[Definition, ...]:
    """Return the outermost definitions of a file; empty if the language has no installed grammar."""
    row, parser = find_language(language), parser_for(language)
    if row is None or parser is None:
        return ()
    return tuple(_child_definitions(row, parser.parse(source).root_node, MAX_DEPTH))


def import_targets(language: str, text: str) -> list[str]:
    """Return the imported modules and files, as written in the source."""
    row = find_language(language)
    if row is None or not row.imports:
        return []
    pattern = re.compile(row.imports, re.M)
    targets = dict.fromkeys(match[match.lastindex or 1] for match in pattern.finditer(text))
    return list(targets)[:_MAX_LINKS]


def parser_for(language: str) -> Any:
    """Return a tree-sitter parser; None if the language has no installed grammar."""
    row = find_language(language)
    return load_parser(row.package, row.function) if row else None


@cache
def load_parser(package: str, function: str = "language") -> Any:
    """Return a parser for a grammar package; None if it is missing or incompatible."""
    try:
        tree_sitter = import_module("tree_sitter")
        module = import_module(package)
        return tree_sitter.Parser(tree_sitter.Language(getattr(module, function)()))
    except (ImportError, ValueError, AttributeError):
        return None


def _child_definitions(grammar: Language, node: Any, depth: int) -> Iterator[Definition]:
    if depth == 0:  # deeply nested sources must not exhaust the stack
        return
    for child in node.named_children:
        kind = child.type
        if kind in grammar.defines:
            yield from _parse_definition(grammar, child, depth)
        elif kind == "call_expression" and grammar.has_test_calls:
            yield from _parse_test(grammar, child, depth)
        elif kind in grammar.through:
            yield from _child_definitions(grammar, child, depth - 1)


def _parse_definition(grammar: Language, node: Any, depth: int) -> Iterator[Definition]:
    kind = grammar.defines[node.type]
    name = _definition_name(node)
    if not name or (node.type.endswith("_specifier") and node.child_by_field_name("body") is None):
        return
    outer = _outer_node(node)
    body = node.child_by_field_name("body")
    if node.type == "variable_declarator":
        value = node.child_by_field_name("value")
        if value is None or outer.end_point[0] == outer.start_point[0]:
            return
        body = value.child_by_field_name("body")
        kind = "function" if "function" in value.type else kind
    within: tuple[Definition, ...] = ()
    if node.type in grammar.within and body is not None:
        within = tuple(_child_definitions(grammar, body, depth - 1))
    head = _signature_end(node, body)
    yield Definition(
        name, kind, outer.start_point[0] + 1, _last_line(outer), min(head, _last_line(outer)), within
    )


def _last_line(node: Any) -> int:
    """Return the last line of a node, from 1; it may end before the first character of a line."""
    row, column = node.end_point
    return max(int(node.start_point[0]) + 1, int(row) + int(column > 0))


def _outer_node(node: Any) -> Any:
    """Return the node that includes its decorators, `export`, `const` or `template`."""
    parent = node.parent
    while (
        parent is not None
        and parent.type in _WRAPPERS
        and parent.named_child_count <= _WRAPPERS[parent.type]
    ):
        node, parent = parent, parent.parent
    return node


_WRAPPERS = {
    "decorated_definition": 99,
    "export_statement": 2,
    "lexical_declaration": 1,
    "variable_declaration": 1,
    "type_declaration": 1,
    "template_declaration": 2,
    "ambient_declaration": 1,
}


def _signature_end(node: Any, body: Any) -> int:
    """Return the last line of a signature (from 1): the line where the body begins, or the one before."""
    first = int(node.start_point[0])
    if body is None:
        return first + 1
    body_line = int(body.start_point[0])
    before = body.prev_sibling
    while before is not None and before.type == "comment":
        before = before.prev_sibling
    if before is not None and before.type == ":":  # Python: the body starts below the colon
        body_line = int(before.end_point[0])
    if before is not None and body.type == "body_statement":  # Ruby: the body starts below the name
        body_line = int(before.end_point[0])
    return min(body_line, first + MAX_SIGNATURE_LINES) + 1


def _definition_name(node: Any) -> str:
    name_node = node.child_by_field_name("name")
    if name_node is None and node.type == "impl_item":
        name_node = node.child_by_field_name("type")
    depth = 0
    while name_node is None and depth < 6:
        node = node.child_by_field_name("declarator")
        if node is None:
            return ""
        name_node = node if node.type.endswith("identifier") else None
        depth += 1
    return name_node.text.decode("utf-8", "replace")[:200] if name_node is not None else ""


def _parse_test(grammar: Language, node: Any, depth: int) -> Iterator[Definition]:
    """Yield calls such as `describe("…", () => {…})` as tests; descend into any other call."""
    function = node.child_by_field_name("function")
    arguments = node.child_by_field_name("arguments")
    if function is None or arguments is None:
        return
    word = function.text.split(b".")[0].decode("utf-8", "replace")
    if word in _TEST_CALLS and arguments.named_child_count > 1:
        title, body = arguments.named_children[0], arguments.named_children[-1].child_by_field_name("body")
        outer = node.parent if node.parent.type == "expression_statement" else node
        is_group = body is not None and word in _TEST_GROUPS
        within = tuple(_child_definitions(grammar, body, depth - 1)) if is_group else ()
        name = title.text.decode("utf-8", "replace").strip("'\"`")[:80]
        first, last = outer.start_point[0] + 1, _last_line(outer)
        yield Definition(name, "test", first, last, first, within)
    else:
        yield from _child_definitions(grammar, arguments, depth - 1)


def list_tokens(language: str, source: str) -> list[str]:
    """Return the tokens of a source without comments; empty if the language has no installed grammar."""
    parser = parser_for(language)
    waiting = [parser.parse(source.encode("utf-8", "replace") + b"\n").root_node] if parser else []
    tokens = []
    while waiting:
        node = waiting.pop()
        if node.type == "comment":
            continue
        is_text = node.type.endswith(("string", "string_literal"))  # white space counts in it
        if not is_text:
            waiting += reversed(node.children)
        if is_text or (not node.children and node.text.strip()):
            tokens.append(node.text.decode("utf-8", "replace"))
    return tokens
