"""The life of a run: create, start, drive, end and resume.

The driver asks `schedule` for the steps that may start, records their start, runs them in threads with the
`StepRunner`, records their results, and repeats. It stores each decision as an event before acting on it.
"""

import contextlib
import math
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from prunejuice.engine import event as events
from prunejuice.engine import resumption, schedule
from prunejuice.engine.event import Event
from prunejuice.engine.history import RunHistory, load_run
from prunejuice.engine.ports import StepContext, StepResult, StepRunner, Store
from prunejuice.engine.run import FINAL_STATUSES, Run, StepRun, apply_event, new_run
from prunejuice.engine.view import RunSummary, summarize_run
from prunejuice.errors import HumanNeededError, NotFoundError, PruneJuiceError, UsageError
from prunejuice.system import diagnostics
from prunejuice.system import lock as locks
from prunejuice.system.private import make_private_folder
from prunejuice.system.stop_request import KILL, STOP, Stop
from prunejuice.version import __version__
from prunejuice.workflow.graph import Step
from prunejuice.workflow.plan import Plan

STOPPED_RESULT = StepResult(ok=False, error="stopped", reason="stopped")
CommandCaller = Callable[[StepContext, str, Mapping[str, Any]], StepResult]


class Runtime(NamedTuple):
    """The dependencies of a driver. `home` is the state directory; `clock` returns seconds since 1970.

    `on_event` receives each stored event, `on_output_line` a step id and its latest line of output.
    `wait_for_turn` blocks until the run may begin, or until the function it receives returns True. At most
    `max_steps` steps run at once, whatever the command allows.
    """

    store: Store
    step_runner: StepRunner
    home: Path
    call_command: CommandCaller
    on_event: Callable[[Run, Event], None] = lambda _run, _event: None
    on_output_line: Callable[[str, str], None] = lambda _step, _line: None
    clock: Callable[[], float] = time.time
    wait_for_turn: Callable[[Callable[[], bool]], None] = lambda _stopped: None
    max_steps: int = 256

    @property
    def registry(self) -> RunHistory:
        """The runs of the store, and their directories."""
        return RunHistory(self.home, self.store)

    def run_directory(self, run_id: str) -> Path:
        """Return the directory of a run: its lock, logs, outputs and artifacts."""
        return self.registry.run_directory(run_id)


def new_run_id() -> str:
    """Return a random run id of twelve hexadecimal digits."""
    return os.urandom(6).hex()


def create_run(plan: Plan, runtime: Runtime, *, run_id: str = "", parent: str = "") -> Run:
    """Store a new pending run without driving it."""
    run_id = run_id or new_run_id()
    first = events.RunCreated(at=runtime.clock(), plan=plan, parent=parent)
    _make_run_directory(runtime.run_directory(run_id))
    run = new_run(run_id, first)
    runtime.store.create(run_id, [first], summarize_run(run))
    runtime.on_event(run, first)
    return run


def start_run(
    plan: Plan, runtime: Runtime, stop: Stop, *, run_id: str = "", parent: str = "", limit: float = math.inf
) -> Run:
    """Create a run and drive it until it ends or cannot continue; return its final state.

    `limit` is an upper bound in seconds, in addition to the timeout of the command.
    """
    run_id = run_id or new_run_id()
    _make_run_directory(runtime.run_directory(run_id))
    with hold_driver_lock(run_id, runtime):
        first = events.RunCreated(at=runtime.clock(), plan=plan, parent=parent)
        started = _run_started_event(runtime)
        run = apply_event(new_run(run_id, first), started)
        runtime.store.create(run_id, [first, started], summarize_run(run))
        for event in (first, started):
            runtime.on_event(run, event)
        return _RunDriver(run, runtime, stop, limit).drive()


