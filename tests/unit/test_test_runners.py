"""Which runner tests a file, how it is called, and how the imports of tests are joined."""

import json

import pytest

from prunejuice.code.mutant import generate_mutants
from prunejuice.environments.place import own_place
from prunejuice.errors import GateError
from prunejuice.system.stop_request import Stop
from prunejuice.verbs.results import TestCase as Case
from prunejuice.verbs.verify.runners import node, registry
from prunejuice.verbs.verify.runners.go import GoTest
from prunejuice.verbs.verify.runners.node_imports import join_imports
from prunejuice.verbs.verify.runners.node_script import NodeScript, find_test_script
from prunejuice.verbs.verify.runners.registry import RunnerRequest


@pytest.mark.parametrize(
    ("given", "joined"),
    [
        (["import { a } from './x'", "import { a, b } from './x'"], ["import { a, b } from './x'"]),
        (["import {a} from './x';", 'import { b as c } from "./x"'], ["import { a, b as c } from './x';"]),
        (["import x, { a } from 'x'", "import x, { b } from 'x'"], ["import x, { a, b } from 'x'"]),
        (["import x from 'x'", "import { a } from 'x'"], ["import x from 'x'", "import { a } from 'x'"]),
        (["import type { A } from 'x'", "import { A } from 'y'"], ["import type { A } from 'x'", "import { A } from 'y'"]),
        (["import * as x from 'x'", "import * as x from 'x';"], ["import * as x from 'x'"]),
        (["import assert from 'assert'", "import assert from 'node:assert'"], ["import assert from 'assert'", "import assert from 'node:assert'"]),
        (["const { a } = require('x')", "const { b, a } = require('x')"], ["const { a, b } = require('x')"]),
        (["const assert = require('node:assert')", "const assert = require('assert');"], ["const assert = require('node:assert')"]),
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
    "mocha --exit": "mocha",
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
        ({"a.js": "", "package.json": '{"scripts": {"test": "ava"}}'}, "a.js", "the tests of a.js are run by ava"),
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
    runner = node.NodeTests(None, None, "a.test.js")
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
