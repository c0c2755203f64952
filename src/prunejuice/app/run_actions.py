"""Actions on the work of runs: show, undo, compare and merge it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from prunejuice.app import merge_check, run_changes
from prunejuice.app.run_changes import Report, say_nothing
from prunejuice.app.wiring import App
from prunejuice.changes import tree_state
from prunejuice.changes.change_set_store import ChangeSetStore
from prunejuice.engine import driver, run_texts, view
from prunejuice.engine import event as events
from prunejuice.engine.driver import Runtime
from prunejuice.engine.run import FINAL_STATUSES, Run
from prunejuice.errors import ConflictError, GitError, NotFoundError, PruneJuiceError, UsageError
from prunejuice.steps.tracker import add_change_counts
from prunejuice.text import safe_line
from prunejuice.worktrees import conflicts, merge, oplog, snapshot, worktree
from prunejuice.worktrees import git as gits
from prunejuice.worktrees.git import Git
from prunejuice.worktrees.merge import MergeMethod, MergeSource
from prunejuice.worktrees.oplog import Operation

_MAX_TITLE = 72


class CommitRange(NamedTuple):
    """The commits before and after some work, and the repository that has them."""

    git: Git
    old: str
    new: str


def open_run_git(app: App, run: Run) -> Git:
    """Return git for the worktree of a run, or for its project if the worktree is gone.

    Raises:
        UsageError: The run did not work in a repository.
    """
    workspace = run.workspace
    if has_worktree(run) and Path(workspace.git_dir or "/nowhere").is_dir():
        return gits.open_workspace_git(workspace, dict(app.environ))
    directory = run.plan.project if workspace.worktree else workspace.directory
    return gits.open_git(directory, dict(app.environ)).locate()


def has_worktree(run: Run) -> bool:
    """Return whether the worktree of a run still exists."""
    workspace = run.workspace
    return bool(workspace.worktree) and Path(workspace.worktree, ".git").exists()


def find_work_range(app: App, run: Run, step: str = "") -> CommitRange:
    """Return the commit range of a run, or of the last finished visit to one of its steps.

    Raises:
        NotFoundError: The run has no such step.
        UsageError: The run or step has no snapshots.
    """
    git = open_run_git(app, run)
    if step:
        return CommitRange(git, *_find_step_range(run, step))
    first, last = run.snapshot_range()
    if has_worktree(run):
        last = snapshot.current_snapshot(git).commit
    old = first or run.workspace.base
    if not (old and last):
        raise UsageError(
            f"run {run.id[:8]} has no snapshots",
            "a run that changes no tracked files has none; check that snapshots are enabled",
        )
    return CommitRange(git, old, last)


def find_proposed_range(app: App, run: Run) -> CommitRange:
    """Return the commit range of a run with what waits for a review, as if it were applied.

    Raises:
        UsageError: The run has no snapshots.
    """
    span = find_work_range(app, run)
    if not (run.workspace.own_worktree and has_worktree(run)):
        return span
    records = run_changes.find_waiting(run_changes.open_run_store(app, run), run)
    return span._replace(new=run_changes.add_waiting_changes(span.git, span.new, records))


def _find_step_range(run: Run, step: str) -> tuple[str, str]:
    if step not in run.plan.workflow.steps:
        names = ", ".join(run.plan.workflow.steps)
        raise NotFoundError(
            f"run {run.id[:8]} has no step {safe_line(step, 60)!r}", f"choose one of: {names}"
        )
    snapshots = [s for s in run.snapshots if s.step == step and s.commit]
    after = next((s for s in reversed(snapshots) if s.when == "after"), None)
    before = next(
        (s for s in reversed(snapshots) if s.when == "before" and after and s.visit == after.visit), None
    )
    if before is None or after is None:
        raise UsageError(f"step {step!r} has no snapshots", "choose a step that has run to its end")
    return before.commit, after.commit


# -- undo -------------------------------------------------------------------------------------------


def undo_work(app: App, runtime: Runtime, run: Run, step: str = "") -> Operation | None:
    """Revert the file changes of a run or of one of its steps.

    Returns the operation that did it, or None if no change is left to revert.

    Raises:
        ConflictError: The same lines were changed since; no file was changed.
        UsageError: The run is being driven, has no snapshots, or its worktree is gone.
    """
    if run.workspace.worktree and not has_worktree(run):
        raise UsageError(
            f"the worktree {run.workspace.worktree} is gone",
            "run `prj undo --list` to see whether it can be restored",
        )
    if run.landed:
        raise UsageError(
            f"run {run.id[:8]} is merged into {run.landed.into}",
            f"undo the merge: prj undo {run.landed.operation}",
        )
    with driver.hold_driver_lock(run.id, runtime):
        git = open_run_git(app, run)
        old, new = _find_step_range(run, step) if step else run.snapshot_range()
        if not (old and new):
            raise UsageError(f"run {run.id[:8]} has no snapshots, so there is nothing to undo")
        target = f"step {step} of run {run.id[:8]}" if step else f"run {run.id[:8]}"
        operation = snapshot.revert_changes(git, old, new, f"undo {target}", run.id)
    if operation:
        record_work(app, runtime, run)
    return operation


def record_work(app: App, runtime: Runtime, run: Run) -> None:
    """Record a snapshot of the files of a run that a person has changed since its last step.

    Lists, undo and comparisons see the work by it. A run that worked in a tree of others has none.
    """
    if not (run.workspace.own_worktree and has_worktree(run)):
        return
    git = open_run_git(app, run)
    first, last = run.snapshot_range()
    is_first = not first
    first = first or run.workspace.base
    commit, tree = snapshot.current_snapshot(git)
    if snapshot.resolve_tree(git, last or first) == tree:
        return
    if is_first:  # its steps left the files alone, so the work begins at the base
        before = events.SnapshotTaken(at=time.time(), step="", visit=0, when="before", commit=first)
        driver.record_event(run.id, runtime, before)
    event = events.SnapshotTaken(at=time.time(), step="", visit=0, when="after", commit=commit)
    event = add_change_counts(event, snapshot.diff_stats(git, first, commit))
    # Without a ref, git would remove the commit at its next garbage collection.
    git.run("update-ref", f"{snapshot.RUN_REFS}/{run.id}/work", commit)
    driver.record_event(run.id, runtime, event)


def undo_operation(runtime: Runtime, git: Git, operation: Operation) -> str:
    """Undo an operation; return a message about the result.

    Raises:
        ConflictError: The result of the operation was changed since; nothing was changed.
        UsageError: The operation was undone already, or its worktree is gone.
    """
    if operation.state == "undone":
        raise UsageError(
            f"{operation.id} was undone already", "run `prj undo --list` to see what can be undone"
        )
    if operation.kind == "remove":
        note = worktree.restore_worktree(git, operation)
        return note or f"restored {operation.path}"
    if operation.kind == "land":
        merge.undo_merge(git, operation)
        if operation.run:
            event = events.RunLanded(at=time.time(), into="", commit=operation.old)
            with suppress(PruneJuiceError):  # the run may have been deleted
                driver.record_event(operation.run, runtime, event)
        return f"branch {operation.branch} is back at {operation.old[:12]}"
    if not Path(operation.path).is_dir():
        raise UsageError(
            f"the worktree {operation.path} is gone",
            "run `prj undo --list` to see whether it can be restored",
        )
    worktree_git = git.for_worktree(operation.path, operation.git_dir)
    revert = snapshot.revert_changes(
        worktree_git, operation.old, operation.new, f"undo {operation.id}", operation.run
    )
    oplog.open_log(git).mark_state(operation, "undone")
    if revert is None:
        return "the files had their earlier contents already"
    return f"restored the files; revert this with `prj undo {revert.id}`"


# -- merge ------------------------------------------------------------------------------------------


class MergeOptions(NamedTuple):
    """How to merge: the `method`, the branch `into`, a `check` command (or empty), a commit message.

    The check runs in `folder`, a path relative to the top of the repository.
    """

    method: MergeMethod
    into: str = ""
    check: str = ""
    message: str = ""
    folder: str = "."


class MergeResult(NamedTuple):
    """A merge: the branch `into` moved from `old` to `new`; undoing `operation` reverses it.

    `waiting` are the change sets of the run that still wait for a review: they are not part of it.
    """

    into: str
    old: str
    new: str
    operation: str
    checked: str
    waiting: tuple[str, ...] = ()


def require_mergeable(
    app: App, run: Run, options: MergeOptions, report: Report = say_nothing
) -> tuple[str, str]:
    """Return the branch to merge the work of a run into, and its commit, before anything is changed.

    A worktree whose folder was deleted is brought back, and `report` is told.

    Raises:
        UsageError: The run has not ended, has no work of its own, or there is no branch to merge into.
    """
    if run.status not in FINAL_STATUSES:
        raise UsageError(f"run {run.id[:8]} is {run.status}", f"end it first with `prj stop {run.id[:8]}`")
    if run.workspace.own_worktree and run_changes.has_folder(run):
        run_changes.require_folder(app, run, report)
    git = open_run_git(app, run)
    if not (has_worktree(run) or git.resolve(f"refs/heads/{run.workspace.branch}")):
        raise _no_work_error(git, run)
    into, old = merge.find_target_branch(git, options.into)
    if into == run.workspace.branch:
        raise UsageError(f"{into!r} is the run's own branch", "choose another branch with --into")
    return into, old


def merge_run(
    app: App, runtime: Runtime, run: Run, options: MergeOptions, report: Report = say_nothing
) -> MergeResult:
    """Merge the work of a run into a branch, all of it or nothing; for `report` see `require_mergeable`.

    Raises:
        ConflictError: The work conflicts with the branch; the message names the files.
        GateError: The check failed on the merged files.
        UsageError: The run has not ended, or there is nothing to merge, or no branch to merge into.
    """
    into, old = require_mergeable(app, run, options, report)
    git = open_run_git(app, run)
    title = options.message or _merge_title(run)
    tip = _find_tip(git, run, title)
    with _name_place_of_conflict(run, into):
        # The commit of the work has the title; a commit that only merges says that it does.
        is_merge = options.method in {"merge", "no-ff"} and not options.message
        source = MergeSource(tip, f"Merge: {title}" if is_merge else title)
        new = merge.create_merged_commit(git, source, old, options.method)
    waiting = view.find_waiting_changes(run)
    if new == old and waiting:
        problem = f"nothing to merge yet: {', '.join(waiting)} of run {run.id[:8]} waits for a review"
        raise UsageError(problem, f"prj review {run.id[:8]}")
    if new == old:
        raise UsageError(f"nothing to merge: branch {into!r} has all work of run {run.id[:8]} already")
    if options.check:
        merge_check.require_passing_check(
            app, git, merge_check.Merge(old, new, into, options.folder), options.check
        )
    operation = merge.advance_branch(git, into, old, new, run.id)
    if has_worktree(run):
        with suppress(GitError, ConflictError):  # files changed since are not part of this merge
            merge.advance_worktree(git, tip)
    driver.record_event(
        run.id, runtime, events.RunLanded(at=time.time(), into=into, commit=new, operation=operation.id)
    )
    return MergeResult(into, old, new, operation.id, options.check, tuple(waiting))


@contextmanager
def _name_place_of_conflict(run: Run, into: str) -> Iterator[None]:
    """Say in the error of a conflict where and how to resolve it."""
    try:
        yield
    except ConflictError as error:
        if has_worktree(run):
            place = safe_line(run.workspace.worktree, 200)
            steps = f"commit the work, run `git merge {into}`, resolve the conflicts and commit"
            error.fix = f"in {place}: {steps}; then merge again"
        raise


def _merge_title(run: Run) -> str:
    """Return the message of the commits of a run: the words of its agent, or its issue, or its command."""
    issue = run_texts.find_issue(run)
    said = run_texts.find_summary(run).strip() or (issue[1] if issue else "")
    title, _, rest = said.partition("\n")
    if not title or len(title) > _MAX_TITLE:
        title, rest = f"{run.plan.command.name} {run_texts.describe_task(run)}".strip(), said
    closing = f"Closes #{issue[0]}" if issue else ""
    parts = (safe_line(title, _MAX_TITLE).rstrip("."), rest.strip(), closing, f"PruneJuice-Run: {run.id}")
    return "\n\n".join(filter(None, parts)) + "\n"


def _find_tip(git: Git, run: Run, title: str) -> str:
    if has_worktree(run):
        return merge.commit_worktree(git, title)
    branch = run.workspace.branch
    tip = git.resolve(f"refs/heads/{branch}") if branch else ""
    if not tip:
        raise _no_work_error(git, run)
    # What was never committed is in the last snapshot; a branch that moved since has its own say.
    saved = run.snapshot_range()[1]
    is_removed = find_removal(git, run.workspace.worktree) is not None
    if saved and not is_removed and git.resolve(f"{saved}^") == tip:
        tree = snapshot.resolve_tree(git, saved)
        if tree != snapshot.resolve_tree(git, tip):
            return git.commit_tree(tree, (tip,), title, None)
    return tip


def _no_work_error(git: Git, run: Run) -> UsageError:
    """Return the error about a run without a worktree and a branch to merge."""
    short = run.id[:8]
    if run.landed:
        return UsageError(
            f"run {short} is merged into {run.landed.into} already",
            f"undo the merge first: prj undo {run.landed.operation}",
        )
    if removal := find_removal(git, run.workspace.worktree):
        return UsageError(
            f"the worktree of run {short} was removed", f"restore it first: prj undo {removal.id}"
        )
    return UsageError(
        f"run {short} has neither a worktree nor a branch to merge", "start the run with --worktree"
    )


def find_removal(git: Git, name: str) -> Operation | None:
    """Return the last removal, if not undone, of a worktree of this path, folder or branch (or its end)."""
    return next(
        (
            operation
            for operation in oplog.open_log(git).list_operations()
            if (operation.kind, operation.state) == ("remove", "done")
            and name
            and (
                name in {operation.path, Path(operation.path).name, operation.branch}
                or operation.branch.endswith((f"-{name}", f"/{name}"))
            )
        ),
        None,
    )


# -- compare ----------------------------------------------------------------------------------------


class RunComparison(NamedTuple):
    """A run and the files it changed, with lines added and removed (None for binary files)."""

    run: Run
    files: tuple[snapshot.DiffStat, ...]


def compare_runs(app: App, runs: Sequence[Run]) -> list[RunComparison]:
    """Return the file changes of each run, with what waits for a review.

    Raises:
        UsageError: A run has no snapshots.
    """
    comparisons = []
    for run in runs:
        work = find_proposed_range(app, run)
        comparisons.append(RunComparison(run, tuple(snapshot.diff_stats(work.git, work.old, work.new))))
    return comparisons


def find_conflicts(
    git: Git, base: str
) -> tuple[str, list[conflicts.WorktreeChanges], list[conflicts.Conflict]]:
    """Return the base commit, the changes of all worktrees with what waits there, and their conflicts.

    Raises:
        UsageError: The base commit does not exist.
    """
    commit = git.resolve(base or "HEAD")
    if not commit:
        raise UsageError(f"unknown commit {safe_line(base or 'HEAD', 60)!r}", "choose a commit with --base")
    return commit, *conflicts.find_conflicts(git, commit, propose=_propose_waiting_changes)


def _propose_waiting_changes(git: Git, commit: str) -> str:
    store = ChangeSetStore(tree_state.worktree_state(git))
    return run_changes.add_waiting_changes(git, commit, store.load_in_state("pending"))
