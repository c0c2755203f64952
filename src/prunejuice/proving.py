"""Tests that an agent wrote, each held to gates; only those that hold are kept.

A test has to parse, pass, pass again in another order, run a line or branch that no test ran before, and
fail when the code that it runs is given a fault.
"""

import ast
import io
import json
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from prunejuice import asking, interpreter, mutant, replica, report
from prunejuice.agent import Spent
from prunejuice.asking import Means, Request
from prunejuice.context import Bundle
from prunejuice.errors import GateError, UsageError
from prunejuice.guard import is_test
from prunejuice.hunk import Difference, Version
from prunejuice.interpreter import Python
from prunejuice.overlay import Overlay
from prunejuice.replica import Replica
from prunejuice.results import TestCase, TestGenerationResult
from prunejuice.text import safe_line

_MUTANTS = 12
_SUITE = 600.0
_RUN = 60.0

Arcs = frozenset[tuple[str, int, int]]
"""Steps from line to line in files: what was run."""


class Verdict(NamedTuple):
    """What became of one test: kept, or the gate that it did not pass; `shows` what speaks for it."""

    name: str
    kept: bool
    gate: str = ""
    why: str = ""
    shows: tuple[str, ...] = ()

    def told(self) -> dict[str, Any]:
        """The same as plain data."""
        return {**self._asdict(), "shows": list(self.shows)}


class Proved(NamedTuple):
    """The file with the tests that hold, and the verdict on each."""

    differences: tuple[Difference, ...]
    verdicts: tuple[Verdict, ...]
    spent: Spent
    context: Bundle


def prove(request: Request, means: Means, environ: Mapping[str, str]) -> Proved:
    """Let an agent write tests, and keep those that hold.

    Raises:
        GateError: no Python here has pytest and coverage, or not one test holds.
        UsageError: there is no Python file among the paths.
        AgentError, LimitError: as asking for data does.
    """
    root = means.house.root
    sources = [item for item in _sources(request, means) if not is_test(item)]
    if not sources:
        fix = "codebot test src/shop.py; for other languages: codebot implement --check COMMAND"
        raise UsageError("there is no Python file to be tested among the paths", fix)
    python = interpreter.found(root, environ, means.stop, "pytest", "coverage", tag=means.tag)
    wanted = request._replace(verb=request.verb._replace(result=TestGenerationResult.model_json_schema()))
    found = asking.report(wanted, means, _checked)
    result = TestGenerationResult.model_validate(found.output)
    with means.place() as place, replica.made(means.house, place, environ) as copy:
        gates = _Gates(python, copy, sources, _target(root, sources[0]), result, means)
        kept, verdicts = gates.passed()
    if not kept:
        told = "; ".join(f"{each.name}: {each.gate}: {each.why}" for each in verdicts[:3])
        fix = "ask again, or say with --prompt what the tests should show"
        raise GateError(
            f"not one of {len(verdicts)} tests holds: {told}", fix, answer=_as_block(gates, result)
        )
    made = _difference(gates.target, result.only(kept).to_test_file())
    return Proved(made, tuple(verdicts), found.spent, found.context)


def _checked(output: Any) -> Any:
    """A result that has tests at all."""
    try:
        found = TestGenerationResult.model_validate(output)
    except ValueError as error:
        raise ValueError(str(error)[:500]) from error
    if not found.test_cases:
        raise ValueError("there is no test in it")
    return output


def _sources(request: Request, means: Means) -> list[str]:
    named = [path for path in request.paths or request.verb.paths if not path.startswith("!")]
    bundle = means.engine.gather(asking.context(request)._replace(only=True))
    shown = [item.path for item in bundle.items if item.path.endswith(".py")]
    first = [path for path in shown if path in named]
    return first + [path for path in shown if path not in first]


def _target(root: Path, source: str) -> str:
    """Where the tests of a file go: where the others are, under a name that is free."""
    stem = Path(source).stem
    folder = next((name for name in ("tests", "test") if (root / name).is_dir()), str(Path(source).parent))
    for number in range(1, 100):
        name = f"test_{stem}{'' if number == 1 else f'_{number}'}.py"
        path = name if folder == "." else f"{folder}/{name}"
        if not (root / path).exists():
            return path
    raise UsageError(f"{folder} has a hundred files of tests for {source}", "put them together")


