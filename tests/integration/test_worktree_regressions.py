"""Regressions of worktrees, snapshots and merges."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from conftest import git
from prunejuice.errors import ConflictError, StepError, UsageError
from prunejuice.system.stop_request import STOP, Stop
from prunejuice.worktrees import checkout, listing, merge, oplog, snapshot, worktree, worktree_names
from prunejuice.worktrees import git as gits
from prunejuice.worktrees.merge import MergeSource
from prunejuice.worktrees.worktree import WorktreeSpec


@pytest.fixture
def door(repository):
    return gits.open_git(repository, dict(os.environ)).locate()


def make(door, branch="pj-x"):
    made = worktree.create(
        door,
        WorktreeSpec(worktree_names.worktree_path(door, "", branch), branch, door.head_commit(), "run1"),
    )
    return Path(made.path), door.for_worktree(made.path, made.git_dir)


def take(door, name):
    return snapshot.save_snapshot(door, f"refs/prunejuice/runs/x/{name}", name)


@pytest.mark.parametrize("attributes", [False, True])
@pytest.mark.parametrize("state", ["before", "staged", "committed"])
def test_files_that_are_tracked_although_ignored_are_in_every_snapshot(door, repository, attributes, state):
    (repository / ".gitignore").write_text("dist/\n")
    if attributes:
        (repository / ".gitattributes").write_text("* text=auto\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "rules")
    if state != "before":
        take(door, "0")
        snapshot.current_snapshot(door, exact=False)
    (repository / "dist").mkdir()
    (repository / "dist" / "x.js").write_text("built\n")
    git(repository, "add", "-f", "dist")
    if state != "staged":
        git(repository, "commit", "-qm", "build")
    for exact in (False, True):
        tree = snapshot.current_snapshot(door, exact=exact).tree
        assert "dist/x.js" in git(repository, "ls-tree", "-r", "--name-only", tree)
    began = take(door, "1")
    (repository / "dist" / "x.js").unlink()
    snapshot.revert_changes(door, began.commit, take(door, "2").commit, "undo")
    assert (repository / "dist" / "x.js").read_text() == "built\n"


def test_rebuilding_an_index_forgets_nothing(door, repository):
    (repository / ".gitignore").write_text("*.env\n")
    (repository / "k.env").write_text("kept\n")
    git(repository, "add", "-f", ".")
    git(repository, "commit", "-qm", "env")
    began = take(door, "1")
    for each in (repository / ".git").glob("prunejuice.exact.*"):
        each.write_bytes(b"damaged")
    assert take(door, "2").tree == began.tree


def test_snapshot_is_rebuilt_after_git_gc_prunes_its_objects(door, repository):
    (repository / "new").write_text("untracked")
    before = snapshot.current_snapshot(door, exact=False)
    git(repository, "gc", "-q", "--prune=now")
    assert snapshot.current_snapshot(door, exact=False).tree == before.tree
    assert git(repository, "cat-file", "-p", f"{before.tree}:new") == "untracked"


def test_line_endings_come_back_whatever_attributes_the_user_has(door, repository, surroundings):
    place = surroundings / ".config" / "git"
    place.mkdir(parents=True)
    (place / "attributes").write_text("* text=auto\n")
    (repository / "crlf.txt").write_bytes(b"one\r\ntwo\r\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "crlf")
    time.sleep(1.1)
    git(repository, "status")
    began = take(door, "1")
    (repository / "crlf.txt").write_bytes(b"changed\r\n")
    snapshot.revert_changes(door, began.commit, take(door, "2").commit, "undo")
    assert (repository / "crlf.txt").read_bytes() == b"one\r\ntwo\r\n"


def test_names_that_are_not_utf_8(door, repository):
    name = os.fsdecode(b"a\xff\nb")
    began = take(door, "1")
    (repository / name).write_text("x")
    ended = take(door, "2")
    assert [each.path for each in snapshot.diff_stats(door, began.commit, ended.commit)] == [name]
    snapshot.revert_changes(door, began.commit, ended.commit, "undo")
    assert not (repository / name).exists()
    path, _ = make(door)
    odd = WorktreeSpec(path.parent / os.fsdecode(b"t\xff"), "pj-odd", door.head_commit(), "run1")
    made = worktree.create(door, odd)
    removed = worktree.remove(door, Path(made.path), force=True)
    worktree.restore_worktree(door, oplog.open_log(door).find(removed.operation))
    assert odd.path.exists()


# -- repositories of other shapes -------------------------------------------------------------------


def landed_in(door, main):
    """Land something from a worktree and see that it arrives where it belongs."""
    path, tree = make(door)
    assert path.parent == main.parent / f"{main.name}-worktrees"
    (path / "landed.txt").write_text("x")
    tip = merge.commit_worktree(tree, "rest")
    merge.advance_branch(door, "main", door.resolve("refs/heads/main"), tip)
    assert (main / "landed.txt").exists()
    assert git(main, "status", "--porcelain") == ""


def test_a_git_directory_elsewhere(tmp_path):
    place = tmp_path / "shop"
    git(tmp_path, "init", "-q", "--separate-git-dir", str(tmp_path / "elsewhere.git"), str(place))
    git(place, "commit", "-q", "--allow-empty", "-m", "first")
    landed_in(gits.open_git(place, dict(os.environ)).locate(), place)
    assert not (tmp_path / "elsewhere.git" / "landed.txt").exists()


def test_a_git_directory_that_is_a_link(repository, tmp_path):
    (repository / ".git").rename(tmp_path / "real")
    (repository / ".git").symlink_to(tmp_path / "real")
    landed_in(gits.open_git(repository, dict(os.environ)).locate(), repository)


def test_a_submodule_as_the_project(repository, tmp_path):
    outer = tmp_path / "outer"
    git(tmp_path, "init", "-q", str(outer))
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(repository), "sub")
    door = gits.open_git(outer / "sub", dict(os.environ)).locate()
    assert door.main_worktree == str(outer / "sub")
    landed_in(door, outer / "sub")
    path, _ = make(door, "pj-y")
    assert gits.open_git(path, dict(os.environ)).locate().main_worktree == str(outer / "sub")


def test_merge_in_a_bare_repository_adds_no_checkout_files(repository, tmp_path):
    bare = tmp_path / "bare.git"
    git(tmp_path, "clone", "-q", "--bare", str(repository), str(bare))
    git(bare, "worktree", "add", "-q", str(tmp_path / "tree"), "-b", "x")
    door = gits.open_git(tmp_path / "tree", dict(os.environ)).locate()
    before = sorted(each.name for each in bare.iterdir())
    path, tree = make(door)
    assert path.parent == tmp_path / "bare.git-worktrees"
    (path / "landed.txt").write_text("x")
    merge.advance_branch(door, "main", door.resolve("refs/heads/main"), merge.commit_worktree(tree, "rest"))
    assert {each.name for each in bare.iterdir()} - set(before) <= {
        "prunejuice",
        "prunejuice.lock",
        "logs",
    }
    with pytest.raises(UsageError, match="no branch is checked out"):
        merge.find_target_branch(door, "")


def test_a_working_tree_that_the_configuration_puts_elsewhere_is_refused(repository, tmp_path):
    (tmp_path / "precious").mkdir()
    git(repository, "config", "core.worktree", str(tmp_path / "precious"))
    with pytest.raises(UsageError, match=r"core\.worktree"):
        gits.open_git(repository, dict(os.environ)).locate()


# -- removal ----------------------------------------------------------------------------------------


def test_an_orphan_branch_with_staged_work_is_unsaved(door):
    path, _ = make(door)
    git(path, "checkout", "-q", "--orphan", "fresh")
    assert worktree.remove(door, path).why == "its branch has no commits"


def test_a_submodule_that_is_checked_out_is_unsaved(door, repository, tmp_path):
    inner = tmp_path / "inner"
    git(tmp_path, "init", "-q", str(inner))
    git(inner, "commit", "-qm", "i", "--allow-empty")
    git(repository, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "sub")
    git(repository, "commit", "-qm", "with sub")
    path, _ = make(door)
    git(path, "-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init")
    assert "submodule" in worktree.remove(door, path).why


def test_restored_worktree_keeps_staged_content_after_git_gc(door, repository):
    path, _ = make(door)
    (path / "s.txt").write_text("staged")
    git(path, "add", "s.txt")
    (path / "s.txt").write_text("later")
    removed = worktree.remove(door, path, force=True)
    git(repository, "gc", "-q", "--prune=now")
    worktree.restore_worktree(door, oplog.open_log(door).find(removed.operation))
    assert git(path, "show", ":s.txt") == "staged"


def test_a_branch_that_the_user_made_in_our_worktree_stays(door, repository):
    path, _ = make(door)
    git(path, "checkout", "-q", "-b", "mine")
    assert not worktree.remove(door, path).dropped
    assert git(repository, "branch", "--list", "mine") == "mine"


def test_a_folder_whose_git_file_is_gone_stays_where_it_is(door, repository):
    path, _ = make(door)
    (path / "work").write_text("precious")
    (path / ".git").unlink()
    assert worktree.prune(door) == []
    assert ".git file" in worktree.remove(door, path, force=True).why
    assert (path / "work").exists()


def test_interrupted_restore_never_deletes_the_only_copy(door, repository):
    """It was cut off before the folder moved, and somebody made another one meanwhile."""
    path, _ = make(door)
    (path / "work").write_text("precious")
    removed = oplog.open_log(door).find(worktree.remove(door, path, force=True).operation)
    git(repository, "branch", "pj-x")
    oplog.open_log(door).mark_state(removed, "undoing")
    path.mkdir()
    (path / "else").write_text("other")
    make(door, "pj-y")
    assert sorted(each.name for each in path.iterdir()) == ["else"]
    assert (Path(removed.trash) / "tree" / "work").read_text() == "precious"
    (path / "else").unlink()
    path.rmdir()
    git(repository, "branch", "-D", "pj-x")
    worktree.restore_worktree(door, oplog.open_log(door).find(removed.id))
    assert (path / "work").read_text() == "precious"


def test_unfinished_restore_does_not_block_creating_another_worktree(door, repository):
    path, _ = make(door)
    removed = oplog.open_log(door).find(worktree.remove(door, path).operation)
    path.parent.rmdir()
    path.parent.write_text("a file")
    with pytest.raises(StepError, match="could not create"):
        worktree.restore_worktree(door, removed)
    oplog.open_log(door).mark_state(removed, "undoing")
    other = WorktreeSpec(repository.parent / "other-trees" / "y", "pj-y", door.head_commit(), "run1")
    assert Path(worktree.create(door, other).path).exists()


def test_a_stop_forgets_no_operation(door, repository):
    _, tree = make(door)
    (Path(tree.directory) / "new").write_text("x")
    tip = merge.commit_worktree(tree, "rest")
    begun = oplog.Operation(
        "op-1", "land", 1, "x", str(repository), branch="main", old=door.head_commit(), new=tip
    )
    oplog.open_log(door).write(begun)
    git(repository, "update-ref", "refs/heads/main", tip)
    stop = Stop()
    stop.request(STOP)
    try:
        worktree.prune(door._replace(stop=stop))
    except Exception as error:
        assert "another process holds" in str(error) or "git" in str(error)
    stop.close()
    worktree.prune(door)
    assert oplog.open_log(door).find("op-1").state == "done"
    assert (repository / "new").exists()


# -- landing ----------------------------------------------------------------------------------------


def cut_off_landing(door, repository, count=40):
    """A landing that was killed after the branch moved."""
    for number in range(count):
        (repository / f"f{number}.txt").write_text("old\n")
    (repository / "goes.txt").write_text("old\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "old")
    path, tree = make(door)
    for number in range(count):
        (path / f"f{number}.txt").write_text("new\n")
    (path / "fresh.txt").write_text("new\n")
    (path / "goes.txt").unlink()
    old, tip = door.head_commit(), merge.commit_worktree(tree, "rest")
    begun = oplog.Operation("op-1", "land", 1, "x", str(repository), branch="main", old=old, new=tip)
    oplog.open_log(door).write(begun)
    git(repository, "update-ref", "refs/heads/main", tip)
    return old, tip


def test_half_updated_checkout_is_completed_after_an_interrupted_merge(door, repository):
    cut_off_landing(door, repository)
    for number in range(20):
        (repository / f"f{number}.txt").write_text("new\n")
    (repository / "fresh.txt").write_text("new\n")
    (repository / "goes.txt").unlink()
    (repository / "mine.txt").write_text("the user's")
    name = repository / ".git" / "prunejuice.index.lock"
    name.write_bytes(b"")
    os.link(name, repository / ".git" / "index.lock")
    worktree.prune(door)
    assert git(repository, "status", "--porcelain") == "?? mine.txt"
    assert oplog.open_log(door).find("op-1").state == "done"


def test_a_checkout_that_the_user_changed_meanwhile_waits_for_the_user(door, repository):
    old, _ = cut_off_landing(door, repository)
    (repository / "f1.txt").write_text("the user's\n")
    worktree.prune(door)
    assert oplog.open_log(door).find("op-1").state == "begun"
    assert (repository / "f1.txt").read_text() == "the user's\n"
    (repository / "f1.txt").write_text("old\n")
    worktree.prune(door)
    assert git(repository, "status", "--porcelain") == ""
    assert old != door.head_commit()


def test_a_repository_inside_is_never_replaced_by_a_file(door, repository):
    vendor = repository / "vendor"
    git(repository, "init", "-q", "vendor")
    git(vendor, "commit", "-q", "--allow-empty", "-m", "unpushed")
    (vendor / "untracked").write_text("precious")
    git(repository, "add", "vendor")
    git(repository, "commit", "-qm", "vendor")
    path, tree = make(door)
    (path / "vendor").rmdir()
    (path / "vendor").write_text("now a file")
    tip = merge.commit_worktree(tree, "rest")
    with pytest.raises(ConflictError, match="would be overwritten"):
        merge.advance_branch(door, "main", door.head_commit(), tip)
    assert (vendor / "untracked").read_text() == "precious"


@pytest.mark.parametrize("state", ["merge", "cherry-pick", "rebase"])
def test_worktree_with_an_unfinished_git_operation_is_not_committed(door, repository, state):
    path, tree = make(door)
    (path / "a.txt").write_text("mine\n")
    git(path, "commit", "-qam", "mine")
    (repository / "a.txt").write_text("theirs\n")
    git(repository, "commit", "-qam", "theirs")
    words = {
        "merge": ["merge", "main"],
        "cherry-pick": ["cherry-pick", "main"],
        "rebase": ["rebase", "main"],
    }[state]
    subprocess.run(["git", *words], cwd=path, capture_output=True, check=False)
    with pytest.raises(ConflictError, match=f"has an unfinished {state}") as refused:
        merge.commit_worktree(tree, "rest")
    assert str(path) in refused.value.fix


def test_a_branch_that_is_being_rebased_is_not_moved(door, repository):
    git(repository, "commit", "-q", "--allow-empty", "-m", "two")
    environ = {**os.environ, "GIT_SEQUENCE_EDITOR": "sed -i.bak s/^pick/edit/"}
    _, tree = make(door)
    (Path(tree.directory) / "new").write_text("x")
    tip = merge.commit_worktree(tree, "rest")
    old = git(repository, "rev-parse", "main")
    subprocess.run(
        ["git", "rebase", "-q", "-i", "--keep-empty", "HEAD~1"],
        cwd=repository,
        env=environ,
        capture_output=True,
        check=True,
    )
    with pytest.raises(ConflictError, match="in the middle of a rebase"):
        merge.advance_branch(door, "main", old, tip)
    assert listing.find_checkout(door, "main") == str(repository)


def test_a_rebase_of_what_has_merges_is_refused(door, repository):
    path, tree = make(door)
    git(path, "checkout", "-q", "-b", "side")
    (path / "side").write_text("x")
    git(path, "add", ".")
    git(path, "commit", "-qm", "side")
    git(path, "checkout", "-q", "pj-x")
    git(path, "merge", "-q", "--no-ff", "side")
    git(repository, "commit", "-q", "--allow-empty", "-m", "on")
    with pytest.raises(ConflictError, match="has merges"):
        merge.create_merged_commit(door, MergeSource(tree.head_commit(), "t"), door.head_commit(), "rebase")


def test_worktree_index_keeps_staged_content_when_advancing_fails(door):
    path, tree = make(door)
    (path / "a.txt").write_text("staged\n")
    git(path, "add", "a.txt")
    (path / "a.txt").write_text("in the file\n")
    tip = merge.commit_worktree(tree, "rest")
    with pytest.raises(Exception, match="read-tree"):
        merge.advance_worktree(tree, tip)
    assert git(path, "show", ":a.txt") == "staged"


def test_index_locked_by_another_git_is_reported(door, repository):
    _, tree = make(door)
    (Path(tree.directory) / "new").write_text("x")
    tip = merge.commit_worktree(tree, "rest")
    (repository / ".git" / "index.lock").write_text("")
    with pytest.raises(ConflictError, match=r"the index of .* is locked") as refused:
        merge.advance_branch(door, "main", door.head_commit(), tip)
    assert "rm " in refused.value.fix
    assert (repository / ".git" / "index.lock").exists()
    assert sorted(each.name for each in (repository / ".git").glob("prunejuice.*")) == ["prunejuice.lock"]


def test_dry_run_moves_nothing(door, repository):
    _, tree = make(door)
    (Path(tree.directory) / "new").write_text("x")
    with checkout.lock_index(door.for_main_worktree()) as locked:
        checkout.update_files(locked, door.head_commit(), merge.commit_worktree(tree, "rest"), dry_run=True)
    assert git(repository, "status", "--porcelain") == ""
