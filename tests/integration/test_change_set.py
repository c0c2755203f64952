"""Change sets on a real tree: apply, refuse, undo."""

import json
import os
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import codebot
from conftest import git
from prunejuice.changes import blame, change_set, pending, transaction, tree_state
from prunejuice.changes.change_set import ChangeSet, FileChange
from prunejuice.changes.change_set_store import ChangeSetStore
from prunejuice.changes.staging import FileWrite
from prunejuice.edits.diff import FileDiff, Version
from prunejuice.errors import ConflictError, DeniedError, NotFoundError, PruneJuiceError, UsageError
from prunejuice.system import settings as own_settings


@pytest.fixture
def house(repository):
    return tree_state.find_tree_state(repository, own_settings.environment())


@pytest.fixture
def shelf(house):
    return ChangeSetStore(house)


def proposed(shelf, *changes, **more):
    made = ChangeSet(changes, **more)
    return pending.add_change_set(shelf, made, change_set.resolve_diffs(made, shelf.tree_state))


def applied(shelf, *changes, **more):
    return pending.apply(shelf, [proposed(shelf, *changes, **more)])[0][0]


# -- as a library -----------------------------------------------------------------------------------


def test_seed_api_names_still_preview_and_apply_changes(repository, monkeypatch):
    monkeypatch.chdir(repository)
    one = codebot.FileChange(filepath="a.txt", content="two\n", metadata={"ai_explanation": "because"})
    assert one.operation == "write"
    assert one.why == "because"
    assert (
        one.preview()
        == "diff --git a/a.txt b/a.txt\n--- a/a.txt\n+++ b/a.txt\n@@ -1,1 +1,1 @@\n-one\n+two\n"
    )
    one.apply()
    assert (repository / "a.txt").read_text() == "two\n"
    output = codebot.CommandOutput(
        file_changes=[codebot.FileChange("a.txt", operation="delete")], summary="gone"
    )
    output.change_set("clean").apply()
    assert not (repository / "a.txt").exists()


def test_a_library_user_needs_no_repository(tmp_path):
    (tmp_path / "deep").mkdir()
    FileChange("deep/a.py", "x = 1\n").apply(tmp_path)
    assert (tmp_path / "deep/a.py").read_text() == "x = 1\n"
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "home") == ["deep"]


def test_names_are_relative_to_the_root_that_is_given(repository):
    (repository / "sub").mkdir()
    FileChange("x.txt", "x").apply(repository / "sub")
    assert (repository / "sub/x.txt").exists()
    with pytest.raises(DeniedError):
        FileChange("../x.txt", "x").apply(repository / "sub")


def test_json_there_and_back():
    made = ChangeSet(
        (FileChange("a", "é\0"), FileChange("b", operation="delete")), summary="s", metadata={"n": [1]}
    )
    assert change_set.parse_change_set(made.to_json()).file_changes == made.file_changes
    assert ChangeSet.from_json(made.to_json().encode()).metadata == {"n": [1]}
    assert json.loads(made.to_json())["schema"] == "codebot.changes/1"


JSON = {
    "not JSON": "{",
    "a list": "[]",
    "no changes": "{}",
    "an unknown key": '{"file_changes": [{"file_path": "a"}]}',
    "an unknown operation": '{"file_changes": [{"filepath": "a", "operation": "chmod"}]}',
    "a name twice": '{"file_changes": [{"filepath": "a", "filepath": "b"}]}',
    "no number": '{"file_changes": [], "metadata": {"a": NaN}}',
    "too deep": '{"file_changes": [], "metadata": {"a": ' + "[" * 100_000 + "]" * 100_000 + "}}",
    "too long": " " * 65_000_000,
    "too many": json.dumps({"file_changes": [{"filepath": "a"}] * 10_001}),
    "a wrong type": '{"file_changes": [{"filepath": 1}]}',
}


