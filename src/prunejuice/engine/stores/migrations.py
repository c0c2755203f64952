"""The database schema as numbered migrations. Never edit a released migration."""

MIGRATIONS: tuple[str, ...] = (
    # 1: runs, their events, and trusted files
    """
    CREATE TABLE runs (
        id TEXT PRIMARY KEY,
        project TEXT NOT NULL,
        command TEXT NOT NULL,
        status TEXT NOT NULL,
        parent TEXT NOT NULL,
        created REAL NOT NULL,
        summary TEXT NOT NULL
    ) STRICT;
    CREATE INDEX runs_by_time ON runs (created DESC);
    CREATE INDEX runs_by_status ON runs (status);
    CREATE TABLE events (
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        sequence INTEGER NOT NULL,
        kind TEXT NOT NULL,
        data TEXT NOT NULL,
        PRIMARY KEY (run, sequence)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE pins (
        project TEXT NOT NULL,
        file TEXT NOT NULL,
        digest TEXT NOT NULL,
        PRIMARY KEY (project, file)
    ) STRICT, WITHOUT ROWID;
    """,
)
