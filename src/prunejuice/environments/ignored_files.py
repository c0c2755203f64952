"""Copy ignored files into another tree: those that a user names, and those that code needs."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from prunejuice.environments import installed_packages
from prunejuice.system.settings import load_shell_tool_settings
from prunejuice.text import safe_line
from prunejuice.worktrees.clone_file import clone_with_metadata
from prunejuice.worktrees.git import Git

INCLUDE_FILE = ".worktreeinclude"


class CopyResult(NamedTuple):
    """The result of copying one file; `why` says why it was not copied."""

    path: str
    why: str = ""

    def __str__(self) -> str:
        return safe_line(f"  ⚠ {self.path} {self.why}" if self.why else f"  ✓ Copied {self.path}", 300)


def list_included_files(git: Git) -> list[str]:
    """Return the ignored files of a checkout that match its `.worktreeinclude` (gitignore syntax)."""
    rules = Path(git.directory) / INCLUDE_FILE
    if not rules.is_file() or rules.is_symlink():
        return []
    files_git = git.with_clean_config(Path(git.git_dir) / "index")
    arguments = ("ls-files", "-z", "--others", "--ignored")
    matches = files_git.run(*arguments, f"--exclude-from={rules}", limit=1 << 28).split("\0")
    ignored = set(files_git.run(*arguments, "--exclude-standard", limit=1 << 28).split("\0"))
    return [path for path in matches if path and path in ignored]


def copy_files(source: Path, target: Path, paths: Iterable[str]) -> list[CopyResult]:
    """Copy files into a worktree; keep existing files, and refuse paths that lead out of it.

    A virtual environment names its new place.
    """
    results = [CopyResult(path, _copy_path(source, target, path)) for path in paths]
    copied = [Path(result.path) for result in results if not result.why]
    for folder in dict.fromkeys([*copied, *(path.parent for path in copied if path.name == "pyvenv.cfg")]):
        installed_packages.relocate_packages(target / folder, source, target)
    return results


def _copy_path(source: Path, target: Path, path: str) -> str:
    source_path, target_path = source / path, target / path
    if reason := _refusal_reason(source_path, path):
        return reason
    if source_path.is_dir() and not source_path.is_symlink():
        children = [
            str(child.relative_to(source)) for child in sorted(source_path.rglob("*")) if not child.is_dir()
        ]
        return next((reason for child in children if (reason := _copy_path(source, target, child))), "")
    if os.path.lexists(target_path):
        return ""
    try:
        if not _is_inside(source_path.parent, source) or not _is_inside(
            _nearest_existing(target_path.parent), target
        ):
            return "leads through a link out of the worktree"
        target_path.parent.mkdir(parents=True, exist_ok=True)
        return _copy_file(source_path, target_path)
    except OSError as error:
        return error.strerror or "could not be copied"


def _refusal_reason(source_path: Path, path: str) -> str:
    if (source_path / ".git").exists():
        return "is a separate repository"
    if os.path.isabs(path) or ".." in Path(path).parts or ".git" in Path(path).parts:  # noqa: PTH117
        return "is outside the worktree"
    return "" if os.path.lexists(source_path) else "not found in source directory"


def _nearest_existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _is_inside(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root.resolve())


def _copy_file(source_path: Path, target_path: Path) -> str:
    if source_path.is_symlink():
        target_path.symlink_to(os.readlink(source_path))  # noqa: PTH115 - keep the target as written
        return ""
    if not stat.S_ISREG(source_path.stat().st_mode):
        return "is not a file"
    clone_with_metadata(source_path, target_path)
    return ""


def user_files_to_copy(environ: Mapping[str, str]) -> list[str]:
    """Return the files to copy into every worktree, from the settings of the shell tool."""
    variables = load_shell_tool_settings(environ, "plum")
    names = variables.get("PLUM_FILES_TO_COPY", [])
    return list(names) if isinstance(names, list) and variables.get("PLUM_SKIP_FILE_COPY") != "true" else []


# -- files that code needs --------------------------------------------------------------------------


_MAX_ENV_BYTES = 64 << 10
_MAX_SOURCE_BYTES = 1 << 20
_MAX_EXTENSION_BYTES = 64 << 20
_MAX_CANDIDATES = 500
_SOURCES = (".py", ".pyi", ".js", ".mjs", ".cjs", ".ts", ".tsx", ".json", ".go", ".graphql", ".css")
_EXTENSIONS = (".so", ".pyd", ".node")
_TOOL_FOLDERS = {
    *("node_modules", "venv", "build", "dist", "target", "out", "coverage", "htmlcov", "bin", "obj"),
    *("logs", "log", "tmp", "temp", "cache", "vendor"),
}
"""Folders of tools, which are made again by them."""


def find_needed_files(git: Git) -> list[str]:
    """Return the ignored files of a checkout that its code needs: settings, generated code, extensions.

    These are small `.env` files, compiled extension modules, and sources whose name tracked files contain.

    Raises:
        GitError: git failed.
    """
    listing = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory")
    root = Path(git.directory)
    files_git = git.with_clean_config(Path(git.git_dir) / "index")
    entries = [entry for entry in files_git.run(*listing, limit=1 << 28).split("\0") if entry]
    paths = [path for entry in entries for path in _expand(root, entry)]
    settings_files = [path for path in paths if _is_env_file(root / path)]
    built = [path for path in paths if _has_kind(root / path, _EXTENSIONS, _MAX_EXTENSION_BYTES)]
    sources = [path for path in paths if _has_kind(root / path, _SOURCES, _MAX_SOURCE_BYTES)]
    return [*settings_files, *built, *_filter_named(git, sources[:_MAX_CANDIDATES])]


def _expand(root: Path, entry: str) -> Iterator[str]:
    """Yield the files of an entry of git's list; a folder stands for all files below it."""
    if not entry.endswith("/"):
        yield entry
        return
    if not _is_code_folder(root / entry):
        return
    left = _MAX_CANDIDATES
    for folder, names, files in os.walk(root / entry):
        names[:] = sorted(name for name in names if _is_code_folder(Path(folder, name)))
        for name in sorted(files)[:left]:
            yield str(Path(folder, name).relative_to(root))
        left -= len(files)
        if left <= 0:  # a folder of data
            return


