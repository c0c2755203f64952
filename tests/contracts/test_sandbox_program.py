"""The contract of sandbox programs: every one that can be had here."""

import os
import shutil
from pathlib import Path

import pytest

from prunejuice.sandbox.programs.bwrap import Bubblewrap
from prunejuice.sandbox.programs.container import Container
from prunejuice.sandbox.programs.registry import EXTENSIONS, find_program
from prunejuice.sandbox.programs.seatbelt import Seatbelt
from prunejuice.sandbox.programs.srt import SandboxRuntime
from prunejuice.testing.contracts import check_sandbox_program


def own_bwrap():
    return Bubblewrap()


def system_bwrap():
    found = shutil.which("bwrap")
    return Bubblewrap([found] if found else [])


def container():
    return Container(image=os.environ.get("PRUNEJUICE_TEST_IMAGE", ""))


@pytest.mark.parametrize("create", [own_bwrap, system_bwrap, Seatbelt, SandboxRuntime, container])
def test_it_contains_what_a_policy_names(create, tmp_path):
    if problem := create().find_problem(os.environ)[0]:
        pytest.skip(problem)
    check_sandbox_program(create, Path(tmp_path).resolve())


def test_every_name_is_a_program():
    for name in EXTENSIONS.names():
        assert EXTENSIONS.load(name)().name == name
    assert find_program("", os.environ).name in {"bwrap", "seatbelt"}
