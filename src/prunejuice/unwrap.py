"""What models wrap around the lines of an edit: fences, numbers, entities, escapes, lost indentation."""

import html
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from msgspec import structs

from prunejuice.edit import Edit
from prunejuice.indent import lead_of

Texts = Sequence[str]
_NUMBERED = re.compile(r"\s*(\d{1,6})(?:\s?[|:│→]|\t)(.*)$")


def reread(edit: Edit, search: Texts, replace: Texts) -> Edit:
    """The edit with other lines on both sides."""
    return structs.replace(edit, search=tuple(search), replace=tuple(replace))


def readings(edit: Edit) -> Iterator[Edit]:
    """The edit without what is often wrapped around its lines, where that changes `search`."""
    for unwrap in (
        _without_fence,
        _without_numbers_and_space,
        _without_numbers,
        _without_entities,
        _without_escapes,
        _with_first_indent,
    ):
        read = unwrap(edit)
        if read is not None and read.search != edit.search and any(map(str.strip, read.search)):
            yield read
            yield without_blanks(read)


def _without_fence(edit: Edit) -> Edit | None:
    return reread(edit, _unfenced(edit.search), _unfenced(edit.replace))


def _unfenced(lines: Texts) -> Texts:
    fence = re.compile(r"\s*(```+|~~~+)[\w+.-]*\s*$")
    inner = lines[1:] if lines and fence.match(lines[0]) else lines
    return inner[:-1] if inner and re.fullmatch(r"\s*(```+|~~~+)\s*", inner[-1]) else inner


def _without_numbers(edit: Edit, space: str = "") -> Edit | None:
    search, replace = _unnumbered(edit.search, space), _unnumbered(edit.replace, space)
    if search is None:
        return None
    if replace is None:  # lines that are new have no number, those that stay have theirs
        numbered = set(edit.search) & set(edit.replace)
        replace = [_bare(line, space) if numbered else line for line in edit.replace]
    return reread(edit, search, replace)


def _bare(line: str, space: str) -> str:
    match = _NUMBERED.match(line)
    return match[2].removeprefix(space) if match else line


def _without_numbers_and_space(edit: Edit) -> Edit | None:
    return _without_numbers(edit, " ")


def _unnumbered(lines: Texts, space: str) -> list[str] | None:
    """Lines without the numbers before them, which must rise, and the space behind those."""
    split = [_NUMBERED.match(line) for line in lines if line.strip()]
    numbers = [int(each[1]) for each in split if each]
    if not split or len(numbers) < len(split) or any(b <= a for a, b in pairwise(numbers)):
        return None
    inner = iter([each[2].removeprefix(space) for each in split if each])
    return [next(inner) if line.strip() else line for line in lines]


def _without_entities(edit: Edit) -> Edit | None:
    if any(re.search(r"[<>]", line) for line in (*edit.search, *edit.replace)):
        return None  # where one sign is written plainly, the entities are meant
    return reread(
        edit, [html.unescape(line) for line in edit.search], [html.unescape(line) for line in edit.replace]
    )


def _without_escapes(edit: Edit) -> Edit | None:
    if any(re.search(r"""(?<!\\)["']""", line) for line in (*edit.search, *edit.replace)):
        found = {
            mark for line in (*edit.search, *edit.replace) for mark in re.findall(r"""(?<!\\)["']""", line)
        }
        if len(found) == 2 or any(f"\\{mark}" in line for mark in found for line in edit.search):
            return None  # where one quote is written plainly, the escaped ones are meant
    quote = re.compile(r"""\\(["'])""")
    return reread(
        edit, [quote.sub(r"\1", s) for s in edit.search], [quote.sub(r"\1", r) for r in edit.replace]
    )


def _with_first_indent(edit: Edit) -> Edit | None:
    """The first line indented as the next is: a block whose outer white space was cut off."""
    if len(edit.search) < 2 or edit.search[0] != edit.search[0].lstrip() or not edit.replace:
        return None
    if edit.replace[0] != edit.replace[0].lstrip():
        return None
    lead = lead_of(next((line for line in edit.search[1:] if line.strip()), ""))
    opens = edit.search[0].rstrip().endswith((":", "{", "(", "["))
    lead = lead[: -len(_unit(lead))] if opens and lead else lead
    return reread(
        edit, [lead + edit.search[0], *edit.search[1:]], [lead + edit.replace[0], *edit.replace[1:]]
    )


def _unit(lead: str) -> str:
    return "\t" if lead.endswith("\t") else " " * (4 if len(lead) % 4 == 0 else 2)


def without_blanks(edit: Edit) -> Edit:
    """The edit without the empty lines around its lines, as far as both sides have them."""
    search, replace = list(edit.search), list(edit.replace)
    for end in (0, -1):
        while search and not search[end].strip():
            search.pop(end)
            if replace and not replace[end].strip():
                replace.pop(end)
    return edit if len(search) == len(edit.search) else reread(edit, search, replace)
