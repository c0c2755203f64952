"""Where an edit applies: one place or none; the rest of the file is unchanged."""

import random
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunejuice.edits import lines as edits_lines
from prunejuice.edits import matchers, proposal
from prunejuice.edits.diff import Version
from prunejuice.edits.edit import Edit, EditRejectedError
from prunejuice.edits.overlay import Overlay

FILE = '''import os


class Shop:
    def price(self, item):
        """What it costs."""
        if item.free:
            return 0
        return item.cost * 2

    def name(self, item):
        return item.label
'''


def edit(search, replace, path="shop.py", **more):
    return Edit(
        "replace",
        path,
        tuple(search.split("\n")),
        tuple(replace.split("\n")) if replace is not None else (),
        **more,
    )


def placed(search, replace, file=FILE, **more):
    made, how = matchers.place(edits_lines.decode_text(file.encode()), edit(search, replace, **more))
    return made.to_bytes().decode(), how


def rejected(search, replace, file=FILE, **more):
    with pytest.raises(EditRejectedError) as caught:
        placed(search, replace, file, **more)
    return caught.value


READ = "        return item.cost * 2"
WANTED = FILE.replace("cost * 2", "cost * 3")

TIERS = {
    "exact": (READ, READ.replace("2", "3")),
    "trailing space": (READ + "  ", READ.replace("2", "3")),
    "indentation": ("return item.cost * 2\n\ndef", "return item.cost * 3\n\ndef"),
    "unwrapped": ("```python\n" + READ + "\n```", "```python\n" + READ.replace("2", "3") + "\n```"),
}


def test_placement_reports_the_matching_strategy():
    assert placed(*TIERS["exact"]) == (WANTED, matchers.Placement("exact", 9, 1))
    assert placed(*TIERS["trailing space"])[1].strategy == "trailing space"
    assert placed(*TIERS["unwrapped"]) == (WANTED, matchers.Placement("unwrapped", 9, 1))
    made, how = placed("if item.free:\n    return 0", "if item.free:\n    return 0.0")
    assert how.strategy == "indentation"
    assert made == FILE.replace("return 0\n", "return 0.0\n")


def test_tabs_become_the_spaces_of_the_file():
    made, how = placed(
        "\t\tif item.free:\n\t\t\treturn 0", "\t\tif item.free:\n\t\t\tlog()\n\t\t\treturn 0"
    )
    assert how.strategy == "indentation"
    assert made == FILE.replace("            return 0\n", "            log()\n            return 0\n")


def test_a_block_deeper_than_the_file_is_moved_out():
    made, _ = placed(
        "            return item.cost * 2\n", "            x = 2\n            return item.cost * x\n"
    )
    assert made == FILE.replace(
        "        return item.cost * 2\n", "        x = 2\n        return item.cost * x\n"
    )


def test_lines_that_were_left_out_are_found_between_the_others():
    search = "    def price(self, item):\n        ...\n        return item.cost * 2"
    made, how = placed(search, search.replace("2", "3"))
    assert (made, how.strategy) == (WANTED, "elided")


def test_a_stale_line_around_is_not_written_back():
    search = "        if item.freee:\n            return 0\n        return item.cost * 2"
    made, how = placed(search, search.replace("cost * 2", "cost * 3"))
    assert (made, how.strategy) == (WANTED, "drift")


@pytest.mark.parametrize("form", ["{}: {}", "{:>4} | {}", "{}\t{}", "{}|{}"])
def test_line_numbers_are_stripped_from_the_search_block(form):
    old = "\n".join(form.format(n, line) for n, line in enumerate(FILE.split("\n")[6:9], 7))
    made, how = placed(old, old.replace("cost * 2", "cost * 3"))
    assert (made, how.strategy) == (WANTED, "unwrapped")


