"""What a repository's own configuration, attributes and hooks name is never run, whatever we do with it.

Each vector is planted where an agent could plant it: in the git directory, in the worktree of a run, in a
repository inside it. First plain git shows that it is live; then everything we do leaves it asleep.
"""

import contextlib
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from conftest import git
from prunejuice.errors import UsageError
from prunejuice.worktrees import git as gits
from prunejuice.worktrees import snapshot

SOURCE = Path(__file__).parents[2] / "src" / "prunejuice"
HOOKS = [
    "applypatch-msg",
    "commit-msg",
    "fsmonitor-watchman",
    "post-applypatch",
    "post-checkout",
    "post-commit",
    "post-index-change",
    "post-merge",
    "post-rewrite",
    "pre-applypatch",
    "pre-commit",
    "pre-merge-commit",
    "pre-push",
    "pre-rebase",
    "prepare-commit-msg",
    "push-to-checkout",
    "reference-transaction",
    "sendemail-validate",
    "update",
]


class Trap:
    """A program that leaves a mark, and the places of one run to plant it in."""

    def __init__(self, folder, repository):
        self.mark = folder / "fired"
        self.program = folder / "program.sh"
        self.program.write_text(f'#!/bin/sh\necho "$0 $*" >>{self.mark}\ncat\n')
        self.program.chmod(0o755)
        self.repository = repository
        self.common = repository / ".git"

    def config(self, *pairs, place=None):
        for key, value in pairs:
            git(place or self.repository, "config", key, value)

    def attributes(self, text):
        (self.common / "info").mkdir(exist_ok=True)
        (self.common / "info" / "attributes").write_text(text)

    def hooks(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name in HOOKS:
            (folder / name).write_text(self.program.read_text())
            (folder / name).chmod(0o755)


def hooks(trap):
    trap.hooks(trap.common / "hooks")


def hooks_path(trap):
    trap.hooks(trap.repository.parent / "hooks")
    trap.config(("core.hooksPath", str(trap.repository.parent / "hooks")))


def fsmonitor(trap):
    trap.config(("core.fsmonitor", str(trap.program)))


def clean_filter(trap):
    trap.config(("filter.f.clean", str(trap.program)), ("filter.f.required", "true"))
    trap.attributes("* filter=f\n")


def smudge_filter(trap):
    trap.config(("filter.f.smudge", str(trap.program)))
    trap.attributes("* filter=f\n")


def process_filter(trap):
    trap.config(("filter.f.process", str(trap.program)))
    trap.attributes("* filter=f\n")


def textconv(trap):
    trap.config(("diff.f.textconv", str(trap.program)))
    trap.attributes("* diff=f\n")


def diff_command(trap):
    trap.config(("diff.f.command", str(trap.program)))
    trap.attributes("* diff=f\n")


def external_diff(trap):
    trap.config(("diff.external", str(trap.program)))


def merge_driver(trap):
    trap.config(("merge.f.driver", f"{trap.program} %O %A %B"), ("merge.default", "f"))
    trap.attributes("* merge=f\n")


def signing(trap):
    programs = [("gpg.program", str(trap.program)), ("gpg.ssh.program", str(trap.program))]
    trap.config(
        *programs, ("commit.gpgSign", "true"), ("tag.gpgSign", "true"), ("log.showSignature", "true")
    )


def pager_and_editor(trap):
    keys = ("core.pager", "pager.log", "pager.diff", "core.editor", "sequence.editor", "core.askPass")
    trap.config(*[(key, str(trap.program)) for key in keys])


def remote_helpers(trap):
    trap.config(
        ("core.sshCommand", str(trap.program)),
        ("core.gitProxy", str(trap.program)),
        ("credential.helper", f"!{trap.program}"),
        ("remote.origin.url", "ssh://localhost/x"),
        ("remote.origin.uploadpack", str(trap.program)),
        ("remote.origin.promisor", "true"),
        ("uploadpack.packObjectsHook", str(trap.program)),
        ("core.alternateRefsCommand", str(trap.program)),
    )


def aliases(trap):
    for name in ("status", "diff-tree", "ls-files", "worktree", "st"):
        trap.config((f"alias.{name}", f"!{trap.program}"))


def included(trap):
    extra = trap.repository.parent / "extra.config"
    extra.write_text(
        f"[core]\n\tfsmonitor = {trap.program}\n\thooksPath = {trap.repository.parent}/hooks\n"
    )
    trap.hooks(trap.repository.parent / "hooks")
    trap.config(("include.path", str(extra)))


def worktree_config(trap):
    trap.config(("extensions.worktreeConfig", "true"))
    (trap.common / "config.worktree").write_text(f"[core]\n\tfsmonitor = {trap.program}\n")


def attributes_in_the_tree(trap):
    trap.config(("filter.f.clean", str(trap.program)), ("filter.f.smudge", str(trap.program)))
    (trap.repository / ".gitattributes").write_text("* filter=f diff=f merge=f\n")
    git(trap.repository, "add", "-f", ".gitattributes")
    git(trap.repository, "-c", "filter.f.clean=cat", "commit", "-qam", "attributes")
    trap.mark.unlink(missing_ok=True)


def submodule(trap):
    inner = trap.repository / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / "x").write_text("1\n")
    (inner / ".gitattributes").write_text("* filter=g\n")
    git(inner, "add", ".")
    git(inner, "commit", "-qm", "i")
    git(trap.repository, "add", "inner")
    git(trap.repository, "commit", "-qm", "with inner")
    (inner / "x").write_text("2\n")
    trap.config(("core.fsmonitor", str(trap.program)), ("filter.g.clean", str(trap.program)), place=inner)


