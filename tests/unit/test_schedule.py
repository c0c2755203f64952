"""The schedule: what starts next, what a failure does, and that every history converges."""

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from prunejuice.engine import event as ev
from prunejuice.engine import run as runs
from prunejuice.engine import schedule
from prunejuice.workflow import plan
from prunejuice.workflow.command import Command
from prunejuice.workflow.graph import Step, Workflow, link_steps, parallel, sequence
from prunejuice.workflow.validate import find_problems


def step(name, **more):
    return Step(name=name, id=name, script="true", **more)


def listed(*steps, pre=(), post=(), cleanup=(), **more):
    found = link_steps(pre, steps, post)
    found |= {s.id: Step(name=s.name, id=s.id, script="x", stage="cleanup") for s in cleanup}
    return Workflow("w", steps=found, entry_point=steps[0].id, **more)


def begin(flow, **more):
    made = plan.make_plan(Command("c", flow), {}, project="/p", directory="/p", commands_used={}, **more)
    run = runs.new_run("r", ev.RunCreated(plan=made))
    return made, runs.apply_event(run, ev.RunStarted(pid=1, host="h", version="1"))


class Player:
    """Carries a workflow out with written-down outcomes and keeps the history."""

    def __init__(self, flow, script=None, **more):
        self.plan, self.run = begin(flow, **more)
        self.history = [ev.RunCreated(plan=self.plan), ev.RunStarted(pid=1, host="h", version="1")]
        self.script = {name: list(outcomes) for name, outcomes in (script or {}).items()}
        self.trace = []

    def add(self, event):
        self.run = runs.apply_event(self.run, event)
        self.history.append(event)

    def end(self, step_id, visit, status, reason=""):
        fires = schedule.links_to_fire(self.plan, self.run, step_id, status)
        self.add(ev.StepEnded(step=step_id, visit=visit, status=status, reason=reason, fires=fires))

    def decide(self):
        while decisions := schedule.next_decisions(self.plan, self.run):
            passed = next((each for each in decisions if each.action != "start"), None)
            if passed is None:
                break
            status = "skipped" if passed.action == "skip" else "failed"
            visit = len(self.run.visits_of(passed.step.id)) + 1
            self.end(passed.step.id, visit, status, "failed" if passed.caused_by_failure else "")
            self.trace.append(f"{passed.step.id}:{status}")
        for decision in decisions:
            visit = len(self.run.visits_of(decision.step.id)) + 1
            self.add(ev.StepStarted(step=decision.step.id, visit=visit))
        if decisions:
            self.trace.append("+".join(decision.step.id for decision in decisions))
        return decisions

    def play(self, pick=lambda _n: 0):
        for _ in range(2000):
            decisions = self.decide()
            going = self.run.running_visits()
            if not going and not decisions:
                return self.trace, schedule.find_failure(self.plan, self.run)
            if going:
                visit = going[pick(len(going))]
                outcomes = self.script.get(visit.step, [])
                failed = bool(outcomes) and outcomes.pop(0) == "f"
                self.end(visit.step, visit.visit, "failed" if failed else "completed")
        raise AssertionError("it never ends")


def play(flow, script=None, **more):
    """The trace and the failure of a workflow with written-down outcomes."""
    return Player(flow, script, **more).play()


FIX = listed(
    step("verify", on_failure="debug"),
    step("debug", on_success="verify", max_visits=3),
    step("lint"),
    step("docs", parallel_with=("lint",)),
    step("end"),
    pre=[step("worktree")],
    post=[step("store")],
    cleanup=[step("clean1"), step("clean2")],
)