def resume_run(
    run_id: str,
    runtime: Runtime,
    stop: Stop,
    decisions: Mapping[str, str] | None = None,
    *,
    if_pending: bool = False,
    limit: float = math.inf,
) -> Run:
    """Resume a run. `decisions` maps step ids to `rerun`, `skip` or `done`.

    With `if_pending` only a run that never started is accepted. `limit` is in seconds.

    Raises:
        NotFoundError: No run has this id.
        UsageError: The run has completed or is being driven, or a decision does not apply.
    """
    with hold_driver_lock(run_id, runtime):
        run = load_run(run_id, runtime.store)
        if run.status == "completed" or (if_pending and run.status != "pending"):
            raise UsageError(f"run {run_id[:8]} is {run.status}: nothing to resume")
        # The dead driver may have left processes that still change files.
        runtime.step_runner.kill_processes(run_id)
        runtime.wait_for_turn(lambda: runtime.registry.poll_stop_request(run_id, stop))
        driver = _RunDriver(run, runtime, stop, limit)
        driver.prepare_resume(decisions or {})
        return driver.drive()


def recover_lost_runs(runtime: Runtime) -> tuple[RunSummary, ...]:
    """Mark runs whose driver died as interrupted and kill their processes; return those runs."""
    lost = []
    for summary in runtime.registry.lost_runs(runtime.clock()):
        with contextlib.suppress(PruneJuiceError), hold_driver_lock(summary.id, runtime):
            run = load_run(summary.id, runtime.store)
            if run.status in {"running", "pending"}:  # it may have ended before the lock was taken
                runtime.step_runner.kill_processes(summary.id)
                _RunRecorder(run, runtime).record_interruption("the process running it died")
                lost.append(summary)
    return tuple(lost)


def cancel_run(run_id: str, runtime: Runtime, *, now: bool = False) -> Run:
    """Cancel a run that no process drives; `now` skips its clean-up. An ended run stays as it is."""
    stop = Stop()
    stop.request(STOP)
    with closing(stop), hold_driver_lock(run_id, runtime):
        run = load_run(run_id, runtime.store)
        if run.status in FINAL_STATUSES:
            return run
        runtime.step_runner.kill_processes(run_id)
        driver = _RunDriver(run, runtime, stop)
        if now:
            return driver.cancel_now()
        driver.prepare_resume({})
        return driver.drive()


def record_event(run_id: str, runtime: Runtime, event: Event) -> Run:
    """Record an event of a run that no process drives; return the new state."""
    with hold_driver_lock(run_id, runtime):
        recorder = _RunRecorder(load_run(run_id, runtime.store), runtime)
        recorder.stage_event(event)
        recorder.flush_events()
        return recorder.run


def _cancel_child_runs(run: Run, runtime: Runtime) -> None:
    """Cancel the unfinished nested runs of a run that has ended."""
    unfinished = ("pending", "waiting", "interrupted")
    nested = runtime.store.summaries(statuses=unfinished, children=True) if run.plan.commands else []
    for summary in nested:
        if summary.parent == run.id:
            with contextlib.suppress(PruneJuiceError):
                cancel_run(summary.id, runtime)


@contextmanager
def hold_driver_lock(run_id: str, runtime: Runtime) -> Iterator[None]:
    """Hold the lock that allows one process to drive a run; the end of the process releases it.

    Raises:
        NotFoundError: No run has this id.
        UsageError: Another process drives the run.
    """
    path = runtime.registry.lock_path(run_id)
    if not path.parent.is_dir() and runtime.store.read_events(run_id):
        _make_run_directory(path.parent)
    if not path.parent.is_dir():
        raise NotFoundError(f"unknown run {run_id!r}", "run `prj history` to list the runs")
    try:
        with locks.hold_lock(path, wait=0.2, signed=True):
            # A request that is left over was meant for an earlier driver.
            runtime.registry.stop_request_path(run_id).unlink(missing_ok=True)
            yield
    except TimeoutError as error:
        pid = locks.holder_pid(path)
        raise UsageError(
            f"run {run_id[:8]} is being driven by process {pid}", f"run `prj stop {run_id[:8]}` to end it"
        ) from error


def _make_run_directory(directory: Path) -> None:
    # mkdir(parents=True) ignores `mode` for the parents, so each private folder is created by itself.
    for folder in (directory.parents[1], directory.parent, directory):
        make_private_folder(folder)
    for name in ("logs", "outputs"):
        (directory / name).mkdir(exist_ok=True, mode=0o700)


