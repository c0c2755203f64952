"""`prj solve`: from issues or tasks to changes that wait for a review, and on to pull requests."""

import io
import json
import sys
from pathlib import Path

import pytest
import yaml

from conftest import git
from prunejuice.cli.prj.solve import list_tasks
from prunejuice.testing import Forge

CART = "def total(prices):\n    return 0\n"


def edit(old, new):
    return (
        f"Add up the prices.\n\ncart.py\n<<<<<<< SEARCH\n    {old}\n=======\n    {new}\n>>>>>>> REPLACE\n"
    )


GOLD, WRONG = edit("return 0", "return sum(prices)"), edit("return 0", "return 1")


@pytest.fixture
def forge(monkeypatch):
    issues = {11: ("Totals are wrong", "The sum of [1, 2] is 0."), 12: ("Totals again", "See #11.")}
    with Forge(issues=issues) as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def shop(project, forge, tmp_path, monkeypatch):
    git(tmp_path, "init", "-q", "--bare", "remote.git")
    project.commit("shop", cart=CART)
    (project.root / "tests").mkdir()
    (project.root / "tests/test_cart.py").write_text(
        "from cart import total\n\n\ndef test_total():\n    assert total([1, 2]) == 3\n"
    )
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "tests")
    git(project.root, "remote", "add", "origin", f"file://{tmp_path}/remote.git")
    git(project.root, "push", "-q", "origin", "main")
    monkeypatch.setenv("PRUNEJUICE_CHECK", "python3 -c 'import cart; assert cart.total([1, 2]) == 3'")
    return project


@pytest.fixture
def answers(tmp_path, monkeypatch):
    def say(*texts):
        path = tmp_path / "answers.yaml"
        path.write_text(yaml.safe_dump({"answers": [{"text": text} for text in texts]}))
        monkeypatch.setenv("PRUNEJUICE_SCRIPT", str(path))

    return say


def test_two_issues_become_two_reviewed_pull_requests(shop, forge, answers):
    answers(WRONG, edit("return 1", "return sum(prices)"))
    answer = shop.prj("solve", "11", "#12", "--json")
    assert answer.code == 0, answer
    rows = shop.prj("status", "--wide").out
    assert "solve-issue #11 Totals are wrong" in rows
    assert rows.count("1 change set to review") == 2
    reviewed = shop.prj("review", "11", "-y")
    assert reviewed.code == 0
    assert "evidence: python3 -c 'import cart; assert cart.total([1, 2]) == 3' passes now" in reviewed.err
    assert shop.prj("review", "#12", "-y").code == 0
    submitted = shop.prj("submit", "11", "12", "--json")
    assert submitted.code == 0, submitted
    bodies = [request["body"] for request in forge.pull_requests]
    assert "Closes #11: Totals are wrong" in bodies[0]
    assert "Closes #12: Totals again" in bodies[1]
    assert "import cart; assert cart.total([1, 2]) == 3' passes now" in bodies[0]
    assert (shop.root / "cart.py").read_text() == CART


def test_a_solved_issue_lands_in_the_branch(shop, answers):
    answers(GOLD)
    shop.prj("solve", "11")
    shop.prj("review", "11", "-y")
    answer = shop.prj("merge", "11")
    assert answer.code == 0, answer
    assert "sum(prices)" in (shop.root / "cart.py").read_text()


def test_tasks_in_words_need_no_forge(shop, answers, tmp_path):
    answers(GOLD)
    (tmp_path / "backlog.md").write_text("# Backlog\n\n## One\n\nthe sum\n\n## Two\n")
    answer = shop.prj(
        "solve", "--prompt", "sum is wrong", "--from", tmp_path / "backlog.md", "--dry-run", "--json"
    )
    assert answer.code == 0, answer
    prompts = [plan["arguments"]["prompt"] for plan in answer.json["items"]]
    assert prompts == ["sum is wrong", "One\n\nthe sum", "Two"]
    assert shop.prj("solve", "--prompt", "sum is wrong").code == 0
    [item] = shop.codebot("pending", "--json").json["items"]
    assert item["files"] == ["cart.py"]


