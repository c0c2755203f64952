"""Run generated tests of JavaScript and TypeScript with node's own test runner, jest or vitest."""

import os
import re
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from prunejuice.code.grammar import list_tokens, parser_for
from prunejuice.code.languages import language_for_path
from prunejuice.code.testpaths import is_test_path
from prunejuice.environments.place import Place
from prunejuice.errors import GateError, MissingToolError
from prunejuice.system import process
from prunejuice.system.process import CapturedOutput, ProcessSpec
from prunejuice.system.untrusted_files import read_bounded, read_small_text
from prunejuice.text import safe_line
from prunejuice.verbs.results import TestCase, TestGenerationResult
from prunejuice.verbs.verify.runners import node_reports
from prunejuice.verbs.verify.runners.node_imports import join_imports
from prunejuice.verbs.verify.runners.node_reports import TEST_FILE
from prunejuice.verbs.verify.runners.node_script import NodeScript, find_test_script
from prunejuice.verbs.verify.runners.protocol import (
    MAX_REPORT_BYTES,
    Lines,
    Measurement,
    RunnerReport,
    SuiteMeasurement,
    describe_time,
    find_unused_path,
    measure_each,
    report_file,
)
from prunejuice.verbs.verify.runners.registry import RunnerRequest

_TEST_CALLS = frozenset(("test", "it"))
_GROUP_CALLS = _TEST_CALLS | {"describe", "suite", "context", "specify", "bench"}
_STRINGS = frozenset(("string", "template_string"))
_REGEX_CHARS = re.compile(r"([.*+?^${}()|\[\]\\/])")
_ESCAPED_QUOTE = re.compile(r"\\([\"'`\\])")
_ASSERTION = re.compile(r"AssertionError|ERR_ASSERTION|\bexpect\(|\bassert(?:\.\w+)*\(received")
_FRAME = re.compile(r"^\s+at .*?\(?((?:file://)?/[^\s()]+?):\d+:\d+\)?$", re.MULTILINE)
_MISSING_NAME = re.compile(
    r"\bis not a (?:function|constructor)\b|\bis not defined\b"
    r"|does not provide an export named|Cannot find module|ERR_MODULE_NOT_FOUND|has no exported member"
)
_REASON = re.compile(r"^.*(?:Error\b|expect\(|does not provide).*$", re.MULTILINE)
_WRAPPER = re.compile(r"\[?Error \[ERR_TEST_FAILURE\]: |\] \{$")
"""What node writes around the error of a test."""
_TERMINAL_CODE = re.compile(r"\x1b\[[0-9;]*m")
_LCOV_LINE = re.compile(r"DA:(\d+),(\d+)")
_BRACES = re.compile(r"\{([^{}]*)\}")
_MAX_OUTPUT_BYTES = 16 << 20
_REPORT, _LINES = "node-report", "lcov.info"
"""The files that the tools write; the name of the last one is that of LCOV."""
_MAX_LISTED = 20_000
_UNLISTED = frozenset(("node_modules", ".git", "dist", "build", "coverage", ".prj"))
_TEST_FOLDERS = frozenset(("__tests__", "test", "tests", "spec", "specs"))
_COVERAGE_PACKAGES = {"@vitest/coverage-v8": "v8", "@vitest/coverage-istanbul": "istanbul"}
_VERSION = re.compile(r"v(\d+)\.(\d+)")
_REPORTS_LINES = (20, 11)
_STRIPS_TYPES = (22, 18)
"""The first versions of node that report lines, and that run TypeScript."""


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
        problem = (
            f"the tests of {first} are run by `{safe_line(script, 100)}`, which codebot cannot measure"
        )
        raise GateError(problem, fix)
    if script.program != "node" and not _find_packaged(root, script.folder, f".bin/{script.program}"):
        raise GateError(
            f"the tests cannot be run: {script.program} is not installed", "install the packages"
        )
    version = _find_node_version(request)
    is_typed = first.endswith(("ts", "tsx"))
    if script.tool == "node" and is_typed and not script.has_loader and version < _STRIPS_TYPES:
        fix = "add a loader to the script `test`, such as `node --import tsx --test`, or use jest or vitest"
        raise GateError(f"node {version[0]} runs no TypeScript, so {first} cannot be tested", fix)
    own = [path for path in request.sources if PurePosixPath(path).is_relative_to(script.folder)]
    file = _test_file_path(root, PurePosixPath(first), script)
    return NodeTests(request._replace(sources=own), script, file, version)


