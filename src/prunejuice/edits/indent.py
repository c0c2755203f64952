"""Rules that translate the indentation of an edit to the indentation of the file."""

from collections.abc import Callable, Iterator

IndentRule = Callable[[str], str | None]
"""A function from the edit's indentation to the file's; None where the rule does not apply."""


def same_indent(lead: str) -> str | None:
    """Return the indentation unchanged."""
    return lead


def leading_space(text: str) -> str:
    """Return the whitespace at the start of a line."""
    return text[: len(text) - len(text.lstrip())]


def candidate_indent_rules(pairs: set[tuple[str, str]]) -> Iterator[IndentRule]:
    """Yield the rules that may explain pairs of (edit, file) indentation, most likely first."""
    yield same_indent
    if not pairs:
        return
    edit_lead, file_lead = min(pairs, key=lambda pair: len(pair[0]))
    if file_lead.endswith(edit_lead):
        yield _add_indent(file_lead[: len(file_lead) - len(edit_lead)])
    if edit_lead.endswith(file_lead):
        yield _remove_indent(edit_lead[: len(edit_lead) - len(file_lead)])
    for width in (4, 2, 8, 3):
        yield _tabs_to_spaces(width)
        yield _spaces_to_tabs(width)
    mapping = dict(pairs)
    if len(mapping) == len(pairs):
        yield mapping.get


def _add_indent(prefix: str) -> IndentRule:
    return lambda lead: prefix + lead


def _remove_indent(prefix: str) -> IndentRule:
    return lambda lead: lead[len(prefix) :] if lead.startswith(prefix) else None


def _tabs_to_spaces(width: int) -> IndentRule:
    return lambda lead: lead.replace("\t", " " * width)


def _spaces_to_tabs(width: int) -> IndentRule:
    return lambda lead: lead.replace(" " * width, "\t")
