"""Sparse checkouts: worktrees and merges behave as git's own, and nothing outside the patterns is lost."""

import os
from pathlib import Path

import pytest

from conftest import git
from prunejuice.changes.change_set import FileChange
from prunejuice.errors import ConflictError
from prunejuice.worktrees import checkout, conflicts, merge, oplog, snapshot, worktree, worktree_names
from prunejuice.worktrees import git as gits
from prunejuice.worktrees.merge import MergeSource
from prunejuice.worktrees.worktree import WorktreeSpec

LAYOUTS = {
    "cone": [("sparse-checkout", "set", "in")],
    "non-cone": [("sparse-checkout", "set", "--no-cone", "/*.txt", "/in/")],
    "sparse-index": [
        ("sparse-checkout", "set", "--sparse-index", "in"),
        ("config", "--global", "index.sparse", "true"),
    ],
    "settings-of-all-worktrees": [
        ("sparse-checkout", "set", "in"),
        ("config", "core.sparseCheckout", "true"),
        ("config", "core.sparseCheckoutCone", "true"),
        ("config", "--unset", "extensions.worktreeConfig"),
    ],
}


@pytest.fixture(params=LAYOUTS)
def sparse(repository, request):
    """A sparse checkout of the folder `in`, and of the files of the root."""
    for name in ("in/f", "out/f", "out/gone", "out/deep/f"):
        (repository / name).parent.mkdir(exist_ok=True, parents=True)
        (repository / name).write_text(f"{name}\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "folders")
    for words in LAYOUTS[request.param]:
        git(repository, *words)
    assert not (repository / "out").exists()
    return repository


@pytest.fixture
def door(sparse):
    return gits.open_git(sparse, dict(os.environ)).locate()


def make(door, branch="pj-x"):
    path = worktree_names.worktree_path(door, "", branch)
    made = worktree.create(door, WorktreeSpec(path, branch, door.head_commit(), "run1"))
    return Path(made.path), door.for_worktree(made.path, made.git_dir)


def files(folder):
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if not path.startswith(".git"))


def hidden(folder):
    lines = git(folder, "ls-files", "-t").splitlines()
    return [line[2:] for line in lines if line.startswith("S ")]


def change_outside(sparse, tmp_path):
    """Return a commit on main that changes, adds and deletes files outside the patterns, and inside."""
    git(sparse, "worktree", "add", "-q", "--no-checkout", "-b", "far", str(tmp_path / "far"))
    far = tmp_path / "far"
    git(far, "sparse-checkout", "disable")
    git(far, "reset", "-q", "--hard")
    (far / "out/f").write_text("changed\n")
    (far / "out/new").write_text("new\n")
    (far / "out/gone").unlink()
    (far / "in/f").write_text("changed\n")
    (far / "in/new").write_text("new\n")
    git(far, "add", ".")
    git(far, "commit", "-qm", "far")
    return git(far, "rev-parse", "HEAD")


def test_a_new_worktree_is_the_one_that_git_makes(door, sparse, tmp_path):
    git(sparse, "worktree", "add", "-q", "-b", "own", str(tmp_path / "own"))
    path, tree = make(door)
    assert files(path) == files(tmp_path / "own")
    assert git(path, "ls-files", "-t") == git(tmp_path / "own", "ls-files", "-t")
    assert git(path, "status", "--porcelain") == ""
    git(path, "read-tree", "-m", "HEAD")  # git makes a full index sparse again when it writes it
    assert git(path, "ls-files", "--sparse") == git(tmp_path / "own", "ls-files", "--sparse")
    listed = ("config", "--list", "--worktree")
    if (Path(tree.git_dir) / "config.worktree").exists():
        assert git(path, *listed) == git(tmp_path / "own", *listed)


