"""Changes that weaken a check are found; honest changes pass."""

import pytest

from prunejuice.edits.diff import FileDiff, Version
from prunejuice.verbs.verify.tamper import find_rewritten_tests, find_weakened_checks

TEST = "import pytest\nfrom shop import cart\n\n\ndef test_total():\n    assert cart.total([1, 2]) == 3\n    assert cart.total([]) == 0\n\n\ndef test_empty():\n    with pytest.raises(ValueError):\n        cart.first([])\n"
CODE = "def total(prices):\n    return 0\n\n\ndef first(prices):\n    return prices[0]\n"
TOML = '[project]\nname = "shop"\ndependencies = ["a"]\n\n[tool.pytest.ini_options]\naddopts = "-q"\n\n[tool.other]\nx = 1\n'


def difference(path, old, new, to=""):
    def version(text):
        return Version(None if text is None else text.encode())

    return FileDiff(path, version(old), version(new), to)


CHEATS = {
    "a test file is deleted": ("tests/test_cart.py", TEST, None),
    "a test is deleted": ("tests/test_cart.py", TEST, TEST.partition("\n\n\ndef test_empty")[0] + "\n"),
    "an assertion is deleted": (
        "tests/test_cart.py",
        TEST,
        TEST.replace("    assert cart.total([]) == 0\n", ""),
    ),
    "an assertion is weakened": ("tests/test_cart.py", TEST, TEST.replace("== 3", "is not None")),
    "an expected value is changed": ("tests/test_cart.py", TEST, TEST.replace("== 3", "== 0")),
    "a test is skipped": (
        "tests/test_cart.py",
        TEST,
        TEST.replace("def test_total", "@pytest.mark.skip\ndef test_total"),
    ),
    "a test is expected to fail": (
        "tests/test_cart.py",
        TEST,
        TEST.replace("def test_total", "@pytest.mark.xfail\ndef test_total"),
    ),
    "a test skips itself": (
        "test_cart.py",
        TEST,
        TEST.replace("    assert cart.total([1", "    pytest.skip('later')\n    assert cart.total([1"),
    ),
    "a new test file skips": (
        "tests/test_new.py",
        None,
        "import pytest\n\npytestmark = pytest.mark.skip\n",
    ),
    "a test is commented out": (
        "tests/test_cart.py",
        TEST,
        TEST.replace("    assert cart.total([1, 2]) == 3", "    # assert cart.total([1, 2]) == 3"),
    ),
    "a conftest takes tests out": ("conftest.py", None, "collect_ignore = ['tests']\n"),
    "pytest gets other options": ("pyproject.toml", TOML, TOML.replace('"-q"', '"-q --co"')),
    "pytest gets a table": ("pyproject.toml", TOML.replace("[tool.pytest.ini_options]", "[tool.x]"), TOML),
    "pytest.ini comes": ("pytest.ini", None, "[pytest]\n"),
    "CI is changed": (".github/workflows/ci.yml", "run: pytest\n", "run: true\n"),
    "a type error is ignored": (
        "shop/cart.py",
        CODE,
        CODE.replace("return 0", "return 0  # type: ignore[x]"),
    ),
    "a rule is silenced": ("shop/cart.py", CODE, CODE.replace("return 0", "return 0  # noqa: E501")),
    "a rule is silenced in a script": (
        "web/a.ts",
        "let a = 1\n",
        "// eslint-disable-next-line\nlet a = 1\n",
    ),
    "the program ends well": ("shop/cart.py", CODE, "import os\n\nos._exit(0)\n" + CODE),
    "a module takes the place of pytest": ("pytest.py", None, "def main(): ...\n"),
    "sitecustomize comes": ("sitecustomize.py", None, "x = 1\n"),
    "mypy is told less": ("mypy.ini", "[mypy]\nstrict = true\n", "[mypy]\n"),
    "a JavaScript test is the only one": (
        "web/cart.test.ts",
        "it('a', () => {})\n",
        "it.only('a', () => {})\n",
    ),
    "a Go test is skipped": (
        "cart_test.go",
        "func TestA(t *testing.T) {\n}\n",
        "func TestA(t *testing.T) {\n\tt.Skip()\n}\n",
    ),
    "a JavaScript matcher is replaced": (
        "web/cart.js",
        "let a = 1\n",
        "global.expect = () => ({ toBe() {} })\nlet a = 1\n",
    ),
    "a JavaScript program ends": ("web/cart.js", "let a = 1\n", "process.reallyExit(0)\nlet a = 1\n"),
    "jest gets other settings": (
        "package.json",
        '{"jest": {"bail": 1}}\n',
        '{"jest": {"bail": 1, "passWithNoTests": true}}\n',
    ),
    "a Go program ends": (
        "cart.go",
        "package cart\n",
        'package cart\n\nimport "os"\n\nfunc init() { os.Exit(0) }\n',
    ),
    "the end of the program is registered": (
        "shop/cart.py",
        CODE,
        "import atexit, os\natexit.register(os._exit, 0)\n" + CODE,
    ),
    "unittest runs nothing": (
        "shop/cart.py",
        CODE,
        "from unittest import TestCase\nTestCase.run = lambda *a: None\n" + CODE,
    ),
    "the runner is imported by name": (
        "shop/cart.py",
        CODE,
        "import sys\nsys.modules['pytest'].Function.runtest = print\n" + CODE,
    ),
    "pytest.toml comes": ("pytest.toml", None, "[pytest]\n"),
    ".pytest.ini comes": (".pytest.ini", None, "[pytest]\n"),
    "a file is renamed onto a conftest": ("shop/setup.py", CODE, CODE, "conftest.py"),
    "a file is renamed onto the settings of pytest": ("notes.ini", "x = 1\n", "x = 1\n", "pytest.ini"),
    "a file is renamed onto a runner": ("shop/fast.py", CODE, CODE, "pytest.py"),
    "a file is renamed onto a CI workflow": (
        "a.yml",
        "on: push\n",
        "on: push\n",
        ".github/workflows/a.yml",
    ),
    "a test is renamed": ("tests/test_cart.py", TEST, TEST, "tests/cart_old.py"),
}


