"""What package managers call their lock files, what they install, and how."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple


class Installer(NamedTuple):
    """A package manager: its lock file, the folder of packages that it makes, and its command.

    With `always`, packages may be outside of the checkout, so that a missing folder says nothing.
    """

    lock: str
    packages: str
    argv: tuple[str, ...]
    variables: Mapping[str, str] = {}
    always: bool = False


CHOOSING_VARIABLES = frozenset({
    *("virtual_env", "conda_prefix", "uv_project", "uv_project_environment", "uv_system_python"),
    *("uv_working_dir", "uv_working_directory", "pdm_project", "pdm_python", "pdm_use_venv"),
    *("poetry_virtualenvs_create", "poetry_virtualenvs_path", "poetry_virtualenvs_in_project"),
    *("npm_config_dir", "npm_config_global", "npm_config_local_prefix", "npm_config_location"),
    *("npm_config_modules_dir", "npm_config_modules_folder", "npm_config_virtual_store_dir"),
    *("npm_config_workspace", "yarn_modules_folder"),
})
"""Variables, in lower case, that make package managers install into another place than the project."""
_IN_PROJECT = {"POETRY_VIRTUALENVS_IN_PROJECT": "true", "POETRY_VIRTUALENVS_CREATE": "true"}
_NPM = ("npm", "ci", "--prefer-offline", "--no-audit", "--no-fund")
_PNPM = ("pnpm", "install", "--frozen-lockfile", "--prefer-offline")
INSTALLERS = (
    Installer("uv.lock", ".venv", ("uv", "sync", "--frozen", "--all-packages")),
    Installer("poetry.lock", ".venv", ("poetry", "install", "--no-interaction"), _IN_PROJECT, always=True),
    Installer("pdm.lock", ".venv", ("pdm", "sync", "--non-interactive"), {"PDM_VENV_IN_PROJECT": "true"}),
    Installer("package-lock.json", "node_modules", _NPM),
    Installer("npm-shrinkwrap.json", "node_modules", _NPM),
    Installer("pnpm-lock.yaml", "node_modules", _PNPM),
    Installer("yarn.lock", "node_modules", ("yarn", "install", "--frozen-lockfile")),
    Installer("bun.lock", "node_modules", ("bun", "install", "--frozen-lockfile")),
    Installer("bun.lockb", "node_modules", ("bun", "install", "--frozen-lockfile")),
)
_BY_LOCK = {installer.lock: installer for installer in INSTALLERS}


class LockFile(NamedTuple):
    """A lock file of a tree: its folder, relative to the root, and its installer."""

    folder: str
    installer: Installer

    @property
    def path(self) -> str:
        """The path of the file, relative to the root."""
        return join_path(self.folder, self.installer.lock)

    @property
    def packages(self) -> str:
        """The folder of the packages, relative to the root."""
        return join_path(self.folder, self.installer.packages)

    def is_equal(self, tree: Path, other: Path) -> bool:
        """Return whether two trees have the same lock file."""
        try:
            return (tree / self.path).read_bytes() == (other / self.path).read_bytes()
        except OSError:
            return False


def find_lock_files(paths: Iterable[str]) -> list[LockFile]:
    """Return the lock files among the paths of a tree, the top first."""
    found = []
    for path in paths:
        folder, _, name = path.rpartition("/")
        if installer := _BY_LOCK.get(name):
            found.append(LockFile(folder, installer))
    return sorted(found, key=lambda lock: (lock.folder.count("/") + bool(lock.folder), lock.path))


def find_owner(packages: str, locks: Iterable[LockFile]) -> LockFile | None:
    """Return the lock file that a folder of packages was installed from: the nearest one above it."""
    folder, _, name = packages.rpartition("/")
    name = ".venv" if name == "venv" else name
    above = [
        lock
        for lock in locks
        if lock.installer.packages == name
        and (not lock.folder or folder == lock.folder or folder.startswith(f"{lock.folder}/"))
    ]
    return above[-1] if above else None


def join_path(folder: str, name: str) -> str:
    """Return the path of a name in a folder, which is empty for the root."""
    return f"{folder}/{name}" if folder else name
