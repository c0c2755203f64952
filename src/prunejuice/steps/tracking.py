"""What steps do to files: snapshots before and after each one, and the way back when one was cut off."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from prunejuice import git as gits
from prunejuice.errors import ConflictError, PruneJuiceError
from prunejuice.event import SnapshotTaken
from prunejuice.git import Git
from prunejuice.protocols import Handle
from prunejuice.run import Cut, Run
from prunejuice.text import unicode
from prunejuice.workspaces import snapshot
from prunejuice.workspaces.snapshot import REFS, Change, Snapshot

MAX_PATHS = 200


class Tracker:
    """Takes the snapshots of one step; nothing where there is no repository."""

    def __init__(self, handle: Handle, environ: Mapping[str, str]) -> None:
        self.handle = handle
        self.environ = environ
        self.earlier = {each.tree: each.commit for each in handle.run.snapshots if each.tree}
        self.git: Git | None = None
        self.began: Snapshot | None = None
        self.first: SnapshotTaken | None = None

    def before(self) -> None:
        """Keep the files as the step finds them."""
        if not gits.may_be_inside(self.handle.workspace.directory):
            return
        try:
            self.git = gits.within(self.handle.workspace, dict(self.environ))
        except PruneJuiceError:
            return
        self.began = self._kept("before")

    def after(self) -> None:
        """Keep the files as the step leaves them."""
        if self.git is not None and self.began is not None:
            self._kept("after")

    def _kept(self, when: Literal["before", "after"]) -> Snapshot | None:
        at, step, visit = time.time(), self.handle.step.id, self.handle.visit
        event = SnapshotTaken(at=at, step=step, visit=visit, when=when)
        try:
            found = self._taken(self.git, when) if self.git else None
            event = self._measured(event, found) if found else event
        except PruneJuiceError as error:
            found, event = None, replace(event, error=error.message[:300])
        self.handle.emit(event)
        self.first = self.first or event
        return found

    def _taken(self, git: Git, when: str) -> Snapshot:
        """A snapshot under a ref of its own, or that of the beginning when nothing changed since."""
        ref = _ref(self.handle.run.id, self.handle.log.stem, when)
        message = f"{self.handle.run.id} {self.handle.step.id} {when}"
        if self.began is None:
            return snapshot.take(git, ref, message, self.earlier)
        return snapshot.take(git, ref, message, {self.began.tree: self.began.commit}, anew=False)

    def _measured(self, event: SnapshotTaken, found: Snapshot) -> SnapshotTaken:
        """The event with what changed: by this step, and by the run until now."""
        event = replace(event, commit=found.commit, tree=found.tree)
        taken = [each for each in (*self.handle.run.snapshots, self.first) if each and each.commit]
        same = next((each for each in taken if each.tree == found.tree), None)
        if same is None and taken and self.git:
            changes = snapshot.numbers(self.git, taken[0].commit, found.commit)
            same = counted(event, changes)
        same = same or event
        more = {"files": same.files, "added": same.added, "removed": same.removed, "paths": same.paths}
        changed = self.began is not None and found.tree != self.began.tree
        return replace(event, changed=changed, **more)


def counted(event: SnapshotTaken, changes: Sequence[Change]) -> SnapshotTaken:
    """The event with how much changed, and where."""
    return replace(
        event,
        files=len(changes),
        added=sum(each.added or 0 for each in changes),
        removed=sum(each.removed or 0 for each in changes),
        paths=tuple(unicode(each.path) for each in changes[:MAX_PATHS]),
    )


def _ref(run: str, stem: str, when: str) -> str:
    return f"{REFS}/{run}/{stem}-{when}"


def put_back(run: Run, cut: Sequence[Cut], environ: Mapping[str, str]) -> str:
    """Take back what steps that were cut off had changed; the operation, or nothing.

    Only in a worktree of the run's own; and only when no other step has ended, nothing was committed, and
    no person changed the files after the death was noticed: their work stays.
    """
    if not run.workspace.worktree or not Path(run.workspace.git_dir).is_dir():
        return ""
    # What another command did is put back by its own run.
    cut = [each for each in cut if run.plan.workflow.steps[each.step].uses not in run.plan.commands]
    if not cut:
        return ""
    first = min(cut, key=lambda each: each.started)
    if any(visit.ended > first.started and visit.status != "skipped" for visit in run.visits):
        return ""
    git = gits.within(run.workspace, dict(environ))
    began = git.resolve(_ref(run.id, Path(first.log).stem, "before"))
    if not began or _was_worked_on(git, run, began):
        return ""
    try:
        done = snapshot.go_to(git, began, f"half-done changes of {first.step}", run.id)
    except ConflictError:
        return ""
    return done.id if done else ""


def _was_worked_on(git: Git, run: Run, began: str) -> bool:
    """Whether somebody went on working where a step was cut off."""
    if git.resolve("HEAD") != git.resolve(f"{began}^"):
        return True
    if not run.noticed:
        return False
    changed = snapshot.numbers(git, began, snapshot.now(git).commit)
    return any(_modified(Path(git.directory) / each.path) > run.noticed for each in changed)


def _modified(path: Path) -> float:
    with suppress(OSError):
        return path.lstat().st_mtime
    return 0
