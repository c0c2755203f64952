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
from prunejuice.environments import complete_copy, ignored_files, installed_packages
from prunejuice.environments.checkout_overlay import find_namespace
from prunejuice.system import settings
from prunejuice.system.stop_request import Stop
from prunejuice.verbs.check_command import CheckCommand
from prunejuice.worktrees.git import open_git

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


def test_large_libraries_are_shared_and_other_files_are_not(app, tmp_path, monkeypatch):
    monkeypatch.setattr(installed_packages, "_LARGE_FILE_BYTES", 1000)
    sizes = {"large.txt": 1000, "small.so": 999, "large.so": 1000, "large.so.9.1": 1000, "large.exe": 1000}
    for name, size in sizes.items():
        (app / ".venv/lib" / name).write_bytes(b"x" * size)
    installed_packages.copy_packages(app, tmp_path / "c", ".venv")
    shared = {
        name
        for name in sizes
        if os.path.samefile(app / ".venv/lib" / name, tmp_path / "c/.venv/lib" / name)
    }
    assert shared == {"large.so", "large.so.9.1"}

    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    installed_packages.copy_packages(app, tmp_path / "d", ".venv")
    assert (tmp_path / "d/.venv/lib/large.so").read_bytes() == b"x" * 1000


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
    run = run_in_copy(app, f"'{find_tool('uv')}' run -q --offline --no-sync python -c 'import shop'")
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


@pytest.mark.parametrize("name", ["overlay", "origin", "state", "outcomes.xml"])
def test_the_name_of_a_project_is_no_name_of_ours(repository, tmp_path, run_in_copy, name):
    repository.rename(tmp_path / "x")
    (tmp_path / "x").rename(tmp_path / name)
    run = run_in_copy(tmp_path / name, "test -f a.txt && echo more >> a.txt && mkdir made")
    assert run.passed, run.output
    assert (tmp_path / name / "a.txt").read_text() == "one\n"


def complete(source, target):
    """Copy a repository with its git directory, as a check has it where no overlay can be had."""
    target.mkdir()
    assert complete_copy.add_ignored_files(source, target)
    complete_copy.make_git_directory(open_git(source, dict(os.environ)).locate(), target)


@pytest.mark.parametrize("setting", ["core.worktree", "core.bare", "split index", "newline"])
def test_git_in_a_copy_speaks_of_the_copy(repository, tmp_path, setting):
    source = repository
    if setting == "split index":
        git(source, "update-index", "--split-index")
    elif setting == "newline":
        source = repository.rename(tmp_path / 'a\n"b\\c')
    else:
        git(source, "config", setting, str(source) if setting == "core.worktree" else "false")
    complete(source, tmp_path / "copy")
    (tmp_path / "copy/a.txt").write_text("two\n")
    assert git(tmp_path / "copy", "rev-parse", "--show-toplevel") == str(tmp_path / "copy")
    assert git(tmp_path / "copy", "status", "--short") == "M a.txt"
    git(tmp_path / "copy", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "two")
    assert git(source, "log", "--format=%s") == "first"


def test_a_file_that_may_not_be_read_is_missing_in_a_copy(repository, tmp_path, monkeypatch):
    (repository / "secret").write_text("x")

    def refuse(source, target):
        target.touch()
        raise PermissionError(13, "Permission denied", str(source))

    monkeypatch.setattr(complete_copy, "clone_with_metadata", refuse)
    (tmp_path / "copy").mkdir()
    assert not complete_copy.add_ignored_files(repository, tmp_path / "copy")
    assert not (tmp_path / "copy/secret").exists()


@pytest.mark.parametrize("destination", ["../private", "..", "/"])
@pytest.mark.parametrize("tracked", [True, False])
@pytest.mark.parametrize("whole", [True, False])
def test_a_link_of_packages_that_leads_out(app, tmp_path, destination, tracked, whole):
    """What a tracked one leads to is never copied; that of a user is, unless it contains the copy."""
    (app.parent / "private").mkdir()
    (app.parent / "private/key").write_text("x")
    (app / "node_modules").symlink_to(destination)
    if tracked:
        git(app, "add", "-f", "node_modules")
    state = find_tree_state(app, settings.environment())
    copy = ScratchCopy(state, tmp_path / "c", settings.environment(), whole=whole)
    copy.sync_from_tree()
    assert os.path.lexists(copy.root / "node_modules") == (whole or not tracked)
    assert (copy.root / "node_modules").is_symlink() == (whole and tracked)
    assert copy.lacks_files == (not tracked and destination != "../private")
    if not tracked:
        assert (copy.root / "node_modules/key").exists() == (destination == "../private")
