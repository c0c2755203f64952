"""Every place where code is judged has the environment of the project, and judges its own code.

Each usual layout is tried in four places, on the untouched tree, which has to pass, and with a fault, which
has to be found. The checkout, its `.venv` and its `node_modules` stay as they were.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from layouts import LAYOUTS, find_tool, install

from conftest import git

PLACES = ("step", "merge", "check", "refactor")
ALWAYS = {"src, editable", "npm workspaces"}
CACHES = {"__pycache__", ".pytest_cache", ".tox"}
COMMAND = {
    "name": "change",
    "description": "Change a file and judge the tree",
    "pre_steps": ["create-worktree"],
    "arguments": [{"name": "path"}, {"name": "old"}, {"name": "new"}],
}
REPLACE = (
    "python3 -c 'import os, pathlib; given = os.environ; "
    'file = pathlib.Path(given["PRUNEJUICE_WORKTREE_PATH"], given["PRUNEJUICE_ARG_PATH"]); '
    'old, new = given["PRUNEJUICE_ARG_OLD"], given["PRUNEJUICE_ARG_NEW"]; '
    "file.write_text(file.read_text().replace(old, new))'"
)


def read_files(root):
    """Every file, link and mode of a checkout, except caches and what git and PruneJuice keep."""
    rows = {}
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if name not in CACHES | {".git"}]
        for name in (*files, *names):
            path = Path(folder, name)
            if path.is_symlink():
                rows[str(path)] = os.readlink(path)
            elif path.is_file():
                rows[str(path)] = (path.stat().st_mode, hashlib.sha256(path.read_bytes()).hexdigest())
    return rows


class User:
    """A person who has installed a project and calls our programs in it."""

    def __init__(self, layout, root, env):
        self.layout, self.root, self.env = layout, root, env
        self.folder = root / layout.folder

    def call(self, program, *words):
        done = subprocess.run(
            [str(Path(sys.executable).with_name(program)), *words],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return done.returncode, done.stdout + done.stderr

    def write_commands(self):
        """Two commands: one changes a file, the other judges the tree afterwards too."""
        commands = self.root / ".prj/commands"
        commands.mkdir(parents=True)
        change = {"name": "change-file", "script": REPLACE}
        check = {"name": "verify", "script": self.layout.check}
        (commands / "change.yaml").write_text(yaml.safe_dump({**COMMAND, "steps": [change]}))
        (commands / "judge.yaml").write_text(
            yaml.safe_dump({**COMMAND, "name": "judge", "steps": [change, check]})
        )
        git(self.root, "add", ".")
        git(self.root, "commit", "-qm", "Add commands")
        assert self.call("prj", "trust")[0] == 0

    def arguments(self, old, new):
        return [f"path={self.layout.path}", f"old={old}", f"new={new}"]

    def judge_in_step(self, old, new):
        code, text = self.call("prj", "run", "judge", *self.arguments(old, new))
        assert code in (0, 1), text
        return code == 0, text

    def judge_in_merge(self, old, new):
        code, text = self.call("prj", "run", "change", *self.arguments(old, new), "--json")
        assert code == 0, text
        run = yaml.safe_load(text)["id"]
        before = git(self.root, "rev-parse", "main")
        code, text = self.call("prj", "merge", run, "--check", self.layout.check)
        assert code in (0, 3), text
        assert (git(self.root, "rev-parse", "main") != before) == (code == 0)
        if code == 0:
            git(self.root, "reset", "-q", "--hard", before)
        return code == 0, text

    def judge_in_verb(self, verb, old, new):
        path = self.root.parent / "answers.yaml"
        edit = f"{self.layout.path}\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"
        path.write_text(yaml.safe_dump({"answers": [{"text": edit}]}))
        name = os.path.relpath(self.root / self.layout.path, self.folder)
        words = (verb, name, "--prompt", "x", "--check", self.layout.check, "--max-rounds", "1")
        code, text = self.call("codebot", *words, "--script", str(path), "--dry-run")
        judged = f"{self.layout.check}' passes" in text or f"{self.layout.check} passes" in text
        return code == 0 and judged, text

    def judge(self, place, old, new):
        """Whether the check passes with a change, in a place."""
        if place == "step":
            return self.judge_in_step(old, new)
        if place == "merge":
            return self.judge_in_merge(old, new)
        return self.judge_in_verb("implement" if place == "check" else "refactor", old, new)


@pytest.fixture(scope="session")
def caches(tmp_path_factory):
    """A home for the caches of package tools, shared by all layouts."""
    return tmp_path_factory.mktemp("caches")


def list_cases():
    """Each layout under an overlay, and in copies; make test tries both, make coverage one of them in turn."""
    for number, name in enumerate(LAYOUTS):
        for overlay, kind in ((True, "overlay"), (False, "copy")):
            is_chosen = name in ALWAYS or overlay == (number % 2 == 0)
            marks = [] if is_chosen else [pytest.mark.exhaustive]
            yield pytest.param(name, overlay, id=f"{name}-{kind}", marks=marks)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "overlay"), [*list_cases()])
def test_each_place_judges_its_own_code(name, overlay, tmp_path, caches, surroundings):
    layout = LAYOUTS[name]
    if missing := [program for program in layout.needs if not find_tool(program)]:
        pytest.skip(f"{missing[0]} is not installed")
    (caches / ".gitconfig").write_bytes((surroundings / ".gitconfig").read_bytes())
    root, env = install(layout, tmp_path, caches)
    user = User(layout, root, {**env, "PRUNEJUICE_OVERLAY": str(int(overlay))})
    user.write_commands()
    before = read_files(root)
    line = next(row for row in layout.files[layout.path].splitlines() if layout.fault[0] in row)
    mark = "//" if layout.path.endswith((".js", ".go")) else "#"
    wrong = []
    # A step has a worktree in either case.
    for place in PLACES if overlay else PLACES[1:]:
        passed, text = user.judge(place, line, f"{line} {mark} the same")
        if not passed:
            wrong.append(f"{place}: the untouched code fails: {text[-1500:]}")
        passed, text = user.judge(place, line, line.replace(*layout.fault))
        if passed:
            wrong.append(f"{place}: the fault passes: {text[-1500:]}")
        after = read_files(root)
        changed = [path for path in {*before, *after} if before.get(path) != after.get(path)]
        if changed:
            wrong.append(f"{place}: changed the checkout: {changed[:5]}")
            before = after
    assert not wrong, "\n\n".join(wrong)
