"""What is asked for, and which files its paths name."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from prunejuice.context import Strategy, Style
from prunejuice.contexts.corpus import Corpus
from prunejuice.errors import NotFoundError
from prunejuice.text import nearest

BUDGET = 32_000


class Ask(NamedTuple):
    """What to gather. `paths` are files, folders and globs; one that begins with `!` takes files out.

    `given` is output that belongs to the task: it is searched for too. `diff` names a commit: the
    difference since is shown too. `tests` adds the tests of what is given, `only` keeps all else out.
    `model` is who reads it: the budget is in its tokens.
    """

    query: str = ""
    paths: tuple[str, ...] = ()
    budget: int = BUDGET
    strategy: Strategy = "ranked"
    style: Style = "text"
    diff: str = ""
    tests: bool = False
    only: bool = False
    given: str = ""
    model: str = ""


def resolved(corpus: Corpus, paths: Sequence[str]) -> tuple[list[int], frozenset[int] | None]:
    """Files that are named, and those that lie in what is named; None where nothing but files is."""
    given: list[int] = []
    within: set[int] = set()
    folders = False
    for path in (each for each in paths if not each.startswith("!")):
        if path in corpus.number:
            given.append(corpus.number[path])
            continue
        folders = True
        hits = {file for file, name in enumerate(corpus.paths) if _matches(name, path)}
        if not hits:
            raise unknown(corpus, path)
        within |= hits
    out = {
        file
        for path in paths
        if path.startswith("!")
        for file, name in enumerate(corpus.paths)
        if _matches(name, path[1:])
    }
    if folders:
        return [file for file in given if file not in out], frozenset(within) - out
    allowed = frozenset(range(len(corpus.paths))) - out if out else None
    return [file for file in given if file not in out], allowed


def _matches(name: str, path: str) -> bool:
    return path in {"", name} or name.startswith(f"{path}/") or fnmatchcase(name, path)


def unknown(corpus: Corpus, path: str) -> NotFoundError:
    """Why a path names nothing: it is kept out, or is not there."""
    for apart, reason in corpus.left.items():
        if apart == path or apart.startswith(f"{path}/"):
            return NotFoundError(
                f"nothing of {path} can be shown: {reason}", "name a file itself to have it shown"
            )
    hint = nearest(path, corpus.paths)
    return NotFoundError(f"there is no file {path!r} here", hint or "codeclip lists what there is")