def test_a_merge_moves_what_is_hidden_in_the_index_alone(door, sparse, tmp_path):
    new = change_outside(sparse, tmp_path)
    (sparse / "mine").write_text("the user's")
    (sparse / "out").mkdir()
    (sparse / "out/mine").write_text("the user's")
    done = merge.advance_branch(door, "main", door.head_commit(), new)
    assert files(sparse) == ["a.txt", "in/f", "in/new", "mine", "out/mine"]
    assert git(sparse, "status", "--porcelain") == "?? mine\n?? out/mine"
    assert hidden(sparse) == ["out/deep/f", "out/f", "out/new"]
    assert git(sparse, "show", ":out/f") == "changed"
    merge.undo_merge(door, done)
    assert "out/gone" in hidden(sparse)
    assert (sparse / "in/f").read_text() == "in/f\n"


@pytest.mark.parametrize("name", ["out/f", "out/new", "out/gone", "in/new"])
def test_a_file_of_the_user_in_the_way_refuses_the_merge(door, sparse, tmp_path, name):
    new = change_outside(sparse, tmp_path)
    (sparse / name).parent.mkdir(exist_ok=True)
    (sparse / name).write_text("the user's")
    old = door.head_commit()
    with pytest.raises(ConflictError, match="would be overwritten"):
        merge.advance_branch(door, "main", old, new)
    assert (sparse / name).read_text() == "the user's"
    assert door.head_commit() == old


@pytest.mark.parametrize("written", ["nothing", "files", "index"])
def test_a_merge_that_was_killed_is_finished(door, sparse, tmp_path, written):
    new = change_outside(sparse, tmp_path)
    begun = oplog.Operation(
        "op-1", "land", 1, "x", str(sparse), branch="main", old=door.head_commit(), new=new
    )
    oplog.open_log(door).write(begun)
    git(sparse, "update-ref", "refs/heads/main", new)
    if written == "files":
        (sparse / "in/f").write_text("changed\n")
        (sparse / "in/new").write_text("new\n")
    if written == "index":
        git(sparse, "read-tree", "-m", "-u", begun.old, new)
    worktree.prune(door)
    assert oplog.open_log(door).find("op-1").state == "done"
    assert git(sparse, "status", "--porcelain") == ""
    assert files(sparse) == ["a.txt", "in/f", "in/new"]
    assert hidden(sparse) == ["out/deep/f", "out/f", "out/new"]


def test_all_work_of_a_sparse_worktree_is_merged(door, sparse):
    path, tree = make(door)
    (path / "in/f").write_text("changed\n")
    (path / "out").mkdir()
    (path / "out/new").write_text("new\n")
    (path / "out/f").write_text("changed\n")
    tip = merge.commit_worktree(tree, "rest")
    merge.advance_worktree(tree, tip)
    assert git(path, "status", "--porcelain") == ""
    new = merge.create_merged_commit(door, MergeSource(tip, "t"), door.head_commit(), "squash")
    merge.advance_branch(door, "main", door.head_commit(), new)
    changed = git(sparse, "diff", "--name-status", "HEAD~1", "HEAD")
    assert changed.split() == ["M", "in/f", "M", "out/f", "A", "out/new"]
    assert files(sparse) == ["a.txt", "in/f"]
    assert git(sparse, "status", "--porcelain") == ""


@pytest.mark.parametrize("attributes", [False, True])
def test_a_snapshot_has_what_the_branch_has_outside_the_patterns(door, sparse, tmp_path, attributes):
    path, tree = make(door)
    if attributes:  # the index of snapshots cannot be a copy of the user's
        (path / ".gitattributes").write_text("* text\n")
    before = snapshot.current_snapshot(tree)
    assert git(path, "diff", "--name-only", "HEAD", before.commit) == ".gitattributes" * attributes
    git(path, "merge", "-q", change_outside(sparse, tmp_path))
    after = snapshot.current_snapshot(tree)
    assert git(path, "diff", "--name-only", "HEAD", after.commit) == ".gitattributes" * attributes
    assert merge.commit_worktree(tree, "rest") != tree.head_commit() or not attributes


