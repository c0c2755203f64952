"""Decide which steps start next and whether a run has failed. All functions are pure.

A link fires when its source step ends with the matching outcome; the event of that end records it
(`fires`). A step is due once for each arrival by a link, plus once if its stage begins with it. Each of
the stages `pre`, `main` and `post` starts when the one before has nothing left to do; `cleanup` runs
after a failure.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from msgspec.structs import replace

from prunejuice.engine.event import FailureReason, StepOutcome
from prunejuice.engine.run import FINAL_STATUSES, Run, StepRun, is_tolerated
from prunejuice.errors import ConditionError
from prunejuice.workflow import condition
from prunejuice.workflow.graph import STAGES, Link, Stage, Step, Workflow
from prunejuice.workflow.plan import WORKTREE_STEP, Plan


class StepDecision(NamedTuple):
    """The next action for a step, and the reason if it does not start.

    `caused_by_failure` marks a skip that the failure of another step caused.
    """

    step: Step
    action: Literal["start", "skip", "fail"]
    reason: str = ""
    caused_by_failure: bool = False


class RunFailure(NamedTuple):
    """The first cause of a failed run."""

    step: str
    error: str
    reason: FailureReason


def next_decisions(plan: Plan, run: Run, max_steps: int = 256) -> tuple[StepDecision, ...]:
    """Return what to do with each due step now; starts stay within `max_parallel` and `max_steps`."""
    if run.status in FINAL_STATUSES:
        return ()
    steps = () if run.cancelling else _due_steps(plan.workflow, run)
    if not steps and not run.running_visits() and (run.cancelling or not run.blocked_visits()):
        steps = _next_cleanup_steps(plan, run)
    decisions = [_decide_step(plan, run, step) for step in steps]
    free = max(0, min(plan.workflow.max_parallel, max_steps) - len(run.running_visits()))
    starts = [decision for decision in decisions if decision.action == "start"][:free]
    return tuple(d for d in decisions if d.action != "start" or d in starts)


def is_failing(plan: Plan, run: Run, step: Step) -> bool:
    """Return whether a failure precedes a step: an unhandled one, or one of an earlier stage."""
    if _find_unhandled_failure(plan, run):
        return True
    position = STAGES.index(step.stage) if step.stage in STAGES else len(STAGES)
    earlier = {s.id for stage in STAGES[:position] for s in plan.workflow.steps_in_stage(stage)}
    earlier_run = replace(run, visits=tuple(visit for visit in run.visits if visit.step in earlier))
    return bool(earlier_run.visits) and find_failure(plan, earlier_run) is not None


def find_failure(plan: Plan, run: Run) -> RunFailure | None:
    """Return the first cause of failure of a run that has nothing left to do, or None."""
    cause = _find_unhandled_failure(plan, run) or _find_unresolved_failure(plan, run)
    if cause:
        return RunFailure(cause.step, cause.error, cause.reason or "failed")
    return _find_exhausted_loop(plan.workflow, run)


def links_to_fire(plan: Plan, run: Run, step_id: str, status: StepOutcome) -> tuple[str, ...]:
    """Return the links that the end of a step fires, as `kind:target`."""
    links = plan.workflow.outgoing[step_id]
    fired = _count_fired_links(run)
    open_targets = {link.target for link in links if _has_visits_left(plan.workflow, fired, link.target)}
    if status == "failed":
        handlers = [link for link in links if link.on == "failure" and link.target in open_targets]
        followers = [link for link in links if link.on in {"next", "done"} and link.target in open_targets]
        return _link_names(handlers or followers)
    success_links = _success_links(plan.workflow, step_id)
    return _link_names(link for link in success_links if link.target in open_targets)


def _success_links(workflow: Workflow, step_id: str) -> list[Link]:
    """Return the links that fire on success, regardless of `max_visits`."""
    has_on_success = bool(workflow.steps[step_id].on_success)  # it replaces the `next` link
    return [
        link
        for link in workflow.outgoing[step_id]
        if link.on in {"success", "done"} or (link.on == "next" and not has_on_success)
    ]


def expression_data(plan: Plan, run: Run, scope: str = "") -> dict[str, Any]:
    """Return the data for conditions and `${{ }}`: `args`, `steps` (of one scope) and `run`."""
    changed = {(snapshot.step, snapshot.visit) for snapshot in run.snapshots if snapshot.changed}
    steps = {
        visit.step.removeprefix(scope): {
            "changed": (visit.step, visit.visit) in changed,
            **_step_data(visit),
        }
        for visit in run.visits
        if visit.step.startswith(scope)
    }
    run_data = {
        "id": run.id,
        "command": plan.command.name,
        "directory": run.workspace.directory,
        "branch": run.workspace.branch or None,
        "project": plan.project,
    }
    return {"args": plan.arguments, "steps": steps, "run": run_data}


def _step_data(visit: StepRun) -> dict[str, Any]:
    return {
        **visit.outputs,
        "status": visit.status,
        "exit_code": visit.exit_code,
        "error": visit.error or None,
        "output": visit.output,
        "outputs": visit.outputs,
        "visits": visit.visit,
    }


def _link_names(links: Iterable[Link]) -> tuple[str, ...]:
    return tuple(f"{link.on}:{link.target}" for link in links)


def _has_visits_left(workflow: Workflow, fired: Mapping[tuple[str, str], int], step_id: str) -> bool:
    limit = workflow.steps[step_id].max_visits
    return limit is None or _count_arrivals(workflow, fired, step_id) < limit


def _count_fired_links(run: Run) -> Mapping[tuple[str, str], int]:
    """Count how often each link fired, by source and `kind:target`."""
    return Counter((visit.step, name) for visit in run.visits for name in visit.fires)


def _count_arrivals(workflow: Workflow, fired: Mapping[tuple[str, str], int], step_id: str) -> int:
    """Count how often a step has become due; links that share a join count once."""
    joins: dict[str, int] = {}
    for link in workflow.incoming[step_id]:
        count = fired.get((link.source, f"{link.on}:{step_id}"), 0)
        joins[link.join] = max(joins.get(link.join, 0), count)
    return (step_id in workflow.entry_steps) + sum(joins.values())


def _count_due_visits(workflow: Workflow, fired: Mapping[tuple[str, str], int], step: Step) -> int:
    arrivals = _count_arrivals(workflow, fired, step.id)
    return arrivals if step.max_visits is None else min(arrivals, step.max_visits)


def _due_steps(workflow: Workflow, run: Run) -> tuple[Step, ...]:
    """Return the due steps of the first stage that is not finished."""
    fired = _count_fired_links(run)
    for stage in STAGES:
        due = _due_steps_of_stage(workflow, run, stage, fired)
        if due or _is_stage_busy(workflow, run, stage):
            return _fully_joined_steps(workflow, run, due)
    return ()


def _is_stage_busy(workflow: Workflow, run: Run, stage: Stage) -> bool:
    return any(
        workflow.steps[v.step].stage == stage for v in (*run.running_visits(), *run.blocked_visits())
    )


def _due_steps_of_stage(
    workflow: Workflow, run: Run, stage: Stage, fired: Mapping[tuple[str, str], int]
) -> tuple[Step, ...]:
    visits = Counter(visit.step for visit in run.visits)
    active = {visit.step for visit in (*run.running_visits(), *run.blocked_visits())}
    # A step becomes due at most once for each link that fired: this spares most steps the exact count.
    reached = Counter(workflow.entry_steps)
    for (_, name), count in fired.items():
        reached[name.partition(":")[2]] += count
    return tuple(
        step
        for step in workflow.steps_in_stage(stage)
        if step.id not in active
        and reached[step.id] > visits[step.id]
        and _count_due_visits(workflow, fired, step) > visits[step.id]
    )


def _fully_joined_steps(workflow: Workflow, run: Run, due: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return the due steps that no further link can reach through a shared join."""
    active = {visit.step for visit in (*run.running_visits(), *run.blocked_visits())} | {s.id for s in due}
    joined = tuple(step for step in due if not _has_pending_joins(workflow, step.id, active - {step.id}))
    if joined or run.running_visits() or run.blocked_visits():
        return joined
    return due[:1]  # steps of a loop wait for each other: start one, or the run would never end


