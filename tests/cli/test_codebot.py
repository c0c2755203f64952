"""`codebot` commands on change sets: apply, pending, undo, redo, blame, schema."""

import json
import os
import re
import subprocess
import sys
import time

import pytest

from conftest import NEEDS_TMUX
from terminal import Terminal

TEN = "".join(f"line {n}\n" for n in range(30))


def changes(*items, **more):
    return json.dumps({"file_changes": [dict(item) for item in items], **more})


def write(path, content, **more):
    return {"filepath": path, "content": content, **more}


@pytest.fixture
def shop(project):
    (project.root / "t.txt").write_text(TEN)
    return project


def changed(*lines):
    text = TEN
    for n in lines:
        text = text.replace(f"line {n}\n", f"LINE {n}\n")
    return text


def test_last_applied_is_undone_first_after_the_clock_was_set_back(project, monkeypatch):
    project.codebot("apply", "-", "-y", given=changes(write("one.txt", "1\n")))
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 2 * 86400)
    project.codebot("apply", "-", "-y", given=changes(write("two.txt", "2\n")))
    for name in ("three", "four"):
        project.codebot("pending", "add", "-", given=changes(write(f"{name}.txt", "x\n")))
        monkeypatch.setattr(time, "time", lambda: now() - 4 * 86400)
    waiting = project.codebot("pending", "list", "--json").json["items"]
    assert [item["files"] for item in waiting] == [["three.txt"], ["four.txt"]]
    assert project.codebot("undo", "--json").json["files"] == ["two.txt"]
    assert project.codebot("undo", "--json").json["files"] == ["one.txt"]
    assert project.codebot("redo", "--json").json["files"] == ["one.txt"]


@pytest.mark.parametrize("pending", [False, True])
def test_other_names_of_a_changed_file_are_told(project, pending):
    os.link(project.root / "a.txt", project.root.parent / "other.txt")
    given = changes(write("a.txt", "two\n"), write("new.txt", "x\n"))
    if pending:
        project.codebot("pending", "add", "-", given=given)
    answer = (
        project.codebot("apply", "--all", "-y")
        if pending
        else project.codebot("apply", "-", "-y", given=given)
    )
    assert answer.code == 0
    assert answer.err.count("a.txt has 1 other name (hard links), which keep the old content") == 1
    assert "new.txt has" not in answer.err
    assert (project.root.parent / "other.txt").read_text() == "one\n"


def test_the_json_of_the_seed_is_applied_at_once(project):
    given = changes(
        write("a.txt", "two\n", operation="write"),
        write("new/b.py", "x = 1\n"),
        {"filepath": "gone", "operation": "delete", "content": ""},
        summary="Do it",
        metadata={"n": 1},
    )
    (project.root.parent / "c.json").write_text(given)
    answer = project.codebot("apply", project.root.parent / "c.json")
    assert answer.code == 0
    assert re.fullmatch(
        r"applied c-[0-9a-f]{8}: 2 files \(undo with `codebot undo c-[0-9a-f]{8}`\)\n", answer.out
    )
    assert (project.root / "a.txt").read_text() == "two\n"
    assert (project.root / "new/b.py").read_text() == "x = 1\n"
    assert project.codebot("undo").code == 0
    assert (project.root / "a.txt").read_text() == "one\n"
    assert not (project.root / "new").exists()
    assert project.codebot("redo").code == 0
    assert (project.root / "new/b.py").exists()


def test_stdin_and_json(project):
    answer = project.codebot("apply", "-", "--yes", "--json", given=changes(write("a.txt", "two\n")))
    assert answer.json["schema"] == "prunejuice.applied/1"
    assert answer.json["files"] == [{"filepath": "a.txt", "operation": "write", "added": 1, "removed": 1}]
    undone = project.codebot("undo", "--json").json
    assert (undone["id"], undone["state"], undone["files"]) == (answer.json["ids"][0], "undone", ["a.txt"])
    assert project.codebot("redo", undone["id"], "--json").json["state"] == "applied"


ANSWER = """Here is what I would do.

t.txt
<<<<<<< SEARCH
line 3
=======
LINE 3
>>>>>>> REPLACE

<<<<<<< SEARCH
  line 9
=======
  LINE 9
>>>>>>> REPLACE
"""


