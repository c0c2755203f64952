"""Formats of ages, sizes and tables."""

import time

import pytest

from prunejuice.cli import render
from prunejuice.system import diagnostics


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-86_400, "0.0 s"),
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (61, "1 min 01 s"),
        (3 * 3600 + 120, "3 h 02 min"),
    ],
)
def test_durations(seconds, shown):
    assert render.format_duration(seconds) == shown


@pytest.mark.parametrize(
    ("passed", "shown"), [(0, "0 s ago"), (90, "1 min ago"), (7300, "2 h ago"), (200_000, "2 d ago")]
)
def test_times_past(passed, shown):
    assert render.format_age(time.time() - passed) == shown


def test_columns_are_aligned_by_what_is_seen():
    assert list(render.align_columns([("\x1b[31mab\x1b[0m", "x"), ("c", "")])) == [
        "\x1b[31mab\x1b[0m  x",
        "c",
    ]
    assert list(render.align_columns([])) == []


def test_the_programs_log_has_a_limit_and_failing_to_write_it_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(diagnostics, "MAX_BYTES", 10)
    path = tmp_path / "log" / "prunejuice.log"
    diagnostics.configure(path, verbose=False)
    diagnostics.log_event("one", thing=1)
    diagnostics.log_event("two")
    assert '"one"' in path.with_suffix(".log.1").read_text()
    assert '"two"' in path.read_text()
    diagnostics.configure(tmp_path / "log" / "prunejuice.log" / "x", verbose=False)
    diagnostics.log_event("three")
    assert diagnostics.log_crash(ValueError("x")) is None
