"""Calls functions of one module with some inputs, and prints as JSON what became of each.

Reads from stdin: {"top": folder, "module": dotted name, "calls": {function: [arguments as literals]}}.
"""

import ast
import contextlib
import importlib
import io
import itertools
import json
import re
import signal
import sys
from collections.abc import Callable, Iterator

_SECONDS = 0.5
_MOST = 1000
"""Of how much of what comes one by one."""


def _late(_number: int, _frame: object) -> None:
    raise TimeoutError


def outcome(function: Callable[..., object], literal: str) -> str:
    """What a call gives: its result, or the kind of its error, and what became of its arguments."""
    given = ast.literal_eval(literal)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS)
    try:
        found = function(*given)
        if isinstance(found, Iterator):  # it says nothing of what it gives
            found = ["each of", *itertools.islice(found, _MOST)]
        said = f"gives {found!r}"
    except TimeoutError:
        return "does not end in time"
    except RecursionError:
        return "raises RecursionError"
    except Exception as error:  # noqa: BLE001 - whatever it raises is what it does
        said = f"raises {type(error).__name__}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    after = repr(given)
    changed = "" if after == repr(ast.literal_eval(literal)) else f", its arguments are {after} then"
    return re.sub(r"0x[0-9a-f]+", "0x", said)[:2000] + changed


def main() -> None:
    """Do what stdin says."""
    asked = json.load(sys.stdin)
    sys.path.insert(0, asked["top"])
    signal.signal(signal.SIGALRM, _late)
    with contextlib.redirect_stdout(io.StringIO()):
        module = importlib.import_module(asked["module"])
        found = {
            name: [outcome(getattr(module, name), literal) for literal in literals]
            for name, literals in asked["calls"].items()
        }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
