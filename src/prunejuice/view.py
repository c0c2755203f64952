"""What is shown of a run: folds of its state into plain data, the same for every front door."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import combinations
from typing import Any, Literal

from msgspec import Struct

from prunejuice.event import SnapshotTaken
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
    files: int = 0
    added: int = 0
    removed: int = 0
    paths: tuple[str, ...] = ()
    landed: str = ""
    log: str = ""
    common: str = ""
    called: str = ""
    watched: bool = False


def _is_watched(run: Run) -> bool:
    """Whether how it ends is told to whoever called; an old history does not say it, and every verb was."""
    watched = run.plan.watched
    return run.plan.command.category == "codebot" if watched is None else watched


_NONE = SnapshotTaken(step="", visit=0, when="after")


def summary(run: Run) -> Summary:
    """The line about a run."""
    steps = run.plan.workflow.steps
    over = {v.step for v in run.visits if v.status not in {"running", "pending"}}
    active = run.running() or run.blocked()
    last = next((each for each in reversed(run.snapshots) if each.commit), _NONE)
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
        worktree="" if run.workspace.borrowed else run.workspace.worktree,
        session=run.workspace.session,
        parent=run.parent,
        step=", ".join(visit.step for visit in active) or run.cause,
        steps_done=len(over & total),
        steps_total=len(total),
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
        called=next((visit.called for visit in run.running() if visit.called), ""),
    )


def given(run: Run) -> str:
    """The arguments of a run, as they can be typed."""
    words = run.plan.arguments.items()
    return " ".join(f"{name}={value}" for name, value in words if value is not None)


Group = Literal["needs you", "ready", "working", "done"]


class Standing(Struct, frozen=True):
    """What a person has to do about a run, and the facts that say so."""

    group: Group
    evidence: tuple[str, ...]


def standing(line: Summary, *, has_worktree: bool, has_session: bool) -> Standing:
    """Where a run stands; what it asks of the world is given."""
    facts = [f"event: the run is {line.status}"]
    group: Group = "done"
    if line.status in {"pending", "running"}:
        group = "working"
        facts.append(f"lock: process {line.pid} holds it" if line.pid else "lock: it waits for its turn")
        if line.called:
            group = "needs you"
            facts.append(f"event: {line.called}")
    elif line.status in {"waiting", "interrupted"} or (line.status == "failed" and not line.watched):
        group = "needs you"
        facts += [f"event: {line.step or 'the run'}: {line.error}"] if line.error else []
    elif line.status == "completed" and line.files and has_worktree and not line.landed:
        group = "ready"
        facts.append(f"snapshot: {line.files} files changed, in no other branch by prj merge")
    if line.landed:
        facts.append(f"event: landed in {line.landed}")
    if line.worktree:
        facts.append(f"folder: {line.worktree} is {'there' if has_worktree else 'gone'}")
    if line.session:
        facts.append(f"tmux: session {line.session} {'lives' if has_session else 'is gone'}")
    return Standing(group, tuple(facts))


def overlaps(lines: Sequence[Summary]) -> dict[str, dict[str, tuple[str, ...]]]:
    """For each run, the others that changed the same files of the same repository, and which files."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for one, other in combinations([line for line in lines if line.paths and line.worktree], 2):
        same = sorted(set(one.paths) & set(other.paths)) if one.common == other.common else []
        if same and one.worktree != other.worktree:
            found.setdefault(one.id, {})[other.id] = tuple(same)
            found.setdefault(other.id, {})[one.id] = tuple(same)
    return found


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
        called=line.called,
        files=line.files or None,
        added=line.added or None,
        removed=line.removed or None,
        landed=line.landed,
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
