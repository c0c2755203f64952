"""Reserve ports for the services of a worktree."""

import contextlib
import hashlib
import json
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from prunejuice.errors import StepError
from prunejuice.system.lock import hold_lock
from prunejuice.system.private import make_private_folder
from prunejuice.worktrees.oplog import write_atomically

PORT_BLOCKS = range(20_000, 30_000, 10)
"""First ports of the blocks of ten, below the ephemeral ports that the kernel assigns."""


def port_variables(first: int) -> dict[str, str]:
    """Return `PRUNEJUICE_PORT`, and `PRUNEJUICE_PORT_1` to `_9` for the ports that follow.

    Without a first port (0), there are no variables.
    """
    if not first:
        return {}
    others = {f"PRUNEJUICE_PORT_{number}": str(first + number) for number in range(1, 10)}
    return {"PRUNEJUICE_PORT": str(first), **others}


def allocate_ports(home: Path, owner: Path) -> int:
    """Return the first of ten free ports, reserved for a worktree as long as its folder exists.

    Raises:
        StepError: every block is reserved or in use.
    """
    registry = home / "ports.json"
    make_private_folder(home)
    with hold_lock(home / "ports.lock", 30):
        reserved = {port: path for port, path in _read_registry(registry) if Path(path).is_dir()}
        first = next((port for port, path in reserved.items() if path == str(owner)), None)
        if first is None:
            candidates = (port for port in _ordered_blocks(home) if port not in reserved)
            first = next(filter(_is_free, candidates), None)
        if first is None:
            raise StepError("no block of ten ports is free", f"remove unused worktrees; see {registry}")
        reserved[first] = str(owner)
        write_atomically(
            registry, json.dumps({str(port): path for port, path in reserved.items()}).encode()
        )
    return first


def _ordered_blocks(home: Path) -> Sequence[int]:
    """Return the first ports of all blocks, from a place that differs by state directory.

    Users of one machine do not see each other's reservations.
    """
    digest = hashlib.sha256(os.fsencode(home)).digest()
    start = int.from_bytes(digest[:8]) % len(PORT_BLOCKS)
    return [*PORT_BLOCKS[start:], *PORT_BLOCKS[:start]]


def _read_registry(registry: Path) -> Iterator[tuple[int, str]]:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        for port, path in json.loads(registry.read_bytes()).items():
            yield int(port), str(path)


def _is_free(first: int) -> bool:
    for port in range(first, first + 10):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
