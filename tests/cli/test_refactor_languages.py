"""Refactorings of JavaScript, TypeScript and Go: the tests before and after, and the exported names."""

import shutil

import pytest
import yaml

from conftest import git, write_files
from prunejuice.edits.diff import FileDiff, Version
from prunejuice.verbs.verify.equivalence import EquivalenceChecker

NODE = {
    "package.json": '{"scripts": {"test": "node --test"}}\n',
    "cart.js": "exports.total = function (prices) {\n  let sum = 0\n  for (const price of prices) sum += price\n  return sum\n}\n",
    "cart.test.js": "const test = require('node:test')\nconst assert = require('node:assert')\nconst { total } = require('./cart.js')\n"
    "test('total', () => assert.equal(total([1, 2]), 3))\n",
}
GO = {
    "go.mod": "module example.com/shop\n\ngo 1.19\n",
    "cart.go": "package shop\n\nfunc Total(prices []int) int {\n\tsum := 0\n\tfor i := 0; i < len(prices); i++ {\n\t\tsum += prices[i]\n\t}\n\treturn sum\n}\n",
    "cart_test.go": 'package shop\n\nimport "testing"\n\nfunc TestTotal(t *testing.T) {\n\tif Total([]int{1, 2}) != 3 {\n\t\tt.Error("wrong")\n\t}\n}\n',
}
LOOP = "  let sum = 0\n  for (const price of prices) sum += price\n  return sum\n"
GO_LOOP = "\tfor i := 0; i < len(prices); i++ {\n\t\tsum += prices[i]\n\t}\n"
CASES = {
    "node": ("npm", NODE, "cart.js", (LOOP, "  return prices.reduce((sum, price) => sum + price, 0)\n"), (LOOP, "  return prices.length\n"), ("exports.total = function (prices) {", "exports.sum = function (prices) {"), "npm test --silent"),
    "go": ("go", GO, "cart.go", (GO_LOOP, "\tfor _, price := range prices {\n\t\tsum += price\n\t}\n"), (GO_LOOP, "\tsum = len(prices)\n"), ("func Total(prices []int) int {", "func Total(prices []int, more int) int {"), "go test ./..."),
}  # fmt: skip


def edit(path, change):
    return f"{path}\n<<<<<<< SEARCH\n{change[0].rstrip()}\n=======\n{change[1].rstrip()}\n>>>>>>> REPLACE\n"


@pytest.fixture(params=CASES)
def case(request, project, tmp_path, monkeypatch):
    """A project of a language, and a function that gives the agent its answers."""
    program, files, *rest = CASES[request.param]
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    write_files(project.root, files)
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "shop")

    def answer(*changes):
        path = tmp_path / "answers.yaml"
        texts = [{"text": edit(rest[0], change)} for change in changes]
        path.write_text(yaml.safe_dump({"answers": texts}))
        monkeypatch.setenv("PRUNEJUICE_SCRIPT", str(path))
        return project.codebot("refactor", rest[0], "--json")

    return answer, rest


def test_a_good_refactoring_is_proved_by_the_tests_and_the_names(case):
    answer, (path, good, _, _, check) = case
    made = answer(good)
    assert made.code == 0, made.err
    assert f"{check} passes before and after" in made.json["evidence"]
    assert f"{path}: all public names and signatures are unchanged" in made.json["evidence"]


def test_changed_behaviour_is_sent_back(case):
    answer, (_, good, wrong, _, check) = case
    made = answer(wrong, (wrong[1], good[1]))
    assert made.code == 0, made.err
    assert f"'{check}' passed before, and fails now" in made.err


def test_a_changed_name_is_refused(case):
    answer, (path, _, _, renamed, _) = case
    made = answer(renamed, renamed, renamed)
    assert made.code == 3, made
    assert f"the behaviour has changed: {path}: " in made.err


@pytest.mark.parametrize("name", ["Total", "Other"])
def test_a_function_of_go_may_move_within_its_package(stop, name):
    one = b"package shop\n\nfunc Total() {}\n"
    rest, both = b"package shop\n", b"package shop\n\nfunc Twice() {}\n\nfunc %s() {}\n" % name.encode()
    diffs = [
        FileDiff("a/one.go", Version(one), Version(rest)),
        FileDiff("a/two.go", Version(b"package shop\n\nfunc Twice() {}\n"), Version(both)),
    ]
    found = EquivalenceChecker({}, stop).compare_trees(None, None, diffs)
    assert found.faults == (() if name == "Total" else ("a (package): Total was removed",))
    assert len(found.evidence) == (name == "Total")
