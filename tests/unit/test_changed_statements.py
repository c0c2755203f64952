"""Parsing only the statements that an edit changes gives the verdict of parsing the whole file."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunejuice.edits.syntax import is_well_formed, stays_well_formed

EXAMPLES = int(os.environ.get("PRUNEJUICE_TEST_EXAMPLES", "200"))

FILES = {
    "a.py": '''"""Words.

Two lines.
"""
import os; import sys
from __future__ import annotations

@cache
@other(
    1,
)
def load(path):
    text = """
def not_one():
"""
    return text

if os.name == "nt":
    pass
else:
    total = 1 + \\
        2
x = [
    1,
]
class Box:

    def open(self):
        return {"a": 1}
''',
    "a.ts": """import { a } from "./a";
const text = `
function none() {
`;
export class Box<T> {
  open(): T { return this.value }
}
function load(path: string) {
  if (path) {
    return [1, 2]
  }
}
const b = 1
;[1].map((n) => n)
""",
    "a.go": """package main

import "fmt"

type Box struct {
	Size int
}

func (b *Box) Open() error {
	fmt.Println(`
func none() {
`)
	return nil
}

var total = 1
""",
    "a.json": '{\n  "a": 1,\n  "b": [2]\n}\n',
}
FILES["a.php"] = "<?php\nfunction f($a) {\n  return $a;\n}\n$b = 1;\nfunction g() {\n  return 2;\n}\n"
INSERTED = (
    "", "x = 1", "    return 2", "@decorated", "else:", '"""', "'''", "`", "(", ")", "{", "}", "}}", "[", "]",
    "def late():", "    pass", "func late() {}", "function late() {}", "\\", "x = \\", "import os", ";", "/*", "*/",
    "// note", "# note", "class Late:", "\tx := 2", '"', "`${", "async", "export", "for (;;) {", "@media screen {",
)  # fmt: skip


@pytest.mark.parametrize("path", FILES)
@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_the_verdict_is_that_of_the_whole_file(path, data):
    lines = FILES[path].split("\n")
    first = data.draw(st.integers(0, len(lines)))
    last = data.draw(st.integers(first, min(len(lines), first + 4)))
    new = data.draw(st.lists(st.sampled_from([*INSERTED, *lines]), max_size=4))
    changed = "\n".join([*lines[:first], *new, *lines[last:]])
    assert stays_well_formed(path, FILES[path], changed) == is_well_formed(path, changed)


@pytest.mark.parametrize("path", FILES)
def test_each_file_of_these_tests_parses(path):
    assert is_well_formed(path, FILES[path])
    assert stays_well_formed(path, FILES[path], FILES[path])


@pytest.mark.parametrize(
    ("path", "old"), [("a.py", "def (:\n"), ("a.go", "func {\n"), ("a.json", "{"), ("a.x", "?")]
)
def test_a_file_that_did_not_parse_before_has_no_verdict(path, old):
    assert stays_well_formed(path, old, "x = 1\n") is None
