"""What one command file may say: every field, its spellings, and every mistake by its line."""

import re
from collections.abc import Callable, Container, Iterator, Mapping
from itertools import count, product
from pathlib import Path
from typing import Any, NamedTuple, cast

from msgspec.structs import replace

from prunejuice import document
from prunejuice.command import NAME, Argument, ArgumentType, converted
from prunejuice.document import Document, Keys
from prunejuice.errors import DefinitionError, Problem
from prunejuice.text import nearest, safe_line
from prunejuice.workflow import Stage, Step

LISTS: Mapping[str, Stage] = {
    "pre_steps": "pre",
    "steps": "main",
    "post_steps": "post",
    "cleanup_on_failure": "cleanup",
}
_TYPES = ("string", "integer", "number", "boolean", "path", "list", "object")
# What people type by habit, and the canonical key.
HABITS = {
    "if": "condition",
    "env": "environment",
    "with": "args",
    "run": "script",
    "continue-on-error": "continue_on_error",
    "working-directory": "working_directory",
    "timeout-minutes": "timeout",
    "max-parallel": "max_parallel",
}


ARGUMENT = r"[A-Za-z_][A-Za-z0-9_-]{0,63}"


class Draft(NamedTuple):
    """One file's part of a command: what it gives, before `extends` is merged; None is not given."""

    name: str
    file: str
    given: Mapping[str, Any]
    document: Document


def read(path: Path) -> Draft:
    """What one file says.

    Raises:
        DefinitionError: lists every mistake, with file, line, key and what to do.
    """
    try:
        text = path.read_bytes() if path.stat().st_size <= document.MAX_BYTES else b" " * 300_000
    except OSError as error:
        raise DefinitionError((Problem(str(path), 0, "", f"{error.strerror}"),)) from error
    read_document = document.parse(text, str(path))
    reading = _Reading(read_document)
    given = reading.command(path.stem)
    if reading.problems:
        raise DefinitionError(tuple(sorted(reading.problems, key=lambda p: p.line)))
    return Draft(path.stem, str(path), given, read_document)


class _Reading:
    """Reads a document field by field and collects what is wrong."""

    def __init__(self, read_document: Document) -> None:
        self.document = read_document
        self.problems: list[Problem] = []

    def wrong(self, keys: Keys, message: str, fix: str = "") -> None:
        shown = ".".join(str(key) for key in keys)
        line = self.document.line(keys)
        self.problems.append(Problem(self.document.file, line, safe_line(shown, 80), message, fix))

    def fields(self, data: Any, keys: Keys, known: Mapping[str, "_Field"], what: str) -> dict[str, Any]:
        """The values of a mapping by canonical key; unknown and repeated ones are wrong."""
        if not isinstance(data, dict):
            self.wrong(keys, f"{what} must be keys and values, not {_kind(data)}")
            return {}
        found: dict[str, Any] = {}
        for key, value in data.items():
            name = str(HABITS.get(key, key))
            if name not in known:
                self.wrong((*keys, key), f"is not a key of {what}", nearest(key, known))
            elif name in found:
                self.wrong((*keys, key), f"says the same as {name!r}, which is there too")
            else:
                read_value = known[name](self, value, (*keys, key))
                found[name] = read_value * 60 if key == "timeout-minutes" and read_value else read_value
        return {name: value for name, value in found.items() if value is not None}

    def command(self, stem: str) -> dict[str, Any]:
        given = self.fields(self.document.data, (), COMMAND_FIELDS, "a command")
        self.enter_spread(given)
        name = given.pop("name", stem)
        if name != stem:
            self.wrong(
                ("name",),
                f"is {safe_line(name, 60)!r}, but the file is named {stem!r}",
                "rename one of them",
            )
        if not NAME.match(stem):
            self.wrong((), "the file's name must be letters, digits, '-' and '_'")
        if not isinstance(self.document.data, dict):
            return given
        if not any(self.document.data.get(key) for key in ("steps", "pre_steps", "extends")):
            self.wrong((), "has no steps", "add steps: with at least one")
        return given

    def enter_spread(self, given: dict[str, Any]) -> None:
        """Let an entry point that was spread by a matrix mean the first of what it became."""
        entry, steps = given.get("entry_point"), given.get("steps")
        if entry and isinstance(steps, dict) and entry not in steps:
            given["entry_point"] = next((s.id for s in steps.values() if s.name == entry), entry)


