"""Edit formats of model answers."""

import pytest

from prunejuice.edits import formats
from prunejuice.edits.edit import UnreadableAnswerError

BODY = "old one\nold two\n"


def read(text, named=None):
    return formats.read(text, named)[1]


BLOCKS = {
    "a path on the line before": "src/a.py\n<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE\n",
    "a fence with a language": "src/a.py\n```python\n<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE\n```\n",
    "a path in the fence": "```python\nsrc/a.py\n<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE\n```\n",
    "a path behind the language": "```python src/a.py\n<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE\n```\n",
    "a path behind a colon": "```python:src/a.py\n<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE\n```\n",
    "a heading": "### `src/a.py`\n\n<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE\n",
    "bold with a colon": "**src/a.py:**\n```\n<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE\n```\n",
    "a label": "File: src/a.py\n<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE\n",
    "a sentence": "In `src/a.py`:\n<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE\n",
    "a comment": "# src/a.py\n<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE\n",
    "behind the marker": "<<<<<<< SEARCH src/a.py\nold\n=======\nnew\n>>>>>>> REPLACE\n",
    "conflict markers": "src/a.py\n<<<<<<< ORIGINAL\nold\n=======\nnew\n>>>>>>> UPDATED\n",
    "minus and plus": "src/a.py\n------- SEARCH\nold\n=======\nnew\n+++++++ REPLACE\n",
    "long markers": "src/a.py\n<<<<<<<<< SEARCH\nold\n=========\nnew\n>>>>>>>>> REPLACE\n",
    "short markers": "src/a.py\n<<<<< SEARCH\nold\n=====\nnew\n>>>>> REPLACE\n",
    "carriage returns": "src/a.py\r\n<<<<<<< SEARCH\r\nold\r\n=======\r\nnew\r\n>>>>>>> REPLACE\r\n",
    "a start line": "src/a.py\n<<<<<<< SEARCH\n:start_line:7\n-------\nold\n=======\nnew\n>>>>>>> REPLACE\n",
}


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_in_the_habits_of_several_tools(name):
    (edit,) = read(BLOCKS[name])
    assert (edit.path, edit.search, edit.replace) == ("src/a.py", ("old",), ("new",))
    assert edit.line == (7 if name == "a start line" else 0)


def test_several_blocks_of_one_file_need_its_name_once():
    one = "<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE\n"
    edits = read(f"a.py\n{one}\n{one}\nNow b.py\n\n`b.py`\n{one}")
    assert [each.path for each in edits] == ["a.py", "a.py", "b.py"]
    assert [each.answer_line for each in edits] == [2, 8, 17]


def test_longer_markers_distinguish_equal_sign_lines_from_the_divider():
    text = "a.rst\n<<<<<<<<< SEARCH\nTitle\n=====\n=========\nTitle 2\n=======\n>>>>>>>>> REPLACE\n"
    (edit,) = read(text)
    assert edit.search == ("Title", "=====")
    assert edit.replace == ("Title 2", "=======")


BROKEN = {
    "cut off": ("a.py\n<<<<<<< SEARCH\nold\n=======\nne", "cut off", 2),
    "another begins": (
        "a.py\n<<<<<<< SEARCH\nold\n=======\n<<<<<<< SEARCH\nx\n=======\n>>>>>>> REPLACE",
        "cut off",
        2,
    ),
    "no divider": ("a.py\n<<<<<<< SEARCH\nold\n>>>>>>> REPLACE\nx\n=======\n", "no divider", 2),
    "two dividers": ("a.py\n<<<<<<< SEARCH\n=======\n=======\n>>>>>>> REPLACE", "2 dividers", 2),
    "no file": ("so:\n<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE", "names no file", 2),
    "a patch that does not end": ("*** Begin Patch\n*** Delete File: a\n", "cut off", 3),
    "a chunk line without a sign": ("*** Update File: a\n@@\nfoo\n", "no prefix", 3),
    "a new file without signs": ("*** Add File: a\nfoo\n", "no +", 2),
    "a fence that is not closed": ("a.py\n```\nfoo\n", "not closed", 2),
    "a binary diff": ("diff --git a/x b/x\nGIT binary patch\nliteral 3\n", "binary", 2),
    "a hunk without a file": ("@@ -1,1 +1,1 @@\n-a\n+b\n", "no file", 1),
}


