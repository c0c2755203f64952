"""The first part of the tutorial, as it stands there, in projects of three languages.

The agent is the real Claude Code, the model behind it and the forge are local servers.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from test_programs import environment

from conftest import git, write_files
from prunejuice.testing import Call, Forge, ModelServer, Reply
from terminal import Terminal

TUTORIAL = Path(__file__).parents[2] / "docs/tutorial.md"
ISSUES = {11: "Totals are wrong", 12: "Labels keep their spaces", 13: "The average of nothing fails"}


class Walk(NamedTuple):
    """A project: its files, how it is installed, the tests that are found, and what solves each issue."""

    needs: tuple[str, ...]
    install: str
    check: str
    files: dict[str, str]
    answers: dict[int, dict[str, str]]


def python_test(name, text):
    return f"from shop.{name} import {name}\n\n\ndef test_{name}():\n    assert {text}\n"


PYTHON = Walk(
    ("uv",),
    "uv sync -q",
    "pytest -q",
    {
        ".gitignore": ".venv/\n__pycache__/\n*.egg-info/\n",
        "pyproject.toml": '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "shop"\nversion = "1"\nrequires-python = ">=3.11"\n'
        '[dependency-groups]\ndev = ["pytest"]\n[tool.pytest.ini_options]\ntestpaths = ["tests"]\n',
        "src/shop/__init__.py": "",
        "src/shop/total.py": "def total(prices):\n    return sum(prices[1:])\n",
        "src/shop/label.py": "def label(name):\n    return name\n",
        "src/shop/average.py": "def average(prices):\n    return sum(prices) / len(prices)\n",
        "tests/test_label.py": python_test("label", "label('a') == 'a'"),
    },
    {
        11: {
            "src/shop/total.py": "def total(prices):\n    return sum(prices)\n",
            "tests/test_total.py": python_test("total", "total([1, 2]) == 3"),
        },
        12: {
            "src/shop/label.py": "def label(name):\n    return name.strip()\n",
            "tests/test_spaces.py": python_test("label", "label(' a ') == 'a'"),
        },
        13: {
            "src/shop/average.py": "def average(prices):\n    return sum(prices) / len(prices) if prices else 0\n",
            "tests/test_average.py": python_test("average", "average([]) == 0"),
        },
    },
)


def typescript_test(name, text):
    return (
        "import test from 'node:test'\nimport assert from 'node:assert'\n"
        f"import {{ {name} }} from './{name}.js'\ntest('{name}', () => assert.equal({text}))\n"
    )


SOURCE = "packages/shop/src"
TYPESCRIPT = Walk(
    ("npm",),
    "npm install --silent",
    "npm test --silent",
    {
        ".gitignore": "node_modules/\ndist/\n",
        "package.json": '{"name": "all", "private": true, "workspaces": ["packages/*"],'
        ' "scripts": {"test": "tsc -b packages/shop && node --test packages/shop/dist/"},'
        ' "devDependencies": {"typescript": "5.6.3", "@types/node": "20.16.10"}}\n',
        "packages/shop/package.json": '{"name": "@all/shop", "version": "1.0.0", "type": "module"}\n',
        "packages/shop/tsconfig.json": '{"compilerOptions": {"rootDir": "src", "outDir": "dist", "strict": true,'
        ' "module": "nodenext", "target": "es2022", "types": ["node"]}, "include": ["src"]}\n',
        f"{SOURCE}/total.ts": "export const total = (prices: number[]) => prices.slice(1).reduce((a, b) => a + b, 0)\n",
        f"{SOURCE}/label.ts": "export const label = (name: string) => name\n",
        f"{SOURCE}/average.ts": "export const average = (prices: number[]) => prices.reduce((a, b) => a + b, 0) / prices.length\n",
        f"{SOURCE}/label.test.ts": typescript_test("label", "label('a'), 'a'"),
    },
    {
        11: {
            f"{SOURCE}/total.ts": "export const total = (prices: number[]) => prices.reduce((a, b) => a + b, 0)\n",
            f"{SOURCE}/total.test.ts": typescript_test("total", "total([1, 2]), 3"),
        },
        12: {
            f"{SOURCE}/label.ts": "export const label = (name: string) => name.trim()\n",
            f"{SOURCE}/spaces.test.ts": typescript_test("label", "label(' a '), 'a'"),
        },
        13: {
            f"{SOURCE}/average.ts": "export const average = (prices: number[]) =>\n"
            "  prices.length ? prices.reduce((a, b) => a + b, 0) / prices.length : 0\n",
            f"{SOURCE}/average.test.ts": typescript_test("average", "average([]), 0"),
        },
    },
)


def go_test(name, text):
    return (
        f'package shop\n\nimport "testing"\n\nfunc Test{name}(t *testing.T) {{\n'
        f'\tif {text} {{\n\t\tt.Error("wrong")\n\t}}\n}}\n'
    )


TOTAL = "package shop\n\nfunc Total(prices []int) int {{\n\tsum := {first}\n\tfor _, price := range prices {{\n\t\tsum += price\n\t}}\n\treturn sum\n}}\n"
GO = Walk(
    ("go",),
    "true",
    "go test ./...",
    {
        "go.mod": "module example.com/shop\n\ngo 1.19\n",
        "total.go": TOTAL.format(first=1),
        "label.go": "package shop\n\nfunc Label(name string) string {\n\treturn name\n}\n",
        "average.go": "package shop\n\nfunc Average(prices []int) int {\n\treturn Total(prices) / len(prices)\n}\n",
        "label_test.go": go_test("Label", 'Label("a") != "a"'),
    },
    {
        11: {
            "total.go": TOTAL.format(first=0),
            "total_test.go": go_test("Total", "Total([]int{1, 2}) != 3"),
        },
        12: {
            "label.go": 'package shop\n\nimport "strings"\n\nfunc Label(name string) string {\n\treturn strings.TrimSpace(name)\n}\n',
            "spaces_test.go": go_test("Spaces", 'Label(" a ") != "a"'),
        },
        13: {
            "average.go": "package shop\n\nfunc Average(prices []int) int {\n\tif len(prices) == 0 {\n\t\treturn 0\n\t}\n\treturn Total(prices) / len(prices)\n}\n",
            "average_test.go": go_test("Average", "Average(nil) != 0"),
        },
    },
)
WALKS = {"python": PYTHON, "typescript": TYPESCRIPT, "go": GO}


def commands():
    """The commands of the first part of the tutorial, without their comments."""
    block = re.findall(r"```sh\n(.*?)```", TUTORIAL.read_text(), re.S)[0]
    lines = (line.partition("  #")[0].strip() for line in block.splitlines())
    return [line.split() for line in lines if line]


def find_answer(walk, text):
    """What Claude Code writes for the issue that a prompt is about."""
    number = next(number for number, title in ISSUES.items() if f"Issue {number}: {title}" in text)
    place = re.search(r"(/[^\"\\ <>]*/work/[^/]+/replica-\d+/copy/[\w.-]+)", text)[1]
    return [
        Call("Write", {"file_path": f"{place}/{path}", "content": content})
        for path, content in walk.answers[number].items()
    ]


@pytest.fixture
def walk(request, project, remote, tmp_path, monkeypatch):
    """A project with three issues on a forge, and Claude Code in PATH."""
    walk = WALKS[request.param]
    beside = Path(sys.executable).with_name("uv")
    uv = shutil.which("uv") or (str(beside) if beside.exists() else None)
    for name in walk.needs:
        if not (uv if name == "uv" else shutil.which(name)):
            pytest.skip(f"{name} is not installed")

    def answer(asked):
        text = json.dumps(asked.body)
        if "tool_result" in text or not asked.tools:
            return Reply("It was missing.")
        return Reply("", find_answer(walk, text))

    with (
        ModelServer(answer) as server,
        Forge(
            issues={number: (title, f"See {title.lower()}.") for number, title in ISSUES.items()}
        ) as forge,
    ):
        own = environment(tmp_path / "agent-home", server, "claude")
        tools = tmp_path / "tools"
        tools.mkdir()
        if uv:
            (tools / "uv").symlink_to(uv)
        hidden = os.path.join(sys.prefix, "bin")
        path = [entry for entry in os.environ["PATH"].split(os.pathsep) if entry != hidden]
        own["PATH"] = os.pathsep.join([own["PATH"].split(os.pathsep)[0], str(tools), *path])
        gitconfig = Path(os.environ["HOME"], ".gitconfig").read_text()
        for name, value in {**own, **forge.environment}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PRUNEJUICE_AGENT_ENV", "CLAUDE_CODE_MAX_RETRIES")
        monkeypatch.delenv("VIRTUAL_ENV", raising=False)
        Path(own["HOME"], ".gitconfig").write_text(gitconfig)
        write_files(project.root, walk.files)
        subprocess.run(["bash", "-ec", walk.install], cwd=project.root, check=True)
        git(project.root, "add", ".")
        git(project.root, "commit", "-qm", "shop")
        git(project.root, "remote", "add", "origin", f"file://{remote}")
        git(project.root, "push", "-q", "origin", "main")
        yield walk, forge


@pytest.mark.timeout(600)
@pytest.mark.parametrize("walk", WALKS, indirect=True)
def test_three_issues_become_pull_requests_and_landed_work(walk, project, remote):
    layout, forge = walk
    said = []
    given = commands()
    assert 5 <= len(given) <= 10
    for program, verb, *words in given:
        assert program == "prj"
        if verb == "review":
            review(project, words, said)
            continue
        answer = project.prj(verb, *words, *(["--yes"] if verb == "land" else []))
        assert answer.code == 0, (verb, answer)
        said.append(answer.out)
    everything = "\n".join(said)
    assert f"found    tests: {layout.check}" in everything
    assert "found    agents: claude" in everything
    assert {pull["title"] for pull in forge.pull_requests} == {"It was missing"}
    bodies = "\n".join(pull["body"] for pull in forge.pull_requests)
    for number in (11, 12):
        assert f"Closes #{number}: {ISSUES[number]}" in bodies
    assert bodies.count("passes now") == 2
    assert f"checked with: {layout.check}" in everything
    for path, content in layout.answers[13].items():
        assert (project.root / path).read_text() == content
    assert git(project.root, "status", "--porcelain") in {"", "?? .prj/"}


def review(project, words, said):
    """Approve every hunk on a terminal, as a person does."""
    terminal = Terminal(project.root, "review", *words, program="prj")
    for _ in range(2):
        terminal.key("a")
    assert terminal.end() == 0, terminal.shown
    said.append(terminal.shown)
