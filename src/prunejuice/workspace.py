"""Where a run works: a directory, perhaps in a worktree of its own, perhaps with a session."""

from msgspec import Struct


class Workspace(Struct, frozen=True, omit_defaults=True):
    """`directory` is where steps start; the rest is empty when the run has none of its own.

    `base` is the commit that the worktree's branch began at, `made_branch` whether it was made for the run;
    `git_dir` and `common` are the git directories of the worktree, so that they need never be looked for
    in a place that an agent can write to. `port` is the first of ten that are the worktree's. It is
    `borrowed` when another run, which this one is a step of, made it and takes it away.
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
    def own_branch(self) -> str:
        """The branch, when it was made for the run; nothing when it was there before."""
        return self.branch if self.made_branch else ""
