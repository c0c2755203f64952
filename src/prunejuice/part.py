"""A file as a row of parts: runs of whole lines, each a definition without those inside it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

LONGEST = 24
"""Lines of a part; a longer definition is several."""
SHORTEST = 8


class Definition(NamedTuple):
    """A named piece of code; lines count from 1, `head` is the last line of its signature."""

    name: str
    kind: str
    first: int
    last: int
    head: int
    within: tuple["Definition", ...] = ()


class Part(NamedTuple):
    """Lines `first` to `last`; `head` is the last line of the signature, or 0 where there is none.

    `kind` is function, class, test, value, text, or top: what stands before the first definition.
    """

    name: str
    kind: str
    first: int
    last: int
    head: int
    size: int


def parts(lines: Sequence[str], definitions: Iterable[Definition]) -> list[Part]:
    """The lines of a file, in parts that follow each other; lines without a word go with those before."""
    whole = Definition("", "top", 1, len(lines), 0, tuple(definitions))
    found: list[Part] = []
    for part in _flat(lines, whole, ""):
        if not found or part.last - part.first > 1 or _says(lines, part):
            found.append(part)
    ends = [part.first - 1 for part in found[1:]] + [len(lines)] if found else []
    return [_sized(lines, part._replace(last=end)) for part, end in zip(found, ends, strict=True)]


def lines(text: str) -> list[str]:
    """The lines of a text with their ends, as git counts them."""
    found = text.split("\n")
    return [line + "\n" for line in found[:-1]] + ([found[-1]] if found[-1] else [])


def grouped(parts: Sequence[Part]) -> Iterator[tuple[int, list[int]]]:
    """Runs of parts that are one definition: the number of the part with its signature or -1, and all."""
    start = 0
    while start < len(parts):
        end = start + 1
        while parts[start].head and end < len(parts) and _goes_on(parts[start], parts[end]):
            end += 1
        yield start if parts[start].head else -1, list(range(start, end))
        start = end


def _goes_on(one: Part, other: Part) -> bool:
    return not other.head and other.name == one.name and other.kind == one.kind


def signature(lines: Sequence[str], part: Part) -> str:
    """The lines of a signature without what decorates it; at most five, of 200 letters each."""
    shown = [line for line in lines[part.first - 1 : part.head] if not line.lstrip().startswith(_BEFORE)]
    return "".join(line[:200].rstrip("\n") + "\n" for line in shown[:5])


_BEFORE = ("#", "//", "*", "/*", "@", "[")


def _says(lines: Sequence[str], part: Part) -> bool:
    return any(c.isalnum() for line in lines[part.first - 1 : part.last] for c in line)


def _flat(lines: Sequence[str], outer: Definition, prefix: str) -> Iterator[Part]:
    position, head = outer.first, outer.head
    for inner in sorted(outer.within, key=lambda d: d.first):
        first = max(position, inner.first)
        if inner.last < first:
            continue
        first = _with_comment(lines, position, first)
        yield from _cut(lines, Part(prefix, outer.kind, position, first - 1, head, 0))
        head = 0
        name = f"{prefix}.{inner.name}" if prefix else inner.name
        shown = Definition(name, inner.kind, first, inner.last, inner.head, inner.within)
        yield from _flat(lines, shown, name)
        position = inner.last + 1
    kind = "value" if outer.kind == "top" and outer.within else outer.kind
    yield from _cut(lines, Part(prefix, kind, position, outer.last, head, 0))


def _with_comment(lines: Sequence[str], least: int, first: int) -> int:
    """The first line of a definition together with the comment right above it."""
    while first > least and lines[first - 2].lstrip()[:2] in _COMMENTS:
        first -= 1
    return first


_COMMENTS = {"//", "# ", "#", "/*", "* ", "*/", "*", "##", "#:"}


def _cut(lines: Sequence[str], part: Part) -> Iterator[Part]:
    """A part, in pieces when it is long; nothing when all its lines are empty."""
    first, last = part.first, part.last
    while first <= last and not lines[first - 1].strip():
        first += 1
    while last > first and not lines[last - 1].strip():
        last -= 1
    if first > last:
        return
    head = part.head if part.head >= first else 0
    while last - first >= LONGEST:
        end = _seam(lines, first, last)
        yield part._replace(first=first, last=end, head=head)
        first, head = end + 1, 0
    yield part._replace(first=first, last=last, head=head)


def _seam(lines: Sequence[str], first: int, last: int) -> int:
    """The best last line of a piece: before an empty line, or before one that stands out to the left."""
    latest = min(first + LONGEST - 1, last - SHORTEST // 2)
    earliest = min(first + SHORTEST, latest)
    best, least = latest, 1 << 30
    for number in range(latest, earliest - 1, -1):
        following = lines[number] if number < len(lines) else ""
        indent = len(following) - len(following.lstrip()) if following.strip() else 0
        weight = indent * 2 + (0 if not lines[number - 1].strip() else 3) + (latest - number) // 6
        if weight < least:
            best, least = number, weight
    return best


def _sized(lines: Sequence[str], part: Part) -> Part:
    return part._replace(size=sum(map(len, lines[part.first - 1 : part.last])))
