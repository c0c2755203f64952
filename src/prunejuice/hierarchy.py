"""Files as a tree of things to summarize, each keyed by all that its summary depends on."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple


class Node(NamedTuple):
    """A file, or a folder with a `/` at its end; `key` changes when anything below it does."""

    path: str
    key: str
    children: tuple["Node", ...] = ()


def hierarchy(contents: Mapping[str, str], salt: str) -> Node:
    """The tree over files with the ids of their contents; a folder with one thing in it is that thing.

    `salt` is what else a summary depends on: the prompt, the model, how long it may be.
    """
    root: dict[str, dict[str, object]] = {}
    for path in sorted(contents):
        folder: dict[str, object] = root  # type: ignore[assignment]
        *outer, name = path.split("/")
        for each in outer:
            folder = folder.setdefault(f"{each}/", {})  # type: ignore[assignment]
        folder[name] = contents[path]
    return _node("", root, salt)


def _node(path: str, held: object, salt: str) -> Node:
    if not isinstance(held, dict):
        return Node(path, _digest(salt, path, str(held)))
    children = tuple(_node(path + name, inner, salt) for name, inner in held.items())
    if len(children) == 1:
        return children[0]
    return Node(path, _digest(salt, path, *(child.key for child in children)), children)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:40]


def missing(top: Node, known: Callable[[Node], bool]) -> list[list[Node]]:
    """What has to be made, in levels: everything in one needs only what is before it, or known."""
    levels: list[list[Node]] = []
    _missing(top, known, levels)
    return levels


def _missing(node: Node, known: Callable[[Node], bool], levels: list[list[Node]]) -> int:
    """The level of a node, -1 when it is known: what is below it is then not needed."""
    if known(node):
        return -1
    level = max((_missing(child, known, levels) for child in node.children), default=-1) + 1
    while len(levels) <= level:
        levels.append([])
    levels[level].append(node)
    return level


def leaves(nodes: Sequence[Node]) -> Iterator[Node]:
    """The files of some nodes."""
    for node in nodes:
        if node.children:
            yield from leaves(node.children)
        else:
            yield node
