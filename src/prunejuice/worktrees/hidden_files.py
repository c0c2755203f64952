"""Files that a sparse checkout leaves out, in an index of ours: the entries that the user's index has."""

import os
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import NamedTuple

from prunejuice.worktrees.checkout import SUBMODULE_MODE, diff_trees, format_index_line, scratch_index
from prunejuice.worktrees.clean_git_dir import SPARSE_PATTERNS
from prunejuice.worktrees.git import Git

_HIDDEN = "S"


class TrackedPath(NamedTuple):
    """A line of an index: the `tag` of `git ls-files -t`, and `version`, its mode and object id."""

    tag: str
    version: str


def may_be_sparse(git: Git) -> bool:
    """Return whether a worktree has sparse patterns; they may be switched off."""
    return (Path(git.git_dir) / SPARSE_PATTERNS).is_file()


def is_sparse(files: Git) -> bool:
    """Return whether `files`, git with a clean configuration, leaves out files."""
    setting = ("config", "--type=bool", "--get", "core.sparseCheckout")
    return may_be_sparse(files) and files.try_run(*setting).stdout.strip() == b"true"


def is_hidden(git: Git, path: str) -> bool:
    """Return whether the worktree of `git` leaves out a tracked path."""
    if not may_be_sparse(git):
        return False
    files = git.with_clean_config(Path(git.git_dir) / "index")
    return files.run("ls-files", "-t", "-z", "--", f":(literal){path}").startswith(_HIDDEN)


def read_entries(files: Git) -> dict[str, TrackedPath]:
    """Return the entries of the index of `files` by path."""
    lines = files.run("ls-files", "-z", "-t", "-s", limit=1 << 30).split("\0")
    rows = (line.partition("\t")[::2] for line in lines if line)
    return {path: TrackedPath(meta[0], meta[2:].rpartition(" ")[0]) for meta, path in rows}


def adopt_hidden_files(
    files: Git,
    ours: Mapping[str, TrackedPath],
    theirs: Mapping[str, TrackedPath],
    before_change: Callable[[], None],
) -> None:
    """Make the hidden files of our index those of the user's, without the ones that exist on the disk.

    `before_change` is called if anything is to be changed.
    """
    top = files.directory
    hidden = {
        path: entry
        for path, entry in theirs.items()
        if entry.tag == _HIDDEN and not os.path.lexists(os.path.join(top, path))  # noqa: PTH118
    }
    new = {path: entry for path, entry in hidden.items() if ours.get(path) != entry}
    shown = {path: e for path, e in ours.items() if e.tag == _HIDDEN and path not in hidden}
    if not (new or shown):
        return
    before_change()
    lines = [_index_line(path, entry.version) for path, entry in new.items()]
    lines += [
        _index_line(path, entry.version if path in theirs else _no_version(entry))
        for path, entry in shown.items()
    ]
    files.run("update-index", "-z", "--index-info", given=b"".join(lines), timeout=600)
    paths = b"".join(os.fsencode(path) + b"\0" for path in new)
    files.run("update-index", "-z", "--skip-worktree", "--stdin", given=paths, timeout=600)


def adopt_empty_submodules(
    files: Git,
    ours: Mapping[str, TrackedPath],
    theirs: Mapping[str, TrackedPath],
    before_change: Callable[[], None],
) -> None:
    """Make the submodules of our index that are not checked out those of the user's.

    Nothing on the disk tells the commit of one; only the user's index does. `before_change` is called if
    anything is to be changed.
    """
    lines = []
    for path in ours.keys() | theirs.keys():
        own, other = ours.get(path), theirs.get(path)
        is_submodule = any(entry and entry.version.startswith(SUBMODULE_MODE) for entry in (own, other))
        if own == other or not is_submodule or os.path.lexists(os.path.join(files.directory, path, ".git")):  # noqa: PTH118
            continue
        if other:
            lines.append(_index_line(path, other.version))
        elif own:
            lines.append(_index_line(path, _no_version(own)))
    if lines:
        before_change()
        files.run("update-index", "-z", "--index-info", given=b"".join(lines), timeout=600)


def _index_line(path: str, version: str) -> bytes:
    return f"{version}\t".encode() + os.fsencode(path) + b"\0"


def _no_version(entry: TrackedPath) -> str:
    """Return the version that removes an entry."""
    return "0 " + "0" * len(entry.version.partition(" ")[2])


def keep_hidden_files(files: Git, now: str, target: str, wanted: Set[str]) -> str:
    """Return the tree `target` with the hidden files of our index as in the tree `now`, but the `wanted`.

    Hidden are also files of `target` that are outside the patterns. Git would write them to the disk.
    """
    hidden = {path for path, entry in read_entries(files).items() if entry.tag == _HIDDEN}
    patterns = str(Path(files.git_dir) / SPARSE_PATTERNS)
    with scratch_index(files) as scratch:
        scratch.run("read-tree", target)
        inside = scratch.run("ls-files", "-z", "-c", "-i", "-X", patterns, limit=1 << 30).split("\0")
        new = {entry.path for entry in diff_trees(files, now, target) if entry.status == "A"}
        hidden |= new.difference(inside)
        kept = [entry for entry in diff_trees(files, target, now) if entry.path in hidden - wanted]
        lines = b"".join(map(format_index_line, kept))
        scratch.run("update-index", "-z", "--index-info", given=lines)
        return scratch.run("write-tree").strip()
