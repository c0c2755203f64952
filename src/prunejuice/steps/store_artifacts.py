"""The built-in step that stores files of the workspace and the changes of the run as artifacts."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from prunejuice.engine.history import DRIVER_LOCK
from prunejuice.engine.ports import StepContext, StepResult
from prunejuice.errors import StepError
from prunejuice.steps.artifacts import store_artifact
from prunejuice.steps.resources import StepResources, ok_result
from prunejuice.worktrees import snapshot

MAX_ARTIFACTS = 10_000


def store_artifacts(handle: StepContext, resources: StepResources) -> StepResult:
    """Store the files that match `paths` (globs), the run's files, and its changes as a patch."""
    _store_changes(handle, resources)
    workspace = Path(handle.workspace.directory)
    for path in _find_matches(workspace, resources.list_argument("paths")):
        target = handle.directory / "artifacts" / path.relative_to(workspace)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target, follow_symlinks=False)
    stored = list(_run_files(handle))
    for path in stored:
        store_artifact(handle, path)
    return ok_result(f"Stored {len(stored)} artifacts", count=len(stored))


def _store_changes(handle: StepContext, resources: StepResources) -> None:
    workspace = handle.workspace
    if workspace.base:
        git = resources.open_git(handle)
        folder = handle.directory / "artifacts"
        folder.mkdir(exist_ok=True, mode=0o700)
        now = snapshot.current_snapshot(git, exact=False)
        snapshot.write_patch(git, workspace.base, now.commit, folder / "changes.patch")
        store_artifact(handle, folder / "changes.patch")


def _find_matches(workspace: Path, patterns: list[str]) -> Iterator[Path]:
    """Yield the regular files inside the workspace that match; links and paths out of it are skipped."""
    root = workspace.resolve()
    for pattern in patterns:
        if pattern.startswith(("/", "~")) or ".." in Path(pattern).parts:
            raise StepError(f"pattern {pattern!r} points outside of the workspace")
        for path in sorted(workspace.glob(pattern)):
            if path.is_file() and not path.is_symlink() and path.resolve().is_relative_to(root):
                yield path


def _run_files(handle: StepContext) -> Iterator[Path]:
    """Yield the files in the run's directory, without those of the driver."""
    for number, path in enumerate(sorted(handle.directory.rglob("*"))):
        if number > MAX_ARTIFACTS:
            raise StepError(f"{handle.directory} has more than {MAX_ARTIFACTS} files")
        is_driver_file = path.suffix in {".exit", ".out", ".sh"} and path.parent.name == "outputs"
        is_driver_file = is_driver_file or path == handle.log or path.name == DRIVER_LOCK
        if path.is_file() and not path.is_symlink() and not is_driver_file:
            yield path
