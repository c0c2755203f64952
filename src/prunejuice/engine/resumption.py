"""Resume a run: compute, without side effects, the events that let it continue where it stopped."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from prunejuice.engine import event as events
from prunejuice.engine import schedule
from prunejuice.engine.event import Event
from prunejuice.engine.ports import StepResult
from prunejuice.engine.run import FINAL_STATUSES, Run, StepRun, apply_event
from prunejuice.errors import PruneJuiceError, UsageError
from prunejuice.workflow import condition
from prunejuice.workflow.plan import WORKTREE_STEP
from prunejuice.workflow.workspace import Workspace

DECIDED_BY_PERSON = "by a person"
INTERRUPTED_MESSAGE = "the step was interrupted and may be partly done"


class ResumeState(NamedTuple):
    """The situation a run is resumed in: results of steps that finished without a driver, by step."""

    recovered_results: Mapping[str, StepResult | None] = {}
    is_worktree_missing: bool = False


def resume_events(
    run: Run, started: events.RunStarted, decisions: Mapping[str, str], state: ResumeState
) -> list[Event]:
    """Return the events that resume a run; `started` names the new driver.

    Raises:
        UsageError: A decision names a step that does not wait for one.
    """
    builder = _ResumeBuilder(run, started, dict(decisions))
    for visit in run.running_visits():
        builder.resolve_interrupted(visit, state.recovered_results.get(visit.step))
    blocked = {visit.step: visit for visit in builder.run.blocked_visits()}
    # RunStarted drops blocked visits that only need another try, so they are collected before it.
    builder.add_event(started)
    for step, visit in blocked.items():
        builder.apply_decision(visit, builder.decisions.pop(step, ""))
    if run.status in FINAL_STATUSES or run.cancelling:
        builder.reset_failed()
    if state.is_worktree_missing:
        builder.reset_worktree()
    for step in builder.decisions:
        raise UsageError(
            f"step {step!r} of run {run.id[:8]} does not wait for a decision",
            f"run `prj show {run.id[:8]}` to see its steps",
        )
    return builder.new_events


def failed_step_result(error: PruneJuiceError, *, is_stopping: bool) -> StepResult:
    """Return the result of a step that ended with an error."""
    return StepResult(
        ok=False,
        error=error.message + (f" ({error.fix})" if error.fix else ""),
        reason="stopped" if is_stopping else events.failure_reason(error),
        outputs=error.outputs,
        fix=error.fix,
    )


def step_ended_event(run: Run, visit: StepRun, result: StepResult, at: float) -> events.StepEnded:
    """Return the event for the end of a step that ran."""
    status: events.StepOutcome = "completed" if result.ok else "failed"
    return events.StepEnded(
        at=at,
        step=visit.step,
        visit=visit.visit,
        status=status,
        error=result.error,
        fix=result.fix,
        reason="" if result.ok else result.reason or "failed",
        exit_code=result.exit_code,
        outputs=dict(result.outputs),
        output=result.output,
        fires=schedule.links_to_fire(run.plan, run, visit.step, status),
    )


class _ResumeBuilder:
    """Collects events; each one is based on the state after the events before it."""

    def __init__(self, run: Run, started: events.RunStarted, decisions: dict[str, str]) -> None:
        self.run = run
        self.at = started.at
        self.decisions = decisions
        self.new_events: list[Event] = []

    def add_event(self, event: Event) -> None:
        self.run = apply_event(self.run, event)
        self.new_events.append(event)

    def resolve_interrupted(self, visit: StepRun, recovered: StepResult | None) -> None:
        """Decide how a step continues that was running when the driver died."""
        choice = self.decisions.pop(visit.step, "") or self.run.plan.workflow.steps[visit.step].on_interrupt
        retries = self.run.plan.workflow.steps[visit.step].retries
        if recovered is not None and (recovered.ok or visit.attempt > retries):
            self.add_event(step_ended_event(self.run, visit, recovered, self.at))
        elif choice == "rerun":
            self.add_event(events.StepInterrupted(at=self.at, step=visit.step, visit=visit.visit))
        elif choice == "ask":
            self.block_for_decision(visit)
        else:
            self.settle_visit(
                visit, choice, "because it was interrupted" if choice == "skip" else DECIDED_BY_PERSON
            )

    def block_for_decision(self, visit: StepRun) -> None:
        fix = (
            f"check its work, then run `prj resume {self.run.id[:8]} --decide {visit.step}=rerun|skip|done`"
        )
        self.add_event(
            events.StepBlocked(
                at=self.at,
                step=visit.step,
                visit=visit.visit,
                message=INTERRUPTED_MESSAGE,
                fix=fix,
                asked=True,
            )
        )

    def apply_decision(self, visit: StepRun, decision: str) -> None:
        """Apply the decision of a person to a waiting step."""
        if decision in {"skip", "done"}:
            self.settle_visit(visit, decision, DECIDED_BY_PERSON)
        elif decision == "rerun" and visit.asked:
            self.add_event(events.StepReset(at=self.at, step=visit.step, visit=visit.visit))

    def settle_visit(self, visit: StepRun, decision: str, why: str) -> None:
        status: events.StepOutcome = "completed" if decision == "done" else "skipped"
        action = "declared done" if decision == "done" else "skipped"
        self.add_event(
            events.StepEnded(
                at=self.at,
                step=visit.step,
                visit=visit.visit,
                status=status,
                error=f"{action} {why}",
                decided=why == DECIDED_BY_PERSON,
                fires=schedule.links_to_fire(self.run.plan, self.run, visit.step, status),
            )
        )

    def reset_failed(self) -> None:
        """Reset failed steps, the steps they affected, and clean-up, so that they run again."""
        for visit in self._affected_visits():
            self.add_event(events.StepReset(at=self.at, step=visit.step, visit=visit.visit))
            if (decision := self.decisions.pop(visit.step, "")) in {"skip", "done"}:
                self.settle_visit(visit, decision, DECIDED_BY_PERSON)

    def reset_worktree(self) -> None:
        """Reset the steps that create the worktree, so that it is created again on the existing branch."""
        home = Workspace(self.run.plan.directory)
        self.add_event(events.WorkspaceSet(at=self.at, workspace=home))
        for visit in self.run.visits:
            step = self.run.plan.workflow.steps[visit.step]
            if step.uses == WORKTREE_STEP and visit.status == "completed":
                self.add_event(events.StepReset(at=self.at, step=visit.step, visit=visit.visit))

    def _affected_visits(self) -> list[StepRun]:
        """Return failed visits, the visits they led to, and those that were skipped because of them."""
        failed = [visit for visit in self.run.visits if self._has_failed(visit)]
        affected = list(failed)
        for visit in affected:  # the list grows during iteration: each addition is followed, too
            affected += [follower for follower in self._following_visits(visit) if follower not in affected]
        since = min((visit.ended for visit in failed), default=float("inf"))
        affected += [
            v for v in self.run.visits if self._is_affected_by_failure(v, since) and v not in affected
        ]
        return [visit for visit in self.run.visits if visit in affected]

    def _has_failed(self, visit: StepRun) -> bool:
        step = self.run.plan.workflow.steps[visit.step]
        counts = not step.continue_on_error or visit.reason == "stopped"
        return bool(visit.reason) and counts and self.run.last_visit(step.id) == visit

    def _is_affected_by_failure(self, visit: StepRun, since: float) -> bool:
        """Return whether a visit is clean-up, or followed from a condition after the failure."""
        step = self.run.plan.workflow.steps[visit.step]
        checks_status = bool(step.condition) and condition.has_status_check(condition.parse(step.condition))
        by_condition = not visit.decided and (visit.status == "skipped" or checks_status)
        return step.stage == "cleanup" or (by_condition and visit.ended >= since)

    def _following_visits(self, visit: StepRun) -> Iterator[StepRun]:
        """Yield the completed visits that a visit triggered through its links."""
        for name in visit.fires:
            kind, _, target = name.partition(":")
            last = self.run.last_visit(target)
            triggered = kind == "failure" or visit.status == "completed"
            if (
                triggered
                and last is not None
                and last.started >= visit.ended
                and last.status == "completed"
            ):
                yield last
