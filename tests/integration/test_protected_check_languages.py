"""Checks of other languages judge a change by the tests, settings and data of the tree before it."""

import re
import shutil

import pytest
from scripted_answers import FIX, means

from prunejuice.errors import DeniedError, GateError, LimitError
from prunejuice.verbs import ask, repair

JS = "exports.add = (a, b) => a - b\n"
JS_TEST = (
    "const test = require('node:test')\nconst assert = require('node:assert')\nconst { add } = require('./app')\n\n"
    "test('add', () => {\n  assert.strictEqual(add(20, 3), 23)\n})\n"
)
JEST_TEST = "const { add } = require('./app')\n\ntest('add', () => {\n  expect(add(20, 3)).toBe(23)\n})\n"
# A runner with the globals of jest, which reads the key `jest` of package.json as jest does.
JEST = """
const fs = require('node:fs'), path = require('node:path')
const settings = JSON.parse(fs.readFileSync('package.json')).jest ?? {}
global.expect = got => ({ toBe: want => { if (got !== want) throw new Error(`${got} is not ${want}`) } })
let failed = 0
global.test = (name, body) => { try { body() } catch (error) { failed += 1; console.log(name, error.message) } }
for (const file of settings.setupFiles ?? []) require(path.resolve(file))
for (const name of fs.readdirSync('.').filter(each => /\\.test\\.js$/.test(each))) {
  if (!(settings.testPathIgnorePatterns ?? []).some(each => new RegExp(each).test(name))) require(path.resolve(name))
}
process.exitCode = failed ? 1 : 0
"""
PACKAGE = '{\n  "name": "app",\n  "jest": {},\n  "version": "1.0.0"\n}\n'
JEST_TREE = {
    "app.js": JS,
    "app.test.js": JEST_TEST,
    "package.json": PACKAGE,
    "node_modules/.bin/jest.js": JEST,
}
GO = "package app\n\nfunc Add(a, b int) int {\n\treturn a - b\n}\n"
GO_TEST = (
    'package app\n\nimport "testing"\n\nfunc TestAdd(t *testing.T) {\n'
    '\tif Add(20, 3) != 23 {\n\t\tt.Fatal("no sum")\n\t}\n}\n'
)
TREES = {
    "node": ({"app.js": JS, "app.test.js": JS_TEST}, "node --test"),
    "node with a reporter": ({"app.js": JS, "app.test.js": JS_TEST}, "node --test --test-reporter=dot"),
    "jest": (JEST_TREE, "node node_modules/.bin/jest.js"),
    "go": ({"app.go": GO, "app_test.go": GO_TEST, "go.mod": "module example.com/app\n\ngo 1.20\n"}, "go test ./..."),
}  # fmt: skip


def new_file(path, text):
    return f"{path}\n<<<<<<< SEARCH\n=======\n{text}>>>>>>> REPLACE\n\n"


def replaced(path, old, new):
    return f"{path}\n<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n\n"


def in_package(old, new):
    return replaced("package.json", old, new)


def before_app(text):
    return replaced("app.js", JS, f"{text}\n{JS}")


def in_app_go(imports, text):
    return replaced("app.go", "package app\n", f"package app\n\nimport {imports}\n\n{text}\n")


