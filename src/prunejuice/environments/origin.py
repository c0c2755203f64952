"""Prove that a process ran the code of its tree: find the modules that it loaded from the checkout instead.

Each Python and each node that a step or check starts reports them at its end. A pass on such modules says
nothing of the tree.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from prunejuice.text import safe_line

_PROBES = Path(__file__).with_name("probes")
_MAX_REPORT_BYTES = 1 << 20


class ShadowedModule(NamedTuple):
    """A module that the tree has, and the file of the checkout that was loaded instead."""

    name: str
    path: str

    def __str__(self) -> str:
        shown = f"{self.name!r} was imported from {self.path}"
        return safe_line(f"shadowed: {shown}; this did not run the code of the tree", 400)


def origin_variables(
    tree: Path, checkout: Path, report: Path, environ: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables by which interpreters report to a file, which is deleted if it exists.

    There are none if the tree is the checkout.
    """
    report.unlink(missing_ok=True)
    if tree == checkout:
        return {}
    variables = {
        "PRUNEJUICE_ORIGIN_CHECKOUT": str(checkout),
        "PRUNEJUICE_ORIGIN_TREE": str(tree),
        "PRUNEJUICE_ORIGIN_REPORT": str(report),
    }
    if paths := environ.get("PYTHONPATH"):  # set for every tree that has Python files
        variables["PYTHONPATH"] = f"{_PROBES}{os.pathsep}{paths}"
    if (tree / "package.json").is_file() or any(tree.glob("*/package.json")):
        variables["NODE_OPTIONS"] = require_node_module(
            _PROBES / "origin.cjs", environ.get("NODE_OPTIONS", "")
        )
    return variables


def require_node_module(module: Path, inherited: str = "") -> str:
    """Return the value of `NODE_OPTIONS` with which node loads a module before any other code."""
    return " ".join(filter(None, [inherited, f'--require "{module}"']))


def find_shadowed_module(report: Path) -> ShadowedModule | None:
    """Return the first module in a report, or None if nothing was reported."""
    with suppress(OSError, ValueError):
        if report.is_file() and not report.is_symlink():
            with report.open(encoding="utf-8", errors="replace") as file:
                name, tab, path = file.read(_MAX_REPORT_BYTES).partition("\n")[0].partition("\t")
            if tab:
                return ShadowedModule(name, path)
    return None
