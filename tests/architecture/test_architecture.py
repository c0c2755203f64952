"""The architecture as tests: who imports whom, what is imported when, names, and the shape of the code."""

import ast
import copy
import re
import subprocess
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path

import grimp
import pytest
from importlinter import api as importlinter
from importlinter.contracts.acyclic_siblings import AcyclicSiblingsContract
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.layers import LayersContract

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "prunejuice"
FILES = sorted(SOURCE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in FILES}

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
"""Libraries that commands which only read never import."""


def imported_by(*args, cwd):
    """The top-level modules that a prj command imports."""
    code = (
        "import sys; from prunejuice.cli import error_boundary; from prunejuice.cli.prj import prj;"
        f"error_boundary.run_command_line(prj, {list(args)!r}); sys.stderr.write('\\n'.join(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=cwd
    )
    names = result.stderr.splitlines()
    return {name.split(".")[0] for name in names} | {n for n in names if n.startswith("prunejuice.")}


def test_rendering_a_history_does_not_load_git(repository):
    assert not {name for name in imported_by("history", cwd=repository) if "worktrees" in name}


@pytest.mark.parametrize("command", [["--version"], ["--help"], ["status"], ["history"], ["show", "zz"]])
def test_commands_that_only_read_import_nothing_heavy(command, repository):
    assert imported_by(*command, cwd=repository) & HEAVY == set()


@pytest.mark.parametrize("command", [["list"], ["run", "tdd", "feature=x", "--dry-run"]])
def test_commands_that_load_definitions_import_yaml_and_nothing_else_heavy(command, repository):
    assert imported_by(*command, cwd=repository) & HEAVY == {"yaml"}


# -- import contracts -------------------------------------------------------------------------------

TYPES = {
    "layers": LayersContract,
    "forbidden": ForbiddenContract,
    "acyclic_siblings": AcyclicSiblingsContract,
}
CONFIGURATION = importlinter.read_configuration(str(ROOT / "pyproject.toml"))
CONTRACTS = {options["id"]: options for options in CONFIGURATION["contracts_options"]}
LAYERS = CONTRACTS["layers"]["layers"]


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph(
        "prunejuice", "codebot", "codeclip", include_external_packages=True, cache_dir=None
    )


def is_kept(contract, graph):
    options = {
        key: value for key, value in CONTRACTS[contract].items() if key not in {"id", "name", "type"}
    }
    kind = TYPES[CONTRACTS[contract]["type"]]
    return (
        kind(CONTRACTS[contract]["name"], CONFIGURATION["session_options"], options)
        .check(copy.deepcopy(graph), False)
        .kept
    )


def with_import(graph, importer, imported):
    changed = copy.deepcopy(graph)
    for module in (importer, imported):
        if module not in changed.modules:
            changed.add_module(module)
    changed.add_import(importer=importer, imported=imported)
    return changed


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_contract_holds(contract, graph):
    assert is_kept(contract, graph)


def packages(row):
    return [f"prunejuice.{name.strip()}" for name in row.split("|")]


@pytest.mark.parametrize("number", range(1, len(LAYERS)))
def test_an_import_up_a_layer_breaks_the_contract(number, graph):
    """From every package of a row to every package of the row above."""
    for lower in packages(LAYERS[number]):
        for upper in packages(LAYERS[number - 1]):
            assert not is_kept("layers", with_import(graph, lower, upper)), (lower, upper)


@pytest.mark.parametrize("row", [row for row in LAYERS if "|" in row])
def test_packages_of_one_row_do_not_know_each_other(row, graph):
    first, second, *_ = packages(row)
    assert not is_kept("layers", with_import(graph, first, second))


def test_a_module_without_a_layer_breaks_the_contract(graph):
    changed = copy.deepcopy(graph)
    changed.add_module("prunejuice.helpers")
    assert not is_kept("layers", changed)


def test_an_import_in_a_circle_breaks_the_contract(graph):
    assert not is_kept(
        "acyclic", with_import(graph, "prunejuice.workflow.condition", "prunejuice.workflow.interpolation")
    )


