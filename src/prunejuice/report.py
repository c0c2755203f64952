"""Data that an agent answers with: as its schema says, of places that exist, shown as Markdown."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from prunejuice.redact import MASK
from prunejuice.text import safe_text

Lines = Callable[[str], Sequence[str] | None]
_PLACE = "path"
_LOOKED_FOR = 5
"""Lines of a quote that are looked for."""
MARK = "unverified"
"""The key of what is said of a quote that is in no line."""
_NO_WORDS = {"path", "line", "severity", "kind", "quote", MARK}


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


class Grounded(NamedTuple):
    """Data that is of places that exist, and the items that were left out because theirs do not."""

    data: Any
    left_out: tuple[str, ...]


def grounded(data: Any, lines: Lines) -> Grounded:
    """Data without what is said of files that are not there; a line is corrected by what is quoted.

    What quotes a line that its file does not have is marked as `unverified`. `lines` gives the lines of a
    file, None where there is none.
    """
    if isinstance(data, list):
        return _of_list(data, lines)
    if isinstance(data, dict):
        found = {key: grounded(value, lines) for key, value in data.items()}
        placed = _placed({key: each.data for key, each in found.items()}, lines)
        return Grounded(placed, tuple(said for each in found.values() for said in each.left_out))
    return Grounded(data, ())


def _of_list(items: Sequence[Any], lines: Lines) -> Grounded:
    found = [grounded(item, lines) for item in items]
    gone = [_gone(each.data, lines) for each in found]
    kept = [each.data for each, said in zip(found, gone, strict=True) if not said]
    return Grounded(kept, (*(said for each in found for said in each.left_out), *filter(None, gone)))


def _gone(item: Any, lines: Lines) -> str:
    """That a file is not there of which something is said; nothing when it is, or none is named."""
    if (
        not isinstance(item, dict)
        or not isinstance(item.get(_PLACE), str)
        or lines(item[_PLACE]) is not None
    ):
        return ""
    return f"{_line(item[_PLACE])} is no file: {_line(item.get('message') or '')[:80]}".rstrip(": ")


def _placed(item: dict[str, Any], lines: Lines) -> dict[str, Any]:
    """An item whose line is one of its file: where what it quotes is, nearest to what it says."""
    path, line, quote = item.get(_PLACE), item.get("line"), str(item.get("quote") or "").strip()
    if not isinstance(path, str) or (rows := lines(path)) is None:
        return item
    found = _where(quote, rows)
    if isinstance(line, int):
        near = int(line)
        item = {**item, "line": min(found, key=lambda n: abs(n - near)) if found else _within(near, rows)}
    return item if found or _unseen(quote) else {**item, MARK: "no line of the file is as it is quoted"}


def _within(line: int, rows: Sequence[str]) -> int:
    return min(max(line, 1), max(len(rows), 1))


def unmarked(data: Any) -> Any:
    """Data without the marks of what is unverified."""
    if isinstance(data, list):
        return [unmarked(each) for each in data]
    return {k: unmarked(v) for k, v in data.items() if k != MARK} if isinstance(data, dict) else data


def _unseen(quote: str) -> bool:
    """Whether a quote says nothing, or may be of what no file shows: a line that is gone, a secret."""
    return quote.startswith("-") or MASK.decode() in quote or not any(sign.isalnum() for sign in quote)


def _where(quote: str, rows: Sequence[str]) -> list[int]:
    """The numbers of the lines that a quote begins in; blanks, numbers and marks make no difference."""
    plain = [" ".join(row.split()) for row in rows]
    for text in filter(None, map(_unmarked, quote.splitlines()[:_LOOKED_FOR])):
        pieces = [
            piece for piece in (" ".join(each.split()) for each in re.split(r"\.\.\.|…", text)) if piece
        ]
        if found := [n for n, row in enumerate(plain, 1) if pieces and all(each in row for each in pieces)]:
            return found
    return []


def _unmarked(row: str) -> str:
    """A quoted line without what is put before and around one: its number, `+`, backticks."""
    return re.sub(r"^\d+\s*[:|]", "", row.strip().strip("`")).strip().strip("`").lstrip("+").strip()


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
    words += ["unverified"] if MARK in item else []
    rest = [_line(item[key]) for key in item if key not in _NO_WORDS]
    return " ".join(filter(None, [_line(place), f"({', '.join(words)})" if words else "", " ".join(rest)]))


def _title(name: str) -> str:
    return _line(name.replace("_", " ").capitalize())


def _line(value: Any) -> str:
    return re.sub(r"\s+", " ", safe_text(str(value))).strip()
