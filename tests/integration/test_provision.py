"""Copied files, set-up and ports of a new worktree."""

import fcntl
import json
import os
import socket
import sys
from pathlib import Path

import pytest

from prunejuice.environments import ignored_files, ports, setup_command
from prunejuice.errors import StepError
from prunejuice.system import process
from prunejuice.system.settings import Settings
from prunejuice.worktrees import clone_file
from prunejuice.worktrees import git as gits


@pytest.fixture
def door(repository):
    return gits.open_git(repository, dict(os.environ)).locate()


def test_only_ignored_files_that_are_named_are_included(door, repository):
    (repository / ".gitignore").write_text(".env*\nnode_modules/\n*.log\n")
    (repository / ".worktreeinclude").write_text(".env*\n!.env.example\nnode_modules/kept/\nmine.txt\n")
    for name in (
        ".env",
        ".env.local",
        ".env.example",
        "x.log",
        "mine.txt",
        "node_modules/kept/a",
        "node_modules/b",
    ):
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(name)
    assert sorted(ignored_files.list_included_files(door)) == [".env", ".env.local", "node_modules/kept/a"]


def test_no_list_or_a_link_to_one_includes_nothing(door, repository, tmp_path):
    assert ignored_files.list_included_files(door) == []
    (tmp_path / "list").write_text("*\n")
    (repository / ".worktreeinclude").symlink_to(tmp_path / "list")
    assert ignored_files.list_included_files(door) == []


def test_copies_keep_mode_and_links_and_never_overwrite(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "deep").mkdir(parents=True)
    target.mkdir()
    (source / "run.sh").write_text("x")
    (source / "run.sh").chmod(0o750)
    (source / "deep" / "f").write_bytes(b"\x00" * 3_000_000)
    (source / "link").symlink_to("deep/f")
    (source / "there").write_text("source")
    (target / "there").write_text("target")
    os.mkfifo(source / "pipe")
    found = {
        each.path: each.why
        for each in ignored_files.copy_files(
            source, target, ["run.sh", "deep", "link", "there", "gone", "pipe"]
        )
    }
    assert found == {
        "run.sh": "",
        "deep": "",
        "link": "",
        "there": "",
        "gone": "not found in source directory",
        "pipe": "is not a file",
    }
    assert (target / "run.sh").stat().st_mode & 0o777 == 0o750
    assert (target / "deep" / "f").read_bytes() == (source / "deep" / "f").read_bytes()
    assert os.readlink(target / "link") == "deep/f"
    assert (target / "there").read_text() == "target"
    assert str(ignored_files.CopyResult("a")) == "  ✓ Copied a"


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", ".git/config", "out/f", "sub/../../secret"])
def test_paths_outside_the_worktree_or_in_git_are_not_copied(tmp_path, name):
    source, target = tmp_path / "source", tmp_path / "target"
    for folder in (source, target, tmp_path / "else"):
        folder.mkdir()
    (tmp_path / "secret").write_text("s")
    (tmp_path / "else" / "f").write_text("s")
    (source / ".git").mkdir()
    (source / ".git" / "config").write_text("x")
    (source / "out").symlink_to(tmp_path / "else")
    (copied,) = ignored_files.copy_files(source, target, [name])
    assert copied.why != ""
    assert list(target.iterdir()) == []


def test_a_link_in_the_worktree_is_not_written_through(tmp_path):
    source, target, other = tmp_path / "source", tmp_path / "target", tmp_path / "other"
    for folder in (source / "d", target, other):
        folder.mkdir(parents=True)
    (source / "d" / "f").write_text("x")
    (target / "d").symlink_to(other)
    assert "link" in ignored_files.copy_files(source, target, ["d/f"])[0].why
    assert list(other.iterdir()) == []


@pytest.mark.parametrize("how", ["shared", "refused", "elsewhere"])
def test_blocks_are_shared_where_the_system_can(tmp_path, monkeypatch, how):
    asked = []

    def ioctl(target, request, source):
        asked.append(request)
        if how == "refused":
            raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    monkeypatch.setattr(sys, "platform", "darwin" if how == "elsewhere" else "linux")
    (tmp_path / "a").write_bytes(b"x" * 2_000_000)
    assert clone_file.clone_file(tmp_path / "a", tmp_path / "b") == (how == "shared")
    assert asked == ([] if how == "elsewhere" else [0x40049409])
    if how != "shared":
        assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()


