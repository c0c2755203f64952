"""Mutants of code: copies of a file with one small fault, to check whether a test notices it.

The same faults are put into Python, JavaScript, TypeScript and Go, by the grammar of each.
"""

import re
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

from prunejuice.code.grammar import parser_for

_SWAPS = {
    "<=": "<", "<": "<=", ">=": ">", ">": ">=", "==": "!=", "!=": "==", "===": "!==", "!==": "===",
    "not in": "in", "in": "not in", "is not": "is", "is": "is not",
    "and": "or", "or": "and", "&&": "||", "||": "&&", "??": "&&",
    "+": "-", "-": "+", "*": "+", "//": "*", "/": "*", "%": "*", "**": "*",
    "+=": "-=", "-=": "+=", "*=": "+=", "//=": "*=", "/=": "*=", "%=": "*=", "**=": "*=",
}  # fmt: skip
_COMPARISONS = frozenset(("<=", "<", ">=", ">", "==", "!=", "===", "!==", "not in", "in", "is not", "is"))
_JUNCTIONS = frozenset(("and", "or", "&&", "||", "??"))
_WHOLE_NUMBER = re.compile(r"0|[1-9][0-9]*")
_FRACTION = re.compile(r"[0-9]+\.[0-9]+")
_TEXT = re.compile(r"""[rRuU]?(?:"|'|`|\"{3}|'{3})(?s:.+)["'`]""")
_EMPTY_TEXTS = frozenset(('""', "''", "``", '""""""', "''''''"))
_BOOLEANS = {"True": "False", "False": "True", "true": "false", "false": "true"}
_NOTHING = {"python": "None", "javascript": "undefined"}
"""What a return statement gives back in place of its value; in TypeScript it has every type."""
_LOADERS = frozenset(("require", "import", "jest.mock", "vi.mock", "require.resolve"))
_GO_ZEROS = frozenset(("nil", "0", '""', "false", "true"))
_SKIPPED = frozenset((
    *("type", "type_annotation", "type_arguments", "type_parameters", "interface_declaration"),
    *("type_alias_declaration", "type_declaration", "import_statement", "import_declaration"),
    *("import_from_statement", "package_clause", "comment", "ERROR", "literal_type"),
    *("type_predicate", "ambient_declaration", "enum_declaration", "decorator"),
))
"""Nodes in which there is nothing to execute."""


class Mutant(NamedTuple):
    """A fault at a line (from 1): the old code, the new code, and the source of the whole mutant."""

    line: int
    was: str
    now: str
    source: str


class _Replacement(NamedTuple):
    """A node of the syntax tree, the code that replaces it, and how much that disrupts: 0 is most."""

    node: Any
    now: str
    rank: int


def generate_mutants(source: str, lines: Collection[int], language: str = "python") -> Iterator[Mutant]:
    """Yield every mutant with a fault on one of the lines, most disruptive first.

    Yields nothing if the source does not parse.
    """
    data = source.encode("utf-8", "replace")
    parser = parser_for(language)
    # The grammar of Go wants the end of each line.
    root = parser.parse(data + b"\n").root_node if parser else None
    # What is newer than a grammar is skipped; a part of Python that cannot be parsed shifts what follows.
    if root is None or (root.has_error and language == "python"):
        return
    found = [
        replacement
        for node in _walk(root)
        for replacement in _REPLACEMENTS.get(node.type, _no_replacement)(node, language)
        if _line(replacement.node) in lines
    ]
    for node, now, _ in sorted(found, key=lambda each: (each.rank, _line(each.node))):
        mutated = data[: node.start_byte] + now.encode() + data[node.end_byte :]
        yield Mutant(_line(node), _text(node), now, mutated.decode())


def _line(node: Any) -> int:
    return int(node.start_point[0]) + 1


def _text(node: Any) -> str:
    return str(node.text.decode("utf-8", "replace"))


