"""Join the import statements of several tests in JavaScript or TypeScript. Pure.

The same name may not be imported twice in a file.
"""

import re
from collections.abc import Iterable

_IMPORT = re.compile(
    r"import\s+(type\s+)?(?:([\w$]+)\s*,?\s*)?(?:\{([^}]*)\})?\s*from\s*(['\"])([^'\"]+)\4\s*;?"
)
_REQUIRE = re.compile(r"(?:const|let|var)\s+\{([^}]*)\}\s*=\s*require\(\s*(['\"])([^'\"]+)\2\s*\)\s*;?")
_REQUIRE_ALL = re.compile(r"(?:const|let|var)\s+([\w$]+)\s*=\s*require\(\s*(['\"])([^'\"]+)\2\s*\)\s*;?")
_NODE_PREFIX = "node:"
_ENDS = re.compile(r"(?<=;)\s+(?=import\b|const\b|let\b|var\b)|\n(?=\s*(?:import|const|let|var)\b)")


def join_imports(statements: Iterable[str]) -> list[str]:
    """Return the statements with each name imported once, in their order.

    Names of one module are joined into the first statement that imports some of them.
    """
    joined: dict[tuple[str, str], list[str]] = {}
    templates: dict[tuple[str, str], str] = {}
    for text in statements:
        for statement in filter(None, map(str.strip, _ENDS.split(text))):
            key, names, template = _parse_statement(statement)
            templates.setdefault(key, template)
            known = joined.setdefault(key, [])
            known += [name for name in names if name not in known]
    return [templates[key].replace("{names}", ", ".join(names)) for key, names in joined.items()]


def _parse_statement(statement: str) -> tuple[tuple[str, str], list[str], str]:
    """Return what tells a statement from others, the names in its braces, and itself without them."""
    if (found := _IMPORT.fullmatch(statement)) and found[3] is not None:
        kind = f"import {found[1] or ''}{found[2] or ''}"
        return (kind, _module(found[5])), _split_names(found[3]), _without(statement, found, 3)
    if found := _REQUIRE.fullmatch(statement):
        return ("require", _module(found[3])), _split_names(found[1]), _without(statement, found, 1)
    if found := _REQUIRE_ALL.fullmatch(statement):
        return (f"require {found[1]}", _module(found[3])), [], statement
    return (statement.rstrip("; "), ""), [], statement


def _split_names(text: str) -> list[str]:
    return [" ".join(name.split()) for name in text.split(",") if name.strip()]


def _without(statement: str, found: "re.Match[str]", group: int) -> str:
    return f"{statement[: found.start(group)]} {{names}} {statement[found.end(group) :]}"


def _module(name: str) -> str:
    return name.removeprefix(_NODE_PREFIX)
