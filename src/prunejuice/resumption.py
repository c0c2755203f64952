"""How a run is taken up again: the events from where it was left to where it can go on. Pure."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from prunejuice import condition, schedule
from prunejuice import event as events
from prunejuice.errors import UsageError
from prunejuice.event import Event
from prunejuice.plan import WORKTREE_STEP
from prunejuice.protocols import StepResult
from prunejuice.run import ENDED, Run, StepRun, evolve
from prunejuice.workspace import Workspace

BY_PERSON = "by a person"
CUT_OFF = "it was cut off and may have been done in part"


class Left(NamedTuple):
    """What the world looks like where a run was left: steps that finished unseen, by step."""

    adopted: Mapping[str, StepResult | None] = {}
    worktree_gone: bool = False


def take_up(run: Run, begun: events.RunStarted, decisions: Mapping[str, str], left: Left) -> list[Event]:
    """The events that resume a run; `begun` says who drives it.

    Raises:
        UsageError: a decision names a step that waits for none.
    """
    taking = _Taking(run, begun, dict(decisions))
    for visit in run.running():
        taking.take_back(visit, left.adopted.get(visit.step))
    asked = {visit.step: visit for visit in taking.run.blocked()}
    taking.add(begun)
    for step, visit in asked.items():
        taking.answer(visit, taking.wanted.pop(step, ""))
    if run.status in ENDED or run.cancelling:
        taking.reset_failed()
    if left.worktree_gone:
        taking.reset_worktree()
    for step in taking.wanted:
        raise UsageError(f"no step {step!r} of run {run.id[:8]} waits for a decision")
    return taking.made


def ended(run: Run, visit: StepRun, result: StepResult, at: float) -> events.StepEnded:
    """The end of a step that was carried out."""
    status: events.Outcome = "completed" if result.ok else "failed"
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
        fires=schedule.fires(run.plan, run, visit.step, status),
    )


class _Taking:
    """Collects events, each decided on the state after those before it."""

    def __init__(self, run: Run, begun: events.RunStarted, wanted: dict[str, str]) -> None:
        self.run = run
        self.at = begun.at
        self.wanted = wanted
        self.made: list[Event] = []

    def add(self, event: Event) -> None:
        self.run = evolve(self.run, event)
        self.made.append(event)

    def take_back(self, visit: StepRun, adopted: StepResult | None) -> None:
        """Decide about a step that was being carried out when the driver died."""
        choice = self.wanted.pop(visit.step, "") or self.run.plan.workflow.steps[visit.step].on_interrupt
        retries = self.run.plan.workflow.steps[visit.step].retries
        if adopted is not None and (adopted.ok or visit.attempt > retries):
            self.add(ended(self.run, visit, adopted, self.at))
        elif choice == "rerun":
            self.add(events.StepInterrupted(at=self.at, step=visit.step, visit=visit.visit))
        elif choice == "ask":
            self.ask(visit)
        else:
            self.settle(visit, choice, "because it was cut off" if choice == "skip" else BY_PERSON)

    def ask(self, visit: StepRun) -> None:
        fix = f"look, then: prj resume {self.run.id[:8]} --decide {visit.step}=rerun|skip|done"
        self.add(
            events.StepBlocked(
                at=self.at, step=visit.step, visit=visit.visit, message=CUT_OFF, fix=fix, asked=True
            )
        )

    def answer(self, visit: StepRun, decision: str) -> None:
        """Do as a person said about a step that waits."""
        if decision in {"skip", "done"}:
            self.settle(visit, decision, BY_PERSON)
        elif decision == "rerun" and visit.asked:
            self.add(events.StepReset(at=self.at, step=visit.step, visit=visit.visit))

    def settle(self, visit: StepRun, decision: str, why: str) -> None:
        status: events.Outcome = "completed" if decision == "done" else "skipped"
        said = "declared done" if decision == "done" else "skipped"
        self.add(
            events.StepEnded(
                at=self.at,
                step=visit.step,
                visit=visit.visit,
                status=status,
                error=f"{said} {why}",
                decided=why == BY_PERSON,
                fires=schedule.fires(self.run.plan, self.run, visit.step, status),
            )
        )

    def reset_failed(self) -> None:
        """Let what failed, what was skipped for it, and the clean-up after it run again."""
        for visit in self._spoilt():
            self.add(events.StepReset(at=self.at, step=visit.step, visit=visit.visit))
            if (decision := self.wanted.pop(visit.step, "")) in {"skip", "done"}:
                self.settle(visit, decision, BY_PERSON)

    def reset_worktree(self) -> None:
        """Have a worktree that is gone made again, on the branch that is still there."""
        home = Workspace(self.run.plan.directory)
        self.add(events.WorkspaceSet(at=self.at, workspace=home))
        for visit in self.run.visits:
            step = self.run.plan.workflow.steps[visit.step]
            if step.uses == WORKTREE_STEP and visit.status == "completed":
                self.add(events.StepReset(at=self.at, step=visit.step, visit=visit.visit))

    def _spoilt(self) -> list[StepRun]:
        """The visits that a failure is to blame for: it, what it led to, and what it made to be skipped."""
        failed = [visit for visit in self.run.visits if self._has_failed(visit)]
        spoilt = list(failed)
        for visit in spoilt:  # grows while it is walked
            spoilt += [led for led in self._led_to(visit) if led not in spoilt]
        since = min((visit.ended for visit in failed), default=float("inf"))
        spoilt += [v for v in self.run.visits if self._hangs_on(v, since) and v not in spoilt]
        return [visit for visit in self.run.visits if visit in spoilt]

    def _has_failed(self, visit: StepRun) -> bool:
        step = self.run.plan.workflow.steps[visit.step]
        counts = not step.continue_on_error or visit.reason == "stopped"
        return bool(visit.reason) and counts and self.run.last(step.id) == visit

    def _hangs_on(self, visit: StepRun, since: float) -> bool:
        """Whether a visit is clean-up, or was decided by a condition after the failure."""
        step = self.run.plan.workflow.steps[visit.step]
        minds = bool(step.condition) and condition.minds_failure(condition.parse(step.condition))
        by_condition = not visit.decided and (visit.status == "skipped" or minds)
        return step.stage == "cleanup" or (by_condition and visit.ended >= since)

    def _led_to(self, visit: StepRun) -> Iterator[StepRun]:
        """What came of a failure, link by link, so that it comes again."""
        for name in visit.fires:
            kind, _, target = name.partition(":")
            last = self.run.last(target)
            taken_up = kind == "failure" or visit.status == "completed"
            if taken_up and last is not None and last.started >= visit.ended and last.status == "completed":
                yield last