EXPORT = [
    {"number": 21, "title": "Totals are wrong", "body": "sum([1, 2]) is 0", "state": "open"},
    {"number": 22, "title": "Done", "state": "closed"},
    {"key": "SHOP-7", "fields": {"summary": "Half a cent", "description": "Round it up."}},
]


@pytest.fixture
def export(shop):
    (shop.root / "issues.json").write_text(json.dumps(EXPORT))
    return shop


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        ([], [21, "SHOP-7: Half a cent\n\nRound it up."]),
        (["22", "#21"], [22, 21]),
        (["shop-7"], ["SHOP-7: Half a cent\n\nRound it up."]),
    ],
)
def test_issues_of_an_export_need_no_forge(export, answers, words, chosen):
    answers(GOLD)
    plan = export.prj("solve", *words, "--from", "issues.json", "--dry-run", "--json")
    assert plan.code == 0, plan
    given = [item["arguments"] for item in plan.json.get("items", [plan.json])]
    assert [each.get("issue") or each["prompt"] for each in given] == chosen


def test_an_export_may_come_by_a_pipe_and_names_each_issue_once(export, answers, monkeypatch):
    answers(GOLD)
    given = json.dumps(EXPORT)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
    plan = export.prj("solve", "21", "#21", "--from", "-", "--dry-run", "--json")
    assert plan.code == 0, plan
    [arguments] = [item["arguments"] for item in plan.json.get("items", [plan.json])]
    assert json.loads(Path(arguments["export"]).read_text()) == EXPORT


def test_a_run_is_found_by_the_key_of_its_issue(export, answers):
    answers(GOLD)
    assert export.prj("solve", "SHOP-7", "--from", "issues.json").code == 0
    shown = export.prj("show", "shop-7", "--json")
    assert shown.json["task"].startswith("SHOP-7: ") if "task" in shown.json else shown.code == 0
    assert export.prj("review", "SHOP-7", "-y").code == 0


def test_an_issue_of_an_export_is_closed_by_its_pull_request(export, answers, remote, forge):
    answers(GOLD)
    answer = export.prj("solve", "21", "--from", "issues.json")
    assert answer.code == 0, answer
    assert not forge.sent
    assert "#21 Totals are wrong" in export.prj("status", "--wide").out
    assert export.prj("review", "21", "-y").code == 0
    assert export.prj("submit", "21").code == 0
    assert "Closes #21" in forge.pull_requests[0]["body"]


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        ('[{"number": 1}]', [], "issues.json: issue 1 has no title"),
        ('[{"number": 1, "title": "a"}]', ["2"], "issues.json has no issue 2"),
        ('[{"number": 1, "title": "a", "state": "closed"}]', [], "nothing to solve"),
    ],
)
def test_an_export_that_cannot_be_used_is_named(export, answers, text, words, said):
    answers(GOLD)
    (export.root / "issues.json").write_text(text)
    answer = export.prj("solve", *words, "--from", "issues.json")
    assert answer.code == 2
    assert said in answer.err


def test_a_wrong_answer_leaves_nothing_to_review(shop, answers):
    answers(WRONG, WRONG, WRONG)
    answer = shop.prj("solve", "11")
    assert answer.code == 5, answer
    run = shop.prj("show", "11", "--json").json
    [kept] = [item for item in run["artifacts"] if item["name"].endswith("check.txt")]
    assert "AssertionError" in Path(run["artifact_dir"], kept["path"]).read_text()
    assert f"in {run['worktree']}, apply the kept answer with: codebot apply" in run["steps"][-1]["fix"]
    assert "check_output" not in run["steps"][-1]["outputs"]
    assert shop.codebot("pending", "--json").json["items"] == []
    assert shop.prj("review", "11").code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing to solve"),
        (["x"], "'x' is not the number of an issue"),
        (["0"], "is not the number of an issue"),
        (["--from", "/nowhere"], "could not read /nowhere"),
        (["99"], "issue 99"),
        (["--prompt", " "], "a --prompt is empty"),
        (["--prompt", "x", "--agent", "codx"], "codx"),
        (["--prompt", "x", "--check", "nosuchprogram -q"], "nosuchprogram not found"),
        (["--prompt", "x", "--check", "./nosuch.sh"], "no program ./nosuch.sh"),
    ],
)
def test_bad_input_is_named(shop, answers, words, said):
    answers(GOLD)
    answer = shop.prj("solve", *words)
    assert answer.code != 0
    assert said in answer.err + answer.out
    assert shop.codebot("pending", "--json").json["items"] == []


