"""Merging is all or nothing, and no checkout loses work."""

import os
from pathlib import Path

import pytest

from conftest import git
from prunejuice.errors import ConflictError, UsageError
from prunejuice.worktrees import conflicts, listing, merge, oplog, worktree, worktree_names
from prunejuice.worktrees import git as gits
from prunejuice.worktrees.merge import MergeSource
from prunejuice.worktrees.worktree import WorktreeSpec


@pytest.fixture
def door(repository):
    return gits.open_git(repository, dict(os.environ)).locate()


@pytest.fixture
def tree(door):
    """A worktree with two commits and something uncommitted."""
    return grown(door, "pj-x", "x")


def grown(door, branch, name):
    made = worktree.create(
        door,
        WorktreeSpec(worktree_names.worktree_path(door, "", branch), branch, door.head_commit(), "run1"),
    )
    path = Path(made.path)
    for number in (1, 2):
        (path / f"{name}{number}.txt").write_text(f"{number}\n")
        git(path, "add", ".")
        git(path, "commit", "-qm", f"{name} {number}")
    (path / f"{name}3.txt").write_text("uncommitted\n")
    return door.for_worktree(made.path, made.git_dir)


def landed(door, tree, method="merge"):
    into, old = merge.find_target_branch(door, "main")
    tip = merge.commit_worktree(tree, "rest")
    new = merge.create_merged_commit(door, MergeSource(tip, "all of it"), old, method)
    return merge.advance_branch(door, into, old, new)


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("method", ["merge", "no-ff", "squash", "rebase"])
def test_every_merge_method_merges_all_work_and_updates_the_checkout(door, repository, tree, method, ahead):
    if ahead:
        (repository / "main.txt").write_text("main\n")
        git(repository, "add", ".")
        git(repository, "commit", "-qm", "meanwhile")
    (repository / "untracked").write_text("mine")
    landed(door, tree, method)
    assert sorted(p.name for p in repository.glob("x*")) == ["x1.txt", "x2.txt", "x3.txt"]
    assert git(repository, "status", "--porcelain") == "?? untracked"
    parents = len(git(repository, "log", "-1", "--format=%P").split())
    assert parents == {"merge": 1 + ahead, "no-ff": 2, "squash": 1, "rebase": 1}[method]
    subjects = git(repository, "log", "--first-parent", "--format=%s").splitlines()
    assert ("x 1" in subjects) == (method == "rebase" or (method == "merge" and not ahead))
    assert git(repository, "fsck", "--strict", "--no-dangling") == ""


def test_a_rebase_keeps_authors_and_leaves_out_what_is_there_already(door, repository, tree):
    git(
        Path(tree.directory), "commit", "-q", "--amend", "--author", "Some One <one@x>", "-m", "x 2\n\nbody"
    )
    git(repository, "cherry-pick", "pj-x~1")
    landed(door, tree, "rebase")
    said = git(repository, "log", "--format=%an|%cn|%s|%b").splitlines()
    assert "Some One|tester|x 2|body" in said
    assert sum("|x 1|" in line for line in said) == 1


def test_uncommitted_work_is_committed_and_the_worktree_advances(door, repository, tree):
    tip = merge.commit_worktree(tree, "rest")
    path = Path(tree.directory)
    assert "?? x3.txt" in git(path, "status", "--porcelain")
    merge.advance_worktree(tree, tip)
    assert git(path, "status", "--porcelain") == ""
    assert git(path, "log", "-1", "--format=%s %an") == "rest tester"
    assert merge.commit_worktree(tree, "again") == tip
    merge.advance_worktree(tree, tip)


def test_changes_of_the_checkout_to_other_files_stay(door, repository, tree):
    (repository / "a.txt").write_text("mine\n")
    (repository / "staged").write_text("mine\n")
    git(repository, "add", "staged")
    landed(door, tree)
    assert (repository / "a.txt").read_text() == "mine\n"
    assert git(repository, "status", "--porcelain") == "M a.txt\nA  staged"


