"""Resources that built-in steps share, and helpers to report their results."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from prunejuice.engine.ports import StepContext, StepResult
from prunejuice.system.output import OutputLog
from prunejuice.system.redact import mask_text
from prunejuice.system.settings import Settings
from prunejuice.system.stop_request import Stop
from prunejuice.text import safe_line, to_utf8
from prunejuice.worktrees import git as gits


class ProjectAccess(Protocol):
    """What steps may use of projects: what a person trusted, and nothing else."""

    def is_trusted_by_person(self, project_root: str) -> bool:
        """Return whether a person trusted files of the project, and none has changed since."""

    def find_step_file(self, project_root: str, name: str) -> Path | None:
        """Return the trusted script of a step, or None."""

    def find_extension(self, project_root: str, name: str) -> Any:
        """Return the Python command that the project or a package registered under a name, or None."""

    def load_project_variables(self, project_root: str) -> Mapping[str, str]:
        """Return the variables of the project's `.env`."""


class StepResources(NamedTuple):
    """Settings, arguments and callbacks of a built-in step, besides its `StepContext`.

    `args` are the rendered arguments of the step. `terminal` is true when a person can use the caller's
    terminal.
    """

    settings: Settings
    environ: Mapping[str, str]
    args: Mapping[str, Any]
    stop: Stop
    log: OutputLog
    project: ProjectAccess
    terminal: bool = False
    hidden: tuple[str, ...] = ()

    def list_argument(self, name: str) -> list[str]:
        """Return an argument as a list of texts; one value counts as a list of one."""
        value = self.args.get(name) or []
        return [str(item) for item in value] if isinstance(value, list) else [str(value)]

    def open_git(self, handle: StepContext) -> gits.Git:
        """Return git for the run's workspace; it is stopped together with the step.

        Raises:
            UsageError: the workspace is not in a git repository.
        """
        return gits.open_workspace_git(handle.workspace, dict(self.environ), self.stop)

    def open_unlocated_git(self, handle: StepContext) -> gits.Git:
        """Return git for the run's workspace without requiring a repository."""
        return gits.open_git(handle.workspace.directory, dict(self.environ), self.stop)


def make_teller(handle: StepContext, resources: StepResources) -> Callable[[str], None]:
    """Return a function that writes lines to the step's log and to whoever watches the run."""

    def tell(text: str) -> None:
        for line in text.splitlines():
            resources.log(to_utf8(line).encode() + b"\n")
            handle.report_line(safe_line(mask_text(line, resources.hidden), 400))

    return tell


def ok_result(text: str, **outputs: Any) -> StepResult:
    """Return a successful result with its output text and outputs."""
    return StepResult(ok=True, output=text, outputs=outputs)
