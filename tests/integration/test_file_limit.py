"""Runs with many steps end well on systems that allow few open files."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from prunejuice.system import file_limit

WIDE = """
max_parallel: 64
steps: [{name: p, matrix: {i: [%s]}, script: "sleep 0.2; echo x"}]
"""


@pytest.mark.parametrize("limit", [64, 128])
def test_a_wide_run_starts_only_as_many_steps_as_files_allow(project, limit):
    project.command("wide", WIDE % ", ".join(map(str, range(24))))
    prj = Path(sys.executable).with_name("prj")
    script = f"ulimit -n {limit} && exec {prj} run wide --json"
    made = subprocess.run(
        ["bash", "-c", script], cwd=project.root, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    run = json.loads(made.stdout)
    assert [step["status"] for step in run["steps"]] == ["completed"] * 24


@pytest.mark.parametrize(
    ("soft", "hard", "wanted"),
    [
        (256, resource.RLIM_INFINITY, 4096),
        (256, 1 << 20, 4096),
        (256, 1024, 1024),
        (8192, 1 << 20, 8192),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, resource.RLIM_INFINITY),
    ],
)
def test_the_limit_is_raised_and_never_lowered(monkeypatch, soft, hard, wanted):
    limits = [soft, hard]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: limits.__setitem__(slice(None), new))
    file_limit.raise_file_limit()
    assert limits == [wanted, hard]
    assert file_limit.count_possible_steps() >= 1


def test_a_system_that_refuses_keeps_its_limit(monkeypatch):
    def refuse(*_):
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (32, 4096))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    monkeypatch.setattr(file_limit.os, "listdir", refuse_folder)
    file_limit.raise_file_limit()
    assert file_limit.count_possible_steps() == 1


def refuse_folder(_):
    raise OSError("no such folder")
