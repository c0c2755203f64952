"""Alternatives found by name: ours from a table, those of other packages by entry point.

Nothing is imported before it is used, and the entry points are read only when a name is not in the table.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from prunejuice.errors import DefinitionError, NotFoundError, Problem
from prunejuice.text import safe_line, spelling_hint

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class Extension(NamedTuple):
    """An alternative. `target` is `module:attribute`; `package` is the name and version of its package."""

    group: str
    name: str
    target: str
    package: str = ""


class ExtensionPoint:
    """The alternatives of one kind.

    `group` is the group of entry points, such as `prunejuice.agents`. `builtin` maps the names of ours to
    `module` or `module:attribute`; another package cannot replace them.
    """

    def __init__(self, group: str, builtin: Mapping[str, str]) -> None:
        self.group, self._builtin = group, builtin

    def __contains__(self, name: object) -> bool:
        return name in self._builtin or name in _entry_points(self.group)

    def names(self) -> list[str]:
        """Return every name: ours first, then those of other packages."""
        return [extension.name for extension in self.list_all()]

    def list_all(self) -> Iterator[Extension]:
        """Yield every alternative without importing any."""
        for name, target in self._builtin.items():
            yield Extension(self.group, name, target)
        for name, entry in _entry_points(self.group).items():
            if name not in self._builtin:
                package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "unknown package"
                yield Extension(self.group, name, entry.value, package)

    def load(self, name: str) -> Any:
        """Import and return the object of a name.

        Raises:
            NotFoundError: no alternative has this name.
            DefinitionError: the package that brought it cannot be imported.
        """
        if name in self._builtin:
            module, _, attribute = self._builtin[name].partition(":")
            loaded = import_module(module)
            return getattr(loaded, attribute) if attribute else loaded
        entry = _entry_points(self.group).get(name)
        if entry is None:
            kind = self.group.rpartition(".")[2].removesuffix("s")
            names = self.names()
            fix = spelling_hint(name, names) or f"available: {', '.join(names)}"
            raise NotFoundError(f"unknown {kind} {safe_line(name, 60)!r}", fix)
        try:
            return entry.load()
        except (ImportError, AttributeError) as error:
            problem = Problem(f"entry point {self.group}: {name}", 0, entry.value, str(error))
            raise DefinitionError((problem,)) from error


@cache
def _entry_points(group: str) -> "Mapping[str, EntryPoint]":
    """Return the entry points of a group by name; the first of two with the same name counts."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and rarely needed

    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=group):
        found.setdefault(entry.name, entry)
    return found
