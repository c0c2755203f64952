"""A YAML reader with limits, which records the line of every value. All YAML is read here.

It is stricter than YAML: duplicate keys, merge keys, tags and recursive anchors are errors, and only
`true` and `false` are booleans. Limits apply to the data with all aliases expanded.
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
_COMMENT = re.compile(r"(?<!\S)#[^\r\n]*")
_CONSTANTS = {
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

KeyPath = tuple[str | int, ...]


def is_yaml(text: str) -> bool:
    """Return whether a text is YAML: any documents, tags and anchors, which need not be known."""
    try:
        for _event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            pass
    except (yaml.YAMLError, RecursionError, UnicodeError):
        return False
    return True


class EntrySpan(NamedTuple):
    """Where an entry of a mapping stands in a text, in characters from its start.

    `comments` are those between the key and the end of the value.
    """

    start: int
    end: int
    key: str
    comments: tuple[str, ...]


def find_entries(text: str) -> dict[str, EntrySpan]:
    """Return where the entries of the outermost mapping of a text stand, in its order; none without one."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return {}
    pairs = root.value if isinstance(root, yaml.MappingNode) else ()
    return {str(key.value): _entry_span(text, key, value) for key, value in pairs}


def _entry_span(text: str, key: yaml.Node, value: yaml.Node) -> EntrySpan:
    start, place = key.start_mark.index, key.end_mark.index
    written_key, comments = text[start:place], list[str]()
    for begin, end in _leaf_spans(text, value):
        comments += _COMMENT.findall(text, place, begin)
        place = max(place, end)  # an alias has the place of its anchor
    return EntrySpan(start, place, written_key, tuple(comments))


def _leaf_spans(text: str, node: yaml.Node) -> Iterator[tuple[int, int]]:
    """Yield where the scalars and the closing brackets of a value stand, in the order of the text."""
    start, end = node.start_mark.index, node.end_mark.index
    if isinstance(node, yaml.CollectionNode):
        for item in node.value:
            for part in item if isinstance(item, tuple) else (item,):
                yield from _leaf_spans(text, part)
        if node.flow_style:
            yield end - 1, end
    elif isinstance(node, yaml.ScalarNode) and node.style in {
        "|",
        ">",
    }:  # has no comments inside
        yield text.find("\n", start), start + len(text[start:end].rstrip())
    else:
        yield start, end


class YamlDocument(NamedTuple):
    """The data of a file, and the line (from 1) of the value at each path of keys.

    `numbers` has the text of each number that would be written differently: `1.10`, `0644`.
    """

    file: str
    data: Any
    lines: Mapping[KeyPath, int]
    numbers: Mapping[KeyPath, str] = {}

    def as_written(self, value: Any, keys: KeyPath) -> Any:
        """Return the number at a path as the file has it, if it would lose digits as text."""
        return self.numbers.get(keys, value) if type(value) in {int, float} else value

    def line_of(self, keys: KeyPath) -> int:
        """Return the line of a path, or of its nearest parent in the document."""
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return self.lines.get(keys, 1)


class _YamlNode(NamedTuple):
    """A scalar with its text, or the items of a collection. `size` includes expanded aliases."""

    value: Any
    line: int
    size: int
    text: str = ""


class _OpenCollection:
    """A list or mapping whose end has not been read yet."""

    def __init__(self, line: int, anchor: str | None, *, is_mapping: bool) -> None:
        self.line = line
        self.anchor = anchor
        self.is_mapping = is_mapping
        self.items: dict[str | int, _YamlNode] = {}
        self.key: str | None = None
        self.size = 1


