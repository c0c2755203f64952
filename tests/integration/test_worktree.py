"""Creating and removing worktrees is atomic, and no work of the user is lost."""

import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from conftest import git
from prunejuice.errors import ConflictError, GitError, StepError, StoreError, UsageError
from prunejuice.system import deletion
from prunejuice.system.deletion import delete_folder
from prunejuice.system.lock import FileLock
from prunejuice.system.stop_request import STOP, Stop
from prunejuice.worktrees import git as gits
from prunejuice.worktrees import listing, merge, oplog, trash, worktree, worktree_names
from prunejuice.worktrees.worktree import WorktreeSpec


@pytest.fixture
def door(repository):
    return gits.open_git(repository, dict(os.environ)).locate()


def wanted(door, branch="pj-x", owner="run1"):
    return WorktreeSpec(worktree_names.worktree_path(door, "", branch), branch, door.head_commit(), owner)


def make(door, branch="pj-x"):
    made = worktree.create(door, wanted(door, branch))
    return Path(made.path), made


def journal(door):
    return oplog.open_log(door)


def test_a_worktree_has_its_branch_and_the_checkout_is_untouched(door, repository):
    (repository / "a.txt").write_text("mine, not committed\n")
    (repository / "new.txt").write_text("new\n")
    git(repository, "add", "new.txt")
    git(repository, "stash", "push", "-q", "--keep-index")
    before = [git(repository, *words) for words in LOOKS]
    path, made = make(door)
    assert git(path, "branch", "--show-current") == "pj-x"
    assert (path / "a.txt").read_text() == "one\n"
    assert git(path, "status", "--porcelain") == ""
    assert [git(repository, *words) for words in LOOKS] == before
    assert not made.reused
    assert git(repository, "fsck", "--strict") == ""


LOOKS = (
    ("status", "--porcelain=v2", "--branch"),
    ("rev-parse", "HEAD"),
    ("stash", "list"),
    ("ls-files", "--stage", "--debug"),
    ("config", "--list", "--local"),
)


def test_created_worktree_can_be_listed_moved_and_removed_by_git(door, repository):
    path, _ = make(door)
    listed = git(repository, "worktree", "list", "--porcelain")
    assert f"worktree {path}\n" in listed
    assert "branch refs/heads/pj-x" in listed
    git(repository, "worktree", "move", str(path), str(path.with_name("moved")))
    git(repository, "worktree", "lock", str(path.with_name("moved")))
    git(repository, "worktree", "unlock", str(path.with_name("moved")))
    git(repository, "worktree", "remove", str(path.with_name("moved")))
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_creating_an_existing_worktree_reuses_it(door):
    _, made = make(door)
    again = worktree.create(door, wanted(door))
    assert (again.reused, again.git_dir) == (True, made.git_dir)


def test_a_branch_that_is_there_is_checked_out_but_never_twice(door, repository):
    git(repository, "branch", "pj-x")
    path, made = make(door)
    assert not made.made_branch
    other = WorktreeSpec(path.with_name("other"), "pj-x", door.head_commit(), "run1")
    with pytest.raises(GitError, match="is checked out at"):
        worktree.create(door, other)
    with pytest.raises(GitError, match="is checked out at"):
        worktree.create(door, other._replace(branch="main"))
    assert not other.path.exists()


def test_existing_path_is_reported_and_never_replaced(door):
    there = wanted(door).path
    there.mkdir(parents=True)
    (there / "mine").write_text("precious")
    with pytest.raises(StepError, match="already exists"):
        worktree.create(door, wanted(door))
    assert (there / "mine").read_text() == "precious"
    for link in (there.with_name("dangling"), there.with_name("file")):
        link.symlink_to("/nowhere")
        with pytest.raises(StepError, match="already exists"):
            worktree.create(door, wanted(door)._replace(path=link))