_Field = Callable[[_Reading, Any, Keys], Any]


def _kind(value: Any) -> str:
    names = {
        str: "text",
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "keys and values",
    }
    return names.get(type(value), "nothing")


def _text(reading: _Reading, value: Any, keys: Keys) -> str | None:
    if isinstance(value, str) and "\0" not in value:
        return value
    reading.wrong(keys, f"must be text, not {_kind(value)}", "put it in quotes")
    return None


def _name(reading: _Reading, value: Any, keys: Keys) -> str | None:
    return _text(reading, str(value) if type(value) in {int, float} else value, keys)


def _condition(reading: _Reading, value: Any, keys: Keys) -> str | None:
    """An expression, also when it is written as `true` or inside `${{ }}`."""
    text = _text(reading, str(value).lower() if isinstance(value, bool) else value, keys)
    if text and text.startswith("${{") and text.endswith("}}"):
        return text[3:-2].strip()
    return text


def _number(reading: _Reading, value: Any, keys: Keys) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 10_000_000:
        return value
    reading.wrong(keys, f"must be a number from 0 to 10000000, not {safe_line(str(value), 40)!r}")
    return None


def _time(reading: _Reading, value: Any, keys: Keys) -> float | None:
    """Seconds, more than none."""
    number = _number(reading, value, keys)
    if number == 0:
        reading.wrong(keys, "must be more than 0")
    return number


def _count(reading: _Reading, value: Any, keys: Keys) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 10_000:
        return value
    reading.wrong(keys, f"must be a whole number from 0 to 10000, not {safe_line(str(value), 40)!r}")
    return None


def _flag(reading: _Reading, value: Any, keys: Keys) -> bool | None:
    if isinstance(value, bool):
        return value
    reading.wrong(keys, f"must be true or false, not {_kind(value)}")
    return None


def _choice(*words: str) -> _Field:
    def field(reading: _Reading, value: Any, keys: Keys) -> str | None:
        if value in words:
            return str(value)
        hint = nearest(str(value), words)
        reading.wrong(keys, f"must be one of {', '.join(words)}", hint)
        return None

    return field


def _texts(reading: _Reading, value: Any, keys: Keys) -> tuple[str, ...] | None:
    items = [value] if isinstance(value, str) else value
    if isinstance(items, list) and all(isinstance(item, str) for item in items):
        return tuple(items)
    reading.wrong(keys, "must be a step or a list of steps")
    return None


def _args(reading: _Reading, value: Any, keys: Keys) -> dict[str, Any] | None:
    found = _mapping(reading, value, keys) or {}
    for name in found:
        if not re.fullmatch(ARGUMENT, name):
            reading.wrong((*keys, name), "must be letters, digits, '-' and '_'")
    return found


def _mapping(reading: _Reading, value: Any, keys: Keys) -> dict[str, Any] | None:
    if isinstance(value, dict):
        return value
    reading.wrong(keys, f"must be keys and values, not {_kind(value)}")
    return None


def _environment(reading: _Reading, value: Any, keys: Keys) -> dict[str, str | None] | None:
    found: dict[str, str | None] = {}
    for name, text in (_mapping(reading, value, keys) or {}).items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            reading.wrong((*keys, name), "is not a name for a variable")
        elif text is None:
            found[name] = None
        elif isinstance(text, bool | dict | list):
            reading.wrong((*keys, name), f"must be text, not {_kind(text)}", "put it in quotes")
        else:
            found[name] = str(text)
    return found


