"""Ambiguous or incomplete answers are refused, or read as intended."""

import json

import pytest

from codebot import ConflictError, DeniedError, UsageError, place

GEO = "def area(w, h):\n    return w * h\n\n\ndef edge(w, h):\n    return w + h\n"
GUIDE = "".join(f"line {n}\n" for n in range(1, 16))


def block(path, search, replace):
    return f"{path}\n<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n"


FIRST = block("app.py", "x = 1\n", "x = 2\n")


def fence(path, text, language="python"):
    return f"`{path}`\n```{language}\n{text}```\n"


def refused(answer, files, cause=None):
    result = place(answer, files)
    assert result.rejected
    assert result.files == files
    assert cause in {None, result.rejected[0].cause}
    return result.rejected[0]


# -- a part of a file as the whole ------------------------------------------------------------------

EDGE = "def edge(w, h):\n    return 2 * (w + h)\n"
SHOP = "class Shop:\n    def price(self):\n        return 1\n\n    def name(self):\n        return 'a'\n"
GO = "package a\n\nfunc Area() int {\n\treturn 1\n}\n\nfunc Edge() int {\n\treturn 2\n}\n"
TS = "export function area() {\n  return 1;\n}\n\nexport const edge = () => {\n  return 2;\n};\n"


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("geo.py", GEO, EDGE),
        ("geo.py", GEO, f"# ...\n\n\n{EDGE}"),
        ("geo.py", GEO, f"...\n\n\n{EDGE}"),
        ("geo.py", GEO, f"# [other functions]\n\n\n{EDGE}"),
        ("geo.py", GEO, f"# (other functions here)\n{GEO}"),
        ("geo.py", GEO, f"{GEO}\n# snip\n"),
        ("shop.py", SHOP, "class Shop:\n    def name(self):\n        return 'b'\n"),
        ("area.go", GO, "package a\n\nfunc Edge() int {\n\treturn 3\n}\n"),
        ("area.go", GO, f"{GO}// ...\n"),
        ("area.ts", TS, "export const edge = () => {\n  return 3;\n};\n"),
        ("area.ts", TS, f"{TS}/* ... */\n"),
        ("page.html", "<p>a</p>\n<p>b</p>\n", "<p>a</p>\n<!-- ... -->\n<p>b</p>\n"),
        ("GUIDE.md", GUIDE, "x is 2 now.\n"),
        ("GUIDE.md", GUIDE, "line 1\nline 2\nline 3\n"),
        ("list.txt", "a\nb\nc\n", "d\n"),
        ("settings.yaml", GUIDE.replace(" ", ": "), "line: 3\n"),
        ("data.sql", "select 1;\nselect 2;\nselect 3;\n", "-- ...\nselect 4;\nselect 5;\nselect 6;\n"),
    ],
)
def test_a_part_of_a_file_is_not_the_whole(path, old, new):
    assert refused(fence(path, new), {path: old}).cause == "elided"
    as_json = {"file_changes": [{"filepath": path, "content": new}]}
    with pytest.raises(ConflictError):
        place(json.dumps(as_json), {path: old})


@pytest.mark.parametrize(
    ("path", "old", "new", "prose"),
    [
        ("geo.py", GEO, EDGE, "I removed `area`, which nothing calls."),
        ("geo.py", GEO, GEO.replace("area", "surface").replace("w * h", "h"), ""),
        ("geo.py", GEO, f"{GEO}\n\ndef third():\n    return 3\n", ""),
        ("GUIDE.md", GUIDE, "Short.\n", "GUIDE.md is rewritten in one sentence."),
        ("GUIDE.md", GUIDE, GUIDE.replace("line", "row"), ""),
        ("GUIDE.md", GUIDE, GUIDE[: GUIDE.index("line 10")], ""),
        ("stub.py", GEO, f"{GEO}\n\ndef new(x: int) -> int:\n    ...\n", ""),
        ("a.yaml", "---\na: 1\nb: 2\n", "---\na: 1\nb: 3\n...\n", ""),
    ],
)
def test_a_whole_file_that_says_what_it_drops_is_written(path, old, new, prose):
    assert place(f"{prose}\n\n{fence(path, new)}", {path: old}).files == {path: new}


