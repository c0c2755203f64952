"""The public API of a Python file: its public names and their signatures."""

import ast
from collections.abc import Iterator, Mapping

_KINDS = (
    "property",
    "setter",
    "deleter",
    "staticmethod",
    "classmethod",
    "contextmanager",
    "asynccontextmanager",
)


def public_names(source: str, path: str = "") -> Mapping[str, str]:
    """Return the signature of each public name: functions, classes, methods, values and imported names.

    Imported names count as re-exported if `__all__` lists them, or if `path` is an `__init__.py` without
    `__all__`.

    Raises:
        SyntaxError: The source is not valid Python.
    """
    tree = ast.parse(source)
    exported = _exported_names(tree)
    signatures = dict(_iter_names(tree.body, ""))
    exports_imports = path.endswith("__init__.py") and exported is None
    return {
        name: "re-exported"
        if signature == "import" and (exports_imports or name in (exported or ()))
        else signature
        for name, signature in signatures.items()
        if _is_public(name, exported)
    }


def breaking_changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Return a message for each name that was removed or changed; added names are ignored."""
    changes = []
    for name, signature in old.items():
        if name not in new:
            if signature != "import" and not name.endswith(")"):
                changes.append(f"{name} was removed")
        elif not {signature, new[name]} & {"import", "re-exported"} and signature != new[name]:
            changes.append(f"{name}{signature} changed to {name}{new[name]}")
    return changes


def _exported_names(tree: ast.Module) -> frozenset[str] | None:
    """Return the names in `__all__`; None if it is missing or not a literal list."""
    for node in tree.body:
        match node:
            case ast.Assign(
                targets=[ast.Name(id="__all__")], value=ast.List(elts=names) | ast.Tuple(elts=names)
            ):
                return frozenset(str(name.value) for name in names if isinstance(name, ast.Constant))
    return None


def _is_public(name: str, exported: frozenset[str] | None) -> bool:
    first, *members = name.split(".")
    if any(part.startswith("_") and not part.endswith("__") for part in members):
        return False
    return first in exported if exported is not None else not first.startswith("_")


def _iter_names(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, str]]:
    for node in body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from _function_signatures(node, f"{prefix}{node.name}")
            case ast.ClassDef():
                bases = ", ".join(ast.unparse(base) for base in node.bases)
                yield f"{prefix}{node.name}", f" of {bases}" if bases else ""
                yield from _iter_names(node.body, f"{prefix}{node.name}.")
            case ast.Assign() | ast.AnnAssign():
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                yield from ((f"{prefix}{name}", "") for target in targets for name in _target_names(target))
            case ast.Import() | ast.ImportFrom():
                names = (item.asname or item.name.split(".")[0] for item in node.names)
                yield from ((f"{prefix}{name}", "import") for name in names)
            case ast.If():
                yield from _iter_names([*node.body, *node.orelse], prefix)
            case ast.Try():
                handled = [stmt for handler in node.handlers for stmt in handler.body]
                yield from _iter_names([*handled, *node.body, *node.orelse, *node.finalbody], prefix)


def _function_signatures(
    node: ast.FunctionDef | ast.AsyncFunctionDef, name: str
) -> Iterator[tuple[str, str]]:
    """Yield the signature of a function, and the literal default of each parameter."""
    kinds = [kind for decorator in node.decorator_list if (kind := _decorator_kind(decorator))]
    if "setter" in kinds or "deleter" in kinds:
        yield f"{name}.{kinds[0]}", ""
        return
    words = [
        *(f"@{kind}" for kind in kinds),
        *(["async"] if isinstance(node, ast.AsyncFunctionDef) else []),
    ]
    yield name, " ".join([*words, f"({_format_parameters(node.args)})"])
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = [*zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True)]
    pairs += [
        (parameter, value)
        for parameter, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if value
    ]
    yield from (
        (f"{name}({parameter.arg})", f" = {ast.unparse(value)}")
        for parameter, value in pairs
        if _is_literal(value)
    )


def _decorator_kind(decorator: ast.expr) -> str:
    """Return the name of a decorator that changes how the function is used; empty for any other."""
    word = ast.unparse(decorator).rpartition(".")[2]
    return "property" if word == "cached_property" else word if word in _KINDS else ""


def _is_literal(value: ast.expr) -> bool:
    try:
        ast.literal_eval(value)
    except ValueError:
        return False
    return True


def _target_names(target: ast.expr) -> Iterator[str]:
    match target:
        case ast.Name(id=name):
            yield name
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from _target_names(part)
        case ast.Starred(value=inner):
            yield from _target_names(inner)


def _format_parameters(arguments: ast.arguments) -> str:
    """Return the parameters by name, with `=` after optional ones."""
    positional = [*arguments.posonlyargs, *arguments.args]
    required = len(positional) - len(arguments.defaults)
    words = [
        f"{parameter.arg}{'=' if number >= required else ''}" for number, parameter in enumerate(positional)
    ]
    if arguments.posonlyargs:
        words.insert(len(arguments.posonlyargs), "/")
    if arguments.vararg:
        words.append(f"*{arguments.vararg.arg}")
    elif arguments.kwonlyargs:
        words.append("*")
    for parameter, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        words.append(f"{parameter.arg}{'=' if default is not None else ''}")
    if arguments.kwarg:
        words.append(f"**{arguments.kwarg.arg}")
    return ", ".join(words)