@pytest.mark.parametrize("way", ["changed", "untracked", "ignored", "folder"])
def test_merge_is_refused_when_it_would_overwrite_checkout_files(door, repository, tree, way):
    name = {"changed": "a.txt", "folder": "x1.txt/inside"}.get(way, "x1.txt")
    if way == "changed":
        (Path(tree.directory) / "a.txt").write_text("landed\n")
    if way == "ignored":
        (repository / ".git" / "info" / "exclude").write_text("x1.txt\n")
    (repository / name).parent.mkdir(exist_ok=True)
    (repository / name).write_text("precious")
    before = git(repository, "rev-parse", "main"), git(repository, "status", "--porcelain", "--ignored")
    with pytest.raises(ConflictError, match="would be overwritten"):
        landed(door, tree)
    assert (repository / name).read_text() == "precious"
    assert (
        git(repository, "rev-parse", "main"),
        git(repository, "status", "--porcelain", "--ignored"),
    ) == before
    assert oplog.open_log(door).list_operations() == []


def test_a_conflict_names_the_files_and_moves_nothing(door, repository, tree):
    (repository / "x1.txt").write_text("other\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "other")
    before = git(repository, "for-each-ref")
    for method in ("merge", "no-ff", "squash", "rebase"):
        with pytest.raises(ConflictError, match=r"x1\.txt") as refused:
            landed(door, tree, method)
        assert refused.value.files == ("x1.txt",)
    assert git(repository, "for-each-ref") == before


def test_a_branch_that_moved_meanwhile_is_not_moved(door, repository, tree):
    _, old = merge.find_target_branch(door, "main")
    new = merge.create_merged_commit(
        door, MergeSource(merge.commit_worktree(tree, "rest"), "t"), old, "no-ff"
    )
    git(repository, "commit", "--allow-empty", "-qm", "meanwhile")
    with pytest.raises(ConflictError):
        merge.advance_branch(door, "main", old, new)
    assert git(repository, "log", "-1", "--format=%s") == "meanwhile"
    assert git(repository, "status", "--porcelain") == ""


def test_merge_can_be_undone_and_the_undo_can_be_undone(door, repository, tree):
    before = git(repository, "rev-parse", "main")
    done = landed(door, tree)
    merge.undo_merge(door, done)
    assert git(repository, "rev-parse", "main") == before
    assert git(repository, "status", "--porcelain") == ""
    back = oplog.open_log(door).list_operations()[0]
    merge.undo_merge(door, back)
    assert git(repository, "rev-parse", "main") == done.new
    git(repository, "commit", "--allow-empty", "-qm", "on")
    with pytest.raises(ConflictError):
        merge.undo_merge(door, done)


@pytest.mark.parametrize("moved", [False, True])
def test_killed_merge_is_finished_or_dropped_by_the_next_operation(door, repository, tree, moved):
    _, old = merge.find_target_branch(door, "main")
    new = merge.create_merged_commit(
        door, MergeSource(merge.commit_worktree(tree, "rest"), "t"), old, "no-ff"
    )
    begun = oplog.Operation("op-1", "land", 1, "x", str(repository), branch="main", old=old, new=new)
    oplog.open_log(door).write(begun)
    if moved:
        git(repository, "update-ref", "refs/heads/main", new)
    grown(door, "pj-y", "y")
    assert git(repository, "status", "--porcelain") == ""
    assert (repository / "x1.txt").exists() == moved
    found = [each.state for each in oplog.open_log(door).list_operations()]
    assert found == (["done"] if moved else [])


def test_a_branch_that_is_checked_out_nowhere_just_moves(door, repository, tree):
    git(repository, "branch", "release")
    merge.advance_branch(door, "release", door.head_commit(), merge.commit_worktree(tree, "rest"))
    assert git(repository, "status", "--porcelain") == ""
    assert "x1.txt" in git(repository, "ls-tree", "--name-only", "release")


def test_the_combined_files_are_there_to_be_checked_and_then_gone(door, repository, tree):
    tip = merge.commit_worktree(tree, "rest")
    with pytest.raises(ValueError, match="check"), merge.temporary_worktree(door, tip) as there:
        assert (Path(there.directory) / "x3.txt").read_text() == "uncommitted\n"
        raise ValueError("check")
    assert not Path(there.directory).exists()
    assert len(listing.list_worktrees(door)) == 2
    assert oplog.open_log(door).list_operations() == []
    assert "check" not in git(repository, "branch")


def test_merge_without_a_target_branch_is_refused(door, repository):
    with pytest.raises(UsageError, match="branch 'nope' does not exist"):
        merge.find_target_branch(door, "nope")
    git(repository, "checkout", "-q", "--detach")
    with pytest.raises(UsageError, match="no branch is checked out"):
        merge.find_target_branch(door, "")


# -- radar ------------------------------------------------------------------------------------------


def test_conflict_detection_includes_uncommitted_work_and_changes_nothing(door, repository):
    (repository / "long.txt").write_text("".join(f"{n}\n" for n in range(50)))
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "long")
    trees = {name: Path(grown(door, f"pj-{name}", name).directory) for name in ("a", "b", "c", "d")}
    lines = (repository / "long.txt").read_text().splitlines(keepends=True)
    (trees["a"] / "long.txt").write_text("".join(["A\n", *lines[1:]]))
    (trees["b"] / "long.txt").write_text("".join(["B\n", *lines[1:]]))
    (trees["c"] / "long.txt").write_text("".join([*lines[:-1], "C\n"]))
    (trees["d"] / "a3.txt").mkdir()
    (trees["d"] / "a3.txt" / "f").write_text("a folder where another has a file")
    before = [git(tree, "status", "--porcelain=v2", "--branch") for tree in trees.values()]
    sides, clashes = conflicts.find_conflicts(door, door.head_commit())
    found = {(c.one, c.other): c.files for c in clashes}
    assert [side.name for side in sides] == ["pj-a", "pj-b", "pj-c", "pj-d"]
    assert found.pop(("pj-a", "pj-b")) == ("long.txt",)
    assert list(found) == [("pj-a", "pj-d")]
    assert [git(tree, "status", "--porcelain=v2", "--branch") for tree in trees.values()] == before


