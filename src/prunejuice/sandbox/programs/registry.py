"""Choose the program that makes sandboxes: the one that a setting names, or the one of this system."""

import sys
from collections.abc import Mapping
from functools import cache

from prunejuice.errors import MissingToolError
from prunejuice.sandbox.programs.protocol import SandboxProgram
from prunejuice.system.extensions import ExtensionPoint

EXTENSIONS = ExtensionPoint(
    "prunejuice.sandboxes",
    {
        "bwrap": "prunejuice.sandbox.programs.bwrap:Bubblewrap",
        "seatbelt": "prunejuice.sandbox.programs.seatbelt:Seatbelt",
        "srt": "prunejuice.sandbox.programs.srt:SandboxRuntime",
        "container": "prunejuice.sandbox.programs.container:Container",
    },
)
"""Sandbox programs by name: classes without arguments that are a `SandboxProgram`."""


def find_program(name: str, environ: Mapping[str, str]) -> SandboxProgram:
    """Return the sandbox program with a name; by default that of this system.

    Raises:
        MissingToolError: it does not work here; the message says why.
        NotFoundError: no program has this name.
    """
    program = _create(name or default_name())
    problem, fix = program.find_problem(environ)
    if problem:
        raise MissingToolError(f"no sandbox can be made: {problem}", fix)
    return program


def default_name(platform: str = sys.platform) -> str:
    """Return the name of the program for a system."""
    return "seatbelt" if platform == "darwin" else "bwrap"


@cache
def _create(name: str) -> SandboxProgram:
    # One object for each name: it remembers what it found by trying.
    program: SandboxProgram = EXTENSIONS.load(name)()
    return program
