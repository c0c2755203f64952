"""The templates of commands run to their end, with the scripted agent and with a model."""

import sys
from pathlib import Path

import pytest
import yaml

from conftest import git
from prunejuice.testing import ModelServer, Reply

CALC = "def add(a, b):\n    return a + b\n"
NEW = f"{CALC}\n\ndef sub(a, b):\n    return a - b\n"
TESTS = {
    "test_cases": [
        {
            "test_name": "test_sub",
            "test_type": "unit",
            "imports_needed": ["import calc"],
            "test_code": "def test_sub():\n    assert calc.sub(3, 1) == 2\n",
        }
    ]
}


EDIT = f"calc.py\n<<<<<<< SEARCH\n{CALC}=======\n{NEW}>>>>>>> REPLACE\n"
ANALYSIS = {
    "summary": "It adds.",
    "observations": [{"path": "calc.py", "line": 1, "kind": "debt", "message": "there is no sub"}],
}
REVIEW = {
    "summary": "It adds.",
    "findings": [
        {
            "path": "calc.py",
            "line": 2,
            "quote": "    return a + b",
            "severity": "low",
            "message": "overflows",
        }
    ],
}
CHECK = f"{sys.executable} -m pytest -q -p no:cacheprovider"


@pytest.fixture
def calc(project):
    """A project with a function and its test."""
    (project.root / "calc.py").write_text(CALC)
    (project.root / "tests").mkdir()
    (project.root / "tests/test_calc.py").write_text(
        "import calc\n\n\ndef test_add():\n    assert calc.add(1, 2) == 3\n"
    )
    (project.root / "conftest.py").touch()
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "Add numbers, see #7")
    assert project.prj("init").code == 0
    return project


@pytest.fixture(params=["scripted", "model server"])
def answers(request, monkeypatch, tmp_path):
    """Let an agent give each question the first answer whose `when` is in it."""
    servers = []

    def give(*rows):
        if request.param == "scripted":
            (tmp_path / "script.yaml").write_text(yaml.safe_dump({"answers": list(rows)}))
            monkeypatch.setenv("PRUNEJUICE_AGENT", "scripted")
            monkeypatch.setenv("PRUNEJUICE_SCRIPT", str(tmp_path / "script.yaml"))
            return
        left = list(rows)

        def reply(asked):
            row = next(row for row in left if row.get("when", "") in asked.prompt)
            if "times" not in row:
                left.remove(row)
            return Reply(row.get("text", ""), output=row.get("output"))

        servers.append(ModelServer(reply).__enter__())
        monkeypatch.setenv("PRUNEJUICE_MODEL", "openai-chat:gpt-5.6-luna")
        for name, value in servers[0].environment.items():
            monkeypatch.setenv(name, value)

    yield give
    for server in servers:
        server.__exit__()


def completed(project, name, *words):
    """Run a template to its end; return the run and the status of each step."""
    answer, run = project.run(name, *words)
    assert answer.code == 0, answer.err + str([
        (step["step"], step["status"], step.get("error")) for step in run["steps"]
    ])
    assert run["status"] == "completed"
    return run, {step["step"]: step["status"] for step in run["steps"]}


def test_an_issue_is_analyzed(calc, answers):
    answers({"when": "Analyse the issue", "output": ANALYSIS})
    run, statuses = completed(calc, "analyze-issue", "issue=7", "title=Subtract")
    assert statuses["fetched"] == "failed", "there is no forge"
    assert statuses["analyze"] == "completed"
    brief = calc.log(run, "brief")
    assert "# Issue 7: Subtract" in brief
    assert "see #7" in brief


def test_a_diff_is_reviewed(calc, answers):
    answers({"when": "The check of the tree: completed", "output": REVIEW})
    _, statuses = completed(calc, "code-review", f"check={CHECK}")
    assert statuses["check"] == statuses["review"] == "completed"


def test_a_feature_is_built_in_a_worktree(calc, answers):
    answers({"when": "subtract numbers", "text": EDIT})
    run, statuses = completed(
        calc, "feature-branch", "branch_name=sub", "description=subtract numbers", f"check={CHECK}"
    )
    assert statuses["implement"] == statuses["verify"] == "completed"
    assert (Path(run["worktree"]) / "calc.py").read_text() == NEW
    assert (calc.root / "calc.py").read_text() == CALC


def test_tdd_begins_red_and_ends_green(calc, answers):
    answers(
        {"when": "Write tests for the given code", "output": TESTS},
        {"when": "Implement", "text": EDIT},
        {"times": 0, "text": "NO CHANGES\n\nIt is simple already."},
    )
    _, statuses = completed(calc, "tdd", "feature=sub(a, b)", f"test={CHECK}")
    assert statuses["write_test"] == statuses["run_test"] == statuses["implement"] == "completed"
    assert statuses["verify_refactor"] == "completed"
    assert (calc.root / "calc.py").read_text() == NEW
    assert "def test_sub" in (calc.root / "tests/test_calc_2.py").read_text()