def test_an_answer_with_edits_is_previewed_and_applied(shop):
    (shop.root / "answer.md").write_text(ANSWER)
    answer = shop.codebot("apply", "--format", "search-replace", "answer.md", "--dry-run")
    assert answer.code == 0
    assert "-line 3\n+LINE 3\n" in answer.out
    assert (shop.root / "t.txt").read_text() == TEN
    found = shop.codebot("apply", "answer.md", "--dry-run", "--json").json
    assert [each["tier"] for each in found["edits"]] == ["exact", "indentation"]
    assert len(found["hunks"]) == 1
    assert shop.codebot("apply", "answer.md").code == 0
    assert (shop.root / "t.txt").read_text() == changed(3, 9)
    (shop.root / "answer.md").write_text(ANSWER.replace("  line 9", "line 9").replace("  LINE 9", "LINE 9"))
    again = shop.codebot("apply", "answer.md")
    assert (again.code, again.out) == (0, "nothing was changed\n")


def test_edits_without_a_place_are_named_and_nothing_is_changed(shop):
    (shop.root / "answer.md").write_text(ANSWER.replace("line 9", "line 99").replace("LINE 9", "LINE 99"))
    answer = shop.codebot("apply", "answer.md")
    assert answer.code == 4
    assert "t.txt (line 10 of the answer): could not find the search lines in the file" in answer.err
    assert "could not place 1 of 2 edits; nothing was changed" in answer.err
    assert (shop.root / "t.txt").read_text() == TEN
    found = shop.codebot("apply", "answer.md", "--json")
    assert found.code == 4
    assert [each.get("cause") for each in found.json["edits"]] == [None, "not found"]


def test_a_diff_can_be_piped_from_dry_run_into_git(shop):
    given = changes(
        write("t.txt", changed(3, 20)),
        write("n.txt", "new\n"),
        {"filepath": "a.txt", "operation": "delete"},
    )
    diff = shop.codebot("apply", "-", "--dry-run", given=given).out
    subprocess.run(["git", "apply", "-"], cwd=shop.root, input=diff, text=True, check=True)
    assert (shop.root / "t.txt").read_text() == changed(3, 20)
    assert not (shop.root / "a.txt").exists()
    (shop.root / "t.txt").write_text(TEN)
    assert shop.codebot("apply", "-", given=diff.split("diff --git a/n.txt")[0]).code == 0
    assert (shop.root / "t.txt").read_text() == changed(3, 20)


