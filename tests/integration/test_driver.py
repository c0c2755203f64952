"""The driver records before it acts, retries, stops, resumes, and never repeats a step."""

import threading
import time

import pytest

from fakes import ScriptedSteps, until_stopped
from prunejuice.engine import driver
from prunejuice.engine import event as ev
from prunejuice.engine.driver import Runtime
from prunejuice.engine.ports import StepResult
from prunejuice.engine.stores.memory import MemoryStore
from prunejuice.errors import HumanNeededError, NotFoundError, StepError, SupersededError, UsageError
from prunejuice.system import lock
from prunejuice.system.stop_request import KILL, STOP, Stop
from prunejuice.workflow import plan
from prunejuice.workflow.command import Command
from prunejuice.workflow.graph import Step, Workflow, link_steps


def step(name, **more):
    return Step(name=name, id=name, script="true", **more)


def planned(*steps, post=(), cleanup=(), timeout=60, **more):
    found = link_steps((), steps, post)
    found |= {name: Step(name=name, id=name, script="x", stage="cleanup") for name in cleanup}
    flow = Workflow("w", steps=found, entry_point=steps[0].id, **more)
    return plan.make_plan(
        Command("c", flow, timeout=timeout), {}, project="/p", directory="/p", commands_used={}
    )


@pytest.fixture
def world(tmp_path):
    """make(script) gives tools and what they record."""

    class World:
        def __init__(self):
            self.store = MemoryStore()
            self.told = []

        def make(self, script=None):
            self.steps = ScriptedSteps(script)
            call = lambda *_: StepResult(ok=True)  # noqa: E731
            return Runtime(
                self.store,
                self.steps,
                tmp_path,
                call,
                on_event=lambda _r, e: self.told.append(ev.event_kind(e)),
            )

        def start(self, made, script=None, stop=None):
            return driver.start_run(made, self.make(script), stop or Stop(), run_id="abc123")

        def resume(self, script=None, decisions=None):
            return driver.resume_run("abc123", self.make(script), Stop(), decisions)

        def forge(self, made, *events):
            """A run whose driver died after these events."""
            driver.create_run(made, self.make(), run_id="abc123")
            run = driver.load_run("abc123", self.store)
            for event in (ev.RunStarted(at=1, pid=1, host="h", version="1"), *events):
                self.store.append("abc123", run.sequence, [event], driver.summarize_run(run))
                run = driver.apply_event(run, event)

    return World()


def test_run_executes_its_steps_and_reports_each(world):
    run = world.start(planned(step("a"), step("b"), post=[step("c")]))
    assert run.status == "completed"
    assert world.steps.started == ["a", "b", "c"]
    assert world.told == ["run.created", "run.started", *["step.started", "step.ended"] * 3, "run.ended"]
    assert [ev.event_kind(e) for e in world.store.read_events("abc123")] == world.told
    assert world.store.summaries()[0].status == "completed"


def test_parallel_steps_overlap(world):
    barrier = threading.Barrier(3, timeout=10)

    def meet(_handle):
        barrier.wait()
        return "ok"

    steps = [step("a"), step("b", parallel_with=("a",)), step("c", parallel_with=("a",))]
    run = world.start(planned(*steps), {"a": [meet], "b": [meet], "c": [meet]})
    assert run.status == "completed"
    assert world.steps.most == 3


def test_at_most_so_many_run_at_once(world):
    steps = [step(f"s{n}", parallel_with=("s0",) if n else ()) for n in range(6)]
    slow = {f"s{n}": [lambda _h: time.sleep(0.02)] for n in range(6)}
    assert world.start(planned(*steps, max_parallel=2), slow).status == "completed"
    assert world.steps.most == 2


def test_a_failure_runs_the_clean_up_and_names_its_first_cause(world):
    run = world.start(planned(step("a"), step("b"), cleanup=["tidy"]), {"a": ["fail"], "tidy": ["fail"]})
    assert (run.status, run.cause, run.error) == ("failed", "a", "it failed")
    assert world.steps.started == ["a", "tidy"]


def test_retries_are_attempts_of_one_visit(world):
    run = world.start(planned(step("a", retries=2, retry_delay=0.01)), {"a": ["fail", "fail"]})
    assert (run.status, run.last_visit("a").attempt, run.last_visit("a").visit) == ("completed", 3, 1)
    assert world.told.count("step.retried") == 2


def test_the_last_attempt_counts(world):
    assert world.start(planned(step("a", retries=1)), {"a": ["fail", "fail"]}).status == "failed"


def test_outputs_reach_later_conditions(world):
    made = planned(step("a"), step("b", condition="steps.a.changed and steps.a.outputs.n == 2"))
    run = world.start(made, {"a": [StepResult(ok=True, outputs={"changed": True, "n": 2})]})
    assert run.last_visit("b").status == "completed"


@pytest.mark.parametrize(
    ("error", "reason", "text"),
    [
        (StepError("no", "do this"), "failed", "no (do this)"),
        (UsageError("bad"), "usage", "bad"),
        (ZeroDivisionError("oh"), "failed", "ZeroDivisionError: oh"),
    ],
)
def test_exception_in_a_step_becomes_its_failure_reason(world, error, reason, text):
    def fall(_handle):
        raise error

    run = world.start(planned(step("a")), {"a": [fall]})
    assert (run.status, run.reason, run.error) == ("failed", reason, text)


