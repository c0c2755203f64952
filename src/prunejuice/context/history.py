"""The commit history: which files change together, which changed recently, and for which words."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from prunejuice.code.terms import terms
from prunejuice.context.index import CodeIndex
from prunejuice.worktrees.git import Git

DEPTH = 3_000
"""The most commits that are read."""
WIDEST = 30
"""The most files of a commit; a wider commit says little about each of its files."""
_MESSAGE = 1_500
"""Characters of a commit message that are read."""


class Commit(NamedTuple):
    """The terms of a commit's message, and the paths it changed."""

    terms: frozenset[str]
    paths: tuple[str, ...]


def load_commits(git: Git, index: CodeIndex, head: str, depth: int = DEPTH) -> list[Commit]:
    """Return the last commits before `head`, newest first; merges are skipped, wide commits have no paths.

    Raises:
        GitError: commits are missing from a partial clone, and git is not allowed to fetch them.
    """
    if not head:
        return []
    boundary = _shallow_commits(git)
    key = f"{head} {hashlib.sha256(' '.join(boundary).encode()).hexdigest()[:12]}" if boundary else head
    stored_ids = index.commit_ids(key)
    ids = stored_ids or git.run("rev-list", f"--max-count={depth}", "--no-merges", head).split()
    commits = index.commits(ids, _decode_commit)
    missing = [commit_id for commit_id in ids if commit_id not in commits]
    if missing or not stored_ids:
        rows = _read_commits(git, missing)
        index.save_commits(
            key, ids, {commit_id: row for commit_id, row in rows.items() if commit_id not in boundary}
        )
        commits |= {commit_id: _decode_commit(row) for commit_id, row in rows.items()}
    return [commits[commit_id] for commit_id in ids if commit_id in commits]


def _shallow_commits(git: Git) -> frozenset[str]:
    """Return the commits at which a shallow clone ends; they appear to add every file."""
    with suppress(OSError):
        return frozenset((Path(git.common) / "shallow").read_text().split())
    return frozenset()


def _decode_commit(row: bytes) -> Commit:
    words, paths = msgspec.msgpack.decode(row)
    return Commit(frozenset(words), tuple(map(os.fsdecode, paths)))


def _read_commits(git: Git, ids: Sequence[str]) -> dict[str, bytes]:
    if not ids:
        return {}
    # Ids go through stdin, as a command line cannot hold them all. Control characters separate the fields.
    output = git.run(
        *("log", "--no-walk=unsorted", "--stdin", "--no-renames", "--name-only", "-z"),
        "--format=%x01%H%x02%B%x03",
        given="\n".join(ids).encode() + b"\n",
        limit=512 << 20,
    )
    rows = {}
    for entry in output.split("\x01")[1:]:
        head, _, rest = entry.partition("\x03")
        commit, _, message = head.partition("\x02")
        paths = [path.lstrip("\n") for path in rest.split("\0") if path.strip("\n")]
        words = list(terms(message[:_MESSAGE]))
        stored_paths = [os.fsencode(path) for path in paths] if len(paths) <= WIDEST else []
        rows[commit] = msgspec.msgpack.encode((words, stored_paths))
    return rows


class CommitHistory:
    """Statistics over the last commits of a head."""

    def __init__(self, commits: Sequence[Commit]) -> None:
        """Count terms and paths once for all queries."""
        self.commits = commits
        self.frequency: Counter[str] = Counter()
        self.recency: dict[str, float] = {}
        self.commits_by_path: dict[str, list[int]] = {}
        for number, commit in enumerate(commits):
            self.frequency.update(commit.terms)
            recency = 1 / (1 + number / 50)
            for path in commit.paths:
                self.recency[path] = self.recency.get(path, 0.0) + recency
                self.commits_by_path.setdefault(path, []).append(number)

    def message_scores(self, weights: Mapping[str, float]) -> dict[str, float]:
        """Return a score for the files of commits whose messages share words with the query."""
        scores: dict[str, float] = {}
        for number, commit in enumerate(self.commits):
            if not commit.paths:
                continue
            shared_terms = commit.terms & weights.keys()
            if not shared_terms:
                continue
            similarity = sum(weights[term] for term in shared_terms)
            similarity = similarity * similarity / (6 + len(commit.terms)) / (len(commit.paths) + 1) ** 0.5
            similarity /= 1 + number / 2_000
            for path in commit.paths:
                scores[path] = scores.get(path, 0.0) + similarity
        return scores

    def cochange_scores(self, paths: Iterable[str]) -> dict[str, float]:
        """Return a score for the files that change together with `paths`.

        Wide and old commits count less.
        """
        scores: dict[str, float] = {}
        for path in paths:
            numbers = self.commits_by_path.get(path, ())
            for number in numbers:
                others = self.commits[number].paths
                share = 1 / len(others) / (1 + number / 1_000)
                for other in others:
                    if other != path:
                        scores[other] = scores.get(other, 0.0) + share / (2 + len(numbers)) ** 0.5
        return scores
