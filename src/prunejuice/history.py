"""Looking at runs: which there are, by the beginning of an id, and whether their driver still lives."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from prunejuice.errors import NotFoundError, UsageError
from prunejuice.lock import holder
from prunejuice.protocols import KILL, STOP, Stop, Store
from prunejuice.run import Run, replay
from prunejuice.text import safe_line
from prunejuice.view import NEW, Summary

DRIVER_LOCK = "driver.lock"


def load(run_id: str, store: Store) -> Run:
    """A run from its history.

    Raises:
        NotFoundError: there is no such run.
    """
    events = store.history(run_id)
    if not events:
        raise NotFoundError(f"there is no run {run_id!r}", "prj history lists them")
    return replay(run_id, events)


class History(NamedTuple):
    """The runs of this machine: `home` is the state directory."""

    home: Path
    store: Store

    def directory(self, run_id: str) -> Path:
        """The folder of a run."""
        return self.home / "runs" / run_id

    def lock(self, run_id: str) -> Path:
        """The file that the driver of a run holds locked."""
        return self.directory(run_id) / DRIVER_LOCK

    def request(self, run_id: str) -> Path:
        """The file by which the driver of a run is asked to stop it."""
        return self.directory(run_id) / "stop"

    def ask_to_stop(self, run_id: str, *, now: bool = False) -> None:
        """Ask whoever drives a run to end it: with its clean-up, or `now` without."""
        self.request(run_id).write_text("now" if now else "stop")

    def heed(self, run_id: str, stop: Stop) -> bool:
        """Whether the run is to stop: by `stop`, which rises when another process asked for it."""
        with suppress(OSError):
            stop.request(KILL if self.request(run_id).read_text() == "now" else STOP)
        return stop.level > 0

    def find(self, prefix: str) -> str:
        """The one run whose id begins so.

        Raises:
            NotFoundError: there is none.
            UsageError: there are several.
        """
        plain = prefix.lower()
        found = self.store.find(plain) if plain and set(plain) <= set("0123456789abcdef") else []
        if not found:
            shown = safe_line(prefix, 40)
            raise NotFoundError(f"there is no run {shown!r}", "prj history lists them")
        if len(found) > 1:
            shown = ", ".join(run_id[:12] for run_id in found)
            raise UsageError(f"{prefix!r} could be {shown}", "give more of the id")
        return found[0]

    def load(self, run_id: str) -> Run:
        """The state of a run, from its events."""
        return load(run_id, self.store)

    def lost(self, now: float | None = None) -> list[Summary]:
        """Runs that say they are running although nobody drives them."""
        return self.lost_among(self.store.summaries(statuses=("running", "pending"), children=True), now)

    def lost_among(self, lines: Sequence[Summary], now: float | None = None) -> list[Summary]:
        """Those of some runs that are lost."""
        now = time.time() if now is None else now
        old = [
            x for x in lines if x.status == "running" or (x.status == "pending" and now - x.created >= NEW)
        ]
        return [line for line in old if holder(self.lock(line.id)) is None]

    def runs(self, project: str, statuses: Sequence[str], limit: int) -> list[Summary]:
        """Lines about runs, newest first; of all projects when none is named."""
        return self.store.summaries(statuses=statuses, project=project, limit=limit)