def _matrix(reading: _Reading, value: Any, keys: Keys) -> dict[str, list[Any]] | None:
    axes = _mapping(reading, value, keys) or {}
    for name, values in axes.items():
        if not isinstance(values, list) or not 1 <= len(values) <= 64:
            reading.wrong((*keys, name), "must be a list of 1 to 64 values")
            return None
    return axes


def _argument(reading: _Reading, value: Any, keys: Keys) -> Argument | None:
    data = {"name": value} if isinstance(value, str) else value
    given = reading.fields(data, keys, ARGUMENT_FIELDS, "an argument")
    if "name" not in given:
        reading.wrong(keys, "an argument needs a name")
        return None
    if not re.fullmatch(ARGUMENT, given["name"]):
        reading.wrong((*keys, "name"), "must be letters, digits, '-' and '_'")
        return None
    kind = cast(ArgumentType, given.setdefault("type", "string"))
    if "default" in given:
        given.setdefault("required", False)
        try:
            given["default"] = converted(given["default"], kind)
        except ValueError as error:
            reading.wrong((*keys, "default"), str(error))
    return Argument(**given)


def _arguments(reading: _Reading, value: Any, keys: Keys) -> list[Argument] | None:
    if not isinstance(value, list):
        reading.wrong(keys, f"must be a list, not {_kind(value)}")
        return None
    found: dict[str, Argument] = {}
    for place, item in enumerate(value):
        argument = _argument(reading, item, (*keys, place))
        if argument is None:
            continue
        variable = argument.name.upper().replace("-", "_")
        if variable in found:
            reading.wrong((*keys, place), f"means the same variable as {found[variable].name!r}")
        found[variable] = argument
    return list(found.values())


def unique(lists: Mapping[str, Any]) -> tuple[dict[str, list[Step]], list[tuple[str, str]]]:
    """The lists of steps with ids that no two share, and the repeated ones (list, id).

    A bare name that comes again is numbered; a name that was given twice is a mistake.
    """
    given = {s.id for s in _every(lists) if not s.uses == s.name == s.id}
    taken: set[str] = set()
    found: dict[str, list[Step]] = {}
    repeated: list[tuple[str, str]] = []
    for name in LISTS:
        listed = lists.get(name, ())
        found[name] = []
        for step in listed.values() if isinstance(listed, dict) else listed:
            bare = step.uses == step.name == step.id
            new = _free(step.id, taken | given) if bare and step.id in taken | given else step.id
            repeated += [(name, step.id)] if new in taken else []
            found[name].append(replace(step, id=new))
            taken.add(new)
    return found, repeated


def _every(lists: Mapping[str, Any]) -> Iterator[Step]:
    for name in LISTS:
        listed = lists.get(name, ())
        yield from listed.values() if isinstance(listed, dict) else listed


def _free(name: str, taken: Container[str]) -> str:
    """The name with the first number that makes it new."""
    return next(each for number in count(2) if (each := f"{name}-{number}") not in taken)