@pytest.mark.parametrize("new", ["    37|42)", "    3: low", "   99| high", "\t32|", "    plain"])
def test_a_new_line_that_looks_numbered_is_kept_beside_numbered_ones(new):
    file = "case $type in\n*)\n    each\n    ;;\nesac\n"
    old = "  7|case $type in\n  8|*)\n"
    made, _ = placed(
        old + "  9|    each", f"{old.removesuffix('  8|*)' + chr(10))}{new}\n  8|*)\n  9|    every", file
    )
    assert made == f"case $type in\n{new}\n*)\n    every\n    ;;\nesac\n"


@pytest.mark.parametrize(
    ("replace", "wanted"),
    [("1| a\n2| B\n2| new\n3| c", "a\nB\nnew\nc\n"), ("1| a\nnew\n4| B\n5| c", "a\nnew\nB\nc\n")],
)
def test_numbers_that_repeat_or_skip_are_stripped(replace, wanted):
    assert placed("1| a\n2| b\n3| c", replace, "a\nb\nc\n")[0] == wanted


@pytest.mark.parametrize("numbered", [True, False])
def test_a_replaced_line_may_keep_its_number_beside_new_ones_without(numbered):
    file = "one\ntwo\nthree\n"
    changed = "6|TWO" if numbered else "TWO"
    made, _ = placed("5|one\n6|two\n7|three", f"5|one\nnew\n{changed}\n7|three", file)
    assert made == "one\nnew\nTWO\nthree\n"


def test_entities_and_escapes_absent_from_the_file_are_unescaped():
    file = 'if a < b and c:\n    say("hello there")\n'
    made, _ = placed("if a &lt; b and c:", "if a &lt; b and d:", file)
    assert made == file.replace("c:", "d:")
    made, _ = placed('    say(\\"hello there\\")', '    say(\\"goodbye there\\")', file)
    assert made == file.replace("hello", "goodbye")


def test_curly_quotes_of_the_file_stay():
    file = "He said “hello” to\nthe dog’s owner.\n"
    made, how = placed(
        'He said "hello" to\nthe dog\'s owner.', 'He said "hello" to\nthe cat\'s owner.', file, path="a.txt"
    )
    assert made == "He said “hello” to\nthe cat’s owner.\n"
    assert how.strategy == "punctuation"


def test_block_matching_two_places_is_rejected_as_ambiguous():
    file = FILE + FILE
    error = rejected(READ, READ.replace("2", "3"), file)
    assert error.cause == "ambiguous"
    assert error.lines == (9, 21)
    assert "return item.cost" in error.fix


def test_hints_choose_between_two_matching_places():
    file = (
        "class A:\n    def f(self):\n        return 1\n\n\nclass B:\n    def f(self):\n        return 1\n"
    )
    assert placed("        return 1", "        return 2", file, anchors=("class B:",))[1].line == 8
    assert placed("        return 1", "        return 2", file, line=3)[1].line == 3
    assert placed("        return 1", "        return 2", file, line=-1)[1].line == 8
    assert rejected("        return 1", "        return 2", file, line=5).cause == "ambiguous"
    assert (
        rejected("        return 1", "        return 2", file, anchors=("def f(self):",)).cause
        == "ambiguous"
    )
    assert (
        placed("        return 1", "        return 2", file, anchors=("class A:", "def f(self):"))[1].line
        == 3
    )


def test_an_absent_block_shows_what_is_there_instead():
    error = rejected("        if item.cheap:\n            return None\n        return item.cost * 5", "x")
    assert error.cause == "not found"
    error = rejected("        return item.price * 2", "        return 0")
    assert "return item.cost * 2" in error.fix


def test_a_line_to_be_removed_must_be_remembered_rightly():
    search = "        if item.free:\n            return 1\n        return item.cost * 2"
    error = rejected(search, search.replace("return 1", "return 2"))
    assert error.cause == "not found"


def test_edit_already_in_the_file_is_reported_as_applied():
    made, how = placed(READ, READ.replace("2", "3"), WANTED)
    assert (made, how.strategy) == (WANTED, "already applied")
    made, how = placed("import os", "import os\nimport sys", "import os\nimport sys\n")
    assert (made, how.strategy) == ("import os\nimport sys\n", "already applied")