@pytest.mark.parametrize("narrowed", [False, True])
def test_narrower_and_wider_patterns_are_no_changes(door, sparse, narrowed):
    path, tree = make(door)
    snapshot.current_snapshot(tree)
    if narrowed:
        git(path, "sparse-checkout", "set", "--cone", "elsewhere")
    else:
        git(path, "sparse-checkout", "disable")
    assert (path / "in").exists() != narrowed
    assert merge.commit_worktree(tree, "rest") == tree.head_commit()
    if not narrowed:
        (path / "out/f").unlink()
        tip = merge.commit_worktree(tree, "rest")
        assert git(path, "diff", "--name-status", "HEAD", tip) == "D\tout/f"


def test_a_hidden_file_that_came_and_went_is_not_deleted(door, sparse):
    path, tree = make(door)
    (path / "out").mkdir()
    (path / "out/f").write_text("changed\n")
    assert snapshot.current_snapshot(tree, exact=False).tree != git(path, "rev-parse", "HEAD^{tree}")
    (path / "out/f").unlink()
    assert merge.commit_worktree(tree, "rest") == tree.head_commit()


def test_undo_restores_files_and_materializes_nothing(door, sparse, tmp_path):
    path, tree = make(door)
    before = snapshot.current_snapshot(tree).commit
    git(path, "merge", "-q", change_outside(sparse, tmp_path))
    (path / "out").mkdir()
    (path / "out/own").write_text("own\n")
    after = snapshot.current_snapshot(tree).commit
    undone = snapshot.revert_changes(tree, before, after, "undo")
    assert files(path) == ["a.txt", "in/f"]
    assert (path / "in/f").read_text() == "in/f\n"
    snapshot.revert_changes(tree, undone.old, undone.new, "undo of the undo")
    assert files(path) == ["a.txt", "in/f", "in/new", "out/own"]
    assert git(path, "status", "--porcelain") == "?? out/own"


def test_restored_files_outside_the_patterns_are_there_again(door, sparse):
    path, tree = make(door)
    (path / "out").mkdir()
    (path / "out/f").write_text("changed\n")
    saved = snapshot.save_snapshot(tree, "refs/prunejuice/runs/r/1", "saved").commit
    worktree.remove(door, path, force=True)
    path, tree = make(door, "pj-y")
    snapshot.restore_files(tree, saved, "files of finished steps")
    assert files(path) == ["a.txt", "in/f", "out/f"]
    assert git(path, "status", "--porcelain") == "M out/f"


def test_conflicts_outside_the_patterns_are_found(door, sparse):
    for branch in ("pj-x", "pj-y"):
        path, _ = make(door, branch)
        (path / "out").mkdir()
        (path / "out/f").write_text(f"{branch}\n")
    sides, found = conflicts.find_conflicts(door, door.head_commit())
    assert [side.paths for side in sides] == [{"out/f"}] * 2
    assert [conflict.files for conflict in found] == [("out/f",)]


def test_removal_keeps_what_is_unsaved_and_restores_the_patterns(door, sparse):
    path, _ = make(door)
    (path / "out").mkdir()
    (path / "out/f").write_text("changed\n")
    assert "uncommitted" in worktree.remove(door, path).why
    (path / "out/f").unlink()
    removed = worktree.remove(door, path)
    assert (removed.why, path.exists()) == ("", False)
    worktree.restore_worktree(door, oplog.open_log(door).find(removed.operation))
    assert git(path, "status", "--porcelain") == ""
    assert hidden(path) == ["out/deep/f", "out/f", "out/gone"]


# -- settings of one worktree -----------------------------------------------------------------------