def slug(name: str) -> str:
    """A name as an id: what ids cannot hold becomes a dash."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-.")[:100]


def _steps(stage: Stage) -> _Field:
    def field(reading: _Reading, value: Any, keys: Keys) -> Any:
        if isinstance(value, dict) and stage == "main":
            linked = {
                str(name): {"name": str(name), **step} if isinstance(step, dict) else step
                for name, step in value.items()
            }
            read_steps = [_step(reading, step, (*keys, n), stage, n) for n, step in linked.items()]
            return {s.id: s for s in _named_by_matrix([s for each in read_steps for s in each])}
        if not isinstance(value, list):
            reading.wrong(keys, f"must be a list of steps, not {_kind(value)}")
            return None
        found: list[Step] = []
        for place, item in enumerate(value):
            found += _step(reading, item, (*keys, place), stage)
        return _named_by_matrix(found)

    return field


def _named_by_matrix(steps: list[Step]) -> list[Step]:
    """The steps, with the name of a spread step standing for all that it was spread to."""
    spread: dict[str, tuple[str, ...]] = {}
    for step in steps:
        base = step.name if step.name != step.id else step.id
        spread[base] = (*spread.get(base, ()), step.id)

    def every(names: tuple[str, ...]) -> tuple[str, ...]:
        ids = {step.id for step in steps}
        return tuple(
            each for name in names for each in ((name,) if name in ids else spread.get(name, (name,)))
        )

    def first(name: str) -> str:
        return (every((name,)) or ("",))[0] if name else ""

    return [
        replace(
            step,
            needs=every(step.needs),
            parallel_with=every(step.parallel_with),
            on_success=first(step.on_success),
            on_failure=first(step.on_failure),
        )
        for step in steps
    ]


def _step(reading: _Reading, value: Any, keys: Keys, stage: Stage, step_id: str = "") -> list[Step]:
    data = {"name": value, "uses": value} if isinstance(value, str) else value
    given = reading.fields(data, keys, STEP_FIELDS, "a step")
    bodies = [key for key in ("uses", "script", "agent") if given.get(key)]
    name = given.get("name") or given.get("uses") or given.get("agent")
    if not name:
        reading.wrong(keys, "a step needs a name")
        return []
    if len(bodies) > 1:
        reading.wrong(keys, f"has {' and '.join(bodies)}: a step is exactly one of them")
        return []
    if "script" in given and not given["script"].strip():
        reading.wrong((*keys, "script"), "is empty")
        return []
    if not bodies:
        given["uses"] = name
    given["name"] = name
    given["id"] = step_id or given.get("id") or slug(name)
    matrix = given.pop("matrix", None)
    step = Step(**given, stage=stage)
    return _spread(step, matrix) if matrix else [step]


def _spread(step: Step, matrix: Mapping[str, list[Any]]) -> list[Step]:
    """One step for each combination, all at once, with the values as `args`."""
    combinations = [dict(zip(matrix, values, strict=True)) for values in product(*matrix.values())]
    ids: list[str] = []
    for combination in combinations:
        name = f"{step.id}-{slug('-'.join(map(str, combination.values())))}"
        ids.append(_free(name, ids) if name in ids else name)
    return [
        replace(
            step,
            id=each,
            args={**step.args, **combination},
            parallel_with=(*step.parallel_with, *(other for other in ids if other != each)),
        )
        for each, combination in zip(ids, combinations, strict=True)
    ]


ARGUMENT_FIELDS: Mapping[str, _Field] = {
    "name": _text,
    "required": _flag,
    "type": _choice(*_TYPES),
    "description": _text,
    "default": lambda _reading, value, _keys: value,
}
STEP_FIELDS: Mapping[str, _Field] = {
    "name": _name,
    "id": _name,
    "uses": _name,
    "script": _text,
    "agent": _text,
    "args": _args,
    "environment": _environment,
    "condition": _condition,
    "on_success": _name,
    "on_failure": _name,
    "parallel_with": _texts,
    "needs": _texts,
    "timeout": _time,
    "retries": _count,
    "retry_delay": _number,
    "max_visits": _count,
    "continue_on_error": _flag,
    "on_interrupt": _choice("rerun", "skip", "ask"),
    "working_directory": _text,
    "matrix": _matrix,
}
COMMAND_FIELDS: Mapping[str, _Field] = {
    "name": _name,
    "description": _text,
    "extends": _name,
    "category": _text,
    "arguments": _arguments,
    "environment": _environment,
    "working_directory": _text,
    "timeout": _time,
    "max_parallel": _count,
    "stop_on_failure": _flag,
    "entry_point": _name,
    **{key: _steps(stage) for key, stage in LISTS.items()},
}
