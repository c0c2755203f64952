"""Splitting of a file into consecutive chunks: runs of whole lines, usually one definition each."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

MAX_LINES = 24
"""The most lines in a chunk; a longer definition is split."""
MIN_LINES = 8


class Definition(NamedTuple):
    """A named definition; lines count from 1, and `head` is the last line of its signature."""

    name: str
    kind: str
    first: int
    last: int
    head: int
    children: tuple["Definition", ...] = ()


class Chunk(NamedTuple):
    """Lines `first` to `last` of a file (from 1), `size` characters in total.

    `head` is the last line of the signature, or 0 if the chunk has none. `kind` is function, class, test,
    value, text, or top for the lines before the first definition.
    """

    name: str
    kind: str
    first: int
    last: int
    head: int
    size: int


def chunks(lines: Sequence[str], definitions: Iterable[Definition]) -> list[Chunk]:
    """Split a file into consecutive chunks; short runs without words join the chunk before."""
    root = Definition("", "top", 1, len(lines), 0, tuple(definitions))
    parts: list[Chunk] = []
    for part in _definition_chunks(lines, root, ""):
        if not parts or part.last - part.first > 1 or _has_words(lines, part):
            parts.append(part)
    ends = [part.first - 1 for part in parts[1:]] + [len(lines)] if parts else []
    return [_with_size(lines, part._replace(last=end)) for part, end in zip(parts, ends, strict=True)]


def split_lines(text: str) -> list[str]:
    """Return the lines of a text with their line endings, split only at `\\n` as git does."""
    pieces = text.split("\n")
    return [line + "\n" for line in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])


def group_by_definition(parts: Sequence[Chunk]) -> Iterator[tuple[int, list[int]]]:
    """Group the chunks of each definition.

    Yields the index of the chunk with the signature, or -1, and the indices of all chunks.
    """
    start = 0
    while start < len(parts):
        end = start + 1
        while parts[start].head and end < len(parts) and _is_continuation(parts[start], parts[end]):
            end += 1
        yield start if parts[start].head else -1, list(range(start, end))
        start = end


def _is_continuation(part: Chunk, following: Chunk) -> bool:
    return not following.head and following.name == part.name and following.kind == part.kind


def signature(lines: Sequence[str], part: Chunk) -> str:
    """Return the lines of a signature without decorators: at most 5 lines of 200 characters."""
    code_lines = [
        line
        for line in lines[part.first - 1 : part.head]
        if not line.lstrip().startswith(_DECORATION_PREFIXES)
    ]
    return "".join(line[:200].rstrip("\n") + "\n" for line in code_lines[:5])


_DECORATION_PREFIXES = ("#", "//", "*", "/*", "@", "[")


def _has_words(lines: Sequence[str], part: Chunk) -> bool:
    return any(c.isalnum() for line in lines[part.first - 1 : part.last] for c in line)


def _definition_chunks(lines: Sequence[str], outer: Definition, prefix: str) -> Iterator[Chunk]:
    position, head = outer.first, outer.head
    for inner in sorted(outer.children, key=lambda d: d.first):
        first = max(position, inner.first)
        if inner.last < first:
            continue
        first = _comment_start(lines, position, first)
        yield from _split_long(lines, Chunk(prefix, outer.kind, position, first - 1, head, 0))
        head = 0
        name = f"{prefix}.{inner.name}" if prefix else inner.name
        qualified = Definition(name, inner.kind, first, inner.last, inner.head, inner.children)
        yield from _definition_chunks(lines, qualified, name)
        position = inner.last + 1
    kind = "value" if outer.kind == "top" and outer.children else outer.kind
    yield from _split_long(lines, Chunk(prefix, kind, position, outer.last, head, 0))


def _comment_start(lines: Sequence[str], earliest: int, first: int) -> int:
    """Return the first line of a definition, including the comment directly above it."""
    while first > earliest and lines[first - 2].lstrip()[:2] in _COMMENT_PREFIXES:
        first -= 1
    return first


_COMMENT_PREFIXES = {"//", "# ", "#", "/*", "* ", "*/", "*", "##", "#:"}


def _split_long(lines: Sequence[str], part: Chunk) -> Iterator[Chunk]:
    """Yield a chunk without blank edges, split if it is long; yield nothing if it is blank."""
    first, last = part.first, part.last
    while first <= last and not lines[first - 1].strip():
        first += 1
    while last > first and not lines[last - 1].strip():
        last -= 1
    if first > last:
        return
    head = part.head if part.head >= first else 0
    while last - first >= MAX_LINES:
        end = _split_point(lines, first, last)
        yield part._replace(first=first, last=end, head=head)
        first, head = end + 1, 0
    yield part._replace(first=first, last=last, head=head)


def _split_point(lines: Sequence[str], first: int, last: int) -> int:
    """Return the best last line of a piece: a blank one, or one before a less indented line."""
    latest = min(first + MAX_LINES - 1, last - MIN_LINES // 2)
    earliest = min(first + MIN_LINES, latest)
    best, lowest = latest, 1 << 30
    for number in range(latest, earliest - 1, -1):
        following = lines[number] if number < len(lines) else ""
        indent = len(following) - len(following.lstrip()) if following.strip() else 0
        weight = indent * 2 + (0 if not lines[number - 1].strip() else 3) + (latest - number) // 6
        if weight < lowest:
            best, lowest = number, weight
    return best


def _with_size(lines: Sequence[str], part: Chunk) -> Chunk:
    return part._replace(size=sum(map(len, lines[part.first - 1 : part.last])))