def test_claude_is_used_if_it_is_installed_and_nothing_else_is_set(shop, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "claude").write_text("#!/bin/sh\nexit 9\n")
    (tmp_path / "claude").chmod(0o755)
    answer = shop.prj("solve", "11", "--dry-run", "--json")
    assert answer.json["arguments"]["agent"] == "claude"
    assert "using claude, which is installed" in answer.err
    answer = shop.prj("solve", "11", "--dry-run", "--json", "--model", "openai:gpt-x")
    assert answer.json["arguments"]["agent"] == ""
    answer = shop.prj("solve", "11", "--dry-run", "--json", "--agent", "codex")
    assert answer.json["arguments"]["agent"] == "codex"


@pytest.mark.parametrize(
    ("text", "tasks"),
    [
        ("one\n\n two \n", ["one", "two"]),
        ("- one\n* two\n1. three\n2) four\n", ["one", "two", "three", "four"]),
        ("- [ ] one\n- [x] two\n- [X] three\n", ["one"]),
        ("# One\ntext\n# Two\n", ["One\ntext", "Two"]),
        (
            "# Backlog\nintro\n## One ##\ntext\n### Part\n## Two\n# Later\nno\n",
            ["Backlog\nintro\n## One ##\ntext\n### Part\n## Two", "Later\nno"],
        ),
        ("# Backlog\nintro\n## One\ntext\n### Part\n## Two\n", ["One\ntext\n### Part", "Two"]),
        ("# Only one\nbody\n", ["Only one\nbody"]),
        ("#no heading\n", ["#no heading"]),
        (
            "# Backlog\nSome words.\n\n1. first\n   more of it\n\n2. second\n\nAn end.\n",
            ["first\nmore of it", "second"],
        ),
        ("# Backlog\n- [ ] one\n- [x] two\n  done\n- three\n", ["one", "three"]),
        ("intro\n- one\n  - part\n- two\n", ["one\n- part", "two"]),
        ("# One\n- a\n- b\n# Two\n- c\n", ["One\n- a\n- b", "Two\n- c"]),
        ("", []),
        ("  \n- \n", []),
    ],
)
def test_tasks_of_a_text(text, tasks):
    assert list_tasks(text) == tasks


def test_a_number_names_the_newest_run_of_its_issue(shop, answers):
    answers(GOLD, GOLD)
    shop.prj("solve", "11")
    shop.prj("solve", "11")
    newest = shop.prj("status", "--json").json["items"][0]["id"]
    assert shop.prj("open", "11").out == shop.prj("open", newest).out
    assert shop.prj("open", "1300000000000").code == 2
    for name in ("show", "logs", "artifacts"):
        assert shop.prj(name, "11", "--json").out == shop.prj(name, newest, "--json").out
    shop.prj("solve", "--prompt", "see issue=1300000000000")
    assert shop.prj("open", "1300000000000").code == 2
    assert Path(shop.prj("open", "#11").out.strip()).is_dir()