@pytest.mark.parametrize(
    ("script", "trace", "cause"),
    [
        ({}, ["worktree", "verify", "lint+docs", "end", "store"], None),
        (
            {"verify": "ff"},
            ["worktree", "verify", "debug", "verify", "debug", "verify", "lint+docs", "end", "store"],
            None,
        ),
        (
            {"verify": "ffff"},
            [
                "worktree",
                *["verify", "debug"] * 3,
                "verify",
                "lint:skipped",
                "docs:skipped",
                "end:skipped",
                "store:skipped",
                "clean1",
                "clean2",
            ],
            "verify",
        ),
        (
            {"lint": "f", "clean1": "f"},
            ["worktree", "verify", "lint+docs", "end:skipped", "store:skipped", "clean1", "clean2"],
            "lint",
        ),
        (
            {"verify": "f", "debug": "f"},
            ["worktree", "verify", "debug", "store:skipped", "clean1", "clean2"],
            "debug",
        ),
    ],
)
def test_a_list_with_a_loop_and_a_parallel_pair(script, trace, cause):
    found, failure = play(FIX, script)
    assert found == trace
    assert (failure.step if failure else None) == cause


def test_branches_rejoin():
    flow = listed(
        step("check", on_success="fast", on_failure="slow"),
        step("fast", on_success="end"),
        step("slow", on_success="end"),
        step("end"),
        step("last"),
    )
    assert play(flow)[0] == ["check", "fast", "end"]
    found, failure = play(flow, {"check": "f"})
    assert found == ["check", "slow", "end"]
    assert failure.step == "check"


def test_handled_but_unresolved_failure_skips_the_next_stage():
    flow = listed(
        step("verify", on_failure="notify"),
        step("notify"),
        step("last"),
        post=[step("publish"), step("tell", condition="always()"), step("cheer", condition="success()")],
    )
    found, failure = play(flow, {"verify": "f"})
    assert found == ["verify", "notify", "publish:skipped", "tell", "cheer:skipped"]
    assert failure.step == "verify"


def test_dependents_of_a_step_skipped_for_a_failure_are_skipped():
    flow = listed(step("a"), step("b", needs=("a",)), step("c", needs=("b",)), stop_on_failure=False)
    assert play(flow, {"a": "f"})[0] == ["a", "b:skipped", "c:skipped"]


def test_a_step_that_is_linked_to_and_needs_the_same_step_runs_once():
    flow = listed(step("a", on_success="c"), step("b", parallel_with=("a",)), step("c", needs=("a",)))
    assert play(flow)[0] == ["a+b", "c"]


def test_a_loop_of_a_list_that_is_cut_off_is_a_limit_too():
    flow = listed(step("v"), step("w", on_success="v", max_visits=2))
    found, failure = play(flow)
    assert found == ["v", "w", "v", "w", "v"]
    assert failure.reason == "limit"


def test_a_failure_that_is_allowed_changes_nothing():
    flow = listed(step("a", continue_on_error=True), step("b"))
    assert play(flow, {"a": "f"}) == (["a", "b"], None)


def test_independent_steps_run_after_a_failure_without_stop_on_failure():
    flow = listed(step("a"), step("b"), step("c", needs=("a",)), stop_on_failure=False)
    found, failure = play(flow, {"a": "f"})
    assert found == ["a", "c:skipped", "b"] or found == ["a", "b", "c:skipped"]
    assert failure.step == "a"


def test_steps_that_mind_failure_run_after_one():
    flow = listed(
        step("a"),
        step("b"),
        step("c", condition="failure()"),
        step("d", condition="always()"),
        step("e", condition="success()"),
    )
    assert play(flow, {"a": "f"})[0] == ["a", "b:skipped", "c", "d", "e:skipped"]
    assert play(flow)[0] == ["a", "b", "c:skipped", "d", "e"]


def test_step_with_a_false_condition_is_skipped_and_the_list_continues():
    flow = listed(
        step("a", condition="run.command == 'x'"), step("b", condition="steps.a.status == 'skipped'")
    )
    assert play(flow) == (["a:skipped", "b"], None)


def test_skipped_step_follows_its_success_link():
    flow = listed(step("a", condition="false", on_success="c", on_failure="c"), step("c"))
    assert play(flow) == (["a:skipped", "c"], None)


