"""A store that logs every append, on top of the SQLite store."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from prunejuice.engine.event import Event
from prunejuice.engine.ports import Store
from prunejuice.engine.stores.sqlite import SqliteStore
from prunejuice.engine.view import RunSummary


class LoggingStore(SqliteStore):
    """Writes a line for each append into `acme.log`."""

    def append(self, run_id: str, after: int, events: Sequence[Event], summary: RunSummary) -> None:
        """Append events, then log them."""
        super().append(run_id, after, events, summary)
        with self.path.with_name("acme.log").open("a") as file:
            file.write(f"{run_id} {after + len(events)}\n")


def open_store(home: Path, environ: Mapping[str, str]) -> Store:
    """Open the store of a state directory."""
    return LoggingStore(home / "acme.db")