def needs_person(_handle):
    raise HumanNeededError("a person must look", "look")


def test_blocked_step_lets_the_others_finish_and_the_run_waits(world):
    made = planned(step("a"), step("b", parallel_with=("a",)), step("c"))
    run = world.start(made, {"a": [needs_person]})
    assert (run.status, run.blocked_visits()[0].step, run.last_visit("b").status) == (
        "waiting",
        "a",
        "completed",
    )
    assert run.last_visit("c") is None
    again = world.resume()
    assert again.status == "completed"
    assert world.steps.started == ["a", "c"]


@pytest.mark.parametrize(("decision", "status"), [("done", "completed"), ("skip", "skipped")])
def test_a_person_can_say_how_a_waiting_step_went(world, decision, status):
    world.start(planned(step("a"), step("b")), {"a": [needs_person]})
    run = world.resume(decisions={"a": decision})
    assert (run.status, run.last_visit("a").status, world.steps.started) == ("completed", status, ["b"])


def test_a_decision_about_nothing_is_refused_and_changes_nothing(world):
    world.start(planned(step("a"), step("b")), {"a": [needs_person]})
    before = world.store.read_events("abc123")
    with pytest.raises(UsageError, match=r"step 'zzz' of run \w+ does not wait for a decision"):
        world.resume(decisions={"zzz": "done"})
    assert world.store.read_events("abc123") == before


def test_a_completed_run_is_not_resumed_and_an_unknown_one_is_named(world, tmp_path):
    world.start(planned(step("a")))
    with pytest.raises(UsageError, match="nothing to resume"):
        world.resume()
    with pytest.raises(NotFoundError):
        driver.resume_run("ffffff", world.make(), Stop())
    (tmp_path / "runs" / "ffffff").mkdir()
    with pytest.raises(NotFoundError):
        driver.resume_run("ffffff", world.make(), Stop())


def test_failed_run_resumes_at_the_failed_step(world):
    world.start(planned(step("a"), step("b"), step("c"), cleanup=["tidy"]), {"b": ["fail"]})
    run = world.resume()
    assert run.status == "completed"
    assert world.steps.started == ["b", "c"]


def test_a_failed_step_can_be_declared_done(world):
    world.start(planned(step("a"), step("b")), {"a": ["fail"]})
    run = world.resume(decisions={"a": "done"})
    assert (run.status, world.steps.started) == ("completed", ["b"])


def test_step_with_continue_on_error_is_not_repeated_on_resume(world):
    made = planned(step("a", continue_on_error=True), step("b"))
    world.start(made, {"a": ["fail"], "b": ["fail"]})
    world.resume()
    assert world.steps.started == ["b"]


def stopping(level, stop):
    def act(handle):
        stop.request(level)
        return until_stopped(handle)

    return act


def test_a_stop_ends_steps_runs_clean_up_and_can_be_resumed(world):
    stop = Stop()
    made = planned(step("a"), step("b"), step("c", parallel_with=("b",)), step("d"), cleanup=["tidy"])
    run = world.start(made, {"b": [stopping(STOP, stop)], "c": [until_stopped]}, stop)
    assert (run.status, run.error) == ("cancelled", "stopped by request")
    assert world.steps.started[-1] == "tidy"
    again = world.resume()
    assert again.status == "completed"
    assert sorted(world.steps.started) == ["b", "c", "d"]


def test_a_stop_does_not_stop_the_clean_up_but_a_kill_does(world):
    stop = Stop()

    def kill(handle):
        assert handle.stop.level == 0
        stop.request(KILL)
        return until_stopped(handle)

    run = world.start(
        planned(step("a"), cleanup=["tidy"]), {"a": [stopping(STOP, stop)], "tidy": [kill]}, stop
    )
    assert run.status == "interrupted"


def test_a_kill_interrupts_at_once(world):
    stop = Stop()
    run = world.start(planned(step("a"), step("b"), cleanup=["tidy"]), {"a": [stopping(KILL, stop)]}, stop)
    assert run.status == "interrupted"
    assert world.steps.started == ["a"]


def test_a_stop_during_a_retry_delay_is_heeded(world):
    stop = Stop()
    threading.Timer(0.2, stop.request, [STOP]).start()
    run = world.start(planned(step("a", retries=1, retry_delay=3600)), {"a": ["fail"]}, stop)
    assert (world.steps.started, run.status) == (["a"], "cancelled")


def test_the_time_limit_of_a_run_is_a_limit(world):
    made = planned(step("a"), step("b"), cleanup=["tidy"], timeout=0.2)
    run = world.start(made, {"a": [until_stopped]})
    assert (run.status, run.reason, run.error) == ("failed", "limit", "timed out after 0.2 s")
    assert world.steps.started == ["a", "tidy"]