VECTORS = [
    hooks,
    hooks_path,
    fsmonitor,
    clean_filter,
    smudge_filter,
    process_filter,
    textconv,
    diff_command,
    external_diff,
    merge_driver,
    signing,
    pager_and_editor,
    remote_helpers,
    aliases,
    included,
    worktree_config,
    attributes_in_the_tree,
    submodule,
]
COMMAND = """
pre_steps: [create-worktree, gather-context]
steps:
  - {name: one, script: 'echo step >> a.txt; echo new > new.txt'}
  - {name: two, script: 'echo more >> new.txt'}
post_steps: [store-artifacts]
"""


@pytest.fixture
def trap(tmp_path, repository):
    return Trap(tmp_path, repository)


def plain(repository, mark):
    """What anybody would do by hand, with plain git."""
    path = repository.parent / "plain"
    environ = {name: value for name, value in os.environ.items() if name not in {"EDITOR", "VISUAL"}}
    (repository / "a.txt").write_text("by hand\n")
    words = (
        ["status"],
        ["add", "a.txt"],
        ["-c", "core.editor=true", "commit", "-m", "by hand"],
        ["log", "-1", "-p"],
        ["diff", "HEAD~1"],
        ["worktree", "add", str(path)],
        ["checkout", "-q", "-b", "other", "HEAD~1"],
        ["st"],
        ["fetch"],
        ["commit", "--allow-empty"],
    )
    for each in words:
        _tried(repository, each, environ)
        if mark.exists():
            return
    (repository / "a.txt").write_text("otherwise\n")
    for each in (["commit", "-qam", "otherwise"], ["merge", "main"], ["stash"]):
        _tried(repository, each, environ)


def _tried(repository, words, environ):
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            ["git", *words],
            cwd=repository,
            capture_output=True,
            env=environ,
            timeout=3,
            check=False,
            stdin=subprocess.DEVNULL,
        )


@pytest.mark.parametrize("vector", VECTORS)
def test_every_attack_vector_triggers_its_trap_in_plain_git(trap, vector):
    """A trap that cannot go off proves nothing."""
    vector(trap)
    plain(trap.repository, trap.mark)
    assert trap.mark.exists()


