"""Equip a worktree with the environment of a checkout: its packages, and the ignored files that it needs.

Nothing is shared with the checkout, whose own files stay as they are. Packages are copied if the lock file
is the same in both, and installed anew otherwise. An explicit `setup:` replaces both.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from prunejuice.environments import ignored_files, installed_packages, manifests, outside_paths
from prunejuice.environments.manifests import LockFile
from prunejuice.errors import GitError
from prunejuice.system import process, settings
from prunejuice.system.deletion import delete_folder
from prunejuice.system.settings import Settings
from prunejuice.system.stop_request import Stop
from prunejuice.system.untrusted_files import is_behind_link
from prunejuice.text import safe_line
from prunejuice.worktrees.git import Git

_INSTALL_SECONDS = 1800.0

Kind = Literal["packages", "file", "install", "link", "setup", "services", "missing"]


class Supply(NamedTuple):
    """One thing that a tree gets: packages or a file to copy, a lock file to install from, or a link.

    `why` says why packages are installed, or what cannot be had. The path of a setup or of
    services is their command.
    """

    kind: Kind
    path: str
    lock: LockFile | None = None
    why: str = ""

    def __str__(self) -> str:
        if self.kind == "install" and self.lock:
            where = f" in {self.lock.folder}" if self.lock.folder else ""
            return safe_line(f"run `{' '.join(self.lock.installer.argv)}`{where}: {self.why}", 300)
        if self.kind in {"setup", "services"}:
            return safe_line(f"run `{self.path}` (setting {self.kind})", 300)
        if self.kind == "missing":
            return safe_line(f"lacks {self.path}: {self.why}", 300)
        return safe_line(f"{'link' if self.kind == 'link' else 'copy'} {self.path}", 300)


def plan_equipment(
    git: Git,
    tree_git: Git | None,
    environ: Mapping[str, str],
    *,
    may_install: bool,
    has_setup: bool = False,
) -> list[Supply]:
    """Return what a tree gets that stands in for a checkout, from git of the checkout and git of the tree.

    What git does not ignore in the tree is left out: it would become part of the work. Without
    `may_install`, packages that would have to be installed are missing: that executes code of the tree.
    Without a tree, return what a new worktree of the same commit would get.

    Raises:
        GitError: git failed.
    """
    checkout, tree = Path(git.directory), Path(tree_git.directory) if tree_git else None
    if not (checkout / ".git").exists():  # a bare repository has no environment
        return []
    files = [path for path in ignored_files.find_needed_files(git) if not _has(tree, path)]
    tracked = git.list_tracked()
    known = dict.fromkeys([*tracked, *(tree_git.list_tracked() if tree_git else ())])
    packages = [] if has_setup else _plan_packages(checkout, tree, list(known), environ)
    packages = [_require_inside(supply, tree) for supply in packages]
    files = [path for path in files if not (tree and is_behind_link(tree, path))]
    paths = [*files, *(f"{supply.path}/" for supply in packages if supply.kind != "missing")]
    ignored = _find_ignored(tree_git, paths) if tree_git else set(paths)
    supplies = [_require_ignored(supply, checkout, ignored) for supply in packages]
    supplies = supplies if may_install else [_refuse_install(supply) for supply in supplies]
    needed = [Supply("file", path) for path in files if path in ignored]
    links = outside_paths.list_missing_links(checkout, tree, tracked) if tree else []
    return [*supplies, *needed, *(Supply("link", f"../{name}") for name in links)]


def find_changed_lock(checkout: Path, tree: Path, paths: Iterable[str]) -> str:
    """Return the first lock file among `paths` that differs in a checkout and a tree; or empty."""
    locks = manifests.find_lock_files(paths)
    return next((lock.path for lock in locks if not lock.is_equal(checkout, tree)), "")


def preview_equipment(git: Git, environ: Mapping[str, str], settings: Settings) -> list[Supply]:
    """Return what a new worktree of the checkout's commit gets, by the settings of the project.

    Outside of a repository nothing is returned.
    """
    if not git.is_repository():
        return []
    has_setup = bool(settings.setup)
    supplies = plan_equipment(git.locate(), None, environ, may_install=True, has_setup=has_setup)
    commands = (Supply("setup", settings.setup), Supply("services", settings.services))
    return [*supplies, *(each for each in commands if each.path)]


def _refuse_install(supply: Supply) -> Supply:
    """Return what may be had of a supply if nothing may be installed."""
    if supply.kind != "install" or supply.lock is None:
        return supply
    argv = " ".join(supply.lock.installer.argv)
    fix = "run it yourself, or `prj trust` the project"
    return supply._replace(
        kind="missing", why=f"{supply.why}, and `{argv}` executes code of this branch: {fix}"
    )


def _has(tree: Path | None, path: str) -> bool:
    return tree is not None and os.path.lexists(tree / path)


def _find_ignored(git: Git, paths: Sequence[str]) -> set[str]:
    """Return those of the paths, which need not exist, that git ignores.

    Raises:
        GitError: git failed; it does for a path behind a link.
    """
    if not paths:
        return set()
    given = "".join(f"{path}\0" for path in paths).encode("utf-8", "surrogateescape")
    found = git.try_run("check-ignore", "--no-index", "--stdin", "-z", given=given, limit=1 << 28)
    if found.code > 1:  # 1: none is ignored
        raise GitError(f"git check-ignore failed in {git.directory}: {safe_line(found.stderr, 400)}")
    return set(found.stdout.decode("utf-8", "surrogateescape").split("\0"))


def _require_ignored(supply: Supply, checkout: Path, ignored: set[str]) -> Supply:
    if supply.kind == "missing":
        return supply
    if f"{supply.path}/" in ignored or (checkout / supply.path / ".gitignore").is_file():
        return supply
    return supply._replace(kind="missing", why="git does not ignore it in this tree")


def _require_inside(supply: Supply, tree: Path | None) -> Supply:
    if tree and is_behind_link(tree, supply.path):
        return supply._replace(kind="missing", why="it is behind a link of this tree")
    return supply


def _plan_packages(
    checkout: Path, tree: Path | None, tracked: Sequence[str], environ: Mapping[str, str]
) -> list[Supply]:
    locks = manifests.find_lock_files(tracked)
    supplies: dict[str, Supply] = {}
    for folder in installed_packages.find_package_folders(checkout, tracked):
        if not _has(tree, folder):
            owner = manifests.find_owner(folder, locks)
            supply = _supply_packages(folder, owner, checkout, tree, environ)
            supplies.setdefault(supply.path, supply)
    for lock in locks:
        is_elsewhere = lock.installer.always and not environ.get("VIRTUAL_ENV")
        is_missing = lock.packages not in supplies and not _has(tree, lock.packages)
        if is_elsewhere and is_missing and _is_installed(lock, environ):
            reason = "its packages are outside of the checkout"
            supplies[lock.packages] = Supply("install", lock.packages, lock, reason)
    return list(supplies.values())


def _supply_packages(
    folder: str, owner: LockFile | None, checkout: Path, tree: Path | None, environ: Mapping[str, str]
) -> Supply:
    if owner is None or tree is None or owner.is_equal(checkout, tree):
        return Supply("packages", folder)
    if not (tree / owner.path).exists():
        return Supply("missing", folder, owner, f"{owner.path} is not in this tree")
    if _is_installed(owner, environ):
        return Supply("install", owner.packages, owner, f"{owner.path} differs from that of the checkout")
    program = owner.installer.argv[0]
    return Supply("missing", folder, owner, f"{owner.path} differs, and {program} is not installed")


def _is_installed(lock: LockFile, environ: Mapping[str, str]) -> bool:
    return shutil.which(lock.installer.argv[0], path=environ.get("PATH")) is not None


def equip_tree(
    checkout: Path,
    tree: Path,
    supplies: Sequence[Supply],
    call: process.ProcessSpec,
    report: Callable[[str], None],
    stop: Stop | None = None,
) -> None:
    """Give a tree what was planned; `report` receives a line for each thing, and what could not be done.

    `call` has the environment and the tag of the processes that install packages.
    """
    for supply in supplies:
        if supply.kind == "packages":
            _copy_packages(checkout, tree, supply.path, report)
        elif supply.kind == "install" and supply.lock:
            _install(tree, supply.lock, call, report, stop)
        elif supply.kind == "link":
            outside_paths.make_link(checkout, tree, Path(supply.path).name)
            report(f"  ✓ Linked {supply.path}")
        elif supply.kind == "missing":
            report(f"  ⚠ {supply}")
    _copy_files(checkout, tree, (supply.path for supply in supplies if supply.kind == "file"), report)


def _copy_packages(checkout: Path, tree: Path, path: str, report: Callable[[str], None]) -> None:
    try:
        installed_packages.copy_packages(checkout, tree, path)
    except OSError as error:
        delete_folder(tree / path)  # half of an environment fails in stranger ways than none
        report(safe_line(f"  ⚠ {path} was not copied: {error.strerror or error}", 300))
    else:
        report(safe_line(f"  ✓ Copied {path}", 300))


def _copy_files(checkout: Path, tree: Path, paths: Iterable[str], report: Callable[[str], None]) -> None:
    for result in ignored_files.copy_files(checkout, tree, paths):
        report(str(result))


def _install(
    tree: Path,
    lock: LockFile,
    call: process.ProcessSpec,
    report: Callable[[str], None],
    stop: Stop | None,
) -> None:
    """Install packages in a tree; a failure is reported, since a step may do without them."""
    argv = lock.installer.argv
    inherited = settings.inherited_environment(call.env)
    # Whatever environment the caller's variables choose is not that of the tree.
    kept = {
        name: value for name, value in inherited.items() if name.lower() not in manifests.CHOOSING_VARIABLES
    }
    env = {**kept, **lock.installer.variables}
    call = call._replace(argv=argv, cwd=tree / lock.folder, env=env, timeout=_INSTALL_SECONDS)
    result = process.capture_output(call, 1 << 20, stop)
    shown = " ".join(argv)
    if not result.code:
        report(f"  ✓ Installed {lock.packages}: {shown}")
        return
    report(f"  ⚠ {shown} failed: exit {result.code}")
    for line in (result.stderr or result.stdout).decode("utf-8", "replace").rstrip().splitlines()[-8:]:
        report(f"    {safe_line(line, 200)}")
