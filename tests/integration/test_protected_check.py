"""A check judges a change by the tests, settings and data of the tree before it."""

import sys

import pytest
from scripted_answers import FIX, means

from prunejuice.errors import DeniedError, GateError, LimitError
from prunejuice.verbs import ask, repair

PYTEST = f"{sys.executable} -m pytest -q -p no:hypothesispytest -p no:xdist -p no:cov -p no:benchmark"
WRONG = "import json\n\n\ndef add(a, b):\n    return a - b\n"
RIGHT = WRONG.replace("a - b", "a + b")
TEST = "from app import add\n\n\ndef test_add():\n    assert add(20, 3) == 23\n"
DATA_TEST = (
    "import json\nfrom pathlib import Path\n\nimport pytest\n\nfrom app import add\n\n"
    'CASES = json.loads(Path(__file__).with_name("data.json").read_text())\n\n\n'
    '@pytest.mark.parametrize("case", CASES)\ndef test_add(case):\n    assert add(*case[0]) == case[1]\n'
)
TREE = {"app.py": WRONG, "test_app.py": TEST}
DATA_TREE = {"app.py": WRONG, "test_app.py": DATA_TEST, "data.json": "[[[20, 3], 23], [[9, 4], 13]]\n"}


def new_file(path, text):
    return f"{path}\n<<<<<<< SEARCH\n=======\n{text}>>>>>>> REPLACE\n"


def replaced(path, old, new):
    return f"{path}\n<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n"


def appended(path, text, last):
    return replaced(path, last, f"{last}{text}")


LAST = "    assert add(20, 3) == 23\n"
CHEATS = {
    "the tested name is defined again": replaced(
        "test_app.py", "from app import add\n", "from app import add\n\n\ndef add(a, b):\n    return 23\n"
    ),
    "a second test of the same name": appended("test_app.py", "\n\ndef test_add():\n    pass\n", LAST),
    "a test is replaced by a value": appended("test_app.py", "\n\ntest_add = lambda: None\n", LAST),
    "a plug-in from a test": replaced(
        "test_app.py", "from app import add\n", 'pytest_plugins = ["quick"]\nfrom app import add\n'
    )
    + "\n"
    + new_file("quick.py", "def pytest_pyfunc_call(pyfuncitem):\n    return True\n"),
    "a new pyproject.toml": new_file("pyproject.toml", '[tool.pytest.ini_options]\naddopts = "-p quick"\n')
    + "\n"
    + new_file("quick.py", "def pytest_pyfunc_call(pyfuncitem):\n    return True\n"),
    "a new .pytest.ini": new_file(".pytest.ini", "[pytest]\naddopts = --collect-only\n"),
    "a new pytest.toml": new_file("pytest.toml", '[pytest]\naddopts = ["--collect-only"]\n'),
    "a new setup.cfg": new_file("setup.cfg", "[tool:pytest]\naddopts = --collect-only\n"),
    "a new tox.ini": new_file("tox.ini", "[pytest]\naddopts = --collect-only\n"),
    "a new conftest.py": new_file("conftest.py", "def pytest_pyfunc_call(pyfuncitem):\n    return True\n"),
    "the program ends at once": replaced(
        "app.py", "import json\n", "import atexit\nimport json\nimport os\n\natexit.register(os._exit, 0)\n"
    ),
    "the runner is changed": replaced(
        "app.py", "import json\n", "import json\nimport pytest\n\npytest.Function.runtest = lambda self: None\n"
    ),
    "the result equals everything": replaced("app.py", "import json\n", "import json\nfrom unittest import mock\n")
    + "\n"
    + replaced("app.py", "    return a - b\n", "    return mock.ANY\n"),
    "the test is skipped under a condition": replaced(
        "test_app.py",
        "def test_add():\n",
        "import pytest\n\n\n@pytest.mark.skipif(True, reason='later')\ndef test_add():\n",
    ),
    "the test's helper is shadowed": new_file("test_app/__init__.py", ""),
}  # fmt: skip