@pytest.mark.parametrize("vector", VECTORS)
def test_nothing_we_do_runs_what_a_repository_names(project, trap, vector):
    project.command("edit", COMMAND)
    git(project.root, "add", "-A")
    git(project.root, "commit", "-qm", "command")
    vector(trap)
    (project.root / "a.txt").write_text("the user's own\n")
    _, one = project.run("edit")
    _, other = project.run("edit")
    assert (one["status"], other["status"]) == ("completed", "completed"), one
    tree = Path(one["worktree"])
    (tree / "a.txt").write_text("after\n")
    first, second = one["id"], other["id"]
    tour = [
        (["status"], 0),
        (["diff", first], 0),
        (["diff", first, "one", "--stat"], 0),
        (["compare", first, second], 0),
        (["conflicts"], 0),
        (["undo", second, "two"], 0),
        (["undo", "--list"], 0),
        (["merge", first, "--into", "landing", "--no-ff", "--check", "true"], 0),
        (["merge", second, "--into", "landing", "--squash"], 4),
        (["cleanup", "-n"], 0),
        (["cleanup"], 0),
        (["doctor"], 0),
    ]
    subprocess.run(
        ["git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "branch", "landing"],
        cwd=project.root,
        check=True,
        capture_output=True,
    )
    trap.mark.unlink(missing_ok=True)
    for words, code in tour:
        assert (words, project.prj(*words).code) == (words, code)
    for words in (
        ["create", "mine"],
        ["list", "-v"],
        ["list", "--json"],
        ["path", "mine"],
        ["remove", "mine"],
    ):
        assert (words, project.plum(*words).code) == (words, 0)
    operation = project.prj("undo", "--list", "--json").json["items"][0]["id"]
    assert project.prj("undo", operation).code == 0
    assert project.plum("prune").code == 0
    assert not trap.mark.exists(), trap.mark.read_text()


def test_a_rewritten_git_file_leads_nowhere(project, trap, tmp_path):
    """An agent points the worktree at a repository of its own; the run goes on with the one it began in."""
    evil = tmp_path / "evil"
    evil.mkdir()
    git(evil, "init", "-q")
    git(evil, "config", "core.fsmonitor", str(trap.program))
    trap.hooks(evil / ".git" / "hooks")
    project.command(
        "evil",
        f"pre_steps: [create-worktree]\nsteps: [{{name: a, script: 'echo \"gitdir: {evil}/.git\" > .git; echo x >> a.txt'}}]",
    )
    _, run = project.run("evil")
    assert run["status"] == "completed"
    assert "+x" in project.prj("diff", run["id"]).out
    assert project.prj("undo", run["id"]).code == 0
    assert git(evil, "for-each-ref") == ""
    assert not trap.mark.exists()


def test_a_rewritten_commondir_leads_nowhere(project, trap, tmp_path):
    evil = tmp_path / "evil"
    evil.mkdir()
    git(evil, "init", "-q")
    git(evil, "config", "core.fsmonitor", str(trap.program))
    project.command(
        "evil",
        "pre_steps: [create-worktree]\nsteps: [{name: a, script: 'echo x >> a.txt; "
        f'echo {evil}/.git > "$(git rev-parse --git-dir)/commondir"\'}}]',
    )
    _, run = project.run("evil")
    assert run["status"] == "completed"
    assert "+x" in project.prj("diff", run["id"]).out
    assert not trap.mark.exists()


def test_bare_repository_inside_the_tree_is_never_used(project, trap):
    inner = project.root / "inner"
    git(project.root, "init", "-q", "--bare", str(inner))
    git(inner, "config", "core.fsmonitor", str(trap.program))
    (inner / "worktree").mkdir()
    with pytest.raises(UsageError, match="in a bare repository"):
        gits.open_git(inner, dict(os.environ)).locate()
    snapshot.current_snapshot(
        gits
        .open_git(inner / "worktree" / "..", dict(os.environ))
        ._replace(directory=str(project.root))
        .locate()
    )
    assert not trap.mark.exists()


def test_a_worktree_that_leads_elsewhere_is_only_looked_at(project, tmp_path):
    """An agent makes git's own list name a folder of the user's."""
    elsewhere = tmp_path / "precious"
    elsewhere.mkdir()
    git(elsewhere, "init", "-q")
    (elsewhere / "file").write_text("precious")
    project.plum("create", "fix")
    (admin,) = (project.root / ".git" / "worktrees").iterdir()
    (admin / "gitdir").write_text(f"{elsewhere}/.git\n")
    for words in (["remove", "precious", "--force"], ["prune"], ["create", "other"], ["list", "--json"]):
        project.plum(*words)
    project.prj("conflicts")
    project.prj("cleanup")
    assert (elsewhere / "file").read_text() == "precious"
    assert git(elsewhere, "for-each-ref") == ""


def test_a_forged_record_or_operation_moves_nothing(project, tmp_path):
    """What would be done without asking is done only when we wrote it."""
    precious = tmp_path / "precious"
    (precious / ".git").mkdir(parents=True)
    (precious / "file").write_text("precious")
    notes = project.root / ".git" / "prunejuice"
    for folder in ("operations", "worktrees", "trash/op-1"):
        (notes / folder).mkdir(parents=True)
    forged = {
        "operations/op-1.begun.json": {
            "id": "op-1",
            "kind": "remove",
            "at": 1,
            "what": "x",
            "path": str(precious),
            "git_dir": str(precious / ".git"),
            "trash": str(notes / "trash/op-1"),
        },
        "worktrees/0.making.json": {
            "path": str(precious),
            "branch": "main",
            "base": "",
            "owner": "x",
            "git_dir": str(precious),
            "made_branch": False,
        },
    }
    for name, value in forged.items():
        (notes / name).write_text(json.dumps(value))
        assert project.plum("create", f"next-{len(name)}").code == 0
        seal = "0" * 64
        (notes / name).write_text(f"{seal}\n{json.dumps(value)}")
        assert project.plum("create", f"more-{len(name)}").code == 0
    assert (precious / "file").read_text() == "precious"
    assert project.prj("undo", "op-1").code == 2


def test_git_in_the_working_tree_is_not_the_git_we_run(project, trap, monkeypatch):
    for folder in (project.root, project.root / "bin"):
        folder.mkdir(exist_ok=True)
        (folder / "git").write_text(trap.program.read_text())
        (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f".:{project.root}/bin:{os.environ['PATH']}")
    door = gits.open_git(project.root, dict(os.environ)).locate()
    assert door.head_commit()
    assert not trap.mark.exists()


def test_git_is_started_only_by_the_git_module():
    """No other file names the program, or starts a process with it."""
    for path in SOURCE.rglob("*.py"):
        text = path.read_text()
        if path.name != "git.py":
            assert not re.search(r'require_program\("git"', text), path
            assert not re.search(
                r"""(ProcessSpec|run|capture_output|start_detached)\(\s*\[\s*["']git["']""", text
            ), path
    assert 'require_program("git"' in (SOURCE / "worktrees" / "git.py").read_text()