WRONG = {
    "no such file": (["apply", "nothing.json"], "", 2, "no such file"),
    "no such change set": (["apply", "c-00"], "", 2, "unknown change set"),
    "nothing waits": (["apply"], "", 2, "no pending changes"),
    "nothing waits for all": (["apply", "--all"], "", 2, "no pending changes"),
    "all and one": (["apply", "--all", "c-1"], "", 2, "a change set and --all cannot be combined"),
    "not JSON": (["apply", "-", "--format", "json"], "nonsense", 2, "do not match the schema"),
    "no edits": (["apply", "-"], "I would not change a thing.", 4, "no edits"),
    "an escape": (["apply", "-"], changes(write("../x", "y")), 7, "has an empty, '.' or '..' component"),
    "git": (["apply", "-"], changes(write(".git/hooks/x", "y")), 7, "belongs to git"),
    "a grant": (["apply", "-", "--yes"], changes(write(".envrc", "y")), 7, "--allow"),
    "stale": (
        ["apply", "-"],
        changes(write("a.txt", "y", base="0" * 64)),
        4,
        "changed since they were read",
    ),
    "review without a terminal": (
        ["apply", "-", "-r"],
        changes(write("a.txt", "y")),
        8,
        "needs a terminal",
    ),
    "two on stdin": (["apply", "-", "--decisions", "-"], "", 2, "stdin cannot be both"),
    "nothing applied": (["undo"], "", 2, "nothing to undo"),
    "nothing undone": (["redo"], "", 2, "nothing to redo"),
    "no line": (["blame", "a.txt"], "", 2, "expected FILE:LINE"),
    "a line that is not there": (["blame", "a.txt:9"], "", 2, "has no line 9"),
    "an unknown command": (["aply"], "", 2, "did you mean 'apply'"),
    "bytes": (["apply", "bytes"], "", 2, "not UTF-8"),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_are_reported_with_their_exit_code(name, project):
    (project.root / "bytes").write_bytes(b"\xff\xfe")
    words, given, code, text = WRONG[name]
    answer = project.codebot(*words, given=given)
    assert (answer.code, text in answer.err) == (code, True), answer.err
    assert "Traceback" not in answer.err
    assert (project.root / "a.txt").read_text() == "one\n"


def test_hostile_text_reaches_no_terminal(project):
    evil = "\x1b]52;c;aGk=\x07\x9b2J\u202e[/foo][link=x]"
    given = changes(write("a.txt", evil + "\n", reason=evil), summary=evil)
    for words in (["pending", "add", "-"], ["apply", "-", "--dry-run", "--json"], ["apply", "-"]):
        answer = project.codebot(*words, given=given)
        assert answer.code == 0
        assert not set("\x1b\x9b\u202e\x07") & set(
            answer.err + ("" if "--dry-run" in words else answer.out)
        )
    for words in (
        ["pending", "list", "--all"],
        ["blame", "a.txt:1"],
        ["pending", "list", "--all", "--json"],
    ):
        answer = project.codebot(*words)
        assert answer.code == 0
        assert not set("\x1b\x9b\u202e\x07") & set(answer.out)


def test_fifty_megabytes_are_refused_without_harm(project):
    answer = project.codebot("apply", "-", given="x" * 50_000_000)
    assert (answer.code, "16 MB" in answer.err) == (4, True)


# -- waiting ----------------------------------------------------------------------------------------


def add(project, *items, **more):
    answer = project.codebot("pending", "add", "-", "--json", given=changes(*items, **more))
    assert answer.code == 0, answer.err
    return answer.json["id"]


def test_change_sets_wait_until_they_are_applied(shop):
    one = add(shop, write("t.txt", changed(3)), summary="first")
    two = add(shop, write("t.txt", changed(20)), write("n", "new\n"), command="fix")
    assert (shop.root / "t.txt").read_text() == TEN
    rows = shop.codebot("pending").out.splitlines()
    assert [row.split()[0] for row in rows] == [one, two]
    assert rows[0].endswith("ready")
    assert rows[1].endswith(f"on {one}")
    items = shop.codebot("pending", "list", "--json").json["items"]
    assert [(each["stacks_on"], each["conflict"]) for each in items] == [([], None), ([one], None)]
    answer = shop.codebot("apply")
    assert (answer.code, "2 change sets are pending" in answer.err) == (2, True)
    assert shop.codebot("apply", "--all").code == 0
    assert (shop.root / "t.txt").read_text() == changed(3, 20)
    assert shop.codebot("pending").out == "no pending changes\n"
    assert len(shop.codebot("pending", "list", "--all").out.splitlines()) == 2


def test_a_conflict_between_two_is_shown_before_and_refused(shop):
    one = add(shop, write("t.txt", changed(3)))
    two = add(shop, write("t.txt", TEN.replace("line 3\n", "other\n")))
    assert f"after {one}" in shop.codebot("pending").out
    answer = shop.codebot("apply", "--all")
    assert (answer.code, two in answer.err) == (4, True)
    assert (shop.root / "t.txt").read_text() == TEN
    assert shop.codebot("pending", "show", two).code == 0
    assert shop.codebot("apply", one).code == 0
    assert shop.codebot("pending", "show", two).code == 4


def test_show_drop_split_squash(shop):
    whole = add(shop, write("t.txt", changed(3)), write("docs/n.md", "new\n"), summary="both")
    text = shop.codebot("pending", "show", whole[:5]).out
    assert "pending  both" in text
    assert "+LINE 3" in text
    assert shop.codebot("pending", "show", whole, "--json").json["hunks"][0]["path"] == "t.txt"
    left, right = (
        line.split()[0] for line in shop.codebot("pending", "split", whole, "docs/*").out.splitlines()
    )
    joined = shop.codebot("pending", "squash", left, right, "--json").json
    assert set(joined["files"]) == {"docs/n.md", "t.txt"}
    again = shop.codebot("pending", "split", joined["id"], "t.txt", "--json").json["items"]
    assert [each["files"] for each in again] == [["t.txt"], ["docs/n.md"]]
    assert shop.codebot("pending", "drop", again[0]["id"]).out == f"{again[0]['id']} is dropped: 1 file\n"
    assert shop.codebot("apply").code == 0
    assert (shop.root / "t.txt").read_text() == TEN


def test_added_changes_are_applied_at_once_when_that_is_set(project, monkeypatch):
    monkeypatch.setenv("PRUNEJUICE_APPLY", "true")
    assert (
        "is applied: 1 file"
        in project.codebot("pending", "add", "-", given=changes(write("a.txt", "two\n"))).out
    )
    assert (project.root / "a.txt").read_text() == "two\n"
    assert (
        "is pending"
        in project.codebot("pending", "add", "-", "--no-apply", given=changes(write("a.txt", "3\n"))).out
    )
    assert project.codebot("pending", "add", "-", given=changes(write("a.txt", "two\n"))).code == 2
    assert (
        project.codebot(
            "pending", "add", "-", given="src/x.py\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n"
        ).code
        == 4
    )


def test_blame(shop, monkeypatch):
    shop.codebot(
        "apply",
        "-",
        given=changes(
            write("t.txt", changed(3), metadata={"fix_reason": "it was small"}),
            summary="Fix",
            command="fix",
            run="abc",
        ),
    )
    found = shop.codebot("blame", "t.txt:4", "--json").json["change_set"]
    assert (found["command"], found["run"], found["reason"], found["summary"]) == (
        "fix",
        "abc",
        "it was small",
        "Fix",
    )
    assert "it was small" in shop.codebot("blame", "t.txt:4").out
    assert "no stored change set" in shop.codebot("blame", "t.txt:5").out
    assert shop.codebot("blame", "t.txt:5", "--json").json["change_set"] is None
    (shop.root / "sub").mkdir()
    monkeypatch.chdir(shop.root / "sub")
    assert "it was small" in shop.codebot("blame", "../t.txt:4").out


def test_schema_command_prints_the_change_set_schema(project):
    schema = json.loads(project.codebot("schema").out)
    assert schema["title"] == "codebot.changes/1"
    assert "filepath" in schema["$defs"]["FileChange"]["required"]


# -- review by a program ----------------------------------------------------------------------------


def hunk_ids(project, name):
    return [each["id"] for each in project.codebot("pending", "show", name, "--json").json["hunks"]]


def test_decisions_from_a_program_are_applied_to_hunks(shop):
    name = add(shop, write("t.txt", changed(3, 15, 27)), write("docs/n.md", "new\n"))
    one, two, three, _ = hunk_ids(shop, name)
    decisions = [
        {"hunk": one, "action": "approve"},
        {"hunk": two, "action": "reject", "reason": "not this"},
        {"hunk": three, "action": "modify", "lines": ["mine"]},
        {"glob": "docs/*", "action": "approve"},
    ]
    answer = shop.codebot("apply", name, "--decisions", "-", "--json", given=json.dumps(decisions))
    assert answer.code == 0, answer.err
    assert (shop.root / "t.txt").read_text() == changed(3).replace("line 27\n", "mine\n")
    assert (shop.root / "docs/n.md").exists()
    (back,) = answer.json["sent_back"]
    assert (back["hunk"], back["reason"], back["filepath"]) == (two, "not this", "t.txt")
    assert "-line 15\n+LINE 15" in back["diff"]
    assert "pending" not in answer.json
    history = shop.codebot("pending", "show", answer.json["ids"][0], "--json").json["history"]
    assert [each["decision"]["action"] for each in history if each["what"] == "decided"] == [
        "approve",
        "reject",
        "modify",
        "approve",
    ]
    assert shop.codebot("undo").code == 0
    assert (shop.root / "t.txt").read_text() == TEN


def test_undecided_hunks_stay_pending(shop):
    name = add(shop, write("t.txt", changed(3, 15)))
    one, _ = hunk_ids(shop, name)
    answer = shop.codebot(
        "apply", name, "--decisions", "-", "--json", given=json.dumps([{"hunk": one, "action": "approve"}])
    )
    assert (shop.root / "t.txt").read_text() == changed(3)
    assert shop.codebot("apply", answer.json["pending"]).code == 0
    assert (shop.root / "t.txt").read_text() == changed(3, 15)


def test_kinds_can_be_approved_by_a_program(project):
    (project.root / "a.py").write_text("import os\n\n\nx = 1\n")
    given = changes(write("a.py", "import os\nimport re\n\n\nx = 1\n"), write("b.txt", "x"))
    (project.root / "c.json").write_text(given)
    decisions = json.dumps([{"kind": "import added", "action": "approve"}])
    assert project.codebot("apply", "c.json", "--decisions", "-", given=decisions).code == 0
    assert "import re" in (project.root / "a.py").read_text()
    assert not (project.root / "b.txt").exists()


BAD = {
    "no list": ("{}", "could not read"),
    "no target": ('[{"action": "approve"}]', "name exactly one of"),
    "two targets": ('[{"action": "approve", "hunk": "*", "glob": "*"}]', "name exactly one of"),
    "no such hunk": ('[{"action": "approve", "hunk": "zz"}]', "unknown hunk"),
    "an unknown word": ('[{"action": "aprove", "hunk": "*"}]', "could not read"),
    "an empty change": ('[{"action": "modify", "hunk": "*"}]', "has no lines and no reason"),
}


@pytest.mark.parametrize("name", BAD)
def test_decisions_that_are_no_decisions(name, shop):
    given, text = BAD[name]
    (shop.root / "c.json").write_text(changes(write("t.txt", changed(3))))
    answer = shop.codebot("apply", "c.json", "--decisions", "-", given=given)
    assert (answer.code, text in answer.err) == (2, True), answer.err
    assert (shop.root / "t.txt").read_text() == TEN


def test_rejected_hunks_are_revised_by_the_again_command(shop, tmp_path):
    maker = tmp_path / "maker.py"
    maker.write_text(
        "import json, sys\n"
        "(back,) = json.load(sys.stdin)['sent_back']\n"
        "assert back['reason'] == 'shout less', back\n"
        "text = open('t.txt').read().replace('line 15\\n', 'Line 15\\n')\n"
        "print(json.dumps({'file_changes': [{'filepath': 't.txt', 'content': text}]}))\n"
    )
    (shop.root / "c.json").write_text(changes(write("t.txt", changed(3, 15))))
    found = shop.codebot("apply", "c.json", "--dry-run", "--json").json["hunks"]
    decisions = [
        {"hunk": found[0]["id"], "action": "approve"},
        {"hunk": "*", "action": "reject", "reason": "shout less"},
    ]
    (shop.root / "d.json").write_text(json.dumps(decisions))
    (shop.root / "all.json").write_text(json.dumps([{"hunk": "*", "action": "approve"}]))
    answer = shop.codebot(
        "apply", "c.json", "--decisions", "d.json", "--again", f"{sys.executable} {maker}"
    )
    assert answer.code == 0, answer.err
    assert "sent back for revision: 1 hunk" in answer.out
    assert (shop.root / "t.txt").read_text() == changed(3)  # what was made again waits to be judged
    assert "revised: c-" in answer.err
    assert shop.codebot("apply").code == 0
    assert (shop.root / "t.txt").read_text() == changed(3).replace("line 15\n", "Line 15\n")


def test_a_maker_that_fails_leaves_what_was_approved(shop):
    (shop.root / "c.json").write_text(changes(write("t.txt", changed(3, 15))))
    found = shop.codebot("apply", "c.json", "--dry-run", "--json").json["hunks"]
    decisions = json.dumps([
        {"hunk": found[0]["id"], "action": "approve"},
        {"hunk": "*", "action": "reject"},
    ])
    answer = shop.codebot(
        "apply", "c.json", "--decisions", "-", "--again", "echo oh no >&2; exit 3", given=decisions
    )
    assert (answer.code, "exit code 3 oh no" in answer.err) == (1, True)
    assert (shop.root / "t.txt").read_text() == changed(3)


# -- review by a person -----------------------------------------------------------------------------


@pytest.fixture
def review(shop):
    def start(*lines, more=(), words=("-r",), **env):
        (shop.root / "c.json").write_text(
            changes(write("t.txt", changed(*lines), reason="because \x1b[31mit"), *more)
        )
        return Terminal(shop.root, "apply", "c.json", *words, **env)

    return start


def test_interactive_review_decides_hunk_by_hunk(shop, review):
    terminal = review(3, 15, 27)
    terminal.wait("[1/3] t")
    terminal.wait("why   because \\x1b[31mit")
    terminal.key("a")
    terminal.wait("[2/3]")
    terminal.key("r")
    terminal.key("no need\r", after="why")
    terminal.wait("[3/3]")
    terminal.key("b")
    terminal.wait("[2/3]")
    terminal.key("r")
    terminal.key("truly\r", after="why")
    terminal.key("a")
    assert terminal.end() == 0
    assert "rejected: 1 hunk" in terminal.seen
    assert (shop.root / "t.txt").read_text() == changed(3, 27)


def test_ctrl_c_ends_a_review(shop, review):
    terminal = review(3, 15, 27)
    terminal.wait("[1/3] t")
    terminal.key("\x03")
    assert terminal.end() == 130
    assert (shop.root / "t.txt").read_text() != changed(3, 15, 27)


def test_quitting_writes_no_more_and_keeps_the_rest(shop, review):
    terminal = review(3, 15, 27)
    terminal.key("a")
    terminal.key("q")
    assert terminal.end() == 0
    assert (shop.root / "t.txt").read_text() == changed(3)
    name = re.search(r"undecided: (c-\w+)", terminal.seen)[1]
    assert shop.codebot("apply", name).code == 0
    assert (shop.root / "t.txt").read_text() == changed(3, 15, 27)


def test_ctrl_c_writes_nothing(shop, review):
    terminal = review(3, 15)
    terminal.key("a")
    terminal.key("\x03")
    assert terminal.end() == 130
    assert (shop.root / "t.txt").read_text() == TEN


def test_splitting_and_describing(shop, review):
    terminal = review(3, 6)
    terminal.wait("[1/1]")
    terminal.key("s")
    terminal.wait("[1/2]")
    terminal.key("a")
    terminal.wait("[2/2]")
    terminal.key("m")
    terminal.key("in words\r", after="how should it change")
    assert terminal.end() == 0
    assert (shop.root / "t.txt").read_text() == changed(3)
    assert "1 hunk with your request: c-" in terminal.seen
    [waiting] = shop.codebot("pending", "list", "--json").json["items"]
    shown = shop.codebot("pending", "show", waiting["id"]).out
    assert "+LINE 6" in shown
    assert "in words" in shown


def test_editing(shop, review, tmp_path):
    editor = tmp_path / "editor"
    editor.write_text(
        f"#!{sys.executable}\nimport sys\np = sys.argv[1]\nt = open(p).read()\nopen(p, 'w').write(t.replace('LINE', 'Line') + 'more\\n')\n"
    )
    editor.chmod(0o755)
    terminal = review(3, VISUAL=str(editor), EDITOR=str(editor))
    terminal.key("e")
    assert terminal.end() == 0
    assert (shop.root / "t.txt").read_text() == TEN.replace("line 3\n", "Line 3\nmore\n")


def test_an_editor_that_changes_nothing_decides_nothing(shop, review):
    terminal = review(3, VISUAL="true", EDITOR="true")
    terminal.key("e")
    terminal.key("r")
    terminal.key("\r", after="why")
    assert terminal.end() == 0
    assert (shop.root / "t.txt").read_text() == TEN


def test_approving_a_kind_by_number_and_by_glob(shop, review):
    more = [write("x.py", "import os\n\n\na = 1\n"), write("docs/a.md", "a\n"), write("docs/b.md", "b\n")]
    terminal = review(3, 15, more=more)
    terminal.key("A")
    terminal.wait("1  same lines")
    terminal.key("t.txt\r", after="a glob of files")
    terminal.wait("[3/5] x.py")
    terminal.key("r")
    terminal.key("\r", after="why")
    terminal.wait("[4/5] docs/a.md")
    terminal.key("A")
    terminal.key("docs/*\r", after="a glob of files")
    assert terminal.end() == 0
    assert (shop.root / "t.txt").read_text() == changed(3, 15)
    assert (shop.root / "docs/b.md").exists()
    assert not (shop.root / "x.py").exists()


def test_a_wrong_key_shows_no_row_of_keys_and_question_mark_does(shop, review):
    terminal = review(3, 15)
    terminal.key("x")
    terminal.key("?", after="no such key; ? shows the keys\r\n? ")
    terminal.wait("m  ask for another version in words")
    terminal.wait("e  change its lines yourself")
    terminal.key("q")
    assert terminal.end() == 0


def test_a_review_starts_with_the_explanation_and_takes_no_empty_reason(shop):
    change = json.loads(changes(write("t.txt", changed(3))))
    text = json.dumps({**change, "summary": "I made it \x1b[2Jlouder."})
    (shop.root / "c.json").write_text(text)
    (shop.root / "again").write_text("#!/bin/sh\ncat > asked\necho '{\"file_changes\": []}'\n")
    (shop.root / "again").chmod(0o755)
    terminal = Terminal(shop.root, "apply", "c.json", "-r", "--again", "./again")
    terminal.wait("I made it \\x1b[2Jlouder.")
    terminal.key("r")
    terminal.key("\r", after="why (Enter: no reason)")
    terminal.end()
    assert json.loads((shop.root / "asked").read_text())["sent_back"][0]["reason"] == "no reason given"


def test_by_file(shop, review):
    terminal = review(3, 15, words=("--review", "file"))
    terminal.wait("[1/1] t")
    terminal.key("a")
    assert terminal.end() == 0
    assert (shop.root / "t.txt").read_text() == changed(3, 15)


def test_confirming_a_protected_file_in_review_allows_its_change(shop, review):
    terminal = review(3, more=[write(".envrc", "export A=1\n")])
    terminal.key("a")
    terminal.wait("decides what runs on this machine")
    terminal.key("a")
    assert terminal.end() == 0
    assert (shop.root / ".envrc").exists()


def test_on_a_terminal_apply_asks_and_yes_does_not(shop, review):
    terminal = review(3, words=())
    terminal.key("n\r", after="change 1 file?")
    assert terminal.end() == 1
    assert "cancelled: nothing was changed" in terminal.seen
    assert (shop.root / "t.txt").read_text() == TEN
    terminal = review(3, words=("--yes",))
    assert terminal.end() == 0
    assert (shop.root / "t.txt").read_text() == changed(3)


def test_yes_answers_no_question_of_safety(shop, review):
    terminal = review(3, more=[write(".envrc", "x\n")], words=("--yes",))
    assert terminal.end() == 7
    assert not (shop.root / ".envrc").exists()
    terminal = review(3, more=[write(".envrc", "x\n")], words=())
    terminal.key("y\r", after="change 2 files?")
    terminal.key("y\r", after="Change it?")
    assert terminal.end() == 0
    assert (shop.root / ".envrc").exists()


def test_keys_typed_ahead_are_not_lost(shop, review):
    terminal = review(3, 15, 27)
    terminal.key("rbecause\na\x1b[Aéb" + "aq")
    assert terminal.end() == 0
    assert (shop.root / "t.txt").read_text() == changed(15)


def test_an_editor_that_is_not_there_costs_nothing(shop, review):
    terminal = review(3, 15, VISUAL="/no/such/editor", EDITOR="/no/such/editor")
    terminal.key("a")
    terminal.key("e")
    terminal.key("a")
    assert terminal.end() == 0
    assert (shop.root / "t.txt").read_text() == changed(3, 15)


def test_the_end_of_input_writes_nothing(shop, review):
    terminal = review(3, 15)
    terminal.key("a")
    terminal.key("\x04")
    assert terminal.end() == 130
    assert (shop.root / "t.txt").read_text() == TEN


@pytest.mark.parametrize(
    "words", [["--dry-run", "-r"], ["--dry-run", "--decisions", "x"], ["--again", "true"]]
)
def test_options_that_make_no_sense_together(shop, words):
    (shop.root / "c.json").write_text(changes(write("t.txt", changed(3))))
    assert shop.codebot("apply", "c.json", *words).code == 2


def test_json_output_is_one_object_when_the_revision_fails(shop):
    (shop.root / "c.json").write_text(changes(write("t.txt", changed(3))))
    decisions = json.dumps([{"hunk": "*", "action": "reject"}])
    no_place = "printf 't.txt\\n<<<<<<< SEARCH\\nnothing here\\n=======\\nx\\n>>>>>>> REPLACE\\n'"
    for command, code in (("exit 3", 1), (no_place, 4), ("echo nothing", 1)):
        answer = shop.codebot(
            "apply", "c.json", "--decisions", "-", "--json", "--again", command, given=decisions
        )
        assert answer.code == code, (command, answer)
        assert answer.json["again"]


def test_bytes_that_are_not_utf_8_are_no_crash(shop):
    (shop.root / "b.txt").write_bytes(b"caf\xe9\nk\n")
    answer = shop.codebot(
        "apply", "-", "--json", given="b.txt\n<<<<<<< SEARCH\ncafe x\n=======\ny\n>>>>>>> REPLACE\n"
    )
    assert answer.code == 4
    assert answer.json["edits"][0]["cause"] == "not found"
    assert shop.codebot(
        "apply", "-", "--dry-run", "--json", given="b.txt\n<<<<<<< SEARCH\nk\n=======\ny\n>>>>>>> REPLACE\n"
    ).json["hunks"]


def test_json_in_a_fence_and_names_as_models_write_them(shop):
    text = f"Here:\n```json\n{changes(write('t.txt', changed(3)))}\n```\n"
    assert shop.codebot("apply", "-", given=text).code == 0
    assert (shop.root / "t.txt").read_text() == changed(3)
    assert (
        shop.codebot(
            "apply", "-", given="./t.txt\n<<<<<<< SEARCH\nline 9\n=======\nLINE 9\n>>>>>>> REPLACE\n"
        ).code
        == 0
    )
    assert (shop.root / "t.txt").read_text() == changed(3, 9)


def test_json_keeps_line_ends_and_leaves_nothing_out(shop):
    (shop.root / "w.txt").write_bytes(b"a\r\nb\r\n")
    assert shop.codebot("apply", "-", given=changes(write("w.txt", "a\nc\n"))).code == 0
    assert (shop.root / "w.txt").read_bytes() == b"a\r\nc\r\n"
    answer = shop.codebot(
        "apply", "-", given=changes(write("w.txt", "a\n# ... rest of the code unchanged ...\n"))
    )
    assert (answer.code, "omitted" in answer.err) == (4, True)


@NEEDS_TMUX
def test_a_review_works_in_tmux(shop):
    (shop.root / "c.json").write_text(changes(write("t.txt", changed(3, 15))))
    socket = os.environ["PRUNEJUICE_TMUX_SOCKET"]
    text = "import sys; from prunejuice.cli.codebot import main; main()"
    command = f"cd {shop.root} && {sys.executable} -c '{text}' apply c.json -r; echo ended $?; sleep 60"
    subprocess.run(
        ["tmux", "-L", socket, "new-session", "-d", "-x", "120", "-y", "40", "-s", "r", command], check=True
    )

    def screen(text):
        for _ in range(400):
            shown = subprocess.run(
                ["tmux", "-L", socket, "capture-pane", "-p", "-t", "r"],
                capture_output=True,
                text=True,
                check=True,
            )
            if text in shown.stdout:
                return
            time.sleep(0.05)
        raise AssertionError(shown.stdout)

    screen("[1/2] t")
    subprocess.run(["tmux", "-L", socket, "send-keys", "-t", "r", "a"], check=True)
    screen("[2/2] t")
    subprocess.run(["tmux", "-L", socket, "send-keys", "-t", "r", "q"], check=True)
    screen("ended 0")
    assert (shop.root / "t.txt").read_text() == changed(3)
