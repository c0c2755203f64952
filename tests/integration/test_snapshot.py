"""A snapshot restores every byte, and keeps later changes of others."""

import hashlib
import os
import shutil
import stat
import string
import struct
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import git
from prunejuice.errors import ConflictError
from prunejuice.worktrees import git as gits
from prunejuice.worktrees import oplog, snapshot

EXAMPLES = int(os.environ.get("PRUNEJUICE_TEST_EXAMPLES", "25"))


@pytest.fixture
def door(repository):
    return gits.open_git(repository, dict(os.environ)).locate()


def tree(place):
    """Everything but git's own: mode and bytes of files, targets of links."""
    found = {}
    for folder, names, files in os.walk(place):
        if ".git" in names:
            names.remove(".git")
        for name in files + [n for n in names if os.path.islink(os.path.join(folder, n))]:
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            what = os.readlink(path) if stat.S_ISLNK(mode) else Path(path).read_bytes()
            found[os.path.relpath(path, place)] = (bool(mode & stat.S_IXUSR), stat.S_IFMT(mode), what)
    return found


def take(door, name):
    return snapshot.save_snapshot(door, f"refs/prunejuice/runs/x/{name}", name)


def test_step_changes_are_listed_and_reverted_without_touching_git_state(door, repository):
    (repository / "mine.txt").write_text("mine\n")
    git(repository, "add", "mine.txt")
    (repository / "a.txt").write_text("unstaged\n")
    looks = (("diff", "--cached"), ("stash", "list"), ("rev-parse", "HEAD"), ("ls-files", "--stage"))
    before, state = tree(repository), [git(repository, *words) for words in looks]
    began = take(door, "1")
    (repository / "a.txt").write_text("the step\n")
    (repository / "mine.txt").unlink()
    (repository / "new").mkdir()
    (repository / "new" / "f").write_bytes(b"\x00\r\n")
    os.symlink("/nowhere", repository / "link")
    ended = take(door, "2")
    changes = {
        each.path: (each.added, each.removed)
        for each in snapshot.diff_stats(door, began.commit, ended.commit)
    }
    assert changes == {"a.txt": (1, 1), "link": (1, 0), "mine.txt": (0, 1), "new/f": (None, None)}
    done = snapshot.revert_changes(door, began.commit, ended.commit, "undo")
    assert tree(repository) == before
    assert [git(repository, *words) for words in looks] == state
    assert snapshot.revert_changes(door, done.old, done.new, "redo").kind == "restore"
    assert (repository / "a.txt").read_text() == "the step\n"
    assert snapshot.revert_changes(door, ended.commit, ended.commit, "nothing") is None


def test_revert_keeps_changes_made_after_the_step(door, repository):
    (repository / "a.txt").write_text("".join(f"{n}\n" for n in range(20)))
    (repository / "b.txt").write_text("b\n")
    began = take(door, "1")
    (repository / "a.txt").write_text("step\n" + "".join(f"{n}\n" for n in range(1, 20)))
    ended = take(door, "2")
    (repository / "a.txt").write_text((repository / "a.txt").read_text() + "user\n")
    (repository / "c.txt").write_text("user\n")
    snapshot.revert_changes(door, began.commit, ended.commit, "undo")
    assert (repository / "a.txt").read_text().splitlines()[::20] == ["0", "user"]
    assert (repository / "c.txt").read_text() == "user\n"


def test_the_same_lines_changed_since_are_a_conflict_and_nothing_moves(door, repository):
    began = take(door, "1")
    (repository / "a.txt").write_text("step\n")
    (repository / "other").write_text("step\n")
    ended = take(door, "2")
    (repository / "a.txt").write_text("user\n")
    before = tree(repository)
    with pytest.raises(ConflictError, match=r"a\.txt") as refused:
        snapshot.revert_changes(door, began.commit, ended.commit, "undo")
    assert refused.value.files == ("a.txt",)
    assert tree(repository) == before
    assert oplog.open_log(door).list_operations() == []