def test_deletion_is_not_assumed_applied_without_evidence():
    error = rejected('import os\n\\"gone\\" = 1', "import os", 'import os\n"gone" = 2\n')
    assert error.cause == "not found"


@pytest.mark.parametrize(
    "line",
    [
        "        # ... rest of the method unchanged ...",
        "        # ... existing code ...",
        "        // ... keep the rest",
        "        /* the rest of the code is unchanged */",
        "        # rest of the file remains the same",
        "        <!-- ... other items ... -->",
        "        ... (rest of code)",
        "# (unchanged code)",
        "// existing code ...",
        "// Other functions remain unchanged",
        "<!-- rest of template -->",
        "/* existing code */",
        "# rest of the file",
        "# remaining methods stay the same",
        "        ...",
        "    ...",
    ],
)
def test_lines_that_stand_for_code_are_refused(line):
    error = rejected(READ, f"{READ}\n{line}")
    assert error.cause == "elided"


@pytest.mark.parametrize(
    "line",
    [
        "        # the remaining stock",
        "  ...rest,",
        "  ...state.other,",
        "# the rest of the arguments are file names",
        "# other tests are slow",
        "# use the existing code paths",
        "# Loading ...",
        "# same as above",
        "        raise Rest()",
        "    print('...')",
    ],
)
def test_ordinary_lines_resembling_omissions_are_accepted(line):
    made, _ = placed(READ, f"{READ}\n{line}")
    assert line in made


def test_an_omission_that_the_file_has_already_stays():
    file = "a = 1\n# ... rest of code ...\nb = 2\n"
    made, _ = placed("a = 1\n# ... rest of code ...\nb = 2", "a = 1\n# ... rest of code ...\nb = 3", file)
    assert made == file.replace("2", "3")


def test_an_empty_search_is_refused():
    assert rejected("\n", "x").cause == "empty"


def test_only_the_trailing_space_of_a_line_can_be_the_change():
    made, _ = placed("a  \nb", "a\nb", "a  \nb\n", path="a.txt")
    assert made == "a\nb\n"


def test_brackets_alone_are_no_place_but_an_exact_one():
    file = "func a() {\n\tif x {\n\t}\n}\n"
    assert rejected("}\n    }", "}\n    }\nfoo()", file).cause == "not found"


# -- a whole answer ---------------------------------------------------------------------------------


class Made(NamedTuple):
    outcomes: tuple
    rejected: list
    files: list


def propose(edits, **files):
    overlay = Overlay(lambda path: Version(files.get(path.replace(".", "_").replace("/", "_"))))
    found = proposal.apply_edits(edits, overlay)
    return Made(found.outcomes, found.rejected_edits, overlay.diffs())


def only(proposed):
    assert not proposed.rejected, proposed.rejected
    (file,) = proposed.files
    return file.new.data


def test_edit_that_breaks_a_parsable_file_is_rejected():
    proposed = propose([edit(READ, READ + "("), edit("import os", "import sys")], shop_py=FILE.encode())
    assert [each.rejection.cause if each.rejection else None for each in proposed.outcomes] == [
        "broken",
        None,
    ]
    broken = FILE.replace("import os", "import (")
    assert only(propose([edit(READ, READ + "(")], shop_py=broken.encode()))


def test_a_file_must_be_parsed_only_in_the_end():
    edits = [edit("import os", "if True:"), edit("class Shop:", "    x = 1\n\n\nclass Shop:")]
    assert only(propose(edits, shop_py=FILE.encode()))
    proposed = propose([*edits[:1], edit(READ, READ.replace("2", "3"))], shop_py=FILE.encode())
    assert [bool(each.rejection) for each in proposed.outcomes] == [True, False]


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("a.json", '{"a": 1}', '{"a": 1'),
        ("a.toml", "a = 1", "a = = 1"),
        ("a.go", "package a", "package package {"),
        ("a.ts", "let a = 1;", "let a = = (;"),
    ],
)
def test_other_languages_must_still_be_parsed_too(path, old, new):
    pytest.importorskip("tree_sitter_go")
    proposed = propose(
        [Edit("replace", path, (old,), (new,))], **{path.replace(".", "_"): old.encode() + b"\n"}
    )
    assert proposed.rejected[0].rejection.cause == "broken"


