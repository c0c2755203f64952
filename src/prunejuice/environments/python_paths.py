"""The variables by which Python imports the sources of a tree, not those of the checkout."""

import ast
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from prunejuice.environments.active_environment import list_named_environments
from prunejuice.system.untrusted_files import is_folder, read_small_text

_PYTHON_FILES = ("pyproject.toml", "setup.py", "setup.cfg", "pytest.ini", "conftest.py", "tox.ini")
_FINDER_MAPPING = re.compile(r"^MAPPING[^=\n]*= (\{.*\})$", re.MULTILINE)
"""The folders of packages in a module by which setuptools finds an editable package."""


def tree_variables(
    tree: Path,
    checkout: Path,
    environ: Mapping[str, str],
    declared: Mapping[str, str] = MappingProxyType({}),
    *,
    is_shown_there: bool = False,
) -> dict[str, str]:
    """Return the variables by which Python imports the sources of a tree before installed ones.

    For the checkout itself there are none, unless another tree `is_shown_there`. An editable package leads
    every import back to the checkout, and tests pass on other code: its folder in the tree comes first. Of
    the caller's PYTHONPATH only folders of the project are kept, of a `declared` one all.
    """
    own: list[Path] = []
    if (is_shown_there or tree != checkout) and _has_python(tree):
        roots = find_editable_roots(checkout, {**environ, **declared})
        editable = [tree / root.relative_to(checkout) for root in roots]
        own = [folder for folder in dict.fromkeys([tree / "src", *editable, tree]) if is_folder(folder)]
    entries = (Path(entry) for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry)
    kept = [tree / entry.relative_to(checkout) for entry in entries if entry.is_relative_to(checkout)]
    paths = dict.fromkeys(filter(None, [*map(str, [*own, *kept]), declared.get("PYTHONPATH", "")]))
    return {"PYTHONPATH": os.pathsep.join(paths)} if paths else {}


def _has_python(tree: Path) -> bool:
    """Return whether a tree has Python at its top, or a Python project one or two folders below it."""
    if any((tree / name).is_file() for name in _PYTHON_FILES) or any(tree.glob("*.py")):
        return True
    folders = list(_list_folders(tree))
    inner = (folder for parent in folders for folder in _list_folders(parent))
    return any((folder / "pyproject.toml").is_file() for folder in chain(folders, inner))


def _list_folders(parent: Path) -> Iterator[Path]:
    """Yield the folders in a folder, without hidden ones and those of packages."""
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith((
                ".",
                "node_modules",
                "venv",
            )):
                yield Path(entry.path)


def find_editable_roots(checkout: Path, environ: Mapping[str, str]) -> list[Path]:
    """Return the folders of a checkout that the caller's virtual environments import packages from."""
    roots: dict[Path, None] = {}
    for environment in _list_environments(checkout, environ):
        for packages in filter(is_folder, environment.glob("lib/python*/site-packages")):
            for root in _read_roots(packages, packages.stat().st_mtime_ns):
                if root.is_relative_to(checkout) and "site-packages" not in root.parts:
                    roots[root] = None
    return list(roots)


def _list_environments(checkout: Path, environ: Mapping[str, str]) -> list[Path]:
    folders = dict.fromkeys([*list_named_environments(environ), f"{checkout}/.venv", f"{checkout}/venv"])
    return [Path(folder) for folder in folders if os.path.isfile(f"{folder}/pyvenv.cfg")]  # noqa: PTH113


@lru_cache(maxsize=32)
def _read_roots(packages: Path, _modified: int) -> tuple[Path, ...]:
    """Return the folders that the files of editable packages name; read again once files come or go."""
    listed = packages.iterdir() if os.access(packages, os.R_OK) else ()
    files = [file for file in sorted(listed) if file.name.endswith((".pth", "_finder.py"))]
    texts = {file: read_small_text(file, follow_link=True) for file in files}
    lines = (line for file, text in texts.items() if file.suffix == ".pth" for line in text.splitlines())
    mappings = (_FINDER_MAPPING.search(text) for file, text in texts.items() if file.suffix == ".py")
    mapped = (root for match in mappings if match for root in _parse_mapping(match[1]))
    roots = (*(Path(line.strip()) for line in lines if line.startswith("/")), *mapped)
    return tuple(Path(os.path.normpath(root)) for root in roots)


def _parse_mapping(text: str) -> Iterator[Path]:
    with suppress(ValueError, SyntaxError, RecursionError, MemoryError, AttributeError, TypeError):
        for name, folder in ast.literal_eval(text).items():
            path = Path(folder)
            parts = str(name).split(".")
            if path.parts[-len(parts) :] == tuple(parts):
                yield Path(*path.parts[: -len(parts)])
