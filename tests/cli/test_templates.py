"""The templates of commands run to their end with an agent."""

import sys

import pytest
import yaml

from conftest import git

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


@pytest.fixture
def calc(project, monkeypatch, tmp_path):
    """A project with a scripted agent, whose answers a test gives."""
    (project.root / "calc.py").write_text(CALC)
    (project.root / "tests").mkdir()
    (project.root / "tests/test_calc.py").write_text(
        "import calc\n\n\ndef test_add():\n    assert calc.add(1, 2) == 3\n"
    )
    (project.root / "conftest.py").touch()
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "calc")
    monkeypatch.setenv("PRUNEJUICE_AGENT", "scripted")
    monkeypatch.setenv("PRUNEJUICE_SCRIPT", str(tmp_path / "script.yaml"))

    def answers(*rows):
        (tmp_path / "script.yaml").write_text(yaml.safe_dump({"answers": list(rows)}))
        return project

    return answers


def test_tdd_begins_red_and_ends_green(calc):
    edit = f"calc.py\n<<<<<<< SEARCH\n{CALC}=======\n{NEW}>>>>>>> REPLACE\n"
    project = calc(
        {"when": "Write pytest tests", "output": TESTS},
        {"when": "Implement", "text": edit},
        {"times": 0, "text": "NO CHANGES\n\nIt is simple already."},
    )
    check = f"{sys.executable} -m pytest -q -p no:cacheprovider"
    made, run = project.run("tdd", "feature=sub(a, b)", f"test={check}")
    assert made.code == 0, made.err + str([
        (step["step"], step["status"], step.get("error")) for step in run["steps"]
    ])
    statuses = {step["step"]: step["status"] for step in run["steps"]}
    assert statuses["write_test"] == statuses["run_test"] == statuses["implement"] == "completed"
    assert statuses["verify_refactor"] == "completed"
    assert (project.root / "calc.py").read_text() == NEW
    assert "def test_sub" in (project.root / "tests/test_calc_2.py").read_text()
