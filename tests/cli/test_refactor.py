"""`codebot test` and `codebot refactor`: answers are executed before they are accepted."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from conftest import git
from prunejuice.verbs.verify import generated_tests, test_runs
from prunejuice.verbs.verify.runners.protocol import RunnerReport
from prunejuice.verbs.verify.runners.pytest import Pytest

CART = '''"""The cart."""


def total(prices):
    result = 0
    for price in prices:
        if price < 0:
            raise ValueError("a price below 0")
        result += price
    return result


def label(name):
    return name.strip().title()


def tax(price):
    return price * 2
'''


@pytest.fixture
def shop(project):
    (project.root / "cart.py").write_text(CART)
    (project.root / "tests").mkdir()
    (project.root / "tests/test_label.py").write_text(
        "from cart import label\n\n\ndef test_label():\n    assert label(' a b ') == 'A B'\n"
    )
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "Open the shop")
    return project


@pytest.fixture
def answers(shop, tmp_path):
    """Let a verb be answered by a script; what was said of it."""

    def answered(verb, *rows, args=()):
        path = tmp_path / "answers.yaml"
        path.write_text(yaml.safe_dump({"answers": list(rows)}))
        return shop.codebot(verb, "--script", path, *args)

    return answered


def case(name, code, *imports, kind="unit"):
    return {"test_name": name, "test_type": kind, "imports_needed": list(imports), "test_code": code}


IMPORT = "from cart import total, label"
GOOD = case("test_total", "def test_total():\n    assert total([1, 2]) == 3\n", IMPORT)
EDGE = case(
    "test_below_zero",
    "def test_below_zero():\n    with pytest.raises(ValueError):\n        total([-1])\n",
    IMPORT,
    kind="edge_case",
)
BROKEN = case("test_broken", "def test_broken(:\n", IMPORT)
WRONG = case("test_wrong", "def test_wrong():\n    assert total([1]) == 2\n", IMPORT)
KNOWN = case("test_known", "def test_known():\n    assert label('x') == 'X'\n", IMPORT)
BLIND = case("test_blind", "def test_blind():\n    tax(3)\n", "from cart import tax")
FIRST = case(
    "test_first",
    "def test_first():\n    assert not seen\n    seen.append(total([4]))\n    assert seen == [4]\n",
    IMPORT,
)
SECOND = case(
    "test_second", "def test_second():\n    assert total([2, 2]) == 4\n    seen.append(1)\n", IMPORT
)


def test_only_valid_tests_are_kept_and_the_report_gives_reasons(shop, answers):
    again = case("test_again", "def test_again():\n    # the same\n    assert total([1, 2]) == 3\n", IMPORT)
    cases = [GOOD, EDGE, BROKEN, WRONG, KNOWN, BLIND, again]
    answer = answers("test", {"output": {"test_cases": cases}}, args=["cart.py", "--json"])
    assert answer.code == 0, answer.err
    assert answer.json["files"][0]["filepath"] == "tests/test_cart.py"
    assert answer.json["evidence"][0] == "2 of 7 tests pass in any order, run new code, and detect a fault"
    for said in (
        "test_broken: dropped (parses)",
        "test_wrong: dropped (passes): it may reveal a fault: assert 1 == 2",
        "test_known: dropped (covers)",
        "test_blind: dropped (notices)",
        "test_again: dropped (covers): it duplicates test_total",
    ):
        assert said in answer.err, answer.err
    assert shop.codebot("apply", answer.json["id"]).code == 0
    made = (shop.root / "tests/test_cart.py").read_text()
    assert "def test_total" in made
    assert "def test_below_zero" in made
    assert "def test_blind" not in made
    assert made.count("import pytest") == 1
    run = shop.prj("history", "--json").json["items"][0]
    assert (
        "dropped (notices)"
        in (
            shop.home
            / "runs"
            / run["id"]
            / "prompts"
            / next(
                p.name
                for p in (shop.home / "runs" / run["id"] / "prompts").iterdir()
                if p.name.endswith("tests.md")
            )
        ).read_text()
    )


def test_a_test_has_to_detect_a_fault_by_an_assertion(shop, answers):
    (shop.root / "tests/test_tax.py").write_text(
        "from cart import tax\n\n\ndef test_zero():\n    assert tax(0) == 0\n"
    )
    imports = "from cart import label, tax"
    cases = [
        case("test_alone", "def test_alone():\n    assert tax(3) == 6\n", imports),
        case("test_runs", "def test_runs():\n    label('x')\n", imports),
        case("test_same", "def test_same():\n    assert tax(4) == tax(4)\n", imports),
        case("test_twin", 'def test_twin():\n    """Doubles."""\n    assert tax(3) == 6\n', imports),
    ]
    answer = answers("test", {"output": {"test_cases": cases}}, args=["cart.py", "--json"])
    assert answer.code == 0, answer.err
    assert "test_alone: kept: a fault that no other test detects" in answer.err
    assert "test_runs: dropped" in answer.err
    assert "test_same: dropped" in answer.err
    assert "test_twin: dropped (covers): it duplicates test_alone" in answer.err


@pytest.fixture
def started(shop, monkeypatch):
    """Return the command lines of the Python programs that were started in the copy."""
    monkeypatch.setenv("PRUNEJUICE_SANDBOX", "off")  # they are written down beside the tree
    log, program = shop.home / "started.txt", shop.root / ".venv/bin/python"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\necho "$*" >> {log}\nexec {sys.executable} "$@"\n')
    program.chmod(0o755)
    return lambda: [line for line in log.read_text().splitlines() if " pytest " in f" {line} "]


def test_five_tests_are_proved_in_few_runs(shop, answers, started):
    cases = [
        case(
            f"test_sum_{n}",
            f"def test_sum_{n}():\n    assert total([{n}, {n + 1}]) == {2 * n + 1}\n",
            IMPORT,
        )
        for n in range(3, 7)
    ]
    answer = answers("test", {"output": {"test_cases": [*cases, EDGE]}}, args=["cart.py", "--json"])
    assert answer.json["evidence"][0].startswith("5 of 5 tests"), answer.err
    assert len(started()) <= 6 + 5


def test_a_test_that_ends_the_program_leaves_the_others_their_verdict(shop, answers):
    ends = case("test_ends", "def test_ends():\n    import os\n    os._exit(0)\n", IMPORT)
    answer = answers("test", {"output": {"test_cases": [ends, GOOD]}}, args=["cart.py", "--json"])
    assert "test_ends: dropped (passes): it ends the program that runs the tests" in answer.err
    assert "test_total: kept" in answer.err


RATES = "import os\n\nRATE = 1\n\n\ndef price(n):\n    return n * RATE + 1\n\n\ndef check(n):\n    if n == 3:\n        os._exit(3)\n    return n + 1\n\n\ndef parse(text):\n    return int(text)\n"
FROM_RATES = "import rates"
TOGETHER = {
    "a test that changes the module before it": (
        [
            case(
                "test_rate",
                "def test_rate():\n    rates.RATE = 5\n    assert rates.price(1) == 0\n",
                FROM_RATES,
            ),
            case("test_price", "def test_price():\n    assert rates.price(2) == 3\n", FROM_RATES),
        ],
        "test_price",
    ),
    "a test that ends the program with the fault": (
        [
            case(
                "test_guard",
                "def test_guard():\n    assert rates.check(rates.price(0)) == 2\n    rates.check(2 + rates.price(0) - 1)\n",
                FROM_RATES,
            ),
            case("test_price", "def test_price():\n    assert rates.price(2) == 3\n", FROM_RATES),
        ],
        "test_price",
    ),
    "a test whose fixture runs the code": (
        [
            case(
                "test_parsed",
                "@pytest.fixture\ndef parsed():\n    return rates.parse('6')\n\n\ndef test_parsed(parsed):\n    assert parsed == 6\n",
                FROM_RATES,
            ),
            case("test_price", "def test_price():\n    assert rates.price(2) == 3\n", FROM_RATES),
        ],
        "test_parsed",
    ),
}


@pytest.mark.parametrize("name", TOGETHER)
def test_a_good_test_is_kept_whatever_is_run_with_it(shop, answers, name):
    cases, kept = TOGETHER[name]
    (shop.root / "rates.py").write_text(RATES)
    git(shop.root, "add", ".")
    answer = answers("test", {"output": {"test_cases": cases}}, args=["rates.py", "--json"])
    assert f"{kept}: kept" in answer.err


def test_two_tests_of_one_fault_do_not_drop_each_other(shop, answers):
    (shop.root / "rates.py").write_text(RATES)
    (shop.root / "tests/test_rates.py").write_text(
        "import rates\n\n\ndef test_runs():\n    assert rates.price(1)\n"
    )
    git(shop.root, "add", ".")
    cases = [
        case(
            f"test_price_{n}",
            f"def test_price_{n}():\n    assert rates.price({n}) == {n + 1}\n",
            FROM_RATES,
        )
        for n in (2, 5)
    ]
    answer = answers("test", {"output": {"test_cases": cases}}, args=["rates.py", "--json"])
    assert answer.err.count(": kept: a fault that no other test detects") >= 1


def test_a_fault_that_raises_is_not_detected_by_a_test_without_assertions(shop, answers):
    (shop.root / "first.py").write_text("def first(xs):\n    return xs[0]\n")
    git(shop.root, "add", ".")
    runs = case("test_runs", "def test_runs():\n    first([1])\n", "from first import first")
    tells = case("test_tells", "def test_tells():\n    assert first([1]) == 1\n", "from first import first")
    answer = answers("test", {"output": {"test_cases": [runs, tells]}}, args=["first.py", "--json"])
    assert "test_runs: dropped (notices): no assertion of it fails" in answer.err
    assert "test_tells: kept" in answer.err


def test_tests_of_a_feature_that_does_not_exist_have_to_fail(shop, tmp_path, monkeypatch):
    imports = "import cart"
    cases = [
        case("test_new", "def test_new():\n    assert cart.discount(10) == 9\n", imports),
        case("test_value", "def test_value():\n    assert cart.tax(1) == 3\n", imports),
        case("test_old", "def test_old():\n    assert cart.tax(1) == 2\n", imports),
        case("test_fixture", "def test_fixture(nothing):\n    assert cart.discount(1)\n", imports),
        case("test_type", "def test_type():\n    assert cart.tax() == 1\n", imports),
    ]
    script = {"answers": [{"times": 0, "output": {"test_cases": cases}}]}
    (tmp_path / "script.yaml").write_text(yaml.safe_dump(script))
    shop.command(
        "red",
        "steps: [{name: t, agent: test, args: {must_fail: true, paths: [cart.py], prompt: discount}}]\n",
    )
    monkeypatch.setenv("PRUNEJUICE_AGENT", "scripted")
    monkeypatch.setenv("PRUNEJUICE_SCRIPT", str(tmp_path / "script.yaml"))
    run = shop.prj("run", "red", "--json")
    assert run.code == 0, run.err
    made = (shop.root / "tests/test_cart.py").read_text()
    assert "def test_new" in made
    assert "def test_value" in made
    assert made.count("def test_") == 2


@pytest.mark.parametrize(
    ("output", "kept"),
    [
        ("E       assert 3 == 2", True),
        ("E   AttributeError: module 'calc' has no attribute 'sub'", True),
        ("E   ImportError: cannot import name 'sub' from 'calc'", True),
        ("E   ModuleNotFoundError: No module named 'calc.sub'", True),
        ("E   NotImplementedError", True),
        ("E   TypeError: add() got an unexpected keyword argument 'c'", True),
        ("E   Failed: DID NOT RAISE <class 'ValueError'>", True),
        ("E       fixture 'nothing' not found", False),
        ("E   ZeroDivisionError: division by zero", False),
        ("E     SyntaxError: invalid syntax", False),
        ("E   TypeError: add() missing 1 required positional argument", False),
    ],
)
def test_a_test_must_fail_for_want_of_what_it_tests(output, kept):
    runner = Pytest(None, (), "")
    verdict = generated_tests._judge_failure("t", RunnerReport({"t": output}), runner)
    assert verdict.kept == kept
    assert not generated_tests._judge_failure("t", RunnerReport({"t": ""}), runner).kept


def test_a_test_that_hangs_on_its_order_is_dropped(shop, answers):
    output = {"test_cases": [FIRST, SECOND], "setup_code": "seen = []"}
    answer = answers("test", {"output": output}, args=["cart.py", "--json"])
    assert answer.code == 0, answer.err
    assert "test_first: dropped (order)" in answer.err
    assert "def test_second" in answer.json["diff"]
    assert "def test_first" not in answer.json["diff"]


def test_generated_tests_are_refused_but_saved_when_none_is_valid(shop, answers):
    answer = answers("test", {"output": {"test_cases": [WRONG, BLIND]}}, args=["cart.py"])
    assert answer.code == 3, answer.err
    assert "none of 2 tests passed the gates" in answer.err
    assert "codebot apply" in answer.err
    assert not (shop.root / "tests/test_cart.py").exists()
    assert shop.codebot("pending", "--json").json["items"] == []


def test_tests_for_a_language_without_a_runner(shop, answers):
    (shop.root / "main.rs").write_text("fn main() {}\n")
    answer = answers("test", args=["main.rs"])
    assert answer.code == 2
    assert "no file to test of Python, JavaScript, TypeScript or Go" in answer.err


def block(old, new):
    return f"I see.\n\ncart.py\n<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n"


LOOP = '    result = 0\n    for price in prices:\n        if price < 0:\n            raise ValueError("a price below 0")\n        result += price\n    return result\n'
SAME = block(
    LOOP,
    '    if any(price < 0 for price in prices):\n        raise ValueError("a price below 0")\n    return sum(prices)\n',
)
OTHER = block(LOOP, "    return sum(prices)\n")
SIGNATURE = block("def label(name):\n", "def label(name, upper):\n")
GONE = block("\n\ndef label(name):\n    return name.strip().title()\n", "\n")


def test_a_refactoring_that_keeps_the_behaviour(shop, answers):
    answer = answers("refactor", {"text": SAME}, args=["cart.py", "--json"])
    assert answer.code == 0, answer.err
    said = " ".join(answer.json["evidence"])
    assert "passes before and after" in said
    assert "all public names and signatures are unchanged" in said
    assert "total returns the same for" in said


def test_a_refactoring_without_a_check_says_how_much_was_compared(shop, answers):
    git(shop.root, "rm", "-qr", "tests")
    git(shop.root, "commit", "-qm", "Drop the tests")
    answer = answers("refactor", {"text": SAME}, args=["cart.py"])
    assert answer.code == 0, answer.err
    assert "the calls of 1 function give the same results; nothing else was compared" in answer.err


def test_a_test_on_faulty_code_has_a_bound_by_its_own_time():
    assert test_runs.fault_time_limit(0.5) == 10
    assert test_runs.fault_time_limit(50) == 60


def test_behaviour_change_is_sent_back_with_the_differing_calls(shop, answers):
    answer = answers(
        "refactor",
        {"text": OTHER},
        {
            "when": "raises ValueError before",
            "text": block(
                "    return sum(prices)\n", SAME.partition("=======\n")[2].partition(">>>>>>>")[0]
            ),
        },
        args=["cart.py", "--json"],
    )
    assert answer.code == 0, answer.err
    assert answer.json["rounds"] == 2
    assert "returns" in answer.err


@pytest.mark.parametrize(
    ("cheat", "said"),
    [
        (OTHER, "raises ValueError before"),
        (SIGNATURE, "label(name) changed to label(name, upper)"),
        (GONE, "label was removed"),
    ],
)
def test_refactoring_that_keeps_changing_behaviour_is_refused(shop, answers, cheat, said):
    answer = answers(
        "refactor", {"text": cheat}, {"text": "NO CHANGES"}, args=["cart.py", "--max-rounds", "1"]
    )
    assert answer.code == 3, answer.err
    assert said in answer.err
    assert (shop.root / "cart.py").read_text() == CART
    assert shop.codebot("pending", "--json").json["items"] == []


def test_tests_that_fail_before_say_nothing(shop, answers):
    (shop.root / "tests/test_label.py").write_text("def test_label():\n    assert False\n")
    answer = answers("refactor", {"text": SAME}, args=["cart.py", "--json"])
    assert answer.code == 0, answer.err
    assert "fails before any change" in answer.err
    assert "before and after" not in json.dumps(answer.json["evidence"])


def test_the_evidence_goes_into_the_pull_request(shop, answers, tmp_path):
    answers("refactor", {"text": SAME}, args=["cart.py"])
    git(tmp_path, "init", "-q", "--bare", "remote.git")
    git(shop.root, "remote", "add", "origin", f"file://{tmp_path}/remote.git")
    shown = shop.codebot("submit-pr", "--dry-run").out
    assert "Evidence:" in shown
    assert "returns the same for" in shown
    assert Path(shop.root, "cart.py").read_text() == CART


def test_generator_results_are_compared_item_by_item(shop, answers):
    old = "def doubled(xs):\n    return (x * 2 for x in xs)\n"
    (shop.root / "lazy.py").write_text(old)
    git(shop.root, "add", ".")
    cheat = f"x\n\nlazy.py\n<<<<<<< SEARCH\n{old}=======\n{old.replace('* 2', '* 3')}>>>>>>> REPLACE\n"
    answer = answers("refactor", {"text": cheat}, args=["lazy.py", "--max-rounds", "1"])
    assert answer.code == 3, answer.err
    assert "each of" in answer.err


def test_nothing_is_said_to_be_the_same_that_nobody_compared(shop, answers):
    (shop.root / "notes.txt").write_text("one\n")
    change = "x\n\nnotes.txt\n<<<<<<< SEARCH\none\n=======\ntwo\n>>>>>>> REPLACE\n"
    git(shop.root, "rm", "-q", "-r", "tests")
    answer = answers("refactor", {"text": change}, args=["notes.txt"])
    assert answer.code == 0, answer.err
    assert "no test and no call shows that the behaviour is unchanged" in answer.err
