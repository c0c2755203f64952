"""The state of a run is a fold of its events."""

import pytest
from msgspec.structs import replace

from prunejuice.engine import event as ev
from prunejuice.engine import run as runs
from prunejuice.engine import view
from prunejuice.engine.artifact import Artifact, guess_media_type
from prunejuice.errors import StoreError
from prunejuice.workflow import plan
from prunejuice.workflow.command import Command
from prunejuice.workflow.graph import Step, Workflow
from prunejuice.workflow.workspace import Workspace

FLOW = Workflow("w", steps={"a": Step(name="a", script="x")}, entry_point="a")
PLAN = plan.make_plan(Command("c", FLOW), {}, project="/p", directory="/p", commands_used={})
CREATED = ev.RunCreated(at=1, plan=PLAN)
STARTED = ev.RunStarted(at=2, pid=7, host="h", version="1")


def after(*events):
    return runs.replay("r1", [CREATED, *events])


def test_a_run_begins_pending_where_it_was_called():
    run = after()
    assert (run.status, run.workspace.directory, run.sequence, run.created) == ("pending", "/p", 1, 1)


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (ev.RunWaiting(), "waiting"),
        (ev.RunInterrupted(reason="gone"), "interrupted"),
        (ev.RunEnded(status="completed"), "completed"),
        (ev.RunEnded(status="failed", error="x", reason="limit", step="a"), "failed"),
        (ev.RunEnded(status="cancelled"), "cancelled"),
    ],
)
def test_ended_run_can_be_started_again(event, status):
    run = after(STARTED, event)
    assert run.status == status
    again = after(STARTED, event, ev.RunStarted(at=9, pid=8, host="h", version="1"))
    assert (again.status, again.pid, again.error, again.cause, again.ended, again.started) == (
        "running",
        8,
        "",
        "",
        0,
        2,
    )


def test_steps_move_through_their_states():
    run = after(STARTED, ev.StepStarted(at=3, step="a", visit=1, log="l"))
    assert [v.status for v in run.running_visits()] == ["running"]
    run = runs.apply_event(run, ev.StepRetried(step="a", visit=1, error="once"))
    assert run.last_visit("a").error == "once"
    run = runs.apply_event(run, ev.StepStarted(at=4, step="a", visit=1, attempt=2))
    assert [(v.visit, v.attempt) for v in run.visits] == [(1, 2)]
    ended = ev.StepEnded(at=5, step="a", visit=1, status="completed", outputs={"k": 1}, fires=("next:b",))
    run = runs.apply_event(run, ended)
    assert (run.last_visit("a").outputs, run.last_visit("a").fires) == ({"k": 1}, ("next:b",))
    assert runs.apply_event(run, ev.StepReset(step="a", visit=1)).visits == ()
    assert run.last_visit("zzz") is None


def test_other_visits_are_left_alone():
    run = after(
        STARTED,
        ev.StepStarted(step="a", visit=1),
        ev.StepEnded(step="a", visit=1, status="failed"),
        ev.StepStarted(step="a", visit=2),
        ev.StepEnded(step="a", visit=2, status="completed"),
    )
    assert [v.status for v in run.visits_of("a")] == ["failed", "completed"]


def test_interrupted_visits_are_dropped_and_blocked_visits_retried():
    run = after(STARTED, ev.StepStarted(step="a", visit=1), ev.StepInterrupted(step="a", visit=1))
    assert run.visits == ()
    run = after(
        STARTED, ev.StepStarted(step="a", visit=1), ev.StepBlocked(step="a", visit=1, message="m", fix="f")
    )
    assert (run.blocked_visits()[0].error, run.blocked_visits()[0].fix) == ("m", "f")
    assert runs.apply_event(run, STARTED).visits == ()


def test_workspace_artifacts_and_cancelling_are_kept():
    one, two = Artifact("n", "n", 1, "aa"), Artifact("n", "n", 2, "bb")
    run = after(
        STARTED,
        ev.WorkspaceSet(workspace=Workspace("/w", "/w", "b")),
        ev.ArtifactStored(artifact=one),
        ev.ArtifactStored(artifact=two),
        ev.RunCancelling(reason="why"),
    )
    assert (run.workspace.branch, run.artifacts, run.cancelling, run.error) == ("b", (two,), True, "why")


def test_a_history_that_makes_no_sense_is_a_named_error():
    for history in ([], [STARTED], [CREATED, CREATED]):
        with pytest.raises(StoreError):
            runs.replay("r", history)


