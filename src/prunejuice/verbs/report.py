"""Check data that an agent answers with against its schema and the files, and render it as Markdown."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from prunejuice.system.redact import MASK
from prunejuice.text import safe_text

LineSource = Callable[[str], Sequence[str] | None]
_PATH_KEY = "path"
_QUOTE_LINES = 5
"""The first lines of a quote, which are searched for."""
UNVERIFIED_KEY = "unverified"
"""The key of the note on an item whose quote is not in its file."""
_NON_TEXT_KEYS = {"path", "line", "severity", "kind", "quote", UNVERIFIED_KEY}


def require_valid_data(schema: Mapping[str, Any], data: Any) -> None:
    """Check data against a schema.

    Raises:
        ValueError: the data does not match; names the first place and its error.
    """
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - a slow import that only reports need

    error = next(iter(Draft202012Validator(schema).iter_errors(data)), None)
    if error is not None:
        where = "".join(f"[{key!r}]" for key in error.absolute_path)
        raise ValueError(f"the result{where}: {error.message[:300]}")


def schema_error(schema: Any) -> str:
    """Return the error of a schema; empty when it is a valid schema of an object."""
    from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415 - a slow import that only such verbs need

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return f"is not a JSON Schema: {error.message[:200]}"
    return "" if isinstance(schema, dict) and schema.get("type") == "object" else "must be of type object"


class VerifiedData(NamedTuple):
    """Data whose paths exist, and messages on the items that were dropped because theirs do not."""

    data: Any
    dropped_items: tuple[str, ...]


def verify_locations(data: Any, lines: LineSource) -> VerifiedData:
    """Drop items about files that do not exist, and correct line numbers by the quoted text.

    An item whose quote is not in its file is marked `unverified`. `lines` returns the lines of a file, or
    None when it does not exist.
    """
    if isinstance(data, list):
        return _verify_list(data, lines)
    if isinstance(data, dict):
        verified = {key: verify_locations(value, lines) for key, value in data.items()}
        corrected = _correct_line({key: item.data for key, item in verified.items()}, lines)
        return VerifiedData(
            corrected, tuple(message for item in verified.values() for message in item.dropped_items)
        )
    return VerifiedData(data, ())


def _verify_list(items: Sequence[Any], lines: LineSource) -> VerifiedData:
    verified = [verify_locations(item, lines) for item in items]
    messages = [_missing_file_message(result.data, lines) for result in verified]
    existing = [result.data for result, message in zip(verified, messages, strict=True) if not message]
    return VerifiedData(
        existing,
        (*(message for result in verified for message in result.dropped_items), *filter(None, messages)),
    )


def _missing_file_message(item: Any, lines: LineSource) -> str:
    """Return a message if the item names a file that does not exist, else ""."""
    if (
        not isinstance(item, dict)
        or not isinstance(item.get(_PATH_KEY), str)
        or lines(item[_PATH_KEY]) is not None
    ):
        return ""
    message = _single_line(item.get("message") or "")[:80]
    return f"{_single_line(item[_PATH_KEY])} is not a file: {message}".rstrip(": ")


def _correct_line(item: dict[str, Any], lines: LineSource) -> dict[str, Any]:
    """Return the item with the line of its file that has the quote, nearest to the stated line."""
    path, line, quote = item.get(_PATH_KEY), item.get("line"), str(item.get("quote") or "").strip()
    if not isinstance(path, str) or (rows := lines(path)) is None:
        return item
    matches = _quoted_line_numbers(quote, rows)
    if isinstance(line, int):
        near = int(line)
        item = {
            **item,
            "line": min(matches, key=lambda n: abs(n - near)) if matches else _clamp_line(near, rows),
        }
    return (
        item
        if matches or _is_uncheckable_quote(quote)
        else {**item, UNVERIFIED_KEY: "the file has no such line"}
    )


def _clamp_line(line: int, rows: Sequence[str]) -> int:
    return min(max(line, 1), max(len(rows), 1))


def strip_marks(data: Any) -> Any:
    """Data without the marks of what is unverified."""
    if isinstance(data, list):
        return [strip_marks(item) for item in data]
    return (
        {k: strip_marks(v) for k, v in data.items() if k != UNVERIFIED_KEY}
        if isinstance(data, dict)
        else data
    )


def _is_uncheckable_quote(quote: str) -> bool:
    """Return whether a quote is empty, of a removed line, or has a masked secret, so no file shows it."""
    return quote.startswith("-") or MASK.decode() in quote or not any(sign.isalnum() for sign in quote)


def _quoted_line_numbers(quote: str, rows: Sequence[str]) -> list[int]:
    """Return the numbers of the lines where a quote begins, ignoring whitespace and diff marks."""
    plain = [" ".join(row.split()) for row in rows]
    for text in filter(None, map(_strip_quote_prefix, quote.splitlines()[:_QUOTE_LINES])):
        pieces = [
            piece for piece in (" ".join(part.split()) for part in re.split(r"\.\.\.|…", text)) if piece
        ]
        if numbers := [
            n for n, row in enumerate(plain, 1) if pieces and all(part in row for part in pieces)
        ]:
            return numbers
    return []


def _strip_quote_prefix(row: str) -> str:
    """Return a quoted line without its number, `+` and backticks."""
    return re.sub(r"^\d+\s*[:|]", "", row.strip().strip("`")).strip().strip("`").lstrip("+").strip()


def render_markdown(schema: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """Render a result as Markdown: its title, then each field."""
    parts = [f"# {schema.get('title') or 'Result'}\n"]
    for name, value in data.items():
        if isinstance(value, list):
            rows = "".join(f"- {_render_item(item)}\n" for item in value) or "none\n"
            parts.append(f"## {_field_title(name)}\n\n{rows}")
        elif value not in {None, ""}:
            parts.append(
                f"{_single_line(value)}\n"
                if name == "summary"
                else f"**{_field_title(name)}**: {_single_line(value)}\n"
            )
    return "\n".join(parts)


def render_list(title: str, rows: Sequence[str]) -> str:
    """Render rows under a title as Markdown."""
    return f"# {title}\n\n" + "\n".join(map(_single_line, rows)) + "\n"


def _render_item(item: Any) -> str:
    if not isinstance(item, dict):
        return _single_line(item)
    place = f"`{item['path']}{':' + str(item['line']) if 'line' in item else ''}`" if "path" in item else ""
    words = [str(item[key]) for key in ("severity", "kind") if item.get(key)]
    words += ["unverified"] if UNVERIFIED_KEY in item else []
    rest = [_single_line(item[key]) for key in item if key not in _NON_TEXT_KEYS]
    return " ".join(
        filter(None, [_single_line(place), f"({', '.join(words)})" if words else "", " ".join(rest)])
    )


def _field_title(name: str) -> str:
    return _single_line(name.replace("_", " ").capitalize())


def _single_line(value: Any) -> str:
    return re.sub(r"\s+", " ", safe_text(str(value))).strip()
