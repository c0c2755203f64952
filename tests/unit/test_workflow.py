"""Step lists and graphs in both spellings; composition keeps step ids apart."""

import pytest

from prunejuice.errors import DefinitionError
from prunejuice.workflow.graph import (
    Step,
    Workflow,
    WorkflowStep,
    link_steps,
    parallel,
    sequence,
    stage_entries,
)
from prunejuice.workflow.validate import find_problems, require_valid


def step(name, **more):
    return Step(name=name, id=name, script="true", **more)


def listed(*steps, pre=(), post=(), **more):
    return Workflow("w", steps=link_steps(pre, steps, post), entry_point=steps[0].id, **more)


def after(flow):
    return {s.id: s.after for s in flow.steps.values()}


def test_a_list_is_in_order():
    assert after(listed(step("a"), step("b"), step("c"))) == {"a": (), "b": ("a",), "c": ("b",)}


def test_parallel_steps_stand_together_and_the_list_waits_for_all():
    flow = listed(step("a"), step("b"), step("c", parallel_with=("b",)), step("d"))
    assert after(flow) == {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
    assert flow.parallel_groups["b"] == ("b", "c") == flow.parallel_groups["c"]


def test_a_step_that_is_linked_to_leaves_the_order_and_a_link_back_does_not():
    flow = listed(
        step("verify", on_failure="debug"), step("debug", on_success="verify", max_visits=3), step("end")
    )
    assert after(flow) == {"verify": (), "debug": (), "end": ("verify",)}
    assert not find_problems(flow)


def test_a_branch_rejoins_the_list():
    flow = listed(step("check", on_failure="repair"), step("repair", on_success="end"), step("end"))
    assert after(flow)["end"] == ("check",)


def test_a_success_link_to_the_next_step_is_the_order_itself():
    assert listed(step("a", on_success="b"), step("b"), step("c")).steps["a"].on_success == ""


def test_needs_place_a_step_and_a_plain_one_waits_for_everything():
    flow = listed(
        step("build"),
        step("unit", needs=("build",)),
        step("lint", needs=("build",)),
        step("pack", needs=("unit",)),
        step("end"),
    )
    assert after(flow)["end"] == ("lint", "pack")


def test_stages_are_kept_apart():
    flow = listed(step("b"), pre=[step("a")], post=[step("c")])
    assert [flow.steps[s].stage for s in "abc"] == ["pre", "main", "post"]
    assert stage_entries(flow, "pre") == ("a",)
    assert stage_entries(flow, "post") == ("c",)
    assert stage_entries(Workflow("none"), "post") == ()


def test_the_codebot_spelling_builds_the_same_thing():
    flow = Workflow(
        name="tdd",
        description="Test-driven development",
        steps={
            "write": WorkflowStep(name="Write failing test", agent="test", on_success="run"),
            "run": WorkflowStep(name="Verify", script="pytest", on_failure="write"),
        },
        entry_point="write",
    )
    assert flow.steps["run"].id == "run"
    assert {(link.source, link.on, link.target) for link in flow.links} == {
        ("write", "success", "run"),
        ("run", "failure", "write"),
    }
    assert "unbounded loop" in find_problems(flow)[0].message


FLOW_A = Workflow("a", steps={"x": step("x", on_success="y"), "y": step("y")}, entry_point="x")
FLOW_B = Workflow(
    "b",
    steps={
        "p": step("p", parallel_with=("q",)),
        "q": step("q", needs=()),
        "r": step("r", needs=("p", "q")),
    },
    entry_point="p",
)


def test_a_sequence_prefixes_ids_and_links_ends_to_beginnings():
    flow = require_valid(sequence(FLOW_A, FLOW_B))
    assert flow.name == "sequence_a_b"
    assert flow.entry_point == "a_x"
    assert flow.steps["a_x"].on_success == "a_y"
    assert flow.steps["b_p"].after == ("a_y",) == flow.steps["b_q"].after
    assert flow.steps["b_r"].needs == ("b_p", "b_q")
    assert flow.steps["b_r"].scope == "b_"


def test_a_parallel_begins_with_every_entry():
    flow = require_valid(parallel(FLOW_A, FLOW_B))
    assert set(stage_entries(flow, "main")) == {"a_x", "b_p", "b_q"}


def test_the_same_workflow_can_come_twice():
    flow = require_valid(sequence(FLOW_A, FLOW_A, FLOW_A))
    assert list(flow.steps) == ["a_x", "a_y", "a_2_x", "a_2_y", "a_3_x", "a_3_y"]


def test_nothing_cannot_be_composed():
    with pytest.raises(DefinitionError):
        sequence()


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        (listed(step("a", on_success="zz")), "unknown step 'zz'"),
        (listed(step("a", condition="steps.zz.status == 'x'")), "unknown step 'zz'"),
        (listed(step("a", condition="1 <")), "expected a value"),
        (listed(step("a", args={"x": "${{ steps.zz.y }}"})), "unknown step 'zz'"),
        (listed(step("a", environment={"X": "${{ nope }}"})), "unknown name"),
        (listed(step("a", needs=("a",))), "wait for itself or run in parallel with itself"),
        (listed(step("a", parallel_with=("a",))), "wait for itself or run in parallel with itself"),
        (listed(step("a", on_failure="a")), "unbounded loop"),
        (listed(step("a"), step("b", needs=("c",)), step("c", needs=("b",))), "waits for itself"),
        (listed(step("a"), step("b", parallel_with=("c",)), step("c", needs=("b",))), "waits for itself"),
        (
            listed(step("a", on_success="c", on_failure="d"), step("b"), step("c"), step("d")),
            "can never run",
        ),
        (listed(step("a", on_success="b"), pre=[step("b")]), "another list"),
        (listed(step("a", max_visits=0)), "at least 1"),
        (listed(step("a", timeout=-1)), "at least 0.001"),
        (listed(step("a", retries=-1)), "at least 0"),
        (listed(Step(name="a", id="a", script="x", uses="y")), "exactly one"),
        (listed(Step(name="a", id="a", script="echo ${{ args.x }}")), "not expanded in a script"),
        (listed(Step(name="a/b", id="a/b", script="x")), "may contain only letters"),
        (listed(step("a"), max_parallel=0), "from 1 to 256"),
        (Workflow("w", steps={"a": step("a")}, entry_point="b"), "unknown step 'b'"),
        (
            Workflow("w", steps={"a": step("a"), "c": step("c", stage="cleanup", needs=("a",))}),
            "another list",
        ),
        (
            Workflow(
                "w", steps={f"c{n}": step(f"c{n}", stage="cleanup", needs=("c0",) * n) for n in (0, 1)}
            ),
            "cannot have links",
        ),
        (Workflow("w", steps={f"s{n}": step(f"s{n}") for n in range(1001)}), "more than 1000"),
    ],
)
def test_mistakes_are_named(flow, message):
    with pytest.raises(DefinitionError, match=message):
        require_valid(flow)


def test_a_loop_with_a_bound_is_good():
    assert not find_problems(listed(step("a", on_failure="a", max_visits=2)))