@pytest.mark.parametrize("mark", ["...", "# ...", "# [other code]", "    ..."])
def test_a_body_replaced_by_a_mark_is_refused(mark):
    search = "def area(w, h):\n    return w * h\n"
    refused(block("geo.py", search, f"def area(w, h):\n{mark}\n"), {"geo.py": GEO}, "elided")


@pytest.mark.parametrize(
    ("path", "old", "new", "prose"),
    [
        ("geo.py", GEO, EDGE + "# many\n" * 9, ""),
        ("geo.py", GEO, EDGE, "I rewrote edge; `area` is not removed."),
        ("geo.py", GEO, EDGE, "Removed the loop. Keep `area` as is."),
        ("A.java", "class A {\n  void f(int a) {\n  }\n  void f(long a) {\n  }\n}\n", "class A {\n  void f(int a) {\n    g();\n  }\n}\n", ""),
    ],
)  # fmt: skip
def test_a_loss_is_seen_whatever_the_length_and_the_words(path, old, new, prose):
    assert refused(f"{prose}\n\n{fence(path, new)}", {path: old}).cause == "elided"


@pytest.mark.parametrize(
    "inner",
    [
        '# API\n\n```json\n{"summary":"s","file_changes":[{"filepath":"src/x.py","content":"print(1)\\n"}]}\n```\n',
        "# H\n\nWrite:\n\n```\nsrc/x.py\n<<<<<<< SEARCH\na = 1\n=======\na = 2\n>>>>>>> REPLACE\n```\n",
        "# H\n\n```diff\n--- a/src/x.py\n+++ b/src/x.py\n@@ -1,1 +1,1 @@\n-a = 1\n+a = 2\n```\n",
    ],
)
def test_an_example_inside_a_file_is_not_applied(inner):
    files = {"docs/api.md": "# API\n", "src/x.py": "a = 1\n"}
    result = place(f"docs/api.md\n````markdown\n{inner}````\n", files)
    assert result.files == {"docs/api.md": inner, "src/x.py": "a = 1\n"}


ONE, FIVE = "x = 1\n", "y = 5\n"


def test_two_versions_of_one_file_are_refused_however_it_is_spelt():
    with pytest.raises(ConflictError, match="twice"):
        place(f"{fence('m.py', ONE)}\n{fence('./m.py', FIVE)}", {"m.py": "x = 0\n"})


@pytest.mark.parametrize("name", [".env.example", "conftest.py", "log.py"])
def test_a_new_file_may_have_a_mask(name):
    assert place(f"`{name}`\n```\nPASSWORD = '***'\n```\n", {}).files == {name: "PASSWORD = '***'\n"}


# -- a block whose naming line differs ----------------------------------------------------------------

SQL = "UPDATE drafts\nSET state = 'old'\nWHERE age > 30\n  AND locked = 0\n  AND owner = 'bot';\n"
ZONES = "zone-1:\n  host: z1.invalid\n  replicas: 2\n  weight: 5\n"
BOX = "def sweep(box):\n    if not box.sealed:\n        box.open()\n        box.log()\n"
LOAD = "def load(path):\n    data = read(path)\n    return parse(data)\n"
TEST = 'it("adds two", () => {\n  const cart = make();\n  cart.add(1);\n  expect(cart.sum).toBe(1);\n});\n'
INI = "[alpha]\nhost = one\nport = 80\nuser = me\n"
CSS = ".card {\n  color: red;\n  margin: 0;\n  width: 10px;\n}\n"
MAKE = "build: deps\n\tgo build ./...\n\tcp a b\n\techo done\n"
GUARD = "def f(x):\n    y = clean(x)\n    if x > 0:\n        send(y)\n        log(y)\n"


