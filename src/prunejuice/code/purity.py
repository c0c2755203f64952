"""Detection of pure functions in Python files, and sample inputs to call them with."""

import ast
import builtins
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

_SAFE_MODULES = frozenset((
    "math", "re", "itertools", "functools", "collections", "operator", "string", "json", "textwrap",
    "statistics", "fractions", "decimal", "unicodedata", "heapq", "bisect", "typing", "dataclasses", "enum",
))  # fmt: skip
_UNSAFE_BUILTINS = frozenset((
    "open", "print", "input", "exec", "eval", "compile", "__import__", "globals", "locals", "vars",
    "setattr", "delattr", "breakpoint", "exit", "quit", "id", "hash", "memoryview",
))  # fmt: skip
_SAFE_BUILTINS = frozenset(dir(builtins)) - _UNSAFE_BUILTINS
TRIES = 80
_MAX_PARAMETERS = 6


class PureFunction(NamedTuple):
    """A function without side effects; `inputs` are argument tuples, as Python literals.

    `typed` is set if all its parameters are annotated, so that every input has the right types.
    """

    name: str
    inputs: tuple[str, ...]
    typed: bool = False


def changed_pure_functions(old: str, new: str) -> list[PureFunction]:
    """Return the top-level functions that are pure in both sources and whose body changed.

    Raises:
        SyntaxError: A source is not valid Python.
    """
    before, after = _pure_functions(old), _pure_functions(new)
    names = sorted(before.keys() & after.keys())
    changed = [name for name in names if ast.dump(before[name]) != ast.dump(after[name])]
    return [
        PureFunction(name, calls, _is_typed(before[name]))
        for name in changed
        if (calls := sample_inputs(before[name]))
    ]


def _is_typed(function: ast.FunctionDef) -> bool:
    return all(parameter.annotation for parameter in (*function.args.posonlyargs, *function.args.args))


def _pure_functions(source: str) -> Mapping[str, ast.FunctionDef]:
    tree = ast.parse(source)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    known = _constant_names(tree) | functions.keys()
    safe = {name: node for name, node in functions.items() if not node.decorator_list}
    while True:  # a function is pure only if those that it calls are
        pure = {n: f for n, f in safe.items() if _is_pure(f, known - (functions.keys() - safe.keys()))}
        if len(pure) == len(safe):
            return pure
        safe = pure


def _constant_names(tree: ast.Module) -> frozenset[str]:
    """Return the names of a file that are constants or come from side-effect-free modules."""
    constants: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            names = (item for item in node.names if item.name in _SAFE_MODULES)
            constants |= {item.asname or item.name for item in names}
        elif isinstance(node, ast.ImportFrom) and node.module in _SAFE_MODULES:
            constants |= {item.asname or item.name for item in node.names}
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.Tuple):
            constants |= {item.id for item in node.targets if isinstance(item, ast.Name)}
    return frozenset(constants)


def _is_pure(function: ast.FunctionDef, known: "frozenset[str] | set[str]") -> bool:
    """Return whether a function uses only its own names, known names and safe builtins."""
    local = {argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)}
    for node in ast.walk(function):
        if isinstance(
            node,
            ast.Global | ast.Nonlocal | ast.Import | ast.ImportFrom | ast.Await | ast.Yield | ast.YieldFrom,
        ):
            return False
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            local.add(node.id)
        if isinstance(node, ast.FunctionDef | ast.Lambda) and node is not function:
            local |= {argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)}
            local.add(getattr(node, "name", ""))
        if isinstance(node, ast.ExceptHandler) and node.name:
            local.add(node.name)
    used = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    return used <= local | known | _SAFE_BUILTINS


# -- inputs -----------------------------------------------------------------------------------------

