"""Run generated tests of JavaScript and TypeScript with node's own test runner, jest or vitest."""

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from prunejuice.code.grammar import list_tokens, parser_for
from prunejuice.code.languages import language_for_path
from prunejuice.environments.place import Place
from prunejuice.errors import GateError, MissingToolError, UsageError
from prunejuice.system import process
from prunejuice.system.process import CapturedOutput, ProcessSpec
from prunejuice.text import safe_line
from prunejuice.verbs.results import TestCase, TestGenerationResult
from prunejuice.verbs.verify import pytest_outcome
from prunejuice.verbs.verify.runners.node_imports import join_imports
from prunejuice.verbs.verify.runners.node_script import NodeScript, find_test_script
from prunejuice.verbs.verify.runners.protocol import Lines, Measurement, RunnerReport, measure_each
from prunejuice.verbs.verify.runners.registry import RunnerRequest

_TEST_CALLS = frozenset(("test", "it"))
_STRINGS = frozenset(("string", "template_string"))
_REGEX_CHARS = re.compile(r"([.*+?^${}()|\[\]\\/])")
_ASSERTION = re.compile(r"AssertionError|ERR_ASSERTION|\bexpect\(|\bassert(?:\.\w+)*\(received")
_MISSING_NAME = re.compile(
    r"\bis not a (?:function|constructor)\b|\bis not defined\b"
    r"|does not provide an export named|Cannot find module|ERR_MODULE_NOT_FOUND|has no exported member"
)
_REASON = re.compile(r"^.*(?:Error\b|expect\().*$", re.MULTILINE)
_WRAPPER = re.compile(r"\[?Error \[ERR_TEST_FAILURE\]: |\] \{$")
"""What node writes around the error of a test."""
_TERMINAL_CODE = re.compile(r"\x1b\[[0-9;]*m")
_LCOV_LINE = re.compile(r"DA:(\d+),(\d+)")
_MAX_OUTPUT_BYTES = 16 << 20
_MAX_REPORT_BYTES = 64 << 20
_MAX_FILES = 99
_COVERAGE_PACKAGES = {"@vitest/coverage-v8": "v8", "@vitest/coverage-istanbul": "istanbul"}


def find_node_runner(request: RunnerRequest) -> "NodeTests":
    """Return the runner of the package that the first source belongs to, for its sources there.

    Raises:
        GateError: the program that runs its tests is missing, or is one that is not known.
        UsageError: no name is left for the file of the tests.
    """
    root, first = request.place.root, request.sources[0]
    script = find_test_script(root, first)
    if isinstance(script, str):
        fix = "use `codebot implement --check COMMAND`, or a script `test` of node --test, jest or vitest"
        raise GateError(f"the tests of {first} are run by {script}, which codebot cannot measure", fix)
    if script.tool != "node" and not _find_packaged(root, script.folder, f".bin/{script.program}"):
        raise GateError(
            f"the tests cannot be run: {script.program} is not installed", "install the packages"
        )
    try:
        process.require_program("node", request.environ.get("PATH"))
    except MissingToolError as error:
        raise GateError("the tests cannot be run: node is not installed", "install node") from error
    own = [path for path in request.sources if PurePosixPath(path).is_relative_to(script.folder)]
    file = _test_file_path(root, PurePosixPath(first), script.folder)
    return NodeTests(request._replace(sources=own), script, file)


def _find_packaged(root: Path, folder: str, name: str) -> str:
    """Return the path of something in `node_modules`, relative to the root; empty if it is missing."""
    folders = (PurePosixPath(folder), *PurePosixPath(folder).parents)
    paths = (parent / "node_modules" / name for parent in folders)
    return str(next((path for path in paths if os.path.lexists(root / path)), ""))


