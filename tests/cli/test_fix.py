"""`codebot fix` and similar verbs: an agent edits a copy until the check passes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from conftest import git

CART = "def total(prices):\n    return 0\n"
TEST = "import sys\nsys.path.insert(0, '.')\nfrom cart import total\n\n\ndef test_total():\n    assert total([1, 2]) == 3, f'{total([1, 2])} is not 3'\n\n\ntest_total()\nprint('fine')\n"
CHECK = f"{sys.executable} tests/test_cart.py"


def block(path, old, new):
    return f"I see.\n\n{path}\n<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n"


def body(old, new):
    return block("cart.py", f"    return {old}\n", f"    return {new}\n")


GOLD = body("0", "sum(prices)")


@pytest.fixture
def shop(project):
    (project.root / "tests").mkdir()
    (project.root / "cart.py").write_text(CART)
    (project.root / "tests/test_cart.py").write_text(TEST)
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "Open the shop")
    return project


@pytest.fixture
def mend(shop, tmp_path):
    """Let a verb mend with a scripted agent; what was said of it."""

    def mended(*answers, verb="fix", args=(), check=CHECK):
        path = tmp_path / "answers.yaml"
        rows = [answer if isinstance(answer, dict) else {"text": answer} for answer in answers]
        path.write_text(yaml.safe_dump({"answers": rows}))
        checked = ["--check", check] if check else []
        return shop.codebot(verb, "--script", path, *checked, *args)

    return mended


def test_agent_is_asked_again_until_the_check_passes(shop, mend):
    answer = mend(
        {"when": "0 is not 3", "text": body("0", "1")},
        {"when": "1 is not 3", "text": body("1", "sum(prices)")},
        args=["--json"],
    )
    assert answer.code == 0, answer.err
    assert answer.json["rounds"] == 2
    assert "+    return sum(prices)" in answer.json["diff"]
    assert (shop.root / "cart.py").read_text() == CART, "it was tried in a copy"
    assert "round 1 of 3" in answer.err
    assert "passes" in answer.err
    assert shop.codebot("apply", answer.json["id"], "-y").code == 0
    assert "sum(prices)" in (shop.root / "cart.py").read_text()


def test_passing_check_needs_no_agent(shop, mend):
    answer = mend(check="true")
    assert answer.code == 0
    assert "passes without changes" in answer.err
    assert "no changes needed" in answer.err


def test_any_verb_can_have_a_check(shop, mend):
    answer = mend(
        body("0", "1"),
        {"when": "1 is not 3", "text": body("1", "sum(prices)")},
        verb="optimize-perf",
        args=["--apply"],
    )
    assert answer.code == 0, answer.err
    assert "sum(prices)" in (shop.root / "cart.py").read_text()


def test_changes_that_are_not_committed_are_checked_too(shop, mend):
    (shop.root / "cart.py").write_text(CART + "\n\ndef more():\n    return 1\n")
    (shop.root / "new.py").write_text("x = 1\n")
    check = f"test -f new.py && grep -q more cart.py && {CHECK}"
    assert mend(GOLD, args=["--apply"], check=check).code == 0
    assert "more" in (shop.root / "cart.py").read_text()


def test_lack_of_progress_exits_with_5_and_keeps_the_changes(shop, mend):
    answer = mend(body("0", "1"), body("1", "0"), body("0", "1"), args=["--apply", "--max-rounds", "9"])
    assert answer.code == 5
    assert "no progress" in answer.err and "fails the same way" in answer.err
    assert (shop.root / "cart.py").read_text() == CART
    stuck = mend(
        {"text": block("cart.py", "def total(prices):\n", "# a\ndef total(prices):\n"), "times": 0},
        args=["--max-rounds", "9"],
    )
    assert stuck.code == 5
    kept = re.search(r"codebot apply (\S+)", stuck.err)[1]
    assert "+# a" in Path(kept).read_text()


def test_rounds_are_counted(shop, mend):
    answers = [body("0", "1"), body("1", "2"), body("2", "4"), body("4", "5")]
    answer = mend(*answers, args=["--max-rounds", "3"])
    assert answer.code == 5
    assert "still fails after 3 rounds" in answer.err
    refused = mend(*answers, args=["--max-rounds", "1", "--json"])
    assert refused.json["error"]["output"].endswith("AssertionError: 1 is not 3")
    assert mend("NO CHANGES: the test is wrong.").code == 5


@pytest.mark.parametrize(
    "cheat",
    [
        block("tests/test_cart.py", "test_total()\n", ""),
        block(
            "tests/test_cart.py",
            "    assert total([1, 2]) == 3, f'{total([1, 2])} is not 3'\n",
            "    assert total([1, 2]) == 0\n",
        ),
        block("sitecustomize.py", "", "import os\n"),
        block("cart.py", "def total(prices):\n", "import os\nos._exit(0)\n\n\ndef total(prices):\n"),
    ],
)
def test_a_change_that_weakens_the_check_is_denied_and_shown(shop, mend, cheat):
    answer = mend({"text": cheat, "times": 0}, args=["--apply"])
    assert answer.code == 7, answer.err
    assert "weakens tests or checks" in answer.err
    assert (shop.root / "cart.py").read_text() == CART
    assert (shop.root / "tests/test_cart.py").read_text() == TEST
    assert "codebot apply" in answer.err


def test_tests_may_be_changed_when_a_person_says_so(shop, mend):
    change = block(
        "tests/test_cart.py",
        "    assert total([1, 2]) == 3, f'{total([1, 2])} is not 3'\n",
        "    assert total([1, 2]) == 0\n",
    )
    assert mend(change, args=["--apply", "--allow-tests-change"]).code == 0
    assert "== 0" in (shop.root / "tests/test_cart.py").read_text()


def test_from_a_command_and_from_given_output(shop, mend):
    assert (
        mend({"when": "0 is not 3", "text": GOLD}, check="", args=["--from-cmd", CHECK, "--dry-run"]).code
        == 0
    )
    (shop.root / "output.txt").write_text("AssertionError: it should be 3\n")
    answer = mend(
        {"when": "it should be 3", "text": GOLD}, check="", args=["--input", "output.txt", "--dry-run"]
    )
    assert "+    return sum(prices)" in answer.out
    given = json.dumps({"input": "it should be 3"})
    assert shop.codebot("fix", "--script", shop.root / "no", "-p", given=given).code == 2


def test_a_check_that_is_set_is_used(shop, mend, monkeypatch):
    monkeypatch.setenv("PRUNEJUICE_CHECK", CHECK)
    assert mend(GOLD, check="", args=["--apply"]).code == 0
    monkeypatch.delenv("PRUNEJUICE_CHECK")
    assert "'pytest -q' passes" in mend(GOLD, check="").err  # as the project's tests say
    for path in shop.root.rglob("test_*.py"):
        path.unlink()
    answer = mend(GOLD, check="")
    assert answer.code == 2
    assert "needs a check that has to pass" in answer.err


PYTEST_TEST = "from cart import total\n\n\ndef test_total():\n    assert total([1, 2]) == 3\n"


@pytest.mark.parametrize(("new", "code"), [("sum(prices)", 0), ("1", 5)])
@pytest.mark.parametrize("way", ["file", "pipe"])
def test_debug_tests_runs_the_tests_that_the_output_says_failed(shop, tmp_path, new, code, way):
    (shop.root / "tests/test_cart.py").write_text(PYTEST_TEST)
    failed = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=shop.root, env={"PYTHONPATH": ".", "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "FAILED tests/test_cart.py::test_total" in failed.stdout
    (tmp_path / "out.txt").write_text(failed.stdout)
    script = tmp_path / "answers.yaml"
    script.write_text(yaml.safe_dump({"answers": [{"times": 0, "text": body("0", new)}]}))
    words = ["debug-tests", "--script", str(script), "--max-rounds", "1"]
    if way == "file":
        answer = shop.codebot(*words, "--input", tmp_path / "out.txt")
        assert answer.code == code, answer.err
    else:  # nothing else is named
        program = [Path(sys.executable).with_name("codebot"), *words]
        piped = subprocess.run(
            program, cwd=shop.root, input=failed.stdout, capture_output=True, text=True, check=False
        )
        assert piped.returncode == code, piped.stderr
    assert (shop.root / "cart.py").read_text() == CART


def test_failed_tests_that_are_not_there_are_no_check(shop, mend, tmp_path):
    (tmp_path / "out.txt").write_text("FAILED tests/gone.py::test_a - x\nFAILED ../x.py::test_b\n")
    answer = mend(body("0", "1"), verb="debug-tests", check="", args=["--input", tmp_path / "out.txt"])
    assert answer.code == 0, answer.err


def test_debug_tests_reads_the_clipboard_by_itself(shop, mend, monkeypatch, tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "xclip").write_text("#!/bin/sh\necho 'AssertionError: 0 is not 3'\n")
    (tools / "xclip").chmod(0o755)
    import os

    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("DISPLAY", ":0")
    for name in ("WAYLAND_DISPLAY", "TMUX", "SSH_CONNECTION", "SSH_TTY"):
        monkeypatch.delenv(name, raising=False)
    answer = mend(
        {"when": "AssertionError: 0 is not 3", "text": GOLD},
        verb="debug-tests",
        check="",
        args=["--dry-run"],
    )
    assert answer.code == 0, answer.err
    assert "+    return sum(prices)" in answer.out


def test_the_check_sees_the_copy_and_its_output_names_no_place_of_it(shop, mend):
    answer = mend(
        {"when": "at ./cart.py", "text": GOLD}, check=f"echo at $PWD/cart.py; {CHECK}", args=["--dry-run"]
    )
    assert answer.code == 0, answer.err
    slow = mend(GOLD, check="exit 1", args=["--max-rounds", "1"])
    assert slow.code == 5


def test_folders_that_checks_need_are_there(shop, mend):
    (shop.root / ".gitignore").write_text("node_modules/\n")
    (shop.root / "node_modules").mkdir()
    (shop.root / "node_modules/tool").write_text("x")
    (shop.root / "link").symlink_to("cart.py")
    (shop.root / "run.sh").write_text("#!/bin/sh\nexit 0\n")
    (shop.root / "run.sh").chmod(0o755)
    check = f"test -f node_modules/tool && test -L link && ./run.sh && {CHECK}"
    assert mend(GOLD, args=["--dry-run"], check=check).code == 0


def test_newly_passing_tests_are_counted_in_the_evidence(shop, mend):
    (shop.root / "tests/test_cart.py").write_text(
        "from cart import total\n\n\ndef test_empty():\n    assert total([]) == 0\n\n\ndef test_total():\n    assert total([3, 4]) == 7\n"
    )
    pytest_ = f"{sys.executable} -m pytest -q -p no:cacheprovider"
    answer = mend(GOLD, args=["--json"], check=pytest_)
    assert answer.code == 0, answer.err
    assert "passing now: 1 test that failed before, 1 test that passed before" in answer.json["evidence"]


def test_hard_coded_answer_is_denied(shop, mend):
    (shop.root / "tests/test_cart.py").write_text(
        "from cart import total\n\n\ndef test_total():\n    assert total([3, 4]) == 7\n"
    )
    cheat = block("cart.py", "    return 0\n", "    if prices == [3, 4]:\n        return 7\n    return 0\n")
    answer = mend(cheat, check=f"{sys.executable} -m pytest -q -p no:cacheprovider")
    assert answer.code == 7, answer.err
    assert "hard-codes" in answer.err
    assert (shop.root / "cart.py").read_text() == CART


def test_change_that_stops_tests_from_being_collected_is_denied(shop, mend):
    """A change outside of the tests that keeps some of them from being collected."""
    (shop.root / "helpers.py").write_text("CASES = [1, 2]\n")
    (shop.root / "tests/test_cart.py").write_text(
        "import pytest\nfrom cart import total\nfrom helpers import CASES\n\n\n@pytest.mark.parametrize('case', CASES)\ndef test_case(case):\n    assert case < 3\n\n\ndef test_total():\n    assert total([3, 4]) == 7\n"
    )
    git(shop.root, "add", ".")
    git(shop.root, "commit", "-qm", "More tests")
    answer = mend(
        GOLD + block("helpers.py", "CASES = [1, 2]\n", "CASES = [1]\n"),
        check=f"{sys.executable} -m pytest -q -p no:cacheprovider",
    )
    assert answer.code == 7, answer.err
    assert "this test does not" in answer.err


PYTEST = f"{sys.executable} -m pytest -q -p no:cacheprovider"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (body("0", "pytest.skip('later')"), "a test is skipped"),
        ("pluggy.py\n<<<<<<< SEARCH\n=======\nraise SystemExit\n>>>>>>> REPLACE\n", "replaces a module"),
        (
            block("cart.py", CART, "class Any:\n    def __eq__(self, other):\n        return True\n"),
            "equal to everything",
        ),
        (
            'package.json\n<<<<<<< SEARCH\n  "t": "x"\n=======\n  "t": "true"\n>>>>>>> REPLACE\n',
            "it configures the checks",
        ),
    ],
)
def test_ways_around_the_tests_are_denied(shop, mend, change, why):
    (shop.root / "package.json").write_text('{"scripts": {\n  "t": "x"\n}}\n')
    git(shop.root, "add", ".")
    answer = mend(change, check=PYTEST)
    assert answer.code == 7, answer.err
    assert why in answer.err


def test_a_script_that_is_the_check_is_kept(shop, mend):
    (shop.root / "check.sh").write_text(f"{CHECK}\n")
    git(shop.root, "add", ".")
    answer = mend(block("check.sh", f"{CHECK}\n", "true\n"), check="sh ./check.sh")
    assert answer.code == 7, answer.err
    assert "check.sh" in answer.err


def test_a_check_that_is_not_installed_is_said_before_anybody_is_asked(mend):
    answer = mend(GOLD, check="nosuch-program --all")
    assert answer.code == 2
    assert "nosuch-program not found" in answer.err


def test_earlier_changes_are_kept_when_the_agent_fails_later(shop, mend):
    answer = mend(body("0", "1"), {"error": "overloaded"})
    assert answer.code == 6
    path = re.search(r"codebot apply (\S+)", answer.err)[1]
    assert "+    return 1" in Path(path).read_text()


def test_a_check_sees_the_whole_tree_and_cannot_reach_it(shop, mend):
    """Links, what other tools hide from models, and an absolute link into the tree."""
    (shop.root / "fix").mkdir()
    (shop.root / "fix/in.txt").write_text("here")
    (shop.root / ".ignore").write_text("fix/\n")
    (shop.root / "latest").symlink_to("fix/in.txt")
    git(shop.root, "add", ".")
    git(shop.root, "commit", "-qm", "Links")
    (shop.root / "linked").symlink_to(shop.root / "fix")
    answer = mend(GOLD, check=f"cat latest fix/in.txt && echo changed > linked/in.txt && {CHECK}")
    assert answer.code == 0, answer.err
    assert (shop.root / "fix/in.txt").read_text() == "here"


def test_two_ways_to_name_a_check_are_one_too_many(mend):
    answer = mend(GOLD, args=["--from-cmd", "true"])
    assert answer.code == 2
    assert "--from-cmd and --check cannot be combined" in answer.err
