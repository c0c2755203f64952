"""Run the setup command of a project in a worktree, once for each state of its inputs."""

import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path

from prunejuice.errors import StepError
from prunejuice.system import process
from prunejuice.system.settings import Settings
from prunejuice.system.stop_request import Stop
from prunejuice.text import safe_line
from prunejuice.worktrees.oplog import write_atomically

SETUP_MARK_FILE = "prunejuice.setup"
"""The file in a worktree's git directory with the fingerprint of the last setup."""


def setup_fingerprint(directory: Path, command: str, inputs: Sequence[str]) -> str:
    """Return a hash of the setup command and of its input files.

    Raises:
        StepError: an input is outside the worktree.
    """
    digest = hashlib.sha256(command.encode())
    for name in inputs:
        path = directory / name
        if not path.resolve().is_relative_to(directory.resolve()):
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