def _is_code_folder(path: Path) -> bool:
    """Return whether a folder may have generated code, not the files of a tool or another project."""
    name = path.name
    if name.startswith((".", "__pycache__")) or name.endswith(".egg-info") or name in _TOOL_FOLDERS:
        return False
    return not ((path / "pyvenv.cfg").exists() or (path / ".git").exists())


def _is_env_file(path: Path) -> bool:
    name = path.name
    return (name == ".env" or name.startswith(".env.")) and _has_kind(path, (name,), _MAX_ENV_BYTES)


def _has_kind(path: Path, endings: tuple[str, ...], most: int) -> bool:
    if not path.name.endswith(endings) or path.is_symlink():
        return False
    try:
        state = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(state.st_mode) and state.st_size <= most


def _filter_named(git: Git, paths: Sequence[str]) -> list[str]:
    """Return the paths whose stem, or folder, is a word in tracked files: code may import them."""
    if not paths:
        return []
    words = {path: _module_words(path) for path in paths}
    wanted = sorted({word for names in words.values() for word in names})
    patterns = [part for word in wanted for part in ("-e", word)]
    output = git.try_run("grep", "-howF", *patterns, "--", limit=1 << 24).stdout
    found = set(output.decode("utf-8", "surrogateescape").split("\n"))
    return [path for path in paths if found & words[path]]


def _module_words(path: str) -> set[str]:
    file = Path(path)
    return {file.stem.partition(".")[0] or file.name} - {"__init__", "index"} or {file.parent.name or "."}
