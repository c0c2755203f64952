"""What a Python file shows to others: its public names, with how each can be called. Pure."""

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


def surface(source: str, path: str = "") -> Mapping[str, str]:
    """Public names to their signatures: functions, classes with their methods, values, imported names.

    What a package's `__init__.py` imports is there for others, as is what `__all__` names.

    Raises:
        SyntaxError: it is no Python.
    """
    tree = ast.parse(source)
    listed = _listed(tree)
    found = dict(_names(tree.body, ""))
    whole = path.endswith("__init__.py") and listed is None
    return {
        name: "re-exported" if said == "import" and (whole or name in (listed or ())) else said
        for name, said in found.items()
        if _is_public(name, listed)
    }


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """What those who use the old names would notice; new names are welcome."""
    found = []
    for name, said in old.items():
        if name not in new:
            if said != "import" and not name.endswith(")"):
                found.append(f"{name} is gone")
        elif not {said, new[name]} & {"import", "re-exported"} and said != new[name]:
            found.append(f"{name}{said} is {name}{new[name]} now")
    return found


def _listed(tree: ast.Module) -> frozenset[str] | None:
    """The names of `__all__`, where it is a plain list."""
    for node in tree.body:
        match node:
            case ast.Assign(
                targets=[ast.Name(id="__all__")], value=ast.List(elts=names) | ast.Tuple(elts=names)
            ):
                return frozenset(str(each.value) for each in names if isinstance(each, ast.Constant))
    return None


def _is_public(name: str, listed: frozenset[str] | None) -> bool:
    first, *rest = name.split(".")
    if any(part.startswith("_") and not part.endswith("__") for part in rest):
        return False
    return first in listed if listed is not None else not first.startswith("_")


def _names(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, str]]:
    for node in body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from _function(node, f"{prefix}{node.name}")
            case ast.ClassDef():
                bases = ", ".join(ast.unparse(each) for each in node.bases)
                yield f"{prefix}{node.name}", f" of {bases}" if bases else ""
                yield from _names(node.body, f"{prefix}{node.name}.")
            case ast.Assign() | ast.AnnAssign():
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                yield from ((f"{prefix}{name}", "") for each in targets for name in _named(each))
            case ast.Import() | ast.ImportFrom():
                names = (each.asname or each.name.split(".")[0] for each in node.names)
                yield from ((f"{prefix}{name}", "import") for name in names)
            case ast.If():
                yield from _names([*node.body, *node.orelse], prefix)
            case ast.Try():
                handled = [each for handler in node.handlers for each in handler.body]
                yield from _names([*handled, *node.body, *node.orelse, *node.finalbody], prefix)


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> Iterator[tuple[str, str]]:
    """How a function is called, and what its parameters are when they are left out."""
    kinds = [kind for each in node.decorator_list if (kind := _kind(each))]
    if "setter" in kinds or "deleter" in kinds:
        yield f"{name}.{kinds[0]}", ""
        return
    words = [
        *(f"@{kind}" for kind in kinds),
        *(["async"] if isinstance(node, ast.AsyncFunctionDef) else []),
    ]
    yield name, " ".join([*words, f"({_parameters(node.args)})"])
    given = node.args
    plain = [*given.posonlyargs, *given.args]
    pairs = [*zip(plain[len(plain) - len(given.defaults) :], given.defaults, strict=True)]
    pairs += [
        (each, value) for each, value in zip(given.kwonlyargs, given.kw_defaults, strict=True) if value
    ]
    yield from (
        (f"{name}({each.arg})", f" = {ast.unparse(value)}") for each, value in pairs if _is_plain(value)
    )


def _kind(decorator: ast.expr) -> str:
    """The word of a decorator after which a function is used in another way."""
    said = ast.unparse(decorator).rpartition(".")[2]
    return "property" if said == "cached_property" else said if said in _KINDS else ""


def _is_plain(value: ast.expr) -> bool:
    try:
        ast.literal_eval(value)
    except ValueError:
        return False
    return True


def _named(target: ast.expr) -> Iterator[str]:
    match target:
        case ast.Name(id=name):
            yield name
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for each in parts:
                yield from _named(each)
        case ast.Starred(value=inner):
            yield from _named(inner)


def _parameters(given: ast.arguments) -> str:
    """The parameters by name, with `=` where one may be left out."""
    plain = [*given.posonlyargs, *given.args]
    least = len(plain) - len(given.defaults)
    words = [f"{each.arg}{'=' if number >= least else ''}" for number, each in enumerate(plain)]
    if given.posonlyargs:
        words.insert(len(given.posonlyargs), "/")
    if given.vararg:
        words.append(f"*{given.vararg.arg}")
    elif given.kwonlyargs:
        words.append("*")
    for each, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        words.append(f"{each.arg}{'=' if default is not None else ''}")
    if given.kwarg:
        words.append(f"**{given.kwarg.arg}")
    return ", ".join(words)