def _difference(path: str, text: str) -> tuple[Difference, ...]:
    overlay = Overlay(lambda _: Version(None))
    overlay.put(path, Version(text.encode(), 0o644))
    return tuple(overlay.differences())


def _as_block(gates: "_Gates", result: TestGenerationResult) -> str:
    """All tests as an answer that can be applied by hand."""
    return f"{gates.target}\n<<<<<<< SEARCH\n=======\n{result.to_test_file()}>>>>>>> REPLACE\n"


class _Gates:
    """The gates, in a replica of the tree."""

    def __init__(
        self,
        python: Python,
        copy: Replica,
        sources: Sequence[str],
        target: str,
        result: TestGenerationResult,
        means: Means,
    ) -> None:
        self.python, self.root, self.sources = python, copy.root, sources
        self.target, self.result, self.means = target, result, means
        self.data = copy.root.parent / "state" / "coverage"

    def passed(self) -> tuple[list[TestCase], list[Verdict]]:
        """The tests that hold, and the verdict on each."""
        self.means.tell("the tests that there are are run, to see what they run")
        before = self.run_before()
        held: list[tuple[TestCase, tuple[str, ...]]] = []
        verdicts: dict[int, Verdict] = {}
        for number, case in enumerate(self.result.test_cases):
            verdict, shows = self.one(case, before)
            verdicts[number] = verdict
            said = (
                f"kept: {', '.join(shows)}" if verdict.kept else f"dropped ({verdict.gate}): {verdict.why}"
            )
            self.means.tell(f"{case.test_name}: {said}")
            if verdict.kept:
                held.append((case, shows))
        kept = self.in_order([case for case, _ in held])
        for number, case in enumerate(self.result.test_cases):
            if verdicts[number].kept and case not in kept:
                why = "it does not pass beside the others, in another order"
                verdicts[number] = Verdict(case.test_name, False, "order", why)
                self.means.tell(f"{case.test_name}: dropped (order): {why}")
        return kept, [verdicts[number] for number in sorted(verdicts)]

    def run_before(self) -> Arcs:
        """What the tests that there are run."""
        done = self.covered("--continue-on-collection-errors", seconds=_SUITE)
        return done[1]

    def one(self, case: TestCase, before: Arcs) -> tuple[Verdict, tuple[str, ...]]:
        """The verdict on one test by itself."""
        name = case.test_name
        if why := _unreadable(case):
            return Verdict(name, False, "parses", why), ()
        if name in {other.test_name for other in self.result.test_cases if other is not case}:
            return Verdict(name, False, "parses", "two tests have this name"), ()
        if twin := self.twin(case):
            return Verdict(name, False, "covers", f"it is {twin} by another name"), ()
        self.write([case])
        ran, arcs = self.covered(f"{self.target}::{name}", seconds=_RUN)
        if ran.code:
            return Verdict(name, False, "passes", _why(ran.said)), ()
        fresh = arcs - before
        if not fresh:
            return Verdict(name, False, "covers", "it runs nothing that was not run before"), ()
        noticed = self.notices(f"{self.target}::{name}", arcs)
        if not noticed:
            return Verdict(name, False, "notices", "it passes whatever fault the code has"), ()
        shows = (f"{len(_lines(fresh))} lines or branches anew", noticed)
        return Verdict(name, True, shows=shows), shows

    def twin(self, case: TestCase) -> str:
        """The name of a test before this one that does the same; empty when there is none."""
        before = self.result.test_cases[: self.result.test_cases.index(case)]
        same = (each.test_name for each in before if not _unreadable(each) and _body(each) == _body(case))
        return next(same, "")

    def notices(self, test: str, arcs: Arcs) -> str:
        """A fault that a test notices; empty when there is none among those that are tried."""
        tried = 0
        for path in self.sources:
            place = self.root / path
            known = place.read_bytes()
            text = _decoded(known)
            try:
                for each in mutant.mutants(text, {line for where, _, line in arcs if where == path}):
                    place.write_bytes(each.source.encode(_coding(known), "replace"))
                    if self.python.pytest(self.root, test, seconds=_RUN).code:
                        return f"{path}:{each.line}: {each.was} instead of {each.now}"
                    tried += 1
                    if tried >= _MUTANTS:
                        return ""
            finally:
                place.write_bytes(known)
        return ""

    def in_order(self, cases: list[TestCase]) -> list[TestCase]:
        """Those that pass together, in their order and the other way round."""
        kept = cases
        while kept:
            failed: set[str] = set()
            for order in (kept, kept[::-1]):
                self.write(order)
                ran = self.python.pytest(self.root, "-rf", self.target, seconds=_SUITE)
                if ran.code:
                    failed |= {case.test_name for case in kept if f"::{case.test_name}" in ran.out}
                    failed = failed or {kept[-1].test_name}
            if not failed:
                break
            kept = [case for case in kept if case.test_name not in failed]
        return kept

    def write(self, cases: Sequence[TestCase]) -> None:
        place = self.root / self.target
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(self.result.only(cases).to_test_file(), encoding="utf-8", errors="replace")

    def covered(self, *words: str, seconds: float) -> tuple[interpreter.Ran, Arcs]:
        """Run tests, and see what of the sources they run."""
        self.data.unlink(missing_ok=True)
        asked = (
            "-m",
            "coverage",
            "run",
            "--branch",
            f"--data-file={self.data}",
            f"--include={self.include()}",
        )
        more = (*self.python.tester, *words)
        ran = self.python.run(self.root, *asked, *more, seconds=seconds, COVERAGE_RCFILE="/dev/null")
        return ran, frozenset(self.arcs())

    def include(self) -> str:
        return ",".join(str(self.root / path) for path in self.sources)

    def arcs(self) -> Iterator[tuple[str, int, int]]:
        done = self.python.run(self.root, str(interpreter.PROBES / "arcs.py"), str(self.data))
        found = json.loads(done.out) if done.code == 0 else {}
        for path, pairs in found.items():
            where = Path(path)
            if where.is_relative_to(self.root):
                yield from ((str(where.relative_to(self.root)), one, other) for one, other in pairs)


