"""Gates of other packages: conditions that every change of an agent must meet."""

from collections.abc import Callable, Sequence

from prunejuice.edits.diff import FileDiff
from prunejuice.errors import GateError
from prunejuice.system.extensions import ExtensionPoint
from prunejuice.text import safe_line

Gate = Callable[[Sequence[FileDiff]], str]
"""Returns the reason why a change is refused, or an empty text."""

EXTENSIONS = ExtensionPoint("prunejuice.gates", {})
"""Gates by name; the setting `gates` lists those that apply."""


def require_gates(names: Sequence[str], diffs: Sequence[FileDiff], fix: str = "") -> None:
    """Ask each gate in turn.

    Raises:
        GateError: a gate refused the change.
        NotFoundError: no installed package has a gate of this name.
    """
    for name in names:
        gate: Gate = EXTENSIONS.load(name)
        if reason := gate(diffs):
            raise GateError(f"the gate {name!r} refused the change: {safe_line(reason, 300)}", fix)
