"""Trust is bound to bytes, secrets stay out of every output, and work is never lost."""

import json
import os
import py_compile
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from conftest import NEEDS_TMUX, git
from prunejuice.changes.dirfd import open_tree
from prunejuice.cli import ask_for_trust
from prunejuice.edits import protected_files
from prunejuice.edits.path_rules import invalid_path_reason
from prunejuice.edits.protected_files import protection_level
from prunejuice.errors import DeniedError
from prunejuice.testing import ModelServer, Reply


def make_command(project, name, steps, *, trust=True, head=""):
    project.command(name, f"name: {name}\n{head}steps:\n{textwrap.indent(steps, '  ')}", trust=trust)


# -- trust ------------------------------------------------------------------------------------------


def test_a_dotenv_file_is_trusted_like_commands(project):
    make_command(project, "t", '- {name: a, script: "echo value=$WHERE"}\n')
    (project.root / ".env").write_text("WHERE=here\n")
    answer = project.prj("run", "t")
    assert answer.code == 7
    assert ".env (new)" in answer.err
    project.prj("trust")
    answer, run = project.run("t")
    assert answer.code == 0
    assert "value=here" in project.log(run, "a")
    (project.root / ".env").write_text("WHERE=there\nMAKEFILES=evil.mk\n")
    assert project.prj("run", "t").code == 7


def test_a_dotenv_file_that_changes_in_a_run_is_not_used(project):
    make_command(
        project,
        "t",
        '- {name: a, script: "echo X=evil > .env"}\n- {name: b, script: "echo x=$X"}\n',
        trust=False,
    )
    (project.root / ".env").write_text("X=good\n")
    project.prj("trust")
    answer = project.prj("run", "t", "--no-worktree")
    assert answer.code == 7


def test_what_was_parsed_is_what_is_trusted(project, monkeypatch):
    make_command(project, "t", '- {name: a, script: "echo good"}\n')
    file = project.root / ".prj/commands/t.yaml"
    good = file.read_text()
    real = ask_for_trust.require_trust

    def flip_back(app, plans=()):
        file.write_text(good)
        real(app, plans)

    monkeypatch.setattr(ask_for_trust, "require_trust", flip_back)
    file.write_text(good.replace("good", "OTHER"))
    answer = project.prj("run", "t")
    assert answer.code == 7
    assert "has changed since it was trusted" in answer.err


PYTHON_COMMAND = textwrap.dedent(
    """
    from codebot import Command, register_command
    @register_command
    class Hello(Command):
        name = "hello"
        description = "harmless"
        prompt_template = "hi"
    """
)


def test_a_compiled_file_beside_a_command_never_runs(project, tmp_path):
    folder = project.root / ".prj/commands"
    folder.mkdir(parents=True)
    (folder / "hello.py").write_text(PYTHON_COMMAND)
    other = tmp_path / "other.py"
    other.write_text(f"open({str(tmp_path / 'RAN')!r}, 'w')\n{PYTHON_COMMAND}")
    compiled = folder / "__pycache__" / f"hello.{sys.implementation.cache_tag}.pyc"
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(other), str(compiled), invalidation_mode=mode)
    refused = project.prj("trust")
    assert refused.code == 7
    assert "__pycache__" in refused.err
    compiled.unlink()
    compiled.parent.rmdir()
    assert project.prj("trust").code == 0
    py_compile.compile(str(other), str(compiled), invalidation_mode=mode)
    project.codebot("hello", "--help")
    assert not (tmp_path / "RAN").exists()


@pytest.mark.parametrize("path", ["nb/HEAD", "a/b/head", "x/Head"])
def test_no_change_makes_an_embedded_repository(path):
    assert "git repository" in invalid_path_reason(path)
    assert invalid_path_reason("HEAD") == ""
    assert invalid_path_reason("src/head.py") == ""


@pytest.mark.parametrize("path", ["nb/objects/x", "nb/refs/heads/main", "nb/Objects/info/packs"])
def test_no_change_completes_an_embedded_repository(tmp_path, path):
    (tmp_path / "nb").mkdir()
    (tmp_path / ".git").mkdir()
    with open_tree(tmp_path) as tree:
        assert tree.require_writable(path) == path
        (tmp_path / "nb/HEAD").write_text("ref: refs/heads/main\n")
        with pytest.raises(DeniedError, match="git repository"):
            tree.require_writable(path)


# A list of its own: a row that is lost from the code would be lost from a test that reads the code.
PROTECTED = [
    row.split(" ", 1) for row in Path(__file__).with_name("protected_files.txt").read_text().splitlines()
]


