"""Branches that only a remote has: find them by their short name, and track them, as git does."""

from typing import NamedTuple

from prunejuice.errors import UsageError
from prunejuice.text import safe_line
from prunejuice.worktrees.git import Git


class RemoteBranch(NamedTuple):
    """A branch of a remote, with its commit as it was last fetched."""

    remote: str
    branch: str
    commit: str

    @property
    def ref(self) -> str:
        """Its short name, such as `origin/topic`."""
        return f"{self.remote}/{self.branch}"


def list_remote_branches(git: Git, branch: str) -> list[RemoteBranch]:
    """Return the branches of this name, one for each remote that has it."""
    remotes = git.run("remote").split("\n")
    commits = {remote: git.resolve(f"refs/remotes/{remote}/{branch}") for remote in remotes if remote}
    return [RemoteBranch(remote, branch, commit) for remote, commit in commits.items() if commit]


def find_remote_branch(git: Git, branch: str) -> RemoteBranch | None:
    """Return the branch of a remote that a name without a local branch means; None if no remote has it.

    Raises:
        UsageError: several remotes have the branch, and `checkout.defaultRemote` names none of them.
    """
    if not branch or git.resolve(f"refs/heads/{branch}"):
        return None
    found = list_remote_branches(git, branch)
    if len(found) > 1:
        preferred = git.try_run("config", "--get", "checkout.defaultRemote").stdout.decode().strip()
        found = [each for each in found if each.remote == preferred] or found
    if len(found) > 1:
        refs = ", ".join(each.ref for each in found)
        raise UsageError(
            f"branch {safe_line(branch, 80)!r} is on several remotes: {safe_line(refs, 200)}",
            f"name one of them with --from, such as --from {safe_line(found[0].ref, 80)}",
        )
    return found[0] if found else None


def track_branch(git: Git, found: RemoteBranch) -> None:
    """Let a new local branch track the branch of the remote.

    Raises:
        GitError: git failed.
    """
    git.run("branch", "--quiet", f"--set-upstream-to={found.ref}", found.branch)
