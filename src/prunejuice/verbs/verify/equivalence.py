"""Check that a refactoring keeps public names, and the results of functions without side effects."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from prunejuice.code import exported_names, public_api, purity
from prunejuice.code.languages import language_for_path
from prunejuice.code.testpaths import is_test_path
from prunejuice.edits.diff import FileDiff
from prunejuice.environments.place import Place
from prunejuice.errors import GateError
from prunejuice.system.stop_request import Stop
from prunejuice.verbs.verify import interpreter
from prunejuice.verbs.verify.interpreter import PROBES, PythonInterpreter

_UNCHANGED = "all public names and signatures are unchanged"
_MAX_EXAMPLES = 3
_MIN_RESULTS = 3
"""The number of calls that have to return a result for a comparison to count as evidence."""
_TYPE_ERRORS = ("raises TypeError", "raises AttributeError")


class EquivalenceResult(NamedTuple):
    """The outcome of a comparison: `faults` are changes of behaviour, `evidence` is what stayed the same.

    `compared_functions` is the number of functions whose results were compared.
    """

    faults: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    compared_functions: int = 0


class EquivalenceChecker:
    """Compares the behaviour of two trees."""

    def __init__(self, environ: Mapping[str, str], stop: Stop) -> None:
        self._environ, self._stop = environ, stop
        self._python: PythonInterpreter | None = None

    def compare_trees(self, was: Place, now: Place, diffs: Sequence[FileDiff]) -> EquivalenceResult:
        """Compare the tree `now`, which has the changes, with the original one."""
        faults: list[str] = []
        evidence: list[str] = []
        compared_functions = 0
        for names in _compare_exports(diffs):
            faults += names.faults
            evidence += names.evidence
        for diff in diffs:
            old, new = parseable_text(diff.old.data), parseable_text(diff.new.data)
            if not diff.path.endswith(".py") or is_test_path(diff.path) or old is None:
                continue
            if new is None or diff.to:
                faults.append(f"{diff.path} was removed with all of its public names")
                continue
            breaking_changes = public_api.breaking_changes(
                *(public_api.public_names(text, diff.path) for text in (old, new))
            )
            faults += [f"{diff.path}: {change}" for change in breaking_changes]
            if not breaking_changes:
                evidence.append(f"{diff.path}: {_UNCHANGED}")
            comparison = self._compare_functions(was, now, diff.path, old, new)
            faults += comparison.faults
            evidence += comparison.evidence
            compared_functions += comparison.compared_functions
        return EquivalenceResult(tuple(faults), tuple(evidence), compared_functions)

    def _compare_functions(
        self, was: Place, now: Place, path: str, old: str, new: str
    ) -> EquivalenceResult:
        """Call functions without side effects, before and after, with the same arguments."""
        functions = purity.changed_pure_functions(old, new)
        if not functions:
            return EquivalenceResult()
        calls = {comparison.name: list(comparison.inputs) for comparison in functions}
        # The original runs twice: results that differ between those runs prove nothing about the change.
        before, again, after = (self.call_functions(tree, path, calls) for tree in (was, was, now))
        if before is None or again is None:
            return EquivalenceResult()
        if after is None:
            return EquivalenceResult((f"{path} can no longer be imported",))
        comparisons = [
            _compare_calls(
                comparison,
                [
                    *zip(
                        before[comparison.name], again[comparison.name], after[comparison.name], strict=True
                    )
                ],
            )
            for comparison in functions
        ]
        faults = tuple(f"{path}: {message}" for comparison in comparisons for message in comparison.faults)
        evidence = tuple(
            f"{path}: {message}" for comparison in comparisons for message in comparison.evidence
        )
        return EquivalenceResult(faults, evidence, len(evidence))

    def call_functions(
        self, place: Place, path: str, calls: Mapping[str, Sequence[str]]
    ) -> Mapping[str, Sequence[str]] | None:
        """Return the outcomes of calls in a tree, by function; None if they cannot be made."""
        try:
            self._python = self._python or interpreter.find_python(place, self._environ, self._stop, "json")
        except GateError:
            return None
        top, name = interpreter.import_location(place.root, path)
        seen = place.seen / top.relative_to(place.root)
        order = json.dumps({"top": str(seen), "module": name, "calls": calls}).encode()
        result = self._python.run(place, str(PROBES / "calls.py"), stdin=order, PYTHONHASHSEED="0")
        try:
            outcomes: Mapping[str, Sequence[str]] = json.loads(result.out) if result.code == 0 else {}
        except ValueError:
            return None
        return outcomes or None


def _compare_exports(diffs: Sequence[FileDiff]) -> Iterator[EquivalenceResult]:
    """Compare the exported names of files of other languages than Python; those of Go by package."""
    groups: dict[str, list[FileDiff]] = {}
    for diff in diffs:
        language = language_for_path(diff.path)
        if language in exported_names.LANGUAGES and not is_test_path(diff.path):
            # In Go the names of all files of a folder are one.
            is_package = language == "go"
            group = f"{diff.path.rpartition('/')[0] or '.'} (package)" if is_package else diff.path
            groups.setdefault(group, []).append(diff)
    for group, members in groups.items():
        yield _compare_group(group if len(members) > 1 else members[0].path, members)


def _compare_group(name: str, diffs: Sequence[FileDiff]) -> EquivalenceResult:
    old, new = (_union_names(diffs, is_new=is_new) for is_new in (False, True))
    if not old:
        return EquivalenceResult()
    if new is None:
        return EquivalenceResult((f"{name} can no longer be parsed",))
    if all(diff.new.data is None or diff.to for diff in diffs):
        return EquivalenceResult((f"{name} was removed with all of its public names",))
    faults = tuple(f"{name}: {change}" for change in public_api.breaking_changes(old, new))
    return EquivalenceResult(faults, () if faults else (f"{name}: {_UNCHANGED}",))


def _union_names(diffs: Sequence[FileDiff], *, is_new: bool) -> dict[str, str] | None:
    """Return the exported names of all files before or after; None if one cannot be parsed."""
    names: dict[str, str] = {}
    for diff in diffs:
        data = diff.new.data if is_new else diff.old.data
        found = exported_names.exported_names(language_for_path(diff.path), data or b"") if data else {}
        if found is None:
            return None
        names |= found
    return names


def _compare_calls(
    function: purity.PureFunction, rows: Sequence[tuple[str, str, str]]
) -> EquivalenceResult:
    """Compare the outcomes of calls before, in a repeated run, and after a change."""
    name, literals = function.name, function.inputs
    steady = [number for number, (before, again, _) in enumerate(rows) if before == again]
    changed = [number for number in steady if rows[number][0] != rows[number][2]]
    results = sum(not rows[number][0].startswith(_TYPE_ERRORS) for number in steady)
    if not function.typed and results - len(changed) >= _MIN_RESULTS:  # it may not accept such arguments
        changed = [number for number in changed if not rows[number][2].startswith(_TYPE_ERRORS)]
    if changed:
        examples = (
            f"{name}{literals[number]} {rows[number][0]} before, and {rows[number][2]} now"
            for number in changed[:_MAX_EXAMPLES]
        )
        return EquivalenceResult(("; ".join(examples),))
    return EquivalenceResult(
        (), (f"{name} returns the same for {len(steady)} inputs",) if results >= _MIN_RESULTS else ()
    )


def parseable_text(data: bytes | None) -> str | None:
    """Return Python source that parses; None for a missing file or other content."""
    try:
        text = data.decode() if data is not None else None
        if text is not None:
            public_api.public_names(text)
    except (UnicodeDecodeError, SyntaxError, ValueError):
        return None
    return text
