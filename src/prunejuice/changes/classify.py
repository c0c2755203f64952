"""Classify hunks by kind, and list the risks of a hunk.

A hunk gets a kind only when the kind can be proved; otherwise it has none and is reviewed individually.
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

from prunejuice.code.testpaths import is_test_path
from prunejuice.edits import diff, protected_files
from prunejuice.edits.diff import Hunk

ChangeKind = Literal["import added", "rename", "docstring only", "formatting only"]
_JS = (".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".tsx")
_BRACES = (".js", ".mjs", ".cjs", ".ts", ".mts", ".go", ".java", ".c", ".h", ".cc", ".cpp", ".hpp", ".css")
_JS_IMPORT = re.compile(r"""\s*import\s+(?:type\s+)?[\w$*{},\s]+\s+from\s+(['"])[^'"]+\1;?\s*""")
_JS_TOP = re.compile(r"""\s*(?:import\b.*|//.*|/?\*.*|['"]use \w+['"];?|)\s*""")
_JS_WORDS = {"import", "type", "as", "from"}
_WORDS = re.compile(r""""(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`[^`]*`|[^\W\d]\w*|\d+|\s+|.""", re.DOTALL)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_HEADER_LINES = 2  # where Python looks for an encoding comment, and the system for a shebang
LARGEST = 500_000  # characters; larger files are not classified


class HunkInFile(NamedTuple):
    """A hunk, with the text of its file before and after the whole change."""

    hunk: Hunk
    old: str
    new: str


KINDS: tuple[str, ...] = get_args(ChangeKind)


def classify_hunk(hunk_in_file: HunkInFile) -> dict[str, str]:
    """Return the kinds that are proved for a hunk, each with a detail.

    Two hunks are of the same kind only if the detail is equal too; a rename has "old → new" as its detail.
    """
    hunk = hunk_in_file.hunk
    if hunk.change_type or len(hunk_in_file.old) > LARGEST or len(hunk_in_file.new) > LARGEST:
        return {}
    if hunk.path.endswith((".py", ".pyi")):
        return _classify_python(hunk_in_file)
    if hunk.path.endswith(_JS) and _is_js_import(hunk_in_file):
        return {"import added": ""}
    return {"formatting only": ""} if _is_formatting(hunk_in_file) else {}


def _changed_lines(hunk: Hunk) -> tuple[list[str], list[str]]:
    removed = [line for start, end, _, _ in hunk.parts for line in hunk.old[start:end]]
    added = [line for _, _, begin, stop in hunk.parts for line in hunk.new[begin:stop]]
    return removed, added


def _is_js_import(hunk_in_file: HunkInFile) -> bool:
    """Return whether the hunk only adds top-level imports of names that are new to the file."""
    removed, added = _changed_lines(hunk_in_file.hunk)
    lines = [line for line in added if line.strip()]
    above = hunk_in_file.old.split("\n")[: hunk_in_file.hunk.line - 1]
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
    return not names & set(re.findall(r"[\w$]+", hunk_in_file.old))


def _classify_python(hunk_in_file: HunkInFile) -> dict[str, str]:
    """Classify by the syntax trees of the file before and after this hunk alone is applied."""
    data = hunk_in_file.old.encode("utf-8", "surrogateescape")
    patched = diff.apply_hunks(data, [hunk_in_file.hunk]).decode("utf-8", "surrogateescape")
    before, after = _summarize_syntax(hunk_in_file.old), _summarize_syntax(patched)
    if before is None or after is None:
        return {}
    keeps_header = hunk_in_file.hunk.line > _HEADER_LINES or not any(
        "#" in line for line in hunk_in_file.old.split("\n")[:_HEADER_LINES]
    )
    if (
        keeps_header
        and before.whole == after.whole
        and not any("#" in line for part in _changed_lines(hunk_in_file.hunk) for line in part)
    ):
        return {"formatting only": ""}
    if (
        keeps_header
        and before.whole != after.whole
        and before.without_docstrings == after.without_docstrings
        and before.comments == after.comments
        and not _uses_docstrings(hunk_in_file)
    ):
        return {"docstring only": ""}
    names = find_rename(hunk_in_file)
    return {"rename": " → ".join(names)} if names else _classify_imports(before, after)


def _uses_docstrings(hunk_in_file: HunkInFile) -> bool:
    lines = [line for part in _changed_lines(hunk_in_file.hunk) for line in part]
    # Code may print `__doc__`, and doctest runs the examples in a docstring.
    return (
        "__doc__" in hunk_in_file.old
        or "__doc__" in hunk_in_file.new
        or any(">>>" in line for line in lines)
    )


def _classify_imports(before: "_SyntaxSummary | None", after: "_SyntaxSummary | None") -> dict[str, str]:
    """Return "import added" if the file only gains top-level imports of names that it did not use."""
    if before is None or after is None or before.comments != after.comments:
        return {}
    added = [node for node in after.body if node not in before.body]
    unchanged = [node for node in after.body if node in before.body]
    only_imports = all(
        node.startswith(("Import(", "ImportFrom(")) and "name='*'" not in node for node in added
    )
    new_names = after.imported - before.imported
    unused_before = not new_names & before.names and not any(hasattr(builtins, name) for name in new_names)
    return (
        {"import added": ""}
        if added and unchanged == list(before.body) and only_imports and unused_before
        else {}
    )


def find_rename(hunk_in_file: HunkInFile) -> tuple[str, str] | None:
    """Return the old and the new name if the hunk renames one name and changes nothing else.

    Only variables, functions and classes of a Python file count: the old name is bound before and absent
    after, the new name absent before and bound after. Attributes, arguments and names that a test runner
    collects do not count.
    """
    removed, added = _changed_lines(hunk_in_file.hunk)
    removed_words, added_words = (_WORDS.findall("".join(lines)) for lines in (removed, added))
    if not hunk_in_file.hunk.path.endswith((".py", ".pyi")) or len(removed_words) != len(added_words):
        return None
    pairs = {(a, b) for a, b in zip(removed_words, added_words, strict=True) if a != b}
    old, new = next(iter(pairs)) if len(pairs) == 1 else ("", "")
    if not (_is_name(old) and _is_name(new)):
        return None
    old_words, new_words = set(_WORDS.findall(hunk_in_file.old)), set(_WORDS.findall(hunk_in_file.new))
    is_rename = (
        new not in old_words
        and old not in new_words
        and _is_bound(hunk_in_file.old, old)
        and _is_bound(hunk_in_file.new, new)
    )
    return (old, new) if is_rename else None


def _is_name(word: str) -> bool:
    is_plain = word.isidentifier() and not keyword.iskeyword(word) and not hasattr(builtins, word)
    # Test runners collect functions and fixtures by these prefixes.
    return is_plain and not word.lower().startswith(("test", "__", "pytest"))


def _is_bound(text: str, name: str) -> bool:
    """Return whether a name is bound in a file and only names variables, functions or classes there."""
    tree = _parse_python(text)
    if tree is None:
        return False
    methods = {id(item) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for item in node.body}
    bound = used = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == name:
            used += 1
            bound += isinstance(node.ctx, ast.Store)
        elif isinstance(node, _DEFINITIONS) and node.name == name and id(node) not in methods:
            used, bound = used + 1, bound + 1
    # Attributes, arguments and keywords are name tokens too, so any such use makes the counts differ.
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return bound > 0 and used == sum(
        token.type == tokenize.NAME and token.string == name for token in tokens
    )


class _SyntaxSummary(NamedTuple):
    """The text of a syntax tree: whole, without docstrings, by statement; with comments and names."""

    whole: str
    without_docstrings: str
    body: tuple[str, ...]
    comments: tuple[str, ...]
    names: frozenset[str]
    imported: frozenset[str]


@lru_cache(maxsize=16)
def _parse_python(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():  # a SyntaxWarning is about the user's code, not ours
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


@lru_cache(maxsize=16)
def _summarize_syntax(text: str) -> _SyntaxSummary | None:
    tree = _parse_python(text)
    if tree is None:
        return None
    try:
        whole, body = ast.dump(tree), tuple(ast.dump(node) for node in tree.body)
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {node.name for node in ast.walk(tree) if isinstance(node, _DEFINITIONS)}
        imported = {
            alias.asname or alias.name.partition(".")[0]
            for node in ast.walk(tree)
            for alias in _import_aliases(node)
        }
        bare = ast.parse(text)
        _strip_docstrings(bare)
        return _SyntaxSummary(
            whole, ast.dump(bare), body, _comments(text), frozenset(names), frozenset(imported)
        )
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _import_aliases(node: ast.AST) -> Sequence[ast.alias]:
    return node.names if isinstance(node, ast.Import | ast.ImportFrom) else ()


def _strip_docstrings(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, *_DEFINITIONS)):
            first = node.body[0] if node.body else None
            value = first.value if isinstance(first, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                node.body = node.body[1:] or [ast.Pass()]


def _comments(text: str) -> tuple[str, ...]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return tuple(token.string.strip() for token in tokens if token.type == tokenize.COMMENT)


def _is_formatting(hunk_in_file: HunkInFile) -> bool:
    """Return whether only indentation, blank lines and trailing whitespace differ, without effect.

    Files that may contain a multi-line string do not count, since whitespace has a meaning inside it.
    """
    hunk = hunk_in_file.hunk
    if not hunk.path.endswith(_BRACES) or any(
        map(_may_have_long_text, (hunk_in_file.old, hunk_in_file.new))
    ):
        return False
    old, new = ([line.strip() for line in lines if line.strip()] for lines in (hunk.old, hunk.new))
    return old == new


@lru_cache(maxsize=16)
def _may_have_long_text(text: str) -> bool:
    marks = ("`", '"""', 'R"', "\\\n", "\\\r")
    return any(mark in text for mark in marks)


def find_risks(hunk: Hunk, mode: int = 0) -> list[str]:
    """Return the reasons to look closely at a hunk; `mode` is the mode of the file after the change."""
    added, removed = diff.count_changed_lines(hunk)
    risks = {
        "decides what runs on this machine": protected_files.is_protected(hunk.path),
        "may decide what runs": protected_files.protection_level(hunk.path) == "shown",
        "deletes the file": hunk.change_type == "deleted",
        "makes the file executable": hunk.change_type in {"created", "mode"} and bool(mode & 0o100),
        "changes a test": hunk.change_type != "created" and is_test_path(hunk.path),
        "removes much more than it adds": removed > 20
        and removed > 3 * added
        and hunk.change_type != "deleted",
    }
    return [risk for risk, holds in risks.items() if holds]