def cut_off(door, made, repository, how):
    """Make a worktree look as if its creation had been killed."""
    records = listing.worktree_records(door)
    done = records.record_path(made.path)
    done.rename(records.record_path(made.path, finished=False))
    path, git_dir = Path(made.path), Path(made.git_dir)
    if how == "no files yet":
        (path / "a.txt").unlink()
        (git_dir / "index").rename(git_dir / "index.lock")
    elif how == "not registered":
        aside = Path(door.common) / "prunejuice" / f"new-{git_dir.name}"
        git_dir.rename(aside)
        (path / "a.txt").unlink()
    elif how == "only a branch":
        subprocess.run(["rm", "-rf", made.path, made.git_dir], check=True)
    elif how == "nothing yet":
        subprocess.run(["rm", "-rf", made.path, made.git_dir], check=True)
        git(repository, "branch", "-D", made.branch)


def test_a_creation_that_was_killed_after_its_last_file_is_kept(door, repository):
    path, made = make(door)
    cut_off(door, made, repository, "all there")
    (path / "work").write_text("a person found it")
    make(door, "pj-y")
    assert (path / "work").exists()
    assert worktree.create(door, wanted(door)).reused


@pytest.mark.parametrize("how", ["no files yet", "not registered", "only a branch", "nothing yet"])
def test_next_creation_cleans_up_a_killed_creation(door, repository, how):
    path, made = make(door)
    cut_off(door, made, repository, how)
    other, _ = make(door, "pj-y")
    assert other.exists()
    assert not path.exists()
    assert git(repository, "branch", "--list", "pj-x") == ""
    assert len(git(repository, "worktree", "list").splitlines()) == 2
    path, made = make(door)
    assert git(path, "status", "--porcelain") == ""


def test_cleanup_of_a_killed_creation_keeps_what_others_made_since(door, repository):
    path, made = make(door)
    cut_off(door, made, repository, "only a branch")
    git(repository, "worktree", "add", "-q", "-b", "mine", str(path))
    (path / "work").write_text("precious")
    make(door, "pj-y")
    assert (path / "work").read_text() == "precious"
    assert git(path, "branch", "--show-current") == "mine"


def test_a_branch_that_moved_since_stays(door, repository):
    path, made = make(door)
    git(path, "commit", "--allow-empty", "-qm", "work")
    cut_off(door, made, repository, "no files yet")
    make(door, "pj-y")
    assert git(repository, "log", "-1", "--format=%s", "pj-x") == "work"


@pytest.mark.parametrize("change", ["other run", "other branch", "locked", "index lock", "by hand"])
def test_a_worktree_with_work_in_it_is_never_cleared_away(door, repository, change):
    want = wanted(door)
    if change == "by hand":
        git(repository, "worktree", "add", "-q", "-b", "mine", str(want.path))
    else:
        worktree.create(door, want)
    (want.path / "work").write_text("precious")
    if change == "other branch":
        git(want.path, "checkout", "-q", "-b", "wip")
    elif change == "locked":
        git(repository, "worktree", "lock", str(want.path))
    elif change == "index lock":
        git_dir = git(want.path, "rev-parse", "--absolute-git-dir")
        open(f"{git_dir}/index.lock", "w").close()
    if change in {"locked", "index lock"}:
        assert worktree.create(door, want).reused
    else:
        owner = "run2" if change == "other run" else "run1"
        with pytest.raises(StepError, match="already exists"):
            worktree.create(door, want._replace(owner=owner))
    assert (want.path / "work").read_text() == "precious"


def test_a_record_that_is_damaged_clears_nothing(door):
    path, _ = make(door)
    next((Path(door.common) / "prunejuice" / "worktrees").glob("*.json")).write_text("{")
    with pytest.raises(StepError, match="already exists"):
        worktree.create(door, wanted(door))
    assert path.exists()


def test_a_worktree_that_was_deleted_by_hand_is_made_again_with_its_branch(door, repository):
    path, _ = make(door)
    git(path, "commit", "--allow-empty", "-qm", "work")
    subprocess.run(["rm", "-rf", str(path)], check=True)
    path, made = make(door)
    assert git(path, "log", "-1", "--format=%s") == "work"
    assert not made.made_branch


def test_waiting_for_another_creation_can_be_stopped(door, repository):
    lock = FileLock(repository / ".git" / "prunejuice.lock")
    lock.acquire()
    stop = Stop()
    threading.Timer(0.5, stop.request, [STOP]).start()
    with pytest.raises(StepError, match="another process holds"):
        worktree.create(door._replace(stop=stop), wanted(door))
    stop.close()
    lock.release()


