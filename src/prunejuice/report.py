"""Data that an agent answers with: as its schema says, of places that exist, shown as Markdown."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prunejuice.text import safe_text

_PLACE = "path"


def demand(schema: Mapping[str, Any], data: Any) -> None:
    """See that data is as a schema says.

    Raises:
        ValueError: it is not; names the first place where, and what is wrong there.
    """
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - only when something is answered

    error = next(iter(Draft202012Validator(schema).iter_errors(data)), None)
    if error is not None:
        where = "".join(f"[{each!r}]" for each in error.absolute_path)
        raise ValueError(f"the result{where}: {error.message[:300]}")


def fault(schema: Any) -> str:
    """What is wrong with a schema; empty when it is one of an object."""
    from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415 - only for verbs with one

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return f"is no JSON Schema: {error.message[:200]}"
    return "" if isinstance(schema, dict) and schema.get("type") == "object" else "must be of type object"


def grounded(data: Any, lines: Callable[[str], Sequence[str] | None]) -> Any:
    """Data without what is said of files that are not there; a line is corrected by what it quotes.

    `lines` gives the lines of a file, None where there is none.
    """
    if isinstance(data, list):
        kept = (grounded(each, lines) for each in data)
        return [each for each in kept if not (isinstance(each, dict) and _nowhere(each, lines))]
    if isinstance(data, dict):
        return _placed({key: grounded(value, lines) for key, value in data.items()}, lines)
    return data


def _nowhere(item: Mapping[str, Any], lines: Callable[[str], Sequence[str] | None]) -> bool:
    return isinstance(item.get(_PLACE), str) and lines(item[_PLACE]) is None


def _placed(item: dict[str, Any], lines: Callable[[str], Sequence[str] | None]) -> dict[str, Any]:
    """An item whose line is one of its file: where what it quotes is, nearest to what it says."""
    path, line, quote = item.get(_PLACE), item.get("line"), str(item.get("quote") or "").strip()
    if not isinstance(path, str) or not isinstance(line, int) or (rows := lines(path)) is None:
        return item
    found = [n for n, row in enumerate(rows, 1) if quote and quote in row]
    if found:
        return {**item, "line": min(found, key=lambda n: abs(n - line))}
    return {**item, "line": min(max(line, 1), max(len(rows), 1))}


def markdown(schema: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """A result as Markdown: its title, then each of its fields."""
    parts = [f"# {schema.get('title') or 'Result'}\n"]
    for name, value in data.items():
        if isinstance(value, list):
            rows = "".join(f"- {_row(each)}\n" for each in value) or "none\n"
            parts.append(f"## {_title(name)}\n\n{rows}")
        elif value not in {None, ""}:
            parts.append(
                f"{_line(value)}\n" if name == "summary" else f"**{_title(name)}**: {_line(value)}\n"
            )
    return "\n".join(parts)


def titled(title: str, rows: Sequence[str]) -> str:
    """Rows under a title, as Markdown."""
    return f"# {title}\n\n" + "\n".join(map(_line, rows)) + "\n"


def _row(item: Any) -> str:
    if not isinstance(item, dict):
        return _line(item)
    place = f"`{item['path']}{':' + str(item['line']) if 'line' in item else ''}`" if "path" in item else ""
    words = [str(item[key]) for key in ("severity", "kind") if item.get(key)]
    rest = [_line(item[key]) for key in item if key not in {"path", "line", "severity", "kind", "quote"}]
    return " ".join(filter(None, [_line(place), f"({', '.join(words)})" if words else "", " ".join(rest)]))


def _title(name: str) -> str:
    return _line(name.replace("_", " ").capitalize())


def _line(value: Any) -> str:
    return re.sub(r"\s+", " ", safe_text(str(value))).strip()
