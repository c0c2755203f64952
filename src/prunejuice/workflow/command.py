"""Commands, their arguments, and the conversion of argument values."""

import re
from collections.abc import Collection, Mapping
from typing import Any, Literal

from msgspec import Struct, field
from msgspec.json import decode

from prunejuice.errors import UsageError
from prunejuice.sandbox.permissions import Mode, Permissions
from prunejuice.text import safe_line, spelling_hint
from prunejuice.workflow.graph import Workflow

ArgumentType = Literal["string", "integer", "number", "boolean", "path", "list", "object"]
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")

_TRUE_WORDS = {"true", "yes", "on", "1"}
_FALSE_WORDS = {"false", "no", "off", "0"}


class Argument(Struct, frozen=True, omit_defaults=True):
    """An argument of a command. Steps receive it as `PRUNEJUICE_ARG_<NAME>`."""

    name: str
    required: bool = True
    type: ArgumentType = "string"
    default: Any = None
    description: str = ""


class Command(Struct, frozen=True, omit_defaults=True):
    """A loaded command, with the commands it extends merged.

    `timeout` is the limit of a whole run in seconds. In `environment`, a null value passes on the caller's
    variable of that name. `sandbox` and `allow` are those of all its steps.
    """

    name: str
    workflow: Workflow
    description: str = ""
    category: str = "workflow"
    arguments: tuple[Argument, ...] = ()
    environment: dict[str, str | None] = field(default_factory=dict)
    working_directory: str = ""
    timeout: float = 1800
    extends: str = ""
    source: str = ""
    digests: dict[str, str] = field(default_factory=dict)
    sandbox: Mode = ""
    allow: Permissions = Permissions()


def bind_arguments(
    command: Command, values: Mapping[str, Any], deferred: Collection[str] = ()
) -> dict[str, Any]:
    """Return the value of every argument, converted to its type, with defaults filled in.

    `values` are texts or typed values. The values of `deferred` names are not known yet, and are left out.

    Raises:
        UsageError: an argument is unknown, missing or of the wrong type. The message names every one.
    """
    known = {argument.name: argument for argument in command.arguments}
    mistakes = [
        f"unknown argument {safe_line(name, 60)!r} "
        f"({spelling_hint(name, known) or _accepted_arguments(known)})"
        for name in values
        if name not in known
    ]
    bound: dict[str, Any] = {}
    for name, argument in known.items():
        if name not in values:
            bound[name] = argument.default
            if argument.required and argument.default is None:
                mistakes.append(f"missing argument {name!r}{_description_suffix(argument)}")
            continue
        if name in deferred:
            continue
        try:
            bound[name] = convert_value(values[name], argument.type)
        except ValueError as error:
            mistakes.append(f"argument {name!r}: {error}")
    if mistakes:
        raise UsageError("; ".join(mistakes), f"run `prj list -v` to see the arguments of {command.name!r}")
    return bound


def _accepted_arguments(known: Mapping[str, Argument]) -> str:
    return f"accepted: {', '.join(known)}" if known else "the command takes no arguments"


def _description_suffix(argument: Argument) -> str:
    return f" ({argument.description})" if argument.description else ""


def convert_value(value: Any, kind: ArgumentType) -> Any:
    """Convert a text to a type, or check that another value has the type.

    Raises:
        ValueError: the value is not of this type.
    """
    # Values reach steps as environment variables, which cannot hold either.
    if isinstance(value, str) and ("\0" in value or not _is_unicode(value)):
        raise ValueError("contains a NUL character or is not valid UTF-8")
    match kind:
        case "string" | "path":
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            return str(value) if is_number else _require_type(value, str, kind)
        case "integer":
            return _parse_integer(value)
        case "number":
            return _parse_number(value)
        case "boolean":
            return _parse_boolean(value)
        case "list":
            return (
                value.split(",") if isinstance(value, str) and value else _require_type(value, list, kind)
            )
        case "object":
            return _require_type(_parse_json(value) if isinstance(value, str) else value, dict, kind)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _require_type(value: Any, cls: type, kind: str) -> Any:
    if cls is list and value == "":
        return []
    if not isinstance(value, cls):
        raise _wrong_type_error(value, kind)
    return value


def _wrong_type_error(value: Any, kind: str) -> ValueError:
    return ValueError(f"{safe_line(str(value), 60)!r} is not of type {kind}")


def _parse_integer(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value.strip()):
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong_type_error(value, "integer")
    return value


def _parse_number(value: Any) -> float:
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?", value.strip()):
        return float(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _wrong_type_error(value, "number")
    return value


def _parse_boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in _TRUE_WORDS | _FALSE_WORDS:
        raise _wrong_type_error(value, "boolean")
    return word in _TRUE_WORDS


def _parse_json(text: str) -> Any:
    try:
        return decode(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"invalid JSON: {error}") from error