@pytest.mark.parametrize("name", CHEATS)
def test_a_change_that_weakens_is_found(name):
    path, old, new, *to = CHEATS[name]
    found = find_weakened_checks([difference(path, old, new, *to)])
    assert found
    assert found[0].path in {path, *to}
    assert found[0].reason


BODIES = [
    "    return sum(prices)\n",
    "    result = 0\n    for price in prices:\n        result += price\n    return result\n",
    "    if not prices:\n        return 0\n    return prices[0] + total(prices[1:])\n",
    "    assert prices is not None\n    return sum(prices)\n",
    "    # skip what is free\n    return sum(price for price in prices if price)\n",
    "    raise NotImplementedError\n",
    '    """The sum; a test of it is in tests/."""\n    return sum(prices)\n',
]
HONEST = {
    **{
        f"a body {n}": ("shop/cart.py", CODE, CODE.replace("    return 0\n", body))
        for n, body in enumerate(BODIES)
    },
    "a new file": ("shop/money.py", None, CODE),
    "a file is deleted": ("shop/old.py", CODE, None),
    "a file gets another name": ("shop/old.py", CODE, CODE, "shop/new.py"),
    "a new test": (
        "tests/test_cart.py",
        TEST,
        TEST + "\n\ndef test_more():\n    assert cart.total([5]) == 5\n",
    ),
    "a new test in between": (
        "tests/test_cart.py",
        TEST,
        TEST.replace("\n\n\ndef test_empty", "\n\n\ndef test_new():\n    assert cart\n\n\ndef test_empty"),
    ),
    "another assertion": (
        "tests/test_cart.py",
        TEST,
        TEST.replace("== 0\n", "== 0\n    assert cart.total([4]) == 4\n"),
    ),
    "a new test file": ("tests/test_new.py", None, TEST),
    "an import in a test": (
        "tests/test_cart.py",
        TEST,
        TEST.replace("from shop import cart", "from shop import cart, mail"),
    ),
    "a comment in a test": (
        "tests/test_cart.py",
        TEST,
        TEST.replace("def test_empty", "# nothing is in it\ndef test_empty"),
    ),
    "tests are moved within a file": (
        "tests/test_cart.py",
        TEST,
        "import pytest\nfrom shop import cart\n\n\ndef test_empty():\n    with pytest.raises(ValueError):\n        cart.first([])\n\n\ndef test_total():\n    assert cart.total([1, 2]) == 3\n    assert cart.total([]) == 0\n",
    ),
    "a dependency": ("pyproject.toml", TOML, TOML.replace('["a"]', '["a", "b"]')),
    "a name": ("pyproject.toml", TOML, TOML.replace('"shop"', '"store"')),
    "another tool's table": ("pyproject.toml", TOML, TOML.replace("x = 1", "x = 2")),
    "a README": ("README.md", "# Shop\n", "# Shop\n\nRun the tests with pytest; skip none.\n"),
    "an ignore comment goes": ("shop/cart.py", CODE.replace("return 0", "return 0  # type: ignore"), CODE),
    "an ignore comment stays": (
        "shop/cart.py",
        CODE.replace("return 0", "return 0  # noqa"),
        CODE.replace("return 0", "return 1  # noqa"),
    ),
    "a skip goes": (
        "tests/test_cart.py",
        TEST.replace("def test_total", "# @pytest.mark.skip\ndef test_total"),
        TEST,
    ),
    "exit with an error": ("shop/cart.py", CODE, "import sys\n" + CODE.replace("return 0", "sys.exit(2)")),
    "a type": ("shop/cart.py", CODE, CODE.replace("prices)", "prices: list[int]) -> int", 1)),
    "a script": ("web/app.ts", "let a = 1\n", "const a: number = 1\n"),
    "a module about contests": ("shop/contest.py", CODE, CODE.replace("0", "1")),
    "a module named latest": ("shop/latest.py", CODE, CODE.replace("0", "1")),
    "the main program ends": (
        "shop/cart.py",
        CODE,
        CODE + '\n\nif __name__ == "__main__":\n    import sys\n\n    sys.exit(0)\n',
    ),
    "a README names a suppression": ("README.md", "# Shop\n", "# Shop\n\nWrite `# noqa` to hide one.\n"),
    "a test that does not run on one system": (
        "tests/test_new.py",
        None,
        TEST.replace("def test_total", "@pytest.mark.skipif(os.name == 'nt', reason='x')\ndef test_total"),
    ),
    "helpers of tests import the runner": ("shop/testing/checks.py", None, "import pytest\n"),
    "a new package.json": ("package.json", None, '{"scripts": {"test": "jest"}}\n'),
    "a new pyproject.toml": ("pyproject.toml", None, '[project]\nname = "shop"\n'),
    "a picture": ("docs/a.svg", "<svg/>", "<svg></svg>"),
}


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_change_is_none_of_them(name):
    path, old, new, *to = HONEST[name]
    assert find_weakened_checks([difference(path, old, new, *to)]) == []


