"""Which runner tests a file, how it is called, and how the imports of tests are joined."""

import json
from pathlib import PurePosixPath

import pytest

from prunejuice.code.mutant import generate_mutants
from prunejuice.environments.place import own_place
from prunejuice.errors import GateError
from prunejuice.system.stop_request import Stop
from prunejuice.verbs.results import TestCase as Case
from prunejuice.verbs.verify.runners import go, node, node_reports, registry
from prunejuice.verbs.verify.runners.go import GoTest
from prunejuice.verbs.verify.runners.node_imports import join_imports
from prunejuice.verbs.verify.runners.node_script import NodeScript, find_test_script
from prunejuice.verbs.verify.runners.pytest import Pytest
from prunejuice.verbs.verify.runners.registry import RunnerRequest


@pytest.mark.parametrize(
    ("given", "joined"),
    [
        (["import { a } from './x'", "import { a, b } from './x'"], ["import { a, b } from './x'"]),
        (["import {a} from './x';", 'import { b as c } from "./x"'], ["import { a, b as c } from './x';"]),
        (["import x, { a } from 'x'", "import x, { b } from 'x'"], ["import x, { a, b } from 'x'"]),
        (["import x from 'x'", "import { a } from 'x'"], ["import x, { a } from 'x'"]),
        (["import type { A } from 'x'", "import { A } from 'y'"], ["import type { A } from 'x'", "import { A } from 'y'"]),
        (["import * as x from 'x'", "import * as x from 'x';"], ["import * as x from 'x';"]),
        (["import assert from 'assert'", "import assert from 'node:assert'"], ["import assert from 'assert'"]),
        (["import assert from 'node:assert'", "import assert from 'node:assert/strict'"], ["import assert from 'node:assert'", "import assert from 'node:assert/strict'"]),
        (["import test from 'node:test'", "import test, { mock } from 'node:test'"], ["import test, { mock } from 'node:test'"]),
        (["import { test } from 'node:test'", "import it from 'test'"], ["import { test } from 'node:test'", "import it from 'test'"]),
        (["const test = require('node:test')", "const { test } = require('node:test')"], ["const test = require('node:test')"]),
        (["import type { A } from 'x'", "import { type A, b } from 'x'"], ["import type { A } from 'x'", "import { b } from 'x'"]),
        (['import { a } from "x";', 'import { a, b } from "x";'], ['import { a, b } from "x";']),
        (["import {\n  a, // the first\n  b /* last */\n} from 'x'"], ["import { a, b } from 'x'"]),
        (["const { a } = require('x')", "const { b, a } = require('x')"], ["const { a, b } = require('x')"]),
        (["const assert = require('node:assert')", "const assert = require('assert');"], ["const assert = require('node:assert');"]),
        (["import { a } from 'x'; import { b } from 'x'"], ["import { a, b } from 'x';"]),
        (["import {\n  a,\n  b,\n} from 'x'\nimport 'y'"], ["import { a, b } from 'x'", "import 'y'"]),
    ],
)  # fmt: skip
def test_each_name_is_imported_once(given, joined):
    assert join_imports(given) == joined


