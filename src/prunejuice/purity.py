"""Which functions of a Python file only compute, and inputs that they can be tried with. Pure."""

import ast
import builtins
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

_SAFE_MODULES = frozenset((
    "math", "re", "itertools", "functools", "collections", "operator", "string", "json", "textwrap",
    "statistics", "fractions", "decimal", "unicodedata", "heapq", "bisect", "typing", "dataclasses", "enum",
))  # fmt: skip
_UNSAFE = frozenset((
    "open", "print", "input", "exec", "eval", "compile", "__import__", "globals", "locals", "vars",
    "setattr", "delattr", "breakpoint", "exit", "quit", "id", "hash", "memoryview",
))  # fmt: skip
_BUILTIN = frozenset(dir(builtins)) - _UNSAFE
TRIES = 80
_MOST_PARAMETERS = 6


class Function(NamedTuple):
    """A function that only computes; `inputs` are calls of it, as Python literals.

    `typed` when all its parameters say what they take, so that no call is senseless.
    """

    name: str
    inputs: tuple[str, ...]
    typed: bool = False


def functions(old: str, new: str) -> list[Function]:
    """Functions that both files have at their top, that only compute in both, and whose body changed."""
    one, other = _pure(old), _pure(new)
    both = sorted(one.keys() & other.keys())
    changed = [name for name in both if ast.dump(one[name]) != ast.dump(other[name])]
    return [Function(name, calls, _is_typed(one[name])) for name in changed if (calls := inputs(one[name]))]


def _is_typed(function: ast.FunctionDef) -> bool:
    return all(each.annotation for each in (*function.args.posonlyargs, *function.args.args))


def _pure(source: str) -> Mapping[str, ast.FunctionDef]:
    tree = ast.parse(source)
    made = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    known = _known(tree) | made.keys()
    safe = {name: node for name, node in made.items() if not node.decorator_list}
    while True:  # a function is pure when those that it calls are
        kept = {n: f for n, f in safe.items() if _computes(f, known - (made.keys() - safe.keys()))}
        if len(kept) == len(safe):
            return kept
        safe = kept


def _known(tree: ast.Module) -> frozenset[str]:
    """The names of a file that are values which never change, or come from modules that only compute."""
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            names = (each for each in node.names if each.name in _SAFE_MODULES)
            found |= {each.asname or each.name for each in names}
        elif isinstance(node, ast.ImportFrom) and node.module in _SAFE_MODULES:
            found |= {each.asname or each.name for each in node.names}
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.Tuple):
            found |= {each.id for each in node.targets if isinstance(each, ast.Name)}
    return frozenset(found)


def _computes(function: ast.FunctionDef, known: "frozenset[str] | set[str]") -> bool:
    """Whether nothing in a function reaches out of it."""
    local = {each.arg for each in ast.walk(function.args) if isinstance(each, ast.arg)}
    for node in ast.walk(function):
        if isinstance(
            node,
            ast.Global | ast.Nonlocal | ast.Import | ast.ImportFrom | ast.Await | ast.Yield | ast.YieldFrom,
        ):
            return False
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            local.add(node.id)
        if isinstance(node, ast.FunctionDef | ast.Lambda) and node is not function:
            local |= {each.arg for each in ast.walk(node.args) if isinstance(each, ast.arg)}
            local.add(getattr(node, "name", ""))
        if isinstance(node, ast.ExceptHandler) and node.name:
            local.add(node.name)
    used = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    return used <= local | known | _BUILTIN


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


def inputs(function: ast.FunctionDef) -> tuple[str, ...]:
    """Calls to try: the arguments as a tuple in Python's words; nothing when it takes too many."""
    given = function.args
    if given.vararg or given.kwarg or given.kwonlyargs:
        return ()
    parameters = [*given.posonlyargs, *given.args]
    if len(parameters) > _MOST_PARAMETERS:
        return ()
    pools = [_pool(each) for each in parameters]
    least = len(parameters) - len(given.defaults)
    chance = random.Random(function.name)  # noqa: S311 - the same calls each time
    found: dict[str, None] = {}
    for number in range(TRIES * 3):
        count = len(pools) if number % 3 else max(least, 0)
        words = [chance.choice(pool) for pool in pools[:count]]
        found[f"({', '.join(words)}{',' if len(words) == 1 else ''})"] = None
    return tuple(found)[:TRIES]


def _pool(parameter: ast.arg) -> Sequence[str]:
    if parameter.annotation is not None:
        return tuple(_typed(parameter.annotation)) or _ANY
    name = parameter.arg.lower()
    for names, pool in _HINTS:
        if name in names or any(len(each) > 2 and name.endswith(each) for each in names):
            return (*pool, *pool, *_ANY[:3])
    return _ANY


def _typed(annotation: ast.expr) -> Iterator[str]:
    """Values of the types of an annotation; nothing for those that are not known."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            yield from _typed(ast.parse(annotation.value, mode="eval").body)
        except SyntaxError:
            return
    elif isinstance(annotation, ast.BinOp):
        yield from _typed(annotation.left)
        yield from _typed(annotation.right)
    else:
        said = ast.unparse(annotation)
        outer = said.partition("[")[0].rpartition(".")[2]
        if outer == "Optional" and isinstance(annotation, ast.Subscript):
            yield from (*_typed(annotation.slice), "None")
        else:
            yield from _TYPES.get(said) or _TYPES.get(outer) or ()
