"""YAML as plain data that knows its lines, read with limits. The only reader of YAML.

Strict where YAML is treacherous: duplicate keys, merge keys, tags and recursive anchors are errors;
only `true` and `false` are booleans; aliases count for as much as they stand for.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from prunejuice.errors import DefinitionError, Problem
from prunejuice.text import safe_line

MAX_BYTES = 256 * 1024
MAX_NODES = 10_000
MAX_DEPTH = 20

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}\Z")
_FLOAT = re.compile(r"(?=.*[.eE])[-+]?(\.[0-9]+|[0-9]{1,300}(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?\Z")
_WORDS = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}

Keys = tuple[str | int, ...]


class Document(NamedTuple):
    """The data of a file and the line (from 1) on which the value of each path of keys stands."""

    file: str
    data: Any
    lines: Mapping[Keys, int]

    def line(self, keys: Keys) -> int:
        """The line of a path, or of the nearest part of it that is there."""
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return self.lines.get(keys, 1)


class _Tree(NamedTuple):
    """A scalar with its text, or items by key; `size` counts aliases in full."""

    value: Any
    line: int
    size: int
    text: str = ""


class _Frame:
    """A list or mapping that is still open."""

    def __init__(self, line: int, anchor: str | None, *, mapping: bool) -> None:
        self.line = line
        self.anchor = anchor
        self.mapping = mapping
        self.items: dict[str | int, _Tree] = {}
        self.key: str | None = None
        self.size = 1


def parse(text: str | bytes, file: str) -> Document:
    """The document of a text; `file` is what messages call it.

    Raises:
        DefinitionError: it is not YAML, or goes beyond the limits; names the line.
    """
    if len(text) > MAX_BYTES:
        raise _fault(file, 0, f"larger than {MAX_BYTES // 1024} KiB")
    try:
        decoded = text.decode() if isinstance(text, bytes) else text
        tree = _Reader(file).read(decoded)
    except UnicodeDecodeError as error:
        raise _fault(file, 0, f"not UTF-8: byte {error.start}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        raise _fault(file, line, safe_line(error.problem or "not YAML")) from error
    except yaml.YAMLError as error:
        raise _fault(file, 0, safe_line(f"not YAML: {error}")) from error
    lines = dict(_lines(tree, ()))
    return Document(file, _plain(tree.value), lines)


def _fault(file: str, line: int, message: str, fix: str = "") -> DefinitionError:
    return DefinitionError((Problem(file, line, "", message, fix),))


class _Reader:
    """Builds the tree from the parser's events, so that nothing is built beyond the limits."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.open: list[_Frame] = []
        self.anchors: dict[str, _Tree] = {}
        self.root: _Tree | None = None
        self.nodes = 0

    def read(self, text: str) -> _Tree:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            self.take(event, event.start_mark.line + 1 if event.start_mark else 0)
        return self.root or _Tree(None, 1, 1)

    def take(self, event: yaml.Event, line: int) -> None:
        match event:
            case yaml.ScalarEvent():
                self.no_tag(event.tag, line)
                value = event.value if event.style else _scalar(event.value)
                self.place(_Tree(value, line, 1, event.value), event.anchor)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self.no_tag(event.tag, line)
                self.begin(event, line)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                frame = self.open.pop()
                whole: Any = frame.items if frame.mapping else list(frame.items.values())
                self.place(_Tree(whole, frame.line, frame.size), frame.anchor)
            case yaml.AliasEvent():
                self.alias(event.anchor or "", line)
            case yaml.DocumentStartEvent() if self.root is not None:
                raise _fault(self.file, line, "a second document begins", "use one file for each")
            case _:
                pass

    def begin(self, event: yaml.Event, line: int) -> None:
        mapping = isinstance(event, yaml.MappingStartEvent)
        if self.open and self.open[-1].mapping and self.open[-1].key is None:
            raise _fault(self.file, line, "a key must be a plain word")
        if len(self.open) >= MAX_DEPTH:
            raise _fault(self.file, line, f"nested more than {MAX_DEPTH} deep")
        self.open.append(_Frame(line, getattr(event, "anchor", None), mapping=mapping))

    def alias(self, name: str, line: int) -> None:
        if name not in self.anchors:
            raise _fault(self.file, line, f"*{safe_line(name, 60)} is not known, or contains itself")
        self.place(self.anchors[name]._replace(line=line), None)

    def no_tag(self, tag: str | None, line: int) -> None:
        if tag and tag not in {"!", "tag:yaml.org,2002:str"}:
            raise _fault(self.file, line, f"the tag {safe_line(tag, 60)} is not allowed")

    def place(self, tree: _Tree, anchor: str | None) -> None:
        if anchor:
            self.anchors[anchor] = tree
        self.nodes += tree.size if tree.size == 1 else 0
        if not self.open:
            self.root = tree
            return
        frame = self.open[-1]
        frame.size += tree.size
        if frame.size > MAX_NODES or self.nodes > MAX_NODES:
            raise _fault(self.file, tree.line, f"more than {MAX_NODES} values, aliases counted in full")
        if not frame.mapping:
            frame.items[len(frame.items)] = tree
        elif frame.key is None:
            frame.key = self.key(frame, tree)
        else:
            frame.items[frame.key] = tree
            frame.key = None

    def key(self, frame: _Frame, tree: _Tree) -> str:
        if isinstance(tree.value, dict | list):
            raise _fault(self.file, tree.line, "a key must be a plain word")
        name = tree.text
        if name == "<<":
            raise _fault(self.file, tree.line, "merge keys are not read", "use extends:")
        if name in frame.items:
            raise _fault(self.file, tree.line, f"the key {safe_line(name, 60)!r} stands here twice")
        return name


def _scalar(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.match(text):
        return int(text)
    if _FLOAT.match(text) and math.isfinite(float(text)):
        return float(text)
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(tree.value) for key, tree in value.items()}
    if isinstance(value, list):
        return [_plain(tree.value) for tree in value]
    return value


def _lines(tree: _Tree, keys: Keys) -> Iterator[tuple[Keys, int]]:
    yield keys, tree.line
    if isinstance(tree.value, dict):
        for key, item in tree.value.items():
            yield from _lines(item, (*keys, key))
    elif isinstance(tree.value, list):
        for number, item in enumerate(tree.value):
            yield from _lines(item, (*keys, number))