TEST = "packages/cart/src/cart.ts"
SCRIPTS = {
    "node --test": NodeScript("node", "packages/cart", "node"),
    "node --import tsx --test 'src/**/*.test.ts'": NodeScript(
        "node", "packages/cart", "node", ("--import", "tsx"), ("src/**/*.test.ts",)
    ),
    "c8 node --test --import tsx --test-concurrency 1 'a.test.ts'": NodeScript(
        "node", "packages/cart", "node", ("--import", "tsx", "--test-concurrency", "1"), ("a.test.ts",)
    ),
    "jest --env=jsdom --watch -t name --projects a": NodeScript(
        "jest", "packages/cart", "jest", ("--env=jsdom", "--projects", "a")
    ),
    "vitest run --globals --environment jsdom src": NodeScript(
        "vitest", "packages/cart", "vitest", ("--globals", "--environment", "jsdom")
    ),
    "tsc && NODE_ENV=test tsx --test --test-reporter=dot": NodeScript(
        "node", "packages/cart", "tsx", variables={"NODE_ENV": "test"}
    ),
    "cross-env NODE_OPTIONS=--experimental-vm-modules npx jest --coverage --config jest.json src": NodeScript(
        "jest", "packages/cart", "jest", ("--config", "jest.json"), (), {"NODE_OPTIONS": "--experimental-vm-modules"}
    ),
    "node --experimental-vm-modules node_modules/jest/bin/jest.js": NodeScript(
        "jest", "packages/cart", "jest", (), (), {"NODE_OPTIONS": "--experimental-vm-modules"}
    ),
    "vitest run --coverage -c=v.ts": NodeScript("vitest", "packages/cart", "vitest", ("-c=v.ts",)),
    "vitest 'unclosed": NodeScript("vitest", "packages/cart", "vitest"),
    "mocha --exit": "mocha --exit",
    "node run-java-tests.js": "node run-java-tests.js",
    "react-scripts test": "react-scripts test",
    'echo "Error: no test specified" && exit 1': NodeScript("node", "packages/cart", "node"),
    "": NodeScript("node", "packages/cart", "node"),
}  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_script_of_a_package_says_how_its_tests_are_run(tmp_path, script):
    (tmp_path / "packages/cart/src").mkdir(parents=True)
    (tmp_path / "package.json").write_text('{"workspaces": ["packages/*"]}')
    (tmp_path / "packages/cart/package.json").write_text(json.dumps({"scripts": {"test": script}}))
    assert find_test_script(tmp_path, TEST) == SCRIPTS[script]


@pytest.mark.parametrize(
    ("inner", "outer", "tool", "folder"),
    [
        ({}, {"devDependencies": {"vitest": "1"}}, "vitest", "."),
        ({"devDependencies": {"jest": "1"}}, {"devDependencies": {"vitest": "1"}}, "jest", "packages/cart"),
        ({"scripts": []}, {"scripts": {"test": "jest"}}, "jest", "."),
        ([], {}, "node", "."),
    ],
)
def test_a_package_without_a_script_is_tested_with_what_is_installed(tmp_path, inner, outer, tool, folder):
    (tmp_path / "packages/cart/src").mkdir(parents=True)
    (tmp_path / "package.json").write_text(json.dumps(outer))
    (tmp_path / "packages/cart/package.json").write_text(json.dumps(inner))
    found = find_test_script(tmp_path, TEST)
    assert (found.tool, found.folder) == (tool, folder)


@pytest.mark.parametrize(
    ("paths", "chosen"),
    [
        (["README.md", "a.js", "b.ts", "c.py"], ["a.js", "b.ts"]),
        (["c.py", "a.js"], ["c.py"]),
        (["a.go", "b.go"], ["a.go", "b.go"]),
        (["a.rs", "README.md"], []),
    ],
)
def test_the_first_file_with_a_runner_decides_the_language(paths, chosen):
    assert registry.select_sources(paths) == chosen


def request(root, source, path="/nowhere"):
    return RunnerRequest(own_place(root), [source], {"PATH": path}, Stop())


