"""A step or check that ran code of the checkout says nothing of its tree, so it does not pass."""

import shutil
import sys

import pytest

from conftest import git
from prunejuice.environments import origin

COMMAND = """
name: judge
description: Judge the worktree
pre_steps: [create-worktree]
steps:
  - name: verify
    script: {script}
"""
NEEDS_NODE = pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
MAIN = "$PRUNEJUICE_PROJECT_PATH"


@pytest.fixture
def shop(project):
    (project.root / "src/shop").mkdir(parents=True)
    (project.root / "src/shop/__init__.py").write_text("")
    (project.root / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\n')
    (project.root / "package.json").write_text('{"name": "shop"}\n')
    (project.root / "index.js").write_text("exports.total = 1\n")
    (project.root / "tool.py").write_text("print('made')\n")
    (project.root / ".gitignore").write_text("made.py\n")
    (project.root / "made.py").write_text("")
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "shop")
    return project


def judge(shop, script):
    shop.command("judge", COMMAND.format(script=script.replace("python", sys.executable)))
    answer, run = shop.run("judge")
    return answer.code, run.get("error", "")


@pytest.mark.parametrize(
    "script",
    [
        "python -c 'import shop'",
        "python -S -c 'import shop'",
        "python $PRUNEJUICE_PROJECT_PATH/tool.py",
        "python -c 'import json, shop'",
        "cd /; python -c 'import shop'",
    ],
)
def test_code_of_the_worktree_passes(shop, script):
    assert judge(shop, script) == (0, "")


@pytest.mark.parametrize(
    "script",
    [
        f"PYTHONPATH=$PYTHONPATH python -c \"import sys; sys.path.insert(0, '{MAIN}/src'); import shop\"",
        f"cd {MAIN}/src && python -c 'import sys; sys.path.insert(0, \"\"); import shop'",
        f"python -m compileall -q src; PYTHONPATH=${{PYTHONPATH%%:*}}:{MAIN}/src python -c 'import shop'",
        f"bash -c \"cd {MAIN}/src; python -c 'import sys; sys.path.insert(0, str()); import shop.x' || python -c 'import sys; sys.path.insert(0, str()); import shop'\"",
    ],
)
def test_code_of_the_checkout_is_no_pass(shop, script):
    code, error = judge(shop, f"'{script.replace(chr(39), chr(39) * 2)}'")
    assert code == 3
    assert error.startswith("shadowed: 'shop' was imported from ")
    assert f"{shop.root}/src/shop/__init__.py" in error


def test_a_failed_step_fails_for_its_own_reason(shop):
    code, error = judge(shop, f"'cd {MAIN}/src; python -c \"import shop; 1/0\"'")
    assert (code, error) == (1, "exit code 1")


@NEEDS_NODE
def test_node_is_seen_too(shop):
    assert judge(shop, "node -e \"require('./index.js')\"") == (0, "")
    code, error = judge(shop, f"node -e \"require('{shop.root}/index.js')\"")
    assert code == 3
    assert error.startswith("shadowed: 'index.js' was imported from ")


def test_the_sitecustomize_of_the_user_is_loaded_too(shop, tmp_path, monkeypatch):
    (shop.root / "own").mkdir()
    (shop.root / "own/sitecustomize.py").write_text("import builtins\nbuiltins.of_user = 1\n")
    git(shop.root, "add", ".")
    git(shop.root, "commit", "-qm", "own")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{shop.root}/own")
    assert judge(shop, "python -c 'assert of_user'") == (0, "")


@pytest.mark.parametrize("content", ["", "no tab\n", "\n", None])
def test_a_report_without_a_module_is_none(tmp_path, content):
    report = tmp_path / "report"
    if content is not None:
        report.write_text(content)
    assert origin.find_shadowed_module(report) is None


def test_a_link_is_no_report(tmp_path):
    (tmp_path / "other").write_text("a\tb\n")
    (tmp_path / "report").symlink_to(tmp_path / "other")
    assert origin.find_shadowed_module(tmp_path / "report") is None
    assert origin.find_shadowed_module(tmp_path / "other").name == "a"


def test_the_checkout_itself_needs_no_proof(tmp_path):
    assert origin.origin_variables(tmp_path, tmp_path, tmp_path / "report", {}) == {}


@pytest.mark.parametrize("kind", ["py", pytest.param("cjs", marks=NEEDS_NODE)])
def test_a_step_file_may_use_the_modules_beside_it(shop, kind):
    """Step files are executed as they were trusted, from the checkout."""
    shop.step("helper.py", "PRICE = 1\n")
    shop.step("helper.cjs", "exports.price = 1\n")
    shop.step("main.cjs", "require('./helper.cjs')\n")
    if kind == "py":
        shop.step("verify.py", "import helper\nprint(helper.PRICE)\n")
    else:
        shop.step("verify.sh", 'node "$PRUNEJUICE_PROJECT_PATH/.prj/steps/main.cjs"\n')
    git(shop.root, "add", ".")
    git(shop.root, "commit", "-qm", "steps")
    shop.command("judge", "name: judge\npre_steps: [create-worktree]\nsteps: [verify]\n")
    answer, run = shop.run("judge")
    assert answer.code == 0, run or answer.err
