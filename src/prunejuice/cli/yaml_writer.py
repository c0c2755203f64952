"""Plain data as YAML."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from prunejuice.text import safe_text


def yaml_lines(value: Any, indent: str = "") -> Iterator[str]:
    """Yield the lines of plain data as YAML that reads back the same."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _entry_lines(f"{indent}{_format_scalar(str(key))}:", item, indent + "  ")
    else:
        for item in value:
            inner = list(yaml_lines(item, indent + "  ")) if _is_nested(item) else []
            if inner:
                yield f"{indent}- {inner[0].lstrip()}"
                yield from inner[1:]
            else:
                yield f"{indent}- {_format_scalar(item)}"


def _entry_lines(head: str, item: Any, indent: str) -> Iterator[str]:
    if isinstance(item, str) and "\n" in item and item == safe_text(item) and _can_be_block(item):
        yield f"{head} |{'' if item.endswith(chr(10)) else '-'}"
        yield from (f"{indent}{line}" if line else "" for line in item.rstrip("\n").split("\n"))
    elif _is_nested(item):
        yield head
        yield from yaml_lines(item, indent)
    else:
        yield f"{head} {_format_scalar(item)}"


def _can_be_block(text: str) -> bool:
    """Tell whether a text reads back the same from a YAML block scalar."""
    return not text.startswith((" ", "\n")) and not text.endswith("\n\n") and "\t" not in text


def _is_nested(item: Any) -> bool:
    return isinstance(item, Mapping | list | tuple) and bool(item)


def _format_scalar(item: Any) -> str:
    """Return a scalar: a plain word unquoted, anything else as JSON, which YAML includes."""
    if isinstance(item, str) and item.replace("-", "").replace("_", "").isalpha() and len(item) < 60:
        # YAML 1.1 parsers read these as booleans or null.
        keywords = {"true", "false", "null", "yes", "no", "on", "off"}
        if item.isascii() and item.lower() not in keywords and item[0].isalpha():
            return item
    return msgspec.json.encode(item).decode()