@pytest.mark.parametrize(
    ("path", "old", "right", "wrong", "change"),
    [
        ("a.sql", SQL, "UPDATE drafts", "UPDATE letters", ("  AND locked = 0\n", "")),
        ("a.sql", SQL, "WHERE age > 30", "WHERE age < 30", ("  AND locked = 0\n", "")),
        ("z.yaml", ZONES, "zone-1", "zone-2", ("replicas: 2", "replicas: 9")),
        (
            "box.py",
            BOX,
            "if not box",
            "if box",
            ("        box.log()\n", "        box.burn()\n        box.log()\n"),
        ),
        ("load.py", LOAD, "load(", "load_all(", ("parse(data)", "[parse(data)]")),
        ("load.py", LOAD, "load(", "fetch(", ("parse(data)", "[parse(data)]")),
        ("cart.ts", TEST, "adds two", "adds three", ("toBe(1)", "toBe(2)")),
        ("a.ini", INI, "[alpha]", "[beta]", ("port = 80", "port = 81")),
        ("a.css", CSS, ".card", ".board", ("margin: 0", "margin: 1px")),
        ("Makefile", MAKE, "build: deps", "check: deps", ("echo done", "echo built")),
        ("f.py", GUARD, "x > 0", "x < 0", ("log(y)", "log(x)")),
        ("f.py", GUARD, "y = clean", "z = clean", ("log(y)", "log(x)")),
        ("f.py", GUARD, "def f(", "def g(", ("log(y)", "log(x)")),
        (
            "f.md",
            "# Alpha\n\none two three\nfour five six\nseven\n",
            "# Alpha",
            "# Gamma",
            ("seven", "eight"),
        ),
    ],
)
def test_a_block_with_another_name_is_not_placed_in_a_sibling(path, old, right, wrong, change):
    search = old.replace(right, wrong)
    assert search != old
    refused(block(path, search, search.replace(*change)), {path: old}, "not found")
    signed = [f"-{line}" for line in search.splitlines()]
    signed += [f"+{line}" for line in search.replace(*change).splitlines()]
    patch = "*** Begin Patch\n*** Update File: {}\n@@\n{}\n*** End Patch\n".format(path, "\n".join(signed))
    refused(patch, {path: old}, "not found")


@pytest.mark.parametrize(
    ("right", "typed"), [("parse", "prase"), ("def load", "def looad"), ("read(path)", "raed(path)")]
)
def test_a_typing_error_in_a_context_line_is_placed(right, typed):
    old = f"{LOAD}\n\ndef other():\n    pass\n"
    search = LOAD.replace(right, typed, 1)
    wanted = old.replace("data)\n", "data)\n    # end\n", 1)
    result = place(block("load.py", f"{search}\n", f"{search}    # end\n\n"), {"load.py": old})
    assert result.files["load.py"] == wanted


# -- hints that contradict ------------------------------------------------------------------------------

TWO = 'class Small:\n    depth = 10\n    kind = "s"\n\n\nclass Large:\n    depth = 20\n    kind = "l"\n'
ONE_GO = "func Small() int {\n\treturn 10\n}\n\nfunc Large() int {\n\treturn 20\n}\n"


@pytest.mark.parametrize(
    ("path", "old", "hint", "line"),
    [
        ("box.py", TWO, "class Large:", "    depth = 10"),
        ("box.py", TWO, "class Small:", "    depth = 20"),
        ("a.go", ONE_GO, "func Large() int {", "\treturn 10"),
        ("a.go", ONE_GO, "func Small() int {", "\treturn 20"),
    ],
)
def test_lines_under_another_definition_than_the_hint_are_refused(path, old, hint, line):
    number = old.split("\n").index(line) + 1
    changed = f"-{line}\n+{line}0\n"
    for head in (f"@@ {hint}", f"@@ -{number},1 +{number},1 @@ {hint}"):
        start = (
            f"*** Begin Patch\n*** Update File: {path}\n"
            if head == f"@@ {hint}"
            else f"--- a/{path}\n+++ b/{path}\n"
        )
        end = "*** End Patch\n" if head == f"@@ {hint}" else ""
        refused(f"{start}{head}\n{changed}{end}", {path: old}, "not found")


@pytest.mark.parametrize(
    ("hint", "line"),
    [
        ("class Large:", "    depth = 20"),
        ("class Gone:", "    depth = 20"),
        ("", "    depth = 20"),
        ("class Small:", "class Large:"),  # the hunk begins with the next definition
    ],
)
def test_a_hint_that_fits_or_is_stale_does_no_harm(hint, line):
    answer = f"--- a/box.py\n+++ b/box.py\n@@ -99,1 +99,1 @@ {hint}\n-{line}\n+{line}  # new\n"
    assert place(answer, {"box.py": TWO}).files["box.py"] == TWO.replace(line, f"{line}  # new")


