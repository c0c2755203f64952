"""`codebot test` for JavaScript, TypeScript and Go: the gates, with the runners that projects use."""

import shutil
import subprocess

import pytest
import yaml

from conftest import git, write_files

CODE = """export function total(prices) {
  let sum = 0
  for (const price of prices) {
    if (price < 0) throw new RangeError('a price below 0')
    sum += price
  }
  return sum
}

export const label = (name) => name.trim().toUpperCase()

export function tax(price) {
  return price * 2
}
"""
TYPED = (
    CODE
    .replace("(prices)", "(prices: number[]): number")
    .replace("(name)", "(name: string): string")
    .replace("(price) {", "(price: number): number {")
)
GO_CODE = """package shop

import (
	"errors"
	"strings"
)

func Total(prices []int) (int, error) {
	sum := 0
	for _, price := range prices {
		if price < 0 {
			return 0, errors.New("a price below 0")
		}
		sum += price
	}
	return sum, nil
}

func Label(name string) string { return strings.ToUpper(strings.TrimSpace(name)) }

func Tax(price int) int { return price * 2 }
"""


def case(name, code, *imports):
    return {"test_name": name, "imports_needed": list(imports), "test_code": code}


def node_cases(equal, throws, *imports, source="./cart.js"):
    """The cases by what has to become of them; `equal` and `throws` are the assertions of a runner."""
    both, price = f"import {{ total, label }} from '{source}'", f"import {{ tax }} from '{source}'"
    two = equal.format("total([1, 2])", "3")
    return {
        "kept": [
            case("adds up [1, 2]", f"test('adds up [1, 2]', () => {{\n  {two}\n}})\n", *imports, both),
            case("refuses", f"test('refuses', () => {{\n  {throws.format('total([-1])')}\n}})", *imports, both),
            case(
                "late",
                f"test('late', async () => {{\n  {equal.format('await Promise.resolve(tax(3))', '6')}\n}})",
                *(*imports, price),
            ),
        ],
        "parses": [
            case("broken", "test('broken', () => {\n", *imports),
            case("grouped", f"describe('a', () => test('grouped', () => {{ {two} }}))", *imports, both),
        ],
        "passes": [case("wrong", f"test('wrong', () => {{ {equal.format('total([1])', '2')} }})", *imports, both)],
        "covers": [
            case("again", f"test('again', () => {{\n  // the same\n  {two};\n}})", *imports, both),
            case("known", f"test('known', () => {{ {equal.format(chr(108) + 'abel(`x`)', '`X`')} }})", *imports, both),
        ],
        "notices": [case("blind", "test('blind', () => { total([4]) })", *imports, both)],
    }  # fmt: skip


