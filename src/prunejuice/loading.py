"""From YAML files to commands: where they are found, what they may say, and every mistake by its line.

Layers, nearest first: the project's `.prj/commands`, the user's own, the built-in ones. A file's name
is its command's name.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from prunejuice.command import NAME, Command
from prunejuice.definition import HABITS, LISTS, Draft, read, slug, unique
from prunejuice.document import Document
from prunejuice.errors import DefinitionError, NotFoundError, Problem
from prunejuice.text import nearest, safe_line
from prunejuice.workflow import Step, Workflow, faults, from_lists

MAX_EXTENDS = 10
SUFFIXES = (".yaml", ".yml")
STEP_SUFFIXES = (".py", ".sh")


class Listed(NamedTuple):
    """A command as lists show it; `problem` when its file cannot be read."""

    name: str
    description: str
    category: str
    source: str
    path: Path
    problem: str = ""


class Layer(NamedTuple):
    """A folder of commands and what lists call it."""

    source: str
    folder: Path


class Catalog:
    """All commands that can be run here, and the names that steps may use."""

    def __init__(self, layers: Iterable[Layer], steps: Path | None, builtin: Iterable[str]) -> None:
        self.layers = tuple(layers)
        self.steps = steps
        self.builtin = frozenset(builtin)

    def names(self) -> list[str]:
        """The names of all commands."""
        return sorted({path.stem for layer in self.layers for path in _files(layer.folder)})

    def listed(self) -> list[Listed]:
        """A line for every command, the nearest of each name."""
        found: dict[str, Listed] = {}
        for layer in self.layers:
            for path in _files(layer.folder):
                found.setdefault(path.stem, _listed(layer, path))
        return [found[name] for name in sorted(found)]

    def load(self, name: str) -> Command:
        """A command with its `extends` merged.

        Raises:
            NotFoundError: nothing has that name.
            DefinitionError: lists every mistake in its file.
        """
        drafts = list(self._drafts(name))
        given: dict[str, Any] = {}
        for draft in reversed(drafts):
            given = _merged(given, draft.given)
        return self._built(drafts[0], given)

    def used_by(self, command: Command) -> dict[str, Command]:
        """Every other command that a command uses, directly or not.

        Raises:
            DefinitionError: a command uses itself.
        """
        found: dict[str, Command] = {}
        self._gather(command, (command.name,), found)
        return found

    def step_file(self, name: str) -> Path | None:
        """The project's script for a step."""
        if self.steps is None or not NAME.match(name):
            return None
        paths = (self.steps / f"{name}{suffix}" for suffix in STEP_SUFFIXES)
        return next((path for path in paths if path.is_file()), None)

    def known_steps(self) -> list[str]:
        """Every name that `uses` can mean."""
        files = self.steps.iterdir() if self.steps and self.steps.is_dir() else ()
        stems = {path.stem for path in files if path.suffix in STEP_SUFFIXES}
        return sorted({*self.builtin, *self.names(), *filter(NAME.match, stems)})

    # -- finding --------------------------------------------------------------------------------

    def _gather(self, command: Command, above: tuple[str, ...], found: dict[str, Command]) -> None:
        for step in command.workflow.steps.values():
            name = step.uses
            if not name or name in self.builtin or self.step_file(name) or name in found:
                continue
            if name in above:
                chain = " → ".join((*above, name))
                raise DefinitionError((Problem(command.source, 0, step.id, f"uses itself: {chain}"),))
            used = self.load(name)
            self._gather(used, (*above, name), found)
            found[name] = used

    def _path(self, name: str, below: int = 0) -> tuple[int, Path]:
        for number, layer in enumerate(self.layers):
            for path in (layer.folder / f"{name}{suffix}" for suffix in SUFFIXES):
                if number >= below and NAME.match(name) and path.is_file():
                    return number, path
        hint = nearest(name, self.names()) or "prj list shows what there is"
        raise NotFoundError(f"there is no command {safe_line(name, 60)!r}", hint)

    def _drafts(self, name: str) -> Iterator[Draft]:
        """The command's own part, then that of what it extends, and so on."""
        seen: list[Path] = []
        layer, path = self._path(name)
        while True:
            if path in seen or len(seen) >= MAX_EXTENDS:
                chain = " → ".join(each.stem for each in (*seen, path))
                what = "in a circle" if path in seen else f"more than {MAX_EXTENDS} deep"
                raise DefinitionError((Problem(str(path), 0, "extends", f"{what}: {chain}"),))
            seen.append(path)
            draft = read(path)
            yield draft
            base = draft.given.get("extends")
            if not base:
                return
            # Extending its own name means the same command in a layer further away.
            try:
                layer, path = self._path(base, layer + 1 if base == path.stem else 0)
            except NotFoundError as error:
                line = draft.document.line(("extends",))
                problem = Problem(draft.file, line, "extends", error.message, error.fix)
                raise DefinitionError((problem,)) from error

    # -- building -------------------------------------------------------------------------------

    def _built(self, draft: Draft, given: Mapping[str, Any]) -> Command:
        lists, repeated = unique(given)
        workflow = _workflow(draft, given, lists)
        problems = [
            Problem(
                draft.file,
                _step_line(draft.document, fault.step, fault.key),
                ".".join(filter(None, (fault.step, fault.key))),
                fault.message,
                fault.fix,
            )
            for fault in faults(workflow)
        ]
        problems += [
            Problem(
                draft.file,
                _step_line(draft.document, step, "id", name),
                name,
                f"there is another step {step!r}",
                "give it an id",
            )
            for name, step in repeated
        ]
        problems += self._unknown(draft, workflow)
        if problems:
            raise DefinitionError(tuple(problems))
        return Command(
            name=draft.name,
            workflow=workflow,
            description=given.get("description", ""),
            category=given.get("category", "workflow"),
            arguments=tuple(given.get("arguments", ())),
            environment=given.get("environment", {}),
            working_directory=given.get("working_directory", ""),
            timeout=given.get("timeout", 1800),
            extends=draft.given.get("extends", ""),
            source=draft.file,
        )

    def _unknown(self, draft: Draft, workflow: Workflow) -> Iterator[Problem]:
        known = self.known_steps()
        for step in workflow.steps.values():
            if step.uses and step.uses not in known:
                line = _step_line(draft.document, step.id, "uses")
                fix = nearest(step.uses, known) or f"write .prj/steps/{step.uses}.sh"
                message = f"there is no step or command {safe_line(step.uses, 60)!r}"
                yield Problem(draft.file, line, f"{step.id}.uses", message, fix)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES and p.is_file())


