"""The output of `plum --config`."""

import shlex

from prunejuice.cli import render
from prunejuice.cli.plum.environment import open_environment
from prunejuice.text import safe_line


def show_config() -> None:
    """Print every setting of `plum` and its value."""
    environment = open_environment()
    rows = [
        (name, shlex.join(value) if isinstance(value, list) else value)
        for name, value in sorted(environment.variables.items())
    ]
    project_settings = environment.app.settings
    rows += [
        (f"setting {name}", str(getattr(project_settings, name)))
        for name in ("worktree_parent", "setup", "trash_days")
    ]
    for row in render.align_columns((safe_line(name), safe_line(value)) for name, value in rows):
        render.print_line(row)