@pytest.mark.parametrize(
    "text", ["{", '{"kind": "from.the.future"}', '{"kind": "step.ended"}', "[" * 100_000]
)
def test_an_event_that_cannot_be_read_is_a_named_error(text):
    with pytest.raises(StoreError):
        ev.from_json(text)


def test_an_older_event_without_newer_fields_is_read():
    assert ev.from_json('{"kind":"step.started","step":"a","visit":1,"later":true}') == ev.StepStarted(
        step="a", visit=1
    )
    assert ev.event_kind(STARTED) == "run.started"


def test_views_say_only_what_there_is_to_say():
    run = after(
        STARTED,
        ev.StepStarted(at=3, step="a", visit=1),
        ev.StepEnded(at=5, step="a", visit=1, status="failed", error="e"),
    )
    whole = view.run_to_dict(run)
    assert whole["id"] == whole["session_id"] == "r1"
    assert "branch" not in whole
    assert whole["started"] == "1970-01-01T00:00:02.000+00:00"
    assert whole["steps"][0] == {
        "step": "a",
        "visit": 1,
        "attempt": 1,
        "status": "failed",
        "seconds": 2,
        "error": "e",
        "started": "1970-01-01T00:00:03.000+00:00",
        "ended": "1970-01-01T00:00:05.000+00:00",
    }


def test_media_types():
    assert [guess_media_type(n) for n in ("a.patch", "a.log", "a.json", "a.zzz")] == [
        "text/plain",
        "text/plain",
        "application/json",
        "application/octet-stream",
    ]


def test_run_records_snapshots_merges_and_interrupted_visits():
    before = ev.SnapshotTaken(step="a", visit=1, when="before", commit="c1", tree="t1")
    ended = ev.SnapshotTaken(
        step="a", visit=1, when="after", commit="c2", tree="t2", changed=True, files=1, paths=("f",)
    )
    run = after(STARTED, before, ended)
    assert (run.snapshot_range(), after(STARTED).snapshot_range()) == (("c1", "c2"), ("", ""))
    assert (view.summarize_run(run).files, view.summarize_run(run).paths) == (1, ("f",))
    begun = ev.StepStarted(at=3, step="a", visit=1, log="logs/0003-a.log")
    cut = after(STARTED, begun, ev.StepInterrupted(step="a", visit=1))
    assert [each.log for each in cut.interrupted_visits] == ["logs/0003-a.log"]
    assert runs.apply_event(cut, ev.FilesRestored(step="a", operation="op-1")).interrupted_visits == ()
    over = ev.StepEnded(at=4, step="a", visit=1, status="failed")
    assert after(STARTED, begun, over, ev.StepReset(step="a", visit=1)).interrupted_visits == ()
    landed = ev.RunLanded(into="main", commit="c")
    assert after(STARTED, landed).landed == landed
    assert after(STARTED, landed, ev.RunLanded(into="", commit="b")).landed is None
    assert after(STARTED, landed, STARTED).landed is None


LINE = view.summarize_run(after(STARTED))


@pytest.mark.parametrize(
    ("more", "worktree", "group"),
    [
        ({"status": "running"}, True, "working"),
        ({"status": "pending", "pid": 0}, True, "working"),
        ({"status": "waiting", "error": "why"}, True, "needs you"),
        ({"status": "interrupted"}, True, "needs you"),
        ({"status": "failed"}, True, "needs you"),
        ({"status": "completed"}, True, "done"),
        ({"status": "completed", "files": 2}, True, "ready"),
        ({"status": "completed", "files": 2}, False, "done"),
        ({"status": "completed", "files": 2, "landed": "main"}, True, "done"),
        ({"status": "cancelled", "worktree": "/w", "session": "s"}, False, "done"),
    ],
)
def test_status_line_groups_runs_by_the_needed_action(more, worktree, group):
    stands = view.status_line(replace(LINE, **more), has_worktree=worktree, has_session=False)
    assert stands.group == group
    assert stands.evidence[0] == f"event: the run is {more['status']}"


def test_runs_of_one_repository_that_touch_the_same_files():
    def line(name, paths, common="/g"):
        return replace(LINE, id=name, paths=paths, worktree=f"/w/{name}", common=common)

    lines = [line("a", ("x", "y")), line("b", ("y",)), line("c", ("z",)), line("d", ("y",), "/other")]
    assert view.find_overlaps(lines) == {"a": {"b": ("y",)}, "b": {"a": ("y",)}}
