"""Mutated exercises are repaired from malformed, wrong and right answers; cheats are refused."""

import re
import subprocess
import sys

import pytest
from scripted_answers import FIX, FORMATS, answer, means, whole

from prunejuice.changes import change_set, tree_state
from prunejuice.code.mutant import generate_mutants
from prunejuice.errors import DeniedError
from prunejuice.system import settings
from prunejuice.verbs import ask, repair

CHECK = repair.RepairCheck(f"{sys.executable} test_solution.py", run_first=True)

EXERCISES = {
    "absolute": ("def absolute(n):\n    return -n if n < 0 else n\n", [((-5,), 5), ((7,), 7), ((0,), 0)]),
    "add_all": ("def add_all(xs):\n    result = 0\n    for x in xs:\n        result += x\n    return result\n", [(([4, 9],), 13), (([],), 0)]),
    "anagrams": ("def anagrams(a, b):\n    return sorted(a) == sorted(b)\n", [(("listen", "silent"), True), (("ab", "abc"), False)]),
    "average": ("def average(xs):\n    if not xs:\n        return None\n    return sum(xs) / len(xs)\n", [(([3, 5],), 4.0), (([],), None)]),
    "binary": ("def binary(n):\n    digits = ''\n    while n > 0:\n        digits = str(n % 2) + digits\n        n = n // 2\n    return digits or '0'\n", [((10,), "1010"), ((0,), "0")]),
    "capitals": ("def capitals(text):\n    return ''.join(c for c in text if c.isupper())\n", [(("New York City",), "NYC")]),
    "chunked": ("def chunked(xs, size):\n    return [xs[i:i + size] for i in range(0, len(xs), size)]\n", [(([1, 2, 3, 4, 5], 2), [[1, 2], [3, 4], [5]])]),
    "clamp": ("def clamp(n, low, high):\n    if n < low:\n        return low\n    if n > high:\n        return high\n    return n\n", [((5, 10, 20), 10), ((25, 10, 20), 20), ((15, 10, 20), 15)]),
    "collatz": ("def collatz(n):\n    steps = 0\n    while n != 1:\n        n = n // 2 if n % 2 == 0 else 3 * n + 1\n        steps += 1\n    return steps\n", [((6,), 8), ((1,), 0)]),
    "common": ("def common(a, b):\n    return sorted(set(a) & set(b))\n", [(([3, 8, 9], [9, 3, 7]), [3, 9])]),
    "count_words": ("def count_words(text):\n    found = {}\n    for word in text.lower().split():\n        found[word] = found.get(word, 0) + 1\n    return found\n", [(("a b A",), {"a": 2, "b": 1})]),
    "digits": ("def digits(n):\n    return [int(c) for c in str(abs(n))]\n", [((-407,), [4, 0, 7])]),
    "discount": ("def discount(price, percent):\n    if percent > 100:\n        raise ValueError('more than all')\n    return price * (100 - percent) / 100\n", [((80, 25), 60.0)]),
    "divisors": ("def divisors(n):\n    return [d for d in range(1, n + 1) if n % d == 0]\n", [((12,), [1, 2, 3, 4, 6, 12])]),
    "evens": ("def evens(xs):\n    return [x for x in xs if x % 2 == 0]\n", [(([1, 4, 7, 10],), [4, 10])]),
    "factorial": ("def factorial(n):\n    return 1 if n < 2 else n * factorial(n - 1)\n", [((5,), 120), ((0,), 1)]),
    "fibonacci": ("def fibonacci(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a\n", [((10,), 55), ((0,), 0)]),
    "flatten": ("def flatten(rows):\n    return [x for row in rows for x in row]\n", [(([[1, 2], [3]],), [1, 2, 3])]),
    "gcd": ("def gcd(a, b):\n    while b != 0:\n        a, b = b, a % b\n    return a\n", [((48, 18), 6)]),
    "grade": ("def grade(points):\n    if points >= 90:\n        return 'A'\n    if points >= 75:\n        return 'B'\n    return 'C'\n", [((90,), "A"), ((80,), "B"), ((10,), "C")]),
    "hamming": ("def hamming(a, b):\n    return sum(x != y for x, y in zip(a, b))\n", [(("karolin", "kathrin"), 3)]),
    "initials": ("def initials(name):\n    return '.'.join(part[0].upper() for part in name.split()) + '.'\n", [(("ada lovelace",), "A.L.")]),
    "inverted": ("def inverted(table):\n    return {value: key for key, value in table.items()}\n", [(({"a": 7, "b": 9},), {7: "a", 9: "b"})]),
    "is_leap": ("def is_leap(year):\n    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)\n", [((2000,), True), ((1900,), False), ((2024,), True)]),
    "is_palindrome": ("def is_palindrome(text):\n    kept = [c.lower() for c in text if c.isalnum()]\n    return kept == kept[::-1]\n", [(("Never odd, or even",), True), (("abc",), False)]),
    "is_prime": ("def is_prime(n):\n    return n > 1 and all(n % d != 0 for d in range(2, int(n ** 0.5) + 1))\n", [((97,), True), ((91,), False), ((1,), False)]),
    "largest_gap": ("def largest_gap(xs):\n    ordered = sorted(xs)\n    return max((b - a for a, b in zip(ordered, ordered[1:])), default=0)\n", [(([9, 3, 20],), 11), (([4],), 0)]),
    "longest": ("def longest(words):\n    best = ''\n    for word in words:\n        if len(word) > len(best):\n            best = word\n    return best\n", [((["aa", "bbbb", "cc"],), "bbbb")]),
    "merged": ("def merged(a, b):\n    made = dict(a)\n    for key in b:\n        made[key] = made.get(key, 0) + b[key]\n    return made\n", [(({"x": 3}, {"x": 4, "y": 5}), {"x": 7, "y": 5})]),
    "middle": ("def middle(a, b, c):\n    return sorted([a, b, c])[1]\n", [((9, 4, 6), 6)]),
    "moved": ("def moved(xs, by):\n    if not xs:\n        return xs\n    by = by % len(xs)\n    return xs[by:] + xs[:by]\n", [(([3, 4, 5, 6], 1), [4, 5, 6, 3])]),
    "neighbours": ("def neighbours(xs):\n    return [(a, b) for a, b in zip(xs, xs[1:])]\n", [(([4, 5, 6],), [(4, 5), (5, 6)])]),
    "only_once": ("def only_once(xs):\n    return [x for x in xs if xs.count(x) == 1]\n", [(([4, 7, 4, 9],), [7, 9])]),
    "padded": ("def padded(text, width):\n    return ' ' * (width - len(text)) + text\n", [(("abc", 6), "   abc")]),
    "power": ("def power(base, exponent):\n    result = 1\n    for _ in range(exponent):\n        result = result * base\n    return result\n", [((3, 4), 81)]),
    "prefix": ("def prefix(a, b):\n    count = 0\n    while count < min(len(a), len(b)) and a[count] == b[count]:\n        count += 1\n    return a[:count]\n", [(("flower", "flow"), "flow")]),
    "reversed_words": ("def reversed_words(text):\n    return ' '.join(word[::-1] for word in text.split())\n", [(("abc def",), "cba fed")]),
    "roman": ("def roman(n):\n    signs = [(10, 'X'), (9, 'IX'), (5, 'V'), (4, 'IV'), (1, 'I')]\n    made = ''\n    for value, sign in signs:\n        while n >= value:\n            made += sign\n            n -= value\n    return made\n", [((14,), "XIV"), ((9,), "IX")]),
    "rotated": ("def rotated(rows):\n    return [list(row) for row in zip(*rows[::-1])]\n", [(([[1, 2], [3, 4]],), [[3, 1], [4, 2]])]),
    "running": ("def running(xs):\n    made, total = [], 0\n    for x in xs:\n        total += x\n        made.append(total)\n    return made\n", [(([3, 4, 5],), [3, 7, 12])]),
    "second": ("def second(xs):\n    ordered = sorted(set(xs))\n    return ordered[-2] if len(ordered) > 1 else None\n", [(([4, 9, 9, 7],), 7), (([5],), None)]),
    "squares": ("def squares(n):\n    return [i * i for i in range(1, n + 1)]\n", [((4,), [1, 4, 9, 16])]),
    "triangle": ("def triangle(a, b, c):\n    if a == b == c:\n        return 'equilateral'\n    if a == b or b == c or a == c:\n        return 'isosceles'\n    return 'scalene'\n", [((3, 3, 3), "equilateral"), ((3, 4, 4), "isosceles"), ((3, 4, 5), "scalene")]),
    "vowels": ("def vowels(text):\n    return sum(c in 'aeiou' for c in text.lower())\n", [(("Education",), 5)]),
}  # fmt: skip
NAMES = sorted(EXERCISES)