def _run_started_event(runtime: Runtime) -> events.RunStarted:
    return events.RunStarted(at=runtime.clock(), pid=os.getpid(), host=platform.node(), version=__version__)


class _StepFinished(NamedTuple):
    """The message of a step thread that its step has finished."""

    visit: StepRun
    result: StepResult


class _RunRecorder:
    """The state of a run and its events that are not stored yet."""

    def __init__(self, run: Run, runtime: Runtime) -> None:
        self.run, self.runtime = run, runtime
        self.staged_events: list[Event] = []

    def stage_event(self, event: Event) -> None:
        """Apply an event to the run; `flush_events` stores it."""
        self.run = apply_event(self.run, event)
        self.staged_events.append(event)

    def flush_events(self) -> None:
        """Store all staged events in one transaction, then report them."""
        if not self.staged_events:
            return
        after = self.run.sequence - len(self.staged_events)
        self.runtime.store.append(self.run.id, after, self.staged_events, summarize_run(self.run))
        stored, self.staged_events = self.staged_events, []
        for event in stored:
            self.runtime.on_event(self.run, event)

    def record_interruption(self, reason: str) -> None:
        """Record that the run was interrupted."""
        self.stage_event(events.RunInterrupted(at=self.now(), reason=reason))
        self.flush_events()

    def now(self) -> float:
        return self.runtime.clock()


