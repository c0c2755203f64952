"""Loaded by every Python of a step or check: at its end, report modules that came from the checkout.

It runs in the interpreter of the project, of any version, so it uses nothing new.
"""

import atexit
import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec


def _report_foreign_modules() -> None:
    checkout = os.getenv("PRUNEJUICE_ORIGIN_CHECKOUT", "") + os.sep
    tree = os.getenv("PRUNEJUICE_ORIGIN_TREE", "") + os.sep
    lines = []
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if name == "__main__" or not isinstance(path, str) or not path.startswith(checkout):
            continue
        if path.startswith(tree) or os.sep + "site-packages" + os.sep in path:
            continue
        # Step files are executed as a person trusted them, with the modules beside them.
        if path.startswith(checkout + ".prj" + os.sep):
            continue
        # A module that the tree lacks too is not one that the tree should have provided.
        if os.path.isfile(tree + path[len(checkout) :]):
            lines.append("%s\t%s\n" % (name, path))
    if lines:
        with open(os.getenv("PRUNEJUICE_ORIGIN_REPORT", ""), "a") as report:
            report.write("".join(lines))


def _load_next_sitecustomize() -> None:
    """Load the module of this name that would have been loaded without this one."""
    own = os.path.dirname(os.path.abspath(__file__))
    others = [path for path in sys.path if os.path.abspath(path) != own]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


if os.getenv("PRUNEJUICE_ORIGIN_REPORT"):
    atexit.register(_report_foreign_modules)
_load_next_sitecustomize()
