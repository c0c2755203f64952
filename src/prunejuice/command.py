"""A named thing a user can run, and the arguments it takes."""

import re
from collections.abc import Collection, Mapping
from typing import Any, Literal

from msgspec import Struct, field
from msgspec.json import decode

from prunejuice.errors import UsageError
from prunejuice.text import nearest, safe_line
from prunejuice.workflow import Workflow

ArgumentType = Literal["string", "integer", "number", "boolean", "path", "list", "object"]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")

_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}


class Argument(Struct, frozen=True, omit_defaults=True):
    """One argument of a command; it reaches steps as `PRUNEJUICE_ARG_<NAME>`."""

    name: str
    required: bool = True
    type: ArgumentType = "string"
    default: Any = None
    description: str = ""


class Command(Struct, frozen=True, omit_defaults=True):
    """A command as loaded: complete, `extends` merged. `timeout` is seconds for a whole run.

    A null in `environment` hands on the caller's variable of that name.
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


def bind(command: Command, given: Mapping[str, Any], later: Collection[str] = ()) -> dict[str, Any]:
    """The value of every argument, given as text (`issue=12`) or as a value; `later` are not known yet.

    Raises:
        UsageError: names every argument that is unknown, missing or of the wrong type.
    """
    known = {argument.name: argument for argument in command.arguments}
    wrong = [
        f"unknown argument {safe_line(name, 60)!r} ({nearest(name, known) or _takes(known)})"
        for name in given
        if name not in known
    ]
    bound: dict[str, Any] = {}
    for name, argument in known.items():
        if name not in given:
            bound[name] = argument.default
            if argument.required and argument.default is None:
                wrong.append(f"missing argument {name!r}{_about(argument)}")
            continue
        if name in later:
            continue
        try:
            bound[name] = converted(given[name], argument.type)
        except ValueError as error:
            wrong.append(f"argument {name!r}: {error}")
    if wrong:
        raise UsageError("; ".join(wrong), f"prj list -v shows what {command.name!r} takes")
    return bound


def _takes(known: Mapping[str, Argument]) -> str:
    return f"it takes {', '.join(known)}" if known else "it takes none"


def _about(argument: Argument) -> str:
    return f" ({argument.description})" if argument.description else ""


def converted(value: Any, kind: ArgumentType) -> Any:
    """A value as its type says; texts are read, other values are only checked.

    Raises:
        ValueError: it is not of that type.
    """
    if isinstance(value, str) and ("\0" in value or not _is_unicode(value)):
        raise ValueError("holds a NUL character, or is not UTF-8")
    match kind:
        case "string" | "path":
            number = isinstance(value, int | float) and not isinstance(value, bool)
            return str(value) if number else _checked(value, str, kind)
        case "integer":
            return _integer(value)
        case "number":
            return _number(value)
        case "boolean":
            return _boolean(value)
        case "list":
            return value.split(",") if isinstance(value, str) and value else _checked(value, list, kind)
        case "object":
            return _checked(_parsed(value) if isinstance(value, str) else value, dict, kind)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _checked(value: Any, cls: type, kind: str) -> Any:
    if cls is list and value == "":
        return []
    if not isinstance(value, cls):
        raise _wrong(value, kind)
    return value


def _wrong(value: Any, kind: str) -> ValueError:
    return ValueError(f"{safe_line(str(value), 60)!r} is not of type {kind}")


def _integer(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value.strip()):
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(value, "integer")
    return value


def _number(value: Any) -> float:
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?", value.strip()):
        return float(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _wrong(value, "number")
    return value


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in _TRUE | _FALSE:
        raise _wrong(value, "boolean")
    return word in _TRUE


def _parsed(text: str) -> Any:
    try:
        return decode(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error