@pytest.mark.parametrize("name", JSON)
def test_json_that_is_not_as_the_schema_says(name):
    with pytest.raises(UsageError):
        change_set.parse_change_set(JSON[name])


def test_content_that_is_not_base64(repository):
    with pytest.raises(UsageError, match="base64"):
        FileChange("b", "???", encoding="base64").apply(repository)
    FileChange("b", "AAEC", encoding="base64").apply(repository)
    assert (repository / "b").read_bytes() == b"\0\1\2"


def test_the_schema_is_that_of_the_values():
    schema = change_set.json_schema()
    properties = schema["$defs"]["FileChange"]["properties"]
    assert set(properties) >= {"filepath", "content", "operation", "metadata"}
    assert properties["operation"]["enum"] == ["delete", "mode", "rename", "write"]


# -- what changes mean ------------------------------------------------------------------------------


def test_changes_to_the_same_file_apply_in_order(repository):
    made = ChangeSet((
        FileChange("b.txt", "x\n"),
        FileChange("b.txt", operation="rename", to="c.txt"),
        FileChange("c.txt", "y\n"),
        FileChange("c.txt", operation="mode", mode="755"),
        FileChange("a.txt", operation="delete"),
        FileChange("nothing", operation="delete"),
    ))
    made.apply(repository)
    assert (repository / "c.txt").read_text() == "y\n"
    assert (repository / "c.txt").stat().st_mode & stat.S_IXUSR
    assert not (repository / "a.txt").exists()
    assert not (repository / "b.txt").exists()


def test_all_stale_files_are_named_and_nothing_is_written(repository):
    made = ChangeSet((
        FileChange("a.txt", "x", base="0" * 64),
        FileChange("b.txt", "x", base="0" * 64),
        FileChange("c.txt", "x", base=change_set.ABSENT_BASE),
    ))
    with pytest.raises(ConflictError) as caught:
        made.apply(repository)
    assert caught.value.files == ("a.txt", "b.txt")
    assert not (repository / "c.txt").exists()


