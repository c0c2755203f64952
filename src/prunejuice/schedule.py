"""What may start next, and whether the run has failed: the whole of orchestration, pure.

A link fires when its source ends in its way; that is recorded in the event (`fires`). A step is due
as often as links arrived at it, plus once where a stage begins with it. Stages (`pre`, `main`, `post`)
follow each other when nothing is left to do in the one before; `cleanup` runs after a failure.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from msgspec.structs import replace

from prunejuice import condition
from prunejuice.errors import ConditionError
from prunejuice.event import Outcome, Reason
from prunejuice.plan import WORKTREE_STEP, Plan
from prunejuice.run import ENDED, Run, StepRun
from prunejuice.workflow import STAGES, Link, Stage, Step, Workflow


class Decision(NamedTuple):
    """What is to be done with a step now, and why when it is not simply started.

    `spoilt` is a skip for which a failure elsewhere is to blame.
    """

    step: Step
    action: Literal["start", "skip", "fail"]
    reason: str = ""
    spoilt: bool = False


class Failure(NamedTuple):
    """The first cause of a failure."""

    step: str
    error: str
    reason: Reason


def ready(plan: Plan, run: Run) -> tuple[Decision, ...]:
    """The steps that are to be started or skipped now, at most as many as may run at once."""
    if run.status in ENDED:
        return ()
    steps = () if run.cancelling else _due_in_stage(plan.workflow, run)
    if not steps and not run.running() and (run.cancelling or not run.blocked()):
        steps = _cleanup(plan, run)
    decided = [_decided(plan, run, step) for step in steps]
    free = max(0, plan.workflow.max_parallel - len(run.running()))
    starts = [decision for decision in decided if decision.action == "start"][:free]
    return tuple(d for d in decided if d.action != "start" or d in starts)


def failing(plan: Plan, run: Run, step: Step) -> bool:
    """Whether a failure stands before a step: one that nothing took up, or an earlier stage failed."""
    if _unhandled(plan, run):
        return True
    place = STAGES.index(step.stage) if step.stage in STAGES else len(STAGES)
    over = {s.id for stage in STAGES[:place] for s in plan.workflow.stage(stage)}
    before = replace(run, visits=tuple(visit for visit in run.visits if visit.step in over))
    return bool(before.visits) and failed(plan, before) is not None


def failed(plan: Plan, run: Run) -> Failure | None:
    """Why the run has failed, when nothing more is to be done: its first cause, or None."""
    cause = _unhandled(plan, run) or _unmended(plan, run)
    if cause:
        return Failure(cause.step, cause.error, cause.reason or "failed")
    return _exhausted(plan.workflow, run)


def fires(plan: Plan, run: Run, step_id: str, status: Outcome) -> tuple[str, ...]:
    """The links that the end of a step sets off, as `kind:target`."""
    links = plan.workflow.outgoing[step_id]
    fired = _fired(run)
    left = {link.target for link in links if _visits_left(plan.workflow, fired, link.target)}
    if status == "failed":
        caught = [link for link in links if link.on == "failure" and link.target in left]
        onward = [link for link in links if link.on in {"next", "done"} and link.target in left]
        return _names(caught or onward)
    return _names(link for link in _wanted(plan.workflow, step_id) if link.target in left)


def _wanted(workflow: Workflow, step_id: str) -> list[Link]:
    """The links that success would set off if every target could be visited for ever."""
    replaced = bool(workflow.steps[step_id].on_success)
    return [
        link
        for link in workflow.outgoing[step_id]
        if link.on in {"success", "done"} or (link.on == "next" and not replaced)
    ]


def facts(plan: Plan, run: Run, scope: str = "") -> dict[str, Any]:
    """What conditions and `${{ }}` can read: `args`, `steps` (of one scope), `run`."""
    steps = {
        visit.step.removeprefix(scope): {"changed": _has_changed(run, visit), **_step_facts(visit)}
        for visit in run.visits
        if visit.step.startswith(scope)
    }
    about = {
        "id": run.id,
        "command": plan.command.name,
        "directory": run.workspace.directory,
        "branch": run.workspace.branch or None,
        "project": plan.project,
    }
    return {"args": plan.arguments, "steps": steps, "run": about}


def _has_changed(run: Run, visit: StepRun) -> bool:
    """Whether a visit changed files, as far as snapshots say."""
    return any(s.changed for s in run.snapshots if (s.step, s.visit) == (visit.step, visit.visit))


def _step_facts(visit: StepRun) -> dict[str, Any]:
    return {
        **visit.outputs,
        "status": visit.status,
        "exit_code": visit.exit_code,
        "error": visit.error or None,
        "output": visit.output,
        "outputs": visit.outputs,
        "visits": visit.visit,
    }


def _names(links: Iterable[Link]) -> tuple[str, ...]:
    return tuple(f"{link.on}:{link.target}" for link in links)


def _visits_left(workflow: Workflow, fired: Mapping[tuple[str, str], int], step_id: str) -> bool:
    limit = workflow.steps[step_id].max_visits
    return limit is None or _arrived(workflow, fired, step_id) < limit


def _fired(run: Run) -> Mapping[tuple[str, str], int]:
    """How often each link fired, by source and `kind:target`."""
    return Counter((visit.step, name) for visit in run.visits for name in visit.fires)


def _arrived(workflow: Workflow, fired: Mapping[tuple[str, str], int], step_id: str) -> int:
    """How often a step has become due."""
    joins: dict[str, int] = {}
    for link in workflow.incoming[step_id]:
        count = fired.get((link.source, f"{link.on}:{step_id}"), 0)
        joins[link.join] = max(joins.get(link.join, 0), count)
    return (step_id in workflow.beginnings) + sum(joins.values())


def _times_due(workflow: Workflow, fired: Mapping[tuple[str, str], int], step: Step) -> int:
    arrived = _arrived(workflow, fired, step.id)
    return arrived if step.max_visits is None else min(arrived, step.max_visits)


def _due_in_stage(workflow: Workflow, run: Run) -> tuple[Step, ...]:
    """What is due in the first stage that still has something to do."""
    fired = _fired(run)
    for stage in STAGES:
        due = _due(workflow, run, stage, fired)
        if due or _busy(workflow, run, stage):
            return _arrived_whole(workflow, run, due)
    return ()


def _busy(workflow: Workflow, run: Run, stage: Stage) -> bool:
    return any(workflow.steps[v.step].stage == stage for v in (*run.running(), *run.blocked()))


def _due(
    workflow: Workflow, run: Run, stage: Stage, fired: Mapping[tuple[str, str], int]
) -> tuple[Step, ...]:
    visits = Counter(visit.step for visit in run.visits)
    held = {visit.step for visit in (*run.running(), *run.blocked())}
    return tuple(
        step
        for step in workflow.stage(stage)
        if step.id not in held and _times_due(workflow, fired, step) > visits[step.id]
    )


def _arrived_whole(workflow: Workflow, run: Run, due: tuple[Step, ...]) -> tuple[Step, ...]:
    """The due steps for which nothing more can arrive by a join that several links share."""
    active = {visit.step for visit in (*run.running(), *run.blocked())} | {s.id for s in due}
    whole = tuple(step for step in due if not _awaits(workflow, step.id, active - {step.id}))
    if whole or run.running() or run.blocked():
        return whole
    return due[:1]


def _awaits(workflow: Workflow, step_id: str, active: set[str]) -> bool:
    joins = Counter(link.join for link in workflow.incoming[step_id])
    found: set[str] = set()
    fresh = {link.source for link in workflow.incoming[step_id] if joins[link.join] > 1} - {step_id}
    while fresh:
        if fresh & active:
            return True
        found |= fresh
        above = {link.source for each in fresh for link in workflow.incoming[each]}
        fresh = above - found - {step_id}
    return False


def _cleanup(plan: Plan, run: Run) -> tuple[Step, ...]:
    """The next clean-up step, once the run has failed or is being cancelled."""
    if not run.cancelling and not failed(plan, run):
        return ()
    rest = [s for s in plan.workflow.stage("cleanup") if not run.last(s.id)]
    return tuple(rest[:1])


def _decided(plan: Plan, run: Run, step: Step) -> Decision:
    if step.uses == WORKTREE_STEP and not plan.worktree:
        return Decision(step, "skip", "worktrees are turned off for this run")
    broken = failing(plan, run, step)
    try:
        asked = condition.parse(step.condition or "true")
        if not condition.minds_failure(asked) and step.stage != "cleanup":
            if broken and plan.workflow.stop_on_failure:
                return Decision(step, "skip", "an earlier step failed", spoilt=True)
            if lost := _lost(run, step):
                return Decision(step, "skip", f"it needs {lost!r}, which failed", spoilt=True)
        known = facts(plan, run, step.scope) if step.condition else {}
        if condition.evaluate(asked, known, failing=broken):
            return Decision(step, "start")
    except ConditionError as error:
        return Decision(step, "fail", f"condition: {error.message}")
    return Decision(step, "skip", "its condition is false")


def _lost(run: Run, step: Step) -> str:
    for need in step.needs:
        last = run.last(need)
        if last is not None and (last.status == "failed" or (last.status == "skipped" and last.reason)):
            return need
    return ""


def _tolerated(plan: Plan, visit: StepRun) -> bool:
    step = plan.workflow.steps[visit.step]
    return step.continue_on_error or step.stage == "cleanup"


def _unhandled(plan: Plan, run: Run) -> StepRun | None:
    """The first failure that no failure link took up."""
    for visit in run.visits:
        taken_up = any(name.startswith("failure:") for name in visit.fires)
        if visit.status == "failed" and not taken_up and not _tolerated(plan, visit):
            return visit
    return None


def _unmended(plan: Plan, run: Run) -> StepRun | None:
    """The first step whose last visit failed: taken up by a link, but never made good."""
    for visit in run.visits:
        if visit.status == "failed" and not _tolerated(plan, visit) and run.last(visit.step) == visit:
            return visit
    return None


def _exhausted(workflow: Workflow, run: Run) -> Failure | None:
    """A link that led to a step with no visits left: the loop was cut off."""
    for visit in run.visits:
        ended = visit.status in {"completed", "skipped"} and run.last(visit.step) == visit
        for link in _wanted(workflow, visit.step) if ended else ():
            if f"{link.on}:{link.target}" not in visit.fires:
                limit = workflow.steps[link.target].max_visits
                error = f"{link.target!r} was visited {limit} times, its max_visits"
                return Failure(visit.step, error, "limit")
    return None