def test_snapshot_skips_ignored_files_but_sees_skip_worktree_files(door, repository):
    (repository / ".gitignore").write_text("*.log\n")
    (repository / "x.log").write_text("ignored")
    git(repository, "update-index", "--skip-worktree", "a.txt")
    (repository / "a.txt").write_text("hidden\n")
    began = take(door, "1")
    (repository / "a.txt").write_text("changed while hidden\n")
    (repository / "x.log").write_text("changed")
    ended = take(door, "2")
    assert [each.path for each in snapshot.diff_stats(door, began.commit, ended.commit)] == ["a.txt"]
    snapshot.revert_changes(door, began.commit, ended.commit, "undo")
    assert (repository / "a.txt").read_text() == "hidden\n"
    assert (repository / "x.log").read_text() == "changed"


def test_revert_never_overwrites_an_ignored_file(door, repository):
    (repository / "x.log").write_text("a tracked log\n")
    began = take(door, "1")
    (repository / "x.log").unlink()
    ended = take(door, "2")
    (repository / ".gitignore").write_text("*.log\n")
    (repository / "x.log").write_text("precious")
    with pytest.raises(ConflictError):
        snapshot.revert_changes(door, began.commit, ended.commit, "undo")
    assert (repository / "x.log").read_text() == "precious"


def test_repositories_inside_and_large_new_files_are_left_alone(door, repository, monkeypatch):
    monkeypatch.setattr(snapshot, "MAX_FILE_BYTES", 1000)
    began = take(door, "1")
    (repository / "inner").mkdir()
    git(repository / "inner", "init", "-q")
    (repository / "inner" / "f").write_text("x")
    (repository / "large").write_bytes(b"x" * 1001)
    (repository / "small").write_bytes(b"x" * 1000)
    ended = take(door, "2")
    assert [each.path for each in snapshot.diff_stats(door, began.commit, ended.commit)] == ["small"]
    snapshot.revert_changes(door, began.commit, ended.commit, "undo")
    assert (repository / "inner" / "f").exists()
    assert (repository / "large").exists()


def test_no_commit_yet(tmp_path):
    git(tmp_path, "init", "-q")
    door = gits.open_git(tmp_path, dict(os.environ)).locate()
    (tmp_path / "a").write_text("x")
    began = take(door, "1")
    (tmp_path / "a").unlink()
    snapshot.revert_changes(door, began.commit, take(door, "2").commit, "undo")
    assert (tmp_path / "a").read_text() == "x"
    assert [each.path for each in snapshot.diff_stats(door, "", began.commit)] == ["a"]


@pytest.mark.parametrize("state", ["merge", "intent to add", "index lock", "own lock", "own index damaged"])
def test_snapshots_work_in_every_index_state(door, repository, state):
    if state == "merge":
        git(repository, "checkout", "-q", "-b", "other")
        (repository / "a.txt").write_text("other\n")
        git(repository, "commit", "-qam", "other")
        git(repository, "checkout", "-q", "main")
        (repository / "a.txt").write_text("main\n")
        git(repository, "commit", "-qam", "main")
        subprocess.run(["git", "merge", "other"], cwd=repository, capture_output=True, check=False)
    elif state == "intent to add":
        (repository / "later").write_text("x")
        git(repository, "add", "-N", "later")
    elif state == "index lock":
        (repository / ".git" / "index.lock").write_text("")
    else:
        take(door, "0")
        name = "prunejuice.exact.index" + (".lock" if state == "own lock" else "")
        (repository / ".git" / name).write_bytes(b"")
    status = git(repository, "status", "--porcelain=v2")
    before = tree(repository)
    began = take(door, "1")
    (repository / "a.txt").write_text("step\n")
    snapshot.revert_changes(door, began.commit, take(door, "2").commit, "undo")
    assert tree(repository) == before
    assert git(repository, "status", "--porcelain=v2") == status


