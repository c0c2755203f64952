"""What use cases are tried in: a tree of its own, and a way to stop."""

import pytest

from prunejuice.protocols import Stop


@pytest.fixture
def stop():
    made = Stop()
    yield made
    made.close()


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("PRUNEJUICE_HOME", str(tmp_path / "state"))
    (tmp_path / "tree").mkdir()
    return tmp_path / "tree"