def test_many_at_once_all_succeed(door, repository):
    failures = []

    def one(number):
        try:
            made = worktree.create(door, wanted(door, f"pj-{number}"))
            if number % 2:
                worktree.remove(door, Path(made.path))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(git(repository, "worktree", "list").splitlines()) == 7
    assert len(git(repository, "branch").splitlines()) == 7


BAD = [
    "-d",
    "@",
    "refs/heads/x",
    "a..b",
    "x" * 300,
    "a b",
    "a~1",
    "HEAD",
    "head",
    "",
    "a\u200bb",
    "a[b",
    "a.lock",
    "a//b",
    "/a",
    "a\nb",
    "a\x1b[31m",
    "..",
    "a/../b",
]


@pytest.mark.parametrize("branch", BAD)
def test_a_name_that_is_no_good_for_a_branch_is_refused(door, repository, branch):
    with pytest.raises(UsageError, match="branch") as refused:
        worktree.create(door, wanted(door)._replace(branch=branch))
    assert "\x1b" not in refused.value.message
    assert git(repository, "branch", "--format=%(refname:short)") == "main"


@pytest.mark.parametrize(
    ("branch", "folder"),
    [
        ("fix/#9", "fix--9"),
        ("a+b", "a+b"),
        ("größe", "größe"),
        ("v1,2", "v1,2"),
        ("feat(ui)!", "feat-ui--"),
        ("user@host/x=1", "user@host-x=1"),
        ("x/nul.txt", "x-nul.txt"),
        ("修正", "修正"),
        ("$(id)", "--id-"),
        ("it's", "it-s"),
    ],
)
def test_names_that_git_accepts_are_accepted(door, repository, branch, folder):
    path = worktree_names.worktree_path(door, "", branch)
    assert path.name == folder
    made = worktree.create(door, wanted(door)._replace(branch=branch, path=path))
    assert git(path, "symbolic-ref", "HEAD") == f"refs/heads/{branch}"
    assert worktree.remove(door, Path(made.path)).operation
    assert not path.exists()


def test_a_branch_below_another_is_a_clear_error_and_leaves_nothing(door, repository):
    git(repository, "branch", "pj")
    with pytest.raises(GitError, match="pj"):
        worktree.create(door, wanted(door, "pj/x"))
    assert not wanted(door, "pj/x").path.exists()
    assert len(listing.list_worktrees(door)) == 1


NAMES = ["with space", "ü", "a'b", 'a"b', "$(id)", "-dash", "new\nline", "#", "%20"]


@pytest.mark.parametrize("name", NAMES)
def test_repositories_with_unusual_names(tmp_path, name):
    place = tmp_path / name
    place.mkdir()
    git(place, "init", "-q")
    (place / "a.txt").write_text("one\n")
    git(place, "add", ".")
    git(place, "commit", "-qm", "first")
    door = gits.open_git(place, dict(os.environ)).locate()
    path, _ = make(door)
    assert git(path, "status", "--porcelain") == ""
    assert worktree.remove(door, path).why == ""


def test_from_a_subfolder_and_from_inside_a_linked_worktree(door, repository):
    path, _ = make(door)
    (path / "deep" / "er").mkdir(parents=True)
    inside = gits.open_git(path / "deep" / "er", dict(os.environ)).locate()
    assert inside.main_worktree == str(repository)
    other, _ = make(inside, "pj-y")
    assert other.parent == path.parent


def test_a_repository_with_a_submodule(door, repository, tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    git(inner, "commit", "-qm", "i", "--allow-empty")
    git(repository, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "sub")
    git(repository, "commit", "-qm", "with sub")
    path, _ = make(door)
    assert (path / "sub").is_dir()
    assert git(path, "status", "--porcelain") == ""
    assert worktree.remove(door, path).why == ""


def test_no_commit_yet_and_no_repository_are_named(tmp_path):
    door = gits.open_git(tmp_path, dict(os.environ))
    with pytest.raises(UsageError, match="not in a git repository"):
        door.locate()
    git(tmp_path, "init", "-q")
    with pytest.raises(UsageError, match="no commit yet"):
        door.locate().head_commit()


def test_a_parent_that_cannot_be_written_is_named_and_nothing_is_left(door, repository, monkeypatch):
    real = Path.mkdir

    def mkdir(self, *words, **more):
        if self == wanted(door).path:
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, *words, **more)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(StepError, match=r"could not create .*pj-x: Permission denied"):
        make(door)
    monkeypatch.undo()
    assert git(repository, "branch", "--list", "pj-x") == ""
    assert len(git(repository, "worktree", "list").splitlines()) == 1
    assert make(door)[0].exists()


