"""The workspace of a run: its directory, worktree, branch and session."""

from msgspec import Struct


class Workspace(Struct, frozen=True, omit_defaults=True):
    """The directory in which steps start, and the worktree of the run, if it has one.

    `base` is the commit at which the branch began; `made_branch` is true if the branch was created for the
    run. `git_dir` and `common` are the git directories of the worktree. They are stored, because an agent
    could manipulate the `.git` file from which git would derive them. `port` is the first of ten ports
    reserved for the worktree. `borrowed` is true if the workspace belongs to a parent run.
    """

    directory: str
    worktree: str = ""
    branch: str = ""
    base: str = ""
    made_branch: bool = False
    session: str = ""
    git_dir: str = ""
    common: str = ""
    port: int = 0
    borrowed: bool = False

    @property
    def own_worktree(self) -> str:
        """Return the worktree if it was created for the run, else an empty text."""
        return "" if self.borrowed else self.worktree

    @property
    def own_branch(self) -> str:
        """Return the branch if it was created for the run, else an empty text."""
        return self.branch if self.made_branch else ""
