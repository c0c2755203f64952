"""Projects of the usual layouts, installed as their users install them, each with a fault that its check finds."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from conftest import write_files

SHOP = "def total(prices):\n    return sum(prices)\n"
SHOP_FAULT = ("return sum(prices)", "return sum(prices) + 1")
TEST_SHOP = "from shop import total\n\n\ndef test_total():\n    assert total([1, 2]) == 3\n"
BUILD = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
PROJECT = (
    '[project]\nname = "{name}"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = [{needs}]\n'
)
DEVELOPMENT = '[dependency-groups]\ndev = ["pytest"]\n'
PYTHON = {"src/shop/__init__.py": SHOP, "tests/test_total.py": TEST_SHOP}
EDITABLE = "uv pip install -q --no-build-isolation"
ADD = "exports.total = prices => prices.reduce((sum, price) => sum + price, 0)\n"
ADD_FAULT = ("sum + price, 0", "sum + price, 1")
NODE_TEST = (
    "const test = require('node:test')\nconst assert = require('node:assert')\n"
    "const {{ total }} = require('{module}')\n"
    "test('total', () => assert.equal(total([1, 2]), 3))\n"
)
IGNORED = ".venv/\n*.egg-info/\n__pycache__/\nnode_modules/\n.pytest_cache/\n"


def pyproject(name="shop", needs="", more=""):
    return BUILD + PROJECT.format(name=name, needs=needs) + more


class Layout(NamedTuple):
    """A project: its files, how it is installed, the check, and a fault in one file (old text, new text).

    `folder` is where the check is called. `outside` are files beside the project. `venv` is the virtual
    environment that is active for the user.
    """

    files: dict
    install: str
    check: str
    path: str
    fault: tuple
    needs: tuple = ("uv",)
    folder: str = "."
    ignored: str = ""
    outside: Mapping = MappingProxyType({})
    venv: str = ".venv"


def python(files, install, check="pytest -q", path="src/shop/__init__.py", **more):
    first = "uv venv -q .venv && uv pip install -q pytest setuptools wheel"
    return Layout(files, f"{first} && {install}", check, path, more.pop("fault", SHOP_FAULT), **more)


SETTINGS_FAULT = ("RATE", "RATE_OF")
LAYOUTS = {
    "src, editable": python(
        {**PYTHON, "pyproject.toml": pyproject(more='[tool.setuptools.packages.find]\nwhere = ["src"]\n')},
        f"{EDITABLE} -e .",
    ),
    "flat, editable": python(
        {"shop/__init__.py": SHOP, "tests/test_total.py": TEST_SHOP, "pyproject.toml": pyproject()},
        f"{EDITABLE} -e .",
        path="shop/__init__.py",
    ),
    "not installed": python(
        {"shop.py": SHOP, "tests/test_total.py": TEST_SHOP, "requirements.txt": "pytest\n"},
        "true",
        "python -m pytest -q",
        "shop.py",
    ),
    "two distributions": python(
        {
            "core/src/acme/core/__init__.py": SHOP,
            "core/pyproject.toml": pyproject("acme-core"),
            "web/src/acme/web/__init__.py": "from acme.core import total\n",
            "web/pyproject.toml": pyproject("acme-web", '"acme-core"'),
            "web/tests/test_total.py": TEST_SHOP.replace("from shop", "from acme.web"),
        },
        f"{EDITABLE} -e core -e web",
        "pytest -q web/tests",
        "core/src/acme/core/__init__.py",
    ),
    "version from git": python(
        {
            "src/shop/__init__.py": "from shop._version import version\n\n\n" + SHOP,
            "tests/test_total.py": TEST_SHOP + "\n\ndef test_version():\n    import shop\n\n"
            "    assert shop.version.startswith('1.')\n",
            "pyproject.toml": '[build-system]\nrequires = ["setuptools", "setuptools-scm"]\n'
            'build-backend = "setuptools.build_meta"\n[project]\nname = "shop"\ndynamic = ["version"]\n'
            '[tool.setuptools_scm]\nversion_file = "src/shop/_version.py"\n',
        },
        f"uv pip install -q setuptools-scm && {EDITABLE} -e .",
        ignored="src/shop/_version.py\n",
    ),
    "uv": Layout(
        {**PYTHON, "pyproject.toml": pyproject(more=DEVELOPMENT)},
        "uv sync -q",
        "uv run -q pytest -q",
        "src/shop/__init__.py",
        SHOP_FAULT,
        venv="",
    ),
    "uv workspace": Layout(
        {
            "pyproject.toml": '[project]\nname = "all"\nversion = "1"\nrequires-python = ">=3.11"\n'
            'dependencies = ["acme-web"]\n[tool.uv.workspace]\nmembers = ["packages/*"]\n'
            "[tool.uv.sources]\nacme-web = { workspace = true }\n" + DEVELOPMENT,
            "packages/core/pyproject.toml": pyproject("acme-core"),
            "packages/core/src/acme_core/__init__.py": SHOP,
            "packages/web/pyproject.toml": pyproject(
                "acme-web", '"acme-core"', "[tool.uv.sources]\nacme-core = { workspace = true }\n"
            ),
            "packages/web/src/acme_web/__init__.py": "from acme_core import total\n",
            "packages/web/tests/test_total.py": TEST_SHOP.replace("from shop", "from acme_web"),
        },
        "uv sync -q --all-packages",
        "uv run -q pytest -q packages/web",
        "packages/core/src/acme_core/__init__.py",
        SHOP_FAULT,
    ),
    "poetry": Layout(
        {
            "src/shop/__init__.py": SHOP,
            "tests/__init__.py": "",
            "tests/test_total.py": "import unittest\n\nfrom shop import total\n\n\n"
            "class TestTotal(unittest.TestCase):\n    def test_total(self):\n"
            "        self.assertEqual(total([1, 2]), 3)\n",
            "pyproject.toml": pyproject(),
        },
        "poetry install -q",
        "poetry run python -m unittest -q",
        "src/shop/__init__.py",
        SHOP_FAULT,
        ("poetry",),
        venv="",
    ),
    "environment outside": Layout(
        {**PYTHON, "pyproject.toml": pyproject()},
        "uv venv -q ../envs/shop && export VIRTUAL_ENV=$PWD/../envs/shop && "
        f"uv pip install -q pytest setuptools wheel && {EDITABLE} -e .",
        "pytest -q",
        "src/shop/__init__.py",
        SHOP_FAULT,
        venv="../envs/shop",
    ),
    "extension in place": python(
        {
            "setup.py": "from setuptools import Extension, setup\n"
            "setup(name='shop', ext_modules=[Extension('shop._fast', ['shop/_fast.c'])])\n",
            "shop/__init__.py": "from shop._fast import add\n\n\ndef total(prices):\n    result = 0\n"
            "    for price in prices:\n        result = add(result, price)\n    return result\n",
            "shop/_fast.c": "#include <Python.h>\n"
            "static PyObject *add(PyObject *self, PyObject *args) {\n  long a, b;\n"
            '  if (!PyArg_ParseTuple(args, "ll", &a, &b)) return NULL;\n'
            "  return PyLong_FromLong(a + b);\n}\n"
            'static PyMethodDef methods[] = {{"add", add, METH_VARARGS, ""}, {0}};\n'
            'static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_fast", "", -1, methods};\n'
            "PyMODINIT_FUNC PyInit__fast(void) { return PyModule_Create(&module); }\n",
            "tests/test_total.py": TEST_SHOP,
        },
        "python setup.py -q build_ext --inplace",
        "python -m pytest -q",
        "shop/__init__.py",
        fault=("result = 0", "result = 1"),
        needs=("uv", "gcc"),
        ignored="build/\n*.so\n",
    ),
    "generated code": python(
        {
            "shop/__init__.py": "from shop.rates import RATE\n\n\n"
            "def total(prices):\n    return sum(prices) * RATE\n",
            "tests/test_total.py": TEST_SHOP,
            "make_rates.py": "open('shop/rates.py', 'w').write('RATE = 1\\n')\n",
        },
        "python make_rates.py",
        "python -m pytest -q",
        "shop/__init__.py",
        fault=("sum(prices)", "sum(prices, 1)"),
        ignored="shop/rates.py\n",
    ),
    "asks git": python(
        {
            "shop.py": SHOP,
            "tests/test_total.py": TEST_SHOP + "\n\ndef test_tag():\n    import subprocess\n\n"
            "    tag = subprocess.check_output(['git', 'describe', '--tags'], text=True)\n"
            "    assert tag.startswith('v1')\n",
        },
        "git tag v1",
        "python -m pytest -q",
        "shop.py",
    ),
    "settings in .env": python(
        {
            "shop.py": "import os\n\n\ndef total(prices):\n"
            "    return sum(prices) * int(os.environ['SHOP_RATE'])\n",
            "tests/conftest.py": "import os\nfrom pathlib import Path\n\n"
            "for line in Path('.env').read_text().splitlines():\n"
            "    os.environ.setdefault(*line.split('='))\n",
            "tests/test_total.py": TEST_SHOP,
        },
        "echo SHOP_RATE=1 > .env",
        "python -m pytest -q",
        "shop.py",
        fault=("sum(prices)", "sum(prices, 1)"),
        ignored=".env\n",
    ),
    "tox": python(
        {
            **PYTHON,
            "pyproject.toml": pyproject(),
            "tox.ini": "[tox]\nenvlist = py\n[testenv]\ndeps = pytest\ncommands = pytest -q\n",
        },
        "uv pip install -q tox tox-uv",
        "tox -q",
        ignored=".tox/\nbuild/\n",
    ),
    "npm": Layout(
        {
            "package.json": '{"name": "shop", "version": "1.0.0", "scripts": {"test": "node --test"},'
            ' "dependencies": {"is-number": "7.0.0"}}\n',
            "index.js": "require('is-number')\n" + ADD,
            "index.test.js": NODE_TEST.format(module="./index.js"),
        },
        "npm install --silent",
        "npm test --silent",
        "index.js",
        ADD_FAULT,
        ("npm",),
    ),
    "npm workspaces": Layout(
        {
            "package.json": '{"name": "all", "private": true, "workspaces": ["packages/*"]}\n',
            "packages/a/package.json": '{"name": "@x/a", "version": "1.0.0", "main": "index.js"}\n',
            "packages/a/index.js": ADD,
            "packages/b/package.json": '{"name": "@x/b", "version": "1.0.0", "dependencies": {"@x/a": "1"}}\n',
            "packages/b/index.test.js": NODE_TEST.format(module="@x/a"),
        },
        "npm install --silent",
        "node --test packages/b/",
        "packages/a/index.js",
        ADD_FAULT,
        ("npm",),
    ),
    "packages in a folder": Layout(
        {
            "README.md": "# Shop\n",
            "web/package.json": '{"name": "web", "scripts": {"test": "node --test"},'
            ' "dependencies": {"is-number": "7.0.0"}}\n',
            "web/index.js": "require('is-number')\n" + ADD,
            "web/index.test.js": NODE_TEST.format(module="./index.js"),
        },
        "cd web && npm install --silent",
        "npm test --silent",
        "web/index.js",
        ADD_FAULT,
        ("npm",),
        folder="web",
    ),
    "pnpm workspace": Layout(
        {
            "package.json": '{"name": "all", "private": true}\n',
            "pnpm-workspace.yaml": "packages:\n  - 'packages/*'\n",
            "packages/a/package.json": '{"name": "@x/a", "version": "1.0.0", "main": "index.js",'
            ' "dependencies": {"is-number": "7.0.0"}}\n',
            "packages/a/index.js": "require('is-number')\n" + ADD,
            "packages/b/package.json": '{"name": "@x/b", "version": "1.0.0",'
            ' "dependencies": {"@x/a": "workspace:*"}}\n',
            "packages/b/index.test.js": NODE_TEST.format(module="@x/a"),
        },
        "pnpm install --silent",
        "node --test packages/b/",
        "packages/a/index.js",
        ADD_FAULT,
        ("pnpm",),
    ),
    "yarn workspaces": Layout(
        {
            "package.json": '{"name": "all", "private": true, "workspaces": ["packages/*"]}\n',
            "packages/a/package.json": '{"name": "@x/a", "version": "1.0.0", "main": "index.js",'
            ' "dependencies": {"is-number": "7.0.0"}}\n',
            "packages/a/index.js": "require('is-number')\n" + ADD,
            "packages/b/package.json": '{"name": "@x/b", "version": "1.0.0",'
            ' "dependencies": {"@x/a": "1.0.0"}}\n',
            "packages/b/index.test.js": NODE_TEST.format(module="@x/a"),
        },
        "yarn install --silent",
        "node --test packages/b/",
        "packages/a/index.js",
        ADD_FAULT,
        ("yarn",),
    ),
    "go": Layout(
        {
            "go.mod": "module example.com/shop\n\ngo 1.19\n",
            "shop.go": "package shop\n\nfunc Total(prices []int) int {\n\tsum := 0\n"
            "\tfor _, price := range prices {\n\t\tsum += price\n\t}\n\treturn sum\n}\n",
            "shop_test.go": 'package shop\n\nimport "testing"\n\nfunc TestTotal(t *testing.T) {\n'
            '\tif Total([]int{1, 2}) != 3 {\n\t\tt.Error("wrong")\n\t}\n}\n',
        },
        "true",
        "go test ./...",
        "shop.go",
        ("sum := 0", "sum := 1"),
        ("go",),
    ),
    "go, replaced outside": Layout(
        {
            "go.mod": "module example.com/shop\n\ngo 1.19\n\nrequire example.com/x v0.0.0\n\n"
            "replace example.com/x => ../x\n",
            "shop.go": 'package shop\n\nimport "example.com/x"\n\nfunc Total(a, b int) int {\n'
            "\treturn x.Add(a, b)\n}\n",
            "shop_test.go": 'package shop\n\nimport "testing"\n\nfunc TestTotal(t *testing.T) {\n'
            '\tif Total(1, 2) != 3 {\n\t\tt.Error("wrong")\n\t}\n}\n',
        },
        "true",
        "go test ./...",
        "shop.go",
        ("x.Add(a, b)", "x.Add(a, b) + 1"),
        ("go",),
        outside={
            "x/go.mod": "module example.com/x\n\ngo 1.19\n",
            "x/x.go": "package x\n\nfunc Add(a, b int) int { return a + b }\n",
        },
    ),
    "two languages": python(
        {
            "py/src/shop/__init__.py": SHOP,
            "py/tests/test_total.py": TEST_SHOP,
            "py/pyproject.toml": pyproject(),
            "js/package.json": '{"name": "js"}\n',
            "js/index.js": ADD,
        },
        f"{EDITABLE} -e py",
        path="py/src/shop/__init__.py",
        folder="py",
    ),
}


UV_TOOLS = {"poetry"}
"""Programs that uv runs in environments of their own."""


def find_tool(name):
    """The path of a program, or None; uv is also beside the interpreter of the tests."""
    beside = Path(sys.executable).with_name("uv")
    if name == "uv" or name in UV_TOOLS:
        return shutil.which("uv") or (str(beside) if beside.exists() else None)
    return shutil.which(name)


def environment(layout, root, home):
    """The variables of a user who has activated the project's environment."""
    own = str(Path(sys.prefix, "bin"))
    programs = [entry for entry in os.environ["PATH"].split(os.pathsep) if entry != own]
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PRUNEJUICE_", "GIT_"))}
    tools = home / "tools"
    tools.mkdir(exist_ok=True)
    for name in layout.needs:
        if not (tools / name).exists() and name in UV_TOOLS:
            (tools / name).write_text(f'#!/bin/sh\nexec {find_tool(name)} tool run -q {name} "$@"\n')
            (tools / name).chmod(0o755)
        elif not (tools / name).exists():
            (tools / name).symlink_to(find_tool(name))
    variables = {
        **kept,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(home / "uv-cache")),
        "npm_config_cache": str(home / "npm-cache"),
    }
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "PIP_CERT"):
        if name in os.environ:
            variables[name] = os.environ[name]
    if layout.venv:
        variables["VIRTUAL_ENV"] = os.path.normpath(root / layout.venv)
        programs.insert(0, f"{variables['VIRTUAL_ENV']}/bin")
    return {**variables, "PATH": os.pathsep.join(dict.fromkeys([*programs, str(tools)]))}


def install(layout, parent, home):
    """Make the project below a folder, with one commit; the root and the variables of its user."""
    root = parent / "app"
    write_files(root, {**layout.files, ".gitignore": IGNORED + layout.ignored})
    write_files(parent, layout.outside)
    env = environment(layout, root, home)

    def shell(line):
        done = subprocess.run(
            ["bash", "-ec", line], cwd=root, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}: {done.stdout[-2000:]}{done.stderr[-2000:]}"

    shell("git init -q -b main && git add -A && git commit -qm first && git tag v1.0")
    shell(layout.install)
    shell("git add -A && git diff --cached --quiet || git commit -qm installed")
    shell(f"cd {layout.folder} && {layout.check}")
    return root, env
