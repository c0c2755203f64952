"""The names that a file of JavaScript, TypeScript or Go exports, and their signatures."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from prunejuice.code.grammar import parser_for

_SCRIPTS = frozenset(("javascript", "typescript", "tsx"))
LANGUAGES = _SCRIPTS | {"go"}
_FUNCTIONS = frozenset((
    *("function_declaration", "generator_function_declaration", "function_signature"),
    *("arrow_function", "function_expression", "function", "generator_function", "method_definition"),
))
_MEMBERS = frozenset((
    *("abstract_method_signature", "method_signature", "public_field_definition", "field_definition"),
))
_CLASSES = frozenset(("class_declaration", "abstract_class_declaration", "class"))
_SPACE = re.compile(r"\s+")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_LAST_COMMA = re.compile(r",\s*([)\]}>])")
_TYPES = frozenset(("interface_declaration", "type_alias_declaration", "enum_declaration"))
_VARIABLES = frozenset(("lexical_declaration", "variable_declaration"))
_NAMELESS_EXPORT = "default"


def exported_names(language: str, source: bytes) -> Mapping[str, str] | None:
    """Return the signature of each exported name; None if the file cannot be parsed."""
    parser = parser_for(language)
    # The grammar of Go wants the end of each line.
    root = parser.parse(source.rstrip() + b"\n").root_node if parser else None
    if root is None or root.has_error:
        return None
    if language == "go":
        return dict(_list_go_names(root))
    declared = dict(entry for child in root.named_children for entry in _list_declared(child))
    names: dict[str, str] = {}
    for name, signature in _list_script_names(root):
        given = signature[1:] if signature.startswith("=") else ""
        names[name] = declared.get(given, "") if given else signature
        # A class that is exported by its name has its methods.
        members = (each for each in declared if given and each.startswith(f"{given}."))
        names |= {f"{name}{member.removeprefix(given)}": declared[member] for member in members}
    return names


def _text(node: Any) -> str:
    """Return the text of a node on one line, without comments and last commas; empty without a node."""
    text = node.text.decode("utf-8", "replace") if node is not None else ""
    joined = _SPACE.sub(" ", _LAST_COMMA.sub(r"\1", _COMMENT.sub("", text)))
    return joined.replace("( ", "(").replace(" )", ")").strip()


def _field(node: Any, name: str) -> str:
    return _text(node.child_by_field_name(name))


# -- JavaScript and TypeScript ------------------------------------------------------------------------


def _signature(node: Any) -> str:
    """Return the parameters and the type of a function or value; empty for a plain value."""
    value = node.child_by_field_name("value") if node.type == "variable_declarator" else node
    if value is not None and (value.type in _FUNCTIONS or value.type.endswith("method_signature")):
        parameters = _field(value, "parameters") or f"({_field(value, 'parameter')})"
        return f"{parameters}{_field(value, 'return_type')}"
    return _field(node, "type")


def _list_declared(node: Any) -> Iterator[tuple[str, str]]:
    """Yield the names that a declaration gives, and for a class its public members."""
    if node.type in _VARIABLES:
        for child in node.named_children:
            if child.type == "variable_declarator":
                yield _field(child, "name"), _signature(child)
    elif node.type in _CLASSES:
        name = _field(node, "name") or _NAMELESS_EXPORT
        yield name, ""
        yield from ((f"{name}.{member}", signature) for member, signature in _list_members(node))
    elif node.type in _TYPES:
        yield _field(node, "name"), f" {_field(node, 'body') or _field(node, 'value')}"
    elif node.type in _FUNCTIONS:
        yield _field(node, "name") or _NAMELESS_EXPORT, _signature(node)
    elif node.type in {"ambient_declaration", "internal_module", "module"}:
        yield _field(node, "name") or node.type, f" {_text(node)}"


def _list_members(node: Any) -> Iterator[tuple[str, str]]:
    """Yield the public methods and fields of a class, with their signatures or types."""
    body = node.child_by_field_name("body")
    for child in body.named_children if body is not None else ():
        modifiers = [_text(part) for part in child.children if part.type == "accessibility_modifier"]
        name = _field(child, "name") or _field(child, "property")
        is_public = modifiers in ([], ["public"]) and name and not name.startswith(("#", "_"))
        if is_public and child.type in _FUNCTIONS | _MEMBERS:
            yield name, _signature(child)


def _list_script_names(root: Any) -> Iterator[tuple[str, str]]:
    """Yield exported names with their signatures; `=name` stands for the signature of a declared name."""
    for child in root.named_children:
        if child.type == "export_statement":
            yield from _list_exports(child)
        elif child.type == "expression_statement" and child.named_children:
            yield from _list_assigned(child.named_children[0])


def _list_exports(node: Any) -> Iterator[tuple[str, str]]:
    source = node.child_by_field_name("source")
    clauses = [child for child in node.named_children if child.type == "export_clause"]
    for part in (part for clause in clauses for part in clause.named_children):
        name = _field(part, "name")
        yield _field(part, "alias") or name, " re-exported" if source is not None else f"={name}"
    if source is not None and not clauses:
        yield f"* from {_text(source)}", ""
    is_default = any(child.type == "default" for child in node.children)
    for child in node.named_children:
        yield from _list_default(child) if is_default else _list_declared(child)


def _list_default(node: Any) -> Iterator[tuple[str, str]]:
    """Yield the name of a default export, and for a class its public members."""
    if node.type == "identifier":
        yield _NAMELESS_EXPORT, f"={_text(node)}"
    elif node.type in _FUNCTIONS:
        yield _NAMELESS_EXPORT, _signature(node)
    elif node.type in _CLASSES:
        yield _NAMELESS_EXPORT, ""
        yield from ((f"{_NAMELESS_EXPORT}.{name}", kept) for name, kept in _list_members(node))


def _list_assigned(node: Any) -> Iterator[tuple[str, str]]:
    """Yield the names that an assignment to `exports` or `module.exports` gives."""
    if node.type != "assignment_expression":
        return
    target, right = _field(node, "left").removeprefix("module."), node.child_by_field_name("right")
    if target == "exports" and right.type == "object":
        yield from (entry for part in right.named_children for entry in _list_property(part))
    elif target == "exports":
        yield _NAMELESS_EXPORT, _value_signature(right)
    elif target.startswith("exports."):
        yield target.removeprefix("exports."), _value_signature(right)


def _list_property(part: Any) -> Iterator[tuple[str, str]]:
    """Yield the name that a property of an exported object gives."""
    if part.type == "shorthand_property_identifier":
        yield _text(part), f"={_text(part)}"
    elif part.type == "method_definition":
        yield _field(part, "name"), _signature(part)
    elif part.type == "pair":
        yield _field(part, "key"), _value_signature(part.child_by_field_name("value"))


def _value_signature(node: Any) -> str:
    return f"={_text(node)}" if node.type == "identifier" else _signature(node)


# -- Go -----------------------------------------------------------------------------------------------


def _list_go_names(root: Any) -> Iterator[tuple[str, str]]:
    for child in root.named_children:
        name = _field(child, "name")
        if child.type == "function_declaration" and _is_exported(name):
            yield name, _go_signature(child)
        elif child.type == "method_declaration" and _is_exported(name):
            receiver = _text(child.child_by_field_name("receiver")).strip("()").split(" ")[-1].lstrip("*")
            if _is_exported(receiver):
                yield f"{receiver}.{name}", _go_signature(child)
        elif child.type in {"type_declaration", "const_declaration", "var_declaration"}:
            yield from _list_go_specs(child)


def _go_signature(node: Any) -> str:
    """Return the type parameters, the types of the parameters, and the results of a function."""
    result = _field(node, "result")
    parameters = ", ".join(_list_go_types(node.child_by_field_name("parameters")))
    return f"{_field(node, 'type_parameters')}({parameters}){f' {result}' if result else ''}"


def _list_go_types(parameters: Any) -> Iterator[str]:
    """Yield the type of each parameter: their names are not part of what a caller writes."""
    for child in parameters.named_children if parameters is not None else ():
        if child.type.endswith("parameter_declaration"):
            count = max(1, len(child.children_by_field_name("name")))
            dots = "..." if child.type.startswith("variadic") else ""
            yield from [f"{dots}{_field(child, 'type')}"] * count


def _list_go_specs(node: Any) -> Iterator[tuple[str, str]]:
    """Yield the types, constants and variables of a declaration, and the exported fields of structs."""
    for spec in node.named_children:
        if spec.type.endswith("_list"):
            yield from _list_go_specs(spec)
            continue
        kind = spec.child_by_field_name("type")
        for part in spec.children_by_field_name("name"):
            name = _text(part)
            if not _is_exported(name):
                continue
            is_struct = kind is not None and kind.type == "struct_type"
            yield name, "" if is_struct else f" {_text(kind)}".rstrip()
            if is_struct:
                yield from ((f"{name}.{field}", kept) for field, kept in _list_go_fields(kind))


def _list_go_fields(struct: Any) -> Iterator[tuple[str, str]]:
    for fields in struct.named_children:
        for field in fields.named_children:
            names = [_text(name) for name in field.children_by_field_name("name")]
            # A field without a name is embedded: its type gives the name, and its methods are exported too.
            for name in names or [_field(field, "type").lstrip("*").rpartition(".")[2]]:
                if _is_exported(name):
                    yield name, f" {_field(field, 'type')}"


def _is_exported(name: str) -> bool:
    return name[:1].isupper()