@pytest.mark.parametrize("library", CONTRACTS["one-importer"]["forbidden_modules"])
def test_a_second_importer_of_a_library_breaks_the_contract(library, graph):
    assert not is_kept("one-importer", with_import(graph, "prunejuice.engine.schedule", library))


def test_an_import_of_the_public_packages_breaks_the_contract(graph):
    assert not is_kept("facades", with_import(graph, "prunejuice.steps.builtin", "codebot"))


def test_the_contract_has_at_most_fifteen_rows():
    assert len(LAYERS) <= 15


def test_the_architecture_document_shows_the_contract():
    document = (ROOT / "ARCHITECTURE.md").read_text()
    block = re.search(r"```layers\n(.*?)```", document, re.S).group(1)
    assert block.split("\n")[:-1] == LAYERS


# -- shape ------------------------------------------------------------------------------------------


def functions():
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node


def length(node):
    """Lines of code, without the docstring."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return (body[-1].end_lineno - body[0].lineno + 1 if body else 0) + 1


def test_functions_and_files_are_short():
    lengths = sorted(length(node) for _, node in functions())
    longest = max(functions(), key=lambda pair: length(pair[1]))
    assert lengths[len(lengths) // 2] <= 7
    assert lengths[int(len(lengths) * 0.95)] <= 30
    assert length(longest[1]) <= 60, longest[1].name
    assert max(len(path.read_text().splitlines()) for path in FILES) <= 500


def test_a_folder_has_at_most_25_modules():
    counts = Counter(path.parent for path in FILES if path.name != "__init__.py")
    assert {folder.name: count for folder, count in counts.items() if count > 25} == {}


# -- names ------------------------------------------------------------------------------------------


def test_a_class_name_stands_once_in_the_tree():
    names = Counter(
        node.name for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in names.items() if count > 1] == []


PARTICIPLE = re.compile(
    r"_*([a-z]{3,}ed|made|said|told|chosen|found|taken|given|shown|kept|held|done|gone|written|carried|drawn|begun"
    r"|left|seen|known|built|sent|lost|met)"
)


def test_functions_are_not_named_by_a_participle():
    names = [node.name for _, node in functions()]
    participles = [
        name for name in names if PARTICIPLE.fullmatch(name) and not name.endswith(("feed", "need"))
    ]
    assert len(participles) <= 0.02 * len(names), participles


def test_no_name_is_vague():
    vague = re.compile(r"class \w*(Manager|Helper|Handler|Service|Processor|Impl|Utils)\b")
    assert [path.name for path in FILES if vague.search(path.read_text())] == []
    assert {path.stem for path in FILES} & {"utils", "helpers", "common", "base", "core"} == set()


ROOMS = sorted({path.parent for path in FILES if path.parent.parent == SOURCE} | {SOURCE / "verbs/verify"})


@pytest.mark.parametrize("room", ROOMS, ids=lambda path: path.name)
def test_a_package_says_its_duty_and_names_what_exists(room):
    package = ".".join(room.relative_to(SOURCE.parent).parts)
    docstring = import_module(package).__doc__
    assert docstring
    for name in re.findall(r"Start with (.*)\.$", docstring, re.M):
        for path in re.findall(r"`([a-z_]+)\.?([\w.]*)`", name):
            value = import_module(f"{package}.{path[0]}")
            for attribute in filter(None, path[1].split(".")):
                value = getattr(value, attribute)


# -- where things are done --------------------------------------------------------------------------


def test_every_exception_is_caught_only_at_the_boundaries():
    places = {
        path.relative_to(SOURCE).as_posix()
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
    }
    # The last one is a program that runs apart from ours.
    assert places == {
        "cli/codeclip/serve.py",
        "cli/error_boundary.py",
        "engine/driver.py",
        "verbs/plugins.py",
        "verbs/verify/probes/calls.py",
    }


def test_only_the_cli_prints_and_only_settings_read_the_environment():
    for path in FILES:
        text = path.read_text()
        name = path.relative_to(SOURCE).as_posix()
        assert not re.search(r"\bprint\(", text) or name.startswith("cli/"), name
        assert "os.environ" not in text or name == "system/settings.py", name


def test_no_file_names_a_package_registry():
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