def test_enough_cheats_and_honest_changes_are_listed():
    assert len(CHEATS) >= 12
    assert len(HONEST) >= 30


@pytest.mark.parametrize(
    ("path", "old", "new", "bad"),
    [
        ("tests/conftest.py", None, 'collect_ignore = ["test_app.py"]\n', True),
        ("pytest.ini", None, "[pytest]\naddopts = --deselect a\n", True),
        ("pytest.py", None, "main = print\n", True),
        (
            "tests/conftest.py",
            None,
            "import pytest\n\n\n@pytest.fixture\ndef shop():\n    return 1\n",
            False,
        ),
        ("Makefile", None, "run:\n\tpython app.py\n", False),
        (
            "tests/test_a.py",
            "def test_a():\n    assert f()\n",
            "def test_a():\n    return\n    assert f()\n",
            True,
        ),
        (
            "tests/test_a.py",
            "def test_a():\n    assert f()\n",
            '"""\ndef test_a():\n    assert f()\n"""\n',
            True,
        ),
        (
            "tests/test_a.py",
            "def test_a():\n    assert f()\n",
            "def test_a():\n    assert f()\n    assert g()\n",
            False,
        ),
        ("tests/README.md", "Run them.\n", "Run all of them.\n", False),
        ("app.py", "x = 1\n", "import sys\nsys.exit(0)\n", False),
    ],
)
def test_changes_that_disable_tests_are_found_without_a_check(path, old, new, bad):
    assert bool(find_rewritten_tests([difference(path, old, new)])) == bad
