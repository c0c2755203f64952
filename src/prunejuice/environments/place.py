"""Places where the code of a tree is executed: the tree itself, a worktree, or a copy of a checkout."""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from prunejuice.environments import active_environment, installed_packages, origin, python_paths
from prunejuice.environments.checkout_overlay import CheckoutOverlay
from prunejuice.environments.place_sandbox import PlaceSandbox
from prunejuice.system import process, settings
from prunejuice.system.process import CapturedOutput, ExitStatus, ProcessSpec, Sink
from prunejuice.system.stop_request import Stop

_NOWHERE = Path(os.devnull)
"""The folder for reports where no check runs: nothing can be written to it."""


class Place(NamedTuple):
    """A tree at `root`, which stands in for the files of a `checkout`; both are the same for the checkout.

    `scratch` is a folder outside of the tree, for the reports of checks. With an `overlay`, processes see
    the tree at the path of the checkout. `declared` are variables of the project and of a command. With a
    `sandbox`, processes are contained.
    """

    root: Path
    checkout: Path
    scratch: Path = _NOWHERE
    overlay: CheckoutOverlay | None = None
    declared: Mapping[str, str] = MappingProxyType({})
    sandbox: PlaceSandbox | None = None

    @property
    def seen(self) -> Path:
        """The path at which processes see the tree."""
        return self.checkout if self.overlay else self.root

    def find_file(self, name: str) -> Path:
        """Return where a file is that processes call by a path, relative to the tree or absolute."""
        path = self.seen / name
        return self.root / path.relative_to(self.seen) if path.is_relative_to(self.seen) else path

    def variables(
        self,
        environ: Mapping[str, str],
        report: Path | None = None,
    ) -> dict[str, str]:
        """Return the variables of a process that executes code of the tree, from those of the caller.

        Interpreters write to `report`, a file, when they load modules of the checkout instead.
        """
        declared = self.declared
        environ = active_environment.activate_environment(self.seen, environ, self.root)
        paths = python_paths.tree_variables(
            self.seen, self.checkout, environ, declared, is_shown_there=bool(self.overlay)
        )
        variables = {**settings.inherited_environment(self.relocate(environ)), **declared, **paths}
        if report is None or self.overlay:
            return variables
        return variables | origin.origin_variables(self.root, self.checkout, report, variables)

    def relocate(self, environ: Mapping[str, str]) -> Mapping[str, str]:
        """Return the caller's variables with the programs of the tree before those of the checkout."""
        if self.overlay:
            return environ
        return installed_packages.relocate_variables(environ, self.checkout, self.root)

    def run(self, call: ProcessSpec, sink: Sink, stop: Stop | None = None) -> ExitStatus:
        """Run a process whose directory is below `root`, as `process.run` does."""
        with ExitStack() as stack:
            return process.run(self._enter(stack, call), sink, stop)

    def capture_output(self, call: ProcessSpec, limit: int, stop: Stop | None = None) -> CapturedOutput:
        """Run a process whose directory is below `root`, as `process.capture_output` does."""
        with ExitStack() as stack:
            return process.capture_output(self._enter(stack, call), limit, stop)

    def _enter(self, stack: ExitStack, call: ProcessSpec) -> ProcessSpec:
        folder = os.path.relpath(call.cwd, self.root)
        if self.sandbox:
            call = call._replace(
                cwd=self.seen / folder,
                sandbox=self.sandbox.open_at(self.seen, self.checkout, self.scratch, self.overlay),
            )
            call = stack.enter_context(process.enter_sandbox(call))
        if self.overlay is None:
            return call
        program = process.require_program(call.argv[0], call.env.get("PATH"))
        argv = stack.enter_context(self.overlay.enter([program, *call.argv[1:]], folder))
        return call._replace(argv=argv, cwd="/")


def own_place(root: Path) -> Place:
    """Return the place of code that is executed where it is."""
    return Place(root, root)