README = "# Title\n\nUse it.\n\n```js\nimport a;\nrun(a);\n```\n\nThe end.\n"


@pytest.mark.parametrize("number", [1, 8])
def test_fences_inside_a_hunk_are_lines_of_the_document(number):
    hunk = " Use it.\n \n ```js\n-import a;\n+import b;\n run(a);\n ```\n \n The end.\n+```py\n+b\n+```\n"
    answer = f"--- a/readme.md\n+++ b/readme.md\n@@ -3,{number} +3,11 @@ readme.md\n{hunk}"
    answer += "--- a/app.py\n+++ b/app.py\n@@ -1,1 +1,1 @@\n-x = 1\n+x = 2\n"
    wanted = README.replace("import a", "import b") + "```py\nb\n```\n"
    result = place(answer, {"readme.md": README, "app.py": "x = 1\n"})
    assert result.files == {"readme.md": wanted, "app.py": "x = 2\n"}


def test_a_definition_that_an_earlier_hunk_adds_contradicts_no_section():
    answer = (
        "--- a/box.py\n+++ b/box.py\n@@ -2,2 +2,5 @@ class Small:\n     depth = 10\n+    a = 1\n+\n+class Inner:\n"
        '     kind = "s"\n@@ -3,1 +6,1 @@ class Small:\n-    kind = "s"\n+    kind = "t"\n'
    )
    assert 'kind = "t"' in place(answer, {"box.py": TWO}).files["box.py"]


# -- numbers and indentation -----------------------------------------------------------------------------

JOB = "job:\n  steps:\n    name: build\n    retries: 1\n    quiet: true\n"


@pytest.mark.parametrize(
    "form", ["{:>6}\t{}", "{}\t{}", "{:>4} | {}", "{}| {}", "{}|{}", "{}: {}", "{:>6}→{}"]
)
@pytest.mark.parametrize("numbered", [True, False])
def test_line_numbers_never_shift_the_indentation(form, numbered):
    lines = JOB.splitlines()[2:4]
    search = "".join(f"{form.format(n, line)}\n" for n, line in enumerate(lines, 3))
    replace = (
        search.replace("retries: 1", "retries: 5") if numbered else "    name: build\n    retries: 5\n"
    )
    assert place(block("job.yaml", search, replace), {"job.yaml": JOB}).files["job.yaml"] == JOB.replace(
        "1", "5"
    )


@pytest.mark.parametrize(
    ("path", "old", "search", "replace"),
    [
        ("f.ts", "function f(a) {\n  const n = 1;\n  return n;\n}\n", "const n = 1;\n", "  const n = 2;\n"),
        ("job.yaml", "job:\n  retries: 1\n  quiet: true\n", "retries: 1\n", "  retries: 2\n"),
        ("a.go", "func a() {\n\tn := 1\n\tuse(n)\n}\n", "n := 1\nuse(n)\n", "\tn := 2\n\tuse(n)\n"),
        ("a.go", "func a() {\n\tn := 1\n\tuse(n)\n}\n", "n := 1\nuse(n)\n", "n := 2\nuse(n)\n"),
        ("a.py", "if x:\n    if y:\n        value = 1\n", "value = 1\n", "        value = 2\n"),
        ("a.py", "if x:\n    if y:\n        value = 1\n", "value = 1\n", "value = 2\n"),
    ],
)
def test_indentation_is_added_once(path, old, search, replace):
    assert place(block(path, search, replace), {path: old}).files[path] == old.replace("1", "2")


def test_lines_are_compared_once_the_search_has_its_indentation_again():
    old = "def register():\n    if on:\n        add(\n            1,\n        )\n    # next\n    add(\n        2,\n    )\n"
    search = "    add(\n        1,\n    )\n# next\nadd(\n"
    replace = "        add(\n            1,\n        )\n        add(\n            3,\n        )\n    # next\n    add(\n"
    wanted = old.replace("    # next", "        add(\n            3,\n        )\n    # next")
    assert place(block("a.py", search, replace), {"a.py": old}).files["a.py"] == wanted


