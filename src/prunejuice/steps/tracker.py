"""Snapshots of the files before and after each step, and undoing the changes of interrupted steps."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from prunejuice.engine.event import SnapshotTaken
from prunejuice.engine.ports import StepContext
from prunejuice.engine.run import InterruptedVisit, Run
from prunejuice.errors import ConflictError, PruneJuiceError
from prunejuice.text import to_unicode
from prunejuice.workflow.workspace import Workspace
from prunejuice.worktrees import git as gits
from prunejuice.worktrees import snapshot
from prunejuice.worktrees.git import Git
from prunejuice.worktrees.snapshot import RUN_REFS, DiffStat, KnownTrees, Snapshot

MAX_PATHS = 200
SAME_MOMENT_SECONDS = 0.1


class SnapshotMemory:
    """What a process knows of working trees from the steps before."""

    def __init__(self) -> None:
        self.known_trees: KnownTrees = {}
        self._gits: dict[Workspace, Git] = {}
        self._latest: dict[Workspace, tuple[float, Snapshot]] = {}

    def store_latest(self, workspace: Workspace, began: float, saved: Snapshot) -> None:
        """Remember a snapshot that was begun at a time of the monotonic clock."""
        self._latest[workspace] = began, saved

    def latest_snapshot(self, workspace: Workspace) -> Snapshot | None:
        """Return the snapshot of this moment, if there is one.

        A change since then could as well have been made while the next step runs.
        """
        began, saved = self._latest.get(workspace, (0.0, None))
        return saved if time.monotonic() - began < SAME_MOMENT_SECONDS else None

    def open_git(self, workspace: Workspace, environ: Mapping[str, str]) -> Git | None:
        """Return git for a workspace, or None outside of a repository."""
        top = gits.find_top(workspace.directory)
        git = self._gits.get(workspace)
        if git and top == git.directory and Path(git.git_dir).is_dir():
            return git
        try:
            git = gits.open_workspace_git(workspace, dict(environ)) if top else None
        except PruneJuiceError:
            return None
        if git:
            self._gits[workspace] = git
        return git


class SnapshotTracker:
    """Takes the snapshots of one step; does nothing outside of a git repository."""

    def __init__(
        self, handle: StepContext, environ: Mapping[str, str], memory: SnapshotMemory | None = None
    ) -> None:
        self.handle = handle
        self.environ = environ
        self.memory = memory or SnapshotMemory()
        self.earlier = {event.tree: event.commit for event in handle.run.snapshots if event.tree}
        self.git: Git | None = None
        self.began: Snapshot | None = None
        self.first: SnapshotTaken | None = None

    def snapshot_before(self) -> None:
        """Record the files before the step runs."""
        self.git = self.memory.open_git(self.handle.workspace, self.environ)
        if self.git is None:
            return
        self.began = self._record_snapshot("before")
        if self.began:
            _before_file(self.handle.directory, self.handle.log.name).write_text(self.began.commit)

    def snapshot_after(self) -> None:
        """Record the files after the step ran."""
        if self.git is not None and self.began is not None:
            started = time.monotonic()
            if saved := self._record_snapshot("after"):
                self.memory.store_latest(self.handle.workspace, started, saved)

    def _record_snapshot(self, when: Literal["before", "after"]) -> Snapshot | None:
        at, step, visit = time.time(), self.handle.step.id, self.handle.visit
        event = SnapshotTaken(at=at, step=step, visit=visit, when=when)
        try:
            taken = self._take_snapshot(self.git, when) if self.git else None
            event = self._measure_changes(event, taken) if taken else event
        except PruneJuiceError as error:
            taken, event = None, replace(event, error=error.message[:300])
        self.handle.emit(event)
        self.first = self.first or event
        return taken

    def _take_snapshot(self, git: Git, when: str) -> Snapshot:
        """Save a snapshot under a ref; reuse an earlier one with the same files."""
        ref = _snapshot_ref(self.handle.run.id, self.handle.log.stem, when)
        message = f"{self.handle.run.id} {self.handle.step.id} {when}"
        if when == "before" and (latest := self.memory.latest_snapshot(self.handle.workspace)):
            return latest
        earlier = {self.began.tree: self.began.commit} if self.began else self.earlier
        return snapshot.save_snapshot(git, ref, message, earlier, self.memory.known_trees)

    def _measure_changes(self, event: SnapshotTaken, current: Snapshot) -> SnapshotTaken:
        """Return the event with the changes of this step and of the run so far."""
        event = replace(event, commit=current.commit, tree=current.tree)
        events = [
            earlier for earlier in (*self.handle.run.snapshots, self.first) if earlier and earlier.commit
        ]
        same = next((earlier for earlier in events if earlier.tree == current.tree), None)
        if same is None and events and self.git:
            changes = snapshot.diff_stats(self.git, events[0].commit, current.commit)
            same = add_change_counts(event, changes)
        same = same or event
        counts = {"files": same.files, "added": same.added, "removed": same.removed, "paths": same.paths}
        changed = self.began is not None and current.tree != self.began.tree
        return replace(event, changed=changed, **counts)


def add_change_counts(event: SnapshotTaken, changes: Sequence[DiffStat]) -> SnapshotTaken:
    """Return the event with the numbers of changed files and lines, and the first paths."""
    return replace(
        event,
        files=len(changes),
        added=sum(stat.added or 0 for stat in changes),
        removed=sum(stat.removed or 0 for stat in changes),
        paths=tuple(to_unicode(stat.path) for stat in changes[:MAX_PATHS]),
    )


def _snapshot_ref(run: str, stem: str, when: str) -> str:
    return f"{RUN_REFS}/{run}/{stem}-{when}"


def _before_file(directory: Path, log_name: str) -> Path:
    """Return the file that keeps the commit before a step, in case that its driver is killed."""
    return directory / "outputs" / f"{Path(log_name).stem}.before"


def restore_interrupted_steps(
    run: Run, interrupted: Sequence[InterruptedVisit], environ: Mapping[str, str], directory: Path
) -> str:
    """Undo the changes of interrupted steps; return the id of the undo operation, or "".

    Files are restored only in a worktree that belongs to the run, and only when no other step has ended,
    nothing was committed and nobody changed a file after the interruption, so that no later work is lost.
    `directory` is that of the run.
    """
    if not run.workspace.worktree or not Path(run.workspace.git_dir).is_dir():
        return ""
    # A step that calls another command is restored by that command's run.
    interrupted = [
        visit for visit in interrupted if run.plan.workflow.steps[visit.step].uses not in run.plan.commands
    ]
    if not interrupted:
        return ""
    first = min(interrupted, key=lambda visit: visit.started)
    if any(visit.ended > first.started and visit.status != "skipped" for visit in run.visits):
        return ""
    git = gits.open_workspace_git(run.workspace, dict(environ))
    before_file = _before_file(directory, first.log)
    # A run of an older version has a ref instead.
    saved = before_file.read_text() if before_file.is_file() else ""
    began = git.resolve(saved or _snapshot_ref(run.id, Path(first.log).stem, "before"))
    if not began or _has_later_work(git, run, began):
        return ""
    try:
        operation = snapshot.restore_files(git, began, f"unfinished changes of {first.step}", run.id)
    except ConflictError:
        return ""
    return operation.id if operation else ""


def _has_later_work(git: Git, run: Run, began: str) -> bool:
    """Return whether files were committed or changed after the interruption."""
    if git.resolve("HEAD") != git.resolve(f"{began}^"):
        return True
    if not run.interrupted_at:
        return False
    changed = snapshot.diff_stats(git, began, snapshot.current_snapshot(git).commit)
    return any(_modified_time(Path(git.directory) / stat.path) > run.interrupted_at for stat in changed)


def _modified_time(path: Path) -> float:
    with suppress(OSError):
        return path.lstat().st_mtime
    return 0
