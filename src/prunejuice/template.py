"""`${{ expression }}` inside values of a definition. Never inside a script: shell text is not built."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from prunejuice import condition
from prunejuice.errors import ConditionError

OPEN, CLOSE = "${{", "}}"


def parts(text: str) -> Iterator[str | condition.Node]:
    """The literal pieces and the parsed expressions of a text, in order.

    Raises:
        ConditionError: an expression is unclosed or cannot be read.
    """
    rest = text
    while OPEN in rest:
        before, rest = rest.split(OPEN, 1)
        source, closed, rest = rest.partition(CLOSE)
        if not closed:
            raise ConditionError(f"{OPEN} is never closed by {CLOSE}")
        if before:
            yield before
        yield condition.parse(source.strip())
    if rest:
        yield rest


def expressions(value: Any) -> Iterator[condition.Node]:
    """Every expression in a text, or in the texts of a list or mapping."""
    if isinstance(value, str):
        yield from (part for part in parts(value) if not isinstance(part, str))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from expressions(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from expressions(item)


def fill(value: Any, data: Mapping[str, Any], *, failing: bool = False) -> Any:
    """The value with its expressions replaced; a text that is one expression keeps its type."""
    if isinstance(value, Mapping):
        return {key: fill(item, data, failing=failing) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill(item, data, failing=failing) for item in value]
    if not isinstance(value, str) or OPEN not in value:
        return value
    filled = [
        part if isinstance(part, str) else condition.evaluate(part, data, failing=failing)
        for part in parts(value)
    ]
    return filled[0] if len(filled) == 1 else "".join(as_text(part) for part in filled)


def as_text(value: Any) -> str:
    """A value as the text that an environment variable or a sentence carries."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case Mapping() | list() | tuple():
            return msgspec.json.encode(value).decode()
        case _:
            return str(value)
