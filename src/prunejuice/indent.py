"""How the indentation of an edit becomes that of the file it belongs to."""

from collections.abc import Callable, Iterator

Indent = Callable[[str], str | None]
"""The file's indentation for one of the edit's; None when the rule does not say."""


def kept(lead: str) -> str | None:
    """As it is."""
    return lead


def lead_of(text: str) -> str:
    """The white space that a line begins with."""
    return text[: len(text) - len(text.lstrip())]


def rules(pairs: set[tuple[str, str]]) -> Iterator[Indent]:
    """The rules that may explain pairs of indentation, the edit's and the file's; the likeliest first."""
    yield kept
    if not pairs:
        return
    theirs, ours = min(pairs, key=lambda pair: len(pair[0]))
    if ours.endswith(theirs):
        yield _deeper(ours[: len(ours) - len(theirs)])
    if theirs.endswith(ours):
        yield _shallower(theirs[: len(theirs) - len(ours)])
    for width in (4, 2, 8, 3):
        yield _spaces(width)
        yield _tabs(width)
    known = dict(pairs)
    if len(known) == len(pairs):
        yield known.get


def _deeper(prefix: str) -> Indent:
    return lambda lead: prefix + lead


def _shallower(prefix: str) -> Indent:
    return lambda lead: lead[len(prefix) :] if lead.startswith(prefix) else None


def _spaces(width: int) -> Indent:
    return lambda lead: lead.replace("\t", " " * width)


def _tabs(width: int) -> Indent:
    return lambda lead: lead.replace(" " * width, "\t")