def test_a_full_disk_leaves_nothing_half_made(project):
    """A limit on the size of files stands in for it: git dies in the middle of writing the tree."""
    (project.root / "large").write_bytes(os.urandom(200_000))
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "large")
    script = f"ulimit -f 100; exec {Path(sys.executable).with_name('plum')} create full"
    done = subprocess.run(
        ["bash", "-c", script], cwd=project.root, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "git read-tree failed" in done.stderr) == (1, True), done.stderr
    assert git(project.root, "branch", "--format=%(refname:short)") == "main"
    assert not (project.root.parent / "shop-worktrees" / "shop-full").exists()
    assert project.plum("create", "full").code == 0


def test_a_parent_that_is_a_file_is_named_and_nothing_is_left(door, repository):
    wanted(door).path.parent.write_text("in the way")
    with pytest.raises(StepError, match="could not create"):
        make(door)
    assert git(repository, "branch", "--list", "pj-x") == ""
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_a_user_filter_that_fails_leaves_nothing(door, repository, surroundings):
    """A full disk, a missing Git LFS object: whatever keeps the files from being written."""
    (repository / ".gitattributes").write_text("* filter=lfs\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "attributes")
    config = surroundings / ".gitconfig"
    config.write_text(config.read_text() + '[filter "lfs"]\nclean=cat\nsmudge=false\nrequired=true\n')
    with pytest.raises(GitError, match="smudge"):
        make(door)
    assert git(repository, "branch", "--list", "pj-x") == ""
    assert not wanted(door).path.exists()


def test_a_user_filter_works(door, repository, surroundings):
    config = surroundings / ".gitconfig"
    config.write_text(config.read_text() + '[filter "up"]\nclean=tr A-Z a-z\nsmudge=tr a-z A-Z\n')
    (repository / ".gitattributes").write_text("*.txt filter=up\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "attributes")
    path, _ = make(door)
    assert (path / "a.txt").read_text() == "ONE\n"
    assert git(path, "status", "--porcelain") == ""


# -- removal ----------------------------------------------------------------------------------------


def unseen(path):
    git(path, "config", "status.showUntrackedFiles", "no")
    (path / "new").write_text("x")


def skipped(path):
    git(path, "update-index", "--skip-worktree", "a.txt")
    (path / "a.txt").write_text("mine")


def detached(path):
    git(path, "checkout", "-q", "--detach")
    git(path, "commit", "--allow-empty", "-qm", "work")


def staged(path):
    (path / "a.txt").write_text("staged\n")
    git(path, "add", ".")
    (path / "a.txt").write_text("one\n")


def nested(path):
    (path / "inner").mkdir()
    git(path / "inner", "init", "-q")


def locked(path):
    git(path, "worktree", "lock", "--reason", "mine", str(path))


WORKS = [
    unseen,
    skipped,
    detached,
    staged,
    nested,
    locked,
    lambda path: (path / "new").write_text("x"),
    lambda path: (path / "a.txt").write_text("changed"),
    lambda path: (path / "a.txt").unlink(),
    lambda path: (path / "a.txt").chmod(0o755),
]


def contents(path):
    """Every file with its mode and bytes, and what git says of it."""
    found = {}
    for place in sorted(path.rglob("*")):
        mode = place.lstat().st_mode
        if stat.S_ISREG(mode) and place.name != ".git":
            found[str(place.relative_to(path))] = (mode, place.read_bytes())
    return found, git(path, "status", "--porcelain=v2", "--branch"), git(path, "rev-parse", "HEAD")


@pytest.mark.parametrize("work", WORKS)
def test_removal_keeps_whatever_would_be_lost_and_by_force_it_comes_back(door, repository, work):
    path, _ = make(door)
    work(path)
    assert worktree.remove(door, path).why != ""
    before = contents(path)
    removed = worktree.remove(door, path, force=True)
    assert not path.exists()
    assert len(git(repository, "worktree", "list").splitlines()) == 1
    git(repository, "gc", "-q", "--prune=now")
    assert worktree.restore_worktree(door, journal(door).find(removed.operation)) == ""
    assert contents(path) == before
    assert git(repository, "fsck", "--strict", "--no-dangling") == ""


def test_removal_keeps_a_branch_with_work(door, repository):
    path, made = make(door)
    (path / "new").write_text("x")
    git(path, "add", ".")
    git(path, "commit", "-qm", "work")
    removed = worktree.remove(door, path)
    assert (removed.why, removed.dropped, path.exists()) == ("", False, False)
    assert git(repository, "rev-parse", "pj-x") != made.base


def test_a_branch_goes_when_another_has_all_of_it(door, repository):
    path, _ = make(door)
    git(path, "commit", "--allow-empty", "-qm", "work")
    git(repository, "merge", "-q", "pj-x")
    assert worktree.remove(door, path).dropped
    assert git(repository, "branch", "--list", "pj-x") == ""


def test_a_branch_with_work_is_dropped_by_force_only_and_comes_back(door, repository):
    path, _ = make(door)
    git(path, "commit", "--allow-empty", "-qm", "work")
    with pytest.raises(StepError, match="no other branch"):
        worktree.remove(door, path, drop=True)
    assert path.exists()
    removed = worktree.remove(door, path, drop=True, force=True)
    assert git(repository, "branch", "--list", "pj-x") == ""
    worktree.restore_worktree(door, journal(door).find(removed.operation))
    assert git(path, "log", "-1", "--format=%s") == "work"


def test_removal_deletes_an_unchanged_branch_and_can_be_repeated(door, repository):
    path, _ = make(door)
    assert worktree.remove(door, path).dropped
    assert git(repository, "branch", "--list", "pj-x") == ""
    assert worktree.remove(door, path) == worktree.RemovalResult()


def test_main_worktree_and_plain_directories_are_never_removed(door, repository, tmp_path):
    assert "main working tree" in worktree.remove(door, repository, force=True).why
    other = tmp_path / "other"
    other.mkdir()
    assert "not a worktree" in worktree.remove(door, other, force=True).why
    assert other.exists()


@pytest.mark.parametrize("after", ["begun", "tree moved", "git moved"])
def test_killed_removal_is_finished_by_the_next_operation(door, repository, after):
    path, made = make(door)
    removed = journal(door).find(worktree.remove(door, path).operation)
    kept = Path(removed.trash)
    if after != "git moved":
        (kept / "git").rename(made.git_dir)
    if after == "begun":
        (kept / "tree").rename(path)
    journal(door).mark_state(removed, "begun")
    make(door, "pj-y")
    assert not path.exists()
    assert len(git(repository, "worktree", "list").splitlines()) == 2
    assert journal(door).find(removed.id).state == "done"


@pytest.mark.parametrize("after", ["begun", "tree moved"])
def test_killed_restore_is_finished_by_the_next_operation(door, repository, after):
    path, _ = make(door)
    (path / "new").write_text("x")
    removed = journal(door).find(worktree.remove(door, path, force=True).operation)
    git(repository, "branch", "pj-x")
    if after == "tree moved":
        (Path(removed.trash) / "tree").rename(path)
    journal(door).mark_state(removed, "undoing")
    make(door, "pj-y")
    assert (path / "new").read_text() == "x"
    assert "?? new" in git(path, "status", "--porcelain")
    assert journal(door).find(removed.id).state == "undone"


def test_restore_refuses_an_existing_path_and_detaches_a_reused_branch(door, repository):
    path, _ = make(door)
    removed = journal(door).find(worktree.remove(door, path).operation)
    path.mkdir()
    with pytest.raises(ConflictError, match="already exists"):
        worktree.restore_worktree(door, removed)
    path.rmdir()
    git(repository, "commit", "--allow-empty", "-qm", "on")
    git(repository, "branch", "pj-x")
    assert "detached" in worktree.restore_worktree(door, removed)
    assert git(path, "rev-parse", "HEAD") == removed.new


def test_the_trash_is_emptied_by_age_and_says_so(door, repository):
    path, _ = make(door)
    deep = path / "kept" / "deep"
    deep.mkdir(parents=True)
    (deep / "f").write_text("x")
    deep.chmod(0o500)
    removed = journal(door).find(worktree.remove(door, path, force=True).operation)
    assert trash.empty_trash(door, removed.at - 1) == []
    assert [each.id for each in trash.empty_trash(door, time.time() + 1, dry_run=True)] == [removed.id]
    assert Path(removed.trash).exists()
    trash.empty_trash(door, time.time() + 1)
    assert not Path(removed.trash).exists()
    assert git(repository, "for-each-ref", "refs/prunejuice") == ""
    with pytest.raises(ConflictError, match="emptied"):
        worktree.restore_worktree(door, removed)


def test_prune_forgets_only_unlocked_worktrees_deleted_by_hand(door, repository):
    gone, _ = make(door)
    there, _ = make(door, "pj-y")
    locked, _ = make(door, "pj-z")
    git(repository, "worktree", "lock", str(locked))
    subprocess.run(["rm", "-rf", str(gone), str(locked)], check=True)
    assert worktree.prune(door, dry_run=True) == [gone]
    assert worktree.prune(door) == [gone]
    assert {each.path for each in listing.list_worktrees(door)} == {repository, there, locked}


def test_another_file_system_gets_a_trash_of_its_own(door, tmp_path, monkeypatch):
    path, _ = make(door)
    entry = next(each for each in listing.list_worktrees(door) if each.path == path)
    real = Path.stat

    def elsewhere(self, **more):
        found = real(self, **more)
        if self == path.parent:
            fields = list(found)
            fields[2] = 999_999
            return os.stat_result(fields)
        return found

    monkeypatch.setattr(Path, "stat", elsewhere)
    begun = oplog.new_operation("remove", "x", path)
    assert worktree._trash_folder(door, entry, begun).parent == path.parent


def test_entries_that_are_damaged_are_passed_over(door, repository):
    path, _ = make(door)
    (Path(door.common) / "worktrees" / "junk").mkdir()
    (Path(door.common) / "worktrees" / "file").write_text("x")
    assert [each.path for each in listing.list_worktrees(door)] == [repository, path]
    (journal(door).folder).mkdir(parents=True, exist_ok=True)
    (journal(door).folder / "op-1.json").write_text("{")
    assert journal(door).list_operations() == []


def test_folders_that_are_not_writable_are_deleted_too_and_what_cannot_be_is_named(tmp_path, monkeypatch):
    """Root may delete anything, so the refusal is forced."""
    real, refusals = shutil.rmtree, [2]

    def refuse(path, *rest, **more):
        refusals[0] -= 1
        if refusals[0] > 0:
            raise PermissionError(13, "Permission denied", str(path))
        real(path, *rest, **more)

    monkeypatch.setattr(deletion.shutil, "rmtree", refuse)
    (tmp_path / "tree" / "closed").mkdir(parents=True, mode=0o500)
    delete_folder(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
    (tmp_path / "tree").mkdir()
    refusals[0] = 9
    with pytest.raises(StoreError, match=r"could not delete .*: Permission denied"):
        delete_folder(tmp_path / "tree")


def test_the_folder_above_a_bare_repository_is_no_checkout(repository, tmp_path):
    """`proj/.bare` with `proj/.git` that names it, and worktrees beside: a merge updates the worktree."""
    place = tmp_path / "proj"
    place.mkdir()
    git(repository, "clone", "-q", "--bare", str(repository), str(place / ".bare"))
    (place / ".git").write_text("gitdir: ./.bare\n")
    git(place, "worktree", "add", "-q", "main", "main")
    located = gits.open_git(place / "main", dict(os.environ)).locate()
    assert located.main_worktree == ""
    old = located.resolve("refs/heads/main")
    (place / "main/new.txt").write_text("x\n")
    git(place / "main", "add", "new.txt")
    tree = git(place / "main", "write-tree")
    new = git(place / "main", "commit-tree", "-p", old, "-m", "new", tree)
    git(place / "main", "rm", "-qf", "new.txt")
    merge.advance_branch(located, "main", old, new)
    assert (place / "main/new.txt").read_text() == "x\n"
    assert not (place / "new.txt").exists()
    assert git(place / "main", "status", "--porcelain") == ""
