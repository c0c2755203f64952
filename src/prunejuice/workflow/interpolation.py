"""Templates: `${{ expression }}` in the values of a definition.

Scripts are never templates, so that no value can inject shell code.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from prunejuice.errors import ConditionError
from prunejuice.workflow import condition

OPEN, CLOSE = "${{", "}}"


def split_template(text: str) -> Iterator[str | condition.Expression]:
    """Yield the literal parts and the parsed expressions of a text, in order.

    Raises:
        ConditionError: an expression is unclosed or invalid.
    """
    rest = text
    while OPEN in rest:
        before, rest = rest.split(OPEN, 1)
        source, close, rest = rest.partition(CLOSE)
        if not close:
            raise ConditionError(f"{OPEN} is not closed by {CLOSE}")
        if before:
            yield before
        yield condition.parse(source.strip())
    if rest:
        yield rest


def expressions(value: Any) -> Iterator[condition.Expression]:
    """Yield the expressions in a text, or in the texts nested in a list or mapping."""
    if isinstance(value, str):
        yield from (part for part in split_template(value) if not isinstance(part, str))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from expressions(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from expressions(item)


def render(value: Any, data: Mapping[str, Any], *, failing: bool = False) -> Any:
    """Return the value with its expressions evaluated over `data`.

    A text that consists of a single expression becomes the value of that expression, with its type.
    """
    if isinstance(value, Mapping):
        return {key: render(item, data, failing=failing) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [render(item, data, failing=failing) for item in value]
    if not isinstance(value, str) or OPEN not in value:
        return value
    parts = [
        part if isinstance(part, str) else condition.evaluate(part, data, failing=failing)
        for part in split_template(value)
    ]
    return parts[0] if len(parts) == 1 else "".join(to_text(part) for part in parts)


def to_text(value: Any) -> str:
    """Return a value as text for environment variables and templates; lists and mappings become JSON."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case Mapping() | list() | tuple():
            return msgspec.json.encode(value).decode()
        case _:
            return str(value)