def _listed(layer: Layer, path: Path) -> Listed:
    try:
        draft = read(path)
    except DefinitionError as error:
        return Listed(path.stem, "", "", layer.source, path, str(error.problems[0]))
    given = draft.given
    return Listed(
        draft.name,
        given.get("description", ""),
        given.get("category", "workflow"),
        layer.source,
        path,
    )


def _workflow(draft: Draft, given: Mapping[str, Any], lists: Mapping[str, list[Step]]) -> Workflow:
    linked = isinstance(given.get("steps"), dict)
    main = lists["steps"]
    ordered = from_lists(lists["pre_steps"], () if linked else main, lists["post_steps"])
    steps = {
        **ordered,
        **{step.id: step for step in (*(main if linked else ()), *lists["cleanup_on_failure"])},
    }
    return Workflow(
        name=draft.name,
        description=given.get("description", ""),
        steps=steps,
        entry_point=given.get("entry_point", "") or (main[0].id if main else ""),
        max_parallel=given.get("max_parallel", 5),
        stop_on_failure=given.get("stop_on_failure", True),
    )


def _merged(base: Mapping[str, Any], child: Mapping[str, Any]) -> dict[str, Any]:
    """The child over its base: arguments by name and the environment are joined, the rest replaced."""
    if "steps" in child and "entry_point" not in child:
        base = {key: value for key, value in base.items() if key != "entry_point"}
    merged = {**base, **child}
    merged["environment"] = {**base.get("environment", {}), **child.get("environment", {})}
    arguments = {a.name: a for a in (*base.get("arguments", ()), *child.get("arguments", ()))}
    merged["arguments"] = list(arguments.values())
    return merged


def _step_line(found_in: Document, step_id: str, key: str, only: str = "") -> int:
    """The line of a step's key, or of the step (the last of that name), or 1 when it is not here."""
    for name in LISTS:
        listed = (found_in.data or {}).get(name) if only in {"", name} else None
        places = listed.items() if isinstance(listed, dict) else enumerate(listed or ())
        places = reversed(list(places)) if only else places
        for place, value in places:
            own = value if isinstance(value, dict) else {"name": value}
            if step_id in {place, own.get("id"), own.get("name"), slug(str(own.get("name", "")))}:
                spellings = [key, *(habit for habit, known in HABITS.items() if known == key)]
                found = next((each for each in spellings if each in own), "")
                return found_in.line((name, place, found) if found else (name, place))
    return found_in.line((key,))