def test_conflict_detection_reports_the_base_and_unreadable_worktrees(door, repository):
    grown(door, "pj-a", "a")
    other = grown(door, "pj-b", "b")
    (repository / "a1.txt").write_text("base\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "base")
    (Path(other.git_dir) / "HEAD").write_text("ref: refs/heads/../../x\n")
    (Path(other.git_dir) / "prunejuice.plain.lock").mkdir()
    sides, clashes = conflicts.find_conflicts(door, door.head_commit())
    assert [(c.one, c.other, c.files) for c in clashes] == [("pj-a", "", ("a1.txt",))]
    assert [bool(side.fault) for side in sides] == [False, True]


@pytest.mark.parametrize("lock", ["refs/heads/main.lock", "HEAD.lock", "packed-refs.lock"])
def test_a_lock_that_a_dead_git_left_is_named_with_the_way_on(project, lock):
    project.command("w", "pre_steps: [create-worktree]\nsteps: [{name: s, script: 'echo n > n.txt'}]\n")
    run = project.prj("run", "w", "--json").json
    (project.root / ".git" / lock).touch()
    refused = project.prj("merge", run["id"], "--no-check")
    if lock == "packed-refs.lock" and refused.code == 0:
        return  # git needed no such lock
    assert refused.code != 0
    assert f"{lock}': File exists" in refused.err
    assert f"delete {project.root}/.git/{lock}" in refused.err
    (project.root / ".git" / lock).unlink()
    assert project.prj("merge", run["id"], "--no-check").code == 0