@pytest.mark.parametrize(
    ("files", "source", "message"),
    [
        ({"a.go": "package a"}, "a.go", "a.go belongs to no Go module"),
        ({"a.go": "package a", "go.mod": "module a\n"}, "a.go", "go is not installed"),
        ({"a.js": ""}, "a.js", "node is not installed"),
        ({"a.js": "", "package.json": '{"scripts": {"test": "jest"}}'}, "a.js", "jest is not installed"),
        ({"a.js": "", "package.json": '{"scripts": {"test": "ava"}}'}, "a.js", "the tests of a.js are run by `ava`"),
        ({"a.js": "", "package.json": '{"scripts": {"test": "tsx --test"}}'}, "a.js", "tsx is not installed"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_before_an_agent_is_asked(tmp_path, files, source, message):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(GateError, match=message):
        registry.find_runner(request(tmp_path, source))


FAILURES = {
    "AssertionError [ERR_ASSERTION]: Expected values to be strictly equal": (True, False),
    "Error: expect(received).toBe(expected)": (True, False),
    "AssertionError: expected 1 to be 2": (True, False),
    "[Error [ERR_TEST_FAILURE]: cart.discount is not a function] {": (False, True),
    "ReferenceError: discount is not defined": (False, True),
    "SyntaxError: The requested module './cart.js' does not provide an export named 'a'": (False, True),
    "TypeError: Cannot read properties of undefined (reading 'a')": (False, False),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_failures_of_node_are_told_apart(failure):
    runner = node.NodeTests(None, None, "a.test.js", (20, 0))
    assert (runner.is_assertion(failure), runner.is_missing_name(failure)) == FAILURES[failure]
    assert "ERR_TEST_FAILURE" not in runner.shorten(failure)


GO_FAILURES = {
    '    cart_test.go:9: got 4\n--- FAIL: TestA (0.00s)\n': (True, False, "got 4"),
    "    cart_test.go:9: \n        Error Trace: x\n": (True, False, ""),
    "panic: runtime error: index out of range\n\tcart_test.go:9 +0x1\n": (False, False, "cart_test.go:9 +0x1"),
    "./cart_test.go:6:5: undefined: Discount\n": (False, True, "undefined: Discount"),
}  # fmt: skip


@pytest.mark.parametrize("failure", GO_FAILURES)
def test_failures_of_go_are_told_apart(failure):
    runner = GoTest("go", None, "cart_test.go", ".", "shop", "shop")
    told = runner.is_assertion(failure), runner.is_missing_name(failure)
    assert told == GO_FAILURES[failure][:2]
    assert GO_FAILURES[failure][2] in runner.shorten(failure)


@pytest.mark.parametrize(
    ("code", "imports", "used"),
    [
        ("yaml.Load()", 'import "gopkg.in/yaml.v3"', True),
        ("chi.New()", 'import "github.com/go-chi/chi/v5"', True),
        ("x.Run()", 'import x "example.com/run"', True),
        ("Run()", 'import . "example.com/run"', True),
        ("Run()", 'import _ "example.com/run"', True),
        ("os2.Run()", 'import "os"', False),
        ("t.Fatal()", 'import (\n\t"fmt"\n)', False),
    ],
)
def test_imports_that_go_would_refuse_are_left_out(code, imports, used):
    runner = GoTest("go", None, "cart_test.go", ".", "shop", "shop")
    case = Case(
        test_name="t", imports_needed=(imports,), test_code=f"func TestA(t *testing.T) {{ {code} }}"
    )
    made = runner.render(node.TestGenerationResult(test_cases=(case,)))
    assert (made.count('"') > 2) == used
    assert made.startswith("package shop\n\nimport (\n")


MUTANTS = {
    "javascript": (
        "'use strict'\nimport a from 'b'\nconst c = require('d')\nconst twice = (n) => n * 2\n"
        "function f(x) {\n  if (x === 'k') return true\n  return x ? `t` : `${x}`\n}\n",
        {("n * 2", "undefined"), ("===", "!=="), ("(x === 'k')", "(!(x === 'k'))"), ("true", "false"), ("*", "+"), ("`t`", '""'), ("2", "3"), ("x", "!(x)")},
        {"'use strict'", "'b'", "'d'", "`${x}`"},
    ),
    "typescript": (
        "type T = 'a' | 1\nexport const f = (n: 'q' | 2, o: T): boolean => n > 1 && o != null\n",
        {("&&", "||"), (">", ">="), ("!=", "=="), ("1", "2")},
        {"'a'", "'q'"},
    ),
    "go": (
        'package a\n\nimport "fmt"\n\ntype T struct {\n\tN int `json:"n"`\n}\n\nfunc F(a int) (string, error) {\n'
        '\tif a > 1 {\n\t\treturn "x", nil\n\t}\n\ta += 2\n\treturn "", fmt.Errorf("no")\n}\n',
        {('"x"', "*new(string)"), (">", ">="), ("a > 1", "!(a > 1)"), ("+=", "-="), ('"no"', '""')},
        {'"fmt"', '`json:"n"`', '""'},
    ),
}  # fmt: skip


@pytest.mark.parametrize("language", MUTANTS)
def test_faults_are_put_where_code_is_executed(language):
    source, wanted, spared = MUTANTS[language]
    found = {(each.was, each.now) for each in generate_mutants(source, range(99), language)}
    assert wanted <= found
    assert not spared & {was for was, _ in found}
    assert all(each.source != source for each in generate_mutants(source, range(99), language))


JS_FRAME = "AssertionError: 1 == 2\n    at check (file:///shop/src/cart.js:3:5)\n    at file:///shop/test/cart.test.js:9:1"
TEST_FRAME = "AssertionError: 1 == 2\n    at Object.equal (node:assert:1:1)\n    at file:///shop/test/cart.test.js:9:1"


@pytest.mark.parametrize(("failure", "in_test"), [(JS_FRAME, False), (TEST_FRAME, True)])
def test_an_assertion_of_the_code_is_none_of_the_test(failure, in_test):
    assert node.NodeTests(None, None, "test/cart.test.js").is_assertion(failure) == in_test


@pytest.mark.parametrize(("place", "in_test"), [("cart.py:5: ", False), ("tests/test_cart.py:5: ", True)])
def test_an_assertion_of_python_code_is_none_of_the_test(place, in_test):
    runner = Pytest(None, (), "tests/test_cart.py")
    assert runner.is_assertion(f"E   assert 1 == 2\n\n{place}AssertionError") == in_test


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("test('a', () => {})", ["a"]),
        ("test('a', () => {})\ntest.skip('b', () => {})", ["a", "test.skip"]),
        ("describe('g', () => { it('b', () => {}) })", ["describe", "b"]),
        ("const rows = [1]\ntest('a', async t => { await t.test('in', () => {}) })", ["a"]),
        ("test.each([1])('a', () => {})", ["test.each([1])", "test.each"]),
        ("const contest = run('a')", []),
    ],
)
def test_all_tests_in_a_code_are_found(code, found):
    assert node.NodeTests(None, None, "a.test.js").list_tests(code) == found


def test_all_tests_in_a_code_of_go_are_found():
    code = "func TestA(t *testing.T) {}\nfunc helper() {}\nfunc ExampleB() {}\nfunc TestMain(m *testing.M) {}\nfunc init() {}\nfunc Testify() {}\n"
    found = ["TestA", "ExampleB", "TestMain", "init"]
    assert GoTest("go", None, "a_test.go", ".", "shop", "shop").list_tests(code) == found


def test_a_name_that_the_package_has_is_changed():
    runner = GoTest("go", None, "a_test.go", ".", "shop", "shop", frozenset(["TestA", "TestA2"]))
    made = runner.name_case(
        Case(test_name="x", test_code="func TestA(t *testing.T) { t.Run(`TestA`, nil) }")
    )
    assert (made.test_name, made.test_code) == (
        "TestA3",
        "func TestA3(t *testing.T) { t.Run(`TestA3`, nil) }",
    )


@pytest.mark.parametrize(
    ("files", "source", "made"),
    [
        (["src/a.spec.ts", "test/app.e2e-spec.ts"], "src/cart.ts", "src/cart.spec.ts"),
        (["test/a.test.ts", "src/b/b.test.ts"], "src/b/cart.ts", "src/b/cart.test.ts"),
        (["test/unit/a.test.js"], "src/cart.js", "test/cart.test.js"),
        (["src/__tests__/a.test.tsx"], "src/b/cart.tsx", "src/b/__tests__/cart.test.tsx"),
        (["src/other.test.ts", "test/setup.ts"], "src/cart.ts", "src/cart.test.ts"),
        (["node_modules/x/a.spec.js"], "src/cart.js", "src/cart.test.js"),
        (["src/cart.test.js"], "src/cart.js", "src/cart-2.test.js"),
    ],
)
def test_a_file_of_tests_is_where_others_are(tmp_path, files, source, made):
    for name in [*files, source, "package.json"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    script = NodeScript("jest", ".", "jest")
    assert node._test_file_path(tmp_path, PurePosixPath(source), script) == made


def test_names_and_failures_in_a_report_of_node():
    report = b"""<testsuites><testcase name="say &amp;quot;x&amp;quot; [1]" classname="test"/>
<testsuite name="outer"><testcase name="in" classname="test"><failure>1 == 2</failure></testcase></testsuite>
<testcase name="later" classname="test"><skipped/></testcase>
<testcase name="/shop/a.test.js" classname="test"><failure>SyntaxError: x</failure></testcase></testsuites>"""
    found, problems = node_reports.parse_junit(report)
    assert found['say "x" [1]'] == ""
    assert found["outer"] == "1 == 2\n"
    assert "later" not in found
    assert problems == "SyntaxError: x\n\n"


@pytest.mark.parametrize(
    ("source", "package"),
    [
        ("package shop\n", "shop"),
        ("\ufeffpackage shop\n", "shop"),
        ("/*\npackage cart is for carts\n*/\npackage shop // here\n", "shop"),
        ("func f() {}\n", ""),
    ],
)
def test_the_package_of_a_source_of_go(source, package):
    assert go._read_package(source) == package


def test_modules_of_go_are_tested_one_at_a_time(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "go.mod").write_text(f"module {name}\n")
        (tmp_path / name / "x.go").write_text("package x\n")
    (tmp_path / "go").touch(mode=0o755)
    wanted = RunnerRequest(own_place(tmp_path), ["a/x.go", "b/x.go"], {"PATH": str(tmp_path)}, Stop())
    assert registry.find_runner(wanted).sources == ["a/x.go"]


@pytest.mark.parametrize(
    ("result", "was"),
    [
        ("(\n\t// the sum\n\tint,\n\terror,\n)", "a"),
        ("(sum int, err error)", "a"),
        ("int", "a"),
    ],
)
def test_the_first_result_of_a_function_of_go_is_replaced(result, was):
    values = "a, nil" if "error" in result else "a"
    source = f"package x\n\nfunc F(a int) {result} {{\n\treturn {values}\n}}\n"
    found = [(each.was, each.now) for each in generate_mutants(source, range(99), "go")]
    assert found[0] == (was, "*new(int)")


def test_what_a_grammar_does_not_know_hides_no_other_code():
    source = "export type * from './t.ts'\nexport const twice = (n: number) => n * 2\n"
    assert ("*", "+") in {(each.was, each.now) for each in generate_mutants(source, range(9), "typescript")}


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("test('a', () => check(''))", "test('b', () => check(' '))", False),
        ("test('a', () => check(`x`)) // one", "test('b', () => check(`x`));", True),
    ],
)
def test_cases_that_differ_in_a_text_are_two(one, two, same):
    runner = node.NodeTests(None, None, "a.test.js", (20, 0))
    texts = [
        runner.normalize(runner.name_case(Case(test_name=name, test_code=code)))
        for name, code in (("a", one), ("b", two))
    ]
    left_out = [text.replace(name, "", 1) for text, name in zip(texts, "ab", strict=True)]
    assert (left_out[0] == left_out[1]) == same
