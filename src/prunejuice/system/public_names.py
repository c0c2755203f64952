"""Public names: loaded when they are first used, and kept under their old names and paths for a while."""

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, spec_from_loader
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from importlib.abc import Loader


def lazy_names(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a `__getattr__` for a package that imports each of its names on first use.

    `modules` maps a module to its names, separated by spaces.
    """
    sources = {name: module for module, names in modules.items() for name in names.split()}

    def load_name(name: str) -> Any:
        if name not in sources:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(sources[name]), name)

    return load_name


class MovedModules:
    """A meta path finder that redirects old module paths to new ones, with a `DeprecationWarning`.

    It comes last on the meta path, so it is consulted only for modules that no other finder finds.
    """

    def __init__(self, moved: Mapping[str, str]) -> None:
        self.moved = moved

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec for an old module path, or None for any other name."""
        return (
            spec_from_loader(name, cast("Loader", self))
            if name in self.moved and find_spec(self.moved[name])
            else None
        )

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return a module that looks up every attribute in the new module."""
        target = self.moved[spec.name]
        # The import machinery adds frames between the import statement and this call; 6 skips them all.
        warnings.warn(f"{spec.name} moved to {target}", DeprecationWarning, stacklevel=6)
        module = ModuleType(spec.name)
        module.__getattr__ = lambda name: getattr(import_module(target), name)  # type: ignore[method-assign]
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: attributes come from the new module."""

    def install(self) -> None:
        """Append this finder to `sys.meta_path`."""
        sys.meta_path.append(self)


def renamed(old: str, new: str) -> Any:
    """Return a property under the old name of a method or property: it warns, and gives the new one.

    `old` and `new` are `Class.name`.
    """
    attribute = new.rpartition(".")[2]

    def read(self: Any) -> Any:
        warnings.warn(f"{old} is now {new}", DeprecationWarning, stacklevel=2)
        return getattr(self, attribute)

    return property(read, doc=f"Deprecated: use `{new}`.")