def test_edits_of_one_file_are_made_one_after_the_other():
    new = only(
        propose(
            [edit(READ, READ.replace("2", "3")), edit(READ.replace("2", "3"), READ.replace("2", "4"))],
            shop_py=FILE.encode(),
        )
    )
    assert b"cost * 4" in new


KEPT = {
    "line ends": (b"a\r\nb\r\nc\r\n", b"a\r\nB\r\nnew\r\nc\r\n"),
    "mixed line ends": (b"a\r\nb\nc\r\n", b"a\r\nB\r\nnew\r\nc\r\n"),
    "a missing last end": (b"a\nb", b"a\nB\nnew"),
    "a byte order mark": (b"\xef\xbb\xbfa\nb\n", b"\xef\xbb\xbfa\nB\nnew\n"),
    "utf-16": ("\ufeffa\nb\n".encode("utf-16-le"), "\ufeffa\nB\nnew\n".encode("utf-16-le")),
    "bytes of another encoding": (b"\xe9t\xe9\nb\n", b"\xe9t\xe9\nB\nnew\n"),
    "a lone carriage return": (b"a\rx\nb\n", b"a\rx\nB\nnew\n"),
}


@pytest.mark.parametrize("name", KEPT)
def test_line_ends_encoding_and_byte_order_mark_are_preserved(name):
    old, new = KEPT[name]
    assert only(propose([Edit("replace", "a.txt", ("b",), ("B", "new"))], a_txt=old)) == new


def test_whole_file_write_preserves_line_ends_and_byte_order_mark():
    assert (
        only(propose([Edit("write", "a.txt", replace=("x", "y"))], a_txt=b"\xef\xbb\xbfa\r\nb"))
        == b"\xef\xbb\xbfx\r\ny"
    )
    assert only(propose([Edit("write", "a.txt", replace=("x",))])) == b"x\n"
    assert not propose([Edit("write", "a.txt", replace=("x",))], a_txt=b"x\n").files


def test_a_last_line_ends_as_the_diff_says():
    lines = {"search": ("b",), "replace": ("c",)}
    assert only(propose([Edit("replace", "a.txt", **lines, newline=False)], a_txt=b"a\nb\n")) == b"a\nc"
    assert only(propose([Edit("replace", "a.txt", **lines, newline=True)], a_txt=b"a\nb")) == b"a\nc\n"
    assert only(propose([Edit("write", "n.txt", replace=("x",), newline=False)])) == b"x"


REFUSED = {
    "binary": (Edit("replace", "a.txt", ("a",), ("b",)), b"\0\1"),
    "absent": (Edit("replace", "a.txt", ("a",), ("b",)), None),
    "not found": (Edit("delete", "a.txt", search=("other",)), b"a\n"),
    "elided": (Edit("write", "a.txt", replace=("a", "# ... rest of code unchanged ...")), b"a\nb\n"),
}


@pytest.mark.parametrize("cause", REFUSED)
def test_rejected_edit_reports_its_cause(cause):
    edited, data = REFUSED[cause]
    (outcome,) = propose([edited], **({"a_txt": data} if data is not None else {})).rejected
    assert outcome.rejection.cause == cause


def test_a_new_text_that_the_encoding_cannot_say_is_refused():
    edited = Edit("write", "a.txt", replace=("\ud800",))
    assert propose([edited]).rejected[0].rejection.cause == "binary"


