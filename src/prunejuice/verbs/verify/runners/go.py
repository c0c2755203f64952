"""Run generated tests of Go with `go test`, with its own coverage."""

import json
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from prunejuice.code.grammar import list_tokens, parser_for
from prunejuice.environments.place import Place
from prunejuice.errors import GateError, MissingToolError
from prunejuice.system import process
from prunejuice.system.process import CapturedOutput, ProcessSpec
from prunejuice.system.untrusted_files import read_small_text
from prunejuice.text import safe_line
from prunejuice.verbs.results import TestCase, TestGenerationResult
from prunejuice.verbs.verify.runners.protocol import (
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

_MODULE = re.compile(r'^module\s+"?([^\s"]+)', re.MULTILINE)
_PACKAGE = re.compile(r"^package\s+(\w+)", re.MULTILINE)
_IMPORT = re.compile(r'(?:\bimport\s+)?(?:(?!import\b)(\w+|\.)[ \t]+)?"([^"\n]+)"')
_VERSION = re.compile(r"v[0-9]+")
_REPORTED_LINE = re.compile(r"^\s*[\w.-]+_test\.go:\d+: ?(.*)", re.MULTILINE)
_PANIC = re.compile(r"^\s*panic: ", re.MULTILINE)
_TEST = re.compile(r"(?:Test|Example|Benchmark|Fuzz)(?![a-z])")
_MISSING_NAME = re.compile(
    r"undefined: |has no field or method|not declared by package|unknown field|too many arguments in call"
)
_BLOCK = re.compile(r"^(.+):(\d+)\.(\d+),(\d+)\.(\d+) \d+ (\d+)$", re.MULTILINE)
_ENDS = {"pass": "", "skip": "the test is skipped"}
_MAX_OUTPUT_BYTES = 16 << 20
_COLUMNS = 10_000


def find_go_runner(request: RunnerRequest) -> "GoTest":
    """Return the runner of Go.

    Raises:
        GateError: go is not installed, or the sources belong to no module.
        UsageError: no name is left for the file of the tests.
    """
    root, source = request.place.root, PurePosixPath(request.sources[0])
    folder = _find_module_folder(root, source)
    module = _MODULE.search(read_small_text(root / folder / "go.mod")) if folder else None
    if folder is None or module is None:
        raise GateError(
            f"{source} belongs to no Go module", "run `go mod init NAME` where the module begins"
        )
    try:
        program = process.require_program("go", request.environ.get("PATH"))
    except MissingToolError as error:
        raise GateError("the tests cannot be run: go is not installed", "install go") from error
    own = [path for path in request.sources if _find_module_folder(root, PurePosixPath(path)) == folder]
    package = _read_package(read_small_text(root / source)) or source.parent.name
    beside = (root / source.parent).glob("*_test.go")
    taken = {name for file in beside for name in _list_functions(_strip_package(read_small_text(file)))}

    def name_file(ending: str) -> str:
        return str(source.with_name(f"{source.stem}{ending}_test.go"))

    file = find_unused_path(root, str(source), name_file)
    own_request = request._replace(sources=own)
    return GoTest(program, own_request, file, str(folder), module[1], package, frozenset(taken))


def _find_module_folder(root: Path, source: PurePosixPath) -> PurePosixPath | None:
    return next((folder for folder in source.parents if (root / folder / "go.mod").is_file()), None)


class GoTest(NamedTuple):
    """Runs tests with `go test` in the module at `folder`; see `TestRunner`."""

    program: str
    request: RunnerRequest
    file: str
    folder: str
    module: str
    package: str
    taken: frozenset[str] = frozenset()
    """Names of functions in other test files of the package."""

    @property
    def sources(self) -> Sequence[str]:
        """The files under test: those of one module."""
        return self.request.sources

    @property
    def guidance(self) -> str:
        """What an agent must know to write tests for this runner."""
        return (
            f"Write tests of Go for {self.file}, in the package {self.package}: `test_code` is a function "
            "`TestName(t *testing.T)`, with its helpers before it, that reports each difference with "
            "t.Error or t.Fatal; `imports_needed` are the import statements; there is no clause `package`."
        )

    def name_case(self, case: TestCase) -> TestCase:
        """Return a case with the name of its function, which is another one if the package has it."""
        name = next((name for name in _list_functions(case.test_code) if _TEST.match(name)), "")
        if not name:
            return case
        free = next(new for number in range(1, 100) if (new := _numbered(name, number)) not in self.taken)
        code = re.sub(rf"\b{name}\b", free, case.test_code)
        return case.model_copy(update={"test_name": free, "test_code": code})

    def find_mistake(self, case: TestCase) -> str:
        """Return why a test does not parse or lacks its function; empty when it is valid."""
        root = parser_for("go").parse(f"package x\n{case.test_code}\n".encode("utf-8", "replace")).root_node
        if root.has_error:
            return "it does not parse"
        if any(child.type == "import_declaration" for child in root.named_children):
            return "its imports are in `test_code` instead of `imports_needed`"
        is_test = case.test_name.startswith("Test") and case.test_name in _list_functions(case.test_code)
        return "" if is_test else "it does not define a function whose name begins with Test"

    def list_tests(self, code: str) -> list[str]:
        """Return the functions that `go test` would run in some code."""
        return [name for name in _list_functions(code) if _TEST.match(name) or name in {"TestMain", "init"}]

    def normalize(self, case: TestCase) -> str:
        """Return the code of a test without its name, comments and white space."""
        tokens = list_tokens("go", case.test_code)
        return " ".join(each for each in tokens if each != case.test_name)

    def render(self, result: TestGenerationResult) -> str:
        """Return the source of a file with all cases, and the imports that they use."""
        cases = (case.test_code.strip("\n") for case in result.test_cases)
        parts = [result.setup_code, *result.additional_fixtures, *cases, result.teardown_code]
        body = "\n\n".join(part.strip("\n") for part in parts if part and part.strip())
        words = " ".join(list_tokens("go", body))
        given = '"testing"\n' + "\n".join(
            line for case in result.test_cases for line in case.imports_needed
        )
        imports = sorted({
            (path, name) for name, path in _IMPORT.findall(given) if _is_used(name, path, words)
        })
        rows = "".join(f'\t{f"{name} " if name else ""}"{path}"\n' for path, name in imports)
        return f"package {self.package}\n\nimport (\n{rows})\n\n{body}\n"

    def format_source(self, place: Place, source: str) -> str:
        """Return the source as gofmt writes it; unchanged where gofmt is missing."""
        try:
            program = process.require_program("gofmt", self._variables(place).get("PATH"))
        except MissingToolError:
            return source
        call = ProcessSpec(
            [program], place.root, self._variables(place), 30, stdin=source.encode("utf-8", "replace")
        )
        result = place.capture_output(call, _MAX_OUTPUT_BYTES, self.request.stop)
        return result.stdout.decode("utf-8", "replace") if result.code == 0 else source

    def measure_suite(self, place: Place, seconds: float) -> SuiteMeasurement:
        """Run all tests of the module, and measure the lines of the sources that they run."""
        result = self._run(place, *self._coverage_options(place), "./...", seconds=seconds)
        return SuiteMeasurement(_parse_events(result, by_package=True), self._read_lines(place))

    def measure_tests(self, place: Place, names: Sequence[str], seconds: float) -> Measurement:
        """Run tests together, and those that pass alone, since coverage is reported for whole runs."""

        def measure_test(name: str) -> tuple[RunnerReport, Lines]:
            report = self._run_named(place, [name], seconds, *self._coverage_options(place))
            return report, self._read_lines(place)

        return measure_each(names, lambda names: self.run_tests(place, names, seconds), measure_test)

    def run_tests(self, place: Place, names: Collection[str], seconds: float) -> RunnerReport:
        """Run tests of the file, in its order."""
        return self._run_named(place, names, seconds)

    def run_suite(self, place: Place, seconds: float, *, stops_early: bool) -> RunnerReport:
        """Run all tests of the module, or those of a package until its first failure."""
        result = self._run(place, *(["-failfast"] if stops_early else []), "./...", seconds=seconds)
        return _parse_events(result, by_package=True)

    def is_assertion(self, failure: str) -> bool:
        """Return whether a test reported its failure itself, rather than ending in a panic."""
        return bool(_REPORTED_LINE.search(failure)) and not _PANIC.search(failure)

    def is_missing_name(self, failure: str) -> bool:
        """Return whether a test failed since what it tests does not exist."""
        return bool(_MISSING_NAME.search(failure))

    def shorten(self, failure: str) -> str:
        """Return the line of a failure that says most, for a person."""
        reported = _REPORTED_LINE.search(failure)
        compiled = re.search(r"^.*_test\.go:\d+:\d+: (.*)", failure, re.MULTILINE)
        found = reported or compiled
        return safe_line(found[1] if found else failure.strip()[-200:], 200)

    def _variables(self, place: Place) -> dict[str, str]:
        return place.variables(self.request.environ)

    def _run(self, place: Place, *words: str, seconds: float) -> CapturedOutput:
        argv = [self.program, "test", "-json", "-count=1", "-vet=off", *words]
        call = ProcessSpec(
            argv, place.root / self.folder, self._variables(place), seconds, tag=self.request.tag
        )
        return place.capture_output(call, _MAX_OUTPUT_BYTES, self.request.stop)

    def _run_named(
        self, place: Place, names: Collection[str], seconds: float, *options: str
    ) -> RunnerReport:
        package, began = _package_path(self.file, self.folder), time.monotonic()
        result = self._run(place, *options, "-run", f"^(?:{'|'.join(names)})$", package, seconds=seconds)
        return _parse_events(result, describe_time(seconds, began))

    def _coverage_options(self, place: Place) -> tuple[str, str]:
        """Return the options that measure the packages of the sources, after removing the last result."""
        profile = _profile(place)
        profile.unlink(missing_ok=True)
        packages = dict.fromkeys(_package_path(source, self.folder) for source in self.request.sources)
        return f"-coverprofile={profile}", f"-coverpkg={','.join(packages)}"

    def _read_lines(self, place: Place) -> Lines:
        """Return the executed lines of the sources, by the blocks of a coverage profile."""
        profile = _profile(place)
        text = profile.read_text("utf-8", "replace") if profile.is_file() else ""
        return frozenset(self._lines_of_blocks(text))

    def _lines_of_blocks(self, profile: str) -> Iterator[tuple[str, int, int]]:
        for name, first, column, last, _, count in _BLOCK.findall(profile):
            path = str(PurePosixPath(self.folder) / name.removeprefix(f"{self.module}/"))
            if path in self.request.sources and int(count):
                block = int(first) * _COLUMNS + int(column)
                yield from ((path, block, line) for line in range(int(first), int(last) + 1))


def _profile(place: Place) -> Path:
    return report_file(place, "go-coverage")


def _package_path(path: str, folder: str) -> str:
    """Return the package of a file as a path that begins with `./`, relative to its module."""
    return f"./{PurePosixPath(path).parent.relative_to(folder)}"


def _list_functions(code: str) -> list[str]:
    root = parser_for("go").parse(f"package x\n{code}\n".encode("utf-8", "replace")).root_node
    functions = (child for child in root.named_children if child.type == "function_declaration")
    return [child.child_by_field_name("name").text.decode() for child in functions]


def _is_used(name: str, path: str, words: str) -> bool:
    """Return whether code uses an import, because Go refuses one that is not used.

    `words` are the tokens of the code. The name of a package that is not Go's own may be any other than the
    end of its path, so that only Go can say whether it is used.
    """
    parts = path.split("/")
    if not name and ("." in parts[0] or _VERSION.fullmatch(parts[-1])):
        return True
    return name in {".", "_"} or bool(re.search(rf"(?<!\S){re.escape(name or parts[-1])} \.", words))


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}{number}"


