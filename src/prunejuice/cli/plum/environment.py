"""The project, repository and settings that `plum` commands work with."""

from typing import NamedTuple

from prunejuice.app import wiring
from prunejuice.system import settings
from prunejuice.worktrees import git as gits
from prunejuice.worktrees.git import Git


class PlumEnvironment(NamedTuple):
    """The context of a `plum` command; `variables` are the settings of the shell tool."""

    app: wiring.App
    git: Git
    variables: dict[str, str | list[str]]

    def first_set(self, *names: str) -> str:
        """Return the first of the variables that is set, or nothing."""
        return next((str(self.variables[name]) for name in names if self.variables.get(name)), "")


def open_environment() -> PlumEnvironment:
    """Return the context for the current directory.

    Raises:
        UsageError: the directory is not in a git repository.
    """
    app = wiring.open_app()
    git = gits.open_git(str(app.project.root), dict(app.environ)).locate()
    return PlumEnvironment(app, git, settings.load_shell_tool_settings(app.environ, "plum"))
