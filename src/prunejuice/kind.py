"""What sort of change a hunk is, as far as that is certain; and what about it deserves a second look.

A kind is never guessed: where it cannot be proved the hunk has none, and is judged by itself.
"""

import ast
import builtins
import io
import keyword
import re
import tokenize
import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

from prunejuice import hunk as hunks
from prunejuice import pathname
from prunejuice.hunk import Hunk

Kind = Literal["import added", "rename", "docstring only", "formatting only"]
_JS = (".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".tsx")
_BRACES = (".js", ".mjs", ".cjs", ".ts", ".mts", ".go", ".java", ".c", ".h", ".cc", ".cpp", ".hpp", ".css")
_JS_IMPORT = re.compile(r"""\s*import\s+(?:type\s+)?[\w$*{},\s]+\s+from\s+(['"])[^'"]+\1;?\s*""")
_JS_TOP = re.compile(r"""\s*(?:import\b.*|//.*|/?\*.*|['"]use \w+['"];?|)\s*""")
_JS_WORDS = {"import", "type", "as", "from"}
_WORDS = re.compile(r""""(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`[^`]*`|[^\W\d]\w*|\d+|\s+|.""", re.DOTALL)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_FIRST_LINES = 2  # which may say how a file is run or encoded
LARGEST = 500_000
_TESTS = re.compile(r"(^|/)(tests?|__tests__|spec)/|(^|/)test_[^/]*$|_test\.[a-z]+$|\.(test|spec)\.[a-z]+$")


class Looked(NamedTuple):
    """A hunk in its file: the text of the file before, and after the whole change."""

    hunk: Hunk
    old: str
    new: str


KINDS: tuple[str, ...] = get_args(Kind)


def kinds(looked: Looked) -> dict[str, str]:
    """Every kind that a hunk certainly is, with what tells it from others of its kind."""
    hunk = looked.hunk
    if hunk.what or len(looked.old) > LARGEST or len(looked.new) > LARGEST:
        return {}
    if hunk.path.endswith((".py", ".pyi")):
        return _python(looked)
    if hunk.path.endswith(_JS) and _imports_js(looked):
        return {"import added": ""}
    return {"formatting only": ""} if _is_formatting(looked) else {}


def _changed(hunk: Hunk) -> tuple[list[str], list[str]]:
    removed = [line for start, end, _, _ in hunk.parts for line in hunk.old[start:end]]
    added = [line for _, _, begin, stop in hunk.parts for line in hunk.new[begin:stop]]
    return removed, added


def _imports_js(looked: Looked) -> bool:
    """Whether names are imported, at the top of a file that did not have those names."""
    removed, added = _changed(looked.hunk)
    lines = [line for line in added if line.strip()]
    above = looked.old.split("\n")[: looked.hunk.line - 1]
    if (
        removed
        or not lines
        or not all(map(_JS_IMPORT.fullmatch, lines))
        or not all(map(_JS_TOP.fullmatch, above))
    ):
        return False
    names = {
        word for line in lines for word in re.findall(r"[\w$]+", line.rpartition(" from ")[0])
    } - _JS_WORDS
    return not names & set(re.findall(r"[\w$]+", looked.old))


def _python(looked: Looked) -> dict[str, str]:
    """What the syntax tree of the file says when only this hunk is made."""
    data = looked.old.encode("utf-8", "surrogateescape")
    made = hunks.combined(data, [looked.hunk]).decode("utf-8", "surrogateescape")
    before, after = _trees(looked.old), _trees(made)
    if before is None or after is None:
        return {}
    told = looked.hunk.line > _FIRST_LINES or not any(
        "#" in line for line in looked.old.split("\n")[:_FIRST_LINES]
    )
    if (
        told
        and before.whole == after.whole
        and not any("#" in line for part in _changed(looked.hunk) for line in part)
    ):
        return {"formatting only": ""}
    if (
        told
        and before.whole != after.whole
        and before.bare == after.bare
        and before.comments == after.comments
        and not _uses_docstrings(looked)
    ):
        return {"docstring only": ""}
    names = renamed(looked)
    return {"rename": " → ".join(names)} if names else _imports(before, after)


def _uses_docstrings(looked: Looked) -> bool:
    lines = [line for part in _changed(looked.hunk) for line in part]
    return "__doc__" in looked.old or "__doc__" in looked.new or any(">>>" in line for line in lines)


def _imports(before: "_Trees | None", after: "_Trees | None") -> dict[str, str]:
    """Whether modules are imported, at the top level, by names that the file did not have."""
    if before is None or after is None or before.comments != after.comments:
        return {}
    added = [node for node in after.body if node not in before.body]
    rest = [node for node in after.body if node in before.body]
    plain = all(node.startswith(("Import(", "ImportFrom(")) and "name='*'" not in node for node in added)
    new = after.imported - before.imported
    fresh = not new & before.names and not any(hasattr(builtins, name) for name in new)
    return {"import added": ""} if added and rest == list(before.body) and plain and fresh else {}


def renamed(looked: Looked) -> tuple[str, str] | None:
    """The one name that became one other, when nothing else changed and both mean the same.

    A variable, function or class of a Python file: bound in it, the old name before and nowhere after, the
    new one after and nowhere before; never an attribute, an argument, or what a test runner looks for.
    """
    removed, added = _changed(looked.hunk)
    before, after = (_WORDS.findall("".join(lines)) for lines in (removed, added))
    if not looked.hunk.path.endswith((".py", ".pyi")) or len(before) != len(after):
        return None
    pairs = {(a, b) for a, b in zip(before, after, strict=True) if a != b}
    old, new = next(iter(pairs)) if len(pairs) == 1 else ("", "")
    if not (_is_name(old) and _is_name(new)):
        return None
    there, left = set(_WORDS.findall(looked.old)), set(_WORDS.findall(looked.new))
    same = new not in there and old not in left and _binds(looked.old, old) and _binds(looked.new, new)
    return (old, new) if same else None


def _is_name(word: str) -> bool:
    plain = word.isidentifier() and not keyword.iskeyword(word) and not hasattr(builtins, word)
    return plain and not word.lower().startswith(("test", "__", "pytest"))


def _binds(text: str, name: str) -> bool:
    """Whether a name is bound in a file, and is there as nothing but a variable, a function or a class."""
    tree = _parsed(text)
    if tree is None:
        return False
    methods = {id(each) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for each in node.body}
    bound = used = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == name:
            used += 1
            bound += isinstance(node.ctx, ast.Store)
        elif isinstance(node, _DEFINITIONS) and node.name == name and id(node) not in methods:
            used, bound = used + 1, bound + 1
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return bound > 0 and used == sum(each.type == tokenize.NAME and each.string == name for each in tokens)


class _Trees(NamedTuple):
    """A syntax tree as text, without docstrings, by statement; the comments beside it, the names in it."""

    whole: str
    bare: str
    body: tuple[str, ...]
    comments: tuple[str, ...]
    names: frozenset[str]
    imported: frozenset[str]


@lru_cache(maxsize=16)
def _parsed(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


@lru_cache(maxsize=16)
def _trees(text: str) -> _Trees | None:
    tree = _parsed(text)
    if tree is None:
        return None
    try:
        whole, body = ast.dump(tree), tuple(ast.dump(node) for node in tree.body)
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {node.name for node in ast.walk(tree) if isinstance(node, _DEFINITIONS)}
        imported = {
            alias.asname or alias.name.partition(".")[0]
            for node in ast.walk(tree)
            for alias in _aliases(node)
        }
        bare = ast.parse(text)
        _strip(bare)
        return _Trees(whole, ast.dump(bare), body, _comments(text), frozenset(names), frozenset(imported))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _aliases(node: ast.AST) -> Sequence[ast.alias]:
    return node.names if isinstance(node, ast.Import | ast.ImportFrom) else ()


def _strip(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, *_DEFINITIONS)):
            first = node.body[0] if node.body else None
            value = first.value if isinstance(first, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                node.body = node.body[1:] or [ast.Pass()]


def _comments(text: str) -> tuple[str, ...]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return tuple(token.string.strip() for token in tokens if token.type == tokenize.COMMENT)


def _is_formatting(looked: Looked) -> bool:
    """Whether only indentation, blank lines and trailing space differ, where those are nothing.

    In a file that may have a text of several lines they may be something.
    """
    hunk = looked.hunk
    if not hunk.path.endswith(_BRACES) or any(map(_may_have_long_text, (looked.old, looked.new))):
        return False
    old, new = ([line.strip() for line in lines if line.strip()] for lines in (hunk.old, hunk.new))
    return old == new


@lru_cache(maxsize=16)
def _may_have_long_text(text: str) -> bool:
    marks = ("`", '"""', 'R"', "\\\n", "\\\r")
    return any(mark in text for mark in marks)


def risks(hunk: Hunk, mode: int = 0) -> list[str]:
    """What about a hunk deserves a second look."""
    added, removed = hunks.counted(hunk)
    found = {
        "decides what runs on this machine": pathname.decides(hunk.path),
        "may decide what runs": pathname.care(hunk.path) == "shown",
        "deletes the file": hunk.what == "deleted",
        "makes the file executable": hunk.what in {"created", "mode"} and bool(mode & 0o100),
        "changes a test": hunk.what != "created" and bool(_TESTS.search(hunk.path)),
        "takes more away than it puts in": removed > 20 and removed > 3 * added and hunk.what != "deleted",
    }
    return [text for text, holds in found.items() if holds]