def test_a_file_of_the_same_size_in_the_same_moment_is_seen(door, repository):
    for number in range(30):
        (repository / "a.txt").write_text(f"{number:04}\n")
        began = take(door, "1")
        (repository / "a.txt").write_text(f"{number + 1:04}\n")
        assert take(door, "2").tree != began.tree


def set_times_in_index(index, name, status):
    """Give the entry of a file in git's index the times of a status, as if git had read the file then."""
    data = bytearray(index.read_bytes()[:-20])
    start = data.index(b"DIRC") + 12
    while data[start + 62 :].partition(b"\0")[0] != name:  # entries of version 2 are padded to 8 bytes
        length = len(data[start + 62 :].partition(b"\0")[0])
        start += (62 + length + 8) // 8 * 8
    times = (status.st_ctime_ns, status.st_mtime_ns)
    struct.pack_into(">4I", data, start, *(part for ns in times for part in divmod(ns, 10**9)))
    index.write_bytes(data + hashlib.sha1(data).digest())
    os.utime(index, ns=(status.st_mtime_ns, status.st_mtime_ns))


def test_a_change_in_the_moment_of_the_users_index_is_seen(door, repository):
    """Git rereads files as new as its index; a copy of the index must not look newer."""
    file = repository / "a.txt"
    file.write_text("0001\n")
    git(repository, "add", "a.txt")
    file.write_text("0002\n")
    os.utime(file, (0, 10**9))  # long before the copy of the index is made: git may compare seconds
    set_times_in_index(repository / ".git/index", b"a.txt", file.stat())
    assert git(repository, "show", f"{take(door, '1').commit}:a.txt") == "0002"


NAMES = st.text(alphabet=string.ascii_letters + " ü'\"$\\\n\t*?[:~#%-", min_size=1, max_size=8).filter(
    lambda name: name.strip(". ") and name.lower() != ".git"
)
CONTENTS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([
        b"",
        b"a\r\nb\r\n",
        b"a\nb",
        b"\xef\xbb\xbfx\n",
        b"\xff\xfe\n",
        b"$Id$\n",
        b"a\r\nb\n",
    ]),
)
FILES = st.dictionaries(
    NAMES, st.tuples(CONTENTS, st.sampled_from(["plain", "exec", "link", "deep"])), max_size=5
)
ATTRIBUTES = st.sampled_from([
    "",
    "* text=auto\n",
    "* text eol=crlf\n",
    "* ident\n",
    "* working-tree-encoding=UTF-16\n",
])


def write(place, files):
    """Make a working tree hold exactly these files."""
    for entry in list(place.iterdir()):
        if entry.name not in {".git", ".gitattributes"}:
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    for name, (content, kind) in files.items():
        path = place / name / "inside" if kind == "deep" else place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "link":
            os.symlink(name[::-1], path)
        else:
            path.write_bytes(content)
            path.chmod(0o755 if kind == "exec" else 0o644)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(committed=FILES, began=FILES, ended=FILES, attributes=ATTRIBUTES)
def test_undo_brings_back_every_byte(committed, began, ended, attributes):
    """And undoing the undo brings back what was undone."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        git(place, "init", "-q")
        write(place, committed)
        git(place, "add", "-A")
        git(place, "commit", "-qm", "first", "--allow-empty")
        if attributes:
            (place / ".gitattributes").write_text(attributes)
        door = gits.open_git(place, dict(os.environ)).locate()
        write(place, began)
        first, one = take(door, "1"), tree(place)
        write(place, ended)
        last, two = take(door, "2"), tree(place)
        done = snapshot.revert_changes(door, first.commit, last.commit, "undo")
        assert tree(place) == one
        assert (done is None) == (one == two)
        if done is not None:
            snapshot.revert_changes(door, done.old, done.new, "redo")
            assert tree(place) == two