NODE_IMPORTS = ("import test from 'node:test'", "import assert from 'node:assert'")
GO_CASES = {
    "kept": [
        case("adds", 'func TestTotal(t *testing.T) {\n\tif sum, _ := Total([]int{1, 2}); sum != 3 {\n\t\tt.Errorf("got %d", sum)\n\t}\n}\n', 'import "testing"', 'import "os"'),
        case("refuses", 'func TestBelow(t *testing.T) {\n\tif _, err := Total([]int{-1}); err == nil {\n\t\tt.Fatal(fmt.Sprint("no error"))\n\t}\n}\n', 'import (\n\t"fmt"\n\t"testing"\n)'),
    ],
    "parses": [
        case("broken", "func TestBroken(t *testing.T) {\n"),
        case("imports", 'import "fmt"\n\nfunc TestImports(t *testing.T) { fmt.Println() }\n'),
        case("other", "func checkTotal(t *testing.T) {}\n"),
    ],
    "passes": [
        case("wrong", 'func TestWrong(t *testing.T) {\n\tif Tax(1) != 3 {\n\t\tt.Error("wrong")\n\t}\n}\n'),
        case("compiles", "func TestCompiles(t *testing.T) { Missing() }\n"),
    ],
    "covers": [
        case("again", 'func TestAgain(t *testing.T) {\n\t// the same\n\tif sum, _ := Total([]int{1, 2}); sum != 3 {\n\t\tt.Errorf("got %d", sum)\n\t}\n}\n'),
        case("known", 'func TestKnown(t *testing.T) {\n\tif Label("x") != "X" {\n\t\tt.Error("wrong")\n\t}\n}\n'),
    ],
    "notices": [case("blind", "func TestBlind(t *testing.T) { Tax(3) }\n")],
}  # fmt: skip
EXPECT, REJECT = "expect({}).toBe({})", "expect(() => {}).toThrow()"
IMPORT_VITEST = "import { test, expect } from 'vitest'"
PROJECTS = {
    "node": (
        {"package.json": '{"type": "module", "scripts": {"test": "node --test"}}', "src/cart.js": CODE,
         "test/label.test.js": "import test from 'node:test'\nimport assert from 'node:assert'\nimport { label } from '../src/cart.js'\ntest('label', () => assert.equal(label(' a '), 'A'))\n"},
        "", "src/cart.js", "test/cart.test.js",
        node_cases("assert.equal({}, {})", "assert.throws(() => {})", *NODE_IMPORTS, source="../src/cart.js"),
    ),
    "jest": (
        {"package.json": '{"type": "module", "scripts": {"test": "NODE_OPTIONS=--experimental-vm-modules jest"}, "jest": {"rootDir": "src", "testRegex": ".*[.]spec[.]js$"}}',
         "src/cart.js": CODE, "test/app.e2e-spec.js": "",
         "src/label.spec.js": "import { label } from './cart.js'\ntest('label', () => expect(label(' a ')).toBe('A'))\n"},
        "jest@29", "src/cart.js", "src/cart.spec.js",
        node_cases(EXPECT, REJECT, source="./cart.js"),
    ),
    "vitest": (
        {"package.json": '{"private": true, "workspaces": ["packages/*"]}',
         "packages/cart/package.json": '{"name": "cart", "type": "module", "scripts": {"test": "vitest run"}}',
         "packages/cart/src/cart.ts": TYPED,
         "packages/cart/src/label.test.ts": f"{IMPORT_VITEST}\nimport {{ label }} from './cart'\ntest('label', () => expect(label(' a ')).toBe('A'))\n"},
        "vitest@2 @vitest/coverage-v8@2", "packages/cart/src/cart.ts", "packages/cart/src/cart.test.ts",
        node_cases(EXPECT, REJECT, IMPORT_VITEST, source="./cart"),
    ),
    "go": (
        {"go.mod": "module example.com/shop\n\ngo 1.19\n", "cart/cart.go": GO_CODE,
         "cart/label_test.go": 'package shop\n\nimport "testing"\n\nfunc TestLabel(t *testing.T) {\n\tif Label(" a ") != "A" {\n\t\tt.Error("wrong")\n\t}\n}\n'},
        "", "cart/cart.go", "cart/cart_test.go", GO_CASES,
    ),
}  # fmt: skip
PROGRAMS = {"node": "node", "jest": "npm", "vitest": "npm", "go": "go"}


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """Return a function that installs packages of npm once and returns their `node_modules`."""
    installed = {}

    def install(names):
        if names not in installed:
            folder = tmp_path_factory.mktemp("packages")
            argv = [
                "npm",
                "install",
                "--silent",
                "--no-audit",
                "--no-fund",
                "--prefix",
                str(folder),
                *names.split(),
            ]
            if subprocess.run(argv, cwd=folder, check=False, capture_output=True).returncode:
                pytest.skip(f"npm could not install {names}")
            installed[names] = folder / "node_modules"
        return installed[names]

    return install


SLOW = {"jest": pytest.mark.exhaustive}
"""Runners that start slowest, and differ from another one in their options alone."""


@pytest.fixture(params=[pytest.param(name, marks=SLOW.get(name, ())) for name in PROJECTS])
def shop(request, project, packages):
    """A project with a runner, its files with code and with tests, and the cases."""
    return open_shop(request, project, packages)


@pytest.fixture(params=["node", "go"])
def plain_shop(request, project, packages):
    """The same for the runners that come with the language, which start faster."""
    return open_shop(request, project, packages)


def open_shop(request, project, packages):
    if not shutil.which(PROGRAMS[request.param]):
        pytest.skip(f"{PROGRAMS[request.param]} is not installed")
    files, names, source, made, cases = PROJECTS[request.param]
    write_files(project.root, {**files, ".gitignore": "node_modules\n"})
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "shop")
    if names:
        shutil.copytree(packages(names), project.root / "node_modules", symlinks=True)
    return project, source, made, cases


def ask(project, tmp_path, source, cases, *words):
    path = tmp_path / "answers.yaml"
    path.write_text(yaml.safe_dump({"answers": [{"output": {"test_cases": cases}}]}))
    return project.codebot("test", source, "--script", path, "--json", *words)