REFUSED = {
    "a mode of nothing": FileChange("n", operation="mode", mode="755"),
    "a new name for nothing": FileChange("n", operation="rename", to="m"),
    "a new name that is taken": FileChange("a.txt", operation="rename", to="b.txt"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_change_of_a_missing_file_or_rename_onto_a_file_is_refused(name, repository):
    (repository / "b.txt").write_text("b")
    with pytest.raises(ConflictError):
        REFUSED[name].apply(repository)
    assert (repository / "b.txt").read_text() == "b"


def test_a_rename_keeps_mode_and_bytes(repository):
    (repository / "run").write_bytes(b"\xff\0")
    (repository / "run").chmod(0o755)
    FileChange("run", operation="rename", to="bin/run").apply(repository)
    assert (repository / "bin/run").read_bytes() == b"\xff\0"
    assert (repository / "bin/run").stat().st_mode & 0o777 == 0o755
    FileChange("bin/run", operation="mode", mode="644").apply(repository)
    assert (repository / "bin/run").stat().st_mode & 0o777 == 0o644


def test_a_link_is_deleted_and_comes_back_as_a_link(repository, shelf):
    (repository / "l").symlink_to("a.txt")
    record = applied(shelf, FileChange("l", operation="delete"))
    assert not (repository / "l").is_symlink()
    pending.undo(shelf, record)
    assert os.readlink(repository / "l") == "a.txt"


def test_the_index_and_everything_else_of_git_stay(repository):
    (repository / "s.txt").write_text("staged\n")
    git(repository, "add", "s.txt")
    before = (
        (repository / ".git/index").read_bytes(),
        git(repository, "stash", "list"),
        git(repository, "rev-parse", "HEAD"),
    )
    FileChange("a.txt", "x").apply(repository)
    assert before == (
        (repository / ".git/index").read_bytes(),
        git(repository, "stash", "list"),
        git(repository, "rev-parse", "HEAD"),
    )
    assert git(repository, "status", "--short") == "M a.txt\nA  s.txt"


def test_in_a_linked_worktree_its_own_git_directory_keeps_the_changes(repository):
    git(repository, "worktree", "add", "-q", "../other")
    FileChange("a.txt", "x").apply(repository.parent / "other")
    assert list((repository / ".git/worktrees/other/prunejuice/changes").glob("*.done"))
    assert (repository / "a.txt").read_text() == "one\n"


def test_a_tree_is_changed_by_one_at_a_time_and_snapshots_wait(repository):
    from prunejuice.worktrees import git as gits
    from prunejuice.worktrees import snapshot

    door = gits.open_git(str(repository), dict(own_settings.environment())).locate()

    def write(number):
        ChangeSet(tuple(FileChange(f"{name}.txt", f"{number}\n") for name in "abcdef")).apply(repository)

    def look(_):
        tree = snapshot.current_snapshot(door).commit
        return {git(repository, "show", f"{tree}:{name}.txt") for name in "abcdef"}

    write(0)
    with ThreadPoolExecutor(4) as pool:
        written = [pool.submit(write, n) for n in range(1, 12)]
        seen = [pool.submit(look, n) for n in range(12)]
    failed = [each.exception() for each in written if each.exception()]
    assert all(isinstance(each, ConflictError) for each in failed)  # another was faster
    assert len(failed) < len(written)
    assert all(len(each.result()) == 1 for each in seen)


# -- undo and redo ----------------------------------------------------------------------------------


def everything(root):
    found = {}
    for path in sorted(root.rglob("*")):
        if ".git" in path.relative_to(root).parts:
            continue
        mode = path.lstat().st_mode
        kept = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else "folder"
        found[str(path.relative_to(root))] = (stat.S_IMODE(mode) if not path.is_symlink() else 0, kept)
    return found


NAMES = st.sampled_from(["a.txt", "b.bin", "d/c.txt", "d/e/f.txt", "g"])
BYTES = st.binary(max_size=12) | st.sampled_from([b"one\r\ntwo\r\n", b"x\n" * 9, b"\xef\xbb\xbfq", b"\0"])
FILES = st.dictionaries(NAMES, st.tuples(BYTES, st.sampled_from([0o644, 0o755, 0o600, 0o440])), max_size=5)
WISHES = st.lists(
    st.tuples(NAMES, st.none() | BYTES, st.none() | st.sampled_from([0o644, 0o755, 0o700])),
    min_size=1,
    max_size=6,
    unique_by=lambda each: each[0],
)


@pytest.mark.slow
@settings(
    max_examples=int(os.environ.get("PRUNEJUICE_TEST_EXAMPLES", "150")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(files=FILES, wishes=WISHES)
def test_undo_of_apply_changes_nothing_and_undo_of_that_everything(tmp_path_factory, files, wishes):
    """Bytes, modes and folders; the way back is a change set too."""
    root = tmp_path_factory.mktemp("tree")
    for name, (data, mode) in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
        (root / name).chmod(mode)
    house = tree_state.find_tree_state(root, own_settings.environment())
    before = everything(root)
    wanted = [FileWrite(name, data, None, mode) for name, data, mode in wishes]
    plan = transaction.apply(house, wanted)
    after = everything(root)
    if not plan.targets:
        assert after == before
        return
    back = transaction.apply(house, transaction.reverse_writes(house, plan), emptied=plan.folders)
    assert everything(root) == before
    again = transaction.apply(house, transaction.reverse_writes(house, back), emptied=back.folders)
    assert everything(root) == after
    transaction.apply(house, transaction.reverse_writes(house, again), emptied=again.folders)
    assert everything(root) == before


TEN = "".join(f"line {n}\n" for n in range(20))


def test_undo_keeps_what_others_changed_in_other_lines(repository, shelf):
    (repository / "t").write_text(TEN)
    record = applied(shelf, FileChange("t", TEN.replace("line 3\n", "LINE 3\n")))
    (repository / "t").write_text((repository / "t").read_text().replace("line 15\n", "mine\n"))
    pending.undo(shelf, record)
    assert (repository / "t").read_text() == TEN.replace("line 15\n", "mine\n")
    pending.apply(shelf, [shelf.find(record.id)])
    assert (repository / "t").read_text() == TEN.replace("line 15\n", "mine\n").replace(
        "line 3\n", "LINE 3\n"
    )


def test_applied_record_cannot_be_changed_until_it_is_undone(repository, shelf):
    (repository / "t").write_text(TEN)
    seen = proposed(shelf, FileChange("t", TEN.replace("line 3\n", "LINE 3\n")))
    pending.require_unchanged(shelf, seen)
    pending.apply(shelf, [seen])
    with pytest.raises(ConflictError, match="meanwhile: it is applied"):
        pending.require_unchanged(shelf, seen)
    for do in (
        lambda: pending.drop_record(shelf, seen),
        lambda: pending.split_record(shelf, seen, ["t"]),
        lambda: pending.squash_records(shelf, [seen, seen]),
        lambda: pending.apply(shelf, [seen]),
    ):
        with pytest.raises(UsageError, match="applied"):
            do()
    pending.undo(shelf, seen)
    assert (repository / "t").read_text() == TEN
    with pytest.raises(UsageError, match="undone, not applied"):
        pending.undo(shelf, seen)


def test_undo_of_lines_that_others_changed_is_a_conflict(repository, shelf):
    (repository / "t").write_text(TEN)
    record = applied(shelf, FileChange("t", TEN.replace("line 3\n", "LINE 3\n")), FileChange("new", "x"))
    (repository / "t").write_text(TEN.replace("line 3\n", "mine\n"))
    before = everything(repository)
    with pytest.raises(ConflictError, match="t was changed since"):
        pending.undo(shelf, record)
    assert everything(repository) == before
    (repository / "t").unlink()
    with pytest.raises(ConflictError):
        pending.undo(shelf, record)


def test_undo_accepts_files_already_reverted_by_hand(repository, shelf):
    record = applied(shelf, FileChange("a.txt", "two\n"), FileChange("b.txt", "b"))
    (repository / "a.txt").write_text("one\n")
    pending.undo(shelf, record)
    assert not (repository / "b.txt").exists()
    assert (repository / "a.txt").read_text() == "one\n"


def test_undo_needs_something_to_undo(shelf):
    record = proposed(shelf, FileChange("a.txt", "two\n"))
    with pytest.raises(UsageError, match="pending"):
        pending.undo(shelf, record)
    done = pending.apply(shelf, [record])[0][0]
    transaction.delete_done_plan(shelf.tree_state, done.plan)
    with pytest.raises(NotFoundError, match="no longer stored"):
        pending.undo(shelf, done)
    with pytest.raises(UsageError, match="already applied"):
        pending.apply(shelf, [done])
    shelf.delete(done)
    with pytest.raises(NotFoundError):
        shelf.find(done.id)


# -- waiting ----------------------------------------------------------------------------------------


def standings(shelf):
    return [
        (each.stacks_on, each.conflict and each.conflict.message)
        for each in pending.load_record_statuses(shelf, shelf.load_in_state("pending"))
    ]


def test_change_sets_stack_where_they_change_other_lines(repository, shelf):
    (repository / "t").write_text(TEN)
    one = proposed(shelf, FileChange("t", TEN.replace("line 3\n", "LINE 3\n")))
    two = proposed(shelf, FileChange("t", TEN.replace("line 15\n", "LINE 15\n")))
    assert standings(shelf) == [((), None), ((one.id,), None)]
    pending.apply(shelf, [one, two])
    assert (repository / "t").read_text() == TEN.replace("line 3\n", "LINE 3\n").replace(
        "line 15\n", "LINE 15\n"
    )
    pending.undo(shelf, shelf.find(one.id))
    assert (repository / "t").read_text() == TEN.replace("line 15\n", "LINE 15\n")


def test_change_sets_that_meet_conflict_and_nothing_is_applied(repository, shelf):
    (repository / "t").write_text(TEN)
    one = proposed(shelf, FileChange("t", TEN.replace("line 3\n", "LINE 3\n")), FileChange("n", "x"))
    two = proposed(shelf, FileChange("t", TEN.replace("line 3\n", "OTHER\n")))
    ((_, first), (_, second)) = standings(shelf)
    assert first is None
    assert f"after {one.id}" in second
    with pytest.raises(ConflictError, match=two.id):
        pending.apply(shelf, [one, two])
    assert (repository / "t").read_text() == TEN
    assert not (repository / "n").exists()


def test_a_change_set_follows_a_file_that_changed_since(repository, shelf):
    (repository / "t").write_text(TEN)
    record = proposed(shelf, FileChange("t", TEN.replace("line 3\n", "LINE 3\n")))
    (repository / "t").write_text("above\n" + TEN.replace("line 15\n", ""))
    pending.apply(shelf, [record])
    assert (repository / "t").read_text() == "above\n" + TEN.replace("line 15\n", "").replace(
        "line 3\n", "LINE 3\n"
    )


@pytest.mark.parametrize("now", [None, "other\n", b"\0\0"])
def test_a_change_set_whose_file_is_another_now_is_refused(repository, shelf, now):
    record = proposed(shelf, FileChange("a.txt", "two\n"))
    (repository / "a.txt").unlink()
    if now is not None:
        (repository / "a.txt").write_bytes(now if isinstance(now, bytes) else now.encode())
    with pytest.raises(ConflictError):
        pending.apply(shelf, [record])


def test_a_new_file_that_somebody_else_made_is_never_overwritten(repository, shelf):
    record = proposed(shelf, FileChange("n.txt", "ours\n"))
    (repository / "n.txt").write_text("theirs\n")
    with pytest.raises(ConflictError, match="it exists now"):
        pending.apply(shelf, [record])
    (repository / "n.txt").write_text("ours\n")
    done, plan = pending.apply(shelf, [record])[0]
    assert (done.state, plan.targets) == ("applied", ())
    assert pending.undo(shelf, done)[0].state == "undone"
    assert (repository / "n.txt").read_text() == "ours\n"


def test_expired_records_are_deleted_but_pending_ones_are_kept(repository, shelf):
    old = applied(shelf, FileChange("x", "1"))
    waits = proposed(shelf, FileChange("y", "1"))
    FileChange("z", "1").apply(repository)
    pending.delete_expired(shelf, 0)
    assert len(shelf.load_all()) == 2
    long_ago = [msgspec.structs.replace(each, at=1.0) for each in old.history]
    shelf.save(msgspec.structs.replace(old, history=tuple(long_ago)))
    pending.delete_expired(shelf, 14)
    assert [each.id for each in shelf.load_all()] == [waits.id]
    assert len(transaction.done_plan_ids(shelf.tree_state)) == 1
    assert (repository / "x").read_text() == "1"


def test_split_and_squash(repository, shelf):
    record = proposed(shelf, FileChange("x/a", "1"), FileChange("y/b", "2"), summary="both")
    left, right = pending.split_record(shelf, record, ["x/*"])
    assert (left.paths, right.paths) == (["x/a"], ["y/b"])
    assert shelf.find(record.id).state == "dropped"
    with pytest.raises(UsageError, match="none"):
        pending.split_record(shelf, left, ["x"])
    whole = pending.squash_records(shelf, [left, right])
    assert set(whole.paths) == {"x/a", "y/b"}
    assert whole.change_set.summary == "both; both"
    with pytest.raises(UsageError, match="two"):
        pending.squash_records(shelf, [whole])
    with pytest.raises(UsageError, match="dropped"):
        pending.squash_records(shelf, [shelf.find(left.id), shelf.find(right.id)])
    pending.apply(shelf, [whole])
    assert (repository / "x/a").read_text() == "1"


def test_squash_of_the_same_file(repository, shelf):
    (repository / "t").write_text(TEN)
    one = proposed(shelf, FileChange("t", TEN.replace("line 3\n", "LINE 3\n")))
    two = proposed(shelf, FileChange("t", TEN.replace("line 15\n", "LINE 15\n")))
    meets = proposed(shelf, FileChange("t", TEN.replace("line 3\n", "OTHER\n")))
    with pytest.raises(ConflictError):
        pending.squash_records(shelf, [one, meets])
    whole = pending.squash_records(shelf, [one, two])
    pending.apply(shelf, [whole])
    assert (repository / "t").read_text() == TEN.replace("line 3\n", "LINE 3\n").replace(
        "line 15\n", "LINE 15\n"
    )


def test_a_forged_record_is_passed_over(shelf):
    record = proposed(shelf, FileChange("a.txt", "two\n"))
    path = shelf.tree_state.pending_dir / f"{record.id}.json"
    path.write_bytes(path.read_bytes().replace(b"a.txt", b"b.txt"))
    assert shelf.load_all() == []


def test_dropped_record_cannot_be_dropped_again(shelf):
    record = pending.drop_record(shelf, proposed(shelf, FileChange("a.txt", "two\n")))
    assert record.state == "dropped"
    with pytest.raises(UsageError):
        pending.drop_record(shelf, record)


# -- who wrote a line -------------------------------------------------------------------------------


def test_blame_finds_the_change_set_of_a_line_through_later_ones(repository, shelf):
    (repository / "t").write_text(TEN)
    one = applied(
        shelf, FileChange("t", TEN.replace("line 3\n", "LINE 3\n"), reason="why one"), command="fix"
    )
    two = applied(shelf, FileChange("t", "top\n" + (repository / "t").read_text()), command="docs")
    (repository / "t").write_text("by hand\n" + (repository / "t").read_text())
    found = blame.blame_line(shelf, "t", 6)
    assert (found.record.id, found.line, found.reason("t")) == (one.id, 4, "why one")
    assert blame.blame_line(shelf, "t", 2).record.id == two.id
    assert blame.blame_line(shelf, "t", 1) is None
    assert blame.blame_line(shelf, "t", 10) is None
    for line in (0, 99):
        with pytest.raises(NotFoundError):
            blame.blame_line(shelf, "t", line)
    with pytest.raises(NotFoundError):
        blame.blame_line(shelf, "absent", 1)


def test_blame_of_a_new_file_and_of_one_that_moved_before_it_was_applied(repository, shelf):
    record = proposed(shelf, FileChange("t", TEN))
    pending.apply(shelf, [record])
    assert blame.blame_line(shelf, "t", 5).record.id == record.id
    second = proposed(shelf, FileChange("t", TEN.replace("line 9\n", "LINE 9\n")))
    (repository / "t").write_text("above\n" + TEN)
    pending.apply(shelf, [second])
    assert blame.blame_line(shelf, "t", 11).record.id == second.id


# -- what a command starts --------------------------------------------------------------------------


def test_importing_codebot_loads_nothing_heavy():
    text = "import codebot, sys; print(sorted({n.split('.')[0] for n in sys.modules} & {'rich', 'yaml', 'asyncio', 'click', 'pydantic', 'tree_sitter'}))"
    done = subprocess.run([os.sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_facade_only_names_things():
    import ast

    tree = ast.parse(Path(codebot.__file__).read_text())
    assert all(isinstance(node, ast.ImportFrom | ast.Assign | ast.Expr | ast.If) for node in tree.body)
    assert all(hasattr(codebot, name) for name in codebot.__all__)
    assert issubclass(codebot.ConflictError, PruneJuiceError)
    assert FileDiff("a", Version(None), Version(None)).to == ""


# -- what reviews found -----------------------------------------------------------------------------


def killed_in(shelf, record, act, at):
    """Apply or undo in a process that is killed at its n-th exchange."""
    from prunejuice.changes.filesystem import Disk

    class Killed(Disk):
        seen = 0

        def swap(self, *args):
            Killed.seen += 1
            if Killed.seen == at:
                os._exit(99)
            super().swap(*args)

    child = os.fork()
    if child == 0:
        act(ChangeSetStore(shelf.tree_state._replace(disk=Killed())), record)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 99


@pytest.mark.parametrize("at", [1, 2])
def test_a_record_knows_that_it_was_applied_though_we_were_killed(repository, shelf, at):
    (repository / "b.txt").write_text("b\n")
    record = proposed(shelf, FileChange("a.txt", "two\n"), FileChange("b.txt", "B\n"), FileChange("n", "x"))
    killed_in(shelf, record, lambda s, r: pending.apply(s, [r]), at)
    transaction.recover(shelf.tree_state)
    found = shelf.find(record.id)
    assert found.state == "applied"
    killed_in(shelf, found, pending.undo, at)
    transaction.recover(shelf.tree_state)
    assert shelf.find(record.id).state == "undone"
    assert (repository / "a.txt").read_text() == "one\n"
    assert not (repository / "n").exists()


def test_looking_at_what_waits_settles_what_was_cut_off(repository, shelf):
    (repository / "b.txt").write_text("b\n")
    record = proposed(shelf, FileChange("a.txt", "two\n"), FileChange("b.txt", "B\n"))
    killed_in(shelf, record, lambda s, r: pending.apply(s, [r]), 2)
    pending.load_record_statuses(shelf, [])
    assert (repository / "b.txt").read_text() == "B\n"
    assert shelf.find(record.id).state == "applied"


@pytest.mark.parametrize("how", ["gone", "a file", "a link"])
def test_a_folder_that_somebody_changed_after_a_kill_blocks_nothing(repository, shelf, tmp_path, how):
    import shutil

    (repository / "d").mkdir()
    (repository / "d/x").write_text("x\n")
    record = proposed(
        shelf, FileChange("d/x", "X\n"), FileChange("a.txt", "two\n"), FileChange("d/e/n", "n")
    )
    killed_in(shelf, record, lambda s, r: pending.apply(s, [r]), 2)
    shutil.rmtree(repository / "d")
    if how == "a file":
        (repository / "d").write_text("mine")
    elif how == "a link":
        (repository / "d").symlink_to(tmp_path)
    for _ in range(2):
        try:
            transaction.recover(shelf.tree_state)
        except ConflictError:
            continue
    FileChange("other", "1").apply(repository)
    assert (repository / "a.txt").read_text() == "one\n"
    assert not list(shelf.tree_state.state_dir.glob("cs-*.back"))


def test_a_folder_put_in_place_of_a_file_in_that_moment_comes_back(repository, house):
    from prunejuice.changes.filesystem import Disk

    class Meddled(Disk):
        def swap(self, *args):
            (repository / "a.txt").unlink()
            (repository / "a.txt").mkdir()
            (repository / "a.txt/precious").write_text("precious")
            super().swap(*args)

    with pytest.raises(ConflictError):
        transaction.apply(house._replace(disk=Meddled()), [FileWrite("a.txt", b"two\n")])
    assert (repository / "a.txt/precious").read_text() == "precious"
    FileChange("b", "1").apply(repository)


def test_several_are_applied_all_or_none(repository, shelf, monkeypatch):
    one, two = proposed(shelf, FileChange("a.txt", "two\n")), proposed(shelf, FileChange("n", "x"))
    real = pending._apply_record

    def meddled(shelf, standing):
        if standing.record.id == two.id:
            (repository / "n").write_text("mine")
        return real(shelf, standing)

    monkeypatch.setattr(pending, "_apply_record", meddled)
    with pytest.raises(ConflictError):
        pending.apply(shelf, [one, two])
    assert (repository / "a.txt").read_text() == "one\n"
    assert {each.state for each in shelf.load_all()} == {"pending"}


def test_squash_keeps_renames_modes_and_new_files_under_old_names(repository, shelf):
    (repository / "run").write_text("r")
    (repository / "run").chmod(0o755)
    moved = proposed(shelf, FileChange("a.txt", operation="rename", to="c.txt"))
    made = pending.add_change_set(
        shelf,
        ChangeSet((FileChange("a.txt", "new\n"),)),
        [FileDiff("a.txt", Version(None), Version(b"new\n"))],
    )
    plain = proposed(shelf, FileChange("run", operation="mode", mode="644"))
    whole = pending.squash_records(shelf, [moved, made, plain])
    pending.apply(shelf, [whole])
    assert (repository / "c.txt").read_text() == "one\n"
    assert (repository / "a.txt").read_text() == "new\n"
    assert not (repository / "run").stat().st_mode & 0o111
    pending.undo(shelf, shelf.find(whole.id))
    assert (repository / "a.txt").read_text() == "one\n"
    assert (repository / "run").stat().st_mode & 0o111


def test_missing_final_newline_is_applied_as_a_change(repository, shelf):
    (repository / "t").write_text(TEN + "last")
    record = proposed(shelf, FileChange("t", TEN + "last\n"))
    (repository / "t").write_text(TEN.replace("line 3\n", "mine\n") + "last")
    pending.apply(shelf, [record])
    assert (repository / "t").read_text() == TEN.replace("line 3\n", "mine\n") + "last\n"


def test_blame_follows_a_rename(repository, shelf):
    (repository / "t").write_text(TEN)
    one = applied(shelf, FileChange("t", TEN.replace("line 3\n", "LINE 3\n")))
    applied(shelf, FileChange("t", operation="rename", to="u"))
    assert blame.blame_line(shelf, "u", 4).record.id == one.id


def test_change_set_blocked_by_a_folder_does_not_hide_the_others(repository, shelf):
    one, two = proposed(shelf, FileChange("x", "1")), proposed(shelf, FileChange("y", "1"))
    (repository / "x").mkdir()
    assert [bool(each.conflict) for each in pending.load_record_statuses(shelf, [one, two])] == [
        True,
        False,
    ]


def test_a_hostile_folder_of_changes_stops_nobody(repository, shelf):
    FileChange("b", "1").apply(repository)
    state = shelf.tree_state.state_dir
    os.mkfifo(state / "cs-1.plan")
    (state / "cs-2.plan").write_bytes(b"junk")
    (state / "cs-3").write_bytes(b"junk")
    (state / "cs-4").mkdir()
    (state / "cs-4/sub").mkdir()
    (state / "cs-5.new").mkdir()
    (state / "cs-6").symlink_to("/etc")
    (state / "cs-7.other").write_bytes(b"junk")
    shelf.tree_state.pending_dir.mkdir(exist_ok=True)
    os.mkfifo(shelf.tree_state.pending_dir / "c-1.json")
    for n in range(3):
        FileChange("b", f"{n}").apply(repository)
    assert shelf.load_all() == []
    assert (repository / "b").read_text() == "2"


def test_a_folder_of_changes_that_leads_elsewhere_is_not_used(repository, tmp_path):
    (tmp_path / "out").mkdir()
    (repository / ".git/prunejuice").symlink_to(tmp_path / "out")
    with pytest.raises(DeniedError, match="is a link"):
        FileChange("b", "1").apply(repository)
    assert not (repository / "b").exists()


def test_many_files_at_once(repository):
    made = ChangeSet(tuple(FileChange(f"many/{n}.txt", f"{n}\n") for n in range(1500)))
    made.apply(repository)
    assert len(list((repository / "many").iterdir())) == 1500


def test_text_that_is_no_unicode_is_refused():
    with pytest.raises(UsageError):
        change_set.parse_change_set('{"file_changes": [], "summary": "\\ud800"}')
