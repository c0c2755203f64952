"""Paths and contents after renames, and new files under old names."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunejuice.edits.diff import Version
from prunejuice.edits.overlay import Overlay
from prunejuice.errors import ConflictError, DeniedError

FILES = {"a": b"A", "b": b"B"}


def begun(files=FILES):
    return Overlay(lambda path: Version(files.get(path)))


def told(overlay):
    return sorted((each.path, each.old.data, each.new.data, each.to) for each in overlay.diffs())


def test_a_name_that_was_renamed_away_is_free():
    overlay = begun()
    overlay.rename("a", "c")
    overlay.put("a", Version(b"new"))
    assert told(overlay) == [("a", b"A", b"new", ""), ("c", None, b"A", "")]


def test_two_files_can_change_names():
    overlay = begun()
    overlay.rename("a", "t")
    overlay.rename("b", "a")
    overlay.rename("t", "b")
    assert told(overlay) == [("a", b"A", b"B", ""), ("b", b"B", b"A", "")]


def test_a_chain_of_names_is_one_rename():
    overlay = begun()
    overlay.rename("a", "c")
    overlay.put("c", Version(b"C"))
    overlay.rename("c", "d")
    assert told(overlay) == [("a", b"A", b"C", "d")]


def test_rename_and_rename_back_makes_no_change():
    overlay = begun()
    overlay.rename("a", "c")
    overlay.rename("c", "a")
    assert told(overlay) == []


def test_rename_can_reuse_the_name_of_a_deleted_file():
    overlay = begun()
    overlay.put("b", Version(None))
    overlay.rename("a", "b")
    assert told(overlay) == [("a", b"A", None, ""), ("b", b"B", b"A", "")]


def test_impossible_overlay_operations_are_refused():
    overlay = begun()
    with pytest.raises(ConflictError, match="no such file"):
        overlay.rename("x", "y")
    with pytest.raises(ConflictError, match="already"):
        overlay.rename("a", "b")
    with pytest.raises(DeniedError):
        overlay.get("../x")


NAMES = st.sampled_from(["a", "b", "c", "d"])
ACTS = st.lists(
    st.tuples(st.just("put"), NAMES, st.none() | st.binary(max_size=2))
    | st.tuples(st.just("move"), NAMES, NAMES),
    max_size=12,
)


@settings(max_examples=400, deadline=None)
@given(ACTS)
def test_differences_make_of_the_first_files_the_last(acts):
    overlay, now = begun(), dict(FILES)
    for kind, name, what in acts:
        if kind == "put":
            overlay.put(name, Version(what))
            now.pop(name, None)
            if what is not None:
                now[name] = what
            continue
        try:
            overlay.rename(name, what)
        except ConflictError:
            continue
        now[what] = now.pop(name)
    made = dict(FILES)
    for each in overlay.diffs():
        made.pop(each.path, None)
    for each in overlay.diffs():
        if each.new.data is not None:
            made[each.to or each.path] = each.new.data
    assert made == now
