"""`prj submit`: the work of a run as a pull request, whoever changed its worktree."""

import re
from pathlib import Path

import pytest
import yaml

from conftest import git

CART = "def total(prices):\n    return 0\n"
EDIT = "Add up the prices.\n\ncart.py\n<<<<<<< SEARCH\n    return 0\n=======\n    return sum(prices)\n>>>>>>> REPLACE\n"
SOLVE = """
description: Solve an issue
arguments: [{name: issue, type: integer}]
pre_steps: [create-worktree]
steps:
  - {name: fetched, uses: fetch-issue, args: {issue: "${{ args.issue }}"}}
  - {name: work, agent: implement, args: {files: [cart.py], prompt: x}}
  - {name: verify, script: "python3 -c 'import cart; assert cart.total([1, 2]) == 3'"}
"""
BY_SCRIPT = """
description: Write a file
pre_steps: [create-worktree]
steps: [{name: write, script: "echo new > notes.md"}]
"""


@pytest.fixture
def shop(project, remote, forge, tmp_path, monkeypatch):
    path = tmp_path / "answers.yaml"
    path.write_text(yaml.safe_dump({"answers": [{"text": EDIT}] * 5}))
    monkeypatch.setenv("PRUNEJUICE_SCRIPT", str(path))
    project.commit("shop", cart=CART)
    for name, text in (("solve", SOLVE), ("script", BY_SCRIPT)):
        project.command(name, text)
    project.command("wait", SOLVE.replace("prompt: x", "prompt: x, changes: wait"))
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "commands")
    git(project.root, "remote", "add", "origin", f"file://{remote}")
    git(project.root, "push", "-q", "origin", "main")
    return project


@pytest.fixture
def solved(shop):
    answer, run = shop.run("solve", "issue=12")
    assert answer.code == 0, answer
    return run


def state(run, shop):
    return [
        git(folder, *words)
        for folder in (shop.root, run["worktree"])
        for words in (("status", "--porcelain"), ("rev-parse", "HEAD"), ("stash", "list"))
    ]


def test_the_request_says_what_was_done_and_closes_the_issue(shop, solved, remote, forge):
    before = state(solved, shop)
    answer = shop.prj("submit", solved["id"], "--json")
    assert answer.code == 0, answer
    [item] = answer.json["items"]
    [request] = forge.pull_requests
    assert item["url"] == request["html_url"]
    assert request["title"] == "Add up the prices"
    assert "Closes #12: Totals are wrong" in request["body"]
    assert "- `cart.py` +1 -1" in request["body"]
    assert "verify: `python3 -c 'import cart; assert cart.total([1, 2]) == 3'` passes" in request["body"]
    assert str(shop.root) not in request["body"]
    name = item["branch"]
    assert git(remote, "show", f"{name}:cart.py") == CART.replace("0", "sum(prices)").strip()
    assert git(remote, "log", "--format=%s", f"main..{name}") == "Add up the prices."
    assert state(solved, shop) == before
    assert shop.codebot("pending", "--json").json["items"] == []


def test_a_second_submission_continues_the_first(shop, solved, remote, forge):
    first = shop.prj("submit", solved["id"], "--json").json["items"][0]
    again = shop.prj("submit", solved["id"])
    assert again.code == 2
    assert f"it was submitted: {first['url']}" in again.err
    Path(solved["worktree"], "cart.py").write_text(CART.replace("0", "sum(prices)  # all"))
    Path(solved["worktree"], "more.py").write_text("x = 1\n")
    answer = shop.prj("submit", solved["id"])
    assert answer.code == 0, answer
    assert answer.out == f"run {solved['id'][:8]} updated: {first['url']}\n"
    assert len(forge.pull_requests) == 1
    assert len(git(remote, "log", "--format=%s", f"main..{first['branch']}").splitlines()) == 2
    assert git(remote, "show", f"{first['branch']}:more.py") == "x = 1"
    assert git(remote, "branch", "--format=%(refname:short)").split() == [first["branch"], "main"]


@pytest.mark.parametrize("deleted", [False, True], ids=["closed", "merged and its branch deleted"])
def test_work_after_the_request_was_closed_is_requested_anew(shop, solved, remote, forge, deleted):
    first = shop.prj("submit", solved["id"], "--json").json["items"][0]
    forge.close_pull_request(first["url"])
    if deleted:
        git(remote, "branch", "-D", first["branch"])
    Path(solved["worktree"], "more.py").write_text("x = 1\n")
    answer = shop.prj("submit", solved["id"], "--json")
    assert answer.code == 0, answer
    [item] = answer.json["items"]
    assert item["url"] != first["url"]
    assert [each["html_url"] for each in forge.pull_requests] == [item["url"]]
    assert git(remote, "show", f"{item['branch']}:more.py") == "x = 1"
    assert git(remote, "show", f"{item['branch']}:cart.py") == CART.replace("0", "sum(prices)").strip()


def test_the_work_of_a_script_and_of_a_person_is_submitted(shop, remote, forge):
    _, run = shop.run("script")
    Path(run["worktree"], "by_hand.txt").write_bytes(b"\xff\x00")
    Path(run["worktree"], "cart.py").unlink()
    git(run["worktree"], "add", "by_hand.txt")
    git(run["worktree"], "commit", "-qm", "by hand")
    answer = shop.prj("submit", run["id"], "--title", "Notes", "--json")
    assert answer.code == 0, answer
    [item] = answer.json["items"]
    assert item["files"] == ["by_hand.txt", "cart.py", "notes.md"]
    assert git(remote, "ls-tree", "--name-only", item["branch"]).split() == [
        ".prj",
        "a.txt",
        "by_hand.txt",
        "notes.md",
    ]
    assert forge.pull_requests[0]["title"] == "Notes"