def _test_file_path(root: Path, source: PurePosixPath, package: str) -> str:
    """Return an unused path for the tests of a file: where those of the package are, or beside it."""
    own = (source.parent / "__tests__", *(PurePosixPath(package, name) for name in ("test", "tests")))
    folder = next((each for each in own if (root / each).is_dir()), source.parent)
    word = "spec" if any((root / folder).glob("*.spec.*")) else "test"
    for number in range(1, _MAX_FILES + 1):
        name = f"{source.stem}{'' if number == 1 else f'-{number}'}.{word}{source.suffix}"
        if not (root / folder / name).exists():
            return str(folder / name)
    raise UsageError(
        f"{folder} has {_MAX_FILES} test files for {source.name} already", "merge some of them"
    )


class NodeTests(NamedTuple):
    """Runs tests as the script of a package does; see `TestRunner`."""

    request: RunnerRequest
    script: NodeScript
    file: str

    @property
    def guidance(self) -> str:
        """What an agent must know to write tests for this runner."""
        tool = "node's own test runner (node:test)" if self.script.tool == "node" else self.script.tool
        return (
            f"Write tests for {self.file}, which is run by {tool}: `test_code` is one call "
            "`test(TITLE, …)` outside of any group, and `test_name` is its title, a plain string; "
            "`imports_needed` are the complete statements for all that it uses, with paths as seen from "
            f"{self.file}."
        )

    @property
    def language(self) -> str:
        """The language of the file of the tests."""
        return language_for_path(self.file)

    def name_case(self, case: TestCase) -> TestCase:
        """Return a case with the title of its test."""
        titles = _list_titles(self.language, case.test_code)
        return case.model_copy(update={"test_name": titles[0]}) if titles else case

    def find_mistake(self, case: TestCase) -> str:
        """Return why a test cannot be run: it does not parse, or is not one call outside of any group."""
        parser = parser_for(self.language)
        if parser.parse(case.test_code.encode("utf-8", "replace")).root_node.has_error:
            return "it does not parse"
        count = len(_list_titles(self.language, case.test_code))
        return (
            "" if count == 1 else f"it has {count} calls of test() with a plain title outside of any group"
        )

    def normalize(self, case: TestCase) -> str:
        """Return the code of a test without its title, comments and white space."""
        left_out = frozenset((case.test_name, ";"))
        return " ".join(each for each in list_tokens(self.language, case.test_code) if each not in left_out)

    def render(self, result: TestGenerationResult) -> str:
        """Return the source of a file with all cases, each name imported once."""
        imports = join_imports(line for case in result.test_cases for line in case.imports_needed)
        cases = (case.test_code.strip("\n") for case in result.test_cases)
        head = "\n".join(imports)
        parts = [head, result.setup_code, *result.additional_fixtures, *cases, result.teardown_code]
        return "\n\n".join(part.strip("\n") for part in parts if part and part.strip()) + "\n"

    def format_source(self, _place: Place, source: str) -> str:
        """Return the source as it is: projects use different formatters."""
        return source

    def measure_suite(self, place: Place, seconds: float) -> Lines | None:
        """Return the lines of the sources that the tests of the package run; None if unknown."""
        if not self._can_measure():
            return None
        self._run(place, self._suite_words(place), seconds, measured=True)
        return self._read_lines(place)

    def measure_tests(self, place: Place, names: Sequence[str], seconds: float) -> Measurement:
        """Run tests together, and those that pass alone, since coverage is reported for whole runs."""
        if not self._can_measure():
            return Measurement(self.run_tests(place, names, seconds), None)

        def measure_test(name: str) -> tuple[RunnerReport, Lines]:
            report = self._run_named(place, [name], seconds, measured=True)
            return report, self._read_lines(place)

        return measure_each(names, lambda names: self.run_tests(place, names, seconds), measure_test)

    def run_tests(self, place: Place, names: Collection[str], seconds: float) -> RunnerReport:
        """Run tests of the file, in its order."""
        return self._run_named(place, names, seconds)

    def passes_suite(self, place: Place, seconds: float) -> bool:
        """Return whether all tests of the package pass."""
        return self._run(place, self._suite_words(place), seconds).code == 0

    def is_assertion(self, failure: str) -> bool:
        """Return whether the text of a failure is that of an assertion."""
        return bool(_ASSERTION.search(failure))

    def is_missing_name(self, failure: str) -> bool:
        """Return whether a test failed since what it tests does not exist."""
        return bool(_MISSING_NAME.search(failure))

    def shorten(self, failure: str) -> str:
        """Return the line of a failure that says most, for a person."""
        found = _REASON.search(_TERMINAL_CODE.sub("", failure))
        return safe_line(_WRAPPER.sub("", found[0] if found else failure[-200:]).strip(), 200)

    def _can_measure(self) -> bool:
        """Return whether the tool reports the lines of the sources as they are written."""
        if self.script.tool == "vitest":
            return bool(self._coverage_provider())
        if self.script.tool == "jest":
            return True
        return not self.script.has_loader and all(
            path.endswith((".js", ".mjs", ".cjs")) for path in self.request.sources
        )

    def _find_packaged(self, name: str) -> str:
        # A copy that is seen at the path of the tree does not hold its packages.
        return _find_packaged(self.request.place.root, self.script.folder, name)

    def _coverage_provider(self) -> str:
        names = (name for name in _COVERAGE_PACKAGES if self._find_packaged(name))
        return _COVERAGE_PACKAGES.get(next(names, ""), "")

    def _relative(self, path: str) -> str:
        """Return a path as seen from the folder of the package."""
        return os.path.relpath(path, self.script.folder)

    def _suite_words(self, place: Place) -> list[str]:
        """Return the arguments that run all tests, with the file of ours if it is there."""
        folder = place.root / self.script.folder
        patterns = [pattern.removeprefix("./") for pattern in self.script.files]
        safe = (pattern for pattern in patterns if not Path(pattern).is_absolute() and ".." not in pattern)
        found = [str(path.relative_to(folder)) for pattern in safe for path in sorted(folder.glob(pattern))]
        own = [self._relative(self.file)] if found and (place.root / self.file).is_file() else []
        return list(dict.fromkeys([*found, *own]))

    def _run_named(
        self, place: Place, names: Collection[str], seconds: float, *, measured: bool = False
    ) -> RunnerReport:
        pattern = f"^(?:{'|'.join(map(_escape, names))})$"
        select = {
            "node": [f"--test-name-pattern={pattern}", self._relative(self.file)],
            "jest": ["-t", pattern, "--runTestsByPath", self._relative(self.file)],
            "vitest": ["-t", pattern, self._relative(self.file)],
        }[self.script.tool]
        result = self._run(place, select, seconds, measured=measured)
        output = f"{result.stdout.decode('utf-8', 'replace')}\n{result.stderr.decode('utf-8', 'replace')}"
        return RunnerReport(self._read_failures(place, names), output.strip()[-4000:])

    def _run(
        self, place: Place, select: Sequence[str], seconds: float, *, measured: bool = False
    ) -> CapturedOutput:
        for name in ("node-report", "lcov.info"):
            (_state(place) / name).unlink(missing_ok=True)
        words = self._words(place, measured=measured)
        own = {"CI": "true", "NO_COLOR": "1", "FORCE_COLOR": "0", **self.script.variables}
        env = {**place.variables(self.request.environ), **own}
        call = ProcessSpec(
            [*words, *select], place.root / self.script.folder, env, seconds, tag=self.request.tag
        )
        return place.capture_output(call, _MAX_OUTPUT_BYTES, self.request.stop)

    def _words(self, place: Place, *, measured: bool) -> list[str]:
        """Return the program with its options, without the selected tests."""
        script, report, folder = self.script, _state(place) / "node-report", _state(place)
        packaged = self._find_packaged(f".bin/{script.program}")
        program = str(place.seen / packaged) if packaged else script.program
        sources = [self._relative(path) for path in self.request.sources]
        if script.tool == "node":
            reporters = {"junit": report, **({"lcov": folder / "lcov.info"} if measured else {})}
            options = [
                word
                for name, file in reporters.items()
                for word in (f"--test-reporter={name}", f"--test-reporter-destination={file}")
            ]
            coverage = ["--experimental-test-coverage"] if measured else []
            return [program, *script.options, "--test", *coverage, *options]
        if script.tool == "jest":
            coverage = ["--coverage", "--coverageReporters=lcovonly", f"--coverageDirectory={folder}"]
            coverage += ["--coverageThreshold={}", *(f"--collectCoverageFrom={path}" for path in sources)]
            run = [
                program,
                *script.options,
                "--ci",
                "--passWithNoTests",
                "--json",
                f"--outputFile={report}",
            ]
            return [*run, *(coverage if measured else ["--coverage=false"])]
        coverage = ["--coverage.enabled", f"--coverage.provider={self._coverage_provider()}"]
        coverage += ["--coverage.reporter=lcovonly", f"--coverage.reportsDirectory={folder}"]
        coverage += [f"--coverage.include={path}" for path in sources]
        run = [program, "run", *script.options, "--passWithNoTests"]
        run += ["--reporter=json", f"--outputFile={report}"]
        return [*run, *(coverage if measured else ["--coverage.enabled=false"])]

    def _read_failures(self, place: Place, names: Collection[str]) -> Mapping[str, str]:
        """Return the failures of the tests with these names that were run."""
        data = _read_report(_state(place) / "node-report")
        found = _parse_junit(data) if self.script.tool == "node" else _parse_results(data)
        return {name: _TERMINAL_CODE.sub("", text) for name, text in found.items() if name in names}

    def _read_lines(self, place: Place) -> Lines:
        """Return the executed lines of the sources."""
        text = _read_report(_state(place) / "lcov.info").decode("utf-8", "replace")
        return frozenset(self._lines_of_records(place, text))

    def _lines_of_records(self, place: Place, text: str) -> Iterator[tuple[str, int, int]]:
        for record in text.split("end_of_record"):
            name = next((line[3:] for line in record.splitlines() if line.startswith("SF:")), "")
            path = os.path.relpath(place.seen / self.script.folder / name, place.seen)
            if path in self.request.sources:
                yield from (
                    (path, 0, int(line)) for line, count in _LCOV_LINE.findall(record) if int(count)
                )