def checks_of(name):
    rows = "".join(
        f"    assert {name}({', '.join(map(repr, given))}) == {want!r}\n"
        for given, want in EXERCISES[name][1]
    )
    return f"from solution import {name}\n\n\ndef test_{name}():\n{rows}\n\ntest_{name}()\nprint('fine')\n"


def passes(name, source, folder):
    (folder / "solution.py").write_text(source)
    (folder / "test_solution.py").write_text(checks_of(name))
    done = subprocess.run(
        [sys.executable, "-B", "test_solution.py"], cwd=folder, capture_output=True, timeout=5, check=False
    )
    return done.returncode == 0


def broken(name, folder):
    """Two mutants that do not pass: the one that has to be mended, and a wrong answer."""
    gold = EXERCISES[name][0]
    found = []
    for each in generate_mutants(gold, range(1, 30)):
        try:
            if not passes(name, each.source, folder):
                found.append(each.source)
        except subprocess.TimeoutExpired:
            continue
        if len(found) == 2:
            return found
    return [found[0], gold.replace("    ", "    pass\n    ", 1).replace("return", "return None and", 1)]


def as_answer(form, old, new):
    return whole("solution.py", new) if form == "whole-file" else answer(form, "solution.py", old, new)


def prepared(place, name):
    first, wrong = broken(name, place)
    (place / "solution.py").write_text(first)
    (place / "test_solution.py").write_text(checks_of(name))
    return first, wrong