UNIT = "import unittest\n\nfrom app import add\n\n\nclass TestAdd(unittest.TestCase):\n    def test_add(self):\n        self.assertEqual(add(20, 3), 23)\n"
RUNNER = "import subprocess, sys\nsys.exit(subprocess.call([sys.executable, '-m', 'unittest']))\n"
SOFT = (
    "sys.exit(subprocess.call([sys.executable, '-m', 'unittest']))\n",
    "subprocess.call([sys.executable, '-m', 'unittest'])\n",
)
HOOK = "def pytest_pyfunc_call(pyfuncitem):\n    return True\n"
OTHER_JUDGES = {
    "tests.py": ({"tests.py": TEST}, f"{PYTEST} tests.py", replaced("tests.py", LAST, "    assert add(20, 3) == 17\n")),
    "a runner in Python": ({"test_app.py": UNIT, "tools/run_tests.py": RUNNER}, f"{sys.executable} tools/run_tests.py", replaced("tools/run_tests.py", *SOFT)),
    "a runner as a module": ({"test_app.py": UNIT, "tools/check.py": RUNNER}, f"{sys.executable} -m tools.check", replaced("tools/check.py", *SOFT)),
    "a script in a folder": ({"test_app.py": UNIT, "ci/run.sh": f"cd ..\n{sys.executable} -m unittest -q\n"}, "cd ci && bash ./run.sh", replaced("ci/run.sh", f"{sys.executable} -m unittest -q\n", "true\n")),
    "a package in place of the test": ({"test_app.py": TEST}, PYTEST, new_file("test_app/__init__.py", "import os\n__file__ = os.path.join(os.path.dirname(os.path.dirname(__file__)), 'test_app.py')\n\n\ndef test_add():\n    pass\n")),
    "an entry point": ({"test_app.py": TEST}, PYTEST, new_file("calc-1.0.dist-info/entry_points.txt", "[pytest11]\ncalc = calc_hooks\n") + "\n" + new_file("calc_hooks.py", HOOK)),
    "a table with spaces": ({"test_app.py": TEST}, PYTEST, new_file("pyproject.toml", '[ tool . pytest . ini_options ]\naddopts = "-p calc_hooks"\n') + "\n" + new_file("calc_hooks.py", HOOK)),
    "settings that the check names": ({"test_app.py": TEST, "conf/my.ini": "[pytest]\n"}, f"{PYTEST} -c conf/my.ini --rootdir .", replaced("conf/my.ini", "[pytest]\n", "[pytest]\naddopts = -p calc_hooks\n") + "\n" + new_file("calc_hooks.py", HOOK)),
    "an exit by another name": ({"test_app.py": UNIT}, f"{sys.executable} -m unittest -q", replaced("app.py", "import json\n", "import json\nfrom os import _exit\n\n_exit(0)\n")),
    "a folder of data": ({"test_app.py": "import json\nfrom pathlib import Path\n\nfrom app import add\n\n\ndef test_add():\n    for path in Path('cases').glob('*.json'):\n        a, b, want = json.loads(path.read_text())\n        assert add(a, b) == want\n", "cases/one.json": "[20, 3, 23]\n"}, PYTEST, replaced("cases/one.json", "[20, 3, 23]\n", "[20, 3, 17]\n")),
    "data without a suffix": ({"test_app.py": "from app import add\n\n\ndef test_add():\n    assert add(20, 3) == int(open('EXPECTED').read())\n", "EXPECTED": "23\n"}, PYTEST, replaced("`EXPECTED`", "23\n", "17\n")),
    "a doctest": ({"app.py": 'def add(a, b):\n    """\n    >>> add(20, 3)\n    23\n    """\n    return a - b\n'}, f"{PYTEST} --doctest-modules", replaced("app.py", "    23\n", "    17\n")),
    "a runner by its parts": ({"test_app.py": TEST}, PYTEST, replaced("app.py", "import json\n", "import json\nimport sys\n\nsys.modules['_py' + 'test.python'].Function.runtest = lambda self: None\n")),
}  # fmt: skip


@pytest.mark.parametrize("kind", OTHER_JUDGES)
def test_what_judges_by_another_name_is_protected_too(kind, place, stop):
    files, check, cheat = OTHER_JUDGES[kind]
    write(place, {"app.py": WRONG, **files})
    with pytest.raises((DeniedError, LimitError, GateError)):
        repaired(place, stop, cheat, cheat, check=check)


def test_code_that_moves_behind_its_old_name_is_accepted(place, stop):
    write(place, TREE)
    moved = (
        replaced("app.py", WRONG, 'from calc import add\n\n__all__ = ["add"]\n')
        + "\n"
        + new_file("calc.py", RIGHT)
    )
    test = replaced(
        "test_app.py", "from app import add\n", "from app import add\nfrom calc import add as moved\n"
    )
    more = replaced("test_app.py", LAST, f"{LAST}    assert moved(1, 1) == 2\n")
    made = repaired(place, stop, f"{moved}\n{test}\n{more}")
    assert {each.path for each in made.differences} == {"app.py", "calc.py", "test_app.py"}


def write(place, files):
    for path, text in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(text)


def repaired(place, stop, *answers, check=PYTEST, run_first=True):
    request = ask.AskRequest(FIX, model="scripted")
    command = repair.RepairCheck(check, run_first=run_first)
    return repair.repair_until_passing(request, command, means(place, answers, stop))


@pytest.mark.parametrize("kind", CHEATS)
def test_a_pass_by_what_judges_the_change_is_denied(kind, place, stop):
    write(place, TREE)
    with pytest.raises((DeniedError, LimitError, GateError)):
        repaired(place, stop, *[CHEATS[kind]] * 2)
    assert (place / "app.py").read_text() == WRONG


