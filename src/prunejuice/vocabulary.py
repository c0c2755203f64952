"""Which verbs there are: built in, the user's, the project's, and those written for other tools."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from prunejuice import report, settings, verb
from prunejuice.errors import DefinitionError, NotFoundError, Problem, UsageError
from prunejuice.project import Project
from prunejuice.text import nearest
from prunejuice.told import SUMMARIZE
from prunejuice.verb import Verb

_BUILT_IN = Path(__file__).with_name("verbs")
_LARGEST = 200_000
_SUMMARIZE = Verb(
    SUMMARIZE, "Summarize code: purpose, components, dependencies, entry points", "", source="built in"
)
"""The one verb that is no Markdown: it asks about files, folders and the whole, each by itself."""


def is_built_in(name: str) -> bool:
    """Whether a verb is one of ours."""
    return name == SUMMARIZE or (verb.is_name(name) and (_BUILT_IN / f"{name}.md").is_file())


def built_in(name: str) -> Verb:
    """One of our verbs."""
    return _SUMMARIZE if name == SUMMARIZE else _read(name, _BUILT_IN / f"{name}.md", "built in")


def find(name: str, project: Project, environ: Mapping[str, str]) -> Verb:
    """The verb of a name; a project cannot put another in the place of one that is built in or the user's.

    Raises:
        NotFoundError: there is none.
        DefinitionError: it is written wrongly.
        UsageError: it cannot be read.
    """
    if name == SUMMARIZE:
        return built_in(name)
    places = dict(reversed(list(_places(project, environ))))
    if name not in places:
        hint = nearest(name, places) or "codebot list shows what there is"
        raise NotFoundError(f"there is no verb {name!r}", hint)
    made = _read(name, *places[name])
    if made.result is not None and (wrong := report.fault(made.result)):
        raise DefinitionError((Problem(str(places[name][0]), 1, "result", wrong),))
    return made


def every(project: Project, environ: Mapping[str, str]) -> list[Verb]:
    """All verbs, by name; those that are written wrongly are left out."""
    places = dict(reversed(list(_places(project, environ))))
    found = [_SUMMARIZE]
    for name in places.keys() - {SUMMARIZE}:
        try:
            found.append(_read(name, *places[name]))
        except UsageError:  # what is wrong is told to whoever calls it
            continue
    return sorted(found, key=lambda each: each.name)


def _places(project: Project, environ: Mapping[str, str]) -> Iterator[tuple[str, tuple[Path, str]]]:
    """Names with the file that says what they mean; the first of a name counts."""
    folders = (
        (_BUILT_IN, "built in"),
        (settings.config_directory(environ) / "verbs", "yours"),
        (project.prj / "verbs", ".prj/verbs"),
        (project.root / ".claude" / "commands", ".claude/commands"),
    )
    for folder, source in folders:
        if folder.is_symlink() or not folder.is_dir():
            continue
        for path in sorted(folder.rglob("*.md")):
            name = ":".join(path.relative_to(folder).with_suffix("").parts)
            if verb.is_name(name) and not path.is_symlink():
                yield name, (path, source)


def _read(name: str, path: Path, source: str) -> Verb:
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if len(text) > _LARGEST:
        raise UsageError(f"{path} is longer than {_LARGEST:,} bytes", "say it in fewer words")
    found = verb.read(name, text.decode("utf-8", "replace"), str(path))
    return found._replace(source=source)
