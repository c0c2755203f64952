"""Removal of what models wrap around the lines of an edit: fences, line numbers, entities, escapes."""

import html
import math
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from msgspec import structs

from prunejuice.edits.edit import Edit
from prunejuice.edits.indent import leading_space

Texts = Sequence[str]
_NUMBERED = re.compile(r"\s*(\d{1,6})(?:\s?[|:│→]|(\t))(.*)$")


def replace_lines(edit: Edit, search: Texts, replace: Texts) -> Edit:
    """Return the edit with other `search` and `replace` lines."""
    return structs.replace(edit, search=tuple(search), replace=tuple(replace))


def unwrapped_variants(edit: Edit) -> Iterator[Edit]:
    """Yield the edit with each kind of wrapping removed, where that changes `search`."""
    for unwrap in (
        _without_fence,
        _without_numbers_and_space,
        _without_numbers,
        _without_entities,
        _without_escapes,
        _with_first_indent,
    ):
        variant = unwrap(edit)
        if variant is not None and variant.search != edit.search and any(map(str.strip, variant.search)):
            yield variant
            yield without_blank_edges(variant)


def _without_fence(edit: Edit) -> Edit | None:
    return replace_lines(edit, _strip_fence(edit.search), _strip_fence(edit.replace))


def _strip_fence(lines: Texts) -> Texts:
    fence = re.compile(r"\s*(```+|~~~+)[\w+.-]*\s*$")
    inner = lines[1:] if lines and fence.match(lines[0]) else lines
    return inner[:-1] if inner and re.fullmatch(r"\s*(```+|~~~+)\s*", inner[-1]) else inner


def _without_numbers(edit: Edit, space: str = "") -> Edit | None:
    search, replace = _strip_numbers(edit.search, space), _strip_numbers(edit.replace, space)
    if search is None:
        return None
    return replace_lines(edit, search, replace or _strip_some_numbers(edit, space))


def _strip_some_numbers(edit: Edit, space: str) -> list[str]:
    """Return the lines of `replace` without the numbers that continue those of `search`.

    Without a line that both sides have, none is numbered.
    """
    numbers = [int(match[1]) for line in edit.search if (match := _NUMBERED.match(line))]
    highest = max(numbers) + len(edit.replace)
    last = min(numbers) - 1 if set(edit.search) & set(edit.replace) else math.inf
    stripped = []
    for line in edit.replace:
        match = _NUMBERED.match(line)
        is_numbered = match is not None and last <= int(match[1]) <= highest
        last = int(match[1]) if match and is_numbered else last
        stripped.append(_numbered_text(match, space) if match and is_numbered else line)
    return stripped


def _numbered_text(match: re.Match[str], space: str) -> str:
    """Return the text after a line number; a tab separates alone, so a space after it is indentation."""
    return str(match[3] if match[2] else match[3].removeprefix(space))


def _without_numbers_and_space(edit: Edit) -> Edit | None:
    return _without_numbers(edit, " ")


def _strip_numbers(lines: Texts, space: str) -> list[str] | None:
    """Return the lines without line numbers; None unless every line has one and they increase."""
    matches = [_NUMBERED.match(line) for line in lines if line.strip()]
    numbers = [int(match[1]) for match in matches if match]
    if not matches or len(numbers) < len(matches) or any(b <= a for a, b in pairwise(numbers)):
        return None
    inner = iter([_numbered_text(match, space) for match in matches if match])
    return [next(inner) if line.strip() else line for line in lines]


def _without_entities(edit: Edit) -> Edit | None:
    if any(re.search(r"[<>]", line) for line in (*edit.search, *edit.replace)):
        return None  # an unescaped < or > shows that the entities are intended
    return replace_lines(
        edit, [html.unescape(line) for line in edit.search], [html.unescape(line) for line in edit.replace]
    )


def _without_escapes(edit: Edit) -> Edit | None:
    if any(re.search(r"""(?<!\\)["']""", line) for line in (*edit.search, *edit.replace)):
        marks = {
            mark for line in (*edit.search, *edit.replace) for mark in re.findall(r"""(?<!\\)["']""", line)
        }
        if len(marks) == 2 or any(f"\\{mark}" in line for mark in marks for line in edit.search):
            return None  # an unescaped quote shows that the escaped ones are intended
    quote = re.compile(r"""\\(["'])""")
    return replace_lines(
        edit, [quote.sub(r"\1", s) for s in edit.search], [quote.sub(r"\1", r) for r in edit.replace]
    )


def _with_first_indent(edit: Edit) -> Edit | None:
    """Return the edit with its first line indented like the next one.

    Models often strip the whitespace around a block, and with it the indentation of its first line.
    """
    if len(edit.search) < 2 or edit.search[0] != edit.search[0].lstrip() or not edit.replace:
        return None
    if edit.replace[0] != edit.replace[0].lstrip():
        return None
    lead = leading_space(next((line for line in edit.search[1:] if line.strip()), ""))
    opens = edit.search[0].rstrip().endswith((":", "{", "(", "["))
    lead = lead[: -len(_indent_unit(lead))] if opens and lead else lead
    return replace_lines(
        edit, [lead + edit.search[0], *edit.search[1:]], [lead + edit.replace[0], *edit.replace[1:]]
    )


def _indent_unit(lead: str) -> str:
    return "\t" if lead.endswith("\t") else " " * (4 if len(lead) % 4 == 0 else 2)


def without_blank_edges(edit: Edit) -> Edit:
    """Return the edit without the blank lines around `search`, and those that `replace` shares."""
    search, replace = list(edit.search), list(edit.replace)
    for end in (0, -1):
        while search and not search[end].strip():
            search.pop(end)
            if replace and not replace[end].strip():
                replace.pop(end)
    return edit if len(search) == len(edit.search) else replace_lines(edit, search, replace)
