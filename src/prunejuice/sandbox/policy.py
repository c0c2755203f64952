"""Policies: which paths, hosts and resources the processes of a sandbox have. Values, without effects."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from prunejuice.sandbox.hosts import HostRule

MountKind = Literal["hidden", "read", "scratch", "bind", "write"]
_ORDER: tuple[MountKind, ...] = ("hidden", "read", "scratch", "bind", "write")
"""Of two mounts of the same path the later counts."""
GitAccess = Literal["none", "commit"]
"""Whether processes can commit to the branch of their worktree; the git directory is read-only else."""


class Bind(NamedTuple):
    """A path of this machine that processes see at another one."""

    source: str
    target: str
    is_writable: bool = True


class GivenFile(NamedTuple):
    """A file that a private folder has at the start."""

    target: str
    content: bytes


class Mount(NamedTuple):
    """A path in the sandbox, and what is there."""

    kind: MountKind
    target: str
    source: str = ""
    is_writable: bool = False


class ResourceLimits(NamedTuple):
    """Limits of one process tree: bytes of `memory` and of `disk`, `processes`, and seconds of `cpu`.

    0 is no limit. `disk` limits each file that is written.
    """

    memory: int = 0
    processes: int = 0
    cpu: int = 0
    disk: int = 0


class Policy(NamedTuple):
    """What the processes of a sandbox see and may do. All other paths are visible and read-only.

    Paths are absolute and real. Of nested paths the innermost counts: a `read` path below a `write` path is
    protected, one below a `hidden` path is an exception. What is written to `scratch` folders is thrown
    away, where the sandbox program can do that; elsewhere they are read-only or empty. `private` paths are
    empty folders of the process that begin with the `given` files. `binds` are shown elsewhere. `links` are
    symbolic links, with their targets, that a hidden or private folder would lack. `hosts` is None if the
    network is as it is; `ports` of this machine are reachable besides.
    """

    write: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    scratch: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    given: tuple[GivenFile, ...] = ()
    binds: tuple[Bind, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    hosts: tuple[HostRule, ...] | None = None
    ports: tuple[int, ...] = ()
    git: GitAccess = "none"
    limits: ResourceLimits = ResourceLimits()

    def list_mounts(self) -> list[Mount]:
        """Return the mounts in the order in which they are made, the outer ones first."""
        mounts = list(self._iter_mounts())
        return sorted(mounts, key=lambda mount: (_depth(mount.target), _ORDER.index(mount.kind)))

    def _iter_mounts(self) -> Iterator[Mount]:
        yield from (Mount("hidden", path) for path in (*self.hidden, *self.private))
        yield from (Mount("read", path, path) for path in self.read)
        yield from (Mount("scratch", path, path) for path in self.scratch)
        yield from (Mount("bind", bind.target, bind.source, bind.is_writable) for bind in self.binds)
        yield from (Mount("write", path, path, is_writable=True) for path in self.write)

    def is_visible(self, path: str) -> bool:
        """Return whether processes see a path of this machine, given as a real path."""
        covering = [mount for mount in self.list_mounts() if is_below(path, mount.target)]
        return not covering or covering[-1].kind in {"read", "scratch", "write"}

    def is_writable(self, path: str) -> bool:
        """Return whether processes may write to a path of this machine, given as a real path."""
        covering = [mount for mount in self.list_mounts() if is_below(path, mount.target)]
        return bool(covering) and covering[-1].kind == "write"


def is_below(path: str, folder: str) -> bool:
    """Return whether a path is a folder or below it."""
    return path == folder or path.startswith(f"{folder.rstrip(os.sep)}{os.sep}")


def _depth(path: str) -> int:
    return len(Path(path).parts)