@pytest.mark.parametrize("fault", ["agent", "remote", "commit", "repository"])
def test_what_is_missing_is_named_before_anything_starts(shop, monkeypatch, tmp_path, answers, fault):
    said = {
        "agent": "no agent and no model is set",
        "remote": "the repository has no remote",
        "commit": "has no commit to work on",
        "repository": "is not in a git repository",
    }
    words = ["11", "12"]
    if fault != "agent":
        answers(GOLD)
    if fault == "remote":
        git(shop.root, "remote", "remove", "origin")
        monkeypatch.delenv("GITHUB_REPOSITORY")
    elif fault in {"commit", "repository"}:
        (tmp_path / "empty").mkdir()
        monkeypatch.chdir(tmp_path / "empty")
        words = ["--prompt", "x"]
        if fault == "commit":
            git(tmp_path / "empty", "init", "-q")
    answer = shop.prj("solve", *words)
    assert answer.code == 2, answer
    assert said[fault] in answer.err
    assert answer.err.count("fix:") == 1
    monkeypatch.chdir(shop.root)
    assert shop.prj("history", "--json").json["items"] == []


def test_a_project_without_tests_is_solved_unchecked_and_says_so(project, tmp_path, answers):
    project.commit("cart", cart=CART)
    answers(GOLD)
    (tmp_path / "backlog.md").write_text("# Backlog\n1. add up\n2. add up again\n")
    answer = project.prj("solve", "--from", tmp_path / "backlog.md", "--dry-run")
    assert "2 tasks in" in answer.err
    answer = project.prj("solve", "--prompt", "add up")
    assert answer.code == 0, answer.err
    assert "nothing will check the changes" in answer.err


def test_what_a_failed_agent_cost_is_shown(shop, answers, tmp_path, monkeypatch):
    path = tmp_path / "costly.yaml"
    answer = {"text": WRONG, "input_tokens": 1000, "output_tokens": 100, "cost": 0.25, "times": 0}
    path.write_text(yaml.safe_dump({"answers": [answer]}))
    monkeypatch.setenv("PRUNEJUICE_SCRIPT", str(path))
    assert shop.prj("solve", "11").code == 5
    [line] = shop.prj("status", "--json").json["items"]
    assert line["cost"] >= 0.25
    assert line["tokens"] >= 1100
    assert f"${line['cost']:.2f}" in shop.prj("status", "--wide").out


@pytest.mark.parametrize(("limit", "asked"), [("", 2), ("0.2", 1), ("0", 2)])
def test_a_setting_bounds_what_one_step_may_cost(shop, answers, tmp_path, monkeypatch, limit, asked):
    path = tmp_path / "costly.yaml"
    path.write_text(yaml.safe_dump({"answers": [{"text": WRONG, "cost": 0.25, "times": 0}]}))
    monkeypatch.setenv("PRUNEJUICE_SCRIPT", str(path))
    if limit:
        monkeypatch.setenv("PRUNEJUICE_MAX_COST", limit)
    made = shop.prj("solve", "11", "--json")
    assert made.code == 5
    [line] = shop.prj("status", "--json").json["items"]
    assert line["cost"] == 0.25 * asked
    message = "cost limit reached ($0.2500 of $0.2000)"
    assert (message in shop.prj("show", "11").out) == (limit == "0.2"), shop.prj("show", "11").out


def test_an_issue_with_a_pull_request_is_said_to_have_one(shop, forge, answers):
    answers(GOLD, GOLD)
    shop.prj("solve", "11")
    shop.prj("review", "11", "-y")
    assert shop.prj("submit", "11").code == 0
    answer = shop.prj("solve", "11", "--dry-run")
    assert f"note: issue 11 was submitted already: {forge.pull_requests[0]['html_url']}" in answer.err


@pytest.mark.parametrize("allowed", [True, False])
def test_changes_of_tests_are_allowed_by_a_flag(shop, answers, allowed):
    test = "tests/test_cart.py\n<<<<<<< SEARCH\n    assert total([1, 2]) == 3\n=======\n    assert total([]) == 0\n>>>>>>> REPLACE\n"
    answers(f"{GOLD}\n{test}", GOLD, GOLD)
    answer = shop.prj("solve", "11", *(["--allow-tests-change"] if allowed else []))
    files = {path for item in shop.codebot("pending", "--json").json["items"] for path in item["files"]}
    assert ("tests/test_cart.py" in files) == allowed, answer
