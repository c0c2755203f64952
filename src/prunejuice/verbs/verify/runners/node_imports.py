"""Join the import statements of several tests in JavaScript or TypeScript. Pure.

The same name may not be imported twice in a file.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from prunejuice.code.grammar import parser_for

_NODE_PREFIX = "node:"
_NAMED, _DEFAULT, _ALL = "named", "default", "*"
_SAME_TESTS = frozenset(("default", "test", "it"))
"""Exports of `node:test` that are the same function."""


class _Binding(NamedTuple):
    """A local name, and what a statement of a `kind` such as `import` gives it of a module.

    `form` is `named`, `default` or `*` (all); `exported` is the name in the module, and `text` the words in
    braces.
    """

    kind: str
    module: str
    form: str
    exported: str
    local: str
    text: str

    @property
    def value(self) -> tuple[str, str, str]:
        """What the name stands for: of one value, a name is imported once."""
        module = self.module.removeprefix(_NODE_PREFIX)
        is_test = module == "test" and self.exported in _SAME_TESTS
        return self.kind.partition(" ")[0], module, "test" if is_test else self.exported

    @property
    def place(self) -> tuple[str, ...]:
        """The statement that the name stands in.

        All of a module has one of its own, and so has each whole value of `require`.
        """
        is_alone = self.form == _ALL or (self.kind == "require" and self.form == _DEFAULT)
        return self.kind, self.module, self.local if is_alone else ""


def join_imports(statements: Iterable[str]) -> list[str]:
    """Return the statements with each name imported once, in their order.

    Names of one module are joined. A name that stands for two values is left in both statements, which no
    program accepts.
    """
    texts = list(statements)
    quote = '"' if any('"' in text for text in texts) and not any("'" in text for text in texts) else "'"
    end = ";" if any(";" in text for text in texts) else ""
    values: dict[str, tuple[str, str, str]] = {}
    joined: dict[tuple[str, ...] | str, list[_Binding]] = {}
    for statement in (each for text in texts for each in _parse_statements(text)):
        if isinstance(statement, str):
            joined.setdefault(statement, [])
            continue
        for binding in statement:
            if values.get(binding.local) != binding.value:
                values.setdefault(binding.local, binding.value)
                joined.setdefault(binding.place, []).append(binding)
    return [
        key if isinstance(key, str) else f"{_format(names, quote)}{end}" for key, names in joined.items()
    ]


def _format(bindings: list[_Binding], quote: str) -> str:
    kind, module = bindings[0].kind, f"{quote}{bindings[0].module}{quote}"
    named = ", ".join(dict.fromkeys(each.text for each in bindings if each.form == _NAMED))
    whole = [each.local if each.form == _DEFAULT else f"* as {each.local}" for each in bindings]
    whole = [text for text, each in zip(whole, bindings, strict=True) if each.form != _NAMED]
    names = ", ".join([*whole, *([f"{{ {named} }}"] if named else [])])
    if kind == "require":
        return f"const {names} = require({module})"
    return f"{kind} {names} from {module}"


def _parse_statements(text: str) -> Iterator["list[_Binding] | str"]:
    """Yield the names that each statement imports, or the statement itself if it imports none."""
    root = parser_for("typescript").parse(text.encode("utf-8", "replace")).root_node
    for node in root.named_children:
        if node.type == "comment":
            continue
        if node.type == "import_statement":
            found = list(_list_imported(node))
        elif node.type in {"lexical_declaration", "variable_declaration"}:
            found = list(_list_required(node))
        else:
            found = []
        yield found or _text(node)


def _list_imported(node: Any) -> Iterator[_Binding]:
    source = node.child_by_field_name("source")
    clause = next((child for child in node.named_children if child.type == "import_clause"), None)
    if source is None or clause is None:
        return
    is_type = any(child.type == "type" for child in node.children)
    kind, module = "import type" if is_type else "import", _text(source)[1:-1]
    for child in clause.named_children:
        if child.type == "identifier":
            yield _Binding(kind, module, _DEFAULT, _DEFAULT, _text(child), "")
        elif child.type == "namespace_import":
            yield _Binding(kind, module, _ALL, _ALL, _text(child.named_children[0]), "")
        elif child.type == "named_imports":
            for each in (part for part in child.named_children if part.type == "import_specifier"):
                name, alias = each.child_by_field_name("name"), each.child_by_field_name("alias")
                yield _Binding(kind, module, _NAMED, _text(name), _text(alias or name), _text(each))


def _list_required(node: Any) -> Iterator[_Binding]:
    """Yield the names of `const a = require('x')` and `const { a } = require('x')`."""
    for declarator in (child for child in node.named_children if child.type == "variable_declarator"):
        name, call = declarator.child_by_field_name("name"), declarator.child_by_field_name("value")
        if (
            call is None
            or call.type != "call_expression"
            or _text(call.child_by_field_name("function")) != "require"
        ):
            continue
        arguments = call.child_by_field_name("arguments").named_children
        if len(arguments) != 1 or arguments[0].type != "string":
            continue
        module = _text(arguments[0])[1:-1]
        if name.type == "identifier":
            yield _Binding("require", module, _DEFAULT, _DEFAULT, _text(name), "")
        for each in name.named_children if name.type == "object_pattern" else ():
            key, value = each.child_by_field_name("key"), each.child_by_field_name("value")
            exported, local = _text(key or each), _text(value or each)
            yield _Binding("require", module, _NAMED, exported, local, _text(each))


def _text(node: Any) -> str:
    return str(node.text.decode("utf-8", "replace"))
