"""Syntax checks for files, by the language of their suffix."""

import ast
import json
import tomllib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from prunejuice.code import grammar
from prunejuice.code.languages import language_for_path
from prunejuice.system import yaml_reader

LARGEST = 2_000_000
_PARSE_ONLY_GRAMMARS: Mapping[str, str] = {"css": "tree_sitter_css", "html": "tree_sitter_html"}
"""Grammar packages of languages without definitions, by suffix."""


def is_well_formed(path: str, text: str) -> bool | None:
    """Return whether a text parses; None if no grammar is available or the text is too large."""
    suffix = path[path.rfind(".") :].lower() if "." in path else ""
    if len(text) > LARGEST:
        return None
    if reader := _READERS.get(suffix):
        return reader(text)
    language = language_for_path(path)
    parser = grammar.parser_for(language) if language else _load_parse_only_grammar(suffix[1:])
    return None if parser is None else not parser.parse(text.encode("utf-8", "replace")).root_node.has_error


def _load_parse_only_grammar(suffix: str) -> Any:
    package = _PARSE_ONLY_GRAMMARS.get(suffix)
    return grammar.load_parser(package) if package else None


def _is_python(text: str) -> bool:
    # The compiler warns about invalid escapes; warnings may be errors in the calling process.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _is_accepted_by(ast.parse, text)


def _is_accepted_by(reader: Callable[[str], object], text: str) -> bool:
    try:
        reader(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return False
    return True


def _is_json(text: str) -> bool:
    return _is_accepted_by(json.loads, text)


def _is_notebook(text: str) -> bool:
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(notebook, dict) and isinstance(notebook.get("cells"), list)


def _is_yaml(text: str) -> bool | None:
    # A template is YAML only after it is rendered.
    return None if "{{" in text or "{%" in text else yaml_reader.is_yaml(text)


def _is_toml(text: str) -> bool:
    return _is_accepted_by(tomllib.loads, text)


_READERS: Mapping[str, Callable[[str], bool | None]] = {
    ".py": _is_python,
    ".pyi": _is_python,
    ".json": _is_json,
    ".toml": _is_toml,
    ".yaml": _is_yaml,
    ".yml": _is_yaml,
    ".ipynb": _is_notebook,
}
