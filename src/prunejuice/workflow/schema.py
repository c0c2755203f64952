"""The schema of command files: every field, its aliases, and the reader that reports mistakes by line."""

import hashlib
import re
from collections.abc import Callable, Container, Iterator, Mapping
from itertools import count, product
from pathlib import Path
from typing import Any, NamedTuple, cast

from msgspec.structs import replace

from prunejuice.errors import DefinitionError, Problem
from prunejuice.sandbox.permissions import MODES, Permissions, read_permissions
from prunejuice.system import yaml_reader
from prunejuice.system.yaml_reader import KeyPath, YamlDocument
from prunejuice.text import safe_line, spelling_hint
from prunejuice.workflow.command import NAME_PATTERN, Argument, ArgumentType, convert_value
from prunejuice.workflow.graph import Stage, Step

STEP_LISTS: Mapping[str, Stage] = {
    "pre_steps": "pre",
    "steps": "main",
    "post_steps": "post",
    "cleanup_on_failure": "cleanup",
}
_ARGUMENT_TYPES = ("string", "integer", "number", "boolean", "path", "list", "object")
# Keys that users know from other tools, such as GitHub Actions, and the canonical keys.
KEY_ALIASES = {
    "if": "condition",
    "env": "environment",
    "with": "args",
    "run": "script",
    "continue-on-error": "continue_on_error",
    "working-directory": "working_directory",
    "timeout-minutes": "timeout",
    "max-parallel": "max_parallel",
}
ARGUMENT_PATTERN = r"[A-Za-z_][A-Za-z0-9_-]{0,63}"


class CommandDraft(NamedTuple):
    """The values of one command file, before the command it extends is merged. Unset keys are absent.

    `digest` is the SHA-256 of the bytes that were parsed.
    """

    name: str
    file: str
    values: Mapping[str, Any]
    document: YamlDocument
    digest: str = ""


def load_draft(path: Path) -> CommandDraft:
    """Read one command file.

    Raises:
        DefinitionError: the file is invalid. The error lists every mistake with file, line, key and fix.
    """
    try:
        # Do not read a huge file: a text over the limit raises the same error.
        text = path.read_bytes() if path.stat().st_size <= yaml_reader.MAX_BYTES else b" " * 300_000
    except OSError as error:
        raise DefinitionError((Problem(str(path), 0, "", f"{error.strerror}"),)) from error
    document = yaml_reader.parse(text, str(path))
    reader = _DefinitionReader(document)
    values = reader.read_command(path.stem)
    if reader.problems:
        raise DefinitionError(tuple(sorted(reader.problems, key=lambda problem: problem.line)))
    return CommandDraft(path.stem, str(path), values, document, hashlib.sha256(text).hexdigest())


class _DefinitionReader:
    """Reads a document field by field and collects the mistakes."""

    def __init__(self, document: YamlDocument) -> None:
        self.document = document
        self.problems: list[Problem] = []

    def add_problem(self, keys: KeyPath, message: str, fix: str = "") -> None:
        shown = ".".join(str(key) for key in keys)
        line = self.document.line_of(keys)
        self.problems.append(Problem(self.document.file, line, safe_line(shown, 80), message, fix))

    def read_fields(
        self, data: Any, keys: KeyPath, known: Mapping[str, "_FieldReader"], owner: str
    ) -> dict[str, Any]:
        """Return the values of a mapping by canonical key. Unknown and repeated keys are mistakes."""
        if not isinstance(data, dict):
            self.add_problem(keys, f"{owner} must be a mapping, not {_type_name(data)}")
            return {}
        values: dict[str, Any] = {}
        for key, value in data.items():
            name = str(KEY_ALIASES.get(key, key))
            if name not in known:
                self.add_problem((*keys, key), f"unknown key in {owner}", spelling_hint(key, known))
            elif name in values:
                self.add_problem((*keys, key), f"duplicates {name!r}")
            else:
                parsed = known[name](self, value, (*keys, key))
                values[name] = parsed * 60 if key == "timeout-minutes" and parsed else parsed
        if values.get("sandbox") == "files" and (allow := values.get("allow")) and allow.hosts:
            problem = "the sandbox `files` does not limit the network: every host is allowed already"
            self.add_problem((*keys, "allow"), problem, "use `sandbox: files+net`, or leave hosts out")
        return {name: value for name, value in values.items() if value is not None}

    def read_command(self, stem: str) -> dict[str, Any]:
        values = self.read_fields(self.document.data, (), COMMAND_FIELDS, "a command")
        self.resolve_entry_point(values)
        name = values.pop("name", stem)
        if name != stem:
            self.add_problem(
                ("name",),
                f"is {safe_line(name, 60)!r}, but the file is named {stem!r}",
                "rename one of them",
            )
        if not NAME_PATTERN.match(stem):
            self.add_problem((), "the file name may contain only letters, digits, '-' and '_'")
        if not isinstance(self.document.data, dict):
            return values
        if not any(self.document.data.get(key) for key in ("steps", "pre_steps", "extends")):
            self.add_problem((), "has no steps", "add steps: with at least one step")
        return values

    def resolve_entry_point(self, values: dict[str, Any]) -> None:
        """Replace an entry point that has a matrix by the first step of its expansion."""
        entry, steps = values.get("entry_point"), values.get("steps")
        if entry and isinstance(steps, dict) and entry not in steps:
            values["entry_point"] = next((step.id for step in steps.values() if step.name == entry), entry)