def _read_package(source: str) -> str:
    """Return the name in the package clause of a source; empty if there is none."""
    root = parser_for("go").parse(source.removeprefix("\ufeff").encode("utf-8", "replace")).root_node
    clause = next((child for child in root.named_children if child.type == "package_clause"), None)
    return clause.named_children[0].text.decode() if clause is not None else ""


def _strip_package(source: str) -> str:
    """Return a source without its package clause and what is before it."""
    return _PACKAGE.split(source, maxsplit=1)[-1]


def _parse_events(result: CapturedOutput, problem: str = "", *, by_package: bool = False) -> RunnerReport:
    """Return the report in the events that `go test -json` prints, a line each.

    `problem` says why the program may have ended; `by_package` puts the package before each name.
    """
    texts: dict[str, str] = {}
    ended: dict[str, str] = {}
    rest = []
    for line in result.stdout.decode("utf-8", "replace").splitlines():
        event = _parse_event(line)
        test = event.get("Test", "")
        name = test.partition("/")[0]
        is_subtest = name != test
        name = f"{event.get('Package')}.{name}" if by_package and name else name
        if event.get("Action") == "output" and name:
            texts[name] = texts.get(name, "") + event.get("Output", "")
        elif name and not is_subtest and event.get("Action") in {"pass", "fail", "skip"}:
            ended[name] = event["Action"]
        else:
            rest.append(event.get("Output", "") if event else line)
    output = problem + result.stderr.decode("utf-8", "replace") + "".join(rest)
    failures = {
        name: _ENDS[word] if word in _ENDS else texts.get(name) or "the test failed"
        for name, word in ended.items()
    }
    return RunnerReport(failures, output.strip()[:4000], result.code)


def _parse_event(line: str) -> Mapping[str, str]:
    try:
        event = json.loads(line)
    except ValueError:  # the compiler reports as text
        return {}
    return {key: str(value) for key, value in event.items()} if isinstance(event, dict) else {}
