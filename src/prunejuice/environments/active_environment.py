"""Activate the virtual environment of a tree for its processes, if the user has activated none."""

import os
from collections.abc import Mapping
from pathlib import Path

from prunejuice.worktrees import git as gits
from prunejuice.worktrees.waiting_changes import find_git_dir

_FOLDERS = (".venv", "venv")
_tracked_folders: dict[tuple[str, int, str], bool] = {}
"""Whether git tracks a folder, by the index file, its time and the name of the folder."""


def activate_environment(
    folder: Path, environ: Mapping[str, str], root: Path | None = None
) -> Mapping[str, str]:
    """Return `environ` with the programs of the virtual environment of a folder's tree first.

    An environment that the user has activated stays, except the base of conda. One that git tracks is left
    alone: its programs are what somebody else wrote. `root` is the tree that processes see at `folder`.
    """
    top = Path(gits.find_top(folder) or folder)
    if _is_active(top, environ):
        return environ
    for name in _FOLDERS:
        has_own = root is not None and root != folder and (root / name).exists()
        if (top / name / "pyvenv.cfg").is_file() and not has_own and not _is_tracked(top, name, environ):
            path = os.pathsep.join(filter(None, [str(top / name / "bin"), environ.get("PATH", "")]))
            return {**environ, "PATH": path, "VIRTUAL_ENV": str(top / name)}
    return environ


def list_named_environments(environ: Mapping[str, str]) -> list[str]:
    """Return the folders that may be environments by the variables of a user: active, or in PATH."""
    active = (environ.get(name, "") for name in ("VIRTUAL_ENV", "CONDA_PREFIX"))
    # Strings, not paths: this runs before each step.
    programs = filter(None, environ.get("PATH", "").split(os.pathsep))
    return list(dict.fromkeys([*filter(None, active), *map(os.path.dirname, programs)]))


def _is_active(top: Path, environ: Mapping[str, str]) -> bool:
    """Return whether the user has activated an environment, or has that of the tree in PATH."""
    if environ.get("VIRTUAL_ENV"):
        return True
    if environ.get("CONDA_PREFIX") and environ.get("CONDA_DEFAULT_ENV") != "base":
        return True
    own = {str(top / name / "bin") for name in _FOLDERS}
    return not own.isdisjoint(environ.get("PATH", "").split(os.pathsep))


def _is_tracked(top: Path, name: str, environ: Mapping[str, str]) -> bool:
    """Return whether git tracks files of a folder at the top of a working tree, or cannot tell."""
    if not (top / ".git").exists():
        return True  # nothing tells whose it is
    index = find_git_dir(top) / "index"
    key = (str(index), index.stat().st_mtime_ns if index.exists() else 0, name)
    if key not in _tracked_folders:
        git = gits.open_git(top, {**environ, "PATH": environ.get("PATH") or os.defpath})
        _tracked_folders[key] = bool(git.run("ls-files", "-z", "--", f":(icase){name}", limit=1 << 28))
    return _tracked_folders[key]
