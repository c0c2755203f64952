"""The architecture is a file that tests run: who imports whom, what is imported when, and the shape."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "prunejuice"
FILES = sorted(SOURCE.rglob("*.py"))

HEAVY = {
    "asyncio",
    "mcp",
    "pydantic",
    "pydantic_ai",
    "sqlalchemy",
    "textual",
    "rich",
    "libtmux",
    "psutil",
    "dotenv",
    "yaml",
}
"""What the commands that only look never import."""


def imported(*args, cwd):
    """The top-level modules that a prj command imports."""
    code = (
        "import sys; from prunejuice.cli import boundary; from prunejuice.cli.prj import prj;"
        f"boundary.guarded(prj, {list(args)!r}); sys.stderr.write('\\n'.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=cwd)
    return {name.split(".")[0] for name in done.stderr.splitlines()}


@pytest.mark.parametrize("command", [["--version"], ["--help"], ["status"], ["history"], ["show", "zz"]])
def test_the_commands_that_look_import_nothing_heavy(command, repository):
    assert imported(*command, cwd=repository) & HEAVY == set()


@pytest.mark.parametrize("command", [["list"], ["run", "tdd", "feature=x", "--dry-run"]])
def test_the_commands_that_load_definitions_import_yaml_and_nothing_else_heavy(command, repository):
    assert imported(*command, cwd=repository) & HEAVY == {"yaml"}


def lint(tree):
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(tree / "src"), "PATH": "/usr/bin:/bin"},
    )


def planted(tmp_path, file, line):
    """A copy of the tree with one more line at the top of a file."""
    subprocess.run(["cp", "-r", str(ROOT / "src"), str(ROOT / "pyproject.toml"), str(tmp_path)], check=True)
    target = tmp_path / "src" / "prunejuice" / file
    target.write_text(f"{line}\n" + (target.read_text() if target.exists() else ""))
    return lint(tmp_path)


def test_every_contract_holds():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout


PLANTED = {
    "a value that imports a store": ("schedule.py", "import prunejuice.stores.sqlite"),
    "a use case that starts processes": ("lifecycle.py", "import subprocess"),
    "a use case that imports an adapter": ("lifecycle.py", "import prunejuice.process"),
    "a view that knows a front door": ("view.py", "import prunejuice.cli.render"),
    "a second reader of YAML": ("settings.py", "import yaml"),
    "a second speaker of SQL": ("history.py", "import sqlite3"),
    "a module without a place": ("helpers.py", ""),
    "a cycle among values": ("condition.py", "import prunejuice.template"),
    "a second user of tmux": ("steps/builtin.py", "import libtmux"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_every_contract_can_be_broken(name, tmp_path):
    """A gate that has never been red is an assumption."""
    done = planted(tmp_path, *PLANTED[name])
    assert done.returncode == 1, done.stdout


def functions():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                yield path, node


def length(node):
    """Lines of code, the docstring left out."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return (body[-1].end_lineno - body[0].lineno + 1 if body else 0) + 1


def test_functions_are_short_and_files_too():
    lengths = sorted(length(node) for _, node in functions())
    longest = max(functions(), key=lambda each: length(each[1]))
    assert lengths[len(lengths) // 2] <= 7
    assert lengths[int(len(lengths) * 0.95)] <= 30
    assert length(longest[1]) <= 60, longest[1].name
    assert max(len(path.read_text().splitlines()) for path in FILES) <= 500


def test_everything_is_caught_only_at_the_boundaries():
    caught = {
        path.relative_to(SOURCE).as_posix()
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
    }
    assert caught == {"cli/boundary.py", "lifecycle.py", "extension.py", "probes/calls.py"}, (
        "and in a program apart"
    )


def test_only_the_screen_prints_and_only_settings_read_the_environment():
    for path in FILES:
        text = path.read_text()
        name = path.relative_to(SOURCE).as_posix()
        assert not re.search(r"\bprint\(", text) or name.startswith("cli/"), name
        assert "os.environ" not in text or name == "settings.py", name


def test_no_vague_names():
    vague = re.compile(r"class \w*(Manager|Helper|Handler|Service|Processor|Impl|Utils)\b")
    assert [path.name for path in FILES if vague.search(path.read_text())] == []
    assert {path.stem for path in FILES} & {"utils", "helpers", "common", "base", "core"} == set()


def test_the_import_graph_of_the_architecture_document_is_the_contract():
    """ARCHITECTURE.md lists the layers; it cannot lie."""
    contract = re.search(r"layers = \[(.*?)\]", (ROOT / "pyproject.toml").read_text(), re.S).group(1)
    layers = re.findall(r'"([^"]+)"', contract)
    document = (ROOT / "ARCHITECTURE.md").read_text()
    block = re.search(r"```layers\n(.*?)```", document, re.S).group(1)
    assert block.split("\n")[:-1] == layers


def test_no_file_names_where_packages_come_from():
    for path in (
        *ROOT.glob("requirements/*"),
        ROOT / "pyproject.toml",
        ROOT / "Makefile",
        *ROOT.glob("scripts/*"),
    ):
        if path.is_file():
            assert not re.search(r"pypi\.org|pythonhosted|index-url|find-links", path.read_text()), (
                path.name
            )


def test_the_public_names_are_there_and_nothing_is_loaded_for_them_before():
    import prunejuice

    assert all(getattr(prunejuice, name) for name in prunejuice.__all__)
    with pytest.raises(AttributeError):
        prunejuice.nothing  # noqa: B018
    code = "import prunejuice, sys; sys.exit('prunejuice.workflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