def test_only_tests_that_prove_something_are_kept(shop, tmp_path):
    project, source, made, cases = shop
    given = [each for gate in ("kept", "parses", "passes", "covers", "notices") for each in cases[gate]]
    answer = ask(project, tmp_path, source, given)
    assert answer.code == 0, answer.err
    count = len(cases["kept"])
    assert answer.json["evidence"][0].startswith(f"{count} of {len(given)} tests pass in any order"), (
        answer.err
    )
    for gate in ("parses", "passes", "covers", "notices"):
        assert answer.err.count(f": dropped ({gate}): ") == len(cases[gate]), answer.err
    assert answer.json["files"][0]["filepath"] == made
    assert project.codebot("apply", answer.json["id"]).code == 0
    text = (project.root / made).read_text()
    assert len([line for line in text.splitlines() if line.startswith(("test(", "func Test"))]) == count
    assert ' "os"' not in text


@pytest.mark.exhaustive
@pytest.mark.parametrize("shop", ["vitest"], indirect=True)
def test_without_coverage_a_test_has_to_detect_a_fault_of_its_own(shop, tmp_path):
    project, source, _, cases = shop
    shutil.rmtree(project.root / "node_modules/@vitest/coverage-v8")
    given = [cases["kept"][0], *cases["covers"][1:], *cases["notices"]]
    answer = ask(project, tmp_path, source, given)
    assert answer.code == 0, answer.err
    assert "kept: a fault that no other test detects" in answer.err
    assert "blind: dropped (notices): it detects no fault that other tests do not" in answer.err
    assert "known: dropped" in answer.err


def test_a_test_that_ends_the_program_is_dropped_alone(plain_shop, tmp_path):
    project, source, _, cases = plain_shop
    ends = (
        case("TestEnds", "func TestEnds(t *testing.T) { os.Exit(0) }\n", 'import "os"')
        if source.endswith(".go")
        else {
            **cases["kept"][0],
            "test_name": "ends",
            "test_code": "test('ends', () => { process.exit(0) })",
        }
    )
    answer = ask(project, tmp_path, source, [ends, *cases["kept"]])
    assert answer.code == 0, answer.err
    assert answer.err.count(": kept: ") == len(cases["kept"]), answer.err
    assert "nds: dropped (passes)" in answer.err


def test_tests_of_what_does_not_exist_have_to_fail(plain_shop, tmp_path, monkeypatch):
    project, source, made, cases = plain_shop
    if source.endswith(".go"):
        new = case(
            "TestNew",
            'func TestNew(t *testing.T) {\n\tif Discount(10) != 9 {\n\t\tt.Error("wrong")\n\t}\n}\n',
        )
    else:
        name = next(line for line in cases["kept"][2]["imports_needed"] if "tax" in line)
        code = cases["kept"][2]["test_code"].replace("late", "new").replace("tax(3)", "cart.discount(10)")
        imports = [*cases["kept"][2]["imports_needed"][:-1], name.replace("{ tax }", "* as cart")]
        new = case("new", code, *imports)
    script = {"answers": [{"times": 0, "output": {"test_cases": [new, cases["kept"][0]]}}]}
    (tmp_path / "script.yaml").write_text(yaml.safe_dump(script))
    step = f"{{name: t, agent: test, args: {{must_fail: true, paths: [{source}], prompt: discount}}}}"
    project.command("red", f"steps: [{step}]\n")
    monkeypatch.setenv("PRUNEJUICE_AGENT", "scripted")
    monkeypatch.setenv("PRUNEJUICE_SCRIPT", str(tmp_path / "script.yaml"))
    run = project.prj("run", "red", "--json")
    assert run.code == 0, run.out + run.err
    text = (project.root / made).read_text()
    assert "iscount(10)" in text
    assert "Total" not in text
    assert "adds up" not in text


def node_project(project, **files):
    write_files(
        project.root,
        {
            "package.json": '{"type": "module", "scripts": {"test": "node --test"}}',
            "cart.js": CODE,
            **files,
        },
    )
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "shop")
    return project


FROM_CART = "import { total } from './cart.js'"
ONE = "test('one', () => assert.equal(total([1]), 1))"


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
@pytest.mark.parametrize(
    ("code", "gate", "said"),
    [
        (f"{ONE}\ntest.skip('bad', () => {{}})", "parses", "it has further tests: test.skip"),
        (
            f"{ONE}\ndescribe('g', () => test('worse', () => {{}}))",
            "parses",
            "it has further tests: describe",
        ),
        (
            "test('one', async t => { await t.test('two', () => assert.equal(total([1]), 1)) })",
            "",
            ": kept: ",
        ),
        ("test('say \"x\" & \\'y\\' [a.b]', () => assert.equal(total([1]), 1))", "", ": kept: "),
        ("await test('one', () => assert.equal(total([1]), 1))", "", ": kept: "),
    ],
)
def test_every_test_in_an_answer_is_judged(project, tmp_path, code, gate, said):
    shop = node_project(project)
    answer = ask(shop, tmp_path, "cart.js", [case("one", code, *NODE_IMPORTS, FROM_CART)])
    assert answer.code == (3 if gate else 0), answer.err
    assert said in answer.err
    assert f"dropped ({gate})" in answer.err or not gate


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
def test_a_test_in_the_setup_is_sent_back(project, tmp_path):
    shop = node_project(project)
    good = case("one", ONE, *NODE_IMPORTS, FROM_CART)
    path = tmp_path / "answers.yaml"
    outputs = [{"test_cases": [good], "setup_code": "test('hidden', () => {})"}, {"test_cases": [good]}]
    path.write_text(yaml.safe_dump({"answers": [{"output": each} for each in outputs]}))
    answer = shop.codebot("test", "cart.js", "--script", path, "--json")
    assert answer.code == 0, answer.err
    assert "hidden" not in answer.json["diff"]


