"""Contain the processes that judge code: in a sandbox by default, where the system can make one."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from prunejuice.environments.checkout_overlay import CheckoutOverlay
from prunejuice.environments.tree_policy import TreeAccess, make_policy
from prunejuice.errors import MissingToolError
from prunejuice.sandbox.permissions import Containment, Mode
from prunejuice.sandbox.programs.protocol import SandboxProgram
from prunejuice.sandbox.programs.registry import find_program
from prunejuice.sandbox.sandbox import Refusal, Sandbox, say_nothing
from prunejuice.system.process import SandboxEntry
from prunejuice.system.settings import Settings
from prunejuice.worktrees.git import Git
from prunejuice.worktrees.waiting_changes import find_common_dir, find_git_dir

DEFAULT_MODE: Mode = "files"
"""The mode of checks if nobody chose one."""


class PlaceSandbox(NamedTuple):
    """The sandbox of processes that execute the code of a place; `report` hears what was refused."""

    program: SandboxProgram
    containment: Containment
    environ: Mapping[str, str]
    report: Callable[[Refusal], None] = say_nothing

    def open_at(
        self, tree: Path, checkout: Path, scratch: Path, overlay: CheckoutOverlay | None
    ) -> SandboxEntry:
        """Return the sandbox of a process that works in a tree, at the path where it sees the tree.

        `scratch` receives its reports. With an overlay, whatever it writes is thrown away.

        Raises:
            UsageError: what is allowed contradicts itself.
        """
        folder = scratch if scratch.is_dir() else Path(self.environ.get("TMPDIR") or "/tmp")  # noqa: S108
        reports = [str(scratch)] if scratch.is_dir() else []
        access = TreeAccess(
            tree,
            checkout,
            self.environ,
            write=[*reports, *map(str, overlay.others if overlay else ())],
            read=_find_repository(checkout),
            hidden=(str(overlay.scratch),) if overlay else (),
            covers_git=overlay is not None or tree != checkout,
        )
        policy = make_policy(self.containment, access)
        return Sandbox(self.program, policy, folder, self.report).enter

    def without_network_filter(self) -> "PlaceSandbox":
        """Return the sandbox of services, which listen on ports of this machine."""
        if self.containment.mode != "files+net":
            return self
        files = replace(self.containment, mode="files", allow=self.containment.allow.without_hosts())
        return self._replace(containment=files)


def open_place_sandbox(
    containment: Containment,
    settings: Settings,
    environ: Mapping[str, str],
    tell: Callable[[str], None],
    report: Callable[[Refusal], None] = say_nothing,
) -> PlaceSandbox | None:
    """Return the sandbox of processes that execute code to judge it; None if there is none.

    If nobody chose a mode, there is one where it can be made, and `tell` is told once why it cannot.

    Raises:
        MissingToolError: a sandbox was asked for that cannot be made here.
    """
    if containment.mode == "off":
        return None
    if not containment.mode:
        containment = replace(containment, mode=DEFAULT_MODE, allow=containment.allow.without_hosts())
        try:
            program = find_program(settings.sandbox_program, environ)
        except MissingToolError as error:
            if note := _note_once(error.message):
                tell(f"note: {note}, so checks run without one (`prj doctor` says how to change that)")
            return None
        return PlaceSandbox(program, containment, environ, report)
    program = find_program(settings.sandbox_program, environ)
    return PlaceSandbox(program, containment, environ, report)


def open_setup_sandbox(
    sandbox: PlaceSandbox | None, tree: Path, git: Git, folder: Path
) -> SandboxEntry | None:
    """Return the sandbox of a process that prepares a worktree at `tree`; `git` is that of the checkout.

    Private folders are made in `folder`.

    Raises:
        UsageError: what is allowed contradicts itself.
    """
    if sandbox is None or not sandbox.containment.is_on:
        return None
    git_dir = find_git_dir(tree)
    access = TreeAccess(tree, Path(git.directory), sandbox.environ, git=git.for_worktree(tree, git_dir))
    return Sandbox(sandbox.program, make_policy(sandbox.containment, access), folder, sandbox.report).enter


_told: set[str] = set()


def _note_once(text: str) -> str:
    """Return a text the first time, and nothing then."""
    if text in _told:
        return ""
    _told.add(text)
    return text


def _find_repository(checkout: Path) -> tuple[str, ...]:
    common = find_common_dir(checkout)
    return (str(common),) if common else ()