def test_deletion_renaming_and_modes():
    edits = [
        Edit("delete", "a.txt", search=("a",)),
        Edit("mode", "b.txt", to="755"),
        Edit("rename", "b.txt", to="c.txt"),
    ]
    gone, moved = propose(edits, a_txt=b"a\n", b_txt=b"b\n").files
    assert gone.new.data is None
    assert (moved.to, moved.new.mode) == ("c.txt", 0o755)


def test_a_block_for_a_file_that_is_not_there_makes_it():
    assert only(propose([Edit("replace", "n.txt", ("",), ("x",))])) == b"x\n"
    assert only(propose([Edit("replace", "n.txt", (), ("x",))], n_txt=b"")) == b"x\n"


# -- by property ------------------------------------------------------------------------------------

LINES = st.lists(
    st.sampled_from(["a = 1", "b(2)", "    c", "\td", "", "}", "x", "e  ", "f “g”"]) | st.text(max_size=12),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(LINES, LINES, LINES, st.integers())
def test_an_edit_changes_its_place_and_nothing_else_or_is_refused(lines, search, replace, seed):
    """Whatever the text, search and replacement: what is outside the place that is named stays as it was."""
    rng = random.Random(seed)
    lines = [line.replace("\n", " ") for line in lines]
    if lines and rng.random() < 0.7:
        at = rng.randrange(len(lines))
        search = lines[at : at + rng.randint(1, 6)]
    search, replace = ([line.replace("\n", " ") for line in part] for part in (search, replace))
    data = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
    read = edits_lines.decode_text(data)
    if read is None:
        return
    try:
        made, how = matchers.place(read, Edit("replace", "a.txt", tuple(search), tuple(replace)))
    except EditRejectedError:
        return
    if how.strategy == "already applied":
        assert made == read
        return
    before, after = read.texts, made.texts
    assert after[: how.line - 1] == before[: how.line - 1]
    tail = len(before) - (how.line - 1 + how.count)
    assert tail == 0 or after[-tail:] == before[-tail:]


def test_a_file_of_equal_lines_takes_no_longer():
    file = "}\n" * 20_000 + "end\n"
    error = rejected("\n".join(["}"] * 10_000 + ["foo"]), "x", file)
    assert error.cause == "not found"
    assert len(error.fix) < 2000
    made, how = placed(
        "\n".join(["}"] * 200 + ["end"]), "\n".join(["}"] * 200 + ["END"]), file, path="a.txt"
    )
    assert (how.line, made[-4:]) == (19_801, "END\n")


@pytest.mark.parametrize("line", [" " * 60_000 + "x", "# rest" + " " * 60_000 + "x", "… " * 30_000])
def test_a_long_line_takes_no_longer(line):
    assert placed(READ, f"{READ}\n{line}", path="a.txt")[1].strategy == "exact"


def test_line_hints_count_lines_of_the_original_file():
    file = "top\n" * 3 + "item:\n  value: 1\n" * 5
    edits = [
        Edit("replace", "f.yaml", ("top", "top", "top"), ("top", "new", "new", "top", "top"), line=1),
        Edit("replace", "f.yaml", ("  value: 1",), ("  value: 2",), line=9),
    ]
    new = only(propose(edits, f_yaml=file.encode())).decode().split("\n")
    assert [n for n, line in enumerate(new, 1) if line == "  value: 2"] == [11]


def test_a_line_that_is_elsewhere_names_another_place():
    one = "def create_{0}(db):\n    check(db)\n    limit = {1}\n    return db.run(limit)\n\n\n"
    file = one.format("a", 20) + one.format("b", 10)
    search = one.format("a", 10).rstrip()
    assert rejected(search, search.replace("10", "50"), file).cause == "not found"


def test_braces_that_are_there_anyway_are_no_sign_that_an_edit_was_made():
    file = "function f()\n  if x then\n    bar()\n  end\n    foo(items)\nend\n"
    made, how = placed(
        "    foo(items)", "    foo(items)\n  end", file.replace("  end\n    foo", "    foo"), path="a.lua"
    )
    assert how.strategy == "exact"
    assert made.count("end") == 2