def _has_pending_joins(workflow: Workflow, step_id: str, active: set[str]) -> bool:
    joins = Counter(link.join for link in workflow.incoming[step_id])
    visited: set[str] = set()
    frontier = {link.source for link in workflow.incoming[step_id] if joins[link.join] > 1} - {step_id}
    while frontier:
        if frontier & active:
            return True
        visited |= frontier
        sources = {link.source for source in frontier for link in workflow.incoming[source]}
        frontier = sources - visited - {step_id}
    return False


def _next_cleanup_steps(plan: Plan, run: Run) -> tuple[Step, ...]:
    """Return the next clean-up step if the run has failed or is being cancelled."""
    if not run.cancelling and not find_failure(plan, run):
        return ()
    remaining = [s for s in plan.workflow.steps_in_stage("cleanup") if not run.last_visit(s.id)]
    return tuple(remaining[:1])


def _decide_step(plan: Plan, run: Run, step: Step) -> StepDecision:
    if step.uses == WORKTREE_STEP and not plan.worktree:
        return StepDecision(step, "skip", "worktrees are turned off for this run")
    failing = is_failing(plan, run, step)
    try:
        expression = condition.parse(step.condition or "true")
        if not condition.has_status_check(expression) and step.stage != "cleanup":
            if failing and plan.workflow.stop_on_failure:
                return StepDecision(step, "skip", "an earlier step failed", caused_by_failure=True)
            if need := _find_failed_need(run, step):
                return StepDecision(
                    step, "skip", f"it needs {need!r}, which failed", caused_by_failure=True
                )
        data = expression_data(plan, run, step.scope) if step.condition else {}
        if condition.is_true(condition.evaluate(expression, data, failing=failing)):
            return StepDecision(step, "start")
    except ConditionError as error:
        return StepDecision(step, "fail", f"condition: {error.message}")
    return StepDecision(step, "skip", "its condition is false")


