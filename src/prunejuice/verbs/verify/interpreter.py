"""Find a project's Python interpreter, and run tests and probes with it."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from prunejuice.environments.place import Place
from prunejuice.errors import GateError, MissingToolError
from prunejuice.system import process
from prunejuice.system.stop_request import Stop

_SECONDS = 120.0
_MAX_OUTPUT_BYTES = 4 << 20
_PLUGIN_PROBE = (
    "from importlib.util import find_spec\n"
    "from sys import stdout\n"
    "known = (('pytest_cov', '--no-cov'), ('xdist', '-n0'))\n"
    "stdout.write(' '.join(word for name, word in known if find_spec(name)))"
)
PROBES = Path(__file__).with_name("probes")


class PythonResult(NamedTuple):
    """The exit code of a program, and its two output streams."""

    code: int
    out: str
    err: str

    @property
    def output_tail(self) -> str:
        """Return the last 4,000 characters of both streams."""
        return f"{self.out}\n{self.err}".strip()[-4000:]


def tree_environment(
    place: Place, environ: Mapping[str, str], report: Path | None = None
) -> dict[str, str]:
    """Return an environment in which a tree's modules precede installed ones; for `report` see `Place`."""
    variables = place.variables(environ, report)
    own = [str(place.seen / "src"), str(place.seen)]
    given = list(filter(None, variables.get("PYTHONPATH", "").split(os.pathsep)))
    paths = os.pathsep.join(dict.fromkeys([*given, *own] if report else [*own, *given]))
    # Without bytecode files: one of an earlier version with the same size and second would be used instead.
    return {**variables, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}


class PythonInterpreter(NamedTuple):
    """An interpreter with the needed packages; `stop` ends its programs."""

    program: str
    environ: Mapping[str, str]
    stop: Stop
    tag: str = ""
    plugin_options: tuple[str, ...] = ()
    """Options that turn off plugins which change every pytest run: coverage and parallel tests."""

    def run(
        self, place: Place, *words: str, stdin: bytes = b"", seconds: float = _SECONDS, **variables: str
    ) -> PythonResult:
        """Run the interpreter in a tree, which comes first on the module search path."""
        env = {**tree_environment(place, self.environ), **variables}
        call = process.ProcessSpec(
            [self.program, *words], place.root, env, seconds, stdin=stdin, tag=self.tag
        )
        result = place.capture_output(call, _MAX_OUTPUT_BYTES, self.stop)
        return PythonResult(
            result.code, result.stdout.decode("utf-8", "replace"), result.stderr.decode("utf-8", "replace")
        )

    def run_pytest(self, place: Place, *words: str, seconds: float = _SECONDS) -> PythonResult:
        """Run pytest in one process, without coverage."""
        return self.run(place, *self.pytest_options, *words, seconds=seconds)

    @property
    def pytest_options(self) -> tuple[str, ...]:
        """Return the arguments that run pytest in one process and without coverage."""
        return ("-m", "pytest", "-q", "-p", "no:cacheprovider", *self.plugin_options)


def find_python(
    place: Place, environ: Mapping[str, str], stop: Stop, *needs: str, tag: str = ""
) -> PythonInterpreter:
    """Return the first interpreter with the needed modules: of the tree, of the caller, or the current one.

    Raises:
        GateError: no interpreter has them.
    """
    candidates = [place.seen / ".venv/bin/python", place.seen / "venv/bin/python"]
    environ = place.relocate(environ)
    if environ.get("VIRTUAL_ENV"):
        candidates.append(Path(environ["VIRTUAL_ENV"], "bin/python"))
    programs: Sequence[str] = (
        *(str(path) for path in candidates if path.is_file()),
        "python3",
        sys.executable,
    )
    code = f"import {', '.join(needs or ('pytest',))}"
    for program in programs:
        try:
            python = PythonInterpreter(
                process.require_program(program, environ.get("PATH")), environ, stop, tag
            )
        except MissingToolError:
            continue
        result = python.run(place, "-c", f"{code}\n{_PLUGIN_PROBE}", seconds=30)
        if result.code == 0:
            return python._replace(plugin_options=tuple(result.out.split()))
    missing = " and ".join(needs or ("pytest",))
    raise GateError(f"no Python interpreter found with {missing}", f"install {missing} into .venv")


def import_location(root: Path, path: str) -> tuple[Path, str]:
    """Return the folder to put on the module search path, and a file's dotted name from there."""
    parts = path.removesuffix(".py").split("/")
    root_length = len(parts) - 1
    while root_length and (root / Path(*parts[:root_length]) / "__init__.py").is_file():
        root_length -= 1
    name = [*parts[root_length:-1], *([] if parts[-1] == "__init__" else parts[-1:])]
    return root.joinpath(*parts[:root_length]), ".".join(name)