def test_a_condition_that_cannot_be_evaluated_fails_its_step():
    found, failure = play(listed(step("a", condition="1 < 'x'"), step("b")))
    assert found == ["a:failed", "b:skipped"]
    assert failure.step == "a"


def test_a_loop_that_is_cut_off_is_a_limit():
    flow = listed(step("poll", on_success="poll", max_visits=3))
    found, failure = play(flow)
    assert found == ["poll"] * 3
    assert (failure.reason, failure.step) == ("limit", "poll")


def test_needs_run_side_by_side_and_join():
    flow = listed(
        step("build"),
        step("unit", needs=("build",)),
        step("lint", needs=("build",)),
        step("pack", needs=("unit", "lint")),
        step("ship"),
    )
    assert play(flow)[0] == ["build", "unit+lint", "pack", "ship"]
    assert play(flow, {"unit": "f"})[0] == ["build", "unit+lint", "pack:skipped", "ship:skipped"]


def test_at_most_so_many_at_once():
    flow = listed(*(step(f"s{n}", parallel_with=("s0",) if n else ()) for n in range(5)), max_parallel=2)
    assert play(flow)[0][0] == "s0+s1"


def test_compositions_run_in_order_and_side_by_side():
    one = Workflow(
        "a",
        steps={"x": step("x", on_success="y", on_failure="z"), "y": step("y"), "z": step("z")},
        entry_point="x",
    )
    two = Workflow("b", steps={"p": step("p", on_success="q"), "q": step("q")}, entry_point="p")
    assert play(sequence(one, two))[0] == ["a_x", "a_y", "b_p", "b_q"]
    assert play(sequence(one, two), {"a_x": "f"})[0] == ["a_x", "a_z", "b_p", "b_q"]
    assert play(parallel(one, two))[0] == ["a_x+b_p", "a_y", "b_q"]
    assert play(sequence(parallel(one, two), two))[0][-2:] == ["b_p", "b_q"]


def test_partners_that_lead_to_one_step_lead_there_once():
    flow = Workflow(
        "w",
        steps={
            "a": step("a", parallel_with=("b",), on_success="c"),
            "b": step("b", on_success="c"),
            "c": step("c"),
        },
        entry_point="a",
    )
    assert play(flow)[0] == ["a+b", "c"]


def test_scoped_steps_read_their_own_scope():
    inner = Workflow(
        "in",
        steps={"a": step("a"), "b": step("b", condition="steps.a.status == 'completed'", needs=("a",))},
        entry_point="a",
    )
    assert play(sequence(inner, inner))[0] == ["in_a", "in_b", "in_2_a", "in_2_b"]


def test_worktree_steps_can_be_added_and_turned_off():
    make = Step(name="create-worktree", id="create-worktree", uses="create-worktree")
    assert play(listed(make, step("b")), worktree=False)[0] == ["create-worktree:skipped", "b"]
    assert play(listed(step("b"), pre=[step("a")]), worktree=True)[0] == ["create-worktree", "a", "b"]
    assert play(listed(make, step("b")), worktree=True)[0] == ["create-worktree", "b"]


def test_a_run_that_is_over_or_being_cancelled_starts_nothing_but_clean_up():
    made, run = begin(FIX)
    cancelling = runs.apply_event(run, ev.RunCancelling(reason="x"))
    assert [d.step.id for d in schedule.next_decisions(made, cancelling)] == ["clean1"]
    ended = runs.apply_event(run, ev.RunEnded(status="completed"))
    assert schedule.next_decisions(made, ended) == ()


def test_blocked_step_stops_its_stage_and_starts_nothing_else():
    made, run = begin(listed(step("a"), post=[step("b")], cleanup=[step("c")]))
    run = runs.apply_event(run, ev.StepStarted(step="a", visit=1))
    run = runs.apply_event(run, ev.StepBlocked(step="a", visit=1, message="a person"))
    assert schedule.next_decisions(made, run) == ()
    assert run.blocked_visits()[0].error == "a person"


