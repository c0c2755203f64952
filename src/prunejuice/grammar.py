"""The definitions of a source file, by the grammar of its language."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from prunejuice.part import Definition

DEEPEST = 12
LONGEST_HEAD = 8
"""Lines of a signature after its first."""


class Grammar(NamedTuple):
    """Where a language keeps its definitions.

    `defines` names the nodes that are one and their kinds, `within` those that may hold more inside,
    `through` those to look through.
    """

    package: str
    function: str = "language"
    defines: Mapping[str, str] = {}
    within: frozenset[str] = frozenset()
    through: frozenset[str] = frozenset()


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_PYTHON = Grammar(
    "tree_sitter_python",
    defines={"function_definition": "function", "class_definition": "class"},
    within=_set("class_definition"),
    through=_set(
        "decorated_definition if_statement try_statement except_clause else_clause block with_statement"
    ),
)
_JS = {
    "function_declaration": "function",
    "generator_function_declaration": "function",
    "class_declaration": "class",
    "abstract_class_declaration": "class",
    "method_definition": "function",
    "interface_declaration": "class",
    "type_alias_declaration": "value",
    "enum_declaration": "class",
    "internal_module": "class",
    "module": "class",
    "variable_declarator": "value",
}
_JS_THROUGH = _set(
    "export_statement class_body statement_block lexical_declaration variable_declaration "
    "ambient_declaration expression_statement call_expression arguments"
)
_JS_WITHIN = _set("class_declaration abstract_class_declaration internal_module module")


def _js(package: str, function: str = "language") -> Grammar:
    return Grammar(package, function, _JS, _JS_WITHIN, _JS_THROUGH)


_C = {
    "function_definition": "function",
    "struct_specifier": "class",
    "union_specifier": "class",
    "enum_specifier": "class",
    "type_definition": "class",
    "preproc_function_def": "function",
}
_C_THROUGH = _set(
    "preproc_ifdef preproc_if preproc_else linkage_specification declaration_list declaration"
)
_JAVA_THROUGH = _set(
    "class_body interface_body enum_body enum_body_declarations declaration_list block program"
)

_GRAMMARS: Mapping[str, Grammar] = {
    "python": _PYTHON,
    "javascript": _js("tree_sitter_javascript"),
    "typescript": _js("tree_sitter_typescript", "language_typescript"),
    "tsx": _js("tree_sitter_typescript", "language_tsx"),
    "go": Grammar(
        "tree_sitter_go",
        defines={
            "function_declaration": "function",
            "method_declaration": "function",
            "type_spec": "class",
            "type_alias": "class",
            "const_spec": "value",
            "var_spec": "value",
        },
        through=_set("type_declaration"),
    ),
    "rust": Grammar(
        "tree_sitter_rust",
        defines={
            "function_item": "function",
            "function_signature_item": "function",
            "struct_item": "class",
            "enum_item": "class",
            "union_item": "class",
            "trait_item": "class",
            "impl_item": "class",
            "mod_item": "class",
            "macro_definition": "function",
            "type_item": "value",
        },
        within=_set("trait_item impl_item mod_item"),
        through=_set("declaration_list"),
    ),
    "java": Grammar(
        "tree_sitter_java",
        defines={
            "class_declaration": "class",
            "interface_declaration": "class",
            "enum_declaration": "class",
            "record_declaration": "class",
            "annotation_type_declaration": "class",
            "method_declaration": "function",
            "constructor_declaration": "function",
        },
        within=_set("class_declaration interface_declaration enum_declaration record_declaration"),
        through=_JAVA_THROUGH,
    ),
    "c": Grammar("tree_sitter_c", defines=_C, through=_C_THROUGH),
    "cpp": Grammar(
        "tree_sitter_cpp",
        defines={**_C, "class_specifier": "class", "namespace_definition": "class"},
        within=_set("class_specifier struct_specifier namespace_definition"),
        through=_C_THROUGH | _set("template_declaration field_declaration_list"),
    ),
    "ruby": Grammar(
        "tree_sitter_ruby",
        defines={"class": "class", "module": "class", "method": "function", "singleton_method": "function"},
        within=_set("class module"),
        through=_set("body_statement singleton_class"),
    ),
    "c_sharp": Grammar(
        "tree_sitter_c_sharp",
        defines={
            "class_declaration": "class",
            "interface_declaration": "class",
            "struct_declaration": "class",
            "record_declaration": "class",
            "enum_declaration": "class",
            "namespace_declaration": "class",
            "method_declaration": "function",
            "constructor_declaration": "function",
            "property_declaration": "value",
            "delegate_declaration": "value",
        },
        within=_set(
            "class_declaration interface_declaration struct_declaration record_declaration "
            "namespace_declaration"
        ),
        through=_set("declaration_list file_scoped_namespace_declaration"),
    ),
    "php": Grammar(
        "tree_sitter_php",
        "language_php",
        defines={
            "class_declaration": "class",
            "interface_declaration": "class",
            "trait_declaration": "class",
            "enum_declaration": "class",
            "function_definition": "function",
            "method_declaration": "function",
        },
        within=_set("class_declaration interface_declaration trait_declaration enum_declaration"),
        through=_set("declaration_list namespace_definition compound_statement enum_declaration_list"),
    ),
    "bash": Grammar("tree_sitter_bash", defines={"function_definition": "function"}),
}
_SUFFIXES: Mapping[str, str] = {
    "py": "python",
    "pyi": "python",
    "js": "javascript",
    "mjs": "javascript",
    "cjs": "javascript",
    "jsx": "javascript",
    "ts": "typescript",
    "mts": "typescript",
    "cts": "typescript",
    "tsx": "tsx",
    "go": "go",
    "rs": "rust",
    "java": "java",
    "c": "c",
    "h": "c",
    "cc": "cpp",
    "cpp": "cpp",
    "cxx": "cpp",
    "hpp": "cpp",
    "hh": "cpp",
    "rb": "ruby",
    "cs": "c_sharp",
    "php": "php",
    "sh": "bash",
}
_JS_LINK = r"""(?:\bfrom|\bimport|\brequire\(|\bimport\()\s*['"]([^'"\n]+)['"]"""
_LINKS = {
    language: re.compile(pattern, re.M)
    for language, pattern in {
        "python": r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import|import[ \t]+([\w.]+))",
        "javascript": _JS_LINK,
        "typescript": _JS_LINK,
        "tsx": _JS_LINK,
        "go": r'^(?:import)?[ \t]+(?:\w+[ \t]+)?"([\w./-]+)"$',
        "rust": r"^[ \t]*(?:pub )?use[ \t]+([\w:]+)",
        "java": r"^import[ \t]+(?:static[ \t]+)?([\w.]+)",
        "c": r'^#[ \t]*include[ \t]+["<]([^">\n]+)[">]',
        "cpp": r'^#[ \t]*include[ \t]+["<]([^">\n]+)[">]',
        "c_sharp": r"^[ \t]*using[ \t]+(?:static[ \t]+)?([\w.]+)",
        "ruby": r"^[ \t]*require(?:_relative)?[ \t(]+['\"]([^'\"\n]+)",
        "php": r"^use[ \t]+([\w\\]+)",
    }.items()
}
_MOST_LINKS = 200
_GROUPS = frozenset(("describe", "suite", "context"))
_TESTS = _GROUPS | {"it", "test"}


def language(path: str) -> str:
    """The language that a file name promises; empty for everything that is read as text."""
    return _SUFFIXES.get(path.rpartition(".")[2].lower(), "")


def definitions(language: str, source: bytes) -> tuple[Definition, ...]:
    """What a file defines, outermost first; nothing for a language that nobody here can read."""
    found = parser(language)
    if found is None:
        return ()
    return tuple(_inside(_GRAMMARS[language], found.parse(source).root_node, DEEPEST))


def links(language: str, text: str) -> list[str]:
    """The modules and files that a source imports, as it names them."""
    pattern = _LINKS.get(language)
    if pattern is None:
        return []
    found = dict.fromkeys(match[match.lastindex or 1] for match in pattern.finditer(text))
    return list(found)[:_MOST_LINKS]


def parser(language: str) -> Any:
    """A parser of tree-sitter; None for a language that nobody here can read."""
    grammar = _GRAMMARS.get(language)
    return loaded(grammar.package, grammar.function) if grammar else None


@cache
def loaded(package: str, function: str = "language") -> Any:
    """A parser for the grammar of a package; None when it is not there, or made for another version."""
    try:
        tree_sitter = import_module("tree_sitter")
        module = import_module(package)
        return tree_sitter.Parser(tree_sitter.Language(getattr(module, function)()))
    except (ImportError, ValueError, AttributeError):
        return None


def _inside(grammar: Grammar, node: Any, depth: int) -> Iterator[Definition]:
    if depth == 0:
        return
    for child in node.named_children:
        kind = child.type
        if kind in grammar.defines:
            yield from _defined(grammar, child, depth)
        elif kind == "call_expression" and grammar.defines is _JS:
            yield from _test(grammar, child, depth)
        elif kind in grammar.through:
            yield from _inside(grammar, child, depth - 1)


def _defined(grammar: Grammar, node: Any, depth: int) -> Iterator[Definition]:
    kind = grammar.defines[node.type]
    name = _name(node)
    if not name or (node.type.endswith("_specifier") and node.child_by_field_name("body") is None):
        return
    outer = _outer(node)
    body = node.child_by_field_name("body")
    if node.type == "variable_declarator":
        value = node.child_by_field_name("value")
        if value is None or outer.end_point[0] == outer.start_point[0]:
            return
        body = value.child_by_field_name("body")
        kind = "function" if "function" in value.type else kind
    within: tuple[Definition, ...] = ()
    if node.type in grammar.within and body is not None:
        within = tuple(_inside(grammar, body, depth - 1))
    head = _head(node, body)
    yield Definition(name, kind, outer.start_point[0] + 1, outer.end_point[0] + 1, head, within)


def _outer(node: Any) -> Any:
    """The node with what is written around it: its decorators, `export`, `const`, `template`."""
    parent = node.parent
    while (
        parent is not None and parent.type in _AROUND and parent.named_child_count <= _AROUND[parent.type]
    ):
        node, parent = parent, parent.parent
    return node


_AROUND = {
    "decorated_definition": 99,
    "export_statement": 2,
    "lexical_declaration": 1,
    "variable_declaration": 1,
    "type_declaration": 1,
    "template_declaration": 2,
    "ambient_declaration": 1,
}


def _head(node: Any, body: Any) -> int:
    """The last line of a signature: the one before or at which the body begins."""
    first = int(node.start_point[0])
    if body is None:
        return first + 1
    begins = int(body.start_point[0])
    before = body.prev_sibling
    while before is not None and before.type == "comment":
        before = before.prev_sibling
    if before is not None and before.type == ":":  # a body by indentation begins on a line of its own
        begins = int(before.end_point[0])
    if before is not None and body.type == "body_statement":  # Ruby's begins below the name
        begins = int(before.end_point[0])
    return min(begins, first + LONGEST_HEAD) + 1


def _name(node: Any) -> str:
    found = node.child_by_field_name("name")
    if found is None and node.type == "impl_item":
        found = node.child_by_field_name("type")
    depth = 0
    while found is None and depth < 6:
        node = node.child_by_field_name("declarator")
        if node is None:
            return ""
        found = node if node.type.endswith("identifier") else None
        depth += 1
    return found.text.decode("utf-8", "replace")[:200] if found is not None else ""


def _test(grammar: Grammar, node: Any, depth: int) -> Iterator[Definition]:
    """`describe("…", () => {…})` and its like; anything else is looked through."""
    called = node.child_by_field_name("function")
    given = node.child_by_field_name("arguments")
    if called is None or given is None:
        return
    word = called.text.split(b".")[0].decode("utf-8", "replace")
    if word in _TESTS and given.named_child_count > 1:
        title, body = given.named_children[0], given.named_children[-1].child_by_field_name("body")
        outer = node.parent if node.parent.type == "expression_statement" else node
        grouped = body is not None and word in _GROUPS
        within = tuple(_inside(grammar, body, depth - 1)) if grouped else ()
        name = title.text.decode("utf-8", "replace").strip("'\"`")[:80]
        first, last = outer.start_point[0] + 1, outer.end_point[0] + 1
        yield Definition(name, "test", first, last, first, within)
    else:
        yield from _inside(grammar, given, depth - 1)