_FieldReader = Callable[[_DefinitionReader, Any, KeyPath], Any]


def _type_name(value: Any) -> str:
    names = {
        str: "text",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a mapping",
    }
    return names.get(type(value), "null")


def _read_text(reader: _DefinitionReader, value: Any, keys: KeyPath) -> str | None:
    if isinstance(value, str) and "\0" not in value:
        return value
    reader.add_problem(keys, f"must be text, not {_type_name(value)}", "put it in quotes")
    return None


def _read_name(reader: _DefinitionReader, value: Any, keys: KeyPath) -> str | None:
    # A name such as `404` is a number in YAML.
    written = reader.document.as_written(value, keys)
    return _read_text(reader, str(written) if type(written) in {int, float} else written, keys)


def _read_condition(reader: _DefinitionReader, value: Any, keys: KeyPath) -> str | None:
    """Read an expression, which may also be a boolean or enclosed in `${{ }}`."""
    text = _read_text(reader, str(value).lower() if isinstance(value, bool) else value, keys)
    if text and text.startswith("${{") and text.endswith("}}"):
        return text[3:-2].strip()
    return text


def _read_number(reader: _DefinitionReader, value: Any, keys: KeyPath) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 10_000_000:
        return value
    reader.add_problem(keys, f"must be a number from 0 to 10000000, not {safe_line(str(value), 40)!r}")
    return None


def _read_seconds(reader: _DefinitionReader, value: Any, keys: KeyPath) -> float | None:
    """Read a number of seconds greater than 0."""
    number = _read_number(reader, value, keys)
    if number == 0:
        reader.add_problem(keys, "must be more than 0")
    return number


def _read_count(reader: _DefinitionReader, value: Any, keys: KeyPath) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 10_000:
        return value
    reader.add_problem(keys, f"must be a whole number from 0 to 10000, not {safe_line(str(value), 40)!r}")
    return None


def _read_boolean(reader: _DefinitionReader, value: Any, keys: KeyPath) -> bool | None:
    if isinstance(value, bool):
        return value
    reader.add_problem(keys, f"must be true or false, not {_type_name(value)}")
    return None


def _choice_reader(*words: str) -> _FieldReader:
    def field(reader: _DefinitionReader, value: Any, keys: KeyPath) -> str | None:
        if value in words:
            return str(value)
        hint = spelling_hint(str(value), words)
        reader.add_problem(keys, f"must be one of {', '.join(words)}", hint)
        return None

    return field


def _read_step_names(reader: _DefinitionReader, value: Any, keys: KeyPath) -> tuple[str, ...] | None:
    items = [value] if isinstance(value, str) else value
    if isinstance(items, list) and all(isinstance(item, str) for item in items):
        return tuple(items)
    reader.add_problem(keys, "must be a step or a list of steps")
    return None


def _read_args(reader: _DefinitionReader, value: Any, keys: KeyPath) -> dict[str, Any] | None:
    args = _read_mapping(reader, value, keys) or {}
    for name in args:
        if not re.fullmatch(ARGUMENT_PATTERN, name):
            reader.add_problem((*keys, name), "may contain only letters, digits, '-' and '_'")
    # Arguments reach scripts as text; verbs read numbers from it.
    return {name: reader.document.as_written(given, (*keys, name)) for name, given in args.items()}


def _read_mapping(reader: _DefinitionReader, value: Any, keys: KeyPath) -> dict[str, Any] | None:
    if isinstance(value, dict):
        return value
    reader.add_problem(keys, f"must be a mapping, not {_type_name(value)}")
    return None


def _read_environment(reader: _DefinitionReader, value: Any, keys: KeyPath) -> dict[str, str | None] | None:
    variables: dict[str, str | None] = {}
    for name, text in (_read_mapping(reader, value, keys) or {}).items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            reader.add_problem((*keys, name), "is not a valid variable name")
        elif text is None:
            variables[name] = None
        elif isinstance(text, bool | dict | list):
            reader.add_problem((*keys, name), f"must be text, not {_type_name(text)}", "put it in quotes")
        else:
            variables[name] = str(reader.document.as_written(text, (*keys, name)))
    return variables


