"""What a refactoring must not change: public names, what functions that only compute give, the tests."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from prunejuice import interpreter, purity, surface
from prunejuice.errors import GateError
from prunejuice.guard import is_test
from prunejuice.hunk import Difference
from prunejuice.interpreter import PROBES, Python
from prunejuice.protocols import Stop

_SHOWN = 3
_LEAST = 3
"""How many calls have to give a result before a comparison says anything."""
_HARD = ("raises TypeError", "raises AttributeError")


class Held(NamedTuple):
    """What a change was held to: `faults` are what it does not keep, `evidence` what it does.

    `compared` is of how many functions the results were compared.
    """

    faults: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    compared: int = 0


class Behaviour:
    """What says whether two trees behave alike."""

    def __init__(self, environ: Mapping[str, str], stop: Stop) -> None:
        self._environ, self._stop = environ, stop
        self._python: Python | None = None

    def held(self, was: Path, root: Path, found: Sequence[Difference]) -> Held:
        """Compare the tree at `root`, in which differences were made, with the one before them."""
        faults: list[str] = []
        evidence: list[str] = []
        compared = 0
        for each in found:
            old, new = _text(each.old.data), _text(each.new.data)
            if not each.path.endswith(".py") or is_test(each.path) or old is None:
                continue
            if new is None or each.to:
                faults.append(f"{each.path} is gone, and all that it shows to others")
                continue
            wrong = surface.differences(*(surface.surface(text, each.path) for text in (old, new)))
            faults += [f"{each.path}: {one}" for one in wrong]
            if not wrong:
                evidence.append(f"{each.path}: all public names and signatures are kept")
            more = self._compared(was, root, each.path, old, new)
            faults += more.faults
            evidence += more.evidence
            compared += more.compared
        return Held(tuple(faults), tuple(evidence), compared)

    def _compared(self, was: Path, root: Path, path: str, old: str, new: str) -> Held:
        """Call what only computes, as it was and as it is, with the same arguments."""
        asked = purity.functions(old, new)
        if not asked:
            return Held()
        try:
            self._python = self._python or interpreter.found(was, self._environ, self._stop, "json")
        except GateError:
            return Held()
        calls = {each.name: list(each.inputs) for each in asked}
        before, again, after = (self._called(top, path, calls) for top in (was, was, root))
        if before is None or again is None:
            return Held()
        if after is None:
            return Held((f"{path} cannot be imported any more",))
        found = [
            _alike(each, [*zip(before[each.name], again[each.name], after[each.name], strict=True)])
            for each in asked
        ]
        faults = tuple(f"{path}: {said}" for each in found for said in each.faults)
        evidence = tuple(f"{path}: {said}" for each in found for said in each.evidence)
        return Held(faults, evidence, len(evidence))

    def _called(
        self, root: Path, path: str, calls: Mapping[str, Sequence[str]]
    ) -> Mapping[str, Sequence[str]] | None:
        if self._python is None:
            return None
        top, name = interpreter.module(root, path)
        given = json.dumps({"top": str(top), "module": name, "calls": calls}).encode()
        done = self._python.run(root, str(PROBES / "calls.py"), given=given, PYTHONHASHSEED="0")
        try:
            found: Mapping[str, Sequence[str]] = json.loads(done.out) if done.code == 0 else {}
        except ValueError:
            return None
        return found or None


def _alike(function: purity.Function, rows: Sequence[tuple[str, str, str]]) -> Held:
    """Whether calls gave the same before, again, and after a change."""
    name, literals = function.name, function.inputs
    steady = [number for number, (before, again, _) in enumerate(rows) if before == again]
    met = [number for number in steady if rows[number][0] != rows[number][2]]
    told = sum(not rows[number][0].startswith(_HARD) for number in steady)
    if not function.typed and told - len(met) >= _LEAST:  # nobody says that it takes such things
        met = [number for number in met if not rows[number][2].startswith(_HARD)]
    if met:
        shown = (f"{name}{literals[n]} {rows[n][0]} before, and {rows[n][2]} now" for n in met[:_SHOWN])
        return Held(("; ".join(shown),))
    return Held((), (f"{name} gives the same for {len(steady)} inputs",) if told >= _LEAST else ())


def _text(data: bytes | None) -> str | None:
    """Python that can be read; None for what is not there or is none."""
    try:
        text = data.decode() if data is not None else None
        if text is not None:
            surface.surface(text)
    except (UnicodeDecodeError, SyntaxError, ValueError):
        return None
    return text