@pytest.mark.parametrize("moved", [True, False], ids=["bare-in-config.worktree", "bare-in-config"])
def test_worktrees_of_a_bare_repository_with_worktree_settings_work(repository, tmp_path, moved):
    git(tmp_path, "clone", "-q", "--bare", str(repository), "up.git")
    bare = tmp_path / "up.git"
    git(bare, "config", "extensions.worktreeConfig", "true")
    if moved:
        git(bare, "config", "--unset", "core.bare")
        git(bare, "config", "--worktree", "core.bare", "true")
    git(bare, "config", "--worktree", "user.email", "of-this@place")
    (tmp_path / "first").mkdir()
    door = gits.open_git(bare, dict(os.environ))._replace(git_dir=str(bare), common=str(bare))
    path, _ = make(door)
    assert git(path, "status", "--porcelain") == ""
    assert git(path, "config", "user.email") == "of-this@place"
    path, tree = make(gits.open_git(path, dict(os.environ)).locate(), "pj-y")
    assert git(path, "status", "--porcelain") == ""
    assert tree.head_commit()


def test_settings_of_the_place_stay_where_they_are(repository, tmp_path):
    git(repository, "config", "extensions.worktreeConfig", "true")
    git(repository, "config", "--worktree", "core.worktree", str(repository))
    git(repository, "config", "--worktree", "core.eol", "crlf")
    (repository / ".gitattributes").write_text("*.txt text\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "attributes")
    path, _ = make(gits.open_git(repository, dict(os.environ)).locate())
    assert git(path, "rev-parse", "--show-toplevel") == str(path)
    assert (path / "a.txt").read_bytes().endswith(b"\r\n")
    assert git(path, "status", "--porcelain") == ""


def test_an_interrupted_index_of_a_sparse_checkout_stays_locked(door, sparse):
    with checkout.lock_index(door) as locked:
        assert (sparse / ".git/index.lock").exists()
        assert locked.run("ls-files", "-t").count("S ") == 3


# -- commands ---------------------------------------------------------------------------------------

WORK = """
pre_steps: [create-worktree]
steps:
  - {name: look, script: 'git status --porcelain && ls'}
  - {name: change, script: 'echo new > in/new; mkdir out; echo new > out/new; git show HEAD:out/f > out/f; echo x >> out/f'}
"""


def test_a_run_in_a_sparse_checkout_is_compared_merged_undone_and_cleaned_up(project):
    for name in ("in/f", "out/f"):
        (project.root / name).parent.mkdir()
        (project.root / name).write_text(f"{name}\n")
    project.command("work", WORK)
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "folders")
    git(project.root, "sparse-checkout", "set", "in", ".prj")
    _, one = project.run("work")
    _, other = project.run("work")
    assert [files(Path(one["worktree"], folder)) for folder in ("in", "out")] == [
        ["f", "new"],
        ["f", "new"],
    ]
    compared = project.prj("compare", one["id"], other["id"]).out
    assert [name for name in ("in/new", "out/f", "out/new", "gone") if name in compared] == [
        "in/new", "out/f", "out/new",
    ]  # fmt: skip
    assert project.prj("conflicts").code == 0
    merged = project.prj("merge", one["id"], "--no-check", "--json").json
    assert "out/new" in git(project.root, "ls-files").splitlines()
    assert files(project.root / "in") == ["f", "new"]
    assert not (project.root / "out").exists()
    assert git(project.root, "status", "--porcelain") == ""
    project.prj("cleanup", "--days", "0")
    assert not Path(one["worktree"]).exists()
    assert project.prj("undo", merged["operation"]).code == 0
    assert git(project.root, "ls-files", "out") == "out/f"
    assert git(project.root, "status", "--porcelain") == ""


@pytest.mark.parametrize("operation", ["write", "delete"])
def test_a_change_set_names_a_file_that_is_not_checked_out(door, sparse, operation):
    change = FileChange("out/f", "new\n" * (operation == "write"), operation=operation)
    with pytest.raises(ConflictError, match="out/f is outside your sparse checkout") as refused:
        change.apply(sparse)
    assert "git sparse-checkout add out" in refused.value.fix
    assert not (sparse / "out").exists()
    FileChange("out/new", "new\n").apply(sparse)
    assert (sparse / "out/new").read_text() == "new\n"