_INTEGERS = ("0", "1", "-1", "2", "3", "7", "10", "100", "-5")
_NUMBERS = (*_INTEGERS, "0.5", "-2.25", "1e3")
_TEXTS = ("''", "'a'", "'hello'", "'Hello World'", "'a,b,,c'", "' x '", "'123'", "'äöü'", "'line\\nline'")
_LISTS = ("[]", "[1]", "[1, 2, 3]", "[3, 1, 2, 2]", "[-1, 0, 5]", "[0.5, 1.5]", "[10, 20, 30, 40]")
_WORDS = ("[]", "['a']", "['b', 'a', 'b']", "['hello', 'world', '']")
_DICTS = ("{}", "{'a': 1}", "{'a': 1, 'b': 2}", "{'x': [1, 2], 'y': []}")
_BOOLS = ("True", "False")
_ANY = (*_NUMBERS[:7], *_TEXTS[:5], *_LISTS[:4], *_DICTS[:2], "None", *_BOOLS, "(1, 2)")
_TYPES: Mapping[str, Sequence[str]] = {
    "int": _INTEGERS, "float": _NUMBERS, "complex": _NUMBERS, "str": _TEXTS, "bool": _BOOLS, "dict": _DICTS,
    "Mapping": _DICTS, "list": (*_LISTS, *_WORDS), "Sequence": (*_LISTS, *_WORDS),
    "Iterable": (*_LISTS, *_WORDS), "tuple": ("()", "(1,)", "(1, 2)", "('a', 'b')"),
    "set": ("{1, 2}", "{'a'}"), "bytes": ("b''", "b'abc'"),
    "list[int]": _LISTS[:5], "list[float]": _LISTS, "list[str]": _WORDS, "Sequence[str]": _WORDS,
    "Iterable[str]": _WORDS, "None": ("None",),
}  # fmt: skip
_HINTS: Sequence[tuple[tuple[str, ...], Sequence[str]]] = (
    (("prices", "numbers", "values", "nums", "items", "xs", "data", "list", "array", "scores"), _LISTS),
    (("words", "lines", "names", "keys", "texts", "tags"), _WORDS),
    (("text", "string", "name", "word", "line", "path", "key", "s", "title", "message"), _TEXTS),
    (("n", "count", "size", "number", "index", "i", "k", "x", "y", "a", "b", "limit", "width"), _INTEGERS),
    (("rate", "price", "amount", "ratio", "total", "percent", "discount", "tax"), _NUMBERS),
    (("mapping", "options", "config", "table", "counts"), _DICTS),
)


def sample_inputs(function: ast.FunctionDef) -> tuple[str, ...]:
    """Return up to `TRIES` argument tuples, as Python literals.

    Returns nothing for functions with too many, variadic or keyword-only parameters.
    """
    arguments = function.args
    if arguments.vararg or arguments.kwarg or arguments.kwonlyargs:
        return ()
    parameters = [*arguments.posonlyargs, *arguments.args]
    if len(parameters) > _MAX_PARAMETERS:
        return ()
    pools = [_candidate_values(parameter) for parameter in parameters]
    required = len(parameters) - len(arguments.defaults)
    rng = random.Random(function.name)  # noqa: S311 - a fixed seed gives the same calls every time
    calls: dict[str, None] = {}
    for number in range(TRIES * 3):
        count = len(pools) if number % 3 else max(required, 0)
        values = [rng.choice(pool) for pool in pools[:count]]
        calls[f"({', '.join(values)}{',' if len(values) == 1 else ''})"] = None
    return tuple(calls)[:TRIES]


def _candidate_values(parameter: ast.arg) -> Sequence[str]:
    if parameter.annotation is not None:
        return tuple(_typed_values(parameter.annotation)) or _ANY
    name = parameter.arg.lower()
    for names, pool in _HINTS:
        if name in names or any(len(hint) > 2 and name.endswith(hint) for hint in names):
            return (*pool, *pool, *_ANY[:3])
    return _ANY


def _typed_values(annotation: ast.expr) -> Iterator[str]:
    """Yield sample values for an annotation; nothing for unknown types."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            yield from _typed_values(ast.parse(annotation.value, mode="eval").body)
        except SyntaxError:
            return
    elif isinstance(annotation, ast.BinOp):
        yield from _typed_values(annotation.left)
        yield from _typed_values(annotation.right)
    else:
        type_name = ast.unparse(annotation)
        base_name = type_name.partition("[")[0].rpartition(".")[2]
        if base_name == "Optional" and isinstance(annotation, ast.Subscript):
            yield from (*_typed_values(annotation.slice), "None")
        else:
            yield from _TYPES.get(type_name) or _TYPES.get(base_name) or ()