FIXED_JS = replaced("app.js", JS, JS.replace("a - b", "a + b"))
FIXED_GO = replaced("app.go", "\treturn a - b\n", "\treturn a + b\n")
ENDS = "func TestMain(m *testing.M) {\n}\n"
CHEATS = {
    "jest: expect is replaced": ("jest", before_app("global.expect = () => ({ toBe() {} })")),
    "jest: the process ends": ("jest", before_app("process.reallyExit(0)")),
    "jest: the key jest skips tests": (
        "jest", in_package('  "jest": {},\n', '  "jest": {"testPathIgnorePatterns": ["app"]},\n')),
    "jest: the key jest loads a new file": (
        "jest",
        in_package('  "jest": {},\n', '  "jest": {"setupFiles": ["./quick.js"]},\n')
        + new_file("quick.js", "global.test = () => {}\n"),
    ),
    "node: the exit code is set": (
        "node", before_app("process.on('exit', () => { process.exitCode = 0 })")),
    "node: the process ends": ("node", before_app("process.reallyExit(0)")),
    "node: the process ends by its parts": ("node", before_app("process['re' + 'allyExit'](0)")),
    "node: assert is replaced": ("node", before_app("require('node:assert').strictEqual = () => {}")),
    "node: assert is replaced by its parts": (
        "node", before_app("Object.assign(require('as' + 'sert'), { ['strict' + 'Equal']() {} })")),
    "node: assert is replaced, and the options of node are said to be refused": (
        "node",
        before_app(
            "require('node:assert').strictEqual = () => {}\nconsole.log('--require is not allowed in NODE_OPTIONS')"
        ),
    ),
    "node: the test is replaced by one of its name": (
        "node", replaced("app.test.js", "test('add', () => {\n", "test('add', () => {})\ntest.skip('add', () => {\n")),
    "go: the program ends": ("go", in_app_go('"os"', "func init() {\n\tos.Exit(0)\n}\n")),
    "go: the program ends by another name": (
        "go", in_app_go('"syscall"', "func init() {\n\tsyscall.Exit(0)\n}\n")),
    "go: TestMain in a new test file": (
        "go", new_file("main_test.go", f'package app\n\nimport "testing"\n\n{ENDS}')),
    "go: the test is never built": (
        "go", replaced("app_test.go", "package app\n", "//go:build never\n\npackage app\n")),
}  # fmt: skip
HONEST = {
    "node: a fix": ("node", FIXED_JS),
    "node: a fix and a test": (
        "node",
        FIXED_JS + new_file("more.test.js", JS_TEST.replace("'add'", "'more'").replace("20", "21").replace("23", "24")),
    ),
    "node: a check with its own reporter": ("node with a reporter", FIXED_JS),
    "node: a program that ends": (
        "node", FIXED_JS + new_file("cli.js", "if (require.main === module) {\n  console.log('1')\n}\n")),
    "jest: a fix": ("jest", FIXED_JS),
    "jest: a fix and a version": ("jest", FIXED_JS + in_package('  "version": "1.0.0"\n', '  "version": "1.0.1"\n')),
    "go: a fix": ("go", FIXED_GO),
    "go: a fix and a test": (
        "go", FIXED_GO + new_file("more_test.go", GO_TEST.replace("TestAdd", "TestMore"))),
}  # fmt: skip


def repaired(place, stop, kind, *answers):
    files, check = TREES[kind]
    program = check.partition(" ")[0]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    for path, text in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(text)
    command = repair.RepairCheck(check, run_first=True)
    request = ask.AskRequest(FIX, model="scripted")
    return repair.repair_until_passing(request, command, means(place, answers, stop))


@pytest.fixture(autouse=True)
def go_cache(tmp_path_factory, monkeypatch):
    """A cache for all tests, so that the library of go is built once; flags of the user are kept."""
    monkeypatch.setenv("GOFLAGS", "-vet=off")
    monkeypatch.setenv("GOCACHE", str(tmp_path_factory.getbasetemp() / "go-cache"))


@pytest.mark.parametrize("name", CHEATS)
def test_a_pass_that_proves_nothing_is_denied(name, place, stop):
    kind, cheat = CHEATS[name]
    with pytest.raises((DeniedError, LimitError, GateError)) as refused:
        repaired(place, stop, kind, cheat, cheat)
    assert "could not place" not in str(refused.value)


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_change_is_accepted(name, place, stop):
    kind, change = HONEST[name]
    made = repaired(place, stop, kind, change)
    assert {each.path for each in made.differences} == set(re.findall(r"^([\w./]+)\n<<<", change, re.M))
