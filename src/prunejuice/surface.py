"""What a Python file shows to others: its public names, with how each can be called. Pure."""

import ast
from collections.abc import Iterator, Mapping


def surface(source: str) -> Mapping[str, str]:
    """Public names to their signatures: functions, classes with their methods, values, imported names.

    Raises:
        SyntaxError: it is no Python.
    """
    tree = ast.parse(source)
    listed = _listed(tree)
    found = dict(_names(tree.body, ""))
    return {name: said for name, said in found.items() if _is_public(name, listed)}


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """What those who use the old names would notice; new names are welcome."""
    found = []
    for name, said in old.items():
        if name not in new:
            if said != "import":
                found.append(f"{name} is gone")
        elif "import" not in {said, new[name]} and said != new[name]:
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
                word = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
                yield f"{prefix}{node.name}", f"{word}({_parameters(node.args)})"
            case ast.ClassDef():
                bases = ", ".join(ast.unparse(each) for each in node.bases)
                yield f"{prefix}{node.name}", f" of {bases}" if bases else ""
                yield from _names(node.body, f"{prefix}{node.name}.")
            case ast.Assign() | ast.AnnAssign():
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                yield from ((f"{prefix}{name}", "") for each in targets if (name := _named(each)))
            case ast.Import() | ast.ImportFrom():
                names = (each.asname or each.name.split(".")[0] for each in node.names)
                yield from ((f"{prefix}{name}", "import") for name in names)
            case ast.If() | ast.Try():
                yield from _names([*node.body, *node.orelse], prefix)


def _named(target: ast.expr) -> str:
    return target.id if isinstance(target, ast.Name) else ""


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
