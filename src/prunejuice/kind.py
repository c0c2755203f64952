"""What sort of change a hunk is, as far as that is certain; and what about it deserves a second look.

A kind is never guessed: where it cannot be proved the hunk has none, and is judged by itself.
"""

import ast
import builtins
import io
import keyword
import re
import tokenize
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from prunejuice import hunk as hunks
from prunejuice import pathname
from prunejuice.hunk import Hunk

Kind = Literal["import added", "rename", "docstring only", "formatting only"]
_JS = (".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".tsx")
_BRACES = (
    *_JS,
    ".go",
    ".rs",
    ".java",
    ".c",
    ".h",
    ".cc",
    ".cpp",
    ".hpp",
    ".cs",
    ".css",
    ".scss",
    ".kt",
    ".swift",
)
_JS_IMPORT = re.compile(r"""\s*import\s+(?:type\s+)?(?:[\w$*{},\s]+\s+from\s+)?(['"])[^'"]+\1;?\s*""")
_WORDS = re.compile(r""""(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`[^`]*`|[^\W\d]\w*|\d+|\s+|.""", re.DOTALL)
_DEFINED = (
    r"\b(?:def|class|function|const|let|var|func|fn|type|interface|enum|struct|for)\s+{0}\b"
    r"|\b{0}\s*:?=(?!=)"
)
_IMPORTS = re.compile(r"\s*(?:import|from|use|require|package|export|#\s*include)\b")
_TESTS = re.compile(r"(^|/)(tests?|__tests__|spec)/|(^|/)test_[^/]*$|_test\.[a-z]+$|\.(test|spec)\.[a-z]+$")


class Looked(NamedTuple):
    """A hunk in its file: the text of the file before, and after the whole change."""

    hunk: Hunk
    old: str
    new: str


def kinds(looked: Looked) -> dict[str, str]:
    """Every kind that a hunk certainly is, with what tells it from others of its kind."""
    hunk = looked.hunk
    if hunk.what:
        return {}
    found = {}
    if _imports(hunk):
        found["import added"] = ""
    if names := renamed(looked):
        found["rename"] = " → ".join(names)
    if hunk.path.endswith((".py", ".pyi")):
        found |= _python(looked)
    elif _is_formatting(looked):
        found["formatting only"] = ""
    return found


def _changed(hunk: Hunk) -> tuple[list[str], list[str]]:
    removed = [line for start, end, _, _ in hunk.parts for line in hunk.old[start:end]]
    added = [line for _, _, begin, stop in hunk.parts for line in hunk.new[begin:stop]]
    return removed, added


def _imports(hunk: Hunk) -> bool:
    removed, added = _changed(hunk)
    if any(line.strip() for line in removed) or not any(line.strip() for line in added):
        return False
    if hunk.path.endswith((".py", ".pyi")):
        return _only_imports("".join(added))
    return hunk.path.endswith(_JS) and all(_JS_IMPORT.fullmatch(line) for line in added if line.strip())


def _only_imports(text: str) -> bool:
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError):
        return False
    plain = all(isinstance(node, ast.Import | ast.ImportFrom) for node in body)
    return plain and not any(
        alias.name == "*" for node in ast.walk(ast.Module(body, [])) for alias in _aliases(node)
    )


def _aliases(node: ast.AST) -> Sequence[ast.alias]:
    return node.names if isinstance(node, ast.Import | ast.ImportFrom) else ()


def renamed(looked: Looked) -> tuple[str, str] | None:
    """The one name that became one other, when nothing else changed and both mean the same.

    The file must define both: the old name before and not after, the new one after and not before.
    """
    removed, added = _changed(looked.hunk)
    before, after = (_WORDS.findall("".join(lines)) for lines in (removed, added))
    if len(before) != len(after) or len(removed) != len(added) or any(map(_IMPORTS.match, removed)):
        return None
    pairs = {(a, b) for a, b in zip(before, after, strict=True) if a != b}
    if len(pairs) != 1:
        return None
    old, new = pairs.pop()
    if not (_is_name(old) and _is_name(new)):
        return None
    there, left = set(_WORDS.findall(looked.old)), set(_WORDS.findall(looked.new))
    same = new not in there and old not in left and _defines(looked.old, old) and _defines(looked.new, new)
    return (old, new) if same else None


def _defines(text: str, name: str) -> bool:
    return re.search(_DEFINED.format(re.escape(name)), text) is not None


def _is_name(word: str) -> bool:
    return word.isidentifier() and not keyword.iskeyword(word) and not hasattr(builtins, word)


def _python(looked: Looked) -> dict[str, str]:
    """What the syntax tree of the file says when only this hunk is made."""
    data = looked.old.encode("utf-8", "surrogateescape")
    made = hunks.combined(data, [looked.hunk]).decode("utf-8", "surrogateescape")
    before, after = _trees(looked.old), _trees(made)
    if before is None or after is None:
        return {}
    if before.whole == after.whole and before.comments == after.comments:
        return {"formatting only": ""}
    if before.bare == after.bare and before.comments == after.comments:
        return {"docstring only": ""}
    return {}


class _Trees(NamedTuple):
    """A syntax tree, the same without docstrings, and the comments beside it."""

    whole: str
    bare: str
    comments: tuple[str, ...]


@lru_cache(maxsize=64)
def _trees(text: str) -> _Trees | None:
    try:
        tree = ast.parse(text)
        whole = ast.dump(tree)
        _strip(tree)
        return _Trees(whole, ast.dump(tree), _comments(text))
    except (SyntaxError, ValueError, RecursionError):
        return None


def _strip(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]


def _comments(text: str) -> tuple[str, ...]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return tuple(token.string.strip() for token in tokens if token.type == tokenize.COMMENT)


def _is_formatting(looked: Looked) -> bool:
    """Whether only indentation, blank lines and trailing space differ, where those are nothing.

    In a file with a text of several lines they may be something.
    """
    hunk = looked.hunk
    if not hunk.path.endswith(_BRACES) or any(map(_has_long_text, (looked.old, looked.new))):
        return False
    old, new = ([line.strip() for line in lines if line.strip()] for lines in (hunk.old, hunk.new))
    return old == new


@lru_cache(maxsize=64)
def _has_long_text(text: str) -> bool:
    marks = '"""' in text or 'R"' in text
    return marks or any(line.count("`") % 2 or line.rstrip().endswith("\\") for line in text.split("\n"))


def risks(hunk: Hunk, mode: int = 0) -> list[str]:
    """What about a hunk deserves a second look."""
    added, removed = hunks.counted(hunk)
    found = {
        "decides what runs on this machine": pathname.care(hunk.path) == "granted",
        "may decide what runs": pathname.care(hunk.path) == "shown",
        "deletes the file": hunk.what == "deleted",
        "makes the file executable": hunk.what in {"created", "mode"} and bool(mode & 0o100),
        "changes a test": hunk.what != "created" and bool(_TESTS.search(hunk.path)),
        "takes more away than it puts in": removed > 20 and removed > 3 * added and hunk.what != "deleted",
    }
    return [text for text, holds in found.items() if holds]