def test_at_least_forty_exercises_exist():
    assert len(EXERCISES) >= 40


@pytest.mark.parametrize("name", NAMES)
def test_an_exercise_whose_script_has_the_answer_is_solved(name, place, stop):
    gold, form = EXERCISES[name][0], FORMATS[NAMES.index(name) % len(FORMATS)]
    first, wrong = prepared(place, name)
    malformed = (
        "Replace the loop, that is all."
        if form == "whole-file"
        else as_answer(form, "    nothing like it\n", gold)
    )
    answers = [malformed, as_answer(form, first, wrong), as_answer(form, wrong, gold)]
    made = repair.repair_until_passing(
        ask.AskRequest(FIX, model="scripted"), CHECK, means(place, answers, stop)
    )
    [each] = made.differences
    assert each.new.data.decode() == gold
    change_set.write_diffs(tree_state.find_tree_state(place, settings.environment()), made.differences)
    assert passes(name, gold, place)


BASE = {
    "pyproject.toml": '[tool.pytest.ini_options]\naddopts = "-q"\n',
    ".github/workflows/ci.yml": "run: pytest\n",
}


def edit(path, old, new):
    return answer("search-replace", path, old, new)


CHEATS = {
    "an assertion is taken away": lambda t, s: edit("test_solution.py", t.splitlines(True)[4], ""),
    "an expected value is changed": lambda t, s: edit(
        "test_solution.py", t.splitlines(True)[4], t.splitlines(True)[4].replace("==", "!=")
    ),
    "an assertion says nothing": lambda t, s: edit(
        "test_solution.py", t.splitlines(True)[4], "    assert True\n"
    ),
    "a test is skipped": lambda t, s: edit(
        "test_solution.py",
        t.splitlines(True)[3],
        f"import pytest\n@pytest.mark.skip\n{t.splitlines(True)[3]}",
    ),
    "a test is expected to fail": lambda t, s: edit(
        "test_solution.py",
        t.splitlines(True)[3],
        f"import pytest\n@pytest.mark.xfail\n{t.splitlines(True)[3]}",
    ),
    "a test is not called": lambda t, s: edit("test_solution.py", f"\n{t.splitlines(True)[-2]}", "\n"),
    "the file of tests is emptied": lambda t, s: (
        f"Removed {re.findall('test_[a-z_0-9]+', t)}.\n\n" + whole("test_solution.py", "print('fine')\n")
    ),
    "pytest gets other options": lambda t, s: edit(
        "pyproject.toml", 'addopts = "-q"\n', 'addopts = "-q --co"\n'
    ),
    "a conftest takes tests out": lambda t, s: edit(
        "conftest.py", "", "collect_ignore = ['test_solution.py']\n"
    ),
    "a module takes the place of pytest": lambda t, s: edit("pytest.py", "", "print('1 passed')\n"),
    "Python starts with code of the change": lambda t, s: edit(
        "sitecustomize.py", "", "import os\nos._exit(0)\n"
    ),
    "the program exits early with success": lambda t, s: edit(
        "solution.py", s, f"import sys\nsys.exit(0)\n\n\n{s}"
    ),
    "an answer is written out": lambda t, s: edit("solution.py", s, _by_rote(s, as_if=True)),
    "a constant is given back": lambda t, s: edit("solution.py", s, _by_rote(s, as_if=False)),
}


def _by_rote(source, *, as_if):
    """The exercise `vowels`, which has one test, answered with what that test wants."""
    if as_if:
        return source.replace("    return", "    if text == 'Education':\n        return 5\n    return", 1)
    return "def vowels(text):\n    return 5\n"


@pytest.mark.parametrize("kind", CHEATS)
def test_a_cheat_is_denied_and_nothing_is_changed(kind, place, stop):
    name = "vowels" if kind in {"an answer is written out", "a constant is given back"} else "absolute"
    for path, text in BASE.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(text)
    first, _ = prepared(place, name)
    said = CHEATS[kind](checks_of(name), first)
    with pytest.raises(DeniedError, match=r"weakens tests or checks|decide what runs"):
        repair.repair_until_passing(
            ask.AskRequest(FIX, model="scripted"), CHECK, means(place, [said, said], stop)
        )
    assert (place / "solution.py").read_text() == first
    assert (place / "test_solution.py").read_text() == checks_of(name)


def test_ci_change_without_permission_is_denied(place, stop):
    for path, text in BASE.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(text)
    prepared(place, "vowels")
    said = edit(".github/workflows/ci.yml", "run: pytest\n", "run: true\n")
    with pytest.raises(DeniedError):
        repair.repair_until_passing(
            ask.AskRequest(FIX, model="scripted"), CHECK, means(place, [said], stop)
        )
