"""What is shown of a run: folds of its state into plain data, the same for every front door."""

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from prunejuice.run import Run, RunStatus, StepRun
from prunejuice.text import safe_line

NEW = 10.0
"""Seconds that a run may be there before somebody drives it."""


class Summary(Struct, frozen=True):
    """One line about a run, kept beside its events so that lists need not replay them."""

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


def summary(run: Run) -> Summary:
    """The line about a run."""
    steps = run.plan.workflow.steps
    over = {v.step for v in run.visits if v.status not in {"running", "pending"}}
    active = run.running() or run.blocked()
    total = {step.id for step in steps.values() if step.stage != "cleanup"}
    return Summary(
        id=run.id,
        command=run.plan.command.name,
        status=run.status,
        project=run.plan.project,
        directory=run.workspace.directory,
        created=run.created,
        started=run.started,
        ended=run.ended,
        branch=run.workspace.branch,
        worktree=run.workspace.worktree,
        session=run.workspace.session,
        parent=run.parent,
        step=", ".join(visit.step for visit in active) or run.cause,
        steps_done=len(over & total),
        steps_total=len(total),
        error=safe_line(run.error or (active[0].error if active else ""), 300),
        pid=run.pid,
        host=run.host,
    )


def stamp(seconds: float) -> str | None:
    """A time as ISO 8601 in UTC; nothing for one that has not come yet."""
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def item(line: Summary) -> dict[str, Any]:
    """A run as lists give it out; what there is nothing to say about is absent."""
    return _said(
        id=line.id,
        session_id=line.id,
        command=line.command,
        status=line.status,
        project=line.project,
        directory=line.directory,
        created=stamp(line.created),
        started=stamp(line.started),
        ended=stamp(line.ended),
        branch=line.branch,
        worktree=line.worktree,
        session=line.session,
        parent=line.parent,
        step=line.step,
        steps_done=line.steps_done,
        steps_total=line.steps_total,
        error=line.error,
    )


def whole(run: Run) -> dict[str, Any]:
    """A run with its steps and artifacts, as `--json` gives it out."""
    artifacts = [
        _said(name=a.name, path=a.path, size=a.size, sha256=a.sha256, media_type=a.media_type, step=a.step)
        for a in run.artifacts
    ]
    about = {"arguments": run.plan.arguments, "steps": [step(visit) for visit in run.visits]}
    return {**item(summary(run)), "reason": run.reason, **about, "artifacts": artifacts}


def step(visit: StepRun) -> dict[str, Any]:
    """One visit to a step."""
    return _said(
        step=visit.step,
        visit=visit.visit,
        attempt=visit.attempt,
        status=visit.status,
        started=stamp(visit.started),
        ended=stamp(visit.ended),
        seconds=round(visit.ended - visit.started, 3) if visit.ended else None,
        exit_code=visit.exit_code,
        error=visit.error,
        fix=visit.fix,
        outputs=visit.outputs,
        log=visit.log,
    )


def _said(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "", {}, [])}
