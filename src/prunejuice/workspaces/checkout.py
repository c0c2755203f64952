"""Files brought from one tree to another, when nothing that is in no tree would be lost by it."""

import os
from pathlib import Path

from prunejuice.errors import ConflictError
from prunejuice.git import Git


def files(git: Git, path: str | Path, git_dir: str | Path) -> Git:
    """Git for the files of a checkout, with its own index."""
    return git.bound(path, git_dir).apart(Path(git_dir) / "index")


def follow(checkout: Git, old: str, new: str, *, dry_run: bool = False) -> None:
    """Bring files from one commit to another; changes to other files stay.

    Raises:
        ConflictError: a change, or a file that git ignores, is in the way; nothing was moved.
    """
    fix = "commit, stash or move it, then do this again; nothing was moved"
    if way := in_the_way(checkout, old, new):
        raise ConflictError(f"{checkout.directory} has files in the way: {', '.join(way[:5])}", fix, way)
    options = ("-n",) if dry_run else ()
    done = checkout.try_("read-tree", "-m", "-u", *options, old, new, timeout=600)
    if done.code:
        said = done.err.decode("utf-8", "replace").strip()[:400]
        raise ConflictError(f"{checkout.directory} has changes in the way: {said}", fix)


def in_the_way(checkout: Git, old: str, new: str) -> tuple[str, ...]:
    """The files in no tree that would be overwritten: git takes those that it ignores for worthless."""
    asked = ("-r", "-z", "--no-renames", "--name-only")
    added = _paths(checkout, *asked, "--diff-filter=A", old, new)
    gone = set(_paths(checkout, *asked, "--diff-filter=D", old, new)) if added else set()
    top = checkout.directory
    found = {name for path in added for name in _stray(top, path, gone)}
    return tuple(sorted(found))


def _paths(checkout: Git, *asked: str) -> list[str]:
    return [path for path in checkout.run("diff-tree", *asked, "--", limit=1 << 28).split("\0") if path]


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
