"""Our runners of generated tests, under the contract suite for those of other packages."""

import os
import shutil

import pytest

from conftest import write_files
from prunejuice.environments.place import Place
from prunejuice.system.stop_request import Stop
from prunejuice.testing.contracts import check_test_runner
from prunejuice.verbs.results import TestCase as Case
from prunejuice.verbs.verify.runners import registry
from prunejuice.verbs.verify.runners.registry import RunnerRequest


def node_case(number):
    return Case(
        test_name="twice",
        imports_needed=("import test from 'node:test'", "import assert from 'node:assert'", "import { twice } from './cart.js'"),
        test_code=f"test('makes {number}', () => {{\n  assert.equal(twice(2), {number})\n}})\n",
    )  # fmt: skip


def go_case(number):
    code = f'func TestTwice{number}(t *testing.T) {{\n\tif Twice(2) != {number} {{\n\t\tt.Error("wrong")\n\t}}\n}}\n'
    return Case(test_name="twice", test_code=code)


def pytest_case(number):
    code = f"def test_twice_{number}():\n    assert twice(2) == {number}\n"
    return Case(
        test_name=f"test_twice_{number}", imports_needed=("from cart import twice",), test_code=code
    )


RUNNERS = {
    "python3": ({"cart.py": "def twice(n):\n    return n * 2\n"}, "cart.py", pytest_case),
    "node": ({"package.json": '{"type": "module"}', "cart.js": "export function twice(n) {\n  return n * 2\n}\n"}, "cart.js", node_case),
    "go": ({"go.mod": "module shop\n\ngo 1.19\n", "cart.go": "package shop\n\nfunc Twice(n int) int {\n\treturn n * 2\n}\n"}, "cart.go", go_case),
}  # fmt: skip


@pytest.mark.parametrize("program", RUNNERS)
def test_runners_keep_the_contract(tmp_path, program):
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    files, source, case = RUNNERS[program]
    root = tmp_path / "shop"
    write_files(root, files)
    (tmp_path / "scratch/state").mkdir(parents=True)
    place = Place(root, root, tmp_path / "scratch")
    runner = registry.find_runner(RunnerRequest(place, [source], os.environ, Stop()))
    check_test_runner(runner, place, case(4), case(5))
    assert not (root / runner.file).exists()
