"""Call functions of one module with given arguments, and print the outcomes as JSON.

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
_MAX_ITEMS = 1000
"""The maximum number of items that are read from an iterator."""


def _raise_timeout(_number: int, _frame: object) -> None:
    raise TimeoutError


def call_outcome(function: Callable[..., object], literal: str) -> str:
    """Return the result or error of a call as text, with changes that it made to its arguments."""
    arguments = ast.literal_eval(literal)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS)
    try:
        result = function(*arguments)
        if isinstance(result, Iterator):  # its repr does not show its items
            result = ["each of", *itertools.islice(result, _MAX_ITEMS)]
        outcome = f"returns {result!r}"
    except TimeoutError:
        return "does not finish in time"
    except RecursionError:
        return "raises RecursionError"
    except Exception as error:  # noqa: BLE001 - any error is an outcome
        outcome = f"raises {type(error).__name__}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    after = repr(arguments)
    changed = "" if after == repr(ast.literal_eval(literal)) else f", and changes its arguments to {after}"
    # Addresses of objects differ between runs.
    return re.sub(r"0x[0-9a-f]+", "0x", outcome)[:2000] + changed


def main() -> None:
    """Make the calls that stdin describes."""
    order = json.load(sys.stdin)
    sys.path.insert(0, order["top"])
    signal.signal(signal.SIGALRM, _raise_timeout)
    # Output of the functions must not mix with the JSON.
    with contextlib.redirect_stdout(io.StringIO()):
        module = importlib.import_module(order["module"])
        outcomes = {
            name: [call_outcome(getattr(module, name), literal) for literal in literals]
            for name, literals in order["calls"].items()
        }
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    main()
