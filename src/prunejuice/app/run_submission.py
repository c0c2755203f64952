"""Submit the work of a run as a pull request, whoever changed its worktree."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

from prunejuice.app import run_actions, run_changes
from prunejuice.app.wiring import App
from prunejuice.changes import change_set, pending
from prunejuice.changes.change_set import ChangeSet
from prunejuice.changes.change_set_store import ChangeSetRecord, ChangeSetStore
from prunejuice.edits.diff import FileDiff
from prunejuice.edits.overlay import Overlay
from prunejuice.engine import driver, run_texts
from prunejuice.engine import event as events
from prunejuice.engine.driver import Runtime
from prunejuice.engine.run import FINAL_STATUSES, Run
from prunejuice.engine.view import format_arguments
from prunejuice.errors import PruneJuiceError, UsageError
from prunejuice.forges import branch as branches
from prunejuice.forges import submit
from prunejuice.forges.submit import SubmitOptions, SubmitPlan, SubmitResult
from prunejuice.worktrees import snapshot
from prunejuice.worktrees.git import Git

_WORK = "work"
"""The key in the metadata of a change set that holds the work of a run: the commit of its files."""
_BRANCH = "branch"


class RunSubmission(NamedTuple):
    """The work of a run as a change set, and what submitting it would do.

    Unless `is_as_checked`, the work is not what the checks of the run saw, and has no evidence.
    """

    store: ChangeSetStore
    git: Git
    record: ChangeSetRecord
    plan: SubmitPlan
    is_update: bool
    is_as_checked: bool = True

    def discard(self) -> None:
        """Delete the change set: it was not submitted."""
        self.store.delete(self.record)


def plan_run_submission(app: App, run: Run, options: SubmitOptions) -> RunSubmission:
    """Return what submitting the work of a run would do; the branch of an earlier submission is continued.

    The work is stored as a pending change set until it is submitted or discarded.

    Raises:
        UsageError: the run has not ended, has no work, or change sets of it wait for a review.
        ConflictError: the work does not fit the base.
    """
    short = run.id[:8]
    store = _open_finished_store(app, run)
    git = run_actions.open_run_git(app, run)
    earlier = _find_earlier(store, run)
    span = run_actions.find_work_range(app, run)
    base = str(earlier.change_set.metadata[_WORK]) if earlier else run.workspace.base or span.old
    differences = tuple(_diff_work(store, git, base, span.new))
    if not differences:
        done = f"; it was submitted: {earlier.history[-1].note}" if earlier else ""
        raise UsageError(f"run {short} has no work to submit{done}", f"see what it did: prj show {short}")
    if earlier:
        name = str(earlier.change_set.metadata[_BRANCH])
        options = options._replace(branch=name, onto=options.onto or f"refs/heads/{name}")
    issue = run_texts.find_issue(run)
    is_as_checked = _is_as_checked(git, run, span.new, differences)
    work = ChangeSet(
        change_set.changes_from_diffs(differences),
        _summarize(run, issue),
        {_WORK: span.new, **_describe_work(run, issue, is_as_checked=is_as_checked)},
        command=run.plan.command.name,
        run=run.id,
    )
    if issue and not options.branch:
        title = options.title or submit.format_title(work)
        options = options._replace(branch=f"codebot/{issue[0]}-{submit.format_slug(title)}")
    record = pending.add_change_set(store, work, differences)
    with ExitStack() as on_failure:
        on_failure.callback(store.delete, record)
        planned = submit.plan_submission(store, git, options._replace(only=(record.id,)))
        on_failure.pop_all()
    plan = planned._replace(kept="the files of the run")
    return RunSubmission(store, git, record, plan, bool(earlier), is_as_checked)


def _open_finished_store(app: App, run: Run) -> ChangeSetStore:
    """Return the change sets of a run that has ended, and of which none waits for a review."""
    short = run.id[:8]
    if run.status not in FINAL_STATUSES:
        raise UsageError(f"run {short} is {run.status}", f"end it first with `prj stop {short}`")
    store = run_changes.open_run_store(app, run)
    if waiting := run_changes.find_waiting(store, run):
        names = ", ".join(record.id for record in waiting)
        raise UsageError(f"{names} of run {short} waits for a review", f"prj review {short}")
    return store


def submit_run(
    submission: RunSubmission, app: App, runtime: Runtime, *, request: bool, exact: bool
) -> SubmitResult:
    """Push the branch of a run and open its pull request; on failure nothing is pending.

    Raises:
        UsageError: the repository has no remote, its forge is unknown, or there is no token.
        PublishError: the remote or the forge refused, or is unreachable.
    """
    store, plan = submission.store, submission.plan
    if submission.is_update:
        plan = plan._replace(continued=plan.onto)
    with ExitStack() as on_failure:
        on_failure.callback(submission.discard)
        result = submit.submit_changes(
            store, submission.git, plan, app.environ, request=request, exact=exact
        )
        on_failure.pop_all()
    # The branch and the pull request are out: a history that cannot be written must not hide them.
    with suppress(PruneJuiceError):
        stored = store.find(submission.record.id)
        metadata = {**stored.change_set.metadata, _BRANCH: result.branch}
        store.save(stored.with_metadata(metadata))
        submitted = events.RunSubmitted(at=time.time(), branch=result.branch, url=result.url)
        driver.record_event(stored.change_set.run, runtime, submitted)
    return result


def _find_earlier(store: ChangeSetStore, run: Run) -> ChangeSetRecord | None:
    """Return the last submission of a run whose branch is known."""
    submitted = (
        record
        for record in store.load_in_state("submitted")
        if record.change_set.run == run.id and {_WORK, _BRANCH} <= record.change_set.metadata.keys()
    )
    return max(submitted, key=lambda record: record.last_action, default=None)


def _diff_work(store: ChangeSetStore, git: Git, base: str, tip: str) -> Iterator[FileDiff]:
    paths = [entry.path for entry in snapshot.diff_stats(git, base, tip)]
    with change_set.open_version_reader(store.tree_state) as read_now:
        overlay = Overlay(branches.commit_file_reader(git, base))
        for path in paths:
            overlay.put(path, read_now(path))
        yield from overlay.diffs()


# -- texts ------------------------------------------------------------------------------------------


def _summarize(run: Run, issue: tuple[int, str] | None) -> str:
    """Return the words of the last agent, else the title of the issue, else the command of the run."""
    said = run_texts.find_summary(run) or (issue[1] if issue else "")
    return said or f"{run.plan.command.name} {format_arguments(run)}".strip()


def _is_as_checked(git: Git, run: Run, commit: str, differences: Sequence[FileDiff]) -> bool:
    """Return whether work is what the last agent of the run answered, or what its last step left."""
    digests = [str(visit.outputs["digest"]) for visit in run.visits if visit.outputs.get("digest")]
    if digests and digests[-1] == change_set.digest_differences(differences):
        return True
    left = next((taken.commit for taken in reversed(run.snapshots) if taken.step and taken.commit), "")
    return bool(left) and snapshot.resolve_tree(git, left) == snapshot.resolve_tree(git, commit)


def _describe_work(run: Run, issue: tuple[int, str] | None, *, is_as_checked: bool) -> dict[str, Any]:
    evidence = list(run_texts.list_evidence(run)) if is_as_checked else []
    return {
        **({"closes": f"{issue[0]}: {issue[1]}"} if issue else {}),
        **({"evidence": evidence} if evidence else {}),
    }
