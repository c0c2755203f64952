"""A gate that refuses changes with a TODO."""

from collections.abc import Sequence

from prunejuice.edits.diff import FileDiff


def refuse_todo(diffs: Sequence[FileDiff]) -> str:
    """Return the reason, or an empty text."""
    paths = [diff.to or diff.path for diff in diffs if b"TODO" in (diff.new.data or b"")]
    return f"a TODO in {', '.join(paths)}" if paths else ""