def _find_node_version(request: RunnerRequest) -> tuple[int, int]:
    """Return the major and minor version of node.

    Raises:
        GateError: node is not installed.
    """
    try:
        program = process.require_program("node", request.environ.get("PATH"))
    except MissingToolError as error:
        raise GateError("the tests cannot be run: node is not installed", "install node") from error
    call = ProcessSpec([program, "--version"], "/", {"PATH": request.environ.get("PATH", "")}, 30)
    found = _VERSION.match(process.capture_output(call, 1000).stdout.decode("utf-8", "replace"))
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _find_packaged(root: Path, folder: str, name: str) -> str:
    """Return the path of something in `node_modules`, relative to the root; empty if it is missing."""
    folders = (PurePosixPath(folder), *PurePosixPath(folder).parents)
    paths = (parent / "node_modules" / name for parent in folders)
    return str(next((path for path in paths if os.path.lexists(root / path)), ""))


def _test_file_path(root: Path, source: PurePosixPath, script: NodeScript) -> str:
    """Return an unused path for the tests of a file: where those nearest to it are, or beside it."""
    tests = _list_test_files(root, script.folder)
    folder, word = source.parent, "test"
    if tests:
        nearest = max(
            tests, key=lambda path: len(os.path.commonpath([str(path.parent), str(source.parent)]))
        )
        word = TEST_FILE.fullmatch(nearest.name)[1]  # type: ignore[index]
        if nearest.parent != source.parent and _TEST_FOLDERS & {*nearest.parent.parts}:
            is_inside = nearest.parent.name == "__tests__"
            folder = source.parent / "__tests__" if is_inside else _outermost_tests(nearest.parent)
    else:
        package = read_small_text(root / script.folder / "package.json")
        word = "spec" if "spec" in package and ".test" not in package else "test"
        named = (PurePosixPath(script.folder, name) for name in ("test", "tests"))
        is_free = script.tool == "node" and not script.files
        folder = next((each for each in named if is_free and (root / each).is_dir()), folder)

    def name_file(ending: str) -> str:
        return str(folder / f"{source.stem}{ending}.{word}{source.suffix}")

    return find_unused_path(root, str(source), name_file, "-")


def _outermost_tests(folder: PurePosixPath) -> PurePosixPath:
    """Return the folder of tests that a folder is in, or itself."""
    outer = (each for each in reversed([folder, *folder.parents]) if each.name in _TEST_FOLDERS)
    return next(outer, folder)


def _list_test_files(root: Path, folder: str) -> list[PurePosixPath]:
    """Return the files of a package that are tests by their name, without those of its packages."""
    found, count = [], 0
    for parent, folders, names in os.walk(root / folder):
        folders[:] = sorted(name for name in folders if name not in _UNLISTED)
        found += [
            PurePosixPath(Path(parent, name).relative_to(root))
            for name in names
            if TEST_FILE.fullmatch(name)
        ]
        count += len(names)
        if count > _MAX_LISTED:
            break
    return sorted(found)


