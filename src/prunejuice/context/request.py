"""The request for a context, and the files that its paths select."""

from collections.abc import Sequence
from typing import NamedTuple, TypedDict

from prunejuice.context.budget import DEFAULT_BUDGET
from prunejuice.context.bundle import Strategy, Style
from prunejuice.context.corpus import Corpus
from prunejuice.edits.path_rules import matches_glob
from prunejuice.errors import NotFoundError, UsageError
from prunejuice.text import spelling_hint

_WILDCARDS = frozenset("*?[")


class ContextRequest(NamedTuple):
    """A request for a context.

    `paths` are files, folders and globs; a path that begins with `!` excludes files. `given` is output
    that belongs to the task; it is searched for too. `diff` names a commit; the changes since that commit
    are shown too. `tests` adds the tests of the named files, `only` leaves out every other file. `model`
    is the model that reads the context; the budget is in its tokens.
    """

    query: str = ""
    paths: tuple[str, ...] = ()
    budget: int = DEFAULT_BUDGET
    strategy: Strategy = "ranked"
    style: Style = "text"
    diff: str = ""
    tests: bool = False
    only: bool = False
    given: str = ""
    model: str = ""


class ContextDetails(TypedDict, total=False):
    """Keyword arguments for the fields of a `ContextRequest` that have a default for every task."""

    strategy: Strategy
    style: Style
    diff: str
    tests: bool
    only: bool
    given: str
    model: str


class ContextOptions(ContextDetails, total=False):
    """Keyword arguments for all fields of a `ContextRequest`."""

    query: str
    paths: Sequence[str]
    budget: int


class PathScope(NamedTuple):
    """The files that paths select: files named directly, files in named folders and globs, exclusions.

    `within` is None if no folder and no glob is named. `inside` and `excluded` are the paths themselves.
    """

    named: tuple[int, ...]
    within: frozenset[int] | None
    inside: tuple[str, ...]
    excluded: tuple[str, ...]

    def includes(self, path: str) -> bool:
        """Return whether a path may be shown; the file need not exist."""
        inside = not self.inside or any(_matches(path, pattern) for pattern in self.inside)
        return inside and not self.excludes(path)

    def excludes(self, path: str) -> bool:
        """Return whether a path is excluded."""
        return any(_matches(path, pattern) for pattern in self.excluded)

    def allowed_files(self, corpus: Corpus) -> frozenset[int] | None:
        """Return the files that may be shown besides those named directly; None for all."""
        if self.within is not None:
            return self.within
        if not self.excluded:
            return None
        return frozenset(file for file, name in enumerate(corpus.paths) if not self.excludes(name))


def resolve_paths(corpus: Corpus, paths: Sequence[str]) -> PathScope:
    """Return the files that paths select in a tree.

    Raises:
        NotFoundError: a path selects no file that can be shown.
        UsageError: a path belongs to git.
    """
    excluded = tuple(path[1:] for path in paths if path.startswith("!"))
    included = [path.removeprefix("./") for path in paths if not path.startswith("!")]
    scope = PathScope((), None, (), excluded)
    for path in included:
        if ".git" in path.casefold().split("/"):
            raise UsageError(f"{path} belongs to git and is never shown", "name a file of the tree")
        if path in corpus.number:
            scope = scope._replace(named=(*scope.named, corpus.number[path]), inside=(*scope.inside, path))
            continue
        matches = frozenset(file for file, name in enumerate(corpus.paths) if _matches(name, path))
        if not matches:
            raise not_found_error(corpus, path)
        scope = scope._replace(within=(scope.within or frozenset()) | matches, inside=(*scope.inside, path))
    # A file named directly is shown beside everything else, so it restricts `inside` only when a folder
    # or a glob is named as well.
    named = tuple(file for file in scope.named if scope.includes(corpus.paths[file]))
    within = scope.within
    if within is not None:
        within = frozenset(file for file in within if scope.includes(corpus.paths[file]))
    has_folders = within is not None
    return scope._replace(named=named, within=within, inside=scope.inside if has_folders else ())


def _matches(name: str, path: str) -> bool:
    return (
        path in {"", name}
        or name.startswith(f"{path}/")
        or (bool(_WILDCARDS & {*path}) and matches_glob(name, path))
    )


def not_found_error(corpus: Corpus, path: str) -> NotFoundError:
    """Return the error for a path that selects no file: the path is excluded or does not exist."""
    for excluded, reason in corpus.excluded.items():
        if excluded == path:
            return NotFoundError(f"cannot show {path}: {reason}")
        if excluded.startswith(f"{path}/"):
            return NotFoundError(
                f"cannot show any file in {path}: {reason}", "name a single file to show it"
            )
    if not path:
        return NotFoundError("nothing to show here", "go to a folder that contains files")
    return NotFoundError(f"no such file: {path!r}", spelling_hint(path, corpus.paths))
