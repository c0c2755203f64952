"""The project, repository and settings that `plum` commands work with."""

import os
from pathlib import Path
from typing import NamedTuple

from prunejuice.app import wiring
from prunejuice.errors import UsageError
from prunejuice.system import settings
from prunejuice.worktrees import git as gits
from prunejuice.worktrees.git import Git
from prunejuice.worktrees.listing import read_first_line


class PlumEnvironment(NamedTuple):
    """The context of a `plum` command; `variables` are the settings of the shell tool."""

    app: wiring.App
    git: Git
    variables: dict[str, str | list[str]]

    def first_set(self, *names: str) -> str:
        """Return the first of the variables that is set, or nothing."""
        return next((str(self.variables[name]) for name in names if self.variables.get(name)), "")


def _locate(git: Git) -> Git:
    """Return git for the repository; at the root of a bare one, git for its first worktree.

    Raises:
        UsageError: the directory is in no repository, or in a bare one without a worktree.
    """
    try:
        return git.locate()
    except UsageError:
        common = git.try_run("rev-parse", "--path-format=absolute", "--git-common-dir").stdout
        folders = sorted(Path(os.fsdecode(common).strip(), "worktrees").glob("*/gitdir")) if common else []
        worktrees = (Path(read_first_line(folder)).parent for folder in folders)
        found = next((path for path in worktrees if path.is_dir()), None)
        if found is None:
            raise
        return git._replace(directory=str(found)).locate()


def open_environment() -> PlumEnvironment:
    """Return the context for the current directory.

    Raises:
        UsageError: the directory is not in a git repository.
    """
    app = wiring.open_app()
    git = _locate(gits.open_git(str(app.project.root), dict(app.environ)))
    return PlumEnvironment(app, git, settings.load_shell_tool_settings(app.environ, "plum"))
