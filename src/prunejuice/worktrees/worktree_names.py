"""Names of branches and paths of worktrees, from patterns."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from prunejuice.errors import UsageError
from prunejuice.worktrees.git import Git


def worktree_path(git: Git, parent: str, branch: str) -> Path:
    """Return the path for a branch's worktree: in `parent`, or in a folder beside the main worktree."""
    main = Path(git.main_worktree or git.common)
    folder = Path(parent or f"{main.name}-worktrees").expanduser()
    return Path(os.path.normpath(main.parent / folder / re.sub(r"[^\w.+,=@-]", "-", branch)))


def format_branch_name(pattern: str, values: Mapping[str, str]) -> str:
    """Fill the placeholders of a pattern such as `{prefix}-{suffix}`.

    Raises:
        UsageError: the pattern has an unknown placeholder.
    """
    unknown = [name for name in re.findall(r"\{(.*?)\}", pattern) if name not in values]
    if unknown:
        placeholders = ", ".join(f"{{{name}}}" for name in values)
        problem = f"unknown placeholder {{{unknown[0]}}} in the branch pattern {pattern!r}"
        raise UsageError(problem, f"use one of {placeholders}")
    return re.sub(r"\{(.*?)\}", lambda match: values[match.group(1)], pattern)