# -- names in headers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("app.py", "app.py.new"),
        ("app.py.orig", "app.py"),
        ("app.py.bak", "app.py"),
        ("app.py~", "app.py"),
        ("app.py", "app.py.tmp"),
        ("app.py.old", "app.py.new"),
        ("original/app.py", "modified/app.py"),
        ("old/app.py", "new/app.py"),
        ("a/app.py (original)", "b/app.py (modified)"),
        ("app.py", "b/app.py"),
        ("app.py\t2024-01-01 10:00:00", "app.py\t2024-01-02 10:00:00"),
        ("app.py 2024-01-01 10:00:00", "app.py 2024-01-02 10:00:00"),
        ("/tmp/x/app.py", "app.py"),
    ],
)
def test_the_name_of_a_temporary_copy_renames_nothing(old, new):
    answer = f"--- {old}\n+++ {new}\n@@ -1,2 +1,2 @@\n-x = 1\n+x = 2\n y = 5\n"
    assert place(answer, {"app.py": "x = 1\ny = 5\n"}).files == {"app.py": "x = 2\ny = 5\n"}


def test_two_names_without_rename_lines_are_refused_and_with_them_rename():
    hunk = "@@ -1,1 +1,1 @@\n-x = 1\n+x = 2\n"
    with pytest.raises(ConflictError, match="two files"):
        place(f"--- a/app.py\n+++ b/main.py\n{hunk}", {"app.py": "x = 1\n"})
    git = f"diff --git a/app.py b/main.py\nrename from app.py\nrename to main.py\n--- a/app.py\n+++ b/main.py\n{hunk}"
    assert place(git, {"app.py": "x = 1\n"}).files == {"main.py": "x = 2\n"}


# -- an edit that is in already ----------------------------------------------------------------------------


def test_an_edit_that_is_in_does_not_go_to_its_twin():
    file = "def left(n):\n    step = n + 1\n    return step * 2\n\n\ndef right(n):\n    if n:\n        step = n + 1\n        return step\n"
    search = "    step = n + 1\n    return step\n"
    answer = block("m.py", search, search.replace("step\n", "step * 2\n").replace("n + 1", "n + 1"))
    result = place(answer, {"m.py": file})
    assert not result.rejected
    assert result.files == {"m.py": file}


# -- words that are no files ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "title",
    [
        "**Node.js**", "**Input/Output**", "### os.path", "`box.add`", "Before/After:", "## CI/CD", "**ASP.NET**",
        "Socket.io", "and/or", "list.append", "**self.value**", "v1.2", "e.g", "TCP/IP",
    ],
)  # fmt: skip
def test_a_title_is_no_file(title):
    files = {"app.py": "x = 1\n"}
    answer = f"It looks like this.\n\n{title}\n\n```python\nvalue = 1\n```\n"
    with pytest.raises(ConflictError, match="no edits"):
        place(answer, files)
    both = place(FIRST + answer, files)
    assert both.files == {"app.py": "x = 2\n"}


@pytest.mark.parametrize(
    "info", ["py app.py lines 1-2", "py app.py#L1-L2", "py app.py:1-2", "12:15:app.py"]
)
def test_some_lines_of_a_file_are_not_the_file(info):
    with pytest.raises(ConflictError):
        place(f"```{info}\nx = 3\n```\n", {"app.py": "x = 1\ny = 2\n"})


@pytest.mark.parametrize(
    ("title", "path"),
    [
        ("`src/new.py`", "src/new.py"), ("**Makefile**", "Makefile"), ("`.gitignore`", ".gitignore"),
        ("Create `bin/deploy`:", "bin/deploy"), ("1. `src/b.py`:", "src/b.py"), ("Here is the new `b.py`:", "b.py"), ("new file: data.xyz", "data.xyz"), ("`lib/thing`", "lib/thing"),
        ("`app.js`", "app.js"),
    ],
)  # fmt: skip
def test_a_new_file_is_named_by_its_suffix_its_folder_or_a_word(title, path):
    files = {"lib/a.py": "x = 1\n"}
    assert place(f"{title}\n```\nvalue\n```\n", files).files == {**files, path: "value\n"}


