"""What a repository's past says of its files: which were changed together, lately, and for which words."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from prunejuice.contexts.index import Index
from prunejuice.git import Git
from prunejuice.words import terms

DEPTH = 3_000
"""Commits that are looked at."""
WIDEST = 30
"""Files of a commit; a wider one says little of each."""
_MESSAGE = 1_500


class Commit(NamedTuple):
    """What a commit said and touched."""

    terms: frozenset[str]
    paths: tuple[str, ...]


def commits(git: Git, index: Index, head: str, depth: int = DEPTH) -> list[Commit]:
    """The last commits before a head, newest first; merges and very wide ones have no paths.

    Raises:
        GitError: some of them are not here, and git is not let fetch them.
    """
    if not head:
        return []
    ends = _ends(git)
    line = f"{head} {hashlib.sha256(' '.join(ends).encode()).hexdigest()[:12]}" if ends else head
    kept = index.line(line)
    ids = kept or git.run("rev-list", f"--max-count={depth}", "--no-merges", head).split()
    found = index.commits(ids, _made)
    missing = [each for each in ids if each not in found]
    if missing or not kept:
        new = _read(git, missing)
        index.keep_commits(line, ids, {each: row for each, row in new.items() if each not in ends})
        found |= {each: _made(row) for each, row in new.items()}
    return [found[each] for each in ids if each in found]


def _ends(git: Git) -> frozenset[str]:
    """The commits at which a shallow clone ends: they look as if they had made every file."""
    with suppress(OSError):
        return frozenset((Path(git.common) / "shallow").read_text().split())
    return frozenset()


def _made(row: bytes) -> Commit:
    words, paths = msgspec.msgpack.decode(row)
    return Commit(frozenset(words), tuple(map(os.fsdecode, paths)))


def _read(git: Git, ids: Sequence[str]) -> dict[str, bytes]:
    if not ids:
        return {}
    said = git.run(
        *("log", "--no-walk=unsorted", "--stdin", "--no-renames", "--name-only", "-z"),
        "--format=%x01%H%x02%B%x03",
        given="\n".join(ids).encode() + b"\n",
        limit=512 << 20,
    )
    found = {}
    for entry in said.split("\x01")[1:]:
        head, _, rest = entry.partition("\x03")
        commit, _, message = head.partition("\x02")
        paths = [path.lstrip("\n") for path in rest.split("\0") if path.strip("\n")]
        words = list(terms(message[:_MESSAGE]))
        kept = [os.fsencode(path) for path in paths] if len(paths) <= WIDEST else []
        found[commit] = msgspec.msgpack.encode((words, kept))
    return found


class Past:
    """Counts over the last commits of a head."""

    def __init__(self, line: Sequence[Commit]) -> None:
        """Count once; the questions below are cheap."""
        self.line = line
        self.frequency: Counter[str] = Counter()
        self.recent: dict[str, float] = {}
        self.of: dict[str, list[int]] = {}
        for number, commit in enumerate(line):
            self.frequency.update(commit.terms)
            fresh = 1 / (1 + number / 50)
            for path in commit.paths:
                self.recent[path] = self.recent.get(path, 0.0) + fresh
                self.of.setdefault(path, []).append(number)

    def votes(self, weights: Mapping[str, float]) -> dict[str, float]:
        """Files of commits whose messages have words of the query, by how many and how rare."""
        said: dict[str, float] = {}
        for number, commit in enumerate(self.line):
            if not commit.paths:
                continue
            common = commit.terms & weights.keys()
            if not common:
                continue
            alike = sum(weights[term] for term in common)
            alike = alike * alike / (6 + len(commit.terms)) / (len(commit.paths) + 1) ** 0.5
            alike /= 1 + number / 2_000
            for path in commit.paths:
                said[path] = said.get(path, 0.0) + alike
        return said

    def beside(self, paths: Iterable[str]) -> dict[str, float]:
        """Files that were changed together with some: how often; wide commits and far ones count less."""
        said: dict[str, float] = {}
        for path in paths:
            mine = self.of.get(path, ())
            for number in mine:
                others = self.line[number].paths
                share = 1 / len(others) / (1 + number / 1_000)
                for other in others:
                    if other != path:
                        said[other] = said.get(other, 0.0) + share / (2 + len(mine)) ** 0.5
        return said
