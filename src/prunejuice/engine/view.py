"""Views of a run: its state as summaries and plain data, shared by all interfaces."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import combinations
from typing import Any, Literal

from msgspec import Struct

from prunejuice.engine.event import SnapshotTaken
from prunejuice.engine.run import Run, RunStatus, StepRun
from prunejuice.engine.run_texts import describe_task, list_evidence
from prunejuice.text import safe_line

NEW_RUN_SECONDS = 10.0
"""Seconds that a new run may exist before a process drives it."""


class RunSummary(Struct, frozen=True):
    """A summary of a run, stored beside its events so that lists do not replay them."""

    id: str
    command: str
    status: RunStatus
    project: str
    directory: str
    created: float
    started: float = 0
    ended: float = 0
    branch: str = ""
    worktree: str = ""
    session: str = ""
    parent: str = ""
    step: str = ""
    steps_done: int = 0
    steps_total: int = 0
    error: str = ""
    pid: int = 0
    host: str = ""
    files: int = 0
    added: int = 0
    removed: int = 0
    paths: tuple[str, ...] = ()
    landed: str = ""
    log: str = ""
    common: str = ""
    called: str = ""
    watched: bool = False
    arguments: str = ""
    worked: float = 0
    driven_since: float = 0
    dismissed: bool = False
    tokens: int = 0
    cost: float = 0
    task: str = ""
    submitted: str = ""
    checked: bool = False
    git_dir: str = ""


def _is_watched(run: Run) -> bool:
    watched = run.plan.watched
    # Older plans have no such field; then only verb runs were watched.
    return run.plan.command.category == "codebot" if watched is None else watched


_NO_SNAPSHOT = SnapshotTaken(step="", visit=0, when="after")


def summarize_run(run: Run) -> RunSummary:
    """Return the summary of a run."""
    steps = run.plan.workflow.steps
    active = run.running_visits() or run.blocked_visits()
    last = next((snapshot for snapshot in reversed(run.snapshots) if snapshot.commit), _NO_SNAPSHOT)
    counted = {step.id for step in steps.values() if step.stage != "cleanup"}
    return RunSummary(
        id=run.id,
        command=run.plan.command.name,
        status=run.status,
        project=run.plan.project,
        directory=run.workspace.directory,
        created=run.created,
        started=run.started,
        ended=run.ended,
        branch=run.workspace.branch,
        worktree=run.workspace.own_worktree,
        session=run.workspace.session,
        parent=run.parent,
        step=", ".join(visit.step for visit in active) or run.cause,
        steps_done=len(_finished_steps(run) & counted),
        steps_total=len(counted),
        error=safe_line(run.error or (active[0].error if active else ""), 300),
        pid=run.pid,
        host=run.host,
        files=last.files,
        added=last.added,
        removed=last.removed,
        paths=last.paths[:100],
        landed=run.landed.into if run.landed else "",
        log=active[-1].log if active else "",
        common=run.workspace.common,
        watched=_is_watched(run),
        called=next((visit.called for visit in run.running_visits() if visit.called), ""),
        arguments=safe_line(format_arguments(run), 200),
        worked=run.worked,
        driven_since=run.driven_since,
        dismissed=run.dismissed,
        tokens=int(_sum_outputs(run, "tokens")),
        cost=_sum_outputs(run, "cost"),
        task=describe_task(run),
        checked=any(list_evidence(run)),
        git_dir=run.workspace.git_dir,
        submitted=(run.submitted.url or run.submitted.branch) if run.submitted else "",
    )


def _sum_outputs(run: Run, name: str) -> float:
    """Return the sum of a number that the agent steps put out; other steps put out what they like."""
    steps = run.plan.workflow.steps
    values = (visit.outputs.get(name) for visit in run.visits if steps[visit.step].agent)
    return sum(value for value in values if isinstance(value, int | float) and 0 < value < math.inf)


def _finished_steps(run: Run) -> set[str]:
    """Return the steps that are over, except those that failed the run or were skipped for a failure."""
    ended = {v.step for v in run.visits if v.status in {"completed", "failed"}}
    return (ended | {v.step for v in run.visits if v.status == "skipped" and not v.reason}) - {run.cause}


def seconds_worked(run: Run | RunSummary, now: float) -> float:
    """Return how many seconds a run was driven until `now`; its waits for a person do not count."""
    if run.driven_since:
        return run.worked + max(0.0, now - run.driven_since)
    # A summary of version 0.6 or older has no such times.
    return run.worked or (max(0.0, run.ended - run.started) if run.ended and run.started else 0.0)


def format_arguments(run: Run) -> str:
    """Return the arguments of a run as `name=value` words, except defaults; secrets are masked."""
    defaults = {argument.name: argument.default for argument in run.plan.command.arguments}
    return " ".join(
        f"{name}={_format_argument(name, value, run.plan.secret_names)}"
        for name, value in run.plan.arguments.items()
        if value is not None and (name not in defaults or value != defaults[name])
    )


def _format_argument(name: str, value: Any, secret_names: Sequence[str]) -> str:
    from prunejuice.system.redact import mask_argument  # noqa: PLC0415 - not for lists of runs

    return safe_line(str(mask_argument(name, value, secret_names))[:400], 60)


StatusGroup = Literal["needs you", "ready", "working", "done"]


class RunStatusLine(Struct, frozen=True):
    """The status group of a run and the evidence for it."""

    group: StatusGroup
    evidence: tuple[str, ...]


def status_line(
    line: RunSummary, *, has_worktree: bool, has_session: bool, waiting: Sequence[str] = ()
) -> RunStatusLine:
    """Return the status group of a run; the flags tell whether its worktree and session exist.

    `waiting` are the ids of its change sets that wait for a review.
    """
    group = _status_group(line, has_worktree=has_worktree, waits=bool(waiting))
    evidence = [f"event: the run is {line.status}"]
    if line.status in {"pending", "running"}:
        evidence.append(f"lock: process {line.pid} holds it" if line.pid else "lock: waiting for its turn")
        evidence += [f"event: {line.called}"] if line.called else []
    elif line.dismissed:
        evidence.append("event: dismissed with `prj dismiss`")
    elif group == "needs you" and line.error:
        evidence.append(f"event: {line.step or 'the run'}: {line.error}")
    elif group == "ready":
        evidence.append(f"snapshot: {line.files} files changed, in no other branch by prj merge")
    evidence += [f"change set: {name} waits for `prj review {line.id[:8]}`" for name in waiting]
    evidence += [f"event: landed in {line.landed}"] if line.landed else []
    evidence += [f"event: submitted as {line.submitted}"] if line.submitted else []
    if line.worktree:
        evidence.append(f"folder: {line.worktree} is {'present' if has_worktree else 'gone'}")
    if line.session:
        evidence.append(f"tmux: session {line.session} {'is alive' if has_session else 'is gone'}")
    return RunStatusLine(group, tuple(evidence))


def _status_group(line: RunSummary, *, has_worktree: bool, waits: bool) -> StatusGroup:
    if line.status in {"pending", "running"}:
        return "needs you" if line.called else "working"
    if line.dismissed:
        return "done"
    if line.status in {"waiting", "interrupted"} or (line.status == "failed" and not line.watched):
        return "needs you"
    if waits:
        return "ready"
    is_out = line.landed or line.submitted
    is_ready = line.status == "completed" and line.files and has_worktree and not is_out
    return "ready" if is_ready else "done"


def find_waiting_changes(run: Run) -> list[str]:
    """Return the ids of the change sets of a run that wait for a review."""
    from prunejuice.worktrees.waiting_changes import find_changes_of_runs  # noqa: PLC0415 - not for lists

    workspace = run.workspace
    place = (run.id, workspace.own_worktree, workspace.directory, workspace.git_dir)
    return find_changes_of_runs([place])[run.id]


def find_overlaps(lines: Sequence[RunSummary]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return, by run id, the other runs that changed the same files of the repository, and those files."""
    overlaps: dict[str, dict[str, tuple[str, ...]]] = {}
    for run, other in combinations([line for line in lines if line.paths and line.worktree], 2):
        shared = sorted(set(run.paths) & set(other.paths)) if run.common == other.common else []
        if shared and run.worktree != other.worktree:
            overlaps.setdefault(run.id, {})[other.id] = tuple(shared)
            overlaps.setdefault(other.id, {})[run.id] = tuple(shared)
    return overlaps


