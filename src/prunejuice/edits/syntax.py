"""Syntax checks for files, by the language of their suffix."""

import ast
import json
import tomllib
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from prunejuice.code import grammar
from prunejuice.code.languages import language_for_path
from prunejuice.system import yaml_reader

LARGEST = 2_000_000
_READ_ALONE = {"c", "cpp", "c_sharp", "go", "java", "javascript", "ruby", "rust", "tsx", "typescript"}
"""Languages with statements that are read the same alone. Text without `<?php` is no PHP."""
_SYNTAX_ERRORS = (ValueError, SyntaxError, RecursionError, MemoryError)
_PARSE_ONLY_GRAMMARS: Mapping[str, str] = {"css": "tree_sitter_css", "html": "tree_sitter_html"}
"""Grammar packages of languages without definitions, by suffix."""


def is_well_formed(path: str, text: str) -> bool | None:
    """Return whether a text parses; None if no grammar is available or the text is too large."""
    if len(text) > LARGEST:
        return None
    if reader := _READERS.get(_suffix(path)):
        return reader(text)
    parser = _parser_for_path(path)
    return None if parser is None else not _parse(parser, text).has_error


def stays_well_formed(path: str, old: str, new: str) -> bool | None:
    """Return whether `new` parses; None if `old` does not, or `is_well_formed` cannot tell.

    Whole statements at the top level that parse alone do not change how the others are read. So in general
    only those that differ are parsed.
    """
    starts = _statement_starts(path, old)
    if starts is None:
        return is_well_formed(path, new) if is_well_formed(path, old) else None
    changed = _changed_statements(old.split("\n"), new.split("\n"), starts)
    return is_well_formed(path, changed) or is_well_formed(path, new)


def _changed_statements(old: Sequence[str], new: Sequence[str], starts: Sequence[int]) -> str:
    """Return the part of `new` in place of the statements of `old` that differ; lines count from 0."""
    shared = min(len(old), len(new))
    first = next((n for n in range(shared) if old[n] != new[n]), shared)
    left = shared - first
    last = next((n for n in range(left) if old[-1 - n] != new[-1 - n]), left)
    begin = max((start for start in starts if start < first), default=0)
    end = min((start for start in starts if start >= len(old) - last), default=len(old))
    after = len(old) - end
    return "\n".join([*new[begin : len(new) - after], *([""] if after else [])])


@lru_cache(maxsize=8)
def _statement_starts(path: str, text: str) -> tuple[int, ...] | None:
    """Return the first lines (from 0) of the statements at the top level that share no line with others.

    None if the text does not parse, or the language has no statements that can be read alone.
    """
    if len(text) > LARGEST:
        return None
    if _suffix(path) in {".py", ".pyi"}:
        spans = _python_spans(text)
    elif language_for_path(path) not in _READ_ALONE or (parser := _parser_for_path(path)) is None:
        return None
    else:
        root = _parse(parser, text)
        spans = [(node.start_point[0], node.end_point[0]) for node in root.children]
        spans = None if root.has_error else spans
    if spans is None:
        return None
    ends = [-1, *(end for _, end in spans)]
    return tuple(start for (start, _), end in zip(spans, ends, strict=False) if start > end)


def _python_spans(text: str) -> list[tuple[int, int]] | None:
    try:
        nodes = _parse_python(text).body
    except _SYNTAX_ERRORS:
        return None
    decorators = [getattr(node, "decorator_list", []) for node in nodes]
    return [
        (min([node.lineno, *(each.lineno for each in above)]) - 1, (node.end_lineno or node.lineno) - 1)
        for node, above in zip(nodes, decorators, strict=True)
    ]


def _suffix(path: str) -> str:
    return path[path.rfind(".") :].lower() if "." in path else ""


def _parser_for_path(path: str) -> Any:
    if language := language_for_path(path):
        return grammar.parser_for(language)
    package = _PARSE_ONLY_GRAMMARS.get(_suffix(path)[1:])
    return grammar.load_parser(package) if package else None


def _parse(parser: Any, text: str) -> Any:
    """Return the root node of a text."""
    return parser.parse(text.encode("utf-8", "replace")).root_node


def _is_python(text: str) -> bool:
    return _is_accepted_by(_parse_python, text)


def _parse_python(text: str) -> ast.Module:
    # The compiler warns about invalid escapes; warnings may be errors in the calling process.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def _is_accepted_by(reader: Callable[[str], object], text: str) -> bool:
    try:
        reader(text)
    except _SYNTAX_ERRORS:
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