class NodeTests(NamedTuple):
    """Runs tests as the script of a package does; see `TestRunner`."""

    request: RunnerRequest
    script: NodeScript
    file: str
    version: tuple[int, int] = (0, 0)

    @property
    def sources(self) -> Sequence[str]:
        """The files under test: those of one package."""
        return self.request.sources

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

    def list_tests(self, code: str) -> list[str]:
        """Return the tests and groups in some code, in any form, such as `it.skip` or `describe`."""
        root = parser_for(self.language).parse(code.encode("utf-8", "replace")).root_node
        found, waiting = [], [root]
        while waiting:
            node = waiting.pop()
            waiting += reversed(node.named_children)
            if node.type == "call_expression":
                name = _text(node.child_by_field_name("function"))
                if re.split(r"[.(\[`]", name)[0] in _GROUP_CALLS:
                    found.append(_title_of_call(node) if name in _TEST_CALLS else name)
        return found

    def normalize(self, case: TestCase) -> str:
        """Return the code of a test without its title, comments and white space."""
        left_out = {";", *(f"{quote}{case.test_name}{quote}" for quote in "'\"`")}
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

    def measure_suite(self, place: Place, seconds: float) -> SuiteMeasurement:
        """Run all tests of the package, and measure the lines of the sources that they run."""
        measured = self._can_measure()
        report = self._run_suite(place, seconds, measured=measured)
        return SuiteMeasurement(report, self._read_lines(place)[0] if measured else None)

    def measure_tests(self, place: Place, names: Sequence[str], seconds: float) -> Measurement:
        """Run tests together, and measure those that pass alone.

        Lines are unknown if a test that passes has run none of a source, by what the tool reports.
        """
        if not self._can_measure():
            return Measurement(self.run_tests(place, names, seconds), None)
        known = []

        def measure_test(name: str) -> tuple[RunnerReport, Lines]:
            report = self._run_named(place, [name], seconds, measured=True)
            lines, is_known = self._read_lines(place)
            known.append(is_known or bool(report.failures.get(name, "it ended")))
            return report, lines

        measured = measure_each(names, lambda names: self.run_tests(place, names, seconds), measure_test)
        return measured if any(known) or not known else measured._replace(lines=None)

    def run_tests(self, place: Place, names: Collection[str], seconds: float) -> RunnerReport:
        """Run tests of the file, in its order."""
        return self._run_named(place, names, seconds)

    def run_suite(self, place: Place, seconds: float, *, stops_early: bool) -> RunnerReport:  # noqa: ARG002
        """Run all tests of the package; these tools do not stop early in the same way."""
        return self._run_suite(place, seconds)

    def is_assertion(self, failure: str) -> bool:
        """Return whether the text of a failure is that of an assertion, raised in a test."""
        frames = [frame for frame in _FRAME.findall(failure) if "/node_modules/" not in frame]
        in_test = not frames or is_test_path(frames[0].removeprefix("file://"))
        return bool(_ASSERTION.search(failure)) and in_test

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
        # A loader translates sources, and node counts the lines of what it made.
        return self.version >= _REPORTS_LINES and not self.script.has_loader

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
        words = [word for pattern in self.script.files for word in _expand_braces(pattern)]
        patterns = [word.removeprefix("./") for word in words]
        safe = (each for each in patterns if each[:1] not in {"/", "!"} and ".." not in each)
        found = [str(path.relative_to(folder)) for each in safe for path in sorted(folder.glob(each))]
        own = [self._relative(self.file)] if found and (place.root / self.file).is_file() else []
        return list(dict.fromkeys([*found, *own])) or list(self.script.files)

    def _run_suite(self, place: Place, seconds: float, *, measured: bool = False) -> RunnerReport:
        result = self._run(place, self._suite_words(place), seconds, measured=measured)
        return RunnerReport(self._read_failures(place)[0], "", result.code)

    def _run_named(
        self, place: Place, names: Collection[str], seconds: float, *, measured: bool = False
    ) -> RunnerReport:
        pattern = f"^(?:{'|'.join(map(_escape, names))})$"
        select = {
            "node": [f"--test-name-pattern={pattern}", self._relative(self.file)],
            "jest": ["-t", pattern, "--runTestsByPath", self._relative(self.file)],
            "vitest": ["-t", pattern, self._relative(self.file)],
        }[self.script.tool]
        began = time.monotonic()
        result = self._run(place, select, seconds, measured=measured)
        failures, problems = self._read_failures(place)
        problem = describe_time(seconds, began) + problems
        output = problem + (result.stdout + b"\n" + result.stderr).decode("utf-8", "replace")
        named = {name: text for name, text in failures.items() if name in names}
        return RunnerReport(named, _TERMINAL_CODE.sub("", output).strip()[:4000], result.code)

    def _run(
        self, place: Place, select: Sequence[str], seconds: float, *, measured: bool = False
    ) -> CapturedOutput:
        for name in (_REPORT, _LINES):
            report_file(place, name).unlink(missing_ok=True)
        words = self._words(place, measured=measured)
        own = {"CI": "true", "NO_COLOR": "1", "FORCE_COLOR": "0", **self.script.variables}
        env = {**place.variables(self.request.environ), **own}
        call = ProcessSpec(
            [*words, *select], place.root / self.script.folder, env, seconds, tag=self.request.tag
        )
        return place.capture_output(call, _MAX_OUTPUT_BYTES, self.request.stop)

    def _words(self, place: Place, *, measured: bool) -> list[str]:
        """Return the program with its options, without the selected tests."""
        packaged = self._find_packaged(f".bin/{self.script.program}")
        program = str(place.seen / packaged) if packaged else self.script.program
        report, lines = report_file(place, _REPORT), report_file(place, _LINES)
        if self.script.tool == "node":
            options = self._node_options(report, lines if measured else None)
        elif self.script.tool == "jest":
            options = self._jest_options(report, lines if measured else None)
        else:
            options = self._vitest_options(report, lines if measured else None)
        return [program, *options]

    def _node_options(self, report: Path, lines: Path | None) -> list[str]:
        reporters = {"spec": "stdout", "junit": report, **({"lcov": lines} if lines else {})}
        options = [
            word
            for name, file in reporters.items()
            for word in (f"--test-reporter={name}", f"--test-reporter-destination={file}")
        ]
        coverage = ["--experimental-test-coverage"] if lines else []
        return [*self.script.options, "--test", *coverage, *options]

    def _jest_options(self, report: Path, lines: Path | None) -> list[str]:
        options = ["--ci", "--forceExit", "--passWithNoTests", "--json", f"--outputFile={report}"]
        if lines is None:
            return [*self.script.options, *options, "--coverage=false"]
        coverage = ["--coverage", "--coverageReporters=lcovonly", f"--coverageDirectory={lines.parent}"]
        # By its name alone: paths would be relative to the rootDir of the configuration.
        sources = (f"--collectCoverageFrom=**/{Path(path).name}" for path in self.sources)
        return [*self.script.options, *options, *coverage, "--coverageThreshold={}", *sources]

    def _vitest_options(self, report: Path, lines: Path | None) -> list[str]:
        options = ["--passWithNoTests", "--reporter=json", f"--outputFile={report}"]
        if lines is None:
            return ["run", *self.script.options, *options, "--coverage.enabled=false"]
        coverage = ["--coverage.enabled", f"--coverage.provider={self._coverage_provider()}"]
        coverage += ["--coverage.reporter=lcovonly", f"--coverage.reportsDirectory={lines.parent}"]
        sources = (f"--coverage.include={self._relative(path)}" for path in self.sources)
        return ["run", *self.script.options, *options, *coverage, *sources]

    def _read_failures(self, place: Place) -> tuple[Mapping[str, str], str]:
        """Return the failure of each reported test, empty if it passed, and the errors of whole files."""
        data = read_bounded(report_file(place, _REPORT), MAX_REPORT_BYTES)
        found, problems = (
            node_reports.parse_junit(data)
            if self.script.tool == "node"
            else node_reports.parse_results(data)
        )
        return {name: _TERMINAL_CODE.sub("", text) for name, text in found.items()}, problems

    def _read_lines(self, place: Place) -> tuple[Lines, bool]:
        """Return the executed lines of the sources, and whether the tool has reported any source."""
        text = read_bounded(report_file(place, _LINES), MAX_REPORT_BYTES).decode("utf-8", "replace")
        lines: set[tuple[str, int, int]] = set()
        is_known = False
        for record in text.split("end_of_record"):
            name = next((line[3:] for line in record.splitlines() if line.startswith("SF:")), "")
            path = self._find_source(place, name)
            is_known |= bool(path)
            executed = (int(line) for line, count in _LCOV_LINE.findall(record) if int(count))
            lines |= {(path, 0, line) for line in executed if path}
        return frozenset(lines), is_known

    def _find_source(self, place: Place, name: str) -> str:
        """Return the source that a tool names, relative to a folder of its own; empty if there is none."""
        path = os.path.relpath(place.seen / self.script.folder / name, place.seen)
        if path in self.sources:
            return path
        ends = [each for each in self.sources if name and each.endswith(f"/{name}")]
        return ends[0] if len(ends) == 1 else ""


