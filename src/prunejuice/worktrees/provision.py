"""Prepare a new worktree: copy ignored files, run the project's setup command, allocate ports."""

import contextlib
import hashlib
import json
import os
import shutil
import socket
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from prunejuice.errors import StepError
from prunejuice.system import process
from prunejuice.system.lock import hold_lock
from prunejuice.system.private import make_private_folder
from prunejuice.system.settings import Settings, load_shell_tool_settings
from prunejuice.system.stop_request import Stop
from prunejuice.text import safe_line
from prunejuice.worktrees import installed_packages
from prunejuice.worktrees.clone_file import clone_file
from prunejuice.worktrees.git import Git
from prunejuice.worktrees.oplog import write_atomically

INCLUDE_FILE = ".worktreeinclude"
_PYTHON_FILES = ("pyproject.toml", "setup.py", "setup.cfg", "pytest.ini", "conftest.py", "tox.ini")
SETUP_MARK_FILE = "prunejuice.setup"
"""The file in a worktree's git directory with the fingerprint of the last setup."""
PORT_BLOCKS = range(20_000, 30_000, 10)
"""First ports of the blocks of ten, below the ephemeral ports that the kernel assigns."""


class CopyResult(NamedTuple):
    """The result of copying one file; `why` says why it was not copied."""

    path: str
    why: str = ""

    def __str__(self) -> str:
        return safe_line(f"  ⚠ {self.path} {self.why}" if self.why else f"  ✓ Copied {self.path}", 300)


def source_variables(root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which Python imports the sources of a worktree before installed ones.

    An editable install leads every import back to the main checkout, and tests pass on other code.
    """
    own = [folder for folder in (root / "src", root) if folder.is_dir()]
    if not any((root / name).is_file() for name in _PYTHON_FILES) and not any(root.glob("*.py")):
        return {}
    inherited = environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": os.pathsep.join([*map(str, own), *([inherited] if inherited else [])])}


def port_variables(first: int) -> dict[str, str]:
    """Return `PRUNEJUICE_PORT`, and `PRUNEJUICE_PORT_1` to `_9` for the ports that follow.

    Without a first port (0), there are no variables.
    """
    if not first:
        return {}
    others = {f"PRUNEJUICE_PORT_{number}": str(first + number) for number in range(1, 10)}
    return {"PRUNEJUICE_PORT": str(first), **others}


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
    clone_file(source_path, target_path)
    shutil.copystat(source_path, target_path)
    return ""


def user_files_to_copy(environ: Mapping[str, str]) -> list[str]:
    """Return the files to copy into every worktree, from the settings of the shell tool."""
    variables = load_shell_tool_settings(environ, "plum")
    names = variables.get("PLUM_FILES_TO_COPY", [])
    return list(names) if isinstance(names, list) and variables.get("PLUM_SKIP_FILE_COPY") != "true" else []


# -- setup ------------------------------------------------------------------------------------------


def setup_fingerprint(directory: Path, command: str, inputs: Sequence[str]) -> str:
    """Return a hash of the setup command and of its input files.

    Raises:
        StepError: an input is outside the worktree.
    """
    digest = hashlib.sha256(command.encode())
    for name in inputs:
        path = directory / name
        if not _is_inside(path, directory):
            raise StepError(f"setup_inputs: {safe_line(name)!r} is outside the worktree")
        digest.update(f"\0{name}\0".encode())
        if path.is_file():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def run_setup(
    tree: Path,
    git_dir: Path,
    settings: Settings,
    call: process.ProcessSpec,
    sink: process.Sink,
    stop: Stop | None = None,
) -> bool:
    """Run the project's setup command in a worktree. Return whether it ran.

    It is skipped if the command and its inputs have not changed. `call` has the environment and the tag of
    the process; `sink` receives the output.

    Raises:
        StepError: the command failed or timed out.
    """
    fingerprint = setup_fingerprint(tree, settings.setup, settings.setup_inputs)
    if not settings.setup or is_set_up(git_dir, fingerprint):
        return False
    argv = process.bash_argv(settings.setup, call.env.get("PATH"))
    call = call._replace(argv=argv, cwd=tree, timeout=settings.setup_timeout, grace=settings.grace)
    exit_status = process.run(call, sink, stop)
    if exit_status.code:
        reason = (
            f"timed out after {settings.setup_timeout:g} s"
            if exit_status.timed_out
            else f"exit {exit_status.code}"
        )
        raise StepError(f"the worktree setup failed: {reason}", f"check its output; it ran in {tree}")
    mark_set_up(git_dir, fingerprint)
    return True


def is_set_up(git_dir: Path, fingerprint: str) -> bool:
    """Return whether the setup with this fingerprint has run in the worktree."""
    with contextlib.suppress(OSError):
        return (git_dir / SETUP_MARK_FILE).read_text() == fingerprint
    return False


def mark_set_up(git_dir: Path, fingerprint: str) -> None:
    """Record that the setup with this fingerprint has run."""
    write_atomically(git_dir / SETUP_MARK_FILE, fingerprint.encode())


# -- ports ------------------------------------------------------------------------------------------


def allocate_ports(home: Path, owner: Path) -> int:
    """Return the first of ten free ports, reserved for a worktree as long as its folder exists.

    Raises:
        StepError: every block is reserved or in use.
    """
    registry = home / "ports.json"
    make_private_folder(home)
    with hold_lock(home / "ports.lock", 30):
        reserved = {port: path for port, path in _read_registry(registry) if Path(path).is_dir()}
        first = next((port for port, path in reserved.items() if path == str(owner)), None)
        if first is None:
            free = (port for port in PORT_BLOCKS if port not in reserved and _is_free(port))
            first = next(free, None)
        if first is None:
            raise StepError("no block of ten ports is free", f"remove unused worktrees; see {registry}")
        reserved[first] = str(owner)
        write_atomically(
            registry, json.dumps({str(port): path for port, path in reserved.items()}).encode()
        )
    return first


def _read_registry(registry: Path) -> Iterator[tuple[int, str]]:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        for port, path in json.loads(registry.read_bytes()).items():
            yield int(port), str(path)


def _is_free(first: int) -> bool:
    for port in range(first, first + 10):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
