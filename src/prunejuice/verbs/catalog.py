"""Find verbs: built in, the user's, the project's, and commands written for other tools."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from prunejuice.errors import DefinitionError, MisspeltError, NotFoundError, Problem, UsageError
from prunejuice.system import settings
from prunejuice.text import spelling_hint
from prunejuice.verbs import report, verb
from prunejuice.verbs.arguments import SUMMARIZE
from prunejuice.verbs.verb import Verb
from prunejuice.workflow.project import Project

_BUILT_IN = Path(__file__).with_name("builtin")
_MAX_BYTES = 200_000
_SUMMARIZE = Verb(
    SUMMARIZE, "Summarize code: purpose, components, dependencies, entry points", "", source="built in"
)
"""The only verb without a Markdown file: it asks about each file and folder in turn."""


def is_built_in(name: str) -> bool:
    """Return whether a verb is built in."""
    return name == SUMMARIZE or (verb.is_verb_name(name) and (_BUILT_IN / f"{name}.md").is_file())


def built_in_verb(name: str) -> Verb:
    """Return a built-in verb."""
    return _SUMMARIZE if name == SUMMARIZE else _read_verb(name, _BUILT_IN / f"{name}.md", "built in")


def find_verb(name: str, project: Project, environ: Mapping[str, str]) -> Verb:
    """Return the verb with a name; a project's verb cannot replace a built-in or a user's one.

    Raises:
        NotFoundError: no verb has this name.
        DefinitionError: its definition is invalid.
        UsageError: its file could not be read.
    """
    if name == SUMMARIZE:
        return built_in_verb(name)
    files = dict(reversed(list(_verb_files(project, environ))))
    if name not in files:
        if hint := spelling_hint(name, files):
            raise MisspeltError(f"unknown verb {name!r}", hint)
        raise NotFoundError(f"unknown verb {name!r}", "run `codebot list` to see the available verbs")
    definition = _read_verb(name, *files[name])
    if definition.result is not None and (message := report.schema_error(definition.result)):
        raise DefinitionError((Problem(str(files[name][0]), 1, "result", message),))
    return definition


def all_verbs(project: Project, environ: Mapping[str, str]) -> list[Verb]:
    """Return all verbs sorted by name, without those whose definition is invalid."""
    files = dict(reversed(list(_verb_files(project, environ))))
    verbs = [_SUMMARIZE]
    for name in files.keys() - {SUMMARIZE}:
        try:
            verbs.append(_read_verb(name, *files[name]))
        except UsageError:  # calling the verb reports what is wrong with it
            continue
    return sorted(verbs, key=lambda definition: definition.name)


def _verb_files(project: Project, environ: Mapping[str, str]) -> Iterator[tuple[str, tuple[Path, str]]]:
    """Yield verb names with their file and source; the first file of a name takes precedence."""
    folders = (
        (_BUILT_IN, "built in"),
        (settings.config_directory(environ) / "verbs", "yours"),
        (project.prj / "verbs", ".prj/verbs"),
        (project.root / ".claude" / "commands", ".claude/commands"),
    )
    for folder, source in folders:
        # Links are skipped: a project must not read files outside of it as prompts.
        if folder.is_symlink() or not folder.is_dir():
            continue
        for path in sorted(folder.rglob("*.md")):
            name = ":".join(path.relative_to(folder).with_suffix("").parts)
            if verb.is_verb_name(name) and not path.is_symlink():
                yield name, (path, source)


def _read_verb(name: str, path: Path, source: str) -> Verb:
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"could not read {path}: {error.strerror}") from error
    if len(text) > _MAX_BYTES:
        raise UsageError(f"{path} is longer than {_MAX_BYTES:,} bytes", "shorten it")
    parsed = verb.parse_verb(name, text.decode("utf-8", "replace"), str(path))
    return parsed._replace(source=source)