def parse(text: str | bytes, file: str) -> YamlDocument:
    """Parse a YAML document. `file` is the name that error messages use.

    Raises:
        DefinitionError: the text is not valid YAML, or exceeds a limit. The error names the line.
    """
    if len(text) > MAX_BYTES:
        raise _definition_error(file, 0, f"the file is larger than {MAX_BYTES // 1024} KiB")
    try:
        decoded = text.decode() if isinstance(text, bytes) else text
        tree = _TreeBuilder(file).build_tree(decoded)
    except UnicodeDecodeError as error:
        raise _definition_error(file, 0, f"not valid UTF-8 at byte {error.start}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        raise _definition_error(file, line, safe_line(error.problem or "invalid YAML")) from error
    except yaml.YAMLError as error:
        raise _definition_error(file, 0, safe_line(f"invalid YAML: {error}")) from error
    nodes = dict(_list_nodes(tree, ()))
    lines = {keys: node.line for keys, node in nodes.items()}
    numbers = {keys: node.text for keys, node in nodes.items() if _loses_digits(node)}
    return YamlDocument(file, _to_plain_data(tree.value), lines, numbers)


def _definition_error(file: str, line: int, message: str, fix: str = "") -> DefinitionError:
    return DefinitionError((Problem(file, line, "", message, fix),))


class _TreeBuilder:
    """Builds the tree from parser events, so that it can stop as soon as a limit is exceeded."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.open_stack: list[_OpenCollection] = []
        self.anchors: dict[str, _YamlNode] = {}
        self.root: _YamlNode | None = None
        self.nodes = 0

    def build_tree(self, text: str) -> _YamlNode:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            self.add_event(event, event.start_mark.line + 1 if event.start_mark else 0)
        return self.root or _YamlNode(None, 1, 1)

    def add_event(self, event: yaml.Event, line: int) -> None:
        match event:
            case yaml.ScalarEvent():
                self.reject_tag(event.tag, line)
                value = event.value if event.style else _parse_scalar(event.value)
                self.add_node(_YamlNode(value, line, 1, event.value), event.anchor)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self.reject_tag(event.tag, line)
                self.open_collection(event, line)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                collection = self.open_stack.pop()
                items = collection.items
                value = items if collection.is_mapping else list(items.values())
                self.add_node(_YamlNode(value, collection.line, collection.size), collection.anchor)
            case yaml.AliasEvent():
                self.resolve_alias(event.anchor or "", line)
            case yaml.DocumentStartEvent() if self.root is not None:
                raise _definition_error(
                    self.file, line, "multiple documents in one file", "use one file per document"
                )
            case _:
                pass

    def open_collection(self, event: yaml.Event, line: int) -> None:
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        if self.open_stack and self.open_stack[-1].is_mapping and self.open_stack[-1].key is None:
            raise _definition_error(self.file, line, "a key must be a scalar")
        if len(self.open_stack) >= MAX_DEPTH:
            raise _definition_error(self.file, line, f"nested more than {MAX_DEPTH} levels deep")
        self.open_stack.append(_OpenCollection(line, getattr(event, "anchor", None), is_mapping=is_mapping))

    def resolve_alias(self, name: str, line: int) -> None:
        # An anchor is recorded when its node ends, so an alias inside its own node is not found.
        if name not in self.anchors:
            raise _definition_error(
                self.file, line, f"alias *{safe_line(name, 60)} is undefined or contains itself"
            )
        self.add_node(self.anchors[name]._replace(line=line), None)

    def reject_tag(self, tag: str | None, line: int) -> None:
        if tag and tag not in {"!", "tag:yaml.org,2002:str"}:
            raise _definition_error(self.file, line, f"tag {safe_line(tag, 60)} is not allowed")

    def add_node(self, tree: _YamlNode, anchor: str | None) -> None:
        if anchor:
            self.anchors[anchor] = tree
        self.nodes += tree.size if tree.size == 1 else 0
        if not self.open_stack:
            self.root = tree
            return
        parent = self.open_stack[-1]
        parent.size += tree.size
        if parent.size > MAX_NODES or self.nodes > MAX_NODES:
            raise _definition_error(
                self.file, tree.line, f"more than {MAX_NODES} values with aliases expanded"
            )
        if not parent.is_mapping:
            parent.items[len(parent.items)] = tree
        elif parent.key is None:
            parent.key = self.read_key(parent, tree)
        else:
            parent.items[parent.key] = tree
            parent.key = None

    def read_key(self, mapping: _OpenCollection, tree: _YamlNode) -> str:
        if isinstance(tree.value, dict | list):
            raise _definition_error(self.file, tree.line, "a key must be a scalar")
        name = tree.text
        if name == "<<":
            raise _definition_error(
                self.file, tree.line, "merge keys (<<) are not supported", "use extends:"
            )
        if name in mapping.items:
            raise _definition_error(self.file, tree.line, f"duplicate key {safe_line(name, 60)!r}")
        return name


def _parse_scalar(text: str) -> Any:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.match(text):
        return int(text)
    if _FLOAT.match(text) and math.isfinite(float(text)):
        return float(text)
    return text


def _to_plain_data(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _to_plain_data(tree.value) for key, tree in value.items()}
    if isinstance(value, list):
        return [_to_plain_data(tree.value) for tree in value]
    return value


def _list_nodes(tree: _YamlNode, keys: KeyPath) -> Iterator[tuple[KeyPath, _YamlNode]]:
    yield keys, tree
    if isinstance(tree.value, dict):
        for key, item in tree.value.items():
            yield from _list_nodes(item, (*keys, key))
    elif isinstance(tree.value, list):
        for number, item in enumerate(tree.value):
            yield from _list_nodes(item, (*keys, number))


def _loses_digits(node: _YamlNode) -> bool:
    return type(node.value) in {int, float} and bool(node.text) and str(node.value) != node.text