def _escape(name: str) -> str:
    return _REGEX_CHARS.sub(r"\\\1", name)


def _expand_braces(pattern: str) -> list[str]:
    """Return the patterns that a shell makes of one with braces."""
    found = _BRACES.search(pattern)
    if not found:
        return [pattern]
    words = (pattern[: found.start()] + word + pattern[found.end() :] for word in found[1].split(","))
    return [each for word in words for each in _expand_braces(word)]


def _list_titles(language: str, code: str) -> list[str]:
    """Return the titles of the tests outside of any group, if they are plain strings."""
    root = parser_for(language).parse(code.encode("utf-8", "replace")).root_node
    statements = (child for child in root.named_children if child.type == "expression_statement")
    return [title for each in statements if (title := _title_of_call(each.named_children[0]))]


def _title_of_call(call: Any) -> str:
    if call.type in {"await_expression", "unary_expression"}:  # await test(…), void test(…)
        call = call.named_children[0]
    function, arguments = call.child_by_field_name("function"), call.child_by_field_name("arguments")
    if function is None or arguments is None or _text(function) not in _TEST_CALLS:
        return ""
    title = next(iter(arguments.named_children), None)
    if title is None or title.type not in _STRINGS:
        return ""
    text = _ESCAPED_QUOTE.sub(r"\1", _text(title)[1:-1])
    return "" if "\\" in text or "${" in text or "\n" in text else text


def _text(node: Any) -> str:
    return str(node.text.decode("utf-8", "replace"))