def _read_matrix(reader: _DefinitionReader, value: Any, keys: KeyPath) -> dict[str, list[Any]] | None:
    axes = _read_mapping(reader, value, keys) or {}
    for name, values in axes.items():
        if not isinstance(values, list) or not 1 <= len(values) <= 64:
            reader.add_problem((*keys, name), "must be a list of 1 to 64 values")
            return None
    return {
        name: [reader.document.as_written(value, (*keys, name, at)) for at, value in enumerate(values)]
        for name, values in axes.items()
    }


def _read_argument(reader: _DefinitionReader, value: Any, keys: KeyPath) -> Argument | None:
    data = {"name": value} if isinstance(value, str) else value
    fields = reader.read_fields(data, keys, ARGUMENT_FIELDS, "an argument")
    if "name" not in fields:
        reader.add_problem(keys, "an argument needs a name")
        return None
    if not re.fullmatch(ARGUMENT_PATTERN, fields["name"]):
        reader.add_problem((*keys, "name"), "may contain only letters, digits, '-' and '_'")
        return None
    kind = cast("ArgumentType", fields.setdefault("type", "string"))
    if "default" in fields:
        fields.setdefault("required", False)
        try:
            default = fields["default"]
            if kind in {"string", "path"}:
                default = reader.document.as_written(default, (*keys, "default"))
            fields["default"] = convert_value(default, kind)
        except ValueError as error:
            reader.add_problem((*keys, "default"), str(error))
    return Argument(**fields)


def _read_arguments(reader: _DefinitionReader, value: Any, keys: KeyPath) -> list[Argument] | None:
    if not isinstance(value, list):
        reader.add_problem(keys, f"must be a list, not {_type_name(value)}")
        return None
    by_variable: dict[str, Argument] = {}
    for index, item in enumerate(value):
        argument = _read_argument(reader, item, (*keys, index))
        if argument is None:
            continue
        variable = argument.name.upper().replace("-", "_")
        if variable in by_variable:
            other = by_variable[variable].name
            reader.add_problem((*keys, index), f"sets the same variable as {other!r}")
        by_variable[variable] = argument
    return list(by_variable.values())


def assign_unique_ids(lists: Mapping[str, Any]) -> tuple[dict[str, list[Step]], list[tuple[str, str]]]:
    """Return the steps of each list with unique ids, and the repeated ids as pairs of list and id.

    Repeated bare names, such as `[lint, lint]`, are numbered. A repeated explicit id is a mistake.
    """
    explicit = {step.id for step in _all_steps(lists) if not step.uses == step.name == step.id}
    used: set[str] = set()
    steps_by_list: dict[str, list[Step]] = {}
    repeated: list[tuple[str, str]] = []
    for list_name in STEP_LISTS:
        listed = lists.get(list_name, ())
        steps_by_list[list_name] = []
        for step in listed.values() if isinstance(listed, dict) else listed:
            step_id = step.id
            if step.uses == step.name == step.id and step.id in used | explicit:
                step_id = _first_free_name(step.id, used | explicit)
            repeated += [(list_name, step.id)] if step_id in used else []
            steps_by_list[list_name].append(replace(step, id=step_id))
            used.add(step_id)
    return steps_by_list, repeated


def _all_steps(lists: Mapping[str, Any]) -> Iterator[Step]:
    for name in STEP_LISTS:
        listed = lists.get(name, ())
        yield from listed.values() if isinstance(listed, dict) else listed


def _first_free_name(name: str, used: Container[str]) -> str:
    """Return the name with the lowest number, from 2, that makes it unique."""
    return next(numbered for number in count(2) if (numbered := f"{name}-{number}") not in used)


