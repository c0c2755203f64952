"""The tree of files and folders to summarize, with cache keys that cover all inputs of a summary."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple


class SummaryNode(NamedTuple):
    """A file, or a folder with a trailing `/`; `key` changes when anything below it changes."""

    path: str
    key: str
    children: tuple["SummaryNode", ...] = ()


def build_hierarchy(contents: Mapping[str, str], salt: str) -> SummaryNode:
    """Return the tree over files by content id; a folder with a single child is replaced by that child.

    `salt` covers the other inputs of a summary: the prompt, the model and the length limit.
    """
    root: dict[str, dict[str, object]] = {}
    for path in sorted(contents):
        folder: dict[str, object] = root  # type: ignore[assignment]
        *outer, name = path.split("/")
        for segment in outer:
            folder = folder.setdefault(f"{segment}/", {})  # type: ignore[assignment]
        folder[name] = contents[path]
    return _build_node("", root, salt)


def _build_node(path: str, entry: object, salt: str) -> SummaryNode:
    if not isinstance(entry, dict):
        return SummaryNode(path, _digest(salt, path, str(entry)))
    children = tuple(_build_node(path + name, child, salt) for name, child in entry.items())
    if len(children) == 1:
        return children[0]
    return SummaryNode(path, _digest(salt, path, *(child.key for child in children)), children)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:40]


def missing_levels(top: SummaryNode, is_cached: Callable[[SummaryNode], bool]) -> list[list[SummaryNode]]:
    """Return the nodes to summarize, in levels: each level needs only earlier levels or cached nodes."""
    levels: list[list[SummaryNode]] = []
    _add_missing_levels(top, is_cached, levels)
    return levels


def _add_missing_levels(
    node: SummaryNode, is_cached: Callable[[SummaryNode], bool], levels: list[list[SummaryNode]]
) -> int:
    """Return the level of a node, or -1 when it is cached and nothing below it is needed."""
    if is_cached(node):
        return -1
    level = max((_add_missing_levels(child, is_cached, levels) for child in node.children), default=-1) + 1
    while len(levels) <= level:
        levels.append([])
    levels[level].append(node)
    return level


def leaf_nodes(nodes: Sequence[SummaryNode]) -> Iterator[SummaryNode]:
    """Yield the files below some nodes."""
    for node in nodes:
        if node.children:
            yield from leaf_nodes(node.children)
        else:
            yield node
