"""Update the files of a checkout from one commit to another without losing uncommitted work."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from prunejuice.errors import ConflictError
from prunejuice.worktrees.git import Git

_FIX = "commit, stash or move them, then try again; no file was changed"
SUBMODULE_MODE = "160000"


class DiffEntry(NamedTuple):
    """One changed path: modes and hash as in a tree, `status` as in `git diff --raw`."""

    old_mode: str
    new_mode: str
    new_hash: str
    status: str
    path: str


def open_checkout_git(git: Git, path: str | Path, git_dir: str | Path) -> Git:
    """Return git for the files of a checkout, with its own index."""
    return git.for_worktree(path, git_dir).with_clean_config(Path(git_dir) / "index")


def update_files(checkout: Git, old: str, new: str, *, dry_run: bool = False) -> None:
    """Update the files from one commit to another; keep changes to other files.

    Raises:
        ConflictError: a changed, untracked or ignored file would be overwritten; no file was changed.
    """
    # In a copied or restored repository the inodes and times in the index are stale.
    checkout.try_run("update-index", "-q", "--refresh")
    if blocking := blocking_files(checkout.directory, diff_trees(checkout, old, new)):
        problem = f"untracked files would be overwritten in {checkout.directory}: {', '.join(blocking[:5])}"
        raise ConflictError(problem, _FIX, blocking)
    _read_tree(checkout, old, new, *(("-n",) if dry_run else ()))


def _read_tree(checkout: Git, old: str, new: str, *options: str) -> None:
    result = checkout.try_run("read-tree", "-m", "-u", *options, old, new, timeout=600)
    if result.code:
        first_line = result.stderr.decode("utf-8", "replace").strip().split("\n")[0][:300]
        problem = f"local changes would be overwritten in {checkout.directory}: {first_line}"
        raise ConflictError(problem, _FIX)


def diff_trees(checkout: Git, old: str, new: str) -> list[DiffEntry]:
    """Return the differences between two trees."""
    output = checkout.run("diff-tree", "-r", "-z", "--raw", "--no-renames", old, new, "--", limit=1 << 28)
    fields = [part for part in output.split("\0") if part]
    pairs = zip(fields[::2], fields[1::2], strict=True)
    rows = (([*meta.lstrip(":").split()], path) for meta, path in pairs)
    return [DiffEntry(row[0], row[1], row[3], row[4], path) for row, path in rows]


def blocking_files(top: str, entries: list[DiffEntry]) -> tuple[str, ...]:
    """Return the untracked and ignored files that an update would overwrite.

    Git treats ignored files as worthless and would overwrite them. The files of a nested repository count
    too, even where a tree has it as a submodule; of one that both trees have, git leaves the files alone.
    """
    deleted = {entry.path for entry in entries if entry.status == "D" and entry.old_mode != SUBMODULE_MODE}
    added = [
        entry.path
        for entry in entries
        if entry.status == "A"
        or (entry.old_mode != entry.new_mode and SUBMODULE_MODE in {entry.old_mode, entry.new_mode})
    ]
    return tuple(sorted({name for path in added for name in _blocking_paths(top, path, deleted)}))


def _blocking_paths(top: str, path: str, deleted: set[str]) -> list[str]:
    """Return the existing paths where a new file, or one of its folders, is to be created."""
    parts = path.split("/")
    for end in range(1, len(parts) + 1):
        name = "/".join(parts[:end])
        full_path = os.path.join(top, name)  # noqa: PTH118 - names may be any bytes
        if os.path.islink(full_path) or os.path.isfile(full_path):  # noqa: PTH113, PTH114
            return [] if name in deleted else [name]
    return [file_path for file_path in _files_below(top, path) if file_path not in deleted]


def _files_below(top: str, path: str) -> list[str]:
    """Return the files in a folder, relative to `top`."""
    paths = []
    for folder, _, names in os.walk(os.path.join(top, path)):  # noqa: PTH118
        paths += [os.path.relpath(os.path.join(folder, name), top) for name in names]  # noqa: PTH118
    return paths


# -- the user's checkout ----------------------------------------------------------------------------


@contextmanager
def lock_index(git: Git) -> Iterator[Git]:
    """Lock the index of a checkout, and yield git with a copy that replaces the index at the end.

    The user's git sees a locked index meanwhile. If this process is killed, the next one recognizes and
    removes the stale lock: it is a hard link to a file with a name of ours.

    Raises:
        ConflictError: another git process holds the lock.
    """
    git_dir = Path(git.git_dir)
    index, lock, marker = git_dir / "index", git_dir / "index.lock", git_dir / "prunejuice.index.lock"
    if marker.exists() and lock.exists() and marker.samefile(lock):
        lock.unlink()
    marker.write_bytes(b"")
    try:
        os.link(marker, lock)
    except FileExistsError as error:
        marker.unlink()
        fix = f"wait for the running git process; if there is none, run `rm {lock}`"
        raise ConflictError(f"the index of {git.directory} is locked", fix) from error
    index_copy = git_dir / "prunejuice.land.index"
    try:
        if index.is_file():
            shutil.copy2(index, index_copy)
        yield git.with_clean_config(index_copy)
        shutil.copyfile(index_copy, lock)
        shutil.copystat(index_copy, lock)
        lock.replace(index)
    finally:
        lock.unlink(missing_ok=True)
        for path in (marker, index_copy):
            path.unlink(missing_ok=True)


def finish_fast_forward(git: Git, old: str, new: str) -> None:
    """Finish an interrupted update of a checkout, which may have reached only some files.

    Raises:
        ConflictError: a file has neither its old nor its new content.
    """
    with lock_index(git) as checkout:
        entries = diff_trees(checkout, old, new)
        updated = _find_updated_paths(checkout, entries)
        lines = [format_index_line(entry) for entry in entries if entry.path in updated]
        checkout.run("update-index", "-z", "--index-info", given=b"".join(lines))
        checkout.try_run("update-index", "-q", "--refresh")
        if blocking := blocking_files(
            checkout.directory, [entry for entry in entries if entry.path not in updated]
        ):
            problem = f"untracked files would be overwritten in {git.directory}: {', '.join(blocking[:5])}"
            raise ConflictError(problem, _FIX, blocking)
        _read_tree(checkout, old, new)


def _find_updated_paths(checkout: Git, entries: list[DiffEntry]) -> set[str]:
    """Return the paths whose files already have their new content."""
    written = [entry for entry in entries if entry.status != "D"]
    with scratch_index(checkout) as scratch:
        scratch.run("update-index", "-z", "--index-info", given=b"".join(map(format_index_line, written)))
        scratch.try_run("update-index", "-q", "--refresh")
        changed = set(scratch.run("diff-files", "-z", "--name-only", "--ignore-submodules=all").split("\0"))
    deleted = {
        entry.path
        for entry in entries
        if entry.status == "D" and not os.path.lexists(Path(checkout.directory) / entry.path)
    }
    return deleted | {entry.path for entry in written if entry.path not in changed}


@contextmanager
def scratch_index(files: Git) -> Iterator[Git]:
    """Yield git with an empty index, which is deleted at the end."""
    index = Path(files.environ["GIT_INDEX_FILE"]).with_suffix(".scratch")
    index.unlink(missing_ok=True)  # left by a killed process
    try:
        yield files._replace(environ={**files.environ, "GIT_INDEX_FILE": str(index)})
    finally:
        index.unlink(missing_ok=True)


def format_index_line(entry: DiffEntry) -> bytes:
    """Return the line of `git update-index --index-info` for the new version of a path."""
    if entry.status == "D":
        return b"0 " + b"0" * len(entry.new_hash) + b"\t" + os.fsencode(entry.path) + b"\0"
    return f"{entry.new_mode} {entry.new_hash}\t".encode() + os.fsencode(entry.path) + b"\0"
