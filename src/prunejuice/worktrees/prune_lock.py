"""Lock a worktree in which change sets wait: git then neither prunes nor removes its git directory."""

from contextlib import suppress
from pathlib import Path

_LOCK_FILE = "locked"
_LINK_FILE = "gitdir"
"""A file that only the git directory of a linked worktree has."""
_REASON = "change sets of prunejuice wait in it: run `codebot pending list --all`, then apply or drop them"


def lock_while_waiting(git_dir: Path, *, is_waiting: bool) -> None:
    """Lock a linked worktree, or remove the lock again. The lock of a user stays as it is.

    Raises:
        OSError: the lock could not be written.
    """
    lock = git_dir / _LOCK_FILE
    if is_waiting and not lock.exists() and (git_dir / _LINK_FILE).is_file():
        lock.write_text(f"{_REASON}\n")
    elif not is_waiting and lock.is_file() and not read_users_lock(git_dir):
        lock.unlink(missing_ok=True)


def read_users_lock(git_dir: Path) -> str:
    """Return the reason of a user's lock, "locked" if it has none, or "" if there is no such lock."""
    with suppress(FileNotFoundError):
        reason = (git_dir / _LOCK_FILE).read_text(errors="surrogateescape").partition("\n")[0]
        return "" if reason == _REASON else reason or "locked"
    return ""