def run_setup(tmp_path, command, inputs=(), timeout=120.0):
    said = bytearray()
    settings = Settings(tmp_path, setup=command, setup_inputs=inputs, setup_timeout=timeout, grace=1)
    call = process.ProcessSpec((), "/", {"PATH": os.environ["PATH"], "PRUNEJUICE_PORT": "1"})
    tree, git_dir = tmp_path / "tree", tmp_path / "git"
    for folder in (tree, git_dir):
        folder.mkdir(exist_ok=True)
    return setup_command.run_setup(tree, git_dir, settings, call, said.extend), bytes(said)


def test_a_set_up_runs_once_for_the_same_inputs(tmp_path):
    command = "echo $PRUNEJUICE_PORT $PWD; echo x >> count"
    assert run_setup(tmp_path, command, ("lock",)) == (True, f"1 {tmp_path}/tree\n".encode())
    assert run_setup(tmp_path, command, ("lock",)) == (False, b"")
    (tmp_path / "tree" / "lock").write_text("changed")
    assert run_setup(tmp_path, command, ("lock",))[0]
    assert run_setup(tmp_path, command + "; true", ("lock",))[0]
    assert (tmp_path / "tree" / "count").read_text() == "x\n" * 3
    assert run_setup(tmp_path, "")[0] is False


def test_a_set_up_that_fails_says_so_and_runs_again(tmp_path):
    for _ in range(2):
        with pytest.raises(StepError, match="exit 3"):
            run_setup(tmp_path, "exit 3")
    with pytest.raises(StepError, match="timed out after"):
        run_setup(tmp_path, "sleep 30", timeout=0.2)
    with pytest.raises(StepError, match="is outside the worktree"):
        run_setup(tmp_path, "true", ("../../etc/passwd",))


def test_ports_belong_to_a_worktree_as_long_as_it_is_there(tmp_path):
    trees = [tmp_path / name for name in "abc"]
    for tree in trees:
        tree.mkdir()
    first, second = (
        ports.allocate_ports(tmp_path, trees[0]),
        ports.allocate_ports(tmp_path, trees[1]),
    )
    assert first != second
    assert ports.allocate_ports(tmp_path, trees[0]) == first
    trees[0].rmdir()
    assert ports.allocate_ports(tmp_path, trees[2]) == first
    assert ports.port_variables(first)["PRUNEJUICE_PORT_9"] == str(first + 9)
    assert ports.port_variables(0) == {}


def test_ports_in_use_are_passed_over_and_a_damaged_registry_is_begun_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(ports, "PORT_BLOCKS", range(18_000, 18_030, 10))
    (tmp_path / "ports.json").write_text("[")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 18_005))
        assert ports.allocate_ports(tmp_path, tmp_path) == 18_010
    (tmp_path / "ports.json").write_text(
        json.dumps({str(p): str(tmp_path.parent) for p in ports.PORT_BLOCKS})
    )
    with pytest.raises(StepError, match="no block"):
        ports.allocate_ports(tmp_path, tmp_path)


def test_files_to_copy_are_read_from_the_shell_tools_configuration(surroundings):
    (surroundings / ".worktree-config").write_text('PLUM_FILES_TO_COPY=(".env" "a b")\n')
    environ = dict(os.environ)
    assert ignored_files.user_files_to_copy(environ) == [".env", "a b"]
    assert ignored_files.user_files_to_copy({**environ, "PLUM_FILES_TO_COPY": "x y"}) == ["x", "y"]
    assert ignored_files.user_files_to_copy({**environ, "PLUM_SKIP_FILE_COPY": "true"}) == []
    other = Path(surroundings) / "other"
    other.write_text("PLUM_FILES_TO_COPY=one\n")
    assert ignored_files.user_files_to_copy({**environ, "PLUM_CONFIG_FILE": str(other)}) == []