@pytest.mark.parametrize(("level", "pattern"), PROTECTED)
def test_each_file_that_decides_what_runs_is_protected(level, pattern):
    name = pattern.replace("*", "x")
    assert protection_level(name) == level
    assert protection_level(f"{name}/inside") == level
    if "/" not in pattern:
        assert protection_level(f"sub/{name}") == level


def test_the_list_of_protected_files_is_whole():
    listed = [*protected_files._PROTECTED, *protected_files._SENSITIVE]
    assert listed == [pattern for _, pattern in PROTECTED]


@pytest.mark.parametrize("umask", [0o022, 0o000])
@pytest.mark.parametrize(
    "first", [("codeclip", "a.txt"), ("codebot", "summarize"), ("prj", "status"), ("prj", "run", "t")]
)
def test_the_state_directory_is_private_whatever_comes_first(project, umask, first, monkeypatch):
    make_command(project, "t", '- {name: a, script: "true"}\n', trust=False)
    old = os.umask(umask)
    try:
        program = {"prj": project.prj, "codebot": project.codebot, "codeclip": project.codeclip}[first[0]]
        program(*first[1:])
        project.prj("trust")
        project.prj("run", "t")
    finally:
        os.umask(old)
    assert stat.S_IMODE(project.home.stat().st_mode) == 0o700
    assert stat.S_IMODE((project.home / "prunejuice.db").stat().st_mode) == 0o600


def test_git_folders_are_never_shown(project):
    git(project.root, "config", "http.https://h.invalid/.extraheader", "AUTHORIZATION: basic eDpzZWNyZXQ=")
    answer = project.codeclip(".git/config")
    assert answer.code == 2
    assert "eDpz" not in answer.out + answer.err


# -- work that is kept --------------------------------------------------------------------------------


def test_resume_brings_back_what_finished_steps_made(project, tmp_path):
    make_command(
        project,
        "two",
        '- {name: build, script: "echo keep > kept.txt; git rm -q a.txt; git commit -qm gone; echo new > b.txt"}\n'
        '- {name: gate, script: "test -e $PRUNEJUICE_ARG_FLAG"}\n'
        '- {name: after, script: "echo end > end.txt"}\n',
        head="arguments: [{name: flag, required: true}]\npre_steps: [create-worktree]\n",
    )
    _, run = project.run("two", f"flag={tmp_path / 'flag'}")
    [entry] = (project.root.parent / "shop-worktrees").iterdir()
    subprocess.run(["rm", "-rf", str(entry)], check=True)
    (tmp_path / "flag").touch()
    assert project.prj("resume", run["id"]).code == 0
    assert {path.name for path in entry.iterdir()} >= {"kept.txt", "b.txt", "end.txt"}
    assert not (entry / "a.txt").exists()
    assert project.prj("merge", run["id"], "--no-check").code == 0
    assert (project.root / "kept.txt").read_text() == "keep\n"


def test_a_commit_between_the_halves_of_a_merge_is_refused(project):
    make_command(
        project, "t", '- {name: s, script: "echo n > n.txt"}\n', head="pre_steps: [create-worktree]\n"
    )
    git(project.root, "add", "-A")
    git(project.root, "commit", "-qm", "commands")
    _, run = project.run("t")
    main = project.root / ".git/refs/heads/main"
    head = main.read_text()
    merging = project.spawn("merge", run["id"], "--no-check")
    while main.read_text() == head and merging.poll() is None:
        pass
    merging.send_signal(signal.SIGKILL)
    merging.communicate()
    (project.root / "a.txt").write_text("mine\n")
    committed = subprocess.run(
        ["git", "commit", "-qam", "mine"], cwd=project.root, capture_output=True, text=True
    )
    if committed.returncode == 0:  # the merge was done before the signal came
        assert "n.txt" in git(project.root, "ls-tree", "--name-only", "HEAD")
        return
    assert "index.lock" in committed.stderr
    assert "interrupted" in project.prj("status").err
    assert "interrupted: land" in project.prj("doctor").out
    assert "finished: land" in project.prj("doctor", "--repair").out
    git(project.root, "commit", "-qam", "mine")
    assert git(project.root, "show", "--name-only", "--format=", "HEAD") == "a.txt"
    assert (project.root / "n.txt").read_text() == "n\n"


@NEEDS_TMUX
def test_sessions_of_two_projects_with_one_name_are_two(project, tmp_path, monkeypatch):
    names = []
    for parent in ("one", "two"):
        folder = tmp_path / parent / "app"
        folder.mkdir(parents=True)
        git(folder, "init", "-q")
        git(folder, "commit", "-q", "--allow-empty", "-m", "first")
        monkeypatch.chdir(folder)
        made = project.pots("create", str(folder), "--no-attach", "--json").json
        assert made["created"]
        assert not project.pots("create", str(folder), "--no-attach", "--json").json["created"]
        names.append(made["name"])
    assert names[0] != names[1]
    refused = project.pots("kill", names[0], "-f")
    assert refused.code == 2
    assert "another project" in refused.err
    assert project.pots("kill", names[1], "-f").code == 0
    monkeypatch.chdir(tmp_path / "one/app")
    assert project.pots("kill", names[0], "-f").code == 0