def _walk(root: Any) -> Iterator[Any]:
    """Yield the nodes that are executed, in the order of the source."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.type in _SKIPPED or _is_plain_text(node):
            continue
        yield node
        waiting += reversed(node.children)


def _is_plain_text(node: Any) -> bool:
    """Return whether a node is a docstring or directive, a formatted string, a tag, or names a module."""
    if node.type == "expression_statement":
        return node.named_child_count == 1 and node.named_children[0].type in {
            "string",
            "concatenated_string",
        }
    if node.type == "string":
        is_source = node.parent.type in {"export_statement", "import_attribute"}
        return is_source or any(child.type == "interpolation" for child in node.children)
    if node.type == "call_expression":
        return _text(node.child_by_field_name("function")) in _LOADERS
    tag = node.parent.child_by_field_name("tag") if node.type.endswith("string_literal") else None
    return bool(tag and tag == node)


def _no_replacement(_node: Any, _language: str) -> Iterator[_Replacement]:
    return iter(())


def _replace_result(node: Any, language: str) -> Iterator[_Replacement]:
    """Yield a return statement, or a function that is one expression, with nothing for its value."""
    is_arrow = node.type == "arrow_function"
    value = node.child_by_field_name("body") if is_arrow else next(iter(node.named_children), None)
    if value is None or value.type in {"statement_block", "comment"}:
        return
    if language == "go":
        yield from _replace_go_result(value)
    elif _text(value) != (nothing := _NOTHING.get(language, "undefined as any")):
        yield _Replacement(value, nothing, 0)


def _replace_go_result(values: Any) -> Iterator[_Replacement]:
    """Yield the first of the values with the zero value of its type."""
    function = values.parent
    while function is not None and function.child_by_field_name("result") is None:
        if function.type in {"func_literal", "function_declaration", "method_declaration"}:
            return
        function = function.parent
    if function is None:
        return
    result, value = function.child_by_field_name("result"), values.named_children[0]
    if result.type == "parameter_list":
        parameters = (each for each in result.named_children if each.type == "parameter_declaration")
        result = next((each.child_by_field_name("type") for each in parameters), None)
    if result is not None and _text(value) not in _GO_ZEROS:
        yield _Replacement(value, f"*new({_text(result)})", 0)


def _swap_operator(node: Any, _language: str) -> Iterator[_Replacement]:
    operator = next((child for child in node.children if " ".join(_text(child).split()) in _SWAPS), None)
    if operator is not None and not operator.is_named:
        word = " ".join(_text(operator).split())
        rank = 1 if word in _COMPARISONS else 2 if word in _JUNCTIONS else 3
        yield _Replacement(operator, _SWAPS[word], rank)


def _negate_condition(node: Any, language: str) -> Iterator[_Replacement]:
    condition = node.child_by_field_name("condition")
    if node.type == "conditional_expression":
        condition = node.named_children[1]
    if condition is None:
        return
    text = _text(condition)
    if language == "python":
        yield _Replacement(condition, f"not ({text})", 4)
    elif condition.type == "parenthesized_expression":
        yield _Replacement(condition, f"(!{text})", 4)
    else:
        yield _Replacement(condition, f"!({text})", 4)


def _change_value(node: Any, _language: str) -> Iterator[_Replacement]:
    """Yield a literal with another value of its type."""
    text = _text(node)
    if text in _BOOLEANS:
        yield _Replacement(node, _BOOLEANS[text], 5)
    elif _WHOLE_NUMBER.fullmatch(text):
        yield _Replacement(node, str(int(text) + 1), 5)
    elif _FRACTION.fullmatch(text):
        yield _Replacement(node, repr(float(text) + 1), 5)
    elif _TEXT.fullmatch(text) and text not in _EMPTY_TEXTS and "${" not in text:
        yield _Replacement(node, '""', 5)


_REPLACEMENTS: dict[str, Callable[[Any, str], Iterator[_Replacement]]] = {
    **dict.fromkeys(("return_statement", "arrow_function"), _replace_result),
    **dict.fromkeys(
        (
            *("comparison_operator", "boolean_operator", "binary_operator", "binary_expression"),
            *("augmented_assignment", "augmented_assignment_expression", "assignment_statement"),
        ),
        _swap_operator,
    ),
    **dict.fromkeys(
        (
            *("if_statement", "elif_clause", "while_statement"),
            *("conditional_expression", "ternary_expression"),
        ),
        _negate_condition,
    ),
    **dict.fromkeys(
        (
            *("integer", "float", "number", "int_literal", "float_literal", "true", "false", "string"),
            *("interpreted_string_literal", "raw_string_literal", "template_string"),
        ),
        _change_value,
    ),
}
"""The replacements in a node, by its type in the grammars."""
