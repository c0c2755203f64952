"""The JSON object that `codebot VERB -p` reads from stdin."""

import json
import sys
from typing import TYPE_CHECKING, Any

from prunejuice.cli.codebot.verb_options import ACCESS_LEVELS
from prunejuice.cli.param_type import TokenCount
from prunejuice.errors import UsageError
from prunejuice.text import safe_line

if TYPE_CHECKING:
    from collections.abc import Mapping

_JSON_TYPES: dict[str, tuple[Any, str]] = {
    "string": (str, "a string"),
    "list": (list, "a list of strings"),
    "integer": (int, "a whole number"),
    "number": (int | float, "a number"),
    "boolean": (bool, "true or false"),
}
"""The Python type of each argument type in JSON, and its name in messages."""


def read_piped_json(verb: str, extra: "Mapping[str, str]") -> dict[str, Any]:
    """Read a JSON object from stdin: arguments of the verb's step, and the keys and types in `extra`.

    Raises:
        UsageError: stdin is not a JSON object, or has an unknown key or a value of the wrong type.
    """
    from prunejuice.verbs.arguments import arguments_for  # noqa: PLC0415

    types = {
        **{name: argument.type for name, argument in arguments_for(verb).items() if argument.stdin_allowed},
        **extra,
    }
    text = sys.stdin.read().strip() or "{}"
    try:
        data = json.loads(text)
    except ValueError as error:
        raise UsageError(
            f"stdin is not valid JSON: {error}", 'pass an object such as {"prompt": "…", "paths": ["…"]}'
        ) from error
    if not isinstance(data, dict) or (unknown := data.keys() - types.keys()):
        problem = (
            f"has the unknown key {sorted(unknown)[0]!r}" if isinstance(data, dict) else "is not an object"
        )
        raise UsageError(f"the JSON on stdin {problem}", f"use these keys: {', '.join(types)}")
    # Token counts may be strings such as "8k", as on the command line.
    for key in ("budget", "max_tokens", "token_limit"):
        if isinstance(data.get(key), str):
            data[key] = TokenCount().convert(data[key], None, None)
    for key, value in data.items():
        _require_type(key, value, types[key])
    return data


def _require_type(key: str, value: Any, type_name: str) -> None:
    """Require that a value from stdin has the type of its option.

    Raises:
        UsageError: it does not.
    """
    expected, description = _JSON_TYPES[type_name]
    items_are_strings = not isinstance(value, list) or all(isinstance(item, str) for item in value)
    if (
        not isinstance(value, expected)
        or not items_are_strings
        or (isinstance(value, bool) and expected is not bool)
    ):
        fix = f"pass {description}"
        raise UsageError(
            f"{key} in the JSON on stdin is not {description}: {safe_line(repr(value), 80)}", fix
        )
    if isinstance(value, int | float) and expected is not bool and not 0 < value < 1e15:
        raise UsageError(
            f"{key} in the JSON on stdin is not a number above 0: {value!r}", "pass a number such as 0.5"
        )
    if key == "access" and value not in ACCESS_LEVELS:
        raise UsageError(
            f"unknown access {safe_line(value, 80)!r} in the JSON on stdin",
            f"use one of {', '.join(ACCESS_LEVELS)}",
        )