class _RunDriver(_RunRecorder):
    """Drives one run: one thread decides and records, and each step runs in another thread."""

    def __init__(self, run: Run, runtime: Runtime, stop: Stop, limit: float = math.inf) -> None:
        super().__init__(run, runtime)
        self.stop = stop
        self.step_stops: dict[bool, Stop] = {False: Stop(), True: Stop()}  # by "is clean-up"
        self.inbox: SimpleQueue[_StepFinished | Event] = SimpleQueue()
        self.threads: list[threading.Thread] = []
        self.limit = min(limit, run.plan.command.timeout)
        self.deadline = runtime.clock() + self.limit
        self.timed_out = False

    def drive(self) -> Run:
        """Drive the run until no step runs or can start; return the final state."""
        try:
            while True:
                starts = self.choose_steps()
                self.flush_events()
                for step, visit in starts:
                    self.launch_step(step, visit)
                if not self.run.running_visits():
                    break
                self.process_messages()
            self.record_run_end()
        finally:
            self.kill_steps()
            for thread in self.threads:
                thread.join(timeout=15)
            self.runtime.step_runner.end_run(self.run.id)
            if not any(thread.is_alive() for thread in self.threads):  # a live thread still reads them
                for step_stop in self.step_stops.values():
                    step_stop.close()
        return self.run

    def kill_steps(self) -> None:
        """Kill all running steps."""
        for step_stop in self.step_stops.values():
            step_stop.request(KILL)

    def choose_steps(self) -> list[tuple[Step, StepRun]]:
        """Stage the start of due steps. A skip can change what is due, so each one needs a new decision."""
        self.check_limits()
        while self.stop.level < KILL:
            decisions = schedule.next_decisions(self.run.plan, self.run, self.runtime.max_steps)
            not_started = next((decision for decision in decisions if decision.action != "start"), None)
            if not_started is None:
                return [(decision.step, self.start_visit(decision.step)) for decision in decisions]
            self.skip_or_fail_step(not_started)
        return []

    def start_visit(self, step: Step) -> StepRun:
        visit = self.next_visit_number(step.id)
        log = self.log_name(step.id)
        self.stage_event(events.StepStarted(at=self.now(), step=step.id, visit=visit, log=log))
        return self.find_visit(step.id, visit)

    def next_visit_number(self, step_id: str) -> int:
        return max((visit.visit for visit in self.run.visits_of(step_id)), default=0) + 1

    def log_name(self, step_id: str) -> str:
        return f"logs/{self.run.sequence + 1:04d}-{step_id}.log"

    def find_visit(self, step_id: str, number: int) -> StepRun:
        return next(visit for visit in self.run.visits_of(step_id) if visit.visit == number)

    def skip_or_fail_step(self, decision: schedule.StepDecision) -> None:
        step = decision.step
        status: events.StepOutcome = "skipped" if decision.action == "skip" else "failed"
        self.stage_event(
            events.StepEnded(
                at=self.now(),
                step=step.id,
                visit=self.next_visit_number(step.id),
                status=status,
                error=decision.reason,
                reason="failed" if decision.caused_by_failure or status == "failed" else "",
                fires=schedule.links_to_fire(self.run.plan, self.run, step.id, status),
            )
        )

    def check_limits(self) -> None:
        """Begin an orderly cancellation after a stop request or at the time limit."""
        is_late = self.now() >= self.deadline
        if not (self.stop.level or is_late) or self.run.cancelling or self.is_ending():
            return
        self.timed_out = is_late and not self.stop.level
        reason = f"timed out after {round(self.limit, 1):g} s" if self.timed_out else "stopped by request"
        self.stage_event(events.RunCancelling(at=self.now(), reason=reason))
        self.step_stops[False].request(STOP)  # clean-up steps continue

    def is_stopping(self) -> bool:
        return self.stop.level > 0 or self.run.cancelling

    def is_ending(self) -> bool:
        """Return whether at most clean-up is left, so that a stop request changes nothing."""
        stages = {decision.step.stage for decision in schedule.next_decisions(self.run.plan, self.run)}
        stages |= {self.run.plan.workflow.steps[visit.step].stage for visit in self.run.running_visits()}
        return stages <= {"cleanup"} and not self.run.blocked_visits()

    def process_messages(self) -> None:
        """Wait for a message and process all that have arrived."""
        message = self.wait_for_message()
        while message is not None:
            if isinstance(message, _StepFinished):
                self.record_step_end(message.visit, message.result)
            else:
                self.stage_event(message)
            # A snapshot decides nothing, so it waits up to 0.1 s to be stored with what follows.
            is_snapshot = isinstance(message, events.SnapshotTaken)
            message = self.wait_for_message() if is_snapshot or not self.inbox.empty() else None

    def wait_for_message(self) -> "_StepFinished | Event | None":
        """Return the next message, or None after 0.1 s to let the driver check limits and stop requests."""
        self.runtime.registry.poll_stop_request(self.run.id, self.stop)
        if self.stop.level >= KILL:
            self.kill_steps()
        with contextlib.suppress(Empty):
            return self.inbox.get(timeout=0.1)
        return None

    def launch_step(self, step: Step, visit: StepRun, delay: float = 0) -> None:
        """Run a step in a new thread after `delay` seconds."""
        args = (self.step_context(step, visit), visit, delay)
        thread = threading.Thread(target=self.run_step, args=args, name=step.id, daemon=True)
        self.threads = [old for old in self.threads if old.is_alive()] + [thread]
        thread.start()

    def step_context(self, step: Step, visit: StepRun) -> StepContext:
        plan = self.run.plan
        cleanup = step.stage == "cleanup"
        # Clean-up must run even after the run has used up its time.
        remaining = step.timeout if cleanup else self.deadline - self.now()
        return StepContext(
            run=self.run,
            step=step,
            visit=visit.visit,
            attempt=visit.attempt,
            expression_data=schedule.expression_data(plan, self.run, step.scope),
            directory=self.runtime.run_directory(self.run.id),
            log=self.runtime.run_directory(self.run.id) / visit.log,
            timeout=max(0.05, min(step.timeout, remaining)),
            stop=self.step_stops[cleanup],
            tag=f"{self.run.id}/{step.id}.{visit.visit}.{visit.attempt}",
            emit=self.inbox.put,
            report_line=lambda line: self.runtime.on_output_line(step.id, line),
            call_command=self.runtime.call_command,
        )

    def run_step(self, context: StepContext, visit: StepRun, delay: float) -> None:
        """Run a step and send its result; every exception becomes a failed result."""
        until = time.monotonic() + delay
        while time.monotonic() < until and not context.stop.level:
            time.sleep(min(0.1, delay))
        try:
            run_step = self.runtime.step_runner.run_step
            result = STOPPED_RESULT if context.stop.level else run_step(context)
        except HumanNeededError as error:
            result = StepResult(ok=False, error=error.message, fix=error.fix, blocked=True)
        except PruneJuiceError as error:
            result = resumption.failed_step_result(error, is_stopping=bool(context.stop.level))
        except Exception as error:  # noqa: BLE001 - a crash of a step must be recorded as its failure
            diagnostics.log_crash(error, run=context.run.id, step=context.step.id)
            result = StepResult(ok=False, error=f"{type(error).__name__}: {error}")
        self.inbox.put(_StepFinished(visit, result))

    def record_step_end(self, visit: StepRun, result: StepResult) -> None:
        """Record the result of a step; a failed attempt may be retried."""
        step = self.run.plan.workflow.steps[visit.step]
        if self.stop.level >= KILL and not result.ok:  # the kill caused the failure: run it again on resume
            self.stage_event(events.StepInterrupted(at=self.now(), step=step.id, visit=visit.visit))
        elif result.blocked:
            self.stage_event(
                events.StepBlocked(
                    at=self.now(), step=step.id, visit=visit.visit, message=result.error, fix=result.fix
                )
            )
        elif not result.ok and visit.attempt <= step.retries and not self.is_stopping():
            self.retry_step(step, visit, result.error)
        else:
            self.stage_event(resumption.step_ended_event(self.run, visit, result, self.now()))

    def retry_step(self, step: Step, visit: StepRun, error: str) -> None:
        number, attempt = visit.visit, visit.attempt + 1
        self.stage_event(events.StepRetried(at=self.now(), step=step.id, visit=number, error=error))
        self.stage_event(
            events.StepStarted(
                at=self.now(), step=step.id, visit=number, attempt=attempt, log=self.log_name(step.id)
            )
        )
        self.flush_events()
        self.launch_step(step, self.find_visit(step.id, number), delay=step.retry_delay)

    def cancel_now(self) -> Run:
        """End the run without clean-up."""
        self.stage_event(events.RunEnded(at=self.now(), status="cancelled", error="stopped"))
        self.flush_events()
        _cancel_child_runs(self.run, self.runtime)
        return self.run

    def record_run_end(self) -> None:
        """Record how the run ended, or that it waits or was interrupted."""
        if self.stop.level >= KILL:
            self.record_interruption("killed by request")
            return
        if self.run.blocked_visits() and not self.run.cancelling:
            self.stage_event(events.RunWaiting(at=self.now()))
        else:
            self.stage_event(self.run_ended_event())
        self.flush_events()
        if self.run.status in FINAL_STATUSES:
            _cancel_child_runs(self.run, self.runtime)

    def run_ended_event(self) -> events.RunEnded:
        failure = schedule.find_failure(self.run.plan, self.run)
        if self.timed_out:
            return events.RunEnded(at=self.now(), status="failed", error=self.run.error, reason="limit")
        if self.run.cancelling:
            return events.RunEnded(at=self.now(), status="cancelled", error=self.run.error)
        if failure:
            step, error, reason = failure
            return events.RunEnded(at=self.now(), status="failed", error=error, reason=reason, step=step)
        return events.RunEnded(at=self.now(), status="completed")

    def prepare_resume(self, decisions: Mapping[str, str]) -> None:
        """Stage the events that let an interrupted, waiting or failed run continue."""
        directory = self.runtime.run_directory(self.run.id)
        recovered = {
            visit.step: self.runtime.step_runner.recover_result(self.run, visit, directory)
            for visit in self.run.running_visits()
        }
        worktree = self.run.workspace.own_worktree
        missing = bool(worktree) and not Path(worktree).is_dir()
        state = resumption.ResumeState(recovered, is_worktree_missing=missing)
        for event in resumption.resume_events(self.run, _run_started_event(self.runtime), decisions, state):
            self.stage_event(event)
        if self.run.interrupted_visits:
            self.restore_files()
        self.flush_events()

    def restore_files(self) -> None:
        """Revert the partial changes of interrupted steps before they run again."""
        operation = self.runtime.step_runner.restore_files(self.run, self.run.interrupted_visits)
        names = ", ".join(visit.step for visit in self.run.interrupted_visits)
        self.stage_event(events.FilesRestored(at=self.now(), step=names, operation=operation))
