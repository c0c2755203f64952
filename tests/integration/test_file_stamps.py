"""Snapshots that are taken without git while nothing changes have the same tree as those that git takes."""

import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import git as run_git
from prunejuice.worktrees import file_stamps, snapshot
from prunejuice.worktrees import git as gits

EXAMPLES = int(os.environ.get("PRUNEJUICE_TEST_EXAMPLES", "25"))


@pytest.fixture
def located(repository):
    return gits.open_git(repository, dict(os.environ)).locate()


def write(path, text):
    if path.parent.is_file():
        path.parent.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_with_old_times(path, text):
    """Keep the modification time, as `touch -r` and archive programs do."""
    before = path.stat()
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_in_place_of_another(top):
    other = top / "other"
    other.write_text("qwerty\n")
    other.rename(top / "a.txt")


CHANGES = {
    "nothing": lambda top: None,
    "same size": lambda top: write(top / "a.txt", "xyzabc\n"),
    "same size again": lambda top: write(top / "a.txt", "abcxyz\n"),
    "same size and time": lambda top: write_with_old_times(top / "a.txt", "zzzyyy\n"),
    "another file in its place": replace_in_place_of_another,
    "longer": lambda top: write(top / "a.txt", "a longer text\n"),
    "removed": lambda top: (top / "a.txt").unlink(missing_ok=True),
    "new file": lambda top: write(top / "new.txt", "new\n"),
    "new folder": lambda top: write(top / "folder/sub/new.txt", "new\n"),
    "folder removed": lambda top: subprocess.run(["rm", "-rf", top / "folder"], check=True),
    "executable": lambda top: (top / "new.txt").exists() and (top / "new.txt").chmod(0o755),
    "link": lambda top: (top / "link").is_symlink() or os.symlink("a.txt", top / "link"),
    "link elsewhere": lambda top: ((top / "link").unlink(missing_ok=True), os.symlink("b", top / "link")),
    "link to a folder": lambda top: (top / "far").is_symlink() or os.symlink("../..", top / "far"),
    "ignored file": lambda top: write(top / "debug.log", "1\n"),
    "ignored folder": lambda top: write(top / "build/out.o", "1\n"),
    "in the ignored folder": lambda top: (top / "build").is_dir() and write(top / "build/sub/out.o", "2\n"),
    "only ignored files": lambda top: write(top / "objects/a.log", "1\n"),
    "beside ignored files": lambda top: write(top / "objects/a.txt", "1\n"),
    "rules": lambda top: write(top / ".gitignore", "*.log\nbuild/\nnew.txt\n"),
    "rules back": lambda top: write(top / ".gitignore", "*.log\nbuild/\n"),
    "rules outside": lambda top: write(top / ".git/info/exclude", "a.txt\nnew.txt\n"),
    "rules of the user": lambda top: run_git(top, "config", "core.excludesFile", str(top / ".git/mine")),
    "rules of the user change": lambda top: write(top / ".git/mine", "new.txt\nfolder/\n"),
    "no rules": lambda top: write(top / ".gitignore", ""),
    "rules are gone": lambda top: (top / ".gitignore").unlink(missing_ok=True),
    "rules of a folder": lambda top: write(top / "objects/.gitignore", "!a.log\n"),
    "relative rules": lambda top: (
        write(top / ".git/mine", ""),
        run_git(top, "config", "core.excludesFile", ".git/mine"),
    ),
    "included settings": lambda top: (
        write(top / ".git/more", "[core]\n\texcludesFile = .git/mine\n"),
        run_git(top, "config", "include.path", "more"),
    ),
    "included settings change": lambda top: write(
        top / ".git/more", "[core]\n\texcludesFile = .git/none\n"
    ),
    "forced": lambda top: (top / "debug.log").exists() and run_git(top, "add", "-f", "debug.log"),
    "forced in a folder": lambda top: (
        (top / "build/out.o").exists() and run_git(top, "add", "-f", "build/out.o")
    ),
    "commit": lambda top: run_git(top, "commit", "-qam", "all", "--allow-empty"),
    "repository inside": lambda top: (top / "inner/.git").exists() or run_git(top, "init", "-q", "inner"),
    "file for a folder": lambda top: (top / "build").is_dir() or write(top / "build", "a file\n"),
    "checkout": lambda top: run_git(top, "checkout", "-q", "--", "."),
}


def tree_by_git(located):
    return snapshot.current_snapshot(located).tree


