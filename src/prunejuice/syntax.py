"""Whether a text can be read by the language that its file name promises."""

import ast
import json
import tomllib
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any

LARGEST = 2_000_000
# suffix: the package of a tree-sitter grammar, and the function in it
_GRAMMARS: Mapping[str, tuple[str, str]] = {
    ".js": ("tree_sitter_javascript", "language"),
    ".mjs": ("tree_sitter_javascript", "language"),
    ".cjs": ("tree_sitter_javascript", "language"),
    ".jsx": ("tree_sitter_javascript", "language"),
    ".ts": ("tree_sitter_typescript", "language_typescript"),
    ".mts": ("tree_sitter_typescript", "language_typescript"),
    ".tsx": ("tree_sitter_typescript", "language_tsx"),
    ".go": ("tree_sitter_go", "language"),
    ".rs": ("tree_sitter_rust", "language"),
    ".java": ("tree_sitter_java", "language"),
    ".c": ("tree_sitter_c", "language"),
    ".h": ("tree_sitter_c", "language"),
    ".cc": ("tree_sitter_cpp", "language"),
    ".cpp": ("tree_sitter_cpp", "language"),
    ".hpp": ("tree_sitter_cpp", "language"),
    ".cs": ("tree_sitter_c_sharp", "language"),
    ".rb": ("tree_sitter_ruby", "language"),
    ".php": ("tree_sitter_php", "language_php"),
    ".sh": ("tree_sitter_bash", "language"),
    ".css": ("tree_sitter_css", "language"),
    ".html": ("tree_sitter_html", "language"),
}


def parses(path: str, text: str) -> bool | None:
    """Whether a text is well formed; nothing when nobody here can tell: no grammar, or too large."""
    suffix = path[path.rfind(".") :].lower() if "." in path else ""
    if len(text) > LARGEST:
        return None
    if reader := _READERS.get(suffix):
        return reader(text)
    parser = _parser(suffix)
    return None if parser is None else not parser.parse(text.encode("utf-8", "replace")).root_node.has_error


def _python(text: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _read(ast.parse, text)


def _read(reader: Callable[[str], object], text: str) -> bool:
    try:
        reader(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return False
    return True


def _json(text: str) -> bool:
    return _read(json.loads, text)


def _toml(text: str) -> bool:
    return _read(tomllib.loads, text)


_READERS: Mapping[str, Callable[[str], bool]] = {
    ".py": _python,
    ".pyi": _python,
    ".json": _json,
    ".toml": _toml,
}


@cache
def _parser(suffix: str) -> Any:
    package, function = _GRAMMARS.get(suffix, ("", ""))
    try:
        tree_sitter = import_module("tree_sitter")
        grammar = import_module(package)
        return tree_sitter.Parser(tree_sitter.Language(getattr(grammar, function)()))
    except (ImportError, ValueError, AttributeError):  # not there, or made for another version
        return None
