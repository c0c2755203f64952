"""Colours appear on a terminal, except where the user does not want them."""

import os
import sys
from pathlib import Path

import pytest

from terminal import call_on_terminal


@pytest.mark.parametrize(
    ("variables", "colored"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
    ],
)
@pytest.mark.parametrize("words", [["list"], ["show", "nosuch"]])
def test_no_color_is_heeded(project, variables, colored, words):
    environ = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "TERM"}}
    program = [Path(sys.executable).with_name("prj"), *words]
    _, seen = call_on_terminal(program, project.root, environ | variables)
    assert (b"\x1b[" in seen) == colored, seen