@pytest.mark.parametrize("word", ["---", "Then", "2.", "Next", "b)", "***"])
def test_a_word_before_a_block_is_no_path(word):
    files = {"app.py": "x = 1\ny = 5\n"}
    second = block("X", "y = 5\n", "y = 6\n").removeprefix("X\n")
    result = place(f"{FIRST}\n{word}\n\n{second}", files)
    assert result.files == {"app.py": "x = 2\ny = 6\n"}
    with pytest.raises(ConflictError):
        place(f"{word}\n<<<<<<< SEARCH\n=======\nremember\n>>>>>>> REPLACE\n", files)


def test_a_bare_word_that_is_a_file_is_its_path():
    assert place(block("run", "x\n", "y\n"), {"run": "x\n"}).files == {"run": "y\n"}


# -- the same path twice ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        [{"filepath": "app.py", "content": "x = 7\n"}, {"filepath": "app.py", "content": "y = 8\n"}],
        [{"filepath": "app.py", "content": "x = 7\n"}, {"filepath": "./app.py", "content": "y = 8\n"}],
        [{"filepath": "new.py", "content": "x = 7\n"}, {"filepath": "NEW.py", "content": "y = 8\n"}],
        [{"filepath": "app.py", "content": "x = 7\n"}, {"filepath": "app.py", "operation": "delete"}],
        [{"filepath": "app.py", "operation": "delete"}, {"filepath": "app.py", "content": "x = 7\n"}],
        [{"filepath": "app.py", "operation": "rename", "to": "b.py"}, {"filepath": "app.py", "content": "x = 7\n"}],
        [{"filepath": "app.py", "operation": "rename", "to": "b.py"}, {"filepath": "b.py", "content": "x = 7\n"}],
        [{"filepath": "b.py", "content": "x = 7\n"}, {"filepath": "app.py", "operation": "rename", "to": "b.py"}],
    ],
)  # fmt: skip
def test_two_changes_of_one_path_are_refused(changes):
    with pytest.raises((UsageError, ConflictError, DeniedError), match="twice"):
        place(json.dumps({"file_changes": changes}), {"app.py": "x = 1\n"})


# -- syntax ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "old", "search", "replace", "is_broken"),
    [
        ("k.yaml", "a:\n  - 1\n  - 2\n", "  - 1\n", "  - [1\n", True),
        ("k.yml", "a:\n  - 1\n  - 2\n", "  - 1\n", "  - 1\n    b: 3\n   c: 4\n", True),
        ("k.yml", "a: 1\nb: 2\n", "a: 1\n", "a: 'one\n", True),
        ("k.yaml", "a: &x 1\n---\nb: !custom 2\n", "a: &x 1\n", "a: &x 3\nc: *x\n", False),
        ("k.yaml", "a: {{ value }}\nb: 1\n", "b: 1\n", "b: [1\n", False),
        ("n.ipynb", '{\n "cells": [],\n "nbformat": 4\n}\n', ' "nbformat": 4\n', ' "nbformat": 4,\n', True),
        ("n.ipynb", '{\n "cells": [],\n "nbformat": 4\n}\n', ' "cells": [],\n', ' "cells": 3,\n', True),
        ("n.ipynb", '{\n "cells": [],\n "nbformat": 4\n}\n', ' "nbformat": 4\n', ' "nbformat": 5\n', False),
    ],
)
def test_an_edit_that_breaks_the_format_is_refused(path, old, search, replace, is_broken):
    result = place(block(path, search, replace), {path: old})
    assert [edit.cause for edit in result.rejected] == (["broken"] if is_broken else [])


# -- tool calls as text ----------------------------------------------------------------------------------------

EDIT = {"file_path": "app.py", "old_string": "x = 1", "new_string": "x = 2"}
V4A = "*** Begin Patch\n*** Update File: app.py\n@@\n-x = 1\n+x = 2\n*** End Patch"
BLOCK = "<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE"


