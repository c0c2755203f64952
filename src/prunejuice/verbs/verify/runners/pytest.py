"""Run generated tests of Python with pytest, under coverage."""

import ast
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from prunejuice.code.testpaths import is_test_path
from prunejuice.environments.place import Place
from prunejuice.system.untrusted_files import read_bounded
from prunejuice.text import safe_line
from prunejuice.verbs.results import TestCase, TestGenerationResult
from prunejuice.verbs.verify import interpreter, pytest_outcome
from prunejuice.verbs.verify.interpreter import PythonInterpreter, PythonResult
from prunejuice.verbs.verify.runners.protocol import (
    MAX_REPORT_BYTES,
    Lines,
    Measurement,
    RunnerReport,
    SuiteMeasurement,
    find_unused_path,
    report_file,
)
from prunejuice.verbs.verify.runners.registry import RunnerRequest

_ASSERTION = re.compile(r"^E\s+(?:assert\b|AssertionError|Failed: DID NOT)", re.MULTILINE)
_MISSING_NAME = re.compile(
    r"^E\s+(?:AttributeError: |ImportError: cannot import name|ModuleNotFoundError: |NameError: )"
    r"|^E\s+NotImplementedError"
    r"|^E\s+TypeError: .*unexpected keyword argument",
    re.MULTILINE,
)
"""How a test fails for want of what it tests."""
_PLACE = re.compile(r"^(\S+\.py):\d+: ", re.MULTILINE)
_COVERAGE_SETTINGS = "[run]\ndynamic_context = test_function\n"
_GUIDANCE = (
    "Write pytest tests: each is an independent function, and `test_name` is its name. "
    "Import the tested code as users of the project import it."
)


def find_pytest(request: RunnerRequest) -> "Pytest":
    """Return the runner of Python.

    Raises:
        GateError: no interpreter has pytest and coverage.
        UsageError: no name is left for the file of the tests.
    """
    needs = ("pytest", "coverage")
    python = interpreter.find_python(request.place, request.environ, request.stop, *needs, tag=request.tag)
    return Pytest(python, tuple(request.sources), _test_file_path(request.place.root, request.sources[0]))


def _test_file_path(root: Path, source: str) -> str:
    """Return an unused path for the tests of a file, in the folder of the other tests."""
    folder = next((name for name in ("tests", "test") if (root / name).is_dir()), str(Path(source).parent))

    def name_file(ending: str) -> str:
        name = f"test_{Path(source).stem}{ending}.py"
        return name if folder == "." else f"{folder}/{name}"

    return find_unused_path(root, source, name_file)


