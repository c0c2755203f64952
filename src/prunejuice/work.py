"""What can be done with the work of runs: look at it, take it back, compare it, bring it into a branch."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from prunejuice import event as events
from prunejuice import git as gits
from prunejuice import lifecycle, process, view
from prunejuice.app import App
from prunejuice.errors import (
    ConflictError,
    GateError,
    GitError,
    NotFoundError,
    PruneJuiceError,
    UsageError,
)
from prunejuice.git import Git
from prunejuice.lifecycle import Tools
from prunejuice.run import ENDED, Run
from prunejuice.settings import passed_on
from prunejuice.steps.tracking import counted
from prunejuice.text import safe_line, safe_text
from prunejuice.workspaces import landing, operation, radar, snapshot, worktree
from prunejuice.workspaces.landing import Method, Work
from prunejuice.workspaces.operation import Operation


class Span(NamedTuple):
    """Two commits between which some work lies, and git where it was done."""

    git: Git
    old: str
    new: str


def place(app: App, run: Run) -> Git:
    """Git where a run worked: its worktree, or the project when that is gone.

    Raises:
        UsageError: it did not work in a repository.
    """
    workspace = run.workspace
    if workspace.worktree and Path(workspace.git_dir or "/nowhere").is_dir():
        return gits.within(workspace, dict(app.environ))
    directory = run.plan.project if workspace.worktree else workspace.directory
    return gits.git(directory, dict(app.environ)).located()


def is_there(run: Run) -> bool:
    """Whether the run has a worktree of its own that is still there."""
    workspace = run.workspace
    return bool(workspace.worktree) and Path(workspace.worktree, ".git").exists()


def span(app: App, run: Run, step: str = "") -> Span:
    """What a run changed, or one step of it (the last visit that was carried out).

    Raises:
        NotFoundError: there is no such step.
        UsageError: no snapshot was taken.
    """
    git = place(app, run)
    if step:
        return Span(git, *_step_span(run, step))
    first, last = run.work()
    if is_there(run):
        last = snapshot.now(git).commit
    old = first or run.workspace.base
    if not (old and last):
        raise UsageError(
            f"run {run.id[:8]} has no snapshots",
            "it changed no files that could be seen, or snapshots are off",
        )
    return Span(git, old, last)


def _step_span(run: Run, step: str) -> tuple[str, str]:
    if step not in run.plan.workflow.steps:
        names = ", ".join(run.plan.workflow.steps)
        raise NotFoundError(f"run {run.id[:8]} has no step {safe_line(step, 60)!r}", f"it has {names}")
    taken = [each for each in run.snapshots if each.step == step and each.commit]
    after = next((each for each in reversed(taken) if each.when == "after"), None)
    before = next(
        (e for e in reversed(taken) if e.when == "before" and after and e.visit == after.visit), None
    )
    if before is None or after is None:
        raise UsageError(f"there are no snapshots of step {step!r}", "it was not carried out to its end")
    return before.commit, after.commit


# -- taking back ------------------------------------------------------------------------------------


def undo_work(app: App, tools: Tools, run: Run, step: str = "") -> Operation | None:
    """Take back what a run, or a step of it, did to files; None when nothing of it is there any more.

    Raises:
        ConflictError: something else changed the same lines since; nothing was moved.
        UsageError: the run is being driven, or its worktree is gone.
    """
    if run.workspace.worktree and not is_there(run):
        raise UsageError(
            f"{run.workspace.worktree} is gone", "prj undo --list may show how to have it back"
        )
    with lifecycle.driving(run.id, tools):
        git = place(app, run)
        old, new = _step_span(run, step) if step else run.work()
        if not (old and new):
            raise UsageError(f"run {run.id[:8]} has no snapshots", "there is nothing to take back")
        what = f"step {step} of run {run.id[:8]}" if step else f"run {run.id[:8]}"
        done = snapshot.take_back(git, old, new, f"undo {what}", run.id)
    if done:
        _measured(git, tools, run)
    return done


def _measured(git: Git, tools: Tools, run: Run) -> None:
    """Record what is left of the work of a run."""
    first, _ = run.work()
    left = snapshot.now(git).commit
    taken = events.SnapshotTaken(at=time.time(), step="", visit=0, when="after", commit=left)
    taken = counted(taken, snapshot.numbers(git, first, left))
    git.run("update-ref", f"{snapshot.REFS}/{run.id}/undone", left)
    lifecycle.note(run.id, tools, taken)


def undo_operation(tools: Tools, git: Git, done: Operation) -> str:
    """Take an operation back; what to know about it.

    Raises:
        ConflictError: what it left was changed since; nothing was moved.
        UsageError: it was taken back already.
    """
    if done.state == "undone":
        raise UsageError(f"{done.id} was taken back already", "prj undo --list shows what can be")
    if done.kind == "remove":
        note = worktree.bring_back(git, done)
        return note or f"{done.path} is there again"
    if done.kind == "land":
        landing.take_back(git, done)
        if done.run:
            back = events.RunLanded(at=time.time(), into="", commit=done.old)
            with suppress(PruneJuiceError):  # its history may be forgotten by now
                lifecycle.note(done.run, tools, back)
        return f"branch {done.branch} is back at {done.old[:12]}"
    if not Path(done.path).is_dir():
        raise UsageError(f"{done.path} is gone", "prj undo --list may show how to have it back")
    there = git.bound(done.path, done.git_dir)
    again = snapshot.take_back(there, done.old, done.new, f"undo {done.id}", done.run)
    operation.journal(git).mark(done, "undone")
    return f"the files are as before; {again.id} takes this back" if again else "the files were so already"


# -- bringing into a branch -------------------------------------------------------------------------


class Landing(NamedTuple):
    """How to land: `method`, the branch `into`, a `check` command (empty for none), a commit message."""

    method: Method
    into: str = ""
    check: str = ""
    message: str = ""


class Landed(NamedTuple):
    """What landed: from which commit to which the branch went; `operation` takes it back."""

    into: str
    old: str
    new: str
    operation: str
    checked: str


def merge(app: App, tools: Tools, run: Run, how: Landing) -> Landed:
    """Bring the work of a run into a branch, all of it or nothing.

    Raises:
        ConflictError: it conflicts; names the files.
        GateError: the check failed on the combined files.
        UsageError: there is nothing to land, or no branch to land in.
    """
    if run.status not in ENDED:
        raise UsageError(f"run {run.id[:8]} is {run.status}", f"end it first: prj stop {run.id[:8]}")
    git = place(app, run)
    title = how.message or _title(run)
    tip = _tip(git, run, title)
    into, old = landing.target(git, how.into)
    if into == run.workspace.branch:
        raise UsageError(f"{into!r} is the run's own branch", "name another with --into")
    new = landing.combined(git, Work(tip, title), old, how.method)
    if new == old:
        raise UsageError(
            f"branch {into!r} has all of run {run.id[:8]} already", "there is nothing to merge"
        )
    if how.check:
        _checked(app, git, new, how.check)
    done = landing.land(git, into, old, new, run.id)
    if is_there(run):
        with suppress(GitError, ConflictError):  # it went on working meanwhile: that is not part of this
            landing.adopt(git, tip)
    lifecycle.note(
        run.id, tools, events.RunLanded(at=time.time(), into=into, commit=new, operation=done.id)
    )
    return Landed(into, old, new, done.id, how.check)


def _title(run: Run) -> str:
    first = safe_line(f"{run.plan.command.name} {view.given(run)}".strip(), 72)
    return f"{first}\n\nPruneJuice-Run: {run.id}\n"


def _tip(git: Git, run: Run, title: str) -> str:
    if is_there(run):
        return landing.proposed(git, title)
    branch = run.workspace.branch
    tip = git.resolve(f"refs/heads/{branch}") if branch else ""
    if not tip:
        raise UsageError(
            f"run {run.id[:8]} has neither a worktree nor a branch of its own",
            "only a run in a worktree can be merged; it is made with --worktree",
        )
    return tip


def _checked(app: App, git: Git, commit: str, command: str) -> None:
    """Run the project's check on the files of a commit.

    Raises:
        GateError: it failed; carries the end of what it said.
    """
    with landing.materialised(git, commit, app.settings.worktree_parent) as there:
        env = passed_on(app.environ)
        argv = process.bash(command, env.get("PATH"))
        tail = bytearray()

        def keep(chunk: bytes) -> None:
            tail.extend(chunk)
            del tail[:-4000]

        tag = f"{worktree.CHECK}{Path(there.directory).name}"
        call = process.Call(argv, there.directory, env, 3600, app.settings.grace, tag=tag)
        ended = process.run(call, keep)
    if ended.code:
        said = safe_text(bytes(tail)).rstrip().splitlines()[-12:]
        last = "\n".join(["the check failed on the combined files: " + safe_line(command), *said])
        raise GateError(last, "mend it in the run's worktree; the branch was not moved")


# -- comparing --------------------------------------------------------------------------------------


class Compared(NamedTuple):
    """One run beside others: the files it changed, with lines added and removed (None for binary)."""

    run: Run
    files: tuple[snapshot.Change, ...]


def compare(app: App, runs: Sequence[Run]) -> list[Compared]:
    """What each run changed."""
    found = []
    for run in runs:
        work = span(app, run)
        found.append(Compared(run, tuple(snapshot.numbers(work.git, work.old, work.new))))
    return found


def conflicts(git: Git, base: str) -> tuple[str, list[radar.Side], list[radar.Clash]]:
    """The commit that is the base, all live worktrees, and what conflicts.

    Raises:
        UsageError: there is no such commit.
    """
    commit = git.resolve(base or "HEAD")
    if not commit:
        raise UsageError(f"there is no commit {safe_line(base or 'HEAD', 60)!r}", "name one with --base")
    return commit, *radar.survey(git, commit)
