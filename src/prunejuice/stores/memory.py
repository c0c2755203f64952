"""The history in memory, for tests and for trying things out; passes the same contract."""

from collections.abc import Mapping, Sequence

from prunejuice.errors import StoreError, SupersededError
from prunejuice.event import Event
from prunejuice.view import Summary


class MemoryStore:
    """A store that is gone with its process."""

    def __init__(self) -> None:
        self._events: dict[str, list[Event]] = {}
        self._lines: dict[str, Summary] = {}
        self._pins: dict[str, dict[str, str]] = {}

    def create(self, run_id: str, first: Sequence[Event], summary: Summary) -> None:
        """Keep the first events of a new run."""
        if run_id in self._lines:
            raise StoreError(f"there is a run {run_id} already")
        self._events[run_id] = list(first)
        self._lines[run_id] = summary

    def append(self, run_id: str, after: int, more: Sequence[Event], summary: Summary) -> None:
        """Keep more events, all or none."""
        if len(self._events[run_id]) != after:
            raise SupersededError(f"run {run_id} is driven by another process now")
        self._events[run_id] += more
        self._lines[run_id] = summary

    def history(self, run_id: str, after: int = 0) -> list[Event]:
        """The events of a run with numbers above `after`."""
        return self._events.get(run_id, [])[after:]

    def summaries(
        self,
        *,
        statuses: Sequence[str] = (),
        project: str = "",
        limit: int = 1000,
        children: bool = False,
    ) -> list[Summary]:
        """Lines about runs, newest first."""
        found = [
            line
            for line in self._lines.values()
            if (not statuses or line.status in statuses)
            and project in {"", line.project}
            and (children or not line.parent)
        ]
        return sorted(found, key=lambda line: (-line.created, line.id))[:limit]

    def find(self, prefix: str) -> list[str]:
        """The ids that begin with `prefix`, at most ten."""
        return sorted(run_id for run_id in self._lines if run_id.startswith(prefix))[:10]

    def forget(self, run_id: str) -> None:
        """Remove a run and the runs inside it."""
        inner = [line.id for line in self._lines.values() if line.parent == run_id]
        for each in inner:
            self.forget(each)
        self._lines.pop(run_id, None)
        self._events.pop(run_id, None)

    def pins(self, project: str) -> dict[str, str]:
        """The files of a project that were trusted."""
        return dict(self._pins.get(project, {}))

    def pin(self, project: str, trusted: Mapping[str, str]) -> None:
        """Trust exactly these files of a project from now on."""
        self._pins[project] = dict(trusted)
