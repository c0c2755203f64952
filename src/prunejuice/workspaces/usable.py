"""What makes a new worktree usable at once: ignored files of the checkout, a set-up, free ports."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import socket
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from prunejuice import process
from prunejuice.errors import StepError
from prunejuice.git import Git
from prunejuice.lock import locked
from prunejuice.protocols import Stop
from prunejuice.settings import Settings, shell_tools
from prunejuice.text import safe_line
from prunejuice.workspaces.operation import put

INCLUDE = ".worktreeinclude"
DONE = "prunejuice.setup"
"""The file in a worktree's git directory that says for which inputs its set-up was run."""
PORTS = range(20_000, 30_000, 10)
"""Where blocks of ten ports begin; below those that systems give out by themselves."""
_FICLONE = 0x40049409


class Copied(NamedTuple):
    """What became of one file: nothing is wrong, or `why` it was not copied."""

    path: str
    why: str = ""

    def __str__(self) -> str:
        return safe_line(f"  ⚠ {self.path} {self.why}" if self.why else f"  ✓ Copied {self.path}", 300)


def variables(first: int) -> dict[str, str]:
    """`PRUNEJUICE_PORT`, and `PRUNEJUICE_PORT_1` to `_9` for the ports that follow it."""
    if not first:
        return {}
    more = {f"PRUNEJUICE_PORT_{number}": str(first + number) for number in range(1, 10)}
    return {"PRUNEJUICE_PORT": str(first), **more}


def included(git: Git) -> list[str]:
    """The ignored files of a checkout that its `.worktreeinclude` names (gitignore syntax)."""
    rules = Path(git.directory) / INCLUDE
    if not rules.is_file() or rules.is_symlink():
        return []
    files = git.apart(Path(git.git_dir) / "index")
    asked = ("ls-files", "-z", "--others", "--ignored")
    named = files.run(*asked, f"--exclude-from={rules}", limit=1 << 28).split("\0")
    ignored = set(files.run(*asked, "--exclude-standard", limit=1 << 28).split("\0"))
    return [path for path in named if path and path in ignored]


def copy(source: Path, target: Path, paths: Iterable[str]) -> list[Copied]:
    """Copy files into a worktree; what is there already stays, what leads out is refused."""
    return [Copied(path, _copied(source, target, path)) for path in paths]


def _copied(source: Path, target: Path, path: str) -> str:
    here, there = source / path, target / path
    if why := _refused(here, path):
        return why
    if here.is_dir() and not here.is_symlink():
        inside = [str(each.relative_to(source)) for each in sorted(here.rglob("*")) if not each.is_dir()]
        return next((why for each in inside if (why := _copied(source, target, each))), "")
    if os.path.lexists(there):
        return ""
    try:
        if not _inside(here.parent, source) or not _inside(_existing(there.parent), target):
            return "leads through a link out of the worktree"
        there.parent.mkdir(parents=True, exist_ok=True)
        return _copy_one(here, there)
    except OSError as error:
        return error.strerror or "cannot be copied"


def _refused(here: Path, path: str) -> str:
    if (here / ".git").exists():
        return "is a repository of its own"
    if os.path.isabs(path) or ".." in Path(path).parts or ".git" in Path(path).parts:  # noqa: PTH117
        return "leads out of the worktree"
    return "" if os.path.lexists(here) else "not found in source directory"


def _existing(path: Path) -> Path:
    return next(each for each in (path, *path.parents) if each.exists())


def _inside(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root.resolve())


def _copy_one(here: Path, there: Path) -> str:
    if here.is_symlink():
        there.symlink_to(os.readlink(here))  # noqa: PTH115 - as it is written
        return ""
    if not stat.S_ISREG(here.stat().st_mode):
        return "is not a file"
    clone(here, there)
    shutil.copystat(here, there)
    return ""


def clone(here: Path, there: Path) -> bool:
    """Copy a file; whether the copy shares its blocks until one of the two is changed."""
    with here.open("rb") as source, there.open("xb") as target:
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                fcntl.ioctl(target, _FICLONE, source.fileno())
                return True
        shutil.copyfileobj(source, target, 1 << 20)
    return False


def files_to_copy(environ: Mapping[str, str]) -> list[str]:
    """The files that the user wants in every worktree, as set for the shell tool."""
    found = shell_tools(environ, "plum")
    wanted = found.get("PLUM_FILES_TO_COPY", [])
    return list(wanted) if isinstance(wanted, list) and found.get("PLUM_SKIP_FILE_COPY") != "true" else []


# -- set-up -----------------------------------------------------------------------------------------


def fingerprint(directory: Path, command: str, inputs: Sequence[str]) -> str:
    """What a set-up depends on: its text, and the files that it reads.

    Raises:
        StepError: an input leads out of the worktree.
    """
    digest = hashlib.sha256(command.encode())
    for name in inputs:
        path = directory / name
        if not _inside(path, directory):
            raise StepError(f"setup_inputs: {safe_line(name)!r} leads out of the worktree")
        digest.update(f"\0{name}\0".encode())
        if path.is_file():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def set_up(
    tree: Path,
    git_dir: Path,
    settings: Settings,
    call: process.Call,
    sink: process.Sink,
    stop: Stop | None = None,
) -> bool:
    """Run the project's set-up in a worktree; whether it had to be: not for the same inputs again.

    `call` says in what environment, and with what tag.

    Raises:
        StepError: it failed.
    """
    mark = fingerprint(tree, settings.setup, settings.setup_inputs)
    if not settings.setup or is_set_up(git_dir, mark):
        return False
    argv = process.bash(settings.setup, call.env.get("PATH"))
    call = call._replace(argv=argv, cwd=tree, timeout=settings.setup_timeout, grace=settings.grace)
    ended = process.run(call, sink, stop)
    if ended.code:
        why = f"timed out after {settings.setup_timeout:g} s" if ended.timed_out else f"exit {ended.code}"
        raise StepError(f"the set-up of the worktree failed: {why}", f"see its output; it ran in {tree}")
    mark_set_up(git_dir, mark)
    return True


def is_set_up(git_dir: Path, mark: str) -> bool:
    """Whether the set-up of this fingerprint was done in the worktree."""
    with contextlib.suppress(OSError):
        return (git_dir / DONE).read_text() == mark
    return False


def mark_set_up(git_dir: Path, mark: str) -> None:
    """Keep that it was."""
    put(git_dir / DONE, mark.encode())


# -- ports ------------------------------------------------------------------------------------------


def ports(home: Path, owner: Path) -> int:
    """The first of ten free ports that belong to a worktree as long as its folder is there.

    Raises:
        StepError: none are left.
    """
    registry = home / "ports.json"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(home / "ports.lock", 30):
        taken = {port: path for port, path in _registered(registry) if Path(path).is_dir()}
        own = next((port for port, path in taken.items() if path == str(owner)), None)
        if own is None:
            free = (port for port in PORTS if port not in taken and _is_free(port))
            own = next(free, None)
        if own is None:
            raise StepError("no block of ten ports is free", f"see {registry}")
        taken[own] = str(owner)
        put(registry, json.dumps({str(port): path for port, path in taken.items()}).encode())
    return own


def _registered(registry: Path) -> Iterator[tuple[int, str]]:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        for port, path in json.loads(registry.read_bytes()).items():
            yield int(port), str(path)


def _is_free(first: int) -> bool:
    for port in range(first, first + 10):
        with socket.socket() as each:
            try:
                each.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
