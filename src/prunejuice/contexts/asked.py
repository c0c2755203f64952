"""What is asked for, and which files its paths name."""

from collections.abc import Sequence
from typing import NamedTuple

from prunejuice.context import Strategy, Style
from prunejuice.contexts.corpus import Corpus
from prunejuice.errors import NotFoundError
from prunejuice.pathname import globbed
from prunejuice.text import nearest

BUDGET = 32_000

_WILD = frozenset("*?[")


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


class Reach(NamedTuple):
    """What paths mean: files that are named themselves, those in what is named, and what is taken out.

    `within` is None where no folder and no glob is named.
    """

    named: tuple[int, ...]
    within: frozenset[int] | None
    inside: tuple[str, ...]
    out: tuple[str, ...]

    def has(self, path: str) -> bool:
        """Whether a path may be shown, if it is there or not."""
        inside = not self.inside or any(_matches(path, each) for each in self.inside)
        return inside and not self.excludes(path)

    def excludes(self, path: str) -> bool:
        """Whether a path is taken out."""
        return any(_matches(path, each) for each in self.out)

    def allowed(self, corpus: Corpus) -> frozenset[int] | None:
        """The files that may be shown besides those that are named; None for all."""
        if self.within is not None:
            return self.within
        if not self.out:
            return None
        return frozenset(file for file, name in enumerate(corpus.paths) if not self.excludes(name))


def resolved(corpus: Corpus, paths: Sequence[str]) -> Reach:
    """What paths mean in a tree.

    Raises:
        NotFoundError: a path names nothing that can be shown.
    """
    out = tuple(path[1:] for path in paths if path.startswith("!"))
    wanted = [path.removeprefix("./") for path in paths if not path.startswith("!")]
    reach = Reach((), None, (), out)
    for path in wanted:
        if path in corpus.number:
            reach = reach._replace(named=(*reach.named, corpus.number[path]), inside=(*reach.inside, path))
            continue
        hits = frozenset(file for file, name in enumerate(corpus.paths) if _matches(name, path))
        if not hits:
            raise unknown(corpus, path)
        reach = reach._replace(within=(reach.within or frozenset()) | hits, inside=(*reach.inside, path))
    named = tuple(file for file in reach.named if reach.has(corpus.paths[file]))
    within = reach.within
    if within is not None:
        within = frozenset(file for file in within if reach.has(corpus.paths[file]))
    folders = within is not None
    return reach._replace(named=named, within=within, inside=reach.inside if folders else ())


def _matches(name: str, path: str) -> bool:
    return (
        path in {"", name} or name.startswith(f"{path}/") or (bool(_WILD & {*path}) and globbed(name, path))
    )


def unknown(corpus: Corpus, path: str) -> NotFoundError:
    """Why a path names nothing: it is kept out, or is not there."""
    for apart, reason in corpus.left.items():
        if apart == path:
            return NotFoundError(f"{path} cannot be shown: {reason}")
        if apart.startswith(f"{path}/"):
            return NotFoundError(
                f"nothing of {path} can be shown: {reason}", "name a file itself to have it shown"
            )
    if not path:
        return NotFoundError("there is nothing to show here", "go to a folder with files in it")
    return NotFoundError(f"there is no file {path!r} here", nearest(path, corpus.paths))
