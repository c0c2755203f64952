"""The documents say what the program does."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def blocks(path, language):
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.S)


def test_figures_are_those_of_the_bench():
    done = subprocess.run([sys.executable, str(ROOT / "scripts" / "figures.py"), "--check"], check=False)
    assert done.returncode == 0, "run: make figures"


def test_the_reference_is_what_the_program_says():
    done = subprocess.run([sys.executable, str(ROOT / "scripts" / "reference.py"), "--check"], check=False)
    assert done.returncode == 0, "run: make docs"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("name", ["README.md", "docs/tutorial.md", "docs/how-to.md"])
def test_every_command_in_the_documents_can_be_loaded(name, project):
    for number, block in enumerate(blocks(ROOT / name, "yaml")):
        data = yaml.safe_load(block)
        if "steps" not in data:
            continue
        title = data.get("name", f"block{number}")
        project.command(title, block)
        answer = project.prj(
            "run", title, *(f"{a['name']}=1" for a in data.get("arguments", [])), "--dry-run"
        )
        assert answer.code == 0, answer.err


@pytest.mark.parametrize("name", ["README.md", "docs/how-to.md", "docs/api.md", "docs/extending.md"])
def test_every_python_block_runs(name, repository):
    for block in blocks(ROOT / name, "python"):
        subprocess.run([sys.executable, "-c", block], check=True, cwd=repository)


def test_the_tutorial_does_what_it_says(project):
    """The command of the tutorial, as it stands there, hands on its last number."""
    block = blocks(ROOT / "docs" / "tutorial.md", "yaml")[0]
    project.command("count", block.replace("sleep 1", "sleep 0"))
    _, run = project.run("count")
    assert [s["status"] for s in run["steps"]] == ["completed", "completed"]
    _, run = project.run("count", "to=2")
    assert [s["status"] for s in run["steps"]] == ["completed", "skipped"]


def test_every_command_that_documents_name_exists():
    from prunejuice.cli.prj import prj

    for path in DOCUMENTS:
        for name in re.findall(r"(?:^|`|\$ )prj ([a-z]+)", path.read_text(), re.M):
            assert name in prj.names, (path.name, name)


def test_the_picture_loads_nothing():
    assert "url(" not in (ROOT / "docs" / "demo.svg").read_text().replace("url(#", "")
