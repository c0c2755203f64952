"""The life of a run: plan → start → drive → end, and resume. The file to read first.

The driver asks `schedule` what may start, records it, lets `Steps` carry it out in threads, records how
it ended, and asks again. Everything it decides is an event that is durable before it is acted on.
"""

import contextlib
import math
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import prunejuice
from prunejuice import diagnostics, resumption, schedule
from prunejuice import event as events
from prunejuice import lock as locks
from prunejuice.errors import HumanNeededError, NotFoundError, PruneJuiceError, UsageError
from prunejuice.event import Event
from prunejuice.history import History, load
from prunejuice.plan import Plan
from prunejuice.protocols import KILL, STOP, Handle, StepResult, Steps, Stop, Store
from prunejuice.run import ENDED, Run, StepRun, created, evolve
from prunejuice.view import Summary, summary
from prunejuice.workflow import Step

STOPPED = StepResult(ok=False, error="stopped", reason="stopped")
Caller = Callable[[Handle, str, Mapping[str, Any]], StepResult]


class Tools(NamedTuple):
    """What a driver works with. `tell` hears every event and `hear` the last line of each step.

    `turn` returns when a run may begin, or when what it is given says that a stop was asked for.
    """

    store: Store
    steps: Steps
    home: Path
    call: Caller
    tell: Callable[[Run, Event], None] = lambda _run, _event: None
    hear: Callable[[str, str], None] = lambda _step, _line: None
    clock: Callable[[], float] = time.time
    turn: Callable[[Callable[[], bool]], None] = lambda _stopped: None

    @property
    def history(self) -> History:
        """The runs that there are, and where they are kept."""
        return History(self.home, self.store)

    def directory(self, run_id: str) -> Path:
        """The folder of a run: its lock, logs, outputs and artifacts."""
        return self.history.directory(run_id)


def new_id() -> str:
    """An id for a run: twelve hexadecimal digits."""
    return secrets.token_hex(6)


def create(plan: Plan, tools: Tools, *, run_id: str = "", parent: str = "") -> Run:
    """Keep a new run that nobody drives yet."""
    run_id = run_id or new_id()
    first = events.RunCreated(at=tools.clock(), plan=plan, parent=parent)
    _make_directory(tools.directory(run_id))
    run = created(run_id, first)
    tools.store.create(run_id, [first], summary(run))
    tools.tell(run, first)
    return run


def start(
    plan: Plan, tools: Tools, stop: Stop, *, run_id: str = "", parent: str = "", limit: float = math.inf
) -> Run:
    """Make a run and drive it until nothing more can be done; the run as it then is.

    `limit` is seconds that it has at most, whatever its own timeout says.
    """
    run_id = run_id or new_id()
    _make_directory(tools.directory(run_id))
    with driving(run_id, tools):
        first = events.RunCreated(at=tools.clock(), plan=plan, parent=parent)
        begun = _run_started(tools)
        run = evolve(created(run_id, first), begun)
        tools.store.create(run_id, [first, begun], summary(run))
        for event in (first, begun):
            tools.tell(run, event)
        return _Driver(run, tools, stop, limit).drive()


def resume(
    run_id: str,
    tools: Tools,
    stop: Stop,
    decisions: Mapping[str, str] | None = None,
    *,
    if_pending: bool = False,
    limit: float = math.inf,
) -> Run:
    """Go on with a run. `decisions` say for a step: `rerun` it, `skip` it, or it is `done`.

    Raises:
        UsageError: the run is over, or a decision names no step that waits for one.
    """
    with driving(run_id, tools):
        run = load(run_id, tools.store)
        if run.status == "completed" or (if_pending and run.status != "pending"):
            raise UsageError(f"run {run_id[:8]} is {run.status}: there is nothing to resume")
        tools.steps.sweep(run_id)
        tools.turn(lambda: tools.history.heed(run_id, stop))
        driver = _Driver(run, tools, stop, limit)
        driver.take_up(decisions or {})
        return driver.drive()


def recover(tools: Tools) -> tuple[Summary, ...]:
    """Mark the runs whose driver died as interrupted and end their processes; the runs in question."""
    lost = []
    for line in tools.history.lost(tools.clock()):
        with contextlib.suppress(PruneJuiceError), driving(line.id, tools):
            run = load(line.id, tools.store)
            if run.status in {"running", "pending"}:
                tools.steps.sweep(line.id)
                _Record(run, tools).interrupt("its driver is gone")
                lost.append(line)
    return tuple(lost)