def _coding(data: bytes) -> str:
    """The encoding that Python reads a file in."""
    try:
        return tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except SyntaxError:
        return "utf-8"


def _decoded(data: bytes) -> str:
    return data.decode(_coding(data), "replace")


def _unreadable(case: TestCase) -> str:
    """Why a test is no test; empty when it is one."""
    try:
        tree = ast.parse(case.test_code)
        ast.parse("\n".join(case.imports_needed))
    except (SyntaxError, ValueError) as error:
        return safe_line(str(error), 120)
    made = [each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    return "" if case.test_name in made else f"it has no function {case.test_name}"


def _body(case: TestCase) -> str:
    """What a test does, without its name and what is said of it."""
    code = case.test_code.replace(case.test_name, "test")
    return ast.dump(ast.parse(code))


def _lines(arcs: Arcs) -> set[tuple[str, int]]:
    return {(path, abs(line)) for path, _, line in arcs}


def _why(said: str) -> str:
    rows = [row for row in said.splitlines() if row.startswith(("E  ", "ERROR", "FAILED"))]
    return safe_line(rows[0].removeprefix("E").strip() if rows else said[-200:], 200)


def evidence(verdicts: Sequence[Verdict]) -> list[str]:
    """The verdicts, for those who look at the change."""
    kept = sum(each.kept for each in verdicts)
    first = f"{kept} of {len(verdicts)} tests pass, in any order, run code anew, and notice a fault"
    return [first, *(f"{each.name}: notices {each.shows[-1]}" for each in verdicts if each.kept)]


def shown(verdicts: Sequence[Verdict]) -> str:
    """The verdicts as Markdown."""
    rows = [
        f"- {'kept' if each.kept else f'dropped ({each.gate})'} `{each.name}`: "
        f"{'; '.join(each.shows) if each.kept else each.why}"
        for each in verdicts
    ]
    return report.titled("Tests", rows)