def test_several_runs_are_submitted_one_by_one(shop, solved, forge):
    _, other = shop.run("script")
    _, empty = shop.run("script")
    Path(empty["worktree"], "notes.md").unlink()
    answer = shop.prj("submit", solved["id"], empty["id"], other["id"])
    assert answer.code == 2
    assert answer.out.count(" submitted: http") == 2
    assert f"{empty['id']}: run {empty['id'][:8]} has no work to submit" in answer.err
    assert len(forge.pull_requests) == 2
    assert shop.prj("submit", solved["id"], other["id"], "--title", "x").code == 2


def test_a_dry_run_changes_nothing(shop, solved, remote, forge):
    answer = shop.prj("submit", solved["id"], "--dry-run")
    assert answer.code == 0, answer
    assert "title    Add up the prices\n" in answer.out
    assert "+    return sum(prices)\n" in answer.out
    assert not forge.pull_requests
    assert git(remote, "branch", "--format=%(refname:short)").split() == ["main"]
    assert shop.codebot("pending", "list", "--all", "--json").json["items"] == []
    assert shop.prj("submit", solved["id"], "--dry-run", "--json").json["items"][0]["change_sets"]


def test_what_waits_is_reviewed_first(shop, forge):
    _, run = shop.run("wait", "issue=12")
    answer = shop.prj("submit", run["id"])
    assert answer.code == 2
    assert "waits for a review" in answer.err
    assert f"prj review {run['id'][:8]}" in answer.err
    shop.prj("review", run["id"], "-y")
    assert shop.prj("submit", run["id"]).code == 0
    assert len(forge.pull_requests) == 1


@pytest.mark.parametrize(
    "fault", ["no remote", "no login", "refused", "worktree gone", "conflict", "no run"]
)
def test_a_failure_is_named_and_leaves_nothing_pending(shop, solved, remote, forge, monkeypatch, fault):
    name = solved["id"]
    if fault == "no remote":
        git(shop.root, "remote", "remove", "origin")
    elif fault == "no login":
        monkeypatch.delenv("GITHUB_TOKEN", raising=False)
        monkeypatch.delenv("GH_TOKEN", raising=False)
        monkeypatch.setenv("PATH", "/usr/bin:/bin")
    elif fault == "refused":
        (remote / "hooks").mkdir(exist_ok=True)
        git(remote, "config", "receive.denyCurrentBranch", "refuse")
        (remote / "objects").chmod(0o555)
        git(shop.root, "remote", "set-url", "origin", f"file://{remote}-gone")
    elif fault == "worktree gone":
        git(shop.root, "worktree", "remove", "--force", solved["worktree"])
    elif fault == "conflict":
        shop.commit("other", cart="def total(prices):\n    return 7\n")
        git(shop.root, "push", "-q", "origin", "main")
    else:
        name = "0000"
    answer = shop.prj("submit", name)
    assert answer.code != 0
    assert answer.err.startswith("error: ")
    assert "fix: " in answer.err
    assert not forge.pull_requests
    assert shop.codebot("pending", "--json").json["items"] == []
    if fault == "no login":
        monkeypatch.setenv("GITHUB_TOKEN", "x")
        for key, value in forge.environment.items():
            monkeypatch.setenv(key, value)
        assert shop.prj("submit", name).code == 0, "the branch that exists is used"


@pytest.mark.parametrize(
    ("edit", "has_evidence"),
    [
        (None, True),
        (lambda tree: (tree / "cart.py").write_text("broken ["), False),
        (lambda tree: (tree / "more.txt").write_text("x"), False),
        (lambda tree: (tree / ".git").touch(), True),
    ],
)
def test_evidence_is_given_for_the_work_that_was_checked_alone(shop, solved, forge, edit, has_evidence):
    if edit:
        edit(Path(solved["worktree"]))
    answer = shop.prj("submit", solved["id"])
    assert answer.code == 0, answer
    assert (
        "has changed since its checks: the pull request names no evidence" in answer.err
    ) != has_evidence
    body = forge.pull_requests[0]["body"]
    assert ("Evidence:" in body) == ("passes" in body) == has_evidence


@pytest.mark.parametrize(
    ("steps", "facts"),
    [
        ("- {name: a, script: 'test -f cart.py'}", ["a: `test -f cart.py` passes"]),
        (
            "- {name: a, script: 'test -f cart.py'}\n  - {name: b, script: 'rm cart.py'}",
            ["b: `rm cart.py` passes"],
        ),
        (
            "- {name: w, agent: implement, args: {files: [cart.py], prompt: x, changes: wait}}\n"
            "  - {name: a, script: 'grep -q 0 cart.py'}",
            [],
        ),
        (
            "- {name: w, agent: implement, args: {files: [cart.py], prompt: x, changes: make}}\n"
            "  - {name: a, script: 'grep -q sum cart.py'}",
            ["a: `grep -q sum cart.py` passes"],
        ),
    ],
)
def test_only_what_saw_the_work_is_evidence(shop, steps, facts):
    shop.command("seen", f"pre_steps: [create-worktree]\nsteps:\n  {steps}\n")
    answer, run = shop.run("seen")
    assert answer.code == 0, answer
    shown = shop.prj("show", run["id"]).out
    assert re.findall(r"evidence +(.*)", shown) == facts
    assert shop.prj("status", "--json").json["items"][0].get("checked", False) == bool(facts)


@pytest.mark.parametrize(
    "change", [lambda f: f.chmod(0o755), lambda f: (f.rename(f"{f}.x"), f.symlink_to("a.txt"))]
)
def test_another_kind_of_file_is_another_work(shop, solved, forge, change):
    change(Path(solved["worktree"], "cart.py"))
    answer = shop.prj("submit", solved["id"])
    assert "has changed since its checks" in answer.err
