"""Files brought from one tree to another, when nothing that is in no tree would be lost by it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from prunejuice.errors import ConflictError
from prunejuice.git import Git

_FIX = "commit, stash or move it, then do this again; nothing was moved"
_LINK = "160000"


class Entry(NamedTuple):
    """What becomes of one path: modes and hash as in a tree, `status` as in `git diff --raw`."""

    old_mode: str
    new_mode: str
    new_hash: str
    status: str
    path: str


def files(git: Git, path: str | Path, git_dir: str | Path) -> Git:
    """Git for the files of a checkout, with its own index."""
    return git.bound(path, git_dir).apart(Path(git_dir) / "index")


def follow(checkout: Git, old: str, new: str, *, dry_run: bool = False) -> None:
    """Bring files from one commit to another; changes to other files stay.

    Raises:
        ConflictError: a change, or a file that git ignores, is in the way; nothing was moved.
    """
    # A copied or restored repository has other inodes and times than its index remembers.
    checkout.try_("update-index", "-q", "--refresh")
    if way := in_the_way(checkout.directory, changes(checkout, old, new)):
        raise ConflictError(f"{checkout.directory} has files in the way: {', '.join(way[:5])}", _FIX, way)
    _read(checkout, old, new, *(("-n",) if dry_run else ()))


def _read(checkout: Git, old: str, new: str, *options: str) -> None:
    done = checkout.try_("read-tree", "-m", "-u", *options, old, new, timeout=600)
    if done.code:
        said = done.err.decode("utf-8", "replace").strip().split("\n")[0][:300]
        raise ConflictError(f"{checkout.directory} has changes in the way: {said}", _FIX)


def changes(checkout: Git, old: str, new: str) -> list[Entry]:
    """What differs between two trees."""
    listed = checkout.run("diff-tree", "-r", "-z", "--raw", "--no-renames", old, new, "--", limit=1 << 28)
    parts = [part for part in listed.split("\0") if part]
    pairs = zip(parts[::2], parts[1::2], strict=True)
    rows = (([*meta.lstrip(":").split()], path) for meta, path in pairs)
    return [Entry(row[0], row[1], row[3], row[4], path) for row, path in rows]


def in_the_way(top: str, entries: list[Entry]) -> tuple[str, ...]:
    """The files in no tree that would be overwritten: git takes those that it ignores for worthless.

    A repository inside is in no tree either, even where a tree names its commit.
    """
    gone = {each.path for each in entries if each.status == "D" and each.old_mode != _LINK}
    added = [e.path for e in entries if e.status == "A" or _LINK in {e.old_mode, e.new_mode}]
    return tuple(sorted({name for path in added for name in _stray(top, path, gone)}))


def _stray(top: str, path: str, gone: set[str]) -> list[str]:
    """What stands where a new file is to be, or where one of its folders is to be."""
    parts = path.split("/")
    for end in range(1, len(parts) + 1):
        name = "/".join(parts[:end])
        place = os.path.join(top, name)  # noqa: PTH118 - names may be any bytes
        if os.path.islink(place) or os.path.isfile(place):  # noqa: PTH113, PTH114
            return [] if name in gone else [name]
    return [each for each in _inside(top, path) if each not in gone]


def _inside(top: str, path: str) -> list[str]:
    """The files in a folder that a file is to replace."""
    found = []
    for folder, _, names in os.walk(os.path.join(top, path)):  # noqa: PTH118
        found += [os.path.relpath(os.path.join(folder, name), top) for name in names]  # noqa: PTH118
    return found


# -- a checkout of the user's -----------------------------------------------------------------------


@contextmanager
def held(git: Git) -> Iterator[Git]:
    """Git for the files of a checkout, with a copy of its index that becomes the index in the end.

    The user's git finds the index locked meanwhile. When we are killed the lock is known to be ours,
    because it is the same file as one that has our name, and the next of us takes it away.

    Raises:
        ConflictError: the index is locked by another git, or the checkout has only a part of the files.
    """
    git_dir = Path(git.git_dir)
    index, lock, name = git_dir / "index", git_dir / "index.lock", git_dir / "prunejuice.index.lock"
    if (git_dir / "info/sparse-checkout").is_file() and git.try_("config", "core.sparseCheckout").code == 0:
        raise ConflictError(f"{git.directory} has only a part of the files (sparse checkout)", _FIX)
    if name.exists() and lock.exists() and name.samefile(lock):
        lock.unlink()
    name.write_bytes(b"")
    try:
        os.link(name, lock)
    except FileExistsError as error:
        name.unlink()
        fix = f"wait for the git that works there; if there is none: rm {lock}"
        raise ConflictError(f"{git.directory} has its index locked", fix) from error
    copied = git_dir / "prunejuice.land.index"
    try:
        if index.is_file():
            shutil.copy2(index, copied)
        yield git.apart(copied)
        shutil.copyfile(copied, lock)
        shutil.copystat(copied, lock)
        lock.replace(index)
    finally:
        lock.unlink(missing_ok=True)
        for each in (name, copied):
            each.unlink(missing_ok=True)


def bring_along(git: Git, old: str, new: str, *, dry_run: bool = False) -> None:
    """Let a checkout that stands on a branch follow it from one commit to another.

    Raises:
        ConflictError: something is in the way; nothing was moved.
    """
    with held(git) as checkout:
        follow(checkout, old, new, dry_run=dry_run)


def catch_up(git: Git, old: str, new: str) -> None:
    """Finish what was cut off while a checkout followed: some files are new already, others not.

    Raises:
        ConflictError: a file is neither as it was nor as it is to be.
    """
    with held(git) as checkout:
        entries = changes(checkout, old, new)
        done = _as_in(checkout, entries)
        lines = [_line(each) for each in entries if each.path in done]
        checkout.run("update-index", "-z", "--index-info", given=b"".join(lines))
        checkout.try_("update-index", "-q", "--refresh")
        if way := in_the_way(checkout.directory, [each for each in entries if each.path not in done]):
            raise ConflictError(f"{git.directory} has files in the way: {', '.join(way[:5])}", _FIX, way)
        _read(checkout, old, new)


def _as_in(checkout: Git, entries: list[Entry]) -> set[str]:
    """The paths whose files are already what they are to be."""
    scratch = Path(checkout.environ["GIT_INDEX_FILE"]).with_suffix(".scratch")
    trial = checkout._replace(environ={**checkout.environ, "GIT_INDEX_FILE": str(scratch)})
    there = [each for each in entries if each.status != "D"]
    try:
        trial.run("update-index", "-z", "--index-info", given=b"".join(map(_line, there)))
        trial.try_("update-index", "-q", "--refresh")
        differ = set(trial.run("diff-files", "-z", "--name-only", "--ignore-submodules=all").split("\0"))
    finally:
        scratch.unlink(missing_ok=True)
    gone = {
        e.path
        for e in entries
        if e.status == "D" and not os.path.lexists(Path(checkout.directory) / e.path)
    }
    return gone | {each.path for each in there if each.path not in differ}


def _line(each: Entry) -> bytes:
    if each.status == "D":
        return b"0 " + b"0" * len(each.new_hash) + b"\t" + os.fsencode(each.path) + b"\0"
    return f"{each.new_mode} {each.new_hash}\t".encode() + os.fsencode(each.path) + b"\0"