@pytest.mark.parametrize(
    "answer",
    [
        EDIT,
        {"path": "app.py", "old_str": "x = 1", "new_str": "x = 2"},
        {"command": "str_replace", "path": "app.py", "old_str": "x = 1\n", "new_str": "x = 2\n"},
        {"input": V4A},
        {"patch": V4A},
        {"name": "Edit", "arguments": EDIT},
        {"name": "Edit", "arguments": json.dumps(EDIT)},
        {"type": "function", "function": {"name": "edit", "arguments": json.dumps(EDIT)}},
        {"tool_calls": [{"id": "1", "function": {"name": "edit", "arguments": json.dumps(EDIT)}}]},
        {"content": [{"type": "text", "text": "ok"}, {"type": "tool_use", "name": "Edit", "input": EDIT}]},
        {"file_path": "app.py", "edits": [{"old_string": "x = 1", "new_string": "x = 2"}]},
        {"path": "app.py", "edits": [{"oldText": "x = 1", "newText": "x = 2"}]},
        [EDIT],
        {"file_path": "app.py", "content": "x = 2\ny = 5\n"},
        {"command": "create", "path": "app.py", "file_text": "x = 2\ny = 5\n"},
        {"path": "app.py", "diff": BLOCK},
        {"file_path": "app.py", "old_string": "= 1\ny", "new_string": "= 2\ny"},
        {"file_path": "app.py", "old_string": "1", "new_string": "2"},
    ],
    ids=repr,
)
def test_a_tool_call_as_text_is_an_edit(answer):
    files, wanted = {"app.py": "x = 1\ny = 5\n"}, {"app.py": "x = 2\ny = 5\n"}
    for text in (json.dumps(answer), f"I will edit it.\n\n```json\n{json.dumps(answer, indent=1)}\n```\n"):
        result = place(text, files)
        assert (result.files, result.format) == (wanted, "tool-call")


@pytest.mark.parametrize(
    "answer",
    [
        '<invoke name="Edit">\n<parameter name="file_path">app.py</parameter>\n<parameter name="old_string">x = 1</parameter>\n'
        '<parameter name="new_string">x = 2</parameter>\n</invoke>',
        "<write_to_file>\n<path>app.py</path>\n<content>\nx = 2\ny = 5\n</content>\n</write_to_file>",
        f"<replace_in_file>\n<path>app.py</path>\n<diff>\n{BLOCK}\n</diff>\n</replace_in_file>",
        "<function=edit>\n<parameter=path>\napp.py\n</parameter>\n<parameter=old_str>\nx = 1\n</parameter>\n"
        "<parameter=new_str>\nx = 2\n</parameter>\n</function>",
    ],
)  # fmt: skip
def test_a_tool_call_in_tags_is_an_edit(answer):
    result = place(f"Sure.\n\n{answer}\n", {"app.py": "x = 1\ny = 5\n"})
    assert result.files == {"app.py": "x = 2\ny = 5\n"}


@pytest.mark.parametrize(
    "answer",
    [
        {"file_path": "app.py", "old_string": "5", "new_string": "6"},  # it has two places
        {"file_path": "app.py", "old_string": "z", "new_string": "6"},
        {"file_path": "new.py", "old_string": "z", "new_string": "6"},
    ],
)
def test_a_tool_call_without_one_place_is_refused(answer):
    refused(json.dumps(answer), {"app.py": "x = 5\ny = 5\n"})


@pytest.mark.parametrize(
    "answer", ['{"result": 3}', '{"path": "app.py"}', '{"file_path": "a", "old_string": "x"}']
)
def test_other_json_is_no_edit(answer):
    with pytest.raises((ConflictError, UsageError)):
        place(answer, {"app.py": "x = 1\n"})


# -- notebooks -------------------------------------------------------------------------------------------------


def test_cells_given_as_plain_lines_are_refused_with_how_to_write_them():
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "source": ["price = 1\n", "tax = 2\n"]}
    notebook = json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1)
    for answer in (
        block("n.ipynb", "price = 1\ntax = 2\n", "price = 2\ntax = 2\n"),
        fence("n.ipynb", "price = 2\ntax = 2\n"),
    ):
        assert 'such as `"x = 1\\n",`' in refused(answer, {"n.ipynb": f"{notebook}\n"}).fix
