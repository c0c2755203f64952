"""Read the contents of files and parse them for the index."""

from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from prunejuice.code import grammar
from prunejuice.code.chunk import chunks, split_lines
from prunejuice.code.exclude import MAX_BYTES, MAX_NAMED_BYTES
from prunejuice.code.languages import language_for_path
from prunejuice.code.notebook import is_notebook, shown_text
from prunejuice.context.segment import ParsedFile
from prunejuice.worktrees import file_listing

_BINARY = 8_000
"""Bytes that are searched for a NUL, as git does, to recognize binary content."""


class ContentRequest(NamedTuple):
    """Files of a tree to read, each with its largest size in bytes, and the keys that are known already.

    `example_id` is an id of the repository: its length tells which hash it uses.
    """

    root: str
    example_id: str
    largest: Mapping[str, int]
    known: Collection[str]


def parse_contents(
    request: ContentRequest, keys: dict[str, str], excluded: dict[str, str]
) -> Iterator[ParsedFile]:
    """Yield the contents that are not known; add the keys of files, and the reasons of unread files."""
    parsed_keys: set[str] = set()
    for path, largest in request.largest.items():
        data = file_listing.read_content(request.root, path, largest)
        if data is None:
            excluded[path] = file_listing.unreadable_reason(request.root, path, largest)
            continue
        if reason := binary_reason(data):
            excluded[path] = reason
            continue
        key = f"{file_listing.object_id(data, request.example_id)}.{parser_name(path)}"
        keys[path] = key
        if key not in request.known and key not in parsed_keys:
            parsed_keys.add(key)
            yield parse_file(key, path, data)


def largest_size(path: str) -> int:
    """Return the size in bytes up to which a file is read unless it is named."""
    return MAX_NAMED_BYTES if is_notebook(path) else MAX_BYTES


def binary_reason(data: bytes) -> str:
    """Return why content cannot be read as text; empty if it can."""
    return "not text" if b"\0" in data[:_BINARY] else ""


def parser_name(path: str) -> str:
    """Return what the chunks of a file depend on beside its content."""
    _, dot, suffix = path.rpartition(".")
    return _parser_for_suffix(dot + suffix)


@lru_cache(maxsize=1 << 12)
def _parser_for_suffix(suffix: str) -> str:
    return "notebook" if is_notebook(suffix) else language_for_path(suffix)


def parse_file(key: str, path: str, data: bytes) -> ParsedFile:
    """Split the content of a file into chunks, and return them with its imports."""
    language = language_for_path(path)
    text = shown_text(path, data.decode("utf-8", "replace"))
    lines = split_lines(text)
    file_chunks = chunks(lines, grammar.definitions(language, data))
    texts = ["".join(lines[chunk.first - 1 : chunk.last]) for chunk in file_chunks]
    return ParsedFile(key, len(data), file_chunks, texts, grammar.import_targets(language, text))