def slugify(name: str) -> str:
    """Return a name as an id, with the characters that ids cannot contain replaced by dashes."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-.")[:100]


def _steps_reader(stage: Stage) -> _FieldReader:
    def field(reader: _DefinitionReader, value: Any, keys: KeyPath) -> Any:
        if isinstance(value, dict) and stage == "main":
            linked = {
                str(name): {"name": str(name), **step} if isinstance(step, dict) else step
                for name, step in value.items()
            }
            steps = [
                expanded
                for name, step in linked.items()
                for expanded in _read_step(reader, step, (*keys, name), stage, name)
            ]
            return {step.id: step for step in _expand_matrix_references(steps)}
        if not isinstance(value, list):
            reader.add_problem(keys, f"must be a list of steps, not {_type_name(value)}")
            return None
        steps = []
        for index, item in enumerate(value):
            steps += _read_step(reader, item, (*keys, index), stage)
        return _expand_matrix_references(steps)

    return field


def _expand_matrix_references(steps: list[Step]) -> list[Step]:
    """Replace links to a step with a matrix by links to the steps that it was expanded to."""
    expansions: dict[str, tuple[str, ...]] = {}
    for step in steps:
        base = step.name if step.name != step.id else step.id
        expansions[base] = (*expansions.get(base, ()), step.id)

    def resolve(names: tuple[str, ...]) -> tuple[str, ...]:
        ids = {step.id for step in steps}
        return tuple(
            step_id
            for name in names
            for step_id in ((name,) if name in ids else expansions.get(name, (name,)))
        )

    def resolve_first(name: str) -> str:
        return (resolve((name,)) or ("",))[0] if name else ""

    return [
        replace(
            step,
            needs=resolve(step.needs),
            parallel_with=resolve(step.parallel_with),
            # One target is enough: the steps of an expansion are parallel, so all of them start.
            on_success=resolve_first(step.on_success),
            on_failure=resolve_first(step.on_failure),
        )
        for step in steps
    ]


def _read_step(
    reader: _DefinitionReader, value: Any, keys: KeyPath, stage: Stage, step_id: str = ""
) -> list[Step]:
    data = {"name": value, "uses": value} if isinstance(value, str) else value
    fields = reader.read_fields(data, keys, STEP_FIELDS, "a step")
    bodies = [key for key in ("uses", "script", "agent") if fields.get(key)]
    name = fields.get("name") or fields.get("uses") or fields.get("agent")
    if not name:
        reader.add_problem(keys, "a step needs a name")
        return []
    if len(bodies) > 1:
        reader.add_problem(keys, f"has {' and '.join(bodies)}: a step takes exactly one of them")
        return []
    if "script" in fields and not fields["script"].strip():
        reader.add_problem((*keys, "script"), "is empty")
        return []
    if not bodies:
        fields["uses"] = name
    fields["name"] = name
    fields["id"] = step_id or fields.get("id") or slugify(name)
    matrix = fields.pop("matrix", None)
    step = Step(**fields, stage=stage)
    return _expand_matrix(step, matrix) if matrix else [step]


def _expand_matrix(step: Step, matrix: Mapping[str, list[Any]]) -> list[Step]:
    """Return one step per combination of values, all parallel, with the values in `args`."""
    combinations = [dict(zip(matrix, values, strict=True)) for values in product(*matrix.values())]
    ids: list[str] = []
    for combination in combinations:
        name = f"{step.id}-{slugify('-'.join(map(str, combination.values())))}"
        ids.append(_first_free_name(name, ids) if name in ids else name)
    return [
        replace(
            step,
            id=step_id,
            args={**step.args, **combination},
            parallel_with=(*step.parallel_with, *(other for other in ids if other != step_id)),
        )
        for step_id, combination in zip(ids, combinations, strict=True)
    ]


def _read_sandbox(reader: _DefinitionReader, value: Any, keys: KeyPath) -> str | None:
    word: str | None = _choice_reader(*MODES)(reader, "off" if value is False else value, keys)
    return word


def _read_allow(reader: _DefinitionReader, value: Any, keys: KeyPath) -> Permissions:
    permissions, mistakes = read_permissions(value)
    for kind, message, fix in mistakes:
        reader.add_problem((*keys, kind) if kind else keys, message, fix)
    return permissions


ARGUMENT_FIELDS: Mapping[str, _FieldReader] = {
    "name": _read_text,
    "required": _read_boolean,
    "type": _choice_reader(*_ARGUMENT_TYPES),
    "description": _read_text,
    "default": lambda _reading, value, _keys: value,
}
STEP_FIELDS: Mapping[str, _FieldReader] = {
    "name": _read_name,
    "id": _read_name,
    "uses": _read_name,
    "script": _read_text,
    "agent": _read_text,
    "args": _read_args,
    "environment": _read_environment,
    "condition": _read_condition,
    "on_success": _read_name,
    "on_failure": _read_name,
    "parallel_with": _read_step_names,
    "needs": _read_step_names,
    "timeout": _read_seconds,
    "retries": _read_count,
    "retry_delay": _read_number,
    "max_visits": _read_count,
    "continue_on_error": _read_boolean,
    "on_interrupt": _choice_reader("rerun", "skip", "ask"),
    "working_directory": _read_text,
    "matrix": _read_matrix,
    "sandbox": _read_sandbox,
    "allow": _read_allow,
}
COMMAND_FIELDS: Mapping[str, _FieldReader] = {
    "name": _read_name,
    "description": _read_text,
    "extends": _read_name,
    "category": _read_text,
    "arguments": _read_arguments,
    "environment": _read_environment,
    "working_directory": _read_text,
    "timeout": _read_seconds,
    "max_parallel": _read_count,
    "stop_on_failure": _read_boolean,
    "entry_point": _read_name,
    "sandbox": _read_sandbox,
    "allow": _read_allow,
    **{key: _steps_reader(stage) for key, stage in STEP_LISTS.items()},
}