def take(located, known, saved):
    found = snapshot.save_snapshot(located, f"refs/prunejuice/runs/x/{len(saved)}", "x", saved, known)
    saved[found.tree] = found.commit
    return found.tree


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_is_seen_at_once(located, repository, change):
    write(repository / ".gitignore", "*.log\nbuild/\n")
    write(repository / "a.txt", "aaabbb\n")
    known, saved = {}, {}
    take(located, known, saved)
    take(located, known, saved)
    CHANGES[change](repository)
    assert take(located, known, saved) == tree_by_git(located)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.sampled_from(sorted(CHANGES)), min_size=2, max_size=9))
def test_any_sequence_of_changes_gives_the_trees_of_git(tmp_path_factory, names):
    top = tmp_path_factory.mktemp("tree")
    run_git(top, "init", "-q", "-b", "main")
    write(top / ".gitignore", "*.log\nbuild/\n")
    write(top / "a.txt", "aaabbb\n")
    run_git(top, "add", "-A")
    run_git(top, "commit", "-qm", "first")
    located = gits.open_git(top, dict(os.environ)).locate()
    known, saved = {}, {}
    for name in names:
        if name == "same size and time" and not (top / "a.txt").exists():
            continue
        CHANGES[name](top)
        assert take(located, known, saved) == tree_by_git(located), names


@pytest.mark.parametrize("then", ["in the ignored folder", "forced in a folder", "ignored file", "nothing"])
@pytest.mark.parametrize("first", ["no rules", "rules are gone", "forced in a folder", "ignored folder"])
def test_files_that_begin_to_count_are_seen_from_then_on(located, repository, first, then):
    write(repository / ".gitignore", "*.log\nbuild/\n")
    write(repository / "build/out.o", "1\n")
    known, saved = {}, {}
    for change in ("nothing", first, "nothing", then, "nothing"):
        CHANGES[change](repository)
        assert take(located, known, saved) == tree_by_git(located)
        assert take(located, known, saved) == tree_by_git(located)
    write(repository / "build/out.o", "2\n")
    assert take(located, known, saved) == tree_by_git(located)


def test_a_snapshot_after_a_commit_has_its_parent(located, repository):
    known, saved = {}, {}
    write(repository / "a.txt", "changed\n")
    take(located, known, saved)
    run_git(repository, "commit", "-qam", "the same files")
    found = snapshot.save_snapshot(located, "refs/prunejuice/runs/x/after", "x", saved, known)
    assert located.resolve(f"{found.commit}^") == located.resolve("HEAD")


def test_a_tree_without_changes_starts_no_program(located, repository, monkeypatch):
    known, saved = {}, {}
    first = take(located, known, saved)
    monkeypatch.setattr(gits.Git, "try_run", lambda *_args, **_options: pytest.fail("git was started"))
    assert take(located, known, saved) == first


def test_a_file_written_twice_in_one_tick_of_the_clock_is_seen(located, repository, monkeypatch):
    write(repository / "a.txt", "aaabbb\n")
    now, real = (repository / "a.txt").stat().st_mtime_ns, file_stamps._to_stamp
    # A clock that stands still, for files and for us.
    monkeypatch.setattr(file_stamps, "_to_stamp", lambda status: (now, now, *real(status)[2:]))
    monkeypatch.setattr(file_stamps, "time", SimpleNamespace(time_ns=lambda: now))
    known, saved = {}, {}
    take(located, known, saved)
    write(repository / "a.txt", "bbbaaa\n")
    assert take(located, known, saved) == tree_by_git(located)


def test_an_index_that_another_process_made_anew_is_listed_as_a_whole(located, repository):
    known, saved = {}, {}
    write(repository / "new.txt", "new\n")
    take(located, known, saved)
    Path(located.git_dir, "prunejuice.exact.index").unlink()
    write(repository / "a.txt", "changed\n")
    assert take(located, known, saved) == tree_by_git(located)


@pytest.mark.parametrize(
    ("limit", "value"), [("MAX_FILES", 1), ("MAX_RECENT_FILES", 0), ("MAX_RECENT_BYTES", 0)]
)
def test_git_decides_where_reading_all_would_be_slow(located, repository, monkeypatch, limit, value):
    monkeypatch.setattr(file_stamps, limit, value)
    write(repository / "b.txt", "new\n")
    soon = time.time() + 60  # recent, however slow this machine is
    os.utime(repository / "b.txt", (soon, soon))
    known, saved = {}, {}
    take(located, known, saved)
    assert not known.get(located.git_dir)
    write(repository / "b.txt", "old\n")
    assert take(located, known, saved) == tree_by_git(located)


def test_a_folder_that_cannot_be_read_leaves_it_to_git(repository, monkeypatch):
    def refuse(_path):
        raise PermissionError

    monkeypatch.setattr(os, "scandir", refuse)
    assert file_stamps.read_file_stamps(str(repository), (), ()) is None