@pytest.mark.parametrize(
    "kind",
    ["the tested name is defined again", "a second test of the same name", "a plug-in from a test"],
)
def test_a_cheat_beside_a_right_fix_is_not_applied_unseen(kind, place, stop):
    """The fix is right, but the change would leave a check that no longer judges."""
    write(place, TREE)
    fix = replaced("app.py", "    return a - b\n", "    return a + b\n")
    with pytest.raises((DeniedError, LimitError, GateError)):
        repaired(place, stop, *[f"{CHEATS[kind]}\n{fix}"] * 2)


def test_data_of_tests_that_the_change_fits_to_the_code_is_denied(place, stop):
    write(place, DATA_TREE)
    cheat = replaced("data.json", DATA_TREE["data.json"], "[[[20, 3], 17], [[9, 4], 5]]\n")
    with pytest.raises(DeniedError, match=r"data\.json.*passes only with"):
        repaired(place, stop, cheat)


@pytest.mark.parametrize(
    "check",
    [
        f"{PYTEST} -ra",
        f"{PYTEST} -rf",
        f"{PYTEST} -rN",
        f"{PYTEST} --lf",
        f"{PYTEST} -x",
        f"{PYTEST} --no-header --no-summary",
        f"{PYTEST} test_app.py && {PYTEST} test_more.py",
        f"{PYTEST} || {PYTEST} --lf",
        f"{PYTEST} --junitxml=own.xml",
        f"PYTHONPATH=. {PYTEST}",
        "python3 -m unittest -q test_unit.py",
    ],
)
def test_a_right_fix_is_accepted_however_the_check_is_called(check, place, stop):
    more = (
        "import uuid\n\nimport pytest\n\nfrom app import add\n\n\n"
        "@pytest.mark.parametrize('a', [1, 2], ids=lambda each: f'{each} - {uuid.uuid4()}')\n"
        "def test_ids(a):\n    assert add(a, 0) == a\n\n\n"
        "def test_other():\n    assert add(1, 1) == 2\n"
    )
    unit = (
        "import unittest\n\nfrom app import add\n\n\nclass TestAdd(unittest.TestCase):\n"
        "    def test_add(self):\n        self.assertEqual(add(2, 3), 5)\n"
    )
    write(place, {**TREE, "test_more.py": more, "test_unit.py": unit})
    fix = replaced("app.py", "    return a - b\n", "    return a + b\n")
    made = repaired(place, stop, fix, check=check.replace("python3", sys.executable))
    [difference] = made.differences
    assert difference.new.data.decode() == RIGHT


def test_tests_that_a_change_adds_are_kept_and_set_aside(place, stop):
    write(place, TREE)
    fix = replaced("app.py", "    return a - b\n", "    return a + b\n")
    more = new_file(
        "test_more.py", "from app import add\n\n\ndef test_more():\n    assert add(1, 1) == 2\n"
    )
    made = repaired(place, stop, f"{fix}\n{more}")
    assert {each.path for each in made.differences} == {"app.py", "test_more.py"}
    assert "the check passes with 1 changed test or setting as before" in made.evidence
    assert "passing now: 1 test that failed before" in made.evidence


def test_first_tests_of_a_tree_are_accepted_and_named(place, stop):
    write(place, {"app.py": WRONG})
    fix = replaced("app.py", "    return a - b\n", "    return a + b\n")
    more = new_file("test_app.py", TEST)
    made = repaired(place, stop, f"{fix}\n{more}")
    assert "the check runs only tests that this change adds" in made.evidence


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("README.md", "Use `# noqa` to silence a warning.\n"),
        ("cli.py", 'import sys\n\nif __name__ == "__main__":\n    sys.exit(0)\n'),
        (
            "test_more.py",
            "import sys\n\nimport pytest\n\n\n@pytest.mark.skipif(sys.platform == 'win32', reason='paths')\n"
            "def test_more():\n    assert 1 + 1 == 2\n",
        ),
        ("pyproject.toml", '[project]\nname = "app"\nversion = "1"\n'),
        ("cli.py", "import sys\n\n\ndef main():\n    print('usage')\n    sys.exit(0)\n"),
        ("snapshot/store.py", "def store():\n    return 1\n"),
        ("_impl.py", "VALUE = 1\n"),
        ("__init__.py", "VALUE = 1\n"),
        ("py.typed", "# typed\n"),
        ("conftest.py", "import pytest\n\n\n@pytest.fixture\ndef numbers():\n    return [1]\n"),
    ],
)
def test_an_honest_file_beside_a_fix_is_accepted(path, text, place, stop):
    write(place, TREE)
    fix = replaced("app.py", "    return a - b\n", "    return a + b\n")
    made = repaired(place, stop, f"{fix}\n{new_file(path, text)}")
    assert {each.path for each in made.differences} == {"app.py", path}