def cancel(run_id: str, tools: Tools, *, now: bool = False) -> Run:
    """End a run that nobody drives: with its clean-up, or `now` without."""
    stop = Stop()
    stop.request(STOP)
    with closing(stop), driving(run_id, tools):
        run = load(run_id, tools.store)
        if run.status in ENDED:
            return run
        tools.steps.sweep(run_id)
        driver = _Driver(run, tools, stop)
        if now:
            return driver.give_up()
        driver.take_up({})
        return driver.drive()


def note(run_id: str, tools: Tools, event: Event) -> Run:
    """Record a fact about a run that nobody drives."""
    with driving(run_id, tools):
        record = _Record(load(run_id, tools.store), tools)
        record.stage(event)
        record.flush()
        return record.run


def _end_inside(run: Run, tools: Tools) -> None:
    """End what a run that is over left waiting inside it."""
    left = ("pending", "waiting", "interrupted")
    inside = tools.store.summaries(statuses=left, children=True) if run.plan.commands else []
    for line in inside:
        if line.parent == run.id:
            with contextlib.suppress(PruneJuiceError):
                cancel(line.id, tools)


@contextmanager
def driving(run_id: str, tools: Tools) -> Iterator[None]:
    """Hold the right to drive a run; it ends with this process at the latest.

    Raises:
        UsageError: another process drives it.
    """
    path = tools.history.lock(run_id)
    if not path.parent.is_dir() and tools.store.history(run_id):
        _make_directory(path.parent)
    if not path.parent.is_dir():
        raise NotFoundError(f"there is no run {run_id!r}", "prj history lists them")
    try:
        with locks.locked(path, wait=0.2, signed=True):
            tools.history.request(run_id).unlink(missing_ok=True)  # it was for an earlier driver
            yield
    except TimeoutError as error:
        pid = locks.holder(path)
        raise UsageError(
            f"run {run_id[:8]} is being driven by process {pid}", f"prj stop {run_id[:8]} ends it"
        ) from error


def _make_directory(directory: Path) -> None:
    for folder in (directory.parents[1], directory.parent, directory):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in ("logs", "outputs"):
        (directory / name).mkdir(exist_ok=True, mode=0o700)


def _run_started(tools: Tools) -> events.RunStarted:
    version = prunejuice.__version__
    return events.RunStarted(at=tools.clock(), pid=os.getpid(), host=platform.node(), version=version)


class _Done(NamedTuple):
    """Message: a step was carried out."""

    visit: StepRun
    result: StepResult


class _Record:
    """The state of a run and what is still to be kept of it."""

    def __init__(self, run: Run, tools: Tools) -> None:
        self.run = run
        self.tools = tools
        self.staged: list[Event] = []

    def stage(self, event: Event) -> None:
        """Take an event as a fact from here on; `flush` makes it durable."""
        self.run = evolve(self.run, event)
        self.staged.append(event)

    def flush(self) -> None:
        """Keep all staged events in one transaction, then tell of them."""
        if not self.staged:
            return
        after = self.run.sequence - len(self.staged)
        self.tools.store.append(self.run.id, after, self.staged, summary(self.run))
        told, self.staged = self.staged, []
        for event in told:
            self.tools.tell(self.run, event)

    def interrupt(self, reason: str) -> None:
        """Record that the run was cut off."""
        self.stage(events.RunInterrupted(at=self.now(), reason=reason))
        self.flush()

    def now(self) -> float:
        return self.tools.clock()


