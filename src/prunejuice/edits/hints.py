"""Hints of an edit about its place: anchors and sections, the lines that stand before it."""

import re
from collections.abc import Container

from prunejuice.edits.indent import leading_space
from prunejuice.edits.line_search import Texts

_DEFINITION = re.compile(
    r"(?:(?:export|default|public|private|protected|internal|static|final|abstract|async|pub(?:\(\w+\))?) "
    r")*(?:class|def|fn|func|function|fun|interface|struct|enum|trait|impl|module|namespace)\b"
)


_NAMED_DEFINITION = re.compile(rf"{_DEFINITION.pattern}\s+(\w+)")


def find_anchor_lines(texts: Texts, anchors: Texts) -> list[int]:
    """Return the lines (from 0) that the last anchor may be, each searched for below the one before."""
    starts = [-1]
    for anchor in anchors:
        text = anchor.strip()
        first = min(starts)
        below = [n for n in range(first + 1, len(texts)) if text and texts[n].strip().startswith(text)]
        starts = [n for n in below if texts[n].strip() == text] or below
        if not starts:
            return []
    return starts if anchors else []


def is_missing_definition(texts: Texts, anchors: Texts) -> bool:
    """Return whether the last anchor is a definition whose name the file does not have at all."""
    if not anchors or find_anchor_lines(texts, anchors):
        return False
    match = _NAMED_DEFINITION.match(anchors[-1].strip())
    return match is not None and not any(re.search(rf"\b{re.escape(match[1])}\b", text) for text in texts)


def contradicts_anchors(texts: Texts, anchors: Texts, first: int, original: Texts | None = None) -> bool:
    """Return whether a place stands under another definition than the anchors say.

    Anchors that the file does not have say nothing: the file may have changed. Definitions that are not
    among the `original` lines do not count: an earlier edit brought them in.
    """
    lines = find_anchor_lines(texts, anchors)
    known = None if original is None else frozenset(map(str.strip, original))
    return bool(lines) and not any(_may_hold(texts, line, first, known) for line in lines)


def _may_hold(texts: Texts, anchor: int, first: int, known: Container[str] | None) -> bool:
    """Return whether a line comes after an anchor, and before the next definition of its kind."""
    if first < anchor:
        return False
    depth = len(leading_space(texts[anchor]))
    return not any(
        len(leading_space(texts[n])) <= depth
        and _DEFINITION.match(texts[n].strip())
        and (known is None or texts[n].strip() in known)
        for n in range(anchor + 1, first)
    )


def find_anchor_block(texts: Texts, anchors: Texts) -> tuple[int, int]:
    """Return the block that the last anchor opens, each anchor searched for in the block before.

    Returns (0, 0) if an anchor is not unique.
    """
    start, end = 0, len(texts)
    for anchor in anchors:
        text = anchor.strip()
        exact = [n for n in range(start, end) if texts[n].strip() == text]
        hits = exact or [n for n in range(start, end) if text and texts[n].strip().startswith(text)]
        if len(hits) != 1:
            return 0, 0
        depth = len(leading_space(texts[hits[0]]))
        below = range(hits[0] + 1, end)
        start = hits[0]
        end = next(
            (n for n in below if texts[n].strip(" \t})]") and len(leading_space(texts[n])) <= depth), end
        )
    return start, end
