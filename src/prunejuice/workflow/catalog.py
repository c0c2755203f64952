"""The catalog finds command files, merges what they extend, and builds commands from them.

It searches layers in order: the project's `.prj/commands`, the user's commands, then the built-in ones.
The name of a command is the name of its file without the suffix.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from prunejuice.errors import DefinitionError, NotFoundError, Problem
from prunejuice.sandbox.permissions import Permissions, stronger_mode
from prunejuice.system.yaml_reader import YamlDocument
from prunejuice.text import safe_line, spelling_hint
from prunejuice.workflow.command import NAME_PATTERN, Command
from prunejuice.workflow.graph import Step, Workflow, link_steps
from prunejuice.workflow.schema import (
    KEY_ALIASES,
    STEP_LISTS,
    CommandDraft,
    assign_unique_ids,
    load_draft,
    slugify,
)
from prunejuice.workflow.validate import find_problems

BUILTIN_FOLDER = Path(__file__).with_name("builtin")
MAX_EXTENDS = 10
SUFFIXES = (".yaml", ".yml")
STEP_SUFFIXES = (".py", ".sh")


class CommandEntry(NamedTuple):
    """The summary of a command for lists. `problem` is set when its file is invalid."""

    name: str
    description: str
    category: str
    source: str
    path: Path
    problem: str = ""


class CatalogLayer(NamedTuple):
    """A folder of command files, and the name under which lists show it."""

    source: str
    folder: Path


class Catalog:
    """All commands that can be run in a project, and the names that steps can use.

    `builtin` are the steps of this program, `installed` those of other packages; a step file or a command
    with the same name takes precedence over an installed one.
    """

    def __init__(
        self,
        layers: Iterable[CatalogLayer],
        steps: Path | None,
        builtin: Iterable[str],
        installed: Container[str] = (),
    ) -> None:
        self.layers = tuple(layers)
        self.steps_folder = steps
        self.builtin_steps = frozenset(builtin)
        self.installed_steps = installed

    def command_names(self) -> list[str]:
        """Return the sorted names of all commands."""
        return sorted({path.stem for layer in self.layers for path in _command_files(layer.folder)})

    def command_entries(self) -> list[CommandEntry]:
        """Return a summary of every command, sorted by name. Nearer layers take precedence."""
        entries: dict[str, CommandEntry] = {}
        for layer in self.layers:
            for path in _command_files(layer.folder):
                entries.setdefault(path.stem, _load_entry(layer, path))
        return [entries[name] for name in sorted(entries)]

    def load(self, name: str) -> Command:
        """Load a command, merged with the commands it extends.

        Raises:
            NotFoundError: no command has this name.
            DefinitionError: the file is invalid. The error lists every mistake.
        """
        drafts = list(self._load_drafts(name))
        values: dict[str, Any] = {}
        for draft in reversed(drafts):
            values = _merge_values(values, draft.values)
        return self._build_command(drafts, values)

    def dependencies(self, command: Command) -> dict[str, Command]:
        """Return the commands that a command uses directly or indirectly, by name.

        Raises:
            DefinitionError: a command uses itself, or a used command is invalid.
        """
        dependencies: dict[str, Command] = {}
        self._collect_dependencies(command, (command.name,), dependencies)
        return dependencies

    def find_step_file(self, name: str) -> Path | None:
        """Return the project's script for a step, or None if there is none."""
        if self.steps_folder is None or not NAME_PATTERN.match(name):
            return None
        paths = (self.steps_folder / f"{name}{suffix}" for suffix in STEP_SUFFIXES)
        return next((path for path in paths if path.is_file()), None)

    def step_names(self) -> list[str]:
        """Return the sorted names that `uses` can refer to."""
        files = self.steps_folder.iterdir() if self.steps_folder and self.steps_folder.is_dir() else ()
        stems = {path.stem for path in files if path.suffix in STEP_SUFFIXES}
        return sorted({*self.builtin_steps, *self.command_names(), *filter(NAME_PATTERN.match, stems)})

    # -- lookup ---------------------------------------------------------------------------------

    def _collect_dependencies(
        self, command: Command, callers: tuple[str, ...], dependencies: dict[str, Command]
    ) -> None:
        for step in command.workflow.steps.values():
            name = step.uses
            # The order matters: built-in steps and step files take precedence over commands.
            if not name or name in self.builtin_steps or self.find_step_file(name) or name in dependencies:
                continue
            if name in callers:
                chain = " → ".join((*callers, name))
                raise DefinitionError((Problem(command.source, 0, step.id, f"uses itself: {chain}"),))
            if name in self.installed_steps and name not in self.command_names():
                continue
            used = self.load(name)
            self._collect_dependencies(used, (*callers, name), dependencies)
            dependencies[name] = used

    def _find_command_file(self, name: str, first_layer: int = 0) -> tuple[int, Path]:
        for index, layer in enumerate(self.layers):
            for path in (layer.folder / f"{name}{suffix}" for suffix in SUFFIXES):
                # The pattern also keeps a name such as `../x` from leading out of the folder.
                if index >= first_layer and NAME_PATTERN.match(name) and path.is_file():
                    return index, path
        hint = spelling_hint(name, self.command_names()) or "run `prj list` to see the available commands"
        raise NotFoundError(f"unknown command {safe_line(name, 60)!r}", hint)

    def _load_drafts(self, name: str) -> Iterator[CommandDraft]:
        """Yield the draft of a command, then the drafts of the commands it extends."""
        visited: list[Path] = []
        layer, path = self._find_command_file(name)
        while True:
            if path in visited or len(visited) >= MAX_EXTENDS:
                chain = " → ".join(file.stem for file in (*visited, path))
                reason = "extends itself" if path in visited else f"more than {MAX_EXTENDS} levels"
                raise DefinitionError((Problem(str(path), 0, "extends", f"{reason}: {chain}"),))
            visited.append(path)
            draft = load_draft(path)
            yield draft
            base = draft.values.get("extends")
            if not base:
                return
            # A command that extends its own name extends the one of the next layer.
            try:
                layer, path = self._find_command_file(base, layer + 1 if base == path.stem else 0)
            except NotFoundError as error:
                line = draft.document.line_of(("extends",))
                problem = Problem(draft.file, line, "extends", error.message, error.fix)
                raise DefinitionError((problem,)) from error

    # -- construction ---------------------------------------------------------------------------

    def _build_command(self, drafts: Sequence[CommandDraft], values: Mapping[str, Any]) -> Command:
        draft = drafts[0]
        steps_by_list, repeated = assign_unique_ids(values)
        workflow = _build_workflow(draft, values, steps_by_list)
        problems = [
            Problem(
                draft.file,
                _find_step_line(draft.document, problem.step, problem.key),
                ".".join(filter(None, (problem.step, problem.key))),
                problem.message,
                problem.fix,
            )
            for problem in find_problems(workflow)
        ]
        problems += [
            Problem(
                draft.file,
                _find_step_line(draft.document, step, "id", name),
                name,
                f"duplicate step {step!r}",
                "give it a unique id",
            )
            for name, step in repeated
        ]
        problems += self._unknown_step_problems(draft, workflow)
        if problems:
            raise DefinitionError(tuple(problems))
        return Command(
            name=draft.name,
            workflow=workflow,
            description=values.get("description", ""),
            category=values.get("category", "workflow"),
            arguments=tuple(values.get("arguments", ())),
            environment=values.get("environment", {}),
            working_directory=values.get("working_directory", ""),
            timeout=values.get("timeout", 1800),
            sandbox=values.get("sandbox", ""),
            allow=values.get("allow", Permissions()),
            extends=draft.values.get("extends", ""),
            source=draft.file,
            digests={each.file: each.digest for each in drafts},
        )

    def _unknown_step_problems(self, draft: CommandDraft, workflow: Workflow) -> Iterator[Problem]:
        known = self.step_names()
        for step in workflow.steps.values():
            if step.uses and step.uses not in known and step.uses not in self.installed_steps:
                line = _find_step_line(draft.document, step.id, "uses")
                fix = spelling_hint(step.uses, known) or f"create .prj/steps/{step.uses}.sh"
                message = f"unknown step or command {safe_line(step.uses, 60)!r}"
                yield Problem(draft.file, line, f"{step.id}.uses", message, fix)