def test_a_step_gets_no_more_time_than_the_run_has(world):
    seen = []
    world.start(planned(step("a", timeout=900), timeout=50), {"a": [lambda h: seen.append(h.timeout)]})
    assert seen[0] <= 50


# -- after a death ------------------------------------------------------------------------------

CUT = (
    ev.StepStarted(step="a", visit=1, log="logs/1"),
    ev.StepEnded(step="a", visit=1, status="completed", fires=("next:b",)),
    ev.StepStarted(step="b", visit=1, log="logs/2"),
)


def test_resume_repeats_only_interrupted_steps(world):
    world.forge(planned(step("a"), step("b"), step("c")), *CUT)
    run = world.resume()
    assert (run.status, world.steps.started, world.steps.swept) == ("completed", ["b", "c"], ["abc123"])


def test_a_step_that_finished_unseen_is_adopted(world):
    world.forge(planned(step("a"), step("b"), step("c", condition="steps.b.k == 1")), *CUT)
    tools = world.make()
    world.steps.adopted["b"] = StepResult(ok=True, outputs={"k": 1})
    run = driver.resume_run("abc123", tools, Stop())
    assert (run.status, world.steps.started) == ("completed", ["c"])


@pytest.mark.parametrize(
    ("policy", "started", "status"),
    [("skip", ["c"], "completed"), ("ask", [], "waiting"), ("rerun", ["b", "c"], "completed")],
)
def test_on_interrupt_policy_decides_how_an_interrupted_step_resumes(world, policy, started, status):
    world.forge(planned(step("a"), step("b", on_interrupt=policy), step("c")), *CUT)
    run = world.resume()
    assert (run.status, world.steps.started) == (status, started)


@pytest.mark.parametrize("decision", ["done", "skip", "rerun"])
def test_a_question_about_a_cut_off_step_can_be_answered_at_once(world, decision):
    world.forge(planned(step("a"), step("b", on_interrupt="ask"), step("c")), *CUT)
    run = world.resume(decisions={"b": decision})
    assert (run.status, world.steps.started) == ("completed", ["b", "c"] if decision == "rerun" else ["c"])


def test_a_waiting_question_stays_until_it_is_answered(world):
    world.forge(planned(step("a"), step("b", on_interrupt="ask"), step("c")), *CUT)
    assert "--decide b=rerun|skip|done" in world.resume().blocked_visits()[0].fix
    assert world.resume(decisions={"b": "rerun"}).status == "completed"
    assert world.steps.started == ["b", "c"]


def test_run_without_a_driver_is_interrupted_and_its_processes_killed(world):
    world.forge(planned(step("a"), step("b")), *CUT)
    tools = world.make()
    assert [line.id for line in driver.recover_lost_runs(tools)] == ["abc123"]
    assert world.steps.swept == ["abc123"]
    assert driver.load_run("abc123", world.store).status == "interrupted"
    assert driver.recover_lost_runs(tools) == ()


def test_a_run_with_a_driver_is_left_alone(world):
    world.forge(planned(step("a"), step("b")), *CUT)
    tools = world.make()
    with driver.hold_driver_lock("abc123", tools):
        assert driver.recover_lost_runs(tools) == ()
        with pytest.raises(UsageError, match="being driven by process"):
            driver.resume_run("abc123", tools, Stop())
    assert lock.holder_pid(tools.registry.lock_path("abc123")) is None


def test_a_run_that_was_just_made_is_not_yet_lost(world):
    tools = world.make()
    driver.create_run(planned(step("a")), tools, run_id="abc123")
    assert driver.recover_lost_runs(tools) == ()
    assert driver.recover_lost_runs(tools._replace(clock=lambda: time.time() + 60))[0].id == "abc123"
    assert world.resume().status == "completed"


def test_a_run_that_nobody_drives_can_be_ended(world):
    world.forge(planned(step("a"), step("b")), *CUT)
    assert driver.cancel_run("abc123", world.make()).status == "cancelled"
    assert driver.cancel_run("abc123", world.make()).status == "cancelled"


def test_superseded_driver_stops(world):
    """A zombie comes back: its next event has a number that is taken."""
    seen = []

    def take_over(_handle):
        run = driver.load_run("abc123", world.store)
        world.store.append("abc123", run.sequence, [ev.RunInterrupted()], driver.summarize_run(run))
        seen.append(1)
        return "ok"

    with pytest.raises(SupersededError):
        world.start(planned(step("a"), step("b")), {"a": [take_over]})
    assert seen == [1]
    assert world.steps.started == ["a"]


def test_new_visit_never_reuses_the_number_of_an_existing_visit(world):
    """The first visit was taken back, the second stands: the next is the third."""
    failed = {"step": "a", "status": "failed", "fires": ("failure:a",), "reason": "failed"}
    world.forge(
        planned(step("a", on_failure="a", max_visits=5)),
        ev.StepStarted(step="a", visit=1),
        ev.StepEnded(visit=1, **failed),
        ev.StepStarted(step="a", visit=2),
        ev.StepEnded(visit=2, **failed),
        ev.StepReset(step="a", visit=1),
    )
    assert [visit.visit for visit in world.resume().visits_of("a")] == [2, 3]
