"""Colours appear on a terminal, except where the user does not want them."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest


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
    main, terminal = pty.openpty()
    environ = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "TERM"}}
    program = [Path(sys.executable).with_name("prj"), *words]
    with subprocess.Popen(
        program, cwd=project.root, env=environ | variables, stdout=terminal, stderr=terminal
    ) as child:
        os.close(terminal)
        seen = b""
        while True:
            try:
                chunk = os.read(main, 4096)
            except OSError:  # the end, on Linux
                break
            if not chunk:
                break
            seen += chunk
        child.wait()
    os.close(main)
    assert (b"\x1b[" in seen) == colored, seen
