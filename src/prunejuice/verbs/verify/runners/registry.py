"""The runners of generated tests, by language."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from prunejuice.code.languages import language_for_path
from prunejuice.environments.place import Place
from prunejuice.system.extensions import ExtensionPoint
from prunejuice.system.stop_request import Stop
from prunejuice.verbs.verify.runners.protocol import TestRunner

_NODE = "prunejuice.verbs.verify.runners.node:find_node_runner"
EXTENSIONS = ExtensionPoint(
    "prunejuice.test_runners",
    {
        "python": "prunejuice.verbs.verify.runners.pytest:find_pytest",
        **dict.fromkeys(("javascript", "typescript", "tsx"), _NODE),
        "go": "prunejuice.verbs.verify.runners.go:find_go_runner",
    },
)
"""Functions, by language, that return the `TestRunner` for a `RunnerRequest` or raise `GateError`."""


class RunnerRequest(NamedTuple):
    """The files to test, in a tree, and the variables of the caller; `stop` and `tag` are for processes."""

    place: Place
    sources: Sequence[str]
    environ: Mapping[str, str]
    stop: Stop
    tag: str = ""


def select_sources(paths: Sequence[str]) -> list[str]:
    """Return the paths that the runner of the first one tests: those of its language."""
    runners = [(_runner_of(path), path) for path in paths]
    first = next((runner for runner, _ in runners if runner), "")
    return [path for runner, path in runners if runner and runner == first]


def find_runner(request: RunnerRequest) -> TestRunner:
    """Return the runner for the sources, which are of one language.

    Raises:
        GateError: the programs that run their tests are missing.
    """
    find: Callable[[RunnerRequest], TestRunner] = EXTENSIONS.load(language_for_path(request.sources[0]))
    return find(request)


def _runner_of(path: str) -> str:
    """Return what tells the runner of a path from others: where it is defined; empty if there is none."""
    language = language_for_path(path)
    return next((each.target for each in EXTENSIONS.list_all() if each.name == language), "")