def _command_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file())


def _load_entry(layer: CatalogLayer, path: Path) -> CommandEntry:
    try:
        draft = load_draft(path)
    except DefinitionError as error:
        return CommandEntry(path.stem, "", "", layer.source, path, str(error.problems[0]))
    return CommandEntry(
        draft.name,
        draft.values.get("description", ""),
        draft.values.get("category", "workflow"),
        layer.source,
        path,
    )


def _build_workflow(
    draft: CommandDraft, values: Mapping[str, Any], steps_by_list: Mapping[str, list[Step]]
) -> Workflow:
    # Steps written as a mapping are linked explicitly; only lists are linked by their order.
    is_linked = isinstance(values.get("steps"), dict)
    main = steps_by_list["steps"]
    ordered = link_steps(steps_by_list["pre_steps"], () if is_linked else main, steps_by_list["post_steps"])
    unordered = (*(main if is_linked else ()), *steps_by_list["cleanup_on_failure"])
    steps = {**ordered, **{step.id: step for step in unordered}}
    return Workflow(
        name=draft.name,
        description=values.get("description", ""),
        steps=steps,
        entry_point=values.get("entry_point", "") or (main[0].id if main else ""),
        max_parallel=values.get("max_parallel", 5),
        stop_on_failure=values.get("stop_on_failure", True),
    )


def _merge_values(base: Mapping[str, Any], child: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` overridden by `child`. Arguments and the environment are merged by name."""
    # New steps rarely include the entry point of the old ones.
    if "steps" in child and "entry_point" not in child:
        base = {key: value for key, value in base.items() if key != "entry_point"}
    merged = {**base, **child}
    merged["environment"] = {**base.get("environment", {}), **child.get("environment", {})}
    # A command that extends another one can contain it more, not less.
    merged["sandbox"] = stronger_mode(base.get("sandbox", ""), child.get("sandbox", ""))
    merged["allow"] = base.get("allow", Permissions()).union(child.get("allow", Permissions()))
    arguments = {
        argument.name: argument for argument in (*base.get("arguments", ()), *child.get("arguments", ()))
    }
    merged["arguments"] = list(arguments.values())
    return merged


def _find_step_line(document: YamlDocument, step_id: str, key: str, only: str = "") -> int:
    """Return the line of a step's key, or of the step itself, or 1 if the step is in another file.

    With `only`, search only that list of steps, and return the last match.
    """
    for list_name in STEP_LISTS:
        listed = (document.data or {}).get(list_name) if only in {"", list_name} else None
        items = listed.items() if isinstance(listed, dict) else enumerate(listed or ())
        items = reversed(list(items)) if only else items
        for position, value in items:
            fields = value if isinstance(value, dict) else {"name": value}
            names = {position, fields.get("id"), fields.get("name"), slugify(str(fields.get("name", "")))}
            if step_id in names:
                spellings = [key, *(alias for alias, name in KEY_ALIASES.items() if name == key)]
                spelling = next((spelling for spelling in spellings if spelling in fields), "")
                keys = (list_name, position, spelling) if spelling else (list_name, position)
                return document.line_of(keys)
    return document.line_of((key,))