def format_time(seconds: float) -> str | None:
    """Return a time in ISO 8601 and UTC, or None for 0."""
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def summary_to_dict(line: RunSummary) -> dict[str, Any]:
    """Return a run summary as plain data, without empty fields."""
    return _without_empty(
        id=line.id,
        session_id=line.id,
        command=line.command,
        status=line.status,
        project=line.project,
        directory=line.directory,
        created=format_time(line.created),
        started=format_time(line.started),
        ended=format_time(line.ended),
        branch=line.branch,
        worktree=line.worktree,
        session=line.session,
        parent=line.parent,
        step=line.step,
        steps_done=line.steps_done,
        steps_total=line.steps_total,
        error=line.error,
        called=line.called,
        files=line.files or None,
        added=line.added or None,
        removed=line.removed or None,
        task=line.task,
        landed=line.landed,
        submitted=line.submitted,
        checked=line.checked or None,
        dismissed=line.dismissed or None,
        tokens=line.tokens or None,
        cost=line.cost or None,
    )


def run_to_dict(run: Run) -> dict[str, Any]:
    """Return a run with its steps and artifacts as plain data, as printed by `--json`."""
    artifacts = [
        _without_empty(
            name=a.name, path=a.path, size=a.size, sha256=a.sha256, media_type=a.media_type, step=a.step
        )
        for a in run.artifacts
    ]
    return {
        **summary_to_dict(summarize_run(run)),
        "reason": run.reason,
        "arguments": run.plan.arguments,
        "sandbox": run.plan.command_containment.mode,
        "steps": [visit_to_dict(visit) for visit in run.visits],
        "artifacts": artifacts,
    }


def visit_to_dict(visit: StepRun) -> dict[str, Any]:
    """Return a visit to a step as plain data, without empty fields."""
    return _without_empty(
        step=visit.step,
        visit=visit.visit,
        attempt=visit.attempt,
        status=visit.status,
        started=format_time(visit.started),
        ended=format_time(visit.ended),
        seconds=round(visit.ended - visit.started, 3) if visit.ended else None,
        exit_code=visit.exit_code,
        error=visit.error,
        fix=visit.fix,
        outputs=visit.outputs,
        refused=[{"what": each.what, "target": each.target, "fix": each.fix} for each in visit.refused],
        log=visit.log,
    )


def _without_empty(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "", {}, [])}