@pytest.mark.parametrize("name", BROKEN)
def test_truncated_or_ambiguous_answer_is_refused_with_its_line(name):
    text, why, line = BROKEN[name]
    with pytest.raises(UnreadableAnswerError, match=why.replace("+", r"\+")) as caught:
        read(text)
    assert caught.value.line == line


@pytest.mark.parametrize("text", ["", "I would change nothing.", "{}", "```\ncode\n```"])
def test_an_answer_without_edits_says_which_formats_there_are(text):
    with pytest.raises(UnreadableAnswerError, match="no edits") as caught:
        read(text)
    assert "search-replace" in caught.value.fix


def test_too_long_an_answer_is_refused():
    with pytest.raises(UnreadableAnswerError, match="16 MB"):
        read("x" * 17_000_000)


def test_the_format_that_is_named_is_the_one_that_is_read():
    with pytest.raises(UnreadableAnswerError, match="in the format whole-file"):
        read(BLOCKS["a label"], "whole-file")


def test_whole_files():
    text = 'Two files.\n\nsrc/a.py\n```python\nprint()\n```\n\n```yaml title="b.yml"\na: 1\n```\n\n```\nprose\n```\n'
    edits = read(text)
    assert [(each.operation, each.path, each.replace) for each in edits] == [
        ("write", "src/a.py", ("print()",)),
        ("write", "b.yml", ("a: 1",)),
    ]


def test_fences_in_a_whole_file_belong_to_it():
    text = "README.md\n```markdown\n# A\n\n```sh\nmake\n```\n\nend\n```\n"
    (edit,) = read(text)
    assert edit.replace == ("# A", "", "```sh", "make", "```", "", "end")


PATCH = """Here it is:
*** Begin Patch
*** Update File: src/a.py
*** Move to: src/b.py
@@ class A
@@     def f(self):
     x = 1
-    y = 2
+    y = 3

 z
*** End of File
*** Add File: new.txt
+one
+
+two
*** Delete File: gone.txt
*** End Patch
"""


def test_apply_patch():
    chunk, move, added, gone = read(PATCH)
    assert (move.operation, move.path, move.to) == ("rename", "src/a.py", "src/b.py")
    assert chunk.search == ("    x = 1", "    y = 2", "", "z")
    assert chunk.replace == ("    x = 1", "    y = 3", "", "z")
    assert chunk.anchors == ("class A", "def f(self):")
    assert chunk.line == -1
    assert (added.operation, added.replace) == ("write", ("one", "", "two"))
    assert (gone.operation, gone.path) == ("delete", "gone.txt")


DIFF = r"""diff --git a/a.py b/a.py
index 123..456 100644
--- a/a.py
+++ b/a.py
@@ -10,3 +10,4 @@ def f():
 x
--- not a header
+y
+z

 w
\ No newline at end of file
diff --git a/old name.py b/new name.py
similarity index 90%
rename from old name.py
rename to new name.py
diff --git a/run.sh b/run.sh
old mode 100644
new mode 100755
diff --git a/gone.txt b/gone.txt
deleted file mode 100644
--- a/gone.txt
+++ /dev/null
@@ -1,2 +0,0 @@
-a
-b
diff --git "a/caf\303\251.txt" "b/caf\303\251.txt"
new file mode 100644
--- /dev/null
+++ "b/caf\303\251.txt"
@@ -0,0 +1,1 @@
+one
\ No newline at end of file
"""


