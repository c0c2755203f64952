"""A store in memory, for tests and experiments; it passes the same contract tests."""

from collections.abc import Mapping, Sequence

from prunejuice.engine.event import Event
from prunejuice.engine.view import RunSummary
from prunejuice.errors import StoreError, SupersededError


class MemoryStore:
    """A store that lives as long as its process."""

    def __init__(self) -> None:
        self._events: dict[str, list[Event]] = {}
        self._summaries: dict[str, RunSummary] = {}
        self._trusted_files: dict[str, dict[str, str]] = {}

    def create(self, run_id: str, events: Sequence[Event], summary: RunSummary) -> None:
        """Store the first events of a new run."""
        if run_id in self._summaries:
            raise StoreError(f"run {run_id} already exists")
        self._events[run_id] = list(events)
        self._summaries[run_id] = summary

    def append(self, run_id: str, after: int, events: Sequence[Event], summary: RunSummary) -> None:
        """Append events, all or none."""
        if len(self._events[run_id]) != after:
            raise SupersededError(f"another process drives run {run_id} now")
        self._events[run_id] += events
        self._summaries[run_id] = summary

    def read_events(self, run_id: str, after: int = 0) -> list[Event]:
        """Return the events of a run with numbers above `after`."""
        return self._events.get(run_id, [])[after:]

    def summaries(
        self,
        *,
        statuses: Sequence[str] = (),
        project: str = "",
        limit: int = 1000,
        children: bool = False,
    ) -> list[RunSummary]:
        """Return run summaries, newest first."""
        matches = [
            line
            for line in self._summaries.values()
            if (not statuses or line.status in statuses)
            and project in {"", line.project}
            and (children or not line.parent)
        ]
        return sorted(matches, key=lambda line: (-line.created, line.id))[:limit]

    def find_run_ids(self, prefix: str) -> list[str]:
        """Return up to ten run ids that start with `prefix`."""
        return sorted(run_id for run_id in self._summaries if run_id.startswith(prefix))[:10]

    def delete_run(self, run_id: str) -> None:
        """Delete a run and its nested runs."""
        nested_ids = [line.id for line in self._summaries.values() if line.parent == run_id]
        for nested_id in nested_ids:
            self.delete_run(nested_id)
        self._summaries.pop(run_id, None)
        self._events.pop(run_id, None)

    def trusted_files(self, project: str) -> dict[str, str]:
        """Return the trusted files of a project as path to digest."""
        return dict(self._trusted_files.get(project, {}))

    def trust_files(self, project: str, files: Mapping[str, str]) -> None:
        """Replace the trusted files of a project."""
        self._trusted_files[project] = dict(files)