def _find_failed_need(run: Run, step: Step) -> str:
    for need in step.needs:
        last = run.last_visit(need)
        if last is not None and (last.status == "failed" or (last.status == "skipped" and last.reason)):
            return need
    return ""


def _find_unhandled_failure(plan: Plan, run: Run) -> StepRun | None:
    """Return the first failed visit that no failure link handled, or None."""
    for visit in run.visits:
        handled = any(name.startswith("failure:") for name in visit.fires)
        if visit.status == "failed" and not handled and not is_tolerated(plan, visit):
            return visit
    return None


def _find_unresolved_failure(plan: Plan, run: Run) -> StepRun | None:
    """Return the first failed visit that is the last of its step, or None: no later visit succeeded."""
    for visit in run.visits:
        if (
            visit.status == "failed"
            and not is_tolerated(plan, visit)
            and run.last_visit(visit.step) == visit
        ):
            return visit
    return None


def _find_exhausted_loop(workflow: Workflow, run: Run) -> RunFailure | None:
    """Return the failure of a loop that reached the `max_visits` of a step, or None."""
    for visit in run.visits:
        ended = visit.status in {"completed", "skipped"} and run.last_visit(visit.step) == visit
        for link in _success_links(workflow, visit.step) if ended else ():
            # A success link that did not fire can only have been stopped by the limit of its target.
            if f"{link.on}:{link.target}" not in visit.fires:
                limit = workflow.steps[link.target].max_visits
                error = f"step {link.target!r} reached its max_visits ({limit})"
                return RunFailure(visit.step, error, "limit")
    return None
