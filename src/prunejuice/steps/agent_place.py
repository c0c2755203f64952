"""Choose the folder in which an agent gets its copy of the tree.

Programs that people work in remember by its path whether a folder may be trusted. So an interactive agent
gets the same folder each time, one for each project; other agents get a folder of their run.
"""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from prunejuice.system.lock import FileLock
from prunejuice.system.private import make_private_folder

_PLACE_FILE, _OWNER_FILE, _LOCK_FILE = "place", "owner", "lock"


@contextmanager
def open_agent_place(agent: str, work: Path, home: Path, project: str) -> Iterator[Path]:
    """Yield the folder for the copies of an agent, such as `interactive:codex`; no other run uses it.

    `work` is the folder of the run for this visit, `home` the state directory.
    """
    if agent.partition(":")[0] != "interactive":
        yield work
        return
    name = f"{Path(project).name}-{hashlib.sha256(project.encode()).hexdigest()[:8]}"
    place, lock = next(filter(None, (_try_place(home / "interactive", name, n) for n in count(1))))
    try:
        make_private_folder(work)
        (place / _OWNER_FILE).write_text(str(work))
        (work / _PLACE_FILE).write_text(str(place))
        yield place
        (place / _OWNER_FILE).unlink()
    finally:
        lock.release()


def _try_place(folder: Path, name: str, number: int) -> tuple[Path, FileLock] | None:
    """Return a place and its lock, or None if a run uses it, or was killed in it."""
    place = folder / (name if number == 1 else f"{name}-{number}")
    make_private_folder(place)
    lock = FileLock(place / _LOCK_FILE)
    if not lock.acquire(0):
        return None
    if any(place.glob("replica-*")) and (place / _OWNER_FILE).is_file():
        lock.release()
        return None
    return place, lock


@contextmanager
def open_interrupted_copies(work: Path) -> Iterator[list[Path]]:
    """Yield the copies that an interrupted visit left behind, and delete them at the end."""
    place = work
    with suppress(OSError):
        place = Path((work / _PLACE_FILE).read_text())
    if place == work:
        yield sorted(work.glob("replica-*"))
        shutil.rmtree(work, ignore_errors=True)
        return
    lock = FileLock(place / _LOCK_FILE)
    if not (place.is_dir() and lock.acquire(0)):
        yield []
        return
    try:
        is_owner = (place / _OWNER_FILE).is_file() and (place / _OWNER_FILE).read_text() == str(work)
        copies = sorted(place.glob("replica-*")) if is_owner else []
        yield copies
        for copy in copies:
            shutil.rmtree(copy, ignore_errors=True)
        shutil.rmtree(work, ignore_errors=True)
    finally:
        lock.release()
