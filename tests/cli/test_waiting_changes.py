"""Change sets that wait in the worktrees of runs: seen, reviewed and kept from any directory of the project."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from conftest import git
from terminal import Terminal

CART = (
    "def total(prices):\n    return sum(prices) + 1\n\n\n"
    + "".join(f"A{number} = {number}\n" for number in range(9))
    + "\n\ndef label(name):\n    return name\n"
)
EDIT = (
    "Mend the sum.\n\ncart.py\n<<<<<<< SEARCH\n    return sum(prices) + 1\n=======\n    return sum(prices)\n>>>>>>> REPLACE\n"
    "\ncart.py\n<<<<<<< SEARCH\n    return name\n=======\n    return name.strip()\n>>>>>>> REPLACE\n"
)
FIXED = CART.replace(" + 1", "").replace("return name\n", "return name.strip()\n")
COMMAND = """
description: Mend the cart
arguments: [what]
pre_steps: [create-worktree]
steps:
  - {name: work, agent: implement, args: {files: [cart.py], prompt: x, changes: wait}}
"""


@pytest.fixture
def shop(project, tmp_path, monkeypatch):
    """A project whose command leaves a change set waiting in its worktree."""
    project.commit("shop", cart=CART)
    path = tmp_path / "answers.yaml"
    path.write_text(yaml.safe_dump({"answers": [{"text": EDIT}] * 5}))
    monkeypatch.setenv("PRUNEJUICE_SCRIPT", str(path))
    project.command("mend", COMMAND)
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "command")
    return project


@pytest.fixture
def waiting(shop):
    """A run with a waiting change set: its JSON, and the id of the change set."""
    answer, run = shop.run("mend", "what=sum")
    assert answer.code == 0, answer
    [item] = shop.codebot("pending", "--json").json["items"]
    return run, item["id"]


def read_cart(run):
    return Path(run["worktree"], "cart.py").read_text()


def decide(shop, tmp_path, run, *decisions, **more):
    path = tmp_path / "decisions.json"
    path.write_text(json.dumps(list(decisions)))
    return shop.prj("review", run["id"], "--decisions", path, *(f"--{key}" for key in more))


# -- seen -------------------------------------------------------------------------------------------


def test_what_waits_is_listed_with_its_run_from_everywhere(shop, waiting, monkeypatch):
    run, name = waiting
    answer = shop.codebot("pending")
    assert answer.out.splitlines()[0] == f"in {run['worktree']}, of run {run['id'][:8]} mend what=sum"
    assert answer.out.splitlines()[1].split()[0] == name
    [item] = shop.codebot("pending", "list", "--json").json["items"]
    assert (item["worktree"], item["owner"]) == (run["worktree"], run["id"])
    (shop.root / "src").mkdir()
    for folder in (shop.root / "src", Path(run["worktree"])):
        monkeypatch.chdir(folder)
        [item] = shop.codebot("pending", "--json").json["items"]
        assert item["id"] == name
        assert shop.codebot("pending", "show", name).code == 0


def test_own_change_sets_come_first(shop, waiting):
    _, name = waiting
    shop.codebot("implement", "cart.py", "--prompt", "x")
    own, other = [item["id"] for item in shop.codebot("pending", "--json").json["items"]]
    assert (own != name, other) == (True, name)
    rows = shop.codebot("pending").out.splitlines()
    assert [row.split()[0] for row in rows] == [own, "in", name]


def test_the_state_of_a_run_names_what_waits(shop, waiting):
    run, name = waiting
    [item] = shop.prj("status", "--json").json["items"]
    assert (item["group"], item["waiting"]) == ("ready", [name])
    assert f"change set: {name} waits for `prj review {run['id'][:8]}`" in item["evidence"]
    assert "1 change set to review" in shop.prj("status", "--wide").out
    assert f"  to review  {name}: prj review {run['id'][:8]}\n" in shop.prj("show", run["id"]).out
    shop.codebot("pending", "drop", name)
    [item] = shop.prj("status", "--json").json["items"]
    assert (item["group"], item.get("waiting")) == ("done", None)
    assert "to review" not in shop.prj("show", run["id"]).out


def test_a_run_in_the_checkout_has_only_its_own(shop):
    shop.command("here", COMMAND.replace("pre_steps: [create-worktree]", ""))
    _, first = shop.run("here", "what=a")
    shop.codebot("implement", "cart.py", "--prompt", "x")
    items = {item["id"]: item.get("waiting", []) for item in shop.prj("status", "--json").json["items"]}
    assert len(items[first["id"]]) == 1
    own = shop.codebot("pending", "--json").json["items"]
    assert len(own) == len({name for names in items.values() for name in names})


# -- reviewed ---------------------------------------------------------------------------------------


def test_a_run_is_reviewed_from_the_checkout(shop, waiting, tmp_path):
    run, name = waiting
    answer = decide(shop, tmp_path, run, {"hunk": "*", "action": "approve"}, json=True)
    assert answer.code == 0, answer
    assert read_cart(run) == FIXED
    assert (shop.root / "cart.py").read_text() == CART
    assert shop.codebot("pending", "--json").json["items"] == []
    assert shop.prj("merge", run["id"]).code == 0
    assert (shop.root / "cart.py").read_text() == FIXED
    [applied] = [
        item["id"]
        for item in shop.codebot("pending", "list", "--all", "--json").json["items"]
        if item["state"] == "applied"
    ]
    assert applied != name
    assert shop.codebot("undo", applied).code == 0
    assert read_cart(run) == CART


def test_what_is_left_open_waits_on(shop, waiting, tmp_path):
    run, _ = waiting
    hunks = shop.codebot("pending", "show", waiting[1], "--json").json["hunks"]
    answer = decide(shop, tmp_path, run, {"hunk": hunks[0]["id"], "action": "approve"})
    assert answer.code == 0, answer
    assert read_cart(run) == CART.replace(" + 1", "")
    assert len(shop.codebot("pending", "--json").json["items"]) == 1
    assert "still waits: prj review" in shop.prj("merge", run["id"]).err
    assert shop.prj("review", run["id"], "-y").code == 0
    assert read_cart(run) == FIXED


def test_a_review_on_a_terminal_asks_for_each_hunk(shop, waiting):
    run, _ = waiting
    terminal = Terminal(shop.root, "review", run["id"][:8], program="prj")
    terminal.wait("[1/2] cart.py")
    terminal.key("a")
    terminal.wait("[2/2] cart.py")
    terminal.key("q")
    assert terminal.end() == 0, terminal.shown
    assert read_cart(run) == CART.replace(" + 1", "")


def test_change_sets_of_other_worktrees_are_named_by_their_id(shop, waiting):
    run, name = waiting
    answer = shop.codebot("apply", name, "-y")
    assert answer.code == 0, answer
    assert f"{name} is in {run['worktree']}" in answer.err
    assert read_cart(run) == FIXED
    assert shop.codebot("undo", name).code == 0
    assert shop.codebot("redo", name).code == 0
    assert (shop.root / "cart.py").read_text() == CART
    assert shop.codebot("apply", "c-0000").code == 2


def test_without_anything_to_review_the_next_step_is_named(shop, waiting):
    run, name = waiting
    shop.codebot("pending", "drop", name)
    answer = shop.prj("review", run["id"])
    assert answer.code == 2
    assert "has no change set that waits" in answer.err
    assert f"prj diff {run['id'][:8]}" in answer.err
    assert shop.prj("review", "0000").code == 2
    assert shop.prj("review", run["id"], "-y", "--decisions", "x").code == 2


# -- kept -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["cleanup"],
        ["cleanup", "--days", "0"],
        ["merge", "RUN"],
        ["undo", "RUN"],
        ["dismiss", "RUN"],
        ["compare", "RUN"],
        ["conflicts"],
        ["stop", "RUN"],
        ["resume", "RUN"],
        ["doctor", "--repair"],
    ],
    ids=" ".join,
)
def test_no_way_to_end_a_run_loses_what_waits(shop, waiting, words):
    run, name = waiting
    shop.prj(*(run["id"] if word == "RUN" else word for word in words))
    assert name in [item["id"] for item in shop.codebot("pending", "--json").json["items"]]
    assert shop.prj("review", run["id"], "-y").code == 0
    assert read_cart(run) == FIXED


def test_a_merge_of_what_waits_says_to_review_it_first(shop, waiting):
    run, name = waiting
    answer = shop.prj("merge", run["id"])
    assert answer.code == 2
    assert f"{name} of run {run['id'][:8]} waits for a review" in answer.err


def test_a_merge_of_other_work_names_what_waits(shop, waiting):
    run, name = waiting
    Path(run["worktree"], "notes.txt").write_text("x\n")
    answer = shop.prj("merge", run["id"])
    assert answer.code == 0, answer
    assert f"note: {name} still waits: prj review {run['id'][:8]}" in answer.err


def test_a_removed_worktree_brings_back_what_waited(shop, waiting):
    run, name = waiting
    assert shop.plum("remove", run["branch"]).code != 0
    removed = shop.plum("remove", run["branch"], "--force")
    assert removed.code == 0, removed
    assert shop.codebot("pending", "--json").json["items"] == []
    assert "is gone" in shop.prj("review", run["id"]).err
    [operation, *_] = re.findall(r"\bop-[0-9a-f]{8}\b", removed.out + removed.err)
    assert shop.prj("undo", operation).code == 0
    assert [item["id"] for item in shop.codebot("pending", "--json").json["items"]] == [name]
    assert shop.prj("review", run["id"], "-y").code == 0
    assert read_cart(run) == FIXED


# -- open -------------------------------------------------------------------------------------------


def test_a_run_is_opened_in_the_editor(shop, waiting, tmp_path, monkeypatch):
    run, _ = waiting
    assert shop.prj("open", run["id"]).out == f"{run['worktree']}\n"
    editor = tmp_path / "my editor"
    editor.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/opened\nexit 3\n')
    editor.chmod(0o755)
    monkeypatch.setenv("EDITOR", f"'{editor}' -w")
    monkeypatch.delenv("VISUAL", raising=False)
    assert Terminal(shop.root, "open", run["id"], program="prj").end() == 3
    assert (tmp_path / "opened").read_text() == f"-w {run['worktree']}\n"
    terminal = Terminal(shop.root, "open", "--path", run["id"], program="prj")
    assert terminal.end() == 0
    assert run["worktree"] in terminal.shown
    assert shop.prj("review", run["id"], "-y").code == 0
    os.rename(run["worktree"], tmp_path / "moved")
    git(shop.root, "worktree", "prune")
    assert "is gone" in shop.prj("open", run["id"]).err


def test_git_keeps_what_waits_in_a_worktree_whose_folder_was_deleted(shop, waiting):
    run, _ = waiting
    refused = subprocess.run(
        ["git", "worktree", "remove", run["worktree"]], cwd=shop.root, capture_output=True, text=True
    )
    assert refused.returncode
    assert "codebot pending list --all" in refused.stderr
    shutil.rmtree(run["worktree"])
    git(shop.root, "worktree", "prune", "--expire=now")
    assert shop.prj("review", run["id"], "-y").code == 0
    assert read_cart(run) == FIXED
    assert not shop.plum("list", "--json").json["items"][1].get("locked")
    git(shop.root, "worktree", "remove", run["worktree"], "--force")  # nothing waits: there is no lock


def test_a_lock_of_the_user_outlives_what_waited(shop, waiting):
    run, name = waiting
    git(shop.root, "worktree", "unlock", run["worktree"])
    git(shop.root, "worktree", "lock", "--reason", "on a disk", run["worktree"])
    assert shop.codebot("pending", "drop", name).code == 0
    assert "on a disk" in git(shop.root, "worktree", "list", "--porcelain")


# -- landing ------------------------------------------------------------------------------------------

PASSES = f"{sys.executable} -B -c 'import cart; assert cart.total([1]) == 1'"


def test_what_waits_is_reviewed_checked_and_landed_in_one_command(shop, waiting):
    run, _ = waiting
    terminal = Terminal(shop.root, "land", run["id"][:8], "--check", PASSES, program="prj")
    terminal.wait("[1/2] cart.py")
    terminal.key("a")
    terminal.wait("[2/2] cart.py")
    terminal.key("a")
    assert terminal.end() == 0, terminal.shown
    assert (shop.root / "cart.py").read_text() == FIXED
    assert "main is at" in terminal.shown


def test_without_a_terminal_nothing_lands_unread(shop, waiting):
    run, change_set = waiting
    answer = shop.prj("land", run["id"])
    assert answer.code == 8
    assert f"{change_set} of run {run['id'][:8]} waits for a review" in answer.err
    assert f"prj land {run['id'][:8]} --yes" in answer.err
    assert (shop.root / "cart.py").read_text() == CART
    answer = shop.prj("land", run["id"], "--yes", "--check", PASSES, "--json")
    assert answer.code == 0, answer.err
    [item] = answer.json["items"]
    assert (item["run"], item["into"], item["checked"], item["waiting"]) == (run["id"], "main", PASSES, [])
    assert (shop.root / "cart.py").read_text() == FIXED
    assert shop.prj("undo", item["operation"]).code == 0
    assert (shop.root / "cart.py").read_text() == CART


def test_the_tests_of_the_project_are_the_check_of_a_landing(shop, waiting):
    run, _ = waiting
    (shop.root / "test_cart.py").write_text(
        "import cart\n\n\ndef test_total():\n    assert cart.total([]) == 5\n"
    )
    git(shop.root, "add", ".")
    git(shop.root, "commit", "-qm", "tests")
    answer = shop.prj("land", run["id"], "-y")
    assert answer.code == 3
    assert "the check failed on the merged files: pytest -q" in answer.err
    assert (shop.root / "cart.py").read_text() == CART
    assert read_cart(run) == FIXED, "the work stays in the worktree"
    assert shop.prj("land", run["id"], "-y", "--no-check").code == 0
    assert (shop.root / "cart.py").read_text() == FIXED


def test_of_several_landings_the_first_that_fails_ends_them(shop, waiting):
    first, _ = waiting
    _, second = shop.run("mend", "what=label")
    answer = shop.prj("land", first["id"], "nope", second["id"], "-y", "--no-check")
    assert answer.code == 2
    assert "unknown run 'nope'" in answer.err
    assert f"landed before it: {first['id'][:8]}" in answer.err
    assert shop.prj("land", second["id"], "-y", "--no-check").code == 0


# -- the work of a run, once it was reviewed -----------------------------------------------------------


def find_line(shop, run):
    items = shop.prj("status", "--json").json["items"]
    return next(item for item in items if item["id"] == run["id"])


@pytest.mark.parametrize("words", [("review", "{run}", "-y"), ("codebot", "apply", "{change}", "-y")])
def test_reviewed_work_is_ready_until_it_lands(shop, waiting, words):
    run, change = waiting
    program, *rest = [word.format(run=run["id"], change=change) for word in words]
    answer = shop.codebot(*rest) if program == "codebot" else shop.prj(program, *rest)
    assert answer.code == 0, answer.err
    assert f"undo with `codebot undo {change}`" in answer.out
    line = find_line(shop, run)
    assert (line["group"], line["files"], line["added"], line["removed"]) == ("ready", 1, 2, 2)
    assert "cart.py" in shop.prj("diff", run["id"]).out
    assert shop.prj("merge", run["id"]).code == 0
    assert find_line(shop, run)["group"] == "done"
    answer = shop.prj("undo", run["id"])
    assert answer.code == 2
    assert f"run {run['id'][:8]} is merged into main" in answer.err
    operation = answer.err.split()[-1]
    assert shop.prj("undo", operation).code == 0
    assert (shop.root / "cart.py").read_text() == CART


def test_reviewed_work_can_be_undone_as_work_of_the_run(shop, waiting):
    run, change = waiting
    shop.prj("review", run["id"], "-y")
    answer = shop.prj("undo", run["id"])
    assert answer.code == 0
    assert "restored the files in" in answer.out
    assert read_cart(run) == CART
    assert find_line(shop, run)["group"] == "done"
    assert shop.prj("undo", answer.out.split()[-1].strip("`")).code == 0
    assert read_cart(run) == FIXED
    assert shop.codebot("undo", change).code == 0
    assert read_cart(run) == CART


def test_the_undo_that_is_named_undoes_this_change_set(shop, waiting):
    run, _ = waiting
    (shop.root / "mine.md").write_text("b.txt\n```\nx\n```\n")
    assert shop.codebot("apply", "mine.md", "-y").code == 0
    said = shop.prj("review", run["id"], "-y").out
    name = re.search(r"`codebot undo (c-\w+)`", said)[1]
    assert shop.codebot("undo", name).code == 0
    assert read_cart(run) == CART
    assert (shop.root / "b.txt").exists()


# -- what waits is part of every comparison -------------------------------------------------------------


def test_what_waits_is_shown_compared_and_foreseen_to_conflict(shop, waiting, tmp_path, monkeypatch):
    first, change = waiting
    path = tmp_path / "other.yaml"
    other = EDIT.replace("    return sum(prices)\n>>>", "    return max(prices)\n>>>")
    path.write_text(yaml.safe_dump({"answers": [{"text": other}]}))
    monkeypatch.setenv("PRUNEJUICE_SCRIPT", str(path))
    _, second = shop.run("mend", "what=max")
    answer = shop.prj("diff", first["id"])
    assert "+    return sum(prices)\n" in answer.out
    assert "with what waits for a review" in answer.err
    [item] = shop.prj("diff", first["id"], "--json").json["items"]
    assert (item["path"], item["added"], item["removed"]) == ("cart.py", 2, 2)
    table = shop.prj("compare", first["id"], second["id"]).out
    assert re.search(r"cart\.py +\+2 -2 +\+2 -2", table)
    assert re.search(r"what +sum +max", table)
    compared = shop.prj("compare", first["id"], second["id"], "--json").json["items"]
    assert [row["files"][0]["path"] for row in compared] == ["cart.py", "cart.py"]
    found = shop.prj("conflicts", "--json").json["items"]
    assert [(item["files"], bool(item["other"])) for item in found] == [(["cart.py"], True)]
    assert read_cart(first) == CART, "nothing is applied"
    assert change in [item["id"] for item in shop.codebot("pending", "--json").json["items"]]
    # A change set that fits no more is left out.
    Path(first["worktree"], "cart.py").write_text("something else\n")
    assert shop.prj("diff", first["id"]).code == 0
    assert shop.prj("conflicts", "--json").json["worktrees"]


# -- found wherever it is -------------------------------------------------------------------------------


def test_a_moved_worktree_is_followed(shop, waiting, tmp_path):
    run, _ = waiting
    git(shop.root, "worktree", "move", "-f", "-f", run["worktree"], str(tmp_path / "moved"))
    assert find_line(shop, run)["group"] == "ready"
    assert "+    return sum(prices)\n" in shop.prj("diff", run["id"]).out
    assert shop.prj("review", run["id"], "-y").code == 0
    assert (tmp_path / "moved/cart.py").read_text() == FIXED
    assert shop.prj("land", run["id"], "--no-check").code == 0
    assert (shop.root / "cart.py").read_text() == FIXED


def test_the_worktree_of_a_run_shows_the_runs_of_its_project(shop, waiting, monkeypatch):
    run, _ = waiting
    monkeypatch.chdir(run["worktree"])
    assert [item["id"] for item in shop.prj("status", "--json").json["items"]] == [run["id"]]
    answer = shop.prj("review", run["id"], "-y")
    assert answer.code == 0
    assert "is one of" not in answer.err


def test_a_run_of_another_project_is_named(shop, waiting, tmp_path, monkeypatch):
    run, _ = waiting
    git(tmp_path, "init", "-q", "elsewhere")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert f"note: run {run['id'][:8]} is one of {shop.root}" in shop.prj("diff", run["id"]).err


def test_a_change_set_is_reviewed_by_its_own_id(shop, waiting):
    run, change = waiting
    assert shop.prj("review", change, "-y").code == 0
    assert read_cart(run) == FIXED
    assert f"{change} is applied, not pending" in shop.prj("review", change, "-y").err
    assert "c-nothing" in shop.prj("review", "c-nothing").err


@pytest.mark.parametrize("words", [("review", "-y"), ("land", "-y", "--no-check"), ("open", "--path")])
def test_a_folder_that_somebody_deleted_is_brought_back(shop, waiting, words):
    run, change = waiting
    shutil.rmtree(run["worktree"])
    line = find_line(shop, run)
    assert (line["group"], line["waiting"]) == ("ready", [change])
    answer = shop.prj(words[0], run["id"], *words[1:])
    assert answer.code == 0, answer.err
    assert (
        f"the folder of run {run['id'][:8]} was deleted; it is back as its last step or review left it"
        in answer.err
    )
    assert git(run["worktree"], "status", "--porcelain", "--untracked-files=no") == (
        "" if words[0] != "review" else "M cart.py"
    )
    assert read_cart(run) == (CART if words[0] == "open" else FIXED)


def test_what_waits_in_a_deleted_folder_is_listed(shop, waiting):
    run, change = waiting
    shutil.rmtree(run["worktree"])
    [item] = shop.codebot("pending", "--json").json["items"]
    assert (item["id"], item["owner"]) == (change, run["id"])
    assert "was deleted" in shop.codebot("pending").out
    for words in (["pending", "show", change], ["apply", change], ["pending", "drop", change]):
        answer = shop.codebot(*words)
        assert answer.code == 2, answer
        assert f"run `prj open {run['id'][:8]}` to bring it back" in answer.err
    assert shop.prj("open", run["id"]).code == 0
    assert shop.codebot("apply", change, "--yes").code == 0
    assert read_cart(run) == FIXED


def test_the_work_of_scripts_comes_back_with_a_deleted_folder(shop):
    shop.command(
        "make", "pre_steps: [create-worktree]\nsteps: [{name: a, script: 'echo 1 > made; rm cart.py'}]"
    )
    _, run = shop.run("make")
    shutil.rmtree(run["worktree"])
    assert shop.prj("open", "--path", run["id"]).out.strip() == run["worktree"]
    assert Path(run["worktree"], "made").read_text() == "1\n"
    assert not Path(run["worktree"], "cart.py").exists()


# -- landing refuses before it applies ------------------------------------------------------------------


def test_nothing_is_applied_by_a_landing_that_cannot_be(shop, waiting):
    run, _ = waiting
    assert "'typo' does not exist" in shop.prj("land", run["id"], "-y", "--no-check", "--into", "typo").err
    assert read_cart(run) == CART
    shop.command("here", COMMAND.replace("pre_steps: [create-worktree]\n", ""))
    _, other = shop.run("here", "what=x", "--no-worktree")
    answer = shop.prj("land", other["id"], "-y", "--no-check")
    assert answer.code == 2
    assert "neither a worktree nor a branch" in answer.err
    assert (shop.root / "cart.py").read_text() == CART


def test_a_run_lands_by_the_check_of_its_own_project(shop, waiting, tmp_path, monkeypatch):
    run, _ = waiting
    (shop.root / ".prj/config.yaml").write_text("check: exit 1\n")
    shop.prj("trust")
    git(tmp_path, "init", "-q", "elsewhere")
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/.prj").mkdir()
    (tmp_path / "elsewhere/.prj/config.yaml").write_text("check: 'true'\n")
    shop.prj("trust")
    for words in (("land", "-y"), ("merge",)):
        answer = shop.prj(words[0], run["id"], *words[1:])
        assert answer.code == 3, answer
        assert "the check failed on the merged files: exit 1" in answer.err
    assert (shop.root / "cart.py").read_text() == CART


@pytest.mark.parametrize("fault", ["locked", "unmounted", "snapshot"])
def test_a_folder_that_is_elsewhere_is_not_made_again(shop, waiting, tmp_path, fault):
    run, _ = waiting
    folder = Path(run["worktree"])
    if fault == "locked":
        git(shop.root, "worktree", "unlock", str(folder))
        git(shop.root, "worktree", "lock", str(folder))
        shutil.rmtree(folder)
    elif fault == "unmounted":
        folder.parent.rename(tmp_path / "away")
    else:
        blob = git(shop.root, "rev-parse", "HEAD:cart.py")
        shutil.rmtree(folder)
        (shop.root / ".git/objects" / blob[:2] / blob[2:]).unlink()
    assert shop.prj("land", run["id"], "-y", "--no-check").code != 0
    assert not folder.exists()
    assert not list(tmp_path.glob(f"**/.{folder.name}-*"))


def test_what_waits_is_compared_without_a_name_and_unsigned(shop, waiting):
    run, _ = waiting
    git(shop.root, "config", "commit.gpgsign", "true")
    git(shop.root, "config", "gpg.program", "/bin/false")
    git(shop.root, "config", "user.useConfigOnly", "true")
    assert "+    return sum(prices)\n" in shop.prj("diff", run["id"]).out
    assert shop.prj("conflicts").code == 0
