"""`codebot.place`: place the edits of an answer in given files."""

import pytest

from codebot import ConflictError, DeniedError, UsageError, place

CART = "def total(prices):\n    return 0\n"
ANSWER = "cart.py\n<<<<<<< SEARCH\n    return 0\n=======\n    return sum(prices)\n>>>>>>> REPLACE\n"
PATCH = (
    "*** Begin Patch\n*** Update File: cart.py\n@@\n-    return 0\n+    return sum(prices)\n*** End Patch\n"
)
DIFF = "--- a/cart.py\n+++ b/cart.py\n@@ -1,2 +1,2 @@\n def total(prices):\n-    return 0\n+    return sum(prices)\n"
WHOLE = "cart.py\n```python\ndef total(prices):\n    return sum(prices)\n```\n"
JSON = '{"file_changes": [{"filepath": "cart.py", "content": "def total(prices):\\n    return sum(prices)\\n"}]}'
AFTER = "def total(prices):\n    return sum(prices)\n"


@pytest.mark.parametrize(
    ("answer", "form"),
    [
        (ANSWER, "search-replace"),
        (PATCH, "apply-patch"),
        (DIFF, "unified-diff"),
        (WHOLE, "whole-file"),
        (JSON, "json"),
    ],
)
def test_every_format_gives_the_files_after(answer, form):
    for named in (None, form):
        result = place(answer, {"cart.py": CART, "other.py": "x\n"}, format=named)
        assert result == ({"cart.py": AFTER, "other.py": "x\n"}, (), form)


def test_a_file_keeps_its_type_and_the_argument_is_not_changed():
    files = {"cart.py": CART.encode()}
    assert place(ANSWER, files).files == {"cart.py": AFTER.encode()}
    assert files == {"cart.py": CART.encode()}


def test_an_edit_without_a_place_is_returned_with_its_reason_and_nothing_changes():
    answer = ANSWER + ANSWER.replace("return 0", "return 1").replace("sum(prices)", "2")
    result = place(answer, {"cart.py": CART})
    assert result.files == {"cart.py": CART}
    (edit,) = result.rejected
    assert (edit.path, edit.line, edit.cause) == ("cart.py", 8, "not found")
    assert edit.message
    assert edit.fix


def test_new_deleted_and_renamed_files():
    patch = "*** Begin Patch\n*** Add File: new.py\n+x = 1\n*** Delete File: old.py\n*** Update File: a.py\n*** Move to: b.py\n@@\n-1\n+2\n*** End Patch\n"
    assert place(patch, {"old.py": "gone\n", "a.py": b"1\n"}).files == {"new.py": "x = 1\n", "b.py": b"2\n"}


def test_a_new_file_that_is_no_text_stays_bytes():
    answer = '{"file_changes": [{"filepath": "a.bin", "content": "/wA=", "encoding": "base64"}]}'
    assert place(answer, {}).files == {"a.bin": b"\xff\x00"}


def test_text_with_lone_surrogates_survives():
    assert place(ANSWER, {"cart.py": CART + "\udc80"}).files == {"cart.py": AFTER + "\udc80"}


def test_wrong_calls_are_named():
    with pytest.raises(UsageError, match="unknown format 'patch'"):
        place(ANSWER, {}, format="patch")
    with pytest.raises(ConflictError):
        place("no edits here", {})
    with pytest.raises(DeniedError):
        place(ANSWER.replace("cart.py", "../cart.py"), {})
    with pytest.raises(UsageError):
        place('{"file_changes": 1}', {}, format="json")


def test_nothing_is_read_or_written(tmp_path, monkeypatch):
    (tmp_path / "cart.py").write_text("on the disk\n")
    monkeypatch.chdir(tmp_path)
    place(ANSWER, {"cart.py": CART})
    assert place(ANSWER, {}).rejected[0].cause == "absent"
    assert (tmp_path / "cart.py").read_text() == "on the disk\n"
