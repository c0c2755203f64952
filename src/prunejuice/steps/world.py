"""What built-in steps work with, and how they say that all went well."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from prunejuice import git as gits
from prunejuice.agent import Spent
from prunejuice.output import Log
from prunejuice.protocols import Handle, StepResult, Stop
from prunejuice.settings import Settings
from prunejuice.text import safe_line, utf8


class World(NamedTuple):
    """What built-in steps work with besides their handle: `args` are theirs, filled in.

    `extension` gives the command that Python code of a project registered under a name. `terminal` says
    that ours is free for a person to work in.
    """

    settings: Settings
    environ: Mapping[str, str]
    args: Mapping[str, Any]
    stop: Stop
    log: Log
    extension: Callable[[str, str], Any] = lambda _project, _name: None
    terminal: bool = False

    def git(self, handle: Handle) -> gits.Git:
        """Git where the run works, ended when the step is.

        Raises:
            UsageError: that is not in a repository.
        """
        return gits.within(handle.workspace, dict(self.environ), self.stop)

    def around(self, handle: Handle) -> gits.Git:
        """Git where the run works, to ask whether there is a repository at all."""
        return gits.git(handle.workspace.directory, dict(self.environ), self.stop)


def teller(handle: Handle, world: World) -> Callable[[str], None]:
    """Says lines to whoever watches the run, and into its log."""

    def tell(text: str) -> None:
        for line in text.splitlines():
            world.log(utf8(line).encode() + b"\n")
            handle.tell(safe_line(line, 400))

    return tell


def took(spent: Spent) -> dict[str, Any]:
    """What questions took, as outputs of a step."""
    return {
        "tokens": spent.input + spent.output,
        "usage": {"input": spent.input, "output": spent.output, "cached": spent.cached},
        "cost": spent.cost,
    }


def said(text: str, **outputs: Any) -> StepResult:
    """A step that was carried out: what it says, and what it hands on."""
    return StepResult(ok=True, output=text, outputs=outputs)
