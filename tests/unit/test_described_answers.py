"""Answers in the forms that models use beside the documented ones: each has one reading, or none."""

import pytest

from codebot import place
from prunejuice.errors import ConflictError

OLD = "def area(w, h):\n    return w + h\n\n\ndef side(a):\n    return a\n"
NEW = OLD.replace("w + h", "w * h")
BLOCK = "<<<<<<< SEARCH\n    return w + h\n=======\n    return w * h\n>>>>>>> REPLACE\n"


def fenced(text, info="python"):
    return f"```{info}\n{text}```\n"


WHOLE = {
    "a sentence": f"Here is the new `geo.py`:\n\n{fenced(NEW)}",
    "a sentence without quotes": f"The updated file geo.py is below.\n\n{fenced(NEW)}",
    "a numbered line": f"1. `geo.py`:\n\n{fenced(NEW)}",
    "a numbered heading": f"### 1. geo.py\n\n{fenced(NEW)}",
    "the first line of the fence": fenced(f"# geo.py\n{NEW}"),
    "a comment of another language": fenced(f"// geo.py\n{NEW}"),
    "a sentence after the fence": f"{fenced(NEW)}\nSave this as `geo.py`.\n",
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_file_is_named_in_words_around_its_fence(name):
    assert place(WHOLE[name], {"geo.py": OLD}).files == {"geo.py": NEW}


def test_first_line_that_a_file_has_already_stays():
    old = f"# geo.py\n{OLD}"
    assert place(fenced(f"# geo.py\n{NEW}"), {"geo.py": old}).files == {"geo.py": f"# geo.py\n{NEW}"}


@pytest.mark.parametrize(
    "answer",
    [
        f"I looked at `geo.py` and `app.py`.\n\n{fenced(NEW)}",
        f"It works like this in `geo.py`.\n\n{fenced(NEW)}",
        f"Run the new `run.sh`:\n\n{fenced('./run.sh', 'bash')}",
        f"The new geo.py begins:\n{fenced('x = 1' + chr(10))}\nand the new geo.py ends:\n{fenced('y = 1' + chr(10))}",
        f"The new Node.js code:\n\n{fenced(NEW)}",
    ],
)
def test_words_that_name_no_file_or_several_are_no_edit(answer):
    with pytest.raises(ConflictError, match="no edits"):
        place(answer, {"geo.py": OLD})


def test_a_part_of_a_file_is_not_taken_for_the_whole():
    answer = f"Here is the updated `geo.py`:\n\n{fenced('def area(w, h):' + chr(10) + '    return w * h' + chr(10))}"
    assert place(answer, {"geo.py": OLD}).rejected


DIFFS = {
    "a diff fence after a sentence": "In `geo.py`, change:\n\n```diff\n-    return w + h\n+    return w * h\n```\n",
    "a diff fence after a name": "geo.py:\n\n```diff\n def area(w, h):\n-    return w + h\n+    return w * h\n```\n",
    "a hunk in a diff fence": "Fix geo.py like this:\n```diff\n@@ -1,2 +1,2 @@\n def area(w, h):\n-    return w + h\n+    return w * h\n```\n",
    "context without its space": "--- a/geo.py\n+++ b/geo.py\n@@ -1,3 +1,3 @@\ndef area(w, h):\n-    return w + h\n+    return w * h\n\n",
    "the path of a block with a prefix": f"a/geo.py\n{BLOCK}",
    "a divider twice": f"geo.py\n{BLOCK.replace('>>>>>>>', '=======' + chr(10) + '>>>>>>>')}",
    "an indented end of a patch": "*** Begin Patch\n*** Update File: geo.py\n@@\n-    return w + h\n+    return w * h\n *** End Patch\n",
    "one space more": f"geo.py\n{BLOCK.replace('w + h', 'w  + h')}",
    "no space": f"geo.py\n{BLOCK.replace('w + h', 'w+h')}",
}


@pytest.mark.parametrize("name", DIFFS)
def test_a_change_with_one_reading_is_placed(name):
    result = place(DIFFS[name], {"geo.py": OLD})
    assert not result.rejected, result.rejected
    assert result.files == {"geo.py": NEW}


def test_a_path_with_backslashes_is_one_with_slashes():
    assert place(f"src\\geo.py\n{BLOCK}", {"src/geo.py": OLD}).files == {"src/geo.py": NEW}


def test_a_folder_named_a_is_no_prefix():
    files = {"a/geo.py": OLD, "geo.py": OLD}
    assert place(f"a/geo.py\n{BLOCK}", files).files == {"a/geo.py": NEW, "geo.py": OLD}


@pytest.mark.parametrize("form", ["two spaces", "no spaces"])
def test_spaces_that_tell_two_lines_apart_are_not_ignored(form):
    twins = "def a():\n    return w + h\n\n\ndef b():\n    return w +  h\n"
    search = "    return w  +  h" if form == "two spaces" else "    return w+h"
    answer = f"geo.py\n<<<<<<< SEARCH\n{search}\n=======\n    return 1\n>>>>>>> REPLACE\n"
    assert place(answer, {"geo.py": twins}).rejected


@pytest.mark.parametrize(
    ("header", "added", "expected"),
    [
        ("@@ -1,0 +2 @@", "+    # a\n", OLD.replace("h):\n", "h):\n    # a\n", 1)),
        ("@@ -0,0 +1,2 @@", "+import math\n+\n", f"import math\n\n{OLD}"),
        ("@@ -6,0 +7,2 @@", "+\n+x = 1\n", f"{OLD}\nx = 1\n"),
        ("@@ -1,0 +9 @@", "+    # a\n", None),  # the numbers contradict each other
        ("@@ -60,0 +61 @@", "+    # a\n", None),
        ("@@ -1,0 +2,4 @@", "+    # a\n", None),
        ("@@ @@", "+    # a\n", None),
    ],
)
def test_lines_without_context_are_inserted_only_where_the_numbers_agree(header, added, expected):
    result = place(f"--- a/geo.py\n+++ b/geo.py\n{header}\n{added}", {"geo.py": OLD})
    assert bool(result.rejected) == (expected is None)
    assert result.files["geo.py"] == (expected or OLD)


def test_a_diff_without_context_as_git_writes_it():
    diff = "--- a/geo.py\n+++ b/geo.py\n@@ -0,0 +1 @@\n+import math\n@@ -2 +3 @@ def area\n-    return w + h\n+    return w * h\n@@ -6,0 +8 @@\n+    # end\n"
    assert place(diff, {"geo.py": OLD}).files["geo.py"] == f"import math\n{NEW}    # end\n"
    assert place(diff.replace("+8 @@", "+7 @@"), {"geo.py": OLD}).rejected


HEADING = "Title\n=======\n\nold text\n"


@pytest.mark.parametrize(
    ("search", "new", "expected"),
    [
        ("Title\n=======\n\nold text\n", "Title\n=======\n\nnew text\n", "Title\n=======\n\nnew text\n"),
        ("old text\n", "Part\n=======\n\nnew text\n", "Title\n=======\n\nPart\n=======\n\nnew text\n"),
        ("Title\n=======\n", "Name\n=======\n", "Name\n=======\n\nold text\n"),
    ],
)
def test_underlined_headings_inside_a_block_are_no_dividers(search, new, expected):
    answer = f"README.md\n<<<<<<< SEARCH\n{search}=======\n{new}>>>>>>> REPLACE\n"
    result = place(answer, {"README.md": HEADING})
    assert not result.rejected, result.rejected
    assert result.files["README.md"] == expected


def test_a_block_that_no_divider_fits_is_refused():
    answer = "README.md\n<<<<<<< SEARCH\nx\n=======\ny\n=======\nz\n>>>>>>> REPLACE\n"
    [rejected] = place(answer, {"README.md": HEADING}).rejected
    assert "2 dividers" in rejected.message


@pytest.mark.parametrize("anchor", ["def perimeter(w):", "class Shape:", "async def area_of(w):"])
def test_lines_under_a_definition_that_the_file_lacks_are_refused(anchor):
    answer = f"*** Begin Patch\n*** Update File: geo.py\n@@ {anchor}\n-    return w + h\n+    return w * h\n*** End Patch\n"
    [rejected] = place(answer, {"geo.py": OLD}).rejected
    assert "the file has no" in rejected.message


# -- omission marks and losses ----------------------------------------------------------------------

MARKS = [
    ";; ... existing code ...", "REM rest of file unchanged", "' ... existing code ...", '" ... rest unchanged',
    "/// ... existing code ...", "{# ... existing code ... #}", "{{!-- rest of template unchanged --}}",
    "<%# ... existing code ... %>", "(* ... existing code ... *)", "[rest of the document unchanged]",
    "(rest of file unchanged)", "<rest of file>", "# omitted for brevity", "// Some lines truncated for brevity.",
    "# no changes below", "# No further changes needed", "# keep everything below", "// keep the rest as is",
    "# TODO: rest of implementation here", "@* rest of view unchanged *@", "## ... existing code ...",
    "{# ... #}", "(* ... *)", "<%# ... %>",
]  # fmt: skip


@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_for_omitted_lines_is_refused(mark):
    answer = (
        f"geo.txt\n<<<<<<< SEARCH\n    return w + h\n=======\n    return w * h\n{mark}\n>>>>>>> REPLACE\n"
    )
    [rejected] = place(answer, {"geo.txt": OLD}).rejected
    assert rejected.cause == "elided"


@pytest.mark.parametrize(
    "line",
    [
        "# the rest of the file is unchanged by rotation",
        "# no changes are lost here",
        "// keep the rest of the arguments in order",
        "'... the existing code ...'",
        '"... the rest of the message"',
        "# truncated to ten characters",
        "# Values are omitted for readers without access",
        "(see the rest of the chapter)",
        "# keep alive for 30 seconds",
    ],
)
def test_an_honest_line_is_no_mark(line):
    answer = (
        f"geo.txt\n<<<<<<< SEARCH\n    return w + h\n=======\n    return w * h\n{line}\n>>>>>>> REPLACE\n"
    )
    assert not place(answer, {"geo.txt": OLD}).rejected


LOSSES = {
    "a style rule": ("a.css", ".a {\n  color: red;\n  margin: 0;\n}\n\n.b {\n  color: blue;\n}\n", ".a {\n  color: green;\n  margin: 0;\n}\n", ".b"),
    "a section": ("a.ini", "[a]\nx = 1\nz = 1\n\n[b]\ny = 1\n", "[a]\nx = 2\nz = 1\n", "b"),
    "a table": ("a.toml", "[a]\nx = 1\nz = 1\n\n[b]\ny = 1\n", "[a]\nx = 2\nz = 1\n", "b"),
    "a key": ("a.yaml", "name: a\non: push\njobs:\n  x: 1\n", "name: b\njobs:\n  x: 1\n", "on"),
    "a JSON key": ("a.json", '{"name": "a", "type": "b", "c": 1}\n', '{"name": "b", "c": 1}\n', "type"),
    "a target": ("Makefile", "all: build\n\techo\n\techo 2\n\nclean:\n\trm x\n", "all: build\n\techo 1\n\techo 2\n", "clean"),
    "a statement": ("a.sql", "CREATE TABLE a (x int);\nCREATE TABLE b (y int);\n", "CREATE TABLE a (x bigint);\n", "b"),
    "a heading": ("a.md", "# A\n\ntext\n\nmore\n\n## Use it\n\nx\n", "# A\n\nnew\n\nmore\n", "Use it"),
    "a constant": ("a.py", "LIMIT = 3\n\n\ndef f():\n    return 1\n", "def f():\n    return 2\n", "LIMIT"),
    "a used import": ("a.py", "import json\nfrom os import (\n    path,\n)\n\n\ndef f(x):\n    return json.loads(x)\n", "from os import path\n\n\ndef f(x):\n    return json.loads(x or '')\n", "json"),
    "the main program": ("a.py", 'def f():\n    return 1\n\n\nif __name__ == "__main__":\n    f()\n', "def f():\n    return 2\n", "__main__"),
    "an exported constant": ("a.ts", "export const A = 1\nexport const B = 2\n", "export const A = 3\n", "B"),
    "all but a third of the lines": ("b.txt", "".join(f"{n}\n" for n in range(9)), "0\n1\n2\na\n", "4 of 9 lines"),
    "half of the lines": ("a.txt", "".join(f"{n}\n" for n in range(8)), "a\nb\nc\nd\n", "4 of 8 lines"),
    "the end of a function": ("a.py", "def f(x):\n    a = x\n    b = a\n    c = b\n    d = c\n    return d\n", "from y import z\n\n\n@z\ndef f(x):\n    a = x\n", "the rest of f"),
    "the end of a function in Go": ("a.go", "package a\n\nfunc F(x int) int {\n\ta := x\n\tb := a\n\tc := b\n\td := c\n\te := d\n\treturn e\n}\n", "package a\n\nfunc F(x int) int {\n\ta := x\n}\n", "the rest of F"),
    "a resource": ("a.tf", 'resource "x" "a" {\n}\nresource "x" "b" {\n}\n', 'resource "x" "a" {\n  n = 1\n}\n', "b"),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_a_whole_file_that_loses_a_part_is_refused(name):
    path, old, new, lost = LOSSES[name]
    result = place(f"{path}\n{fenced(new, '')}", {path: old})
    assert [each.cause for each in result.rejected] == ["elided"]
    assert lost in result.rejected[0].message
    fix = result.rejected[0].fix.rpartition(": ")[2]
    said = place(f"I {fix}.\n\n{path}\n{fenced(new, '')}", {path: old})
    assert said.files[path] == new or "import" in name


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("a.css", ".a {\n}\n\n.b {\n}\n", ".a {\n}\n\n.c {\n}\n"),
        ("a.txt", "".join(f"{n}\n" for n in range(8)), "a\nb\nc\nd\ne\n"),
        (
            "a.py",
            "if w:\n    def f():\n        a = 1\n        b = 1\n        c = 1\n        d = 1\n        e = 1\nelse:\n    def f():\n        a = 1\n\n\ng = 1\n",
            "if w:\n    def f():\n        a = 1\n        b = 1\n        c = 1\n        d = 1\n        e = 1\nelse:\n    def f():\n        a = 1\n\n\ng = 2\n",
        ),
        (
            "a.py",
            "def f(x):\n    a = x\n    b = a\n    c = b\n    d = c\n    return d\n",
            "def f(x):\n    a = x\n    b = a\n",
        ),
        ("a.md", "# A\n\n## One\n\nx\n", "# A\n\n## First\n\nx\n"),
        (
            "a.py",
            "import json\n\n\ndef f(x):\n    return json.loads(x)\n",
            "def f(x):\n    return eval(x)\n",
        ),
        ("a.py", "x = 1\ny = 2\nprint(x + y)\n", "def main():\n    print(3)\n\n\nmain()\n"),
        ("a.yaml", "a: 1\nb: 2\n", "b: 2\na: 1\n"),
    ],
)
def test_a_whole_file_that_renames_or_moves_parts_is_written(path, old, new):
    assert place(f"{path}\n{fenced(new, '')}", {path: old}).files[path] == new


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("120000", "a link"), ("160000", "a submodule"), ("104755", "a file of another kind")],
)
@pytest.mark.parametrize("what", ["new file mode", "new mode"])
def test_a_diff_of_what_is_no_plain_file_is_refused(mode, kind, what):
    with pytest.raises(ConflictError, match=kind):
        place(f"diff --git a/x b/x\n{what} {mode}\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+a.txt\n", {})