def test_cleanup_keeps_a_worktree_in_which_changes_are_pending(project):
    (project.root / "app.py").write_text("x = 1\n")
    (project.root / "ok.yaml").write_text(
        'answers:\n- {times: 0, text: "app.py\\n<<<<<<< SEARCH\\nx = 1\\n=======\\nx = 2\\n>>>>>>> REPLACE\\n"}\n'
    )
    git(project.root, "add", "-A")
    git(project.root, "commit", "-qm", "base")
    make_command(
        project,
        "s",
        "- {name: do, agent: implement, args: {agent: scripted, script: ok.yaml, prompt: x, changes: wait}}\n",
        head="pre_steps: [create-worktree]\n",
    )
    _, run = project.run("s")
    assert run["status"] == "completed"
    assert "is pending in it" in project.prj("cleanup").out
    [entry] = (project.root.parent / "shop-worktrees").iterdir()
    assert (
        "is pending in it"
        in project.plum("remove", entry.name).err + project.plum("remove", entry.name).out
    )
    assert entry.is_dir()


# -- contexts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("w.h", "#define TWICE(x) \\\n    do { go(x); go(x); } while (0); \\\n"),
        ("w.c", "int f(void) { return 1; }\n#define A \\\n  1 \\\n"),
        ("w.cpp", "#define TWICE(x) \\\n    twice(x) \\\n\n"),
        ("w.sh", "twice() {\n  echo \\\n"),
        ("w.py", "def twice():\n    return 1 + \\\n"),
    ],
)
def test_a_file_that_ends_in_a_continued_line_ends_no_context(project, name, text):
    (project.root / name).write_text(text)
    git(project.root, "add", "-A")
    answer = project.codeclip("-q", "twice")
    assert answer.code == 0, answer.err
    requests = "".join(f"{json.dumps({'query': query})}\n" for query in ("twice", "a"))
    served = subprocess.run(
        [str(Path(sys.executable).with_name("codeclip")), "serve"],
        input=requests, capture_output=True, text=True, cwd=project.root, check=True,
    )  # fmt: skip
    assert len(served.stdout.splitlines()) == 2


def test_secrets_of_a_renamed_file_are_masked_in_the_difference(project):
    (project.root / ".env").write_text("PLAIN=nothing secret here\n")
    git(project.root, "add", "-f", ".env")
    git(project.root, "commit", "-qm", "env")
    git(project.root, "mv", ".env", "notes.txt")
    section = project.codeclip("--diff", "HEAD", "--only", "a.txt").out
    assert "nothing secret here" not in section


# -- checks and what they import --------------------------------------------------------------------------


@pytest.fixture
def asked_nothing(monkeypatch):
    """A model that fails the test if it is asked."""
    with ModelServer(lambda _: Reply("NO CHANGES")) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield
        assert server.asked == []


@pytest.mark.parametrize(
    ("folder", "check"),
    [
        ("", "sh check.sh"),
        ("", "test -e .env"),
        ("", "git rev-parse HEAD"),
        ("packages/web", "test -e here.txt"),
        ("packages/web", "test -e node_modules/dep/i"),
    ],
)
def test_a_check_that_passes_in_the_tree_is_not_paid_for(
    project, monkeypatch, asked_nothing, folder, check
):
    deep = project.root / "packages/web/node_modules/dep"
    deep.mkdir(parents=True)
    (deep / "i").touch()
    (project.root / "packages/web/here.txt").write_text("1\n")
    (project.root / ".gitignore").write_text("node_modules\n.env\n")
    (project.root / ".env").write_text("A=1\n")
    (project.root / "check.sh").write_text("test -e packages/web/node_modules/dep/i\n")
    git(project.root, "add", "-A")
    git(project.root, "commit", "-qm", "base")
    monkeypatch.chdir(project.root / folder)
    made = project.codebot("fix", "--check", check, "--model", "ollama:m", "--max-rounds", "1")
    assert made.code in {0, 9}, made.err
    assert "passes without changes" in made.out + made.err


def test_a_check_that_cannot_start_is_not_paid_for(project, asked_nothing):
    made = project.codebot(
        "do", "a.txt", "--prompt", "x", "--model", "ollama:m", "--check", ".venv/bin/pytest -q"
    )
    assert made.code == 2
    assert "no program .venv/bin/pytest" in made.err


