"""Decisions on hunks, and the change set that results."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunejuice.changes import review
from prunejuice.changes.review import ApprovalPattern, ReviewDecision
from prunejuice.edits import diff
from prunejuice.edits.diff import FileDiff, Version
from prunejuice.errors import UsageError

OLD = "".join(f"line {n}\n" for n in range(60))


def changed(*lines, old=OLD):
    texts = old.splitlines(keepends=True)
    for n in lines:
        texts[n] = f"LINE {n}\n"
    return "".join(texts)


def difference(new, path="a.txt", old=OLD, **more):
    return FileDiff(
        path,
        Version(None if old is None else old.encode()),
        Version(None if new is None else new.encode(), **more),
    )


def begun(*differences, **more):
    return review.begin_review(differences, **more)


def approve(found):
    return review.record_decision(found, ReviewDecision(found.current.id, "approve"))


def reject(found, reason="no"):
    return review.record_decision(found, ReviewDecision(found.current.id, "reject", reason=reason))


def text(differences, path="a.txt"):
    return next((each.new.data.decode() for each in differences if each.path == path), None)


def test_only_what_is_approved_is_made():
    found = begun(difference(changed(3, 20, 40)))
    assert len(found.hunks) == 3
    found = approve(reject(approve(found)))
    assert found.current is None
    assert text(review.accepted_diffs(found)) == changed(3, 40)
    assert [(hunk.line, each.reason) for hunk, each in review.hunks_to_revise(found)] == [(21, "no")]


def test_undecided_diffs_are_based_on_the_accepted_changes():
    found = approve(begun(difference(changed(3, 20, 40))))
    assert text(review.accepted_diffs(found)) == changed(3)
    (left,) = review.undecided_diffs(found)
    assert (left.old.data.decode(), left.new.data.decode()) == (changed(3), changed(3, 20, 40))


def test_a_hunk_can_be_divided():
    found = begun(difference(changed(3, 6)))
    assert len(found.hunks) == 1
    found = review.split_current_hunk(found)
    assert [each.line for each in found.hunks] == [4, 7]
    assert text(review.accepted_diffs(approve(reject(found)))) == changed(6)
    assert review.split_current_hunk(review.split_current_hunk(found)) == review.split_current_hunk(found)


def test_going_back_forgets_decisions_and_patterns():
    found = begun(difference(changed(3, 20, 40)), difference("x\n", "b.txt", "y\n"))
    found = review.approve_pattern(found, ApprovalPattern(glob="*.txt"))
    assert found.current is None
    assert {each.by for each in found.decisions.values()} == {"person", "pattern"}
    found = review.undo_last_decision(found)
    assert (found.position, found.decisions, found.patterns) == (0, {}, ())
    found = review.undo_last_decision(reject(approve(found)))
    assert found.position == 1
    assert list(found.decisions) == [found.hunks[0].id]
    assert review.undo_last_decision(begun(difference(changed(3)))).position == 0


def test_a_pattern_covers_later_hunks_and_never_earlier_ones():
    found = begun(difference(changed(3, 20, 40)), difference(changed(3), "b.md"))
    found = review.approve_pattern(reject(found), ApprovalPattern(glob="*.txt"))
    assert found.current.path == "b.md"
    assert text(review.accepted_diffs(found)) == changed(20, 40)


def test_the_same_lines_elsewhere_are_a_pattern():
    one = "a\nb\nc\nd\ne\nf\ng\nh\n"
    found = begun(
        difference(one.replace("d", "D"), "x.txt", one),
        difference(one.replace("d", "D"), "y.txt", one),
        difference(one.replace("e", "D"), "z.txt", one),
    )
    same = review.patterns_for_hunk(found, found.current)[-1]
    assert str(same) == "same lines"
    found = review.approve_pattern(found, same)
    assert found.current.path == "z.txt"


def test_kinds_are_patterns():
    code = "import os\n\n\nx = 1\n"
    found = begun(
        difference("import os\nimport re\n\n\nx = 1\n", "a.py", code),
        difference("import os\nimport sys\n\n\nx = 1\n", "b.py", code),
        difference("import os\n\n\nx = 2\n", "c.py", code),
    )
    found = review.approve_pattern(found, ApprovalPattern("import added"))
    assert found.current.path == "c.py"


def test_a_rename_covers_the_same_rename_only():
    found = begun(
        difference("new = 1\n", "a.py", "old = 1\n"),
        difference("new = 2\n", "b.py", "old = 2\n"),
        difference("fresh = 2\n", "c.py", "stale = 2\n"),
    )
    (pattern,) = [each for each in review.patterns_for_hunk(found, found.current) if each.kind == "rename"]
    assert str(pattern) == "rename: old → new"
    assert review.approve_pattern(found, pattern).current.path == "c.py"


def test_protected_files_match_no_pattern_and_need_a_person():
    care = ".github/workflows/ci.yml"
    found = begun(difference("x\n", "a.txt", "y\n"), difference("x\n", care, "y\n"))
    assert review.patterns_for_hunk(found, found.hunks[1]) == []
    found = review.approve_pattern(found, ApprovalPattern(glob="*"))
    assert found.current.path == care
    assert review.approved_protected_paths(found) == frozenset()
    assert review.approved_protected_paths(approve(found)) == {care}
    assert (
        review.approved_protected_paths(review.apply_decisions(found, [ReviewDecision("*", "approve")]))
        == frozenset()
    )


def test_a_person_may_write_other_lines():
    found = begun(difference(changed(3)))
    found = review.record_decision(
        found, ReviewDecision(found.current.id, "modify", lines=("mine\n", "too\n"))
    )
    assert text(review.accepted_diffs(found)) == OLD.replace("line 3\n", "mine\ntoo\n")
    assert review.hunks_to_revise(found) == []


def test_hunk_marked_for_modification_is_returned_for_revision():
    found = begun(difference(changed(3)))
    found = review.record_decision(found, ReviewDecision(found.current.id, "modify", reason="shorter"))
    assert review.accepted_diffs(found) == []
    assert review.hunks_to_revise(found)[0][1].reason == "shorter"


WHOLE = {
    "created": (Version(None), Version(b"x\n")),
    "deleted": (Version(b"x\n"), Version(None)),
    "mode": (Version(b"x\n"), Version(b"x\n", 0o755)),
    "binary": (Version(b"x\0"), Version(b"y\0")),
}


@pytest.mark.parametrize("what", WHOLE)
def test_a_file_as_a_whole_is_one_hunk(what):
    one = FileDiff("a", *WHOLE[what])
    found = begun(one)
    assert [each.change_type for each in found.hunks] == [what]
    assert review.accepted_diffs(approve(found)) == [one]
    assert review.accepted_diffs(reject(found)) == []
    assert review.undecided_diffs(found) == [one]


def test_a_new_file_can_be_written_otherwise_and_a_renamed_one_keeps_its_name():
    found = begun(FileDiff("a", *WHOLE["created"]))
    found = review.record_decision(found, ReviewDecision(found.current.id, "modify", lines=("z\n",)))
    assert text(review.accepted_diffs(found), "a") == "z\n"
    moved = FileDiff("a", Version(b"x\n"), Version(b"x\n"), "b")
    assert review.accepted_diffs(approve(begun(moved))) == [moved]


def test_file_grain_reviews_all_changes_of_a_file_as_one_hunk():
    found = begun(difference(changed(3, 20, 40)), difference(changed(5), "b.txt"), grain="file")
    assert [each.path for each in found.hunks] == ["a.txt", "b.txt"]
    assert text(review.accepted_diffs(approve(found))) == changed(3, 20, 40)
    assert "".join(f"{line}\n" for line in diff.hunk_lines(found.hunks[0])).count("\n-line") == 3


def test_a_program_names_hunks():
    found = begun(difference(changed(3, 20, 40)))
    one, two, three = (each.id for each in found.hunks)
    found = review.apply_decisions(
        found, [ReviewDecision(two, "approve"), ReviewDecision("*", "reject", reason="why")]
    )
    assert text(review.accepted_diffs(found)) == changed(20)
    assert {each.id for each, _ in review.hunks_to_revise(found)} == {one, three}
    with pytest.raises(UsageError, match="unknown hunk"):
        review.apply_decisions(found, [ReviewDecision("nothing", "approve")])


def test_ids_are_those_of_the_change_not_of_its_place():
    first = begun(difference(changed(20))).hunks[0].id
    assert begun(difference("new\n" + changed(20), old="new\n" + OLD)).hunks[0].id == first
    twice = begun(
        difference(changed(3).replace("line 30", "x") + "a\n", old=OLD + "a\n"),
        difference(changed(3), "b.txt"),
    ).hunks
    assert len({each.id for each in twice}) == len(twice)


TEXTS = st.lists(st.sampled_from(["a", "b", "c", "d\r", "", "é"]), max_size=25).map(
    lambda lines: "\n".join(lines)
)


@settings(max_examples=200, deadline=None)
@given(TEXTS, TEXTS)
def test_all_hunks_make_the_new_file_and_none_the_old_one(old, new):
    one = FileDiff("a.txt", Version(old.encode()), Version(new.encode()))
    found = diff.compute_hunks(one)
    assert diff.apply_hunks(old.encode(), found).decode() == new
    assert diff.apply_hunks(old.encode(), []).decode() == old
    assert (
        diff.apply_hunks(old.encode(), [part for each in found for part in diff.split_hunk(each)]).decode()
        == new
    )


@settings(max_examples=40, deadline=None)
@given(TEXTS, TEXTS)
def test_git_applies_the_diff(tmp_path_factory, old, new):
    folder = tmp_path_factory.mktemp("diff")
    (folder / "a b.txt").write_bytes(old.encode())
    text = diff.format_diff(FileDiff("a b.txt", Version(old.encode()), Version(new.encode())))
    if old == new:
        assert text == ""
        return
    subprocess.run(["git", "apply", "-"], cwd=folder, input=text.encode(), check=True, capture_output=True)
    assert (folder / "a b.txt").read_bytes() == new.encode()


def test_names_that_are_not_plain_are_quoted_as_git_does(tmp_path):
    text = diff.format_diff(FileDiff("é.txt", Version(None), Version(b"x\n", 0o755)))
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=text.encode(), check=True)
    assert (tmp_path / "é.txt").read_bytes() == b"x\n"
    assert (tmp_path / "é.txt").stat().st_mode & 0o100


def test_binary_and_huge_files_are_named_not_shown():
    assert "Binary files a/x and b/x differ (2 bytes and 3 bytes)" in diff.format_diff(
        FileDiff("x", Version(b"a\0"), Version(b"bb\0"))
    )
    assert len(diff.format_diff(FileDiff("x", Version(b""), Version(b"x\n" * 600_000)))) < 200