class _Driver(_Record):
    """Drives one run: one thread decides and records, one thread for each step carries out."""

    def __init__(self, run: Run, tools: Tools, stop: Stop, limit: float = math.inf) -> None:
        super().__init__(run, tools)
        self.stop = stop
        self.halts: dict[bool, Stop] = {False: Stop(), True: Stop()}  # by "is clean-up"
        self.inbox: SimpleQueue[_Done | Event] = SimpleQueue()
        self.threads: list[threading.Thread] = []
        self.limit = min(limit, run.plan.command.timeout)
        self.deadline = tools.clock() + self.limit
        self.timed_out = False

    def drive(self) -> Run:
        """Go on until nothing is left to start and nothing runs."""
        try:
            while True:
                starts = self.choose()
                self.flush()
                for step, visit in starts:
                    self.launch(step, visit)
                if not self.run.running():
                    break
                self.absorb()
            self.finish()
        finally:
            self.kill()
            for thread in self.threads:
                thread.join(timeout=15)
            if not any(thread.is_alive() for thread in self.threads):
                for halt in self.halts.values():
                    halt.close()
        return self.run

    def kill(self) -> None:
        """End everything that is being carried out, at once."""
        for halt in self.halts.values():
            halt.request(KILL)

    def choose(self) -> list[tuple[Step, StepRun]]:
        """Stage what is due. Each skip can change what else is due, so it is asked again after one."""
        self.heed()
        while self.stop.level < KILL:
            decisions = schedule.ready(self.run.plan, self.run)
            passed = next((decision for decision in decisions if decision.action != "start"), None)
            if passed is None:
                return [(decision.step, self.begin(decision.step)) for decision in decisions]
            self.pass_over(passed)
        return []

    def begin(self, step: Step) -> StepRun:
        visit = self.next_visit(step.id)
        self.stage(events.StepStarted(at=self.now(), step=step.id, visit=visit, log=self.log_name(step.id)))
        return self.visit(step.id, visit)

    def next_visit(self, step_id: str) -> int:
        return max((visit.visit for visit in self.run.of(step_id)), default=0) + 1

    def log_name(self, step_id: str) -> str:
        return f"logs/{self.run.sequence + 1:04d}-{step_id}.log"

    def visit(self, step_id: str, number: int) -> StepRun:
        return next(visit for visit in self.run.of(step_id) if visit.visit == number)

    def pass_over(self, decision: schedule.Decision) -> None:
        step = decision.step
        status: events.Outcome = "skipped" if decision.action == "skip" else "failed"
        self.stage(
            events.StepEnded(
                at=self.now(),
                step=step.id,
                visit=self.next_visit(step.id),
                status=status,
                error=decision.reason,
                reason="failed" if decision.spoilt or status == "failed" else "",
                fires=schedule.fires(self.run.plan, self.run, step.id, status),
            )
        )

    def heed(self) -> None:
        """Turn a request to stop, or the time limit, into an orderly end."""
        late = self.now() >= self.deadline
        if not (self.stop.level or late) or self.run.cancelling or self.is_ending():
            return
        self.timed_out = late and not self.stop.level
        seconds = f"{round(self.limit, 1):g} s"
        reason = f"timed out after {seconds}" if self.timed_out else "stopped by request"
        self.stage(events.RunCancelling(at=self.now(), reason=reason))
        self.halts[False].request(STOP)  # clean-up is not to be cancelled with the rest

    def is_stopping(self) -> bool:
        return self.stop.level > 0 or self.run.cancelling

    def is_ending(self) -> bool:
        """Whether only clean-up is left, or nothing: then a request to stop changes nothing."""
        stages = {decision.step.stage for decision in schedule.ready(self.run.plan, self.run)}
        stages |= {self.run.plan.workflow.steps[visit.step].stage for visit in self.run.running()}
        return stages <= {"cleanup"} and not self.run.blocked()

    def absorb(self) -> None:
        """Wait for a message, and take all that are there."""
        message = self.message()
        while message is not None:
            if isinstance(message, _Done):
                self.end(message.visit, message.result)
            else:
                self.stage(message)
            message = None if self.inbox.empty() else self.inbox.get()

    def message(self) -> "_Done | Event | None":
        """The next message; None when it is time to look at limits and requests."""
        self.tools.history.heed(self.run.id, self.stop)
        if self.stop.level >= KILL:
            self.kill()
        with contextlib.suppress(Empty):
            return self.inbox.get(timeout=0.1)
        return None

    def launch(self, step: Step, visit: StepRun, delay: float = 0) -> None:
        """Carry a step out in a thread of its own."""
        handle = self.handle(step, visit)
        thread = threading.Thread(
            target=self.carry_out, args=(handle, visit, delay), name=step.id, daemon=True
        )
        self.threads = [t for t in self.threads if t.is_alive()] + [thread]
        thread.start()

    def handle(self, step: Step, visit: StepRun) -> Handle:
        plan = self.run.plan
        cleanup = step.stage == "cleanup"
        left = step.timeout if cleanup else self.deadline - self.now()
        return Handle(
            run=self.run,
            step=step,
            visit=visit.visit,
            attempt=visit.attempt,
            facts=schedule.facts(plan, self.run, step.scope),
            directory=self.tools.directory(self.run.id),
            log=self.tools.directory(self.run.id) / visit.log,
            timeout=max(0.05, min(step.timeout, left)),
            stop=self.halts[cleanup],
            tag=f"{self.run.id}/{step.id}.{visit.visit}.{visit.attempt}",
            emit=self.inbox.put,
            tell=lambda line: self.tools.hear(step.id, line),
            call=self.tools.call,
        )

    def carry_out(self, handle: Handle, visit: StepRun, delay: float) -> None:
        """The step boundary: whatever happens in a step becomes its result."""
        until = time.monotonic() + delay
        while time.monotonic() < until and not handle.stop.level:
            time.sleep(min(0.1, delay))
        try:
            result = self.tools.steps.carry_out(handle) if not handle.stop.level else STOPPED
        except HumanNeededError as error:
            result = StepResult(ok=False, error=error.message, fix=error.fix, blocked=True)
        except PruneJuiceError as error:
            fix = f" ({error.fix})" if error.fix else ""
            reason = "stopped" if handle.stop.level else events.because(error)
            result = StepResult(ok=False, error=error.message + fix, reason=reason, fix=error.fix)
        except Exception as error:  # noqa: BLE001 - a step's fault must not end the run unrecorded
            diagnostics.crash(error, run=handle.run.id, step=handle.step.id)
            result = StepResult(ok=False, error=f"{type(error).__name__}: {error}")
        self.inbox.put(_Done(visit, result))

    def end(self, visit: StepRun, result: StepResult) -> None:
        """Record how a step went; a failed attempt may be followed by another."""
        step = self.run.plan.workflow.steps[visit.step]
        if self.stop.level >= KILL and not result.ok:  # cut off, and free to run again
            self.stage(events.StepInterrupted(at=self.now(), step=step.id, visit=visit.visit))
        elif result.blocked:
            self.stage(
                events.StepBlocked(
                    at=self.now(),
                    step=step.id,
                    visit=visit.visit,
                    message=result.error,
                    fix=result.fix,
                )
            )
        elif not result.ok and visit.attempt <= step.retries and not self.is_stopping():
            self.retry(step, visit, result.error)
        else:
            self.stage(resumption.ended(self.run, visit, result, self.now()))

    def retry(self, step: Step, visit: StepRun, error: str) -> None:
        number, attempt = visit.visit, visit.attempt + 1
        self.stage(events.StepRetried(at=self.now(), step=step.id, visit=number, error=error))
        self.stage(
            events.StepStarted(
                at=self.now(),
                step=step.id,
                visit=number,
                attempt=attempt,
                log=self.log_name(step.id),
            )
        )
        self.flush()
        self.launch(step, self.visit(step.id, number), delay=step.retry_delay)

    def give_up(self) -> Run:
        """End the run as it is."""
        self.stage(events.RunEnded(at=self.now(), status="cancelled", error="stopped"))
        self.flush()
        _end_inside(self.run, self.tools)
        return self.run

    def finish(self) -> None:
        """Record how the run ended, or why it cannot go on."""
        if self.stop.level >= KILL:
            self.interrupt("killed by request")
            return
        if self.run.blocked() and not self.run.cancelling:
            self.stage(events.RunWaiting(at=self.now()))
        else:
            self.stage(self.verdict())
        self.flush()
        if self.run.status in ENDED:
            _end_inside(self.run, self.tools)

    def verdict(self) -> events.RunEnded:
        failure = schedule.failed(self.run.plan, self.run)
        if self.timed_out:
            return events.RunEnded(at=self.now(), status="failed", error=self.run.error, reason="limit")
        if self.run.cancelling:
            return events.RunEnded(at=self.now(), status="cancelled", error=self.run.error)
        if failure:
            step, error, reason = failure
            return events.RunEnded(at=self.now(), status="failed", error=error, reason=reason, step=step)
        return events.RunEnded(at=self.now(), status="completed")

    def take_up(self, decisions: Mapping[str, str]) -> None:
        """Bring a run that was cut off, waits or failed into a state from which it goes on."""
        directory = self.tools.directory(self.run.id)
        adopted = {
            visit.step: self.tools.steps.adopt(self.run, visit, directory) for visit in self.run.running()
        }
        place = self.run.workspace
        gone = bool(place.worktree) and not place.borrowed and not Path(place.worktree).is_dir()
        left = resumption.Left(adopted, worktree_gone=gone)
        for event in resumption.take_up(self.run, _run_started(self.tools), decisions, left):
            self.stage(event)
        if self.run.cut:
            self.put_back()
        self.flush()

    def put_back(self) -> None:
        """Take back what steps that were cut off had half done, before they run again."""
        done = self.tools.steps.put_back(self.run, self.run.cut)
        names = ", ".join(cut.step for cut in self.run.cut)
        self.stage(events.FilesPutBack(at=self.now(), step=names, operation=done))
