"""Copy installed packages (`.venv`, `node_modules`) into another tree: nothing may write to the user's own.

The copies name their own tree: scripts, `.pth` files and other files that hold the path of the old one are
rewritten, and links stay inside.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from prunejuice.edits.path_rules import parent_folders
from prunejuice.worktrees.clone_file import clone_with_metadata

PACKAGE_FOLDERS = (".venv", "venv", "node_modules")
_LARGE_FILE_BYTES = 16 << 20
_LIBRARY = re.compile(r"\.(?:so(?:\.[0-9]+)*|node|dylib|dll)$")
"""Large libraries are hard links where the disk allows it: they are replaced, not written in place."""
_MAX_REWRITTEN_BYTES = 1 << 20
_PATH_FILES = ("*.pth", "__editable__*", "*.egg-link", "*.dist-info/direct_url.json")
"""Files of `site-packages` that hold the paths of editable packages."""

UV_ENVIRONMENT = "UV_PROJECT_ENVIRONMENT"
_PATH_VARIABLES = ("PATH", "VIRTUAL_ENV", "CONDA_PREFIX", UV_ENVIRONMENT)


def find_package_folders(root: Path, paths: Iterable[str]) -> list[str]:
    """Return the folders of installed packages at the top of a tree and beside its `paths`."""
    parents = dict.fromkeys(["", *(parent for path in paths for parent in parent_folders(path))])
    candidates = (f"{parent}/{name}".lstrip("/") for parent in parents for name in PACKAGE_FOLDERS)
    return [candidate for candidate in candidates if (root / candidate).is_dir()]


def copy_packages(source_root: Path, target_root: Path, folder: str) -> None:
    """Copy a folder of installed packages from one tree to the same place in another.

    Raises:
        OSError: the disk refused, or the folder contains the other tree.
    """
    source, target = (source_root / folder).resolve(), target_root / folder
    if target.is_relative_to(source):
        raise OSError(f"{folder} contains its own copy")
    # A folder that is a link out of the tree has links and scripts that name its own place.
    is_outside = not source.is_relative_to(source_root.resolve())
    roots = (source, target) if is_outside else (source_root, target_root)
    _copy_folder(source, target, *roots)
    for old, new in dict.fromkeys([roots, (source_root, target_root)]):
        relocate_packages(target, old, new)


def _copy_folder(source: Path, target: Path, source_root: Path, target_root: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with os.scandir(source) as entries:
        for entry in entries:
            copy = target / entry.name
            if os.path.lexists(copy):
                continue
            if entry.is_symlink():
                copy.symlink_to(moved_link(Path(entry.path), source_root, target_root))
            elif entry.is_dir():
                _copy_folder(Path(entry.path), copy, source_root, target_root)
            elif entry.is_file():
                _copy_file(Path(entry.path), copy, entry.stat().st_size)


def moved_link(link: Path, source_root: Path, target_root: Path) -> Path:
    """Return the destination of a link for the copy of it; inside the tree it leads to the new tree."""
    destination = link.readlink()
    if destination.is_absolute():
        if destination.is_relative_to(source_root):
            return target_root / destination.relative_to(source_root)
        return destination
    reached = Path(os.path.normpath(link.parent / destination))
    return destination if reached.is_relative_to(source_root) else reached


def _copy_file(source: Path, target: Path, size: int) -> None:
    if size >= _LARGE_FILE_BYTES and _LIBRARY.search(source.name):
        try:
            target.hardlink_to(source)
        except OSError:  # another file system
            pass
        else:
            return
    clone_with_metadata(source, target)


def relocate_packages(folder: Path, source_root: Path, target_root: Path) -> None:
    """Replace the path of an old tree by that of a new one in the files of a virtual environment.

    Nothing is written outside of the new tree, wherever links lead.
    """
    if not (folder / "pyvenv.cfg").is_file():
        return
    files = [folder / "pyvenv.cfg", *folder.glob("bin/*")]
    for packages in folder.glob("lib/python*/site-packages"):
        files += [file for pattern in _PATH_FILES for file in packages.glob(pattern)]
    old_roots = {os.fsencode(root) for root in (source_root, source_root.resolve())}
    old_path = re.compile(b"(?:" + b"|".join(map(re.escape, old_roots)) + rb")(?=[/\s\"':;,)\]}]|$)")
    new_root = os.fsencode(target_root)
    for file in files:
        inside = file.resolve().is_relative_to(target_root.resolve())
        if not inside or not file.is_file() or file.stat().st_size > _MAX_REWRITTEN_BYTES:
            continue
        data = file.read_bytes()
        if b"\0" in data:
            continue
        if (relocated := old_path.sub(lambda _match: new_root, data)) != data:
            file.write_bytes(relocated)


def relocate_variables(environ: Mapping[str, str], source_root: Path, target_root: Path) -> dict[str, str]:
    """Return `environ` with the programs of another tree's packages first, where that tree has them.

    Entries of PATH below the old tree, and virtual environments, name the same place of the new tree if it
    exists. The environment that uv writes to is never that of another tree.
    """
    # Strings, not paths: this runs before each step.
    roots = dict.fromkeys((str(source_root), os.path.realpath(source_root)))
    moved = {
        name: os.pathsep.join(
            _moved_path(entry, roots, target_root) for entry in environ[name].split(os.pathsep)
        )
        for name in _PATH_VARIABLES
        if name in environ
    }
    project = moved.get(UV_ENVIRONMENT, "")
    if Path(project).is_absolute() and not Path(project).is_relative_to(target_root):
        return {name: value for name, value in {**environ, **moved}.items() if name != UV_ENVIRONMENT}
    return {**environ, **moved}


def _moved_path(path: str, roots: Iterable[str], target_root: Path) -> str:
    for root in roots:
        if path == root or path.startswith(f"{root}{os.sep}"):
            moved = f"{target_root}{path[len(root) :]}"
            return moved if os.path.isdir(moved) else path  # noqa: PTH112
    return path