def test_mutually_waiting_joins_run_in_order():
    """Two steps of one loop, both due, each above the other: the first is taken."""
    flow = Workflow(
        "w",
        steps={
            "a": step("a", parallel_with=("b",), max_visits=2),
            "b": step("b", max_visits=2),
            "c": step("c", needs=("a", "b"), on_failure="a"),
            "d": step("d", needs=("a", "b"), on_failure="b"),
        },
        entry_point="a",
    )
    assert not find_problems(flow)
    trace, _failure = play(flow)
    assert trace == ["a+b", "c", "d"]


# -- by property --------------------------------------------------------------------------------

names = [f"s{n}" for n in range(6)]


@st.composite
def workflows(draw):
    """Lists with links, conditions, parallel partners and needs, as long as they are sound."""
    steps = []
    for place, name in enumerate(names[: draw(st.integers(1, 6))]):
        more = {}
        if draw(st.integers(0, 3)) == 0:
            more["on_failure"] = draw(st.sampled_from(names))
            more["max_visits"] = draw(st.integers(1, 3))
        if draw(st.integers(0, 4)) == 0:
            more["on_success"] = draw(st.sampled_from(names))
            more["max_visits"] = draw(st.integers(1, 3))
        if place and draw(st.integers(0, 3)) == 0:
            more["parallel_with"] = (draw(st.sampled_from(names[:place])),)
        if place and draw(st.integers(0, 4)) == 0:
            more["needs"] = (draw(st.sampled_from(names[:place])),)
        if draw(st.integers(0, 5)) == 0:
            more["condition"] = draw(st.sampled_from(["false", "failure()", "always()", "1 < 'x'"]))
        steps.append(step(name, continue_on_error=draw(st.integers(0, 6)) == 0, **more))
    flow = listed(
        *steps,
        cleanup=[step("clean")],
        stop_on_failure=draw(st.booleans()),
        max_parallel=draw(st.integers(1, 4)),
    )
    assume(not find_problems(flow))
    return flow


outcomes = st.dictionaries(st.sampled_from(names), st.text("fo", max_size=6))


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(workflows(), outcomes, st.randoms())
def test_every_history_ends_within_its_bounds(flow, script, chance):
    player = Player(flow, script)
    trace, failure = player.play(chance.randrange)
    assert bool(failure) == ("clean" in trace)
    for step_id, each in flow.steps.items():
        assert each.max_visits is None or len(player.run.visits_of(step_id)) <= each.max_visits
    assert player.run.visits_of(flow.entry_point)
    running = [
        len(runs.replay("r", player.history[:n]).running_visits())
        for n in range(2, len(player.history) + 1)
    ]
    assert max(running) <= flow.max_parallel


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(workflows(), outcomes, st.randoms())
def test_every_recorded_step_was_among_those_ready_before_it(flow, script, chance):
    """What is ready depends on the history alone, also when it is read back from JSON."""
    player = Player(flow, script)
    player.play(chance.randrange)
    read_back = [ev.from_json(ev.to_json(event)) for event in player.history]
    assert runs.replay("r", read_back) == player.run
    for place, event in enumerate(read_back):
        if isinstance(event, ev.StepStarted):
            before = runs.replay("r", read_back[:place])
            assert event.step in {
                decision.step.id for decision in schedule.next_decisions(before.plan, before)
            }


def test_expressions_know_the_run():
    player = Player(listed(step("a")))
    data = schedule.expression_data(player.plan, player.run)
    assert data["run"] == {"id": "r", "command": "c", "directory": "/p", "branch": None, "project": "/p"}
    assert data["args"] == {}


def test_a_step_that_fails_without_a_reason_has_failed():
    _, failure = play(listed(step("a")), {"a": ["f"]})
    assert (failure.step, failure.reason) == ("a", "failed")