CLASHES = {
    "two values of a name": ("import assert from 'node:assert'", "import assert from 'node:assert/strict'"),
    "two constants": ("const rows = [1]", "const rows = [2]"),
}


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
@pytest.mark.parametrize("name", CLASHES)
def test_a_case_that_clashes_with_others_is_dropped_alone(project, tmp_path, name):
    shop = node_project(project)
    first, second = CLASHES[name]
    imports = ["import test from 'node:test'", FROM_CART]
    third = case(
        "three",
        "test('three', () => assert.equal(total([3]), 3))",
        *imports,
        "import assert from 'node:assert'",
    )
    cases = [
        case(each, f"test('{each}', () => assert.equal(total([{number}]), {number}))", *imports, "import assert from 'node:assert'", line)
        for each, number, line in (("one", 1, first), ("two", 2, second))
    ]  # fmt: skip
    if "import" in first:
        for each in cases:
            each["imports_needed"].remove("import assert from 'node:assert'")
    answer = ask(shop, tmp_path, "cart.js", [*cases, third])
    assert answer.code == 0, answer.err
    assert "two: dropped (parses): it cannot stand in one file with one" in answer.err
    assert answer.err.count(": kept: ") == 2


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
@pytest.mark.parametrize("old", ["assert.equal(1, 2)", "assert.equal(tax(3), 6)"])
def test_a_suite_that_fails_already_detects_nothing_by_that(project, tmp_path, old):
    existing = f"import test from 'node:test'\nimport assert from 'node:assert'\nimport {{ tax }} from './cart.js'\ntest('old', () => {{ tax(1); {old} }})\ntest('broken', () => assert.equal(1, 2))\n"
    shop = node_project(project, **{"old.test.js": existing})
    code = "test('tax', () => assert.equal(tax(4), 8))"
    answer = ask(
        shop, tmp_path, "cart.js", [case("tax", code, *NODE_IMPORTS, "import { tax } from './cart.js'")]
    )
    assert (answer.code == 0) == ("tax(3)" not in old), answer.err


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
def test_an_import_of_what_does_not_exist_is_a_red_test(project, tmp_path, monkeypatch):
    shop = node_project(project)
    new = case(
        "new",
        "test('new', () => assert.equal(discount(10), 9))",
        *NODE_IMPORTS,
        "import { discount } from './cart.js'",
    )
    script = {"answers": [{"times": 0, "output": {"test_cases": [new]}}]}
    (tmp_path / "script.yaml").write_text(yaml.safe_dump(script))
    shop.command(
        "red", "steps: [{name: t, agent: test, args: {must_fail: true, paths: [cart.js], prompt: x}}]\n"
    )
    monkeypatch.setenv("PRUNEJUICE_AGENT", "scripted")
    monkeypatch.setenv("PRUNEJUICE_SCRIPT", str(tmp_path / "script.yaml"))
    assert shop.prj("run", "red", "--json").code == 0


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
def test_the_file_that_is_named_first_decides(project, tmp_path):
    shop = node_project(project, **{"cart.py": "def total(prices):\n    return sum(prices)\n"})
    answer = ask(shop, tmp_path, "cart.js", [case("one", ONE, *NODE_IMPORTS, FROM_CART)], "cart.py")
    assert answer.code == 0, answer.err
    assert "left out: cart.py: tests are written for one language and package at a time" in answer.err


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
def test_without_paths_the_language_of_the_likeliest_file_is_tested(project, tmp_path):
    shop = node_project(project, **{"README.md": "# Shop\n", "old.test.js": ""})
    path = tmp_path / "answers.yaml"
    path.write_text(
        yaml.safe_dump({
            "answers": [{"output": {"test_cases": [case("one", ONE, *NODE_IMPORTS, FROM_CART)]}}]
        })
    )
    answer = shop.codebot("test", "--script", path, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["files"][0]["filepath"] == "cart.test.js"
