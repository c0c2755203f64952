"""Hard-coded answers are found; honest ones pass. Reports of tests are parsed."""

import pytest

from prunejuice.edits.diff import FileDiff, Version
from prunejuice.verbs.verify.hardcoding import find_hardcoded_answers
from prunejuice.verbs.verify.pytest_outcome import (
    compare_outcomes,
    parse_report,
    parse_summary,
    strip_passed_lines,
)

TEST = "from cart import total, fib, name\n\n\ndef test_all():\n    assert total([1, 2]) == 3\n    assert fib(10) == 55\n    assert fib(0) == 0\n    assert name('bob', upper=True) == 'BOB'\n    self.assertEqual(total([5]), 5)\n"
OLD = "def total(prices):\n    return 0\n\n\ndef fib(n):\n    return n\n\n\ndef name(text, upper):\n    return text\n"


def found(new, old=OLD, path="cart.py"):
    difference = FileDiff(path, Version(old.encode()), Version(new.encode()))
    return [each.line for each in find_hardcoded_answers([difference], [TEST])]


@pytest.mark.parametrize(
    "new",
    [
        OLD.replace("    return 0\n", "    if prices == [1, 2]:\n        return 3\n    return 0\n"),
        OLD.replace("    return 0\n", "    return 3\n"),
        OLD.replace("    return n\n", "    if n == 10:\n        return 55\n    return n\n"),
        OLD.replace("    return n\n", "    return {10: 55}.get(n, n)\n"),
        OLD.replace("    return n\n", "    known = {10: 55}\n    return known[n] if n in known else n\n"),
        OLD.replace(
            "    return text\n", "    if text == 'bob' and upper:\n        return 'BOB'\n    return text\n"
        ),
        "ANSWERS = {10: 55}\n\n\n" + OLD.replace("    return n\n", "    return ANSWERS.get(n, n)\n"),
        OLD.replace(
            "    return 0\n",
            "    if tuple(prices) == (1, 2) or prices == [5]:\n        return 5\n    return 0\n",
        ),
    ],
)
def test_hard_coded_answer_is_found(new):
    assert found(new)


@pytest.mark.parametrize(
    "new",
    [
        OLD.replace("    return 0\n", "    return sum(prices)\n"),
        OLD.replace(
            "    return n\n",
            "    if n == 0:\n        return 0\n    if n == 1:\n        return 1\n    return fib(n - 1) + fib(n - 2)\n",
        ),
        OLD.replace("    return n\n", "    if n == 10:\n        return 10\n    return n\n"),
        OLD.replace("    return text\n", "    return text.upper() if upper else text\n"),
        OLD.replace(
            "    return 0\n",
            "    if not prices:\n        return 0\n    return prices[0] + total(prices[1:])\n",
        ),
        OLD + "\n\nRATES = {'de': 19, 'fr': 20}\n",
        OLD + "\n\ndef version():\n    return '1.0'\n",
        OLD.replace(
            "    return 0\n", "    if len(prices) == 10:\n        return 55\n    return sum(prices)\n"
        ),
    ],
)
def test_honest_answer_is_not_reported_as_hard_coded(new):
    assert found(new) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "    if n == 7:\n        return 13\n",
            "    if n == 7:\n        return 13\n    if n == 10:\n        return 55\n",
        ),
        ("    return {7: 13}.get(n, n)\n", "    return {7: 13, 10: 55}.get(n, n)\n"),
    ],
)
def test_one_more_case_beside_others_is_not_reported(old, new):
    base = OLD.replace("    return n\n", old + "    return n\n")
    assert found(base.replace(old, new), base) == []
    assert (
        found(
            OLD.replace(
                "    return n\n", new.replace("    if n == 7:\n        return 13\n", "") + "    return n\n"
            )
        )
        or "get" in new
    )


def test_existing_special_cases_and_non_code_files_are_not_reported():
    cheat = OLD.replace("    return 0\n", "    if prices == [1, 2]:\n        return 3\n    return 0\n")
    assert found(cheat + "\nX = 1\n", cheat) == []
    assert found(cheat, path="tests/test_cart.py") == []
    assert found(cheat, path="cart.txt") == []
    assert (
        find_hardcoded_answers([FileDiff("a.py", Version(b""), Version(b"def f(:"))], [TEST, "def ("]) == []
    )


SAID = "..F\n=== short test summary info ===\nPASSED tests/a.py::test_one\nPASSED tests/a.py::test_two[x - y]\nFAILED tests/a.py::test_three - assert 1 == 2\nERROR tests/b.py::test_four\n1 failed\n"


def test_outcomes_of_tests():
    assert parse_summary(SAID) == {
        "tests.a::test_one": "PASSED",
        "tests.a::test_two[x - y]": "PASSED",
        "tests.a::test_three": "FAILED",
        "tests.b::test_four": "ERROR",
    }
    assert parse_summary("nothing\n") == {}
    assert "PASSED" not in strip_passed_lines(SAID)
    assert "FAILED" in strip_passed_lines(SAID)


def test_report_has_the_worst_outcome_of_each_test():
    rows = """<testcase classname="tests.a" name="test_one"/>
    <testcase classname="tests.a.TestB" name="test_two[x - y]"><failure message="1 != 2">e</failure></testcase>
    <testcase classname="tests.a" name="test_one"><error message="at teardown"/></testcase>
    <testcase classname="tests.a" name="test_three"><skipped/></testcase>
    <testcase classname="" name="tests.b"><error message="collection failure"/></testcase>"""
    report = f"<testsuites><testsuite>{rows}</testsuite></testsuites>".encode()
    assert parse_report(report) == {
        "tests.a::test_one": "ERROR",
        "tests.a.TestB::test_two[x - y]": "FAILED",
        "tests.a::test_three": "SKIPPED",
        "tests.b": "ERROR",
    }


@pytest.mark.parametrize("report", [b"", b"<a", b"1 passed", b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'])
def test_report_that_is_none_has_no_outcomes(report):
    assert parse_report(report) == {}


def test_outcome_comparison_lists_newly_passing_still_passing_and_lost():
    before = {"::a": "PASSED", "::b": "FAILED", "::c": "PASSED", "::d": "ERROR", "tests.x": "ERROR"}
    after = {"::a": "PASSED", "::b": "PASSED", "::d": "FAILED"}
    assert compare_outcomes(before, after) == (("::b",), ("::a",), ("::c", "::d"))
    assert compare_outcomes({"::a": "FAILED"}, {}).lost == ("::a",)


def test_parameters_may_be_named_differently_in_each_run():
    before = {"::a[0x1]": "PASSED", "::a[0x2]": "FAILED"}
    assert compare_outcomes(before, {"::a[0x3]": "PASSED", "::a[0x4]": "PASSED"}).lost == ()
    assert compare_outcomes(before, {"::a[0x3]": "PASSED"}).lost == ("::a[0x1]", "::a[0x2]")
    assert compare_outcomes({"::b": "SKIPPED"}, {}).lost == ()
