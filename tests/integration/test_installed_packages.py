"""Copies have their own installed packages, and nothing that a check does reaches the user's."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from layouts import find_tool

from conftest import git
from prunejuice.changes.scratch_copy import ScratchCopy, open_scratch_copy
from prunejuice.changes.tree_state import find_tree_state
from prunejuice.environments import ignored_files, installed_packages
from prunejuice.environments.checkout_overlay import find_namespace
from prunejuice.system import settings
from prunejuice.system.stop_request import Stop
from prunejuice.verbs.check_command import CheckCommand

CAN_OVERLAY = bool(find_namespace(Path(tempfile.gettempdir())))
SCRIPT = "#!{root}/.venv/bin/python\nimport sys\nprint(sys.prefix)\n"


def digest(folder):
    """Every file, link and mode below a folder."""
    rows = []
    for path in sorted(Path(folder).rglob("*")):
        if path.is_symlink():
            rows.append((str(path), os.readlink(path)))
        elif path.is_file():
            rows.append((str(path), path.stat().st_mode, path.stat().st_size, path.read_bytes()))
    return hashlib.sha256(repr(rows).encode()).hexdigest()


@pytest.fixture
def app(repository):
    """A repository with a virtual environment, in which its own package is installed editable."""
    (repository / ".gitignore").write_text(".venv/\nnode_modules/\n")
    (repository / "src/shop").mkdir(parents=True)
    (repository / "src/shop/__init__.py").write_text("def total(prices):\n    return sum(prices)\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "app")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", repository / ".venv"], check=True)
    [packages] = repository.glob(".venv/lib/python*/site-packages")
    (packages / "_shop.pth").write_text(f"{repository}/src\n")
    (repository / ".venv/bin/tool").write_text(SCRIPT.format(root=repository))
    (repository / ".venv/bin/tool").chmod(0o755)
    return repository


@pytest.fixture(params=[True, False], ids=["overlay", "copy"])
def run_in_copy(request, tmp_path):
    """Run a command in a copy of a tree: at the path of the tree, or where the copy is."""

    def run(tree, command):
        state = find_tree_state(tree, settings.environment())
        with open_scratch_copy(
            state, tmp_path / "copy", settings.environment(), overlay=request.param
        ) as copy:
            assert bool(copy.place.overlay) == (request.param and CAN_OVERLAY)
            return CheckCommand(command, tree, Stop()).run(copy.place)

    return run


@pytest.mark.parametrize(
    "command",
    [
        "tool",
        ".venv/bin/tool",
        "python -c 'import sys; print(sys.prefix)'",
        "unset PYTHONPATH; python -c 'import shop; print(shop.__file__)'",
    ],
)
def test_programs_of_a_copy_are_those_of_its_own_packages(app, tmp_path, run_in_copy, monkeypatch, command):
    monkeypatch.setenv("PATH", f"{app}/.venv/bin:{os.environ['PATH']}")
    monkeypatch.setenv("VIRTUAL_ENV", f"{app}/.venv")
    before = digest(app / ".venv")
    run = run_in_copy(app, command)
    assert run.passed, run.output
    # The root of the copy is shown as a dot.
    assert run.output.strip() in {"./.venv", "./src/shop/__init__.py"}
    assert digest(app / ".venv") == before


@pytest.mark.parametrize(
    "command",
    [
        "rm -rf .venv node_modules",
        "echo broken >> .venv/bin/tool",
        "chmod 000 .venv/bin/tool",
        "echo /gone > .venv/lib/python*/site-packages/_shop.pth",
        "echo broken >> node_modules/dep/index.js; rm -r node_modules/@x",
        "touch packages/b/node_modules/dep/new; rm packages/b/node_modules/dep/index.js",
    ],
)
def test_what_a_check_does_to_packages_stays_in_the_copy(app, tmp_path, run_in_copy, command):
    for folder in ("node_modules/dep", "packages/b/node_modules/dep"):
        (app / folder).mkdir(parents=True)
        (app / folder / "index.js").write_text("1\n")
    (app / "packages/b/index.js").write_text("2\n")
    (app / "node_modules/@x").mkdir()
    (app / "node_modules/@x/b").symlink_to("../../packages/b")
    (app / "node_modules/@x/c").symlink_to(app / "packages/b")
    git(app, "add", ".")
    before = digest(app)
    run = run_in_copy(app, command)
    assert run.passed, run.output
    assert digest(app) == before


def test_links_of_a_workspace_lead_to_the_copy(app, tmp_path):
    (app / "packages/b").mkdir(parents=True)
    (app / "packages/b/index.js").write_text("2\n")
    (app / "node_modules/@x").mkdir(parents=True)
    (app / "node_modules/@x/b").symlink_to("../../packages/b")
    (app / "node_modules/@x/c").symlink_to(app / "packages/b")
    (app / "node_modules/out").symlink_to("../../outside")
    git(app, "add", ".")
    (tmp_path / "outside").mkdir(exist_ok=True)
    copy = ScratchCopy(find_tree_state(app, settings.environment()), tmp_path / "c", settings.environment())
    copy.sync_from_tree()
    for name in "bc":
        assert (copy.root / "node_modules/@x" / name).resolve() == (copy.root / "packages/b").resolve()
    assert (copy.root / "node_modules/out").readlink() == app.parent / "outside"
    assert copy.diffs() == ((), []), "installed packages are no change"
    (copy.root / "node_modules/@x/new").write_text("x")
    assert copy.diffs() == ((), [])


def test_large_and_binary_files_are_shared_and_others_are_not(app, tmp_path, monkeypatch):
    monkeypatch.setattr(installed_packages, "_LARGE_FILE_BYTES", 1000)
    (app / ".venv/lib/large.txt").write_bytes(b"x" * 1000)
    (app / ".venv/lib/small.txt").write_bytes(b"x" * 999)
    (app / ".venv/lib/binary.so").write_bytes(b"x")
    installed_packages.copy_packages(app, tmp_path / "c", ".venv")
    assert os.path.samefile(app / ".venv/lib/binary.so", tmp_path / "c/.venv/lib/binary.so")
    assert os.path.samefile(app / ".venv/lib/large.txt", tmp_path / "c/.venv/lib/large.txt")
    assert not os.path.samefile(app / ".venv/lib/small.txt", tmp_path / "c/.venv/lib/small.txt")

    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    installed_packages.copy_packages(app, tmp_path / "d", ".venv")
    assert (tmp_path / "d/.venv/lib/large.txt").read_bytes() == b"x" * 1000


def test_a_linked_environment_is_copied_and_never_rewritten(app, tmp_path, run_in_copy):
    shutil.move(app / ".venv", tmp_path / "env")
    (app / ".venv").symlink_to(tmp_path / "env")
    before = digest(tmp_path / "env")
    run = run_in_copy(app, "echo broken >> .venv/bin/tool")
    assert run.passed
    installed_packages.relocate_packages(app / ".venv", app, tmp_path / "elsewhere")
    assert digest(tmp_path / "env") == before


def test_a_copy_of_a_linked_environment_leads_nowhere_else(app, tmp_path):
    env = tmp_path / "env"
    shutil.move(app / ".venv", env)
    (env / "bin/tool").write_text(f"#!{env}/bin/python\nVIRTUAL_ENV='{env}'\nother={env}-other\n")
    (env / "more").symlink_to("lib")
    (app / ".venv").symlink_to(env)
    before = digest(env)
    copy = tmp_path / "tree/.venv"
    installed_packages.copy_packages(app, tmp_path / "tree", ".venv")
    assert (
        copy / "bin/tool"
    ).read_text() == f"#!{copy}/bin/python\nVIRTUAL_ENV='{copy}'\nother={env}-other\n"
    assert (copy / "more").resolve() == (copy / "lib").resolve()
    [packages] = copy.glob("lib/python*/site-packages")
    assert (packages / "_shop.pth").read_text() == f"{tmp_path}/tree/src\n"
    (copy / "more/new").touch()
    assert digest(env) == before


def test_an_environment_of_worktreeinclude_names_the_worktree(app, tmp_path):
    target = tmp_path / "worktree"
    shutil.copytree(app / "src", target / "src")
    paths = [str(path.relative_to(app)) for path in (app / ".venv").rglob("*") if not path.is_dir()]
    assert not [each for each in ignored_files.copy_files(app, target, paths) if each.why]
    tool = subprocess.run([target / ".venv/bin/tool"], capture_output=True, text=True, check=True)
    assert tool.stdout.strip() == str(target / ".venv")
    code = "import shop; print(shop.__file__)"
    python = [target / ".venv/bin/python", "-c", code]
    assert str(target) in subprocess.run(python, capture_output=True, text=True, check=True, cwd="/").stdout


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"PATH": "{old}/.venv/bin:/bin"}, {"PATH": "{new}/.venv/bin:/bin"}),
        ({"PATH": "/bin:{old}/tools"}, {"PATH": "/bin:{old}/tools"}),
        ({"PATH": "", "VIRTUAL_ENV": "{old}/.venv"}, {"PATH": "", "VIRTUAL_ENV": "{new}/.venv"}),
        ({"VIRTUAL_ENV": "/opt/venv"}, {"VIRTUAL_ENV": "/opt/venv"}),
        ({}, {}),
    ],
)
def test_variables_name_the_packages_of_the_new_tree(tmp_path, environ, expected):
    old, new = tmp_path / "old", tmp_path / "new"
    (old / ".venv/bin").mkdir(parents=True)
    (old / "tools").mkdir()
    (new / ".venv/bin").mkdir(parents=True)
    given = {name: value.format(old=old, new=new) for name, value in environ.items()}
    wanted = {name: value.format(old=old, new=new) for name, value in expected.items()}
    assert installed_packages.relocate_variables(given, old, new) == wanted


@pytest.mark.skipif(not find_tool("uv"), reason="uv is not installed")
def test_uv_in_a_check_leaves_the_environment_of_the_user_alone(app, tmp_path, run_in_copy):
    project = '[project]\nname = "shop"\nversion = "1"\nrequires-python = ">=3.11"\n'
    (app / "pyproject.toml").write_text(project)
    git(app, "add", ".")
    before = digest(app / ".venv")
    run = run_in_copy(app, "uv run -q --offline --no-sync python -c 'import shop'")
    assert run.passed, run.output
    assert digest(app / ".venv") == before


@pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed")
def test_npm_in_a_check_leaves_the_packages_of_the_user_alone(app, tmp_path, run_in_copy):
    (app / "package.json").write_text('{"name": "shop", "version": "1.0.0"}\n')
    (app / "package-lock.json").write_text(
        '{"name": "shop", "version": "1.0.0", "lockfileVersion": 3, "packages": {"": {"name": "shop"}}}\n'
    )
    (app / "node_modules/dep").mkdir(parents=True)
    (app / "node_modules/dep/index.js").write_text("1\n")
    git(app, "add", ".")
    before = digest(app / "node_modules")
    run = run_in_copy(app, "npm ci --silent --offline --ignore-scripts; test ! -e node_modules/dep")
    assert run.passed, run.output
    assert digest(app / "node_modules") == before