class Pytest(NamedTuple):
    """Runs tests with an interpreter that has pytest and coverage; see `TestRunner`."""

    python: PythonInterpreter
    sources: tuple[str, ...]
    file: str
    guidance: str = _GUIDANCE

    def name_case(self, case: TestCase) -> TestCase:
        """Return the case: results of agents have names of functions."""
        return case

    def find_mistake(self, case: TestCase) -> str:
        """Return why a test does not parse or lacks its function; empty when it is valid."""
        try:
            tree = ast.parse(case.test_code)
            ast.parse("\n".join(case.imports_needed))
        except (SyntaxError, ValueError) as error:
            return safe_line(str(error), 120)
        functions = [
            node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        return "" if case.test_name in functions else f"it does not define {case.test_name}"

    def list_tests(self, code: str) -> list[str]:
        """Return the functions and classes that pytest would collect in some code."""
        try:
            body = ast.parse(code).body
        except (SyntaxError, ValueError):
            return []
        kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        names = [node.name for node in body if isinstance(node, kinds)]
        return [name for name in names if name.startswith(("test", "Test"))]

    def normalize(self, case: TestCase) -> str:
        """Return the syntax tree of a test as text, without its name, docstrings and names of variables."""
        tree = ast.parse(case.test_code.replace(case.test_name, "test"))
        names: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.setdefault(node.id, f"variable{len(names)}")
            if (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                and ast.get_docstring(node) is not None
            ):
                node.body = node.body[1:] or [ast.Pass()]
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                node.id = names.get(node.id, node.id)
        return ast.dump(tree)

    def render(self, result: TestGenerationResult) -> str:
        """Return the source of a file with all cases."""
        return result.to_test_file()

    def format_source(self, _place: Place, source: str) -> str:
        """Return the source as it is: projects use different formatters."""
        return source

    def measure_suite(self, place: Place, seconds: float) -> SuiteMeasurement:
        """Run all tests of the tree, and measure their jumps from line to line in the sources."""
        result = self._run_with_coverage(place, "--continue-on-collection-errors", seconds=seconds)
        return SuiteMeasurement(
            _suite_report(place, result), frozenset().union(*self._read_arcs(place).values())
        )

    def measure_tests(self, place: Place, names: Sequence[str], seconds: float) -> Measurement:
        """Run the tests of the file together under coverage."""
        result = self._run_with_coverage(place, self.file, seconds=seconds)
        lines = self._read_arcs(place)
        if len(names) == 1:  # also what its fixtures run, which is recorded for no test
            lines = {names[0]: frozenset().union(*lines.values())}
        return Measurement(RunnerReport(_read_failures(place), result.output_tail), lines)

    def run_tests(self, place: Place, names: Collection[str], seconds: float) -> RunnerReport:
        """Run tests of the file, in its order."""
        report = _report(place)
        report.unlink(missing_ok=True)
        words = (f"{self.file}::{name}" for name in names)
        result = self.python.run_pytest(place, f"--junitxml={report}", *words, seconds=seconds)
        return RunnerReport(_read_failures(place), result.output_tail)

    def run_suite(self, place: Place, seconds: float, *, stops_early: bool) -> RunnerReport:
        """Run all tests of the tree, or until the first failure."""
        report = _report(place)
        report.unlink(missing_ok=True)
        words = [f"--junitxml={report}", *(["-x"] if stops_early else [])]
        result = self.python.run_pytest(place, *words, seconds=seconds)
        return _suite_report(place, result)

    def is_assertion(self, failure: str) -> bool:
        """Return whether the text of a failure is that of an assertion of a test."""
        places = _PLACE.findall(failure)  # the last one is where the error was raised
        in_test = not places or is_test_path(places[-1]) or places[-1].endswith(("conftest.py", self.file))
        return bool(_ASSERTION.search(failure)) and in_test

    def is_missing_name(self, failure: str) -> bool:
        """Return whether a test failed since what it tests does not exist."""
        return bool(_MISSING_NAME.search(failure))

    def shorten(self, failure: str) -> str:
        """Return the line of a failure that says most, for a person."""
        rows = [row for row in failure.splitlines() if row.startswith(("E  ", "ERROR", "FAILED"))]
        return safe_line(rows[0].removeprefix("E").strip() if rows else failure[-200:], 200)

    def _run_with_coverage(self, place: Place, *words: str, seconds: float) -> PythonResult:
        data, report = _coverage_file(place), _report(place)
        for file in (data, report):
            file.unlink(missing_ok=True)
        # The settings of the project could omit the sources.
        settings = report_file(place, "coverage.ini")
        settings.write_text(_COVERAGE_SETTINGS)
        included = ",".join(str(place.seen / path) for path in self.sources)
        options = ("--branch", f"--data-file={data}", f"--include={included}")
        return self.python.run(
            place,
            *(
                "-m",
                "coverage",
                "run",
                *options,
                *self.python.pytest_options,
                f"--junitxml={report}",
                *words,
            ),
            seconds=seconds,
            COVERAGE_RCFILE=str(settings),
        )

    def _read_arcs(self, place: Place) -> dict[str, Lines]:
        """Return the recorded arcs by the function of the test that ran them, with relative paths."""
        result = self.python.run(place, str(interpreter.PROBES / "arcs.py"), str(_coverage_file(place)))
        recorded = json.loads(result.out) if result.code == 0 else {}
        return {name: frozenset(_relative_arcs(place, by_file)) for name, by_file in recorded.items()}


def _relative_arcs(place: Place, by_file: Mapping[str, Any]) -> Iterator[tuple[str, int, int]]:
    for path, pairs in by_file.items():
        absolute = Path(path)
        if absolute.is_relative_to(place.seen):
            yield from ((str(absolute.relative_to(place.seen)), start, end) for start, end in pairs)


def _coverage_file(place: Place) -> Path:
    return report_file(place, "coverage")


def _report(place: Place) -> Path:
    return report_file(place, pytest_outcome.REPORT_NAME)


def _suite_report(place: Place, result: PythonResult) -> RunnerReport:
    """Return the report of a run of all tests; it is no failure that there are none."""
    code = 0 if result.code == pytest_outcome.NO_TESTS_CODE else result.code
    return RunnerReport(_read_failures(place), result.output_tail, code)


def _read_failures(place: Place) -> Mapping[str, str]:
    """Return the failure of each reported test, empty if it passed, by its function."""
    return pytest_outcome.parse_failures(read_bounded(_report(place), MAX_REPORT_BYTES))
