"""Additions to settings that change no check are told from those that may."""

import pytest

from prunejuice.edits.diff import FileDiff, Version
from prunejuice.verbs.verify.plain_additions import is_plain_addition
from prunejuice.verbs.verify.tamper import find_rewritten_tests, find_weakened_checks

FIXTURES = '''"""Fixtures."""

import json
from pathlib import Path

import pytest
from pytest import fixture

NAMES = ["a", "b"]


@pytest.fixture(scope="module")
def numbers(tmp_path: Path) -> list[int]:
    return json.loads("[1]")


@fixture
def name():
    return "x"


def make(count=1):
    return [count]
'''
PYPROJECT = (
    '[project]\nname = "a"\n\n[tool.pytest.ini_options]\naddopts = "-q"\nmarkers = ["slow: takes long"]\n'
)
PACKAGE = '{"name": "a", "scripts": {"test": "node --test", "build": "tsc"}}\n'
MAKEFILE = "test: build\n\tpytest -q\n\nbuild:\n\techo\n"

PLAIN = {
    "fixtures": ("tests/conftest.py", None, FIXTURES),
    "one more marker": (
        "pyproject.toml",
        PYPROJECT,
        PYPROJECT.replace('long"]', 'long", "db: needs one"]'),
    ),
    "the first markers": (
        "pyproject.toml",
        '[project]\nname = "a"\n',
        '[project]\nname = "a"\n\n[tool.pytest.ini_options]\nmarkers = ["db: needs one"]\n',
    ),
    "a script": ("package.json", PACKAGE, PACKAGE.replace('"tsc"', '"tsc", "docs": "typedoc"')),
    "the first script": ("package.json", '{"name": "a"}', '{"name": "a", "scripts": {"docs": "typedoc"}}'),
    "a target": ("Makefile", MAKEFILE, f"{MAKEFILE}\n.PHONY: docs\n# The manual.\ndocs: build\n\tsphinx\n"),
}
OTHER = {
    "a hook": ("conftest.py", None, f"{FIXTURES}\n\ndef pytest_pyfunc_call(pyfuncitem):\n    return True\n"),
    "an imported hook": ("conftest.py", None, "from quick import run as pytest_pyfunc_call\n"),
    "every name of a module": ("conftest.py", None, "from quick import *\n"),
    "a plug-in": ("conftest.py", None, 'pytest_plugins = ["quick"]\n'),
    "left out tests": ("conftest.py", None, 'collect_ignore = ["test_a.py"]\n'),
    "an automatic fixture": ("conftest.py", None, "import pytest\n\n\n@pytest.fixture(autouse=True)\ndef a():\n    pass\n"),
    "a fixture of another name": ("conftest.py", None, "import pytest\n\n\n@pytest.fixture(name='b')\ndef a():\n    pass\n"),
    "a call": ("conftest.py", None, "import os\nos._exit(0)\n"),
    "a call as a default": ("conftest.py", None, "import os\n\n\ndef a(b=os._exit(0)):\n    pass\n"),
    "a call as an annotation": ("conftest.py", None, "import os\n\n\ndef a(b: os._exit(0)):\n    pass\n"),
    "a call as a value": ("conftest.py", None, "import os\n\nA = os._exit(0)\n"),
    "a class": ("conftest.py", None, "class A:\n    pass\n"),
    "a changed conftest": ("conftest.py", "import pytest\n", FIXTURES),
    "not Python": ("conftest.py", None, "def (\n"),
    "an option": ("pyproject.toml", PYPROJECT, PYPROJECT.replace('"-q"', '"-q --ignore=tests"')),
    "a lost marker": ("pyproject.toml", PYPROJECT, PYPROJECT.replace('"slow: takes long"', '"db: x"')),
    "another table": ("pyproject.toml", PYPROJECT, f"{PYPROJECT}\n[tool.mypy]\nstrict = false\n"),
    "a new pyproject": ("pyproject.toml", None, PYPROJECT),
    "a changed script": ("package.json", PACKAGE, PACKAGE.replace("node --test", "true")),
    "a lost script": ("package.json", PACKAGE, PACKAGE.replace(', "build": "tsc"', "")),
    "a script before the tests": ("package.json", PACKAGE, PACKAGE.replace('"tsc"', '"tsc", "pretest": "true"')),
    "a script of npm": ("package.json", PACKAGE, PACKAGE.replace('"tsc"', '"tsc", "prepare": "true"')),
    "another key": ("package.json", PACKAGE, PACKAGE.replace('"a"', '"a", "jest": {}')),
    "a target that is there": ("Makefile", MAKEFILE, f"{MAKEFILE}\ntest:\n\ttrue\n"),
    "a variable": ("Makefile", MAKEFILE, f"{MAKEFILE}\nSHELL = true\n"),
    "a variable of a target": ("Makefile", MAKEFILE, f"{MAKEFILE}\ndocs: SHELL = true\n"),
    "an include": ("Makefile", MAKEFILE, f"{MAKEFILE}\ninclude other.mk\n"),
    "the default": ("Makefile", MAKEFILE, f"{MAKEFILE}\n.DEFAULT_GOAL := docs\n"),
    "a line of the last target": ("Makefile", MAKEFILE, f"{MAKEFILE}\ttrue\n"),
    "a target above": ("Makefile", MAKEFILE, f"docs:\n\ttrue\n\n{MAKEFILE}"),
    "a pattern": ("Makefile", MAKEFILE, f"{MAKEFILE}\n%:\n\ttrue\n"),
    "another file": ("tox.ini", "[tox]\n", "[tox]\nenvlist = a\n"),
}  # fmt: skip


def change(path, old, new):
    return FileDiff(path, Version(None if old is None else old.encode()), Version(new.encode()))


@pytest.mark.parametrize("name", PLAIN)
def test_what_no_check_uses_is_accepted(name):
    diff = change(*PLAIN[name])
    assert is_plain_addition(diff)
    assert not [*find_weakened_checks([diff], "pytest -q"), *find_rewritten_tests([diff])]


@pytest.mark.parametrize(
    "name",
    [
        "install",
        "prepare",
        "prepublish",
        "dependencies",
        "test",
        "start",
        "stop",
        "restart",
        "prex",
        "postx",
    ],
)
def test_a_script_that_npm_runs_by_itself_is_not(name):
    assert not is_plain_addition(
        change("package.json", '{"scripts": {}}', f'{{"scripts": {{"{name}": "true"}}}}')
    )


@pytest.mark.parametrize("name", OTHER)
def test_what_may_change_a_check_is_not(name):
    assert not is_plain_addition(change(*OTHER[name]))
