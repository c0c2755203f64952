"""The runs of this machine: find one by an id prefix, list them, and detect runs without a driver."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from prunejuice.engine.ports import Store
from prunejuice.engine.run import Run, replay
from prunejuice.engine.view import NEW_RUN_SECONDS, RunSummary
from prunejuice.errors import NotFoundError, UsageError
from prunejuice.system.lock import holder_pid
from prunejuice.system.stop_request import KILL, STOP, Stop
from prunejuice.text import safe_line

DRIVER_LOCK = "driver.lock"
_MAX_RUNS = 500


def load_run(run_id: str, store: Store) -> Run:
    """Return a run, replayed from its events.

    Raises:
        NotFoundError: No run has this id.
    """
    events = store.read_events(run_id)
    if not events:
        raise NotFoundError(f"unknown run {run_id!r}", "run `prj history` to list the runs")
    return replay(run_id, events)


class RunHistory(NamedTuple):
    """The runs in one store; `home` is the state directory."""

    home: Path
    store: Store

    def run_directory(self, run_id: str) -> Path:
        """Return the directory of a run."""
        return self.home / "runs" / run_id

    def lock_path(self, run_id: str) -> Path:
        """Return the lock file that the driver of a run holds."""
        return self.run_directory(run_id) / DRIVER_LOCK

    def stop_request_path(self, run_id: str) -> Path:
        """Return the file that asks the driver of a run to stop."""
        return self.run_directory(run_id) / "stop"

    def request_stop(self, run_id: str, *, now: bool = False) -> None:
        """Ask the driver of a run to stop; `now` skips the clean-up."""
        self.stop_request_path(run_id).write_text("now" if now else "stop")

    def poll_stop_request(self, run_id: str, stop: Stop) -> bool:
        """Raise `stop` if another process asked the run to stop; return whether it should stop."""
        with suppress(OSError):
            stop.request(KILL if self.stop_request_path(run_id).read_text() == "now" else STOP)
        return stop.level > 0

    def find_run_id(self, prefix: str) -> str:
        """Return the id of the one run whose id starts with `prefix`.

        Raises:
            NotFoundError: No run id starts with it.
            UsageError: Several run ids start with it.
        """
        digits = prefix.lower()
        # The store searches a range of hexadecimal ids, so any other character would match wrongly.
        is_hex = bool(digits) and set(digits) <= set("0123456789abcdef")
        run_ids = self.store.find_run_ids(digits) if is_hex else []
        if not run_ids:
            shown = safe_line(prefix, 40)
            raise NotFoundError(f"unknown run {shown!r}", "run `prj history` to list the runs")
        if len(run_ids) > 1:
            candidates = ", ".join(run_id[:12] for run_id in run_ids)
            raise UsageError(f"ambiguous run id {prefix!r}: {candidates}", "give more digits of the id")
        return run_ids[0]

    def load_run(self, run_id: str) -> Run:
        """Return a run, replayed from its events."""
        return load_run(run_id, self.store)

    def lost_runs(self, now: float | None = None) -> list[RunSummary]:
        """Return the active runs that no process drives; `now` is in seconds since 1970."""
        return self.filter_lost_runs(
            self.store.summaries(statuses=("running", "pending"), children=True), now
        )

    def filter_lost_runs(
        self, summaries: Sequence[RunSummary], now: float | None = None
    ) -> list[RunSummary]:
        """Return those of `summaries` that are active although no process drives them."""
        now = time.time() if now is None else now
        # A new run is pending without a lock until its driver has started.
        active = [
            run
            for run in summaries
            if run.status == "running" or (run.status == "pending" and now - run.created >= NEW_RUN_SECONDS)
        ]
        return [run for run in active if holder_pid(self.lock_path(run.id)) is None]

    def find_run_of_worktree(self, worktree: str) -> RunSummary | None:
        """Return the newest run that works in a worktree, among the last 500 of all projects; or None."""
        return next((run for run in self.list_runs("", (), _MAX_RUNS) if run.worktree == worktree), None)

    def list_runs(self, project: str, statuses: Sequence[str], limit: int) -> list[RunSummary]:
        """Return run summaries, newest first; an empty `project` selects all projects."""
        return self.store.summaries(statuses=statuses, project=project, limit=limit)