def test_unified_diffs():
    hunk, moved, mode, gone, new = read(DIFF)
    assert hunk.search == ("x", "-- not a header", "", "w")
    assert hunk.replace == ("x", "y", "z", "", "w")
    assert (hunk.line, hunk.anchors) == (10, ("def f():",))
    assert hunk.newline is None
    assert (moved.operation, moved.path, moved.to) == ("rename", "old name.py", "new name.py")
    assert (mode.operation, mode.to) == ("mode", "755")
    assert (gone.operation, gone.search) == ("delete", ("a", "b"))
    assert (new.path, new.replace, new.newline) == ("café.txt", ("one",), False)


@pytest.mark.parametrize(
    ("tail", "newline"),
    [
        ("-a\n\\ No newline at end of file\n+b\n", True),
        ("-a\n+b\n\\ No newline at end of file\n", False),
        ("-a\n+b\n", None),
    ],
)
def test_a_diff_says_how_the_last_line_ends(tail, newline):
    (edit,) = read(f"--- a/x\n+++ b/x\n@@ -1 +1 @@\n{tail}")
    assert edit.newline is newline


def test_a_diff_by_hand_needs_no_counts_and_no_prefixes():
    text = "```diff\n--- src/a.py\n+++ src/a.py\n@@ @@\n a\n-b\n+c\n```\nThat is all.\n"
    (edit,) = read(text)
    assert (edit.path, edit.search, edit.replace) == ("src/a.py", ("a", "b"), ("a", "c"))
    assert edit.line == 0


def test_an_empty_new_file_and_one_that_goes():
    text = "diff --git a/empty b/empty\nnew file mode 100644\nindex 000..e69\ndiff --git a/x b/x\ndeleted file mode 100644\n"
    new, gone = read(text)
    assert (new.operation, new.path, new.replace) == ("write", "empty", ())
    assert (gone.operation, gone.path, gone.search) == ("delete", "x", ())


# -- what reviews found -----------------------------------------------------------------------------

BLOCK = "<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE\n"


def test_file_name_without_a_suffix_starts_a_new_file():
    assert [each.path for each in read(f"a.toml\n{BLOCK}\nPipfile\n{BLOCK}")] == ["a.toml", "Pipfile"]
    assert [each.path for each in read(f"a.toml\n{BLOCK}\nNext, the same again:\n\n{BLOCK}")] == [
        "a.toml",
        "a.toml",
    ]


def test_a_fence_that_only_mentions_a_file_is_prose():
    text = "main.rb\n```ruby\nputs 1\n```\nThen run `main.rb`:\n```bash\nruby main.rb\n```\nOutput of `notes.txt`:\n```\nhello\n```\n"
    assert [(each.path, each.replace) for each in read(text)] == [("main.rb", ("puts 1",))]


def test_file_given_twice_with_different_content_is_refused():
    with pytest.raises(UnreadableAnswerError, match="twice"):
        read("a.rb\n```ruby\n1\n```\na.rb\n```ruby\n2\n```\n")


def test_a_diff_inside_a_whole_file_belongs_to_it():
    text = "README.md\n````markdown\n# A\n```diff\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-x\n+y\n```\n````\n"
    (edit,) = read(text)
    assert (edit.operation, edit.path, len(edit.replace)) == ("write", "README.md", 8)


def test_blocks_and_whole_files_in_one_answer():
    edits = read(f"a.py\n{BLOCK}\nAnd a new one:\n\nnew.py\n```python\nx = 1\n```\n")
    assert [(each.operation, each.path) for each in edits] == [("replace", "a.py"), ("write", "new.py")]


def test_a_fence_that_could_end_in_two_places_is_refused():
    with pytest.raises(UnreadableAnswerError, match="two places"):
        read("a.md\n```markdown\n# hi\n```\ncode\n```\nend\n```\n")


def test_a_copy_is_no_rename():
    with pytest.raises(UnreadableAnswerError, match="copies"):
        read("diff --git a/a.txt b/c.txt\nsimilarity index 100%\ncopy from a.txt\ncopy to c.txt\n")


def test_a_context_line_that_looks_like_a_header_is_one_of_the_chunk():
    (edit,) = read(
        "*** Begin Patch\n*** Update File: a.md\n x\n *** Update File: b.md\n-y\n+z\n*** End Patch\n"
    )
    assert (edit.path, edit.search) == ("a.md", ("x", "*** Update File: b.md", "y"))


