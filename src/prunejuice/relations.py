"""What follows from all files of a tree together: who imports whom, who calls what."""

import posixpath
import re
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from prunejuice.imports import Tree, package
from prunejuice.manifest import Manifest
from prunejuice.outline import Outline

TEST = re.compile(
    r"(?:^|/)(?:tests?|testing|__tests__|spec|e2e|fixtures|playground|benchmarks?|examples?)/"
    r"|(?:^|/)(?:test_[^/]*|conftest\.py|[^/]*[._]test\.\w+|[^/]*\.spec\.\w+)$"
)
"""Paths of what is there to test, to measure or to show something."""
_BY_FOLDER = {"go", "java", "c_sharp", "php", "ruby", "c", "cpp"}
"""Where a file sees what lies beside it without an import."""
COMMON = frozenset(name for kind in (str, bytes, list, dict, set, int, object) for name in dir(kind)) | {
    "constructor", "open", "close", "read", "write", "get", "set", "run", "main", "init", "new", "filter",
    "map", "push", "slice", "concat", "forEach", "toString",
}  # fmt: skip
"""Names that are called on so many things that a call tells nothing."""


class Told(NamedTuple):
    """What a survey is made from.

    `files` and `manifests` are by path, `introduction` is what a README says first. `around` has the
    languages of the files that are there besides.
    """

    files: Mapping[str, Outline]
    manifests: Mapping[str, Manifest]
    introduction: str = ""
    around: Mapping[str, str] = {}


class Relations:
    """`uses` leads from files to those that they import, `packages` from packages of others to files.

    `used` counts the importers of a file, `called` the files that call a name of a file; tests count in
    neither.
    """

    def __init__(self, told: Told) -> None:
        self.code = {path: each for path, each in told.files.items() if each.language}
        tests = {path for path in self.code if TEST.search(path)}
        self.tests = tests if len(tests) < len(self.code) else set()
        self.uses: dict[str, set[str]] = {}
        self.packages: dict[str, set[str]] = {}
        self._link(told)
        own = [path for path in self.code if path not in self.tests]
        self.used = Counter(file for path in own for file in self.uses.get(path, ()))
        self.homes: dict[str, list[str]] = {}
        for path in own:
            for member in self.code[path].members:
                self.homes.setdefault(member.name.rpartition(".")[2], []).append(path)
        self.called: Counter[tuple[str, str]] = Counter()
        for path in own:
            names = {name for member in self.code[path].members for name in (*member.calls, *member.bases)}
            self.called.update((home, name) for name in names if (home := self.home(path, name)))

    def _link(self, told: Told) -> None:
        module = next((each.name for path, each in told.manifests.items() if path.endswith("go.mod")), "")
        tree = Tree({**told.around, **{path: each.language for path, each in self.code.items()}}, module)
        for path, each in self.code.items():
            for link in each.links:
                if (file := tree.file(path, link)) and file != path:
                    self.uses.setdefault(path, set()).add(file)
                elif not file and (name := package(each.language, link)):
                    self.packages.setdefault(name, set()).add(path)

    def home(self, path: str, name: str) -> str:
        """The file that defines a name which another uses; empty where it is not clear."""
        homes = self.homes.get(name, [])
        if path in homes:
            return path
        linked = [home for home in homes if home in self.uses.get(path, ())]
        near = [home for home in homes if posixpath.dirname(home) == posixpath.dirname(path)]
        found = linked or (near if self.code[path].language in _BY_FOLDER else [])
        return found[0] if len(set(found)) == 1 and name not in COMMON else ""
