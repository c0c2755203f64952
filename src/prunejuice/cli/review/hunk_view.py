"""Describe hunks as data for programs."""

from collections.abc import Sequence
from typing import Any

import msgspec

from prunejuice.changes import classify
from prunejuice.changes.review import Review, patterns_for_hunk
from prunejuice.edits.diff import Hunk
from prunejuice.text import to_utf8


def hunk_to_dict(review: Review, hunk: Hunk) -> dict[str, Any]:
    """Return a hunk as JSON data: its lines, kinds and risks, and the decision about it."""
    decision = review.decisions.get(hunk.id)
    data = {
        "id": hunk.id,
        "path": hunk.path,
        "line": hunk.line,
        "old": _to_utf8_lines(hunk.old),
        "new": _to_utf8_lines(hunk.new),
    }
    optional = {
        "what": hunk.change_type,
        "kinds": [pattern.kind for pattern in patterns_for_hunk(review, hunk)],
    }
    optional |= {"risks": classify.find_risks(hunk, review.files[hunk.path].new.mode)}
    optional |= {"decision": msgspec.to_builtins(decision)} if decision else {}
    return data | {key: value for key, value in optional.items() if value}


def _to_utf8_lines(lines: Sequence[str]) -> list[str]:
    return [to_utf8(line.removesuffix("\n")) for line in lines]