@pytest.mark.parametrize(
    ("hunk", "search"),
    [
        ("@@ -1,5 +1,5 @@\n a\n-b\n+B\nc\n-d\n+D\n e\n", ("a", "b", "c", "d", "e")),
        ("@@ -1,2 +1,2 @@\nfoo\n-b\n+B\n", ("foo", "b")),
        ("@@ -1,3 +1,3 @@\ndef f():\n    x = 1\n-    return 1\n+    return 2\n\nI changed:\n- f\n", ("def f():", "   x = 1", "    return 1")),
    ],
)  # fmt: skip
def test_line_without_its_sign_is_context_where_the_counts_say_so(hunk, search):
    (edit,) = read(f"--- a/x\n+++ b/x\n{hunk}")
    assert edit.search == search


@pytest.mark.parametrize(
    "hunk",
    ["@@ -1,4 +1,4 @@\n a\n-b\n+B\nc\n-d\n+D\n e\n", "@@ @@\nfoo\n-b\n+B\n", "@@ -1,9 +1,9 @@\n-b\n+B\n```\n-c\n"],
)  # fmt: skip
def test_no_line_of_a_hunk_is_lost(hunk):
    with pytest.raises(UnreadableAnswerError):
        read(f"--- a/x\n+++ b/x\n{hunk}")


def test_text_after_a_diff_is_not_part_of_it():
    diff = "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\n-b\n+B\n"
    for tail in ("-- \n2.39.0\n", "\n- I changed b\n- and nothing else\n", "\nDone.\n"):
        (edit,) = read(diff + tail)
        assert edit.search == ("a", "b")


def test_lines_that_look_like_headers_inside_a_hunk_are_lines():
    (edit,) = read("--- a/x.sql\n+++ b/x.sql\n@@ -1,2 +1,2 @@\n a\n--- old\n+++ new\n")
    assert (edit.search, edit.replace) == (("a", "-- old"), ("a", "++ new"))


def test_a_new_file_with_a_mode_and_one_that_must_not_be_there():
    (edit,) = read(
        "diff --git a/n.sh b/n.sh\nnew file mode 100755\n--- /dev/null\n+++ b/n.sh\n@@ -0,0 +1 @@\n+x\n"
    )
    assert (edit.to, edit.create) == ("755", True)
    assert read("*** Add File: n\n+x\n")[0].create


def test_names_as_models_write_them():
    assert read(f"./src/a.py\n{BLOCK}")[0].path == "src/a.py"
    assert read(f"my file.txt\n{BLOCK}")[0].path == "my file.txt"
    assert read(f"**.prettierignore**\n{BLOCK}")[0].path == ".prettierignore"


@pytest.mark.parametrize(
    "line",
    [
        "<<<<<<< x" + " " * 90_000 + "y",
        "``` x" + " " * 90_000,
        "*** Update File: x" + " " * 90_000,
        "a" * 90_000,
    ],
)
def test_long_lines_are_read_in_no_time(line):
    with pytest.raises(UnreadableAnswerError):
        read(f"{line}\n=======\n")


def test_a_fence_inside_a_new_file_is_a_mistake_not_nothing():
    with pytest.raises(UnreadableAnswerError, match="no"):
        read("*** Add File: a.md\n+x\n```\n+y\n")


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("_impl.py", "_impl.py"),
        ("__init__.py", "__init__.py"),
        ("__snapshots__/x.json", "__snapshots__/x.json"),
        ("**_impl.py**", "_impl.py"),
        ("__app.py__", "app.py"),
        ("_app.py_", "app.py"),
        ("### __init__.py", "__init__.py"),
        ("File: _impl.py", "_impl.py"),
    ],
)
def test_underscores_of_a_name_are_no_emphasis(line, path):
    (edit,) = read(f"{line}\n{BLOCK}")
    assert edit.path == path
