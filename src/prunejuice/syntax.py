"""Whether a text can be read by the language that its file name promises."""

import ast
import json
import tomllib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from prunejuice import grammar

LARGEST = 2_000_000
_ONLY_PARSED: Mapping[str, str] = {"css": "tree_sitter_css", "html": "tree_sitter_html"}
"""Grammars of languages without definitions, by suffix."""


def parses(path: str, text: str) -> bool | None:
    """Whether a text is well formed; nothing when nobody here can tell: no grammar, or too large."""
    suffix = path[path.rfind(".") :].lower() if "." in path else ""
    if len(text) > LARGEST:
        return None
    if reader := _READERS.get(suffix):
        return reader(text)
    language = grammar.language(path)
    parser = grammar.parser(language) if language else _only_parsed(suffix[1:])
    return None if parser is None else not parser.parse(text.encode("utf-8", "replace")).root_node.has_error


def _only_parsed(suffix: str) -> Any:
    package = _ONLY_PARSED.get(suffix)
    return grammar.loaded(package) if package else None


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
