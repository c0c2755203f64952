"""State that version 0.5.0 wrote is read, continued and undone by this version. `make_state.sh` made it."""

import fcntl
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from conftest import NEEDS_TMUX, Project

STATE = Path(__file__).with_name("state.tar.gz")
ROOT = Path("/tmp/prunejuice-state-0.5.0")
REWORDED = {"evidence", "error", "fix", "what", "description", "summary"}
"""Keys whose text may change between versions."""
MOVED = {"new", "path"}
"""A commit that `diff` makes at that moment, and the place of a built-in command."""


@pytest.fixture
def old(tmp_path, capsys, monkeypatch):
    """A project as the old version left it, at the place that its state names."""
    if ROOT.parent.resolve() != ROOT.parent:
        pytest.skip("the old state names /tmp, which is a link here")
    with Path(f"{ROOT}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one test at a time has the place
        shutil.rmtree(ROOT, ignore_errors=True)
        with tarfile.open(STATE) as archive:
            archive.extractall(ROOT.parent, filter="fully_trusted")
        for tree in (ROOT / "shop", *(ROOT / "shop-worktrees").iterdir()):
            # The index remembers times and inodes of files, which unpacking changed.
            subprocess.run(["git", "status", "-s"], cwd=tree, check=True, capture_output=True)
        monkeypatch.setenv("PRUNEJUICE_HOME", str(ROOT / "home/state"))
        yield Project(ROOT / "shop", capsys, monkeypatch)
        shutil.rmtree(ROOT, ignore_errors=True)


def without_prose(data):
    if isinstance(data, dict):
        return {key: without_prose(value) for key, value in data.items() if key not in REWORDED | MOVED}
    return [without_prose(item) for item in data] if isinstance(data, list) else data


NEW_COMMANDS = {"solve-issue"}
"""Built-in commands that 0.5.0 did not have."""


def expected(name):
    return json.loads((ROOT / f"{name}.json").read_text())


@pytest.mark.parametrize(
    "words",
    [
        "prj status",
        "prj history",
        "prj list",
        "prj undo --list",
        "codebot pending",
        "codebot cost",
        "plum list",
    ],
)
def test_old_state_is_listed_as_before(old, words):
    program, *arguments = words.split()
    answer = getattr(old, program)(*arguments, "--json")
    assert answer.code == 0, answer.err
    name = words.removesuffix(" --list").replace(" ", "-")
    new, was = without_prose(answer.json), without_prose(expected(f"expected-{name}"))
    assert new["schema"] == was["schema"]
    items = [item for item in new["items"] if item.get("name") not in NEW_COMMANDS]
    assert len(items) == len(was["items"])
    for item, before in zip(items, was["items"], strict=True):
        # Fields may be added; none is lost, and none has another value.
        if item.get("waiting"):  # a change set of the run waits, which 0.5.0 did not see
            assert (item.pop("group"), before.pop("group")) == ("ready", "done")
        assert {key: item.get(key) for key in before} == before


@pytest.mark.parametrize("name", ["show", "diff"])
def test_an_old_run_is_shown_as_before(old, name):
    answer = old.prj(name, expected("edit")["id"], "--json")
    new, was = without_prose(answer.json), without_prose(expected(f"expected-prj-{name}"))
    assert {key: new.get(key) for key in was} == was, "fields may be added; none is lost or changed"


def test_an_old_run_that_waits_is_resumed(old):
    answer = old.prj("resume", expected("ask")["id"], "--decide", "judge=done", "--json")
    assert answer.code == 0, answer.err
    assert [step["status"] for step in answer.json["steps"]] == ["completed"] * 3


def test_an_old_step_is_undone(old):
    run = expected("edit")
    note = Path(run["worktree"], "note.txt")
    assert note.read_text() == "kept\nmore\n"
    answer = old.prj("undo", run["id"], "more")
    assert answer.code == 0, answer.err
    assert note.read_text() == "kept\n"


def test_an_old_removal_is_undone(old):
    operation = expected("expected-prj-undo")["items"][0]
    assert not Path(operation["path"]).exists()
    answer = old.prj("undo", operation["id"])
    assert answer.code == 0, answer.err
    assert Path(operation["path"], "note.txt").read_text() == "removed\nmore\n"


def test_an_old_pending_set_is_applied_and_an_old_applied_one_undone(old):
    assert old.codebot("apply", "--all").code == 0
    assert "sum(prices)" in (old.root / "cart.py").read_text()
    applied = next(
        item
        for item in old.codebot("pending", "list", "--all", "--json").json["items"]
        if "mail.py" in item["files"]
    )
    assert old.codebot("undo", applied["id"]).code == 0
    assert "strip" not in (old.root / "mail.py").read_text()


def test_an_old_recording_is_replayed(old):
    assert old.codebot("pending", "drop", expected("expected-codebot-pending")["items"][0]["id"]).code == 0
    answer = old.codebot("@add the prices", "cart.py", "--replay", ROOT / "recording", "--json")
    assert answer.code == 0, answer.err
    assert old.codebot("apply", "--all").code == 0
    assert "sum(prices)" in (old.root / "cart.py").read_text()


def test_old_trust_counts(old):
    assert old.prj("run", "edit", "text=new", "--json").json["status"] == "completed"


@NEEDS_TMUX
def test_an_old_worktree_is_removed_and_restored(old):
    run = expected("edit")
    assert old.plum("remove", run["branch"], "--force").code == 0
    assert not Path(run["worktree"]).exists()
