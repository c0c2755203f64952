"""The Python of a project, and what is run with it: its tests, programs of ours."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from prunejuice import process, settings
from prunejuice.errors import GateError, MissingToolError
from prunejuice.protocols import Stop

_SECONDS = 120.0
_LIMIT = 4 << 20
_PLUGINS = (
    "from importlib.util import find_spec\n"
    "from sys import stdout\n"
    "known = (('pytest_cov', '--no-cov'), ('xdist', '-n0'))\n"
    "stdout.write(' '.join(word for name, word in known if find_spec(name)))"
)
PROBES = Path(__file__).with_name("probes")


class Ran(NamedTuple):
    """How a program ended, and what it said on both streams."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """The end of it all."""
        return f"{self.out}\n{self.err}".strip()[-4000:]


def surroundings(root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """What a program is given that is to find the modules of a tree before those installed from it."""
    paths = {"PYTHONPATH": f"{root / 'src'}:{root}", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**settings.passed_on(environ), **paths}


class Python(NamedTuple):
    """An interpreter that has pytest; `stop` ends what it is at."""

    program: str
    environ: Mapping[str, str]
    stop: Stop
    tag: str = ""
    plain: tuple[str, ...] = ()
    """Options that turn off what plugins of pytest add to every run: counting lines, many at once."""

    def run(
        self, root: Path, *words: str, given: bytes = b"", seconds: float = _SECONDS, **more: str
    ) -> Ran:
        """Run it in a folder, which is where modules are looked for first."""
        env = {**surroundings(root, self.environ), **more}
        call = process.Call([self.program, *words], root, env, seconds, given=given, tag=self.tag)
        done = process.capture(call, _LIMIT, self.stop)
        return Ran(done.code, done.out.decode("utf-8", "replace"), done.err.decode("utf-8", "replace"))

    def pytest(self, root: Path, *words: str, seconds: float = _SECONDS) -> Ran:
        """Run tests."""
        return self.run(root, *self.tester, *words, seconds=seconds)

    @property
    def tester(self) -> tuple[str, ...]:
        """The words that run tests in one process, and count no lines."""
        return ("-m", "pytest", "-q", "-p", "no:cacheprovider", *self.plain)


def found(root: Path, environ: Mapping[str, str], stop: Stop, *needs: str, tag: str = "") -> Python:
    """The first interpreter that has what is needed: of the tree's environment, of the caller's, or ours.

    Raises:
        GateError: none has.
    """
    places = [root / ".venv/bin/python", root / "venv/bin/python"]
    if environ.get("VIRTUAL_ENV"):
        places.append(Path(environ["VIRTUAL_ENV"], "bin/python"))
    words: Sequence[str] = (*(str(each) for each in places if each.is_file()), "python3", sys.executable)
    code = f"import {', '.join(needs or ('pytest',))}"
    for word in words:
        try:
            made = Python(process.which(word, environ.get("PATH")), environ, stop, tag)
        except MissingToolError:
            continue
        ran = made.run(root, "-c", f"{code}\n{_PLUGINS}", seconds=30)
        if ran.code == 0:
            return made._replace(plain=tuple(ran.out.split()))
    named = " and ".join(needs or ("pytest",))
    raise GateError(f"no Python here has {named}", f"install {named} into .venv, or where python3 is")


def module(root: Path, path: str) -> tuple[Path, str]:
    """The folder that has to be on the path to import a file, and the file's dotted name from there."""
    pieces = path.removesuffix(".py").split("/")
    top = len(pieces) - 1
    while top and (root / Path(*pieces[:top]) / "__init__.py").is_file():
        top -= 1
    name = [*pieces[top:-1], *([] if pieces[-1] == "__init__" else pieces[-1:])]
    return root.joinpath(*pieces[:top]), ".".join(name)