def _state(place: Place) -> Path:
    return place.scratch / "state"


def _read_report(file: Path) -> bytes:
    """Return the content of a report; empty if there is none, or one that is too large."""
    if file.is_symlink() or not file.is_file() or file.stat().st_size > _MAX_REPORT_BYTES:
        return b""
    return file.read_bytes()


def _escape(name: str) -> str:
    return _REGEX_CHARS.sub(r"\\\1", name)


def _parse_junit(data: bytes) -> Mapping[str, str]:
    """Return the failure of each test that ran in a report of node, empty if it passed."""
    words = pytest_outcome.parse_report(data)
    skipped = {name.removeprefix("test::") for name, word in words.items() if word == "SKIPPED"}
    found = pytest_outcome.parse_failures(data, joins_parameters=False)
    return {name: text for name, text in found.items() if name not in skipped}


def _list_titles(language: str, code: str) -> list[str]:
    """Return the titles of the tests outside of any group, if they are plain strings."""
    root = parser_for(language).parse(code.encode("utf-8", "replace")).root_node
    calls = (
        child.named_children[0] for child in root.named_children if child.type == "expression_statement"
    )
    return [title for call in calls if (title := _title_of_call(call))]


def _title_of_call(call: Any) -> str:
    function, arguments = call.child_by_field_name("function"), call.child_by_field_name("arguments")
    if function is None or arguments is None or function.text.decode() not in _TEST_CALLS:
        return ""
    title = next(iter(arguments.named_children), None)
    if title is None or title.type not in _STRINGS:
        return ""
    text = str(title.text.decode("utf-8", "replace"))[1:-1]
    return "" if "\\" in text or "${" in text or "\n" in text else text


def _parse_results(data: bytes) -> Mapping[str, str]:
    """Return the failure of each test in a result of jest or vitest as JSON, empty if it passed."""
    try:
        result = json.loads(data)
        cases = [case for file in result["testResults"] for case in file["assertionResults"]]
        return {
            str(case["title"]): "\n".join(map(str, case.get("failureMessages") or ["it failed"]))
            if case["status"] == "failed"
            else ""
            for case in cases
            if case["status"] in {"passed", "failed"} and not case.get("ancestorTitles")
        }
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return {}
