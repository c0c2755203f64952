"""Open the store of the run history, by name or entry point."""

from collections.abc import Mapping
from pathlib import Path

from prunejuice.engine.ports import Store, TrustStore
from prunejuice.engine.stores.sqlite import SqliteStore
from prunejuice.system.extensions import ExtensionPoint

EXTENSIONS = ExtensionPoint(
    "prunejuice.stores", {"sqlite": "prunejuice.engine.stores.registry:open_sqlite"}
)
"""Stores by name: a function `(state_directory, environ) → Store`. `PRUNEJUICE_STORE` names one."""


def open_store(home: Path, environ: Mapping[str, str]) -> Store:
    """Open the store of the run history.

    Raises:
        NotFoundError: `PRUNEJUICE_STORE` names an unknown store.
    """
    name = environ.get("PRUNEJUICE_STORE") or "sqlite"
    # The usual store is opened without asking for entry points: reading commands have to be fast.
    store: Store = open_sqlite(home, environ) if name == "sqlite" else EXTENSIONS.load(name)(home, environ)
    return store


def open_trust_store(home: Path) -> TrustStore:
    """Open the store of trusted files, which is always on this machine."""
    return open_sqlite(home, {})


def open_sqlite(home: Path, _environ: Mapping[str, str]) -> SqliteStore:
    """Open the SQLite database of a state directory; it is created when it is first written to."""
    return SqliteStore(home / "prunejuice.db")