def test_an_ignored_file_that_a_check_needs_is_copied_where_it_is_listed(project):
    (project.root / ".gitignore").write_text("local.cfg\n")
    (project.root / ".worktreeinclude").write_text("local.cfg\n")
    (project.root / "local.cfg").write_text("x\n")
    (project.root / "app.py").write_text("x = 1\n")
    git(project.root, "add", "-A")
    git(project.root, "commit", "-qm", "base")
    script = {
        "answers": [
            {"times": 0, "text": "app.py\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n"}
        ]
    }
    (project.root.parent / "s.yaml").write_text(json.dumps(script))
    made = project.codebot(
        "fix", "app.py", "--check", "test -e local.cfg && grep -q 2 app.py",
        "--agent", "scripted", "--script", str(project.root.parent / "s.yaml"), "--json",
    )  # fmt: skip
    assert made.code == 0, made.err
    assert {file["filepath"] for file in made.json["files"]} == {"app.py"}


def test_a_worktree_imports_its_own_sources(project, tmp_path):
    (project.root / "src/shop").mkdir(parents=True)
    (project.root / "src/shop/__init__.py").write_text("PRICE = 1\n")
    (project.root / "pyproject.toml").write_text("[project]\nname = 'shop'\n")
    installed = tmp_path / "site"
    installed.mkdir()
    (installed / "shop").symlink_to(project.root / "src/shop")  # what an editable install leads to
    verify = f'{sys.executable} -B -c "import sys; sys.path.append(\\"{installed}\\"); import shop; assert shop.PRICE == 1"'
    steps = f"- name: change\n  script: echo PRICE=2 > src/shop/__init__.py\n- name: verify\n  script: |\n    {verify} || touch seen\n"
    make_command(project, "work", steps, head="pre_steps: [create-worktree]\n")
    git(project.root, "add", "-A")
    git(project.root, "commit", "-qm", "base")
    _, run = project.run("work")
    assert (Path(run["worktree"]) / "seen").exists()
    assert project.prj("merge", run["id"], "--check", verify).code == 3


# -- templates ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("check", "status"), [("", "skipped"), ("true", "completed"), ("false", "failed")])
def test_the_template_of_a_review_ends_with_an_agent(project, tmp_path, check, status):
    (project.root / "app.py").write_text("x = 2\n")
    git(project.root, "add", "-A")
    git(project.root, "commit", "-qm", "second")
    script = tmp_path / "s.yaml"
    script.write_text('answers:\n- {times: 0, output: {summary: "Looks right.", findings: []}}\n')
    config = Path(os.environ["PRUNEJUICE_CONFIG"])
    config.mkdir(parents=True, exist_ok=True)
    (config / "config.yaml").write_text(f"agent: scripted\nscript: {script}\n")
    project.prj("init")
    project.prj("trust")
    answer, run = project.run("code-review", "base=HEAD~1", f"check={check}")
    assert answer.code == 0, answer.err
    assert run["status"] == "completed"
    prompts = [
        path.read_text()
        for path in (project.home / "runs" / run["id"]).rglob("*")
        if path.is_file() and path.suffix == ".md"
    ]
    assert prompts


def test_why_a_check_failed_is_shown(project, tmp_path):
    (project.root / "app.py").write_text("x = 1\n")
    (project.root / "chk.sh").write_text("echo REASON token=abc12345defg\nexit 1\n")
    git(project.root, "add", "-A")
    git(project.root, "commit", "-qm", "base")
    block = "app.py\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n"
    script = tmp_path / "s.yaml"
    script.write_text(json.dumps({"answers": [{"times": 0, "text": block}]}))
    made = project.codebot(
        "do", "app.py", "--prompt", "x", "--agent", "scripted", "--script", str(script), "--max-rounds", "1",
        "--check", "sh chk.sh",
    )  # fmt: skip
    assert made.code == 5
    assert "REASON" in made.err
    assert "abc12345" not in made.err
    assert any(
        "REASON" in path.read_text(errors="replace") for path in (project.home / "runs").rglob("*.log")
    )


def test_ignored_settings_of_a_project_are_named(project, monkeypatch):
    monkeypatch.delenv("PRUNEJUICE_MODEL", raising=False)
    (project.root / ".prj").mkdir(exist_ok=True)
    (project.root / ".prj/config.yaml").write_text("model: ollama:m\n")
    refused = project.codebot("do", "a.txt", "--prompt", "x")
    assert refused.code == 2
    assert (
        f"{project.root}/.prj/config.yaml is ignored until you review it and run `prj trust`" in refused.err
    )
    (project.root / ".prj/config.yaml").unlink()
    assert "is ignored" not in project.codebot("do", "a.txt", "--prompt", "x").err
