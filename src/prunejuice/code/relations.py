"""The relations between the files of a tree: imports and calls."""

import posixpath
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from prunejuice.code.imports import ImportResolver, external_package
from prunejuice.code.manifest import Manifest
from prunejuice.code.outline import Outline
from prunejuice.code.testpaths import is_test_or_support_path

_BY_FOLDER = {"go", "java", "c_sharp", "php", "ruby", "c", "cpp"}
"""Languages in which a file can use the files of its folder without an import."""
_BUILTIN_TYPES = (str, bytes, list, dict, set, int, object)
COMMON_NAMES = frozenset(name for kind in _BUILTIN_TYPES for name in dir(kind)) | {
    "constructor", "open", "close", "read", "write", "get", "set", "run", "main", "init", "new", "filter",
    "map", "push", "slice", "concat", "forEach", "toString",
}  # fmt: skip
"""Names so common that a call does not identify the definition."""


class SurveyInput(NamedTuple):
    """The input of a survey.

    `files` and `manifests` are keyed by path; `introduction` is the first sentence of the README. `around`
    has the languages of the other files in the tree, by path.
    """

    files: Mapping[str, Outline]
    manifests: Mapping[str, Manifest]
    introduction: str = ""
    around: Mapping[str, str] = {}


class Relations:
    """The import and call relations between files.

    `uses` maps a file to the files that it imports, `packages` an external package to the files that
    import it. `used` counts the importers of each file, `called` the callers of each (file, name); both
    ignore tests.
    """

    def __init__(self, survey: SurveyInput) -> None:
        self.code = {path: outline for path, outline in survey.files.items() if outline.language}
        tests = {path for path in self.code if is_test_or_support_path(path)}
        # A tree of only tests or examples is surveyed as code.
        self.tests = tests if len(tests) < len(self.code) else set()
        self.uses: dict[str, set[str]] = {}
        self.packages: dict[str, set[str]] = {}
        self._link_imports(survey)
        code_paths = [path for path in self.code if path not in self.tests]
        self.used = Counter(file for path in code_paths for file in self.uses.get(path, ()))
        self.files_by_name: dict[str, list[str]] = {}
        for path in code_paths:
            for member in self.code[path].members:
                self.files_by_name.setdefault(member.name.rpartition(".")[2], []).append(path)
        self.called: Counter[tuple[str, str]] = Counter()
        for path in code_paths:
            names = {name for member in self.code[path].members for name in (*member.calls, *member.bases)}
            self.called.update((home, name) for name in names if (home := self.defining_file(path, name)))

    def _link_imports(self, survey: SurveyInput) -> None:
        module = next(
            (manifest.name for path, manifest in survey.manifests.items() if path.endswith("go.mod")), ""
        )
        resolver = ImportResolver(
            {**survey.around, **{path: outline.language for path, outline in self.code.items()}}, module
        )
        for path, outline in self.code.items():
            for link in outline.links:
                if (file := resolver.resolve(path, link)) and file != path:
                    self.uses.setdefault(path, set()).add(file)
                elif not file and (name := external_package(outline.language, link)):
                    self.packages.setdefault(name, set()).add(path)

    def defining_file(self, path: str, name: str) -> str:
        """Return the file that defines a name used in `path`; empty if unknown or ambiguous."""
        homes = self.files_by_name.get(name, [])
        if path in homes:
            return path
        linked = [home for home in homes if home in self.uses.get(path, ())]
        adjacent = [home for home in homes if posixpath.dirname(home) == posixpath.dirname(path)]
        candidates = linked or (adjacent if self.code[path].language in _BY_FOLDER else [])
        return candidates[0] if len(set(candidates)) == 1 and name not in COMMON_NAMES else ""
