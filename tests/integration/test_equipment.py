"""What a worktree gets from a checkout: packages, ignored files and links, and nothing that git would see."""

import os
import shutil
import subprocess

import pytest

from conftest import git, write_files
from prunejuice.environments import (
    equipment,
    ignored_files,
    installed_packages,
    manifests,
    outside_paths,
    python_paths,
)
from prunejuice.system import settings
from prunejuice.system.process import ProcessSpec
from prunejuice.worktrees.git import open_git


@pytest.fixture
def pair(repository, tmp_path):
    """A checkout with packages, and a function that returns its worktree with other files, and what it gets."""
    write_files(repository, {".gitignore": ".venv/\nnode_modules/\n.env*\ngen/\n*.so\nrates.py\n"})
    write_files(repository, {"package-lock.json": "1", "web/yarn.lock": "1", "web/index.js": ""})
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "lock")
    write_files(repository, {"node_modules/a/index.js": "1", "web/node_modules/b/index.js": "1"})
    (repository.parent / "trees").mkdir()
    tree = repository.parent / "trees" / "tree"
    git(repository, "worktree", "add", "-q", str(tree))

    def plan(*, has_setup=False, **environ):
        found = open_git(str(repository), dict(os.environ)).locate()
        located = open_git(str(tree), dict(os.environ)).locate()
        return equipment.plan_equipment(found, located, environ, may_install=True, has_setup=has_setup)

    return repository, tree, plan


def test_packages_are_copied_if_the_lock_file_is_the_same(pair):
    _, _, plan = pair
    assert list(map(str, plan())) == ["copy node_modules", "copy web/node_modules"]
    assert plan(has_setup=True) == []


def test_packages_are_installed_if_the_lock_file_differs(pair, tmp_path):
    checkout, tree, plan = pair
    (tree / "web/yarn.lock").write_text("2")
    [_, missing] = plan(PATH="/nowhere")
    assert str(missing) == "lacks web/node_modules: web/yarn.lock differs, and yarn is not installed"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/yarn").write_text('#!/bin/sh\necho "$PWD $*" > node_modules.log; mkdir node_modules')
    (tmp_path / "bin/yarn").chmod(0o755)
    path = f"{tmp_path}/bin:{os.environ['PATH']}"
    supplies = plan(PATH=path)
    assert str(supplies[1]).startswith("run `yarn install --frozen-lockfile` in web: web/yarn.lock differs")
    lines = []
    call = ProcessSpec((), "/", {"PATH": path})
    equipment.equip_tree(checkout, tree, supplies, call, lines.append)
    assert lines == [
        "  ✓ Copied node_modules",
        "  ✓ Installed web/node_modules: yarn install --frozen-lockfile",
    ]
    assert (tree / "web/node_modules.log").read_text() == f"{tree}/web install --frozen-lockfile\n"
    assert (tree / "node_modules/a/index.js").read_text() == "1"
    assert plan(PATH=path) == []


def test_a_failed_installation_is_told(pair, tmp_path):
    checkout, tree, plan = pair
    (tree / "package-lock.json").write_text("2")
    (tmp_path / "npm").write_text("#!/bin/sh\necho 'no such package' >&2; exit 3\n")
    (tmp_path / "npm").chmod(0o755)
    lines = []
    path = f"{tmp_path}:{os.environ['PATH']}"
    equipment.equip_tree(
        checkout, tree, plan(PATH=path), ProcessSpec((), "/", {"PATH": path}), lines.append
    )
    assert lines[0] == "  ⚠ npm ci --prefer-offline --no-audit --no-fund failed: exit 3"
    assert lines[1] == "    no such package"


def test_a_tree_without_the_lock_file_lacks_its_packages(pair):
    _, tree, plan = pair
    (tree / "package-lock.json").unlink()
    assert "lacks node_modules: package-lock.json is not in this tree" in map(str, plan())


def test_what_git_does_not_ignore_is_left_out(pair):
    checkout, tree, plan = pair
    write_files(checkout, {".env": "A=1\n", ".venv/pyvenv.cfg": "", ".venv/.gitignore": "*\n"})
    (tree / ".gitignore").write_text("gen/\n")
    assert list(map(str, plan())) == [
        "copy .venv",
        "lacks node_modules: git does not ignore it in this tree",
        "lacks web/node_modules: git does not ignore it in this tree",
    ]


@pytest.mark.parametrize(
    ("path", "is_needed"),
    [
        (".env", True),
        (".env.local", True),
        ("web/.env", True),
        (".envrc", False),
        ("rates.py", True),
        ("pkg/rates.py", True),
        ("gen/models.py", True),
        ("gen/unnamed.py", False),
        ("gen/deep/models.py", True),
        ("pkg/_fast.cpython-311.so", True),
        ("gen/__pycache__/models.py", False),
        ("node_modules/rates.py", False),
        (".venv/lib/rates.py", False),
    ],
)
def test_files_that_code_needs(pair, path, is_needed):
    checkout, _, _ = pair
    write_files(checkout, {"use.py": "from pkg import rates\nimport gen.models\n", path: "x = 1\n"})
    git(checkout, "add", "use.py")
    git(checkout, "commit", "-qm", "use")
    located = open_git(str(checkout), dict(os.environ)).locate()
    assert (path in ignored_files.find_needed_files(located)) == is_needed


def test_a_folder_of_data_is_not_searched_to_its_end(pair, monkeypatch):
    checkout, _, _ = pair
    monkeypatch.setattr(ignored_files, "_MAX_CANDIDATES", 3)
    write_files(checkout, {f"gen/f{number}.py": "" for number in range(9)} | {"gen/z/f9.py": ""})
    write_files(checkout, {"use.py": " ".join(f"f{number}" for number in range(10)) + "\n"})
    git(checkout, "add", "use.py")
    located = open_git(str(checkout), dict(os.environ)).locate()
    assert ignored_files.find_needed_files(located) == ["gen/f0.py", "gen/f1.py", "gen/f2.py"]


@pytest.mark.parametrize("make", ["large", "link", "fifo"])
def test_files_that_are_none_are_not_needed(pair, make):
    checkout, _, _ = pair
    if make == "large":
        (checkout / ".env").write_bytes(b"x" * 70_000)
    elif make == "link":
        (checkout / ".env").symlink_to("/etc/passwd")
    else:
        os.mkfifo(checkout / ".env")
    located = open_git(str(checkout), dict(os.environ)).locate()
    assert ignored_files.find_needed_files(located) == []


def test_a_preview_needs_no_tree(pair, tmp_path):
    checkout, _, _ = pair
    found = open_git(str(checkout), dict(os.environ))
    assert list(map(str, equipment.preview_equipment(found, {}, settings.Settings(tmp_path)))) == [
        "copy node_modules",
        "copy web/node_modules",
    ]
    commands = settings.Settings(tmp_path, setup="make", services="serve")
    assert list(map(str, equipment.preview_equipment(found, {}, commands))) == [
        "run `make` (setting setup)",
        "run `serve` (setting services)",
    ]


def test_outside_of_a_repository_there_is_nothing(tmp_path):
    assert (
        equipment.preview_equipment(
            open_git(str(tmp_path), dict(os.environ)), {}, settings.Settings(tmp_path)
        )
        == []
    )


def test_doctor_and_explain_show_what_a_worktree_gets(project):
    write_files(
        project.root, {".gitignore": "node_modules/\n.env\n", ".env": "A=1\n", "node_modules/a/b.js": ""}
    )
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "x")
    rows = [
        row for row in project.prj("doctor", "--equip", "--json").json["items"] if row["name"] == "equip"
    ]
    assert [row["found"] for row in rows] == ["copy node_modules", "copy .env"]
    assert "equip" not in project.prj("doctor").out
    project.command(
        "w", "pre_steps: [create-worktree]\nsteps: [{name: a, script: 'cat .env; ls node_modules'}]"
    )
    assert project.prj("explain", "w").out.endswith("#   copy node_modules\n#   copy .env\n")
    assert project.prj("explain", "w", "--json").json["worktree_gets"] == ["copy node_modules", "copy .env"]
    project.command("n", "steps: [{name: a, script: 'true'}]")
    assert "its worktree gets" not in project.prj("explain", "n").out
    _, run = project.run("w")
    assert project.log(run, "a") == "A=1\na\n"
    assert project.log(run, "create-worktree").startswith("  ✓ Copied node_modules\n  ✓ Copied .env\n")
    assert git(run["worktree"], "status", "--short") == ""


def test_worktrees_by_hand_are_equipped_too(project):
    write_files(
        project.root, {".gitignore": "node_modules/\n.env\n", ".env": "A=1\n", "node_modules/a/b.js": ""}
    )
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "x")
    answer = project.plum("create", "one")
    assert "  ✓ Copied node_modules\n  ✓ Copied .env\n" in answer.out
    path = project.plum("create", "two", "--no-copy-files", "--json").json["path"]
    assert not os.path.exists(f"{path}/.env")


# -- manifests --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("packages", "locks", "owner"),
    [
        ("node_modules", ["package-lock.json"], "package-lock.json"),
        ("a/node_modules", ["package-lock.json"], "package-lock.json"),
        ("a/node_modules", ["package-lock.json", "a/yarn.lock"], "a/yarn.lock"),
        ("ab/node_modules", ["a/yarn.lock"], None),
        ("node_modules", ["uv.lock"], None),
        (".venv", ["uv.lock", "package-lock.json"], "uv.lock"),
        ("py/venv", ["py/poetry.lock", "uv.lock"], "py/poetry.lock"),
    ],
)
def test_packages_belong_to_the_nearest_lock_file(packages, locks, owner):
    found = manifests.find_owner(packages, manifests.find_lock_files(locks))
    assert (found and found.path) == owner


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("go.mod", "replace example.com/x => ../x\n", ["../x"]),
        ("go.mod", "replace example.com/x v1 => ../x v2\n", ["../x"]),
        ("a/go.mod", "replace example.com/x => ../b\n", []),
        ("a/go.mod", "replace example.com/x => ../../x\n", ["../x"]),
        ("Cargo.toml", '[dependencies]\nx = { path = "../x" }\n', ["../x"]),
        ("pyproject.toml", '[tool.uv.sources]\nx = { path = "../x", editable = true }\n', ["../x"]),
        ("package.json", '{"dependencies": {"x": "file:../x"}}', ["../x"]),
        ("requirements.txt", "-e ../x\n", ["../x"]),
        ("go.mod", "replace example.com/y => ../missing\n", []),
        ("notes.txt", "=> ../x\n", []),
    ],
)
def test_folders_outside_are_found_in_manifests(tmp_path, path, text, found):
    (tmp_path / "x").mkdir()
    write_files(tmp_path / "app", {path: text})
    assert outside_paths.find_outside_folders(tmp_path / "app", [path]) == found


# -- Python -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "roots"),
    [
        ("_shop.pth", "{app}/src\n", ["src"]),
        ("_shop.pth", "{app}\n", [""]),
        ("_shop.pth", "import sys\n{app}/core/src\n/elsewhere\n", ["core/src"]),
        (
            "__editable___shop_1_finder.py",
            "MAPPING: dict[str, str] = {{'shop': '{app}/lib/shop'}}\n",
            ["lib"],
        ),
        ("__editable___a_finder.py", "MAPPING = {{'a.b': '{app}/x/a/b', 'c': '{app}/y/other'}}\n", ["x"]),
        ("__editable___a_finder.py", "MAPPING = {{broken\n", []),
        ("other.py", "{app}/src\n", []),
    ],
)
def test_roots_of_editable_packages_come_first(tmp_path, name, text, roots):
    app, tree = tmp_path / "app", tmp_path / "tree"
    packages = app / ".venv/lib/python3.11/site-packages"
    write_files(app, {".venv/pyvenv.cfg": "", "pyproject.toml": ""})
    write_files(packages, {name: text.format(app=app)})
    for root in ("src", "core/src", "lib", "x"):
        (tree / root).mkdir(parents=True)
    write_files(tree, {"pyproject.toml": ""})
    assert python_paths.find_editable_roots(app, {}) == [app / root for root in roots]
    given = python_paths.tree_variables(tree, app, {})["PYTHONPATH"].split(":")
    assert given == list(map(str, dict.fromkeys([tree / "src", *(tree / root for root in roots), tree])))


@pytest.mark.parametrize(
    ("callers", "declared", "expected"),
    [
        ("", "", ""),
        ("/evil", "", ""),
        ("{app}/src:/evil", "", "{tree}/src"),
        ("", "/own", "/own"),
        ("{app}/lib", "/own:/other", "{tree}/lib:/own:/other"),
        ("/own", "/own", "/own"),  # a command that names the caller's
    ],
)
def test_of_a_path_the_folders_of_the_project_are_kept(tmp_path, callers, declared, expected):
    app, tree = tmp_path / "app", tmp_path / "tree"
    places = {"app": app, "tree": tree}
    variables = {"PYTHONPATH": declared} if declared else {}
    environ = {"PYTHONPATH": callers.format(**places)}
    found = python_paths.tree_variables(tree, app, environ, variables)
    assert found.get("PYTHONPATH", "") == expected.format(**places)


@pytest.mark.parametrize(
    ("name", "value", "is_inherited"),
    [
        ("HTTPS_PROXY", "http://proxy:3128", True),
        ("https_proxy", "http://user:secret@proxy:3128", False),
        ("SSL_CERT_FILE", "/etc/ca.pem", True),
        ("UV_CACHE_DIR", "/cache", True),
        ("UV_PUBLISH_TOKEN", "x", False),
        ("PIP_INDEX_URL", "https://pypi.example/simple", True),
        ("PIP_INDEX_URL", "https://me:secret@pypi.example/simple", False),
        ("npm_config_cache", "/cache", True),
        ("npm_config__authToken", "x", False),
        ("GOPROXY", "off", True),
        ("GOBIN", "/bin", False),
        ("AWS_PROFILE", "x", False),
        ("VIRTUAL_ENV", "/env", True),
        ("PYTHONPATH", "/evil", False),
    ],
)
def test_variables_of_tools_are_inherited_without_secrets(name, value, is_inherited):
    assert (name in settings.inherited_environment({name: value})) == is_inherited


def test_a_copy_elsewhere_has_git_of_its_own(pair, tmp_path):
    from prunejuice.environments import complete_copy

    checkout, _, _ = pair
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "a.txt").write_text("changed\n")
    assert complete_copy.add_ignored_files(checkout, copy)
    assert (copy / "node_modules/a/index.js").is_file()
    assert not (copy / ".git").exists()
    complete_copy.make_git_directory(open_git(str(checkout), dict(os.environ)).locate(), copy)
    before = git(checkout, "rev-parse", "HEAD"), git(checkout, "status", "--short")
    assert git(copy, "log", "--format=%s", "-1") == "lock"
    assert git(copy, "status", "--short") == "M a.txt"
    git(copy, "commit", "-qam", "other")
    subprocess.run(["git", "gc", "-q"], cwd=copy, check=True)
    assert (git(checkout, "rev-parse", "HEAD"), git(checkout, "status", "--short")) == before


def test_too_many_files_are_not_copied(pair, tmp_path, monkeypatch):
    from prunejuice.environments import complete_copy

    monkeypatch.setattr(complete_copy, "_MOST_FILES", 2)
    checkout, _, _ = pair
    assert not complete_copy.add_ignored_files(checkout, tmp_path / "copy")


# -- trust, and contents that nobody expects ----------------------------------------------------------


YARN = '#!/bin/sh\nenv > "$0.env"; echo "$PWD" > "$0.log"; mkdir -p node_modules; echo new > node_modules/version\n'


@pytest.fixture
def yarn(tmp_path, monkeypatch):
    """A program that stands for yarn and says where it was called; its path without a suffix."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/yarn").write_text(YARN)
    (tmp_path / "bin/yarn").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return tmp_path / "bin/yarn"


@pytest.fixture
def branch(project, yarn):
    """A project whose branch `theirs` has another lock file, and a command that makes worktrees of it."""
    write_files(
        project.root, {".gitignore": "node_modules/\n", "yarn.lock": "1", "node_modules/version": "old\n"}
    )
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "yarn")
    git(project.root, "switch", "-qc", "theirs")
    (project.root / "yarn.lock").write_text("2")
    git(project.root, "commit", "-qam", "theirs")
    git(project.root, "switch", "-q", "main")
    return project


@pytest.mark.parametrize("trust", [True, False])
def test_code_of_a_branch_is_not_executed_before_a_project_is_trusted(branch, yarn, trust):
    if trust:
        branch.command("x", "steps: [{name: a, script: 'true'}]")
    answer = branch.plum("create", "theirs")
    assert answer.code == 0, answer.err
    assert yarn.with_suffix(".log").exists() == trust
    said = (
        "and `yarn install --frozen-lockfile` executes code of this branch: run it yourself, or `prj trust`"
    )
    assert (said in answer.out) != trust


def test_commands_of_the_user_install_nothing_in_a_project_nobody_trusted(branch, yarn):
    write_files(
        settings.config_directory(os.environ) / "commands",
        {
            "mine.yaml": "name: mine\npre_steps: [create-worktree]\narguments: [{name: base, required: false}]\n"
            "steps: [{name: a, script: 'ls node_modules || true'}]\n"
        },
    )
    answer, run = branch.run("mine", "base=theirs")
    assert answer.code == 0, answer.err
    assert "executes code of this branch" in branch.log(run, "create-worktree")
    assert not yarn.with_suffix(".log").exists()


def test_a_merge_is_checked_with_the_packages_of_its_lock_file(branch, yarn):
    branch.command("w", "pre_steps: [create-worktree]\nsteps: [{name: a, script: 'echo 2 > yarn.lock'}]")
    git(branch.root, "add", ".")
    git(branch.root, "commit", "-qm", "command")
    branch.prj("trust")
    _, run = branch.run("w")
    yarn.with_suffix(".log").unlink(missing_ok=True)
    answer = branch.prj("merge", run["id"], "--check", "grep new node_modules/version")
    assert answer.code == 0, answer.err
    assert yarn.with_suffix(".log").exists()
    assert (branch.root / "node_modules/version").read_text() == "old\n"


def test_a_lock_file_that_only_a_branch_has_is_noticed(branch, yarn):
    git(branch.root, "rm", "-q", "yarn.lock")
    git(branch.root, "commit", "-qm", "no lock")
    branch.command("w", "pre_steps: [create-worktree]\nsteps: [{name: a, script: 'echo 1 > yarn.lock'}]")
    git(branch.root, "add", ".")
    git(branch.root, "commit", "-qm", "command")
    branch.prj("trust")
    _, run = branch.run("w")
    assert branch.prj("merge", run["id"], "--check", "grep new node_modules/version").code == 0
    assert yarn.with_suffix(".log").exists()


def test_a_merge_check_installs_nothing_in_a_project_nobody_trusted(branch, yarn):
    write_files(
        settings.config_directory(os.environ) / "commands",
        {
            "mine.yaml": "name: mine\npre_steps: [create-worktree]\nsteps: [{name: a, script: 'echo 3 > yarn.lock'}]\n"
        },
    )
    _, run = branch.run("mine")
    answer = branch.prj("merge", run["id"], "--check", "grep new node_modules/version")
    assert answer.code == 3
    assert "executes code of this branch" in answer.err
    assert not yarn.with_suffix(".log").exists()
    assert branch.prj("trust").code == 0
    assert branch.prj("merge", run["id"], "--check", "grep new node_modules/version").code == 0


def test_a_merge_is_checked_with_the_submodules_of_its_commit(project, repository, tmp_path):
    library = tmp_path / "library"
    git(tmp_path, "init", "-q", str(library))
    write_files(library, {"version": "1\n", "old": "", "sub/x": ""})
    git(library, "add", ".")
    git(library, "commit", "-qm", "1")
    git(
        project.root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "lib"
    )
    git(project.root, "commit", "-qm", "lib")
    inner = project.root / "lib"
    (inner / "version").write_text("2\n")
    git(inner, "rm", "-rq", "old", "sub")
    git(inner, "commit", "-qam", "2")
    newer = git(inner, "rev-parse", "HEAD")
    git(inner, "checkout", "-q", "HEAD^")
    project.command(
        "w",
        f"""
        pre_steps: [create-worktree]
        steps: [{{name: a, script: 'git update-index --cacheinfo 160000,{newer},lib && git commit -qm 2'}}]
    """,
    )
    _, run = project.run("w")
    check = "test $(cat lib/version) = 2 && test ! -e lib/old && test ! -e lib/sub"
    for overlay in "10":
        os.environ["PRUNEJUICE_OVERLAY"] = overlay
        assert "failed on the merged" in project.prj("merge", run["id"], "--check", f"! ({check})").err
        before = git(project.root, "rev-parse", "HEAD")
        assert project.prj("merge", run["id"], "--check", check).code == 0
        git(project.root, "reset", "-q", "--hard", before)
    assert (inner / "version").read_text() == "1\n"
    # What the checkout has in it besides is not that of the commit.
    write_files(inner, {"untracked": "", "nested/x": ""})
    assert "failed on the merged" in project.prj("merge", run["id"], "--check", "test -e lib/untracked").err
    # The checkout lacks the commit that another person's work needs.
    absent = git(library, "commit-tree", "-m", "3", "HEAD^{tree}")
    git(run["worktree"], "update-index", "--cacheinfo", f"160000,{absent},lib")
    git(run["worktree"], "commit", "-qm", "3")
    answer = project.prj("merge", run["id"], "--check", check)
    assert answer.code == 3
    assert f"the check needs commit {absent[:12]} of the submodule lib, which is not here" in answer.err


def test_a_repository_inside_the_checkout_does_not_disturb_a_check(project):
    project.command("w", "pre_steps: [create-worktree]\nsteps: [{name: a, script: 'echo 1 > b'}]")
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "command")
    project.prj("trust")
    git(project.root, "init", "-q", "nested")
    write_files(project.root, {"nested/x": "", "loose/y": ""})
    _, run = project.run("w")
    assert project.prj("merge", run["id"], "--check", "test ! -e loose").code == 0
    assert (project.root / "nested/x").exists()
    assert (project.root / "loose/y").exists()


def test_installers_get_no_variable_that_chooses_an_environment(pair, yarn):
    checkout, tree, plan = pair
    (tree / "web/yarn.lock").write_text("2")
    chosen = {
        "UV_PROJECT_ENVIRONMENT": "/users/own",
        "VIRTUAL_ENV": "/users/own",
        "POETRY_VIRTUALENVS_CREATE": "false",
        "npm_config_global": "true",
        "NPM_CONFIG_DIR": "/users/own",
        "PDM_PROJECT": "/users/own",
    }
    environ = {"PATH": os.environ["PATH"], "UV_INDEX_URL": "http://127.0.0.1:9", **chosen}
    equipment.equip_tree(checkout, tree, plan(**environ), ProcessSpec((), "/", environ), lambda _line: None)
    seen = yarn.with_suffix(".env").read_text()
    assert not [name for name in chosen if f"{name}=" in seen]
    assert "UV_INDEX_URL=" in seen


@pytest.mark.parametrize(
    ("name", "packages"),
    [("uv.lock", ".venv"), ("poetry.lock", ".venv"), ("pdm.lock", ".venv"), ("bun.lock", "node_modules")],
)
def test_nothing_is_written_behind_a_link_of_the_tree(pair, tmp_path, yarn, name, packages):
    checkout, tree, plan = pair
    write_files(checkout, {f"app/{name}": "1", f"app/{packages}/x": "", "app/.env": "A=1"})
    (tmp_path / "users").mkdir()
    write_files(tmp_path / "users", {name: "2"})
    git(checkout, "add", f"app/{name}")
    (tree / "app").symlink_to(tmp_path / "users")
    (yarn.parent / name.partition(".")[0]).write_text(YARN)
    (yarn.parent / name.partition(".")[0]).chmod(0o755)
    supplies = plan(PATH=os.environ["PATH"])
    assert f"lacks app/{packages}: it is behind a link of this tree" in map(str, supplies)
    equipment.equip_tree(
        checkout, tree, supplies, ProcessSpec((), "/", {"PATH": os.environ["PATH"]}), lambda _line: None
    )
    assert [path.name for path in (tmp_path / "users").iterdir()] == [name]


LONG = "n" * 300
HOSTILE = {
    "a long reference": {"package.json": f'{{"x": "file:../{LONG}"}}', "go.mod": f"=> ../{LONG}"},
    "many empty lines": {"requirements.txt": "\n" * 400_000, "go.work": "\n" * 400_000, "go.mod": "=>" + " \n" * 200_000},
    "no packages": {".venv/pyvenv.cfg": "", ".venv/lib/python3.11/site-packages": ""},
    "a long path": {".venv/pyvenv.cfg": "", ".venv/lib/python3.11/site-packages/x.pth": f"{{root}}/{LONG}\n"},
    "a deep mapping": {
        ".venv/pyvenv.cfg": "",
        ".venv/lib/python3.11/site-packages/x_finder.py": "MAPPING = {'a': " + "-" * 100_000 + "1}\n",
    },
    "names of other bytes": {b"gen/\xff\xfe.py": "", b".env.\xff": "", b"\xff.so": ""},
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_contents_are_survived(pair, kind):
    checkout, tree, plan = pair
    for name, text in HOSTILE[kind].items():
        path = os.fsencode(checkout) + b"/" + os.fsencode(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text.replace("{root}", str(checkout)))
    git(checkout, "add", ".")
    lines = []
    equipment.equip_tree(
        checkout, tree, plan(), ProcessSpec((), "/", {"PATH": os.environ["PATH"]}), lines.append
    )
    assert "  ✓ Copied node_modules" in lines
    write_files(tree, {"setup.py": ""})
    assert python_paths.tree_variables(tree, checkout, {"PATH": os.environ["PATH"]})["PYTHONPATH"]


def test_a_link_to_nothing_is_something(pair):
    _, tree, plan = pair
    (tree / "node_modules").symlink_to("nowhere")
    assert list(map(str, plan())) == ["copy web/node_modules"]


def test_half_copied_packages_are_taken_away(pair):
    checkout, tree, plan = pair
    supplies = plan()
    shutil.rmtree(checkout / "web")
    lines = []
    equipment.equip_tree(checkout, tree, supplies, ProcessSpec((), "/", {}), lines.append)
    assert lines == [
        "  ✓ Copied node_modules",
        "  ⚠ web/node_modules was not copied: No such file or directory",
    ]
    assert not (tree / "web/node_modules").exists()


def test_links_beside_a_tree_do_not_lead_to_the_checkout(pair):
    checkout, _, plan = pair
    write_files(checkout, {"go.mod": f"replace x => ../{checkout.name}/lib\n", "lib/go.mod": ""})
    git(checkout, "add", ".")
    assert "link" not in {supply.kind for supply in plan()}


@pytest.mark.parametrize(
    ("value", "kept"), [("{old}/.venv", "{new}/.venv"), ("/users/own", None), (".venv-ci", ".venv-ci")]
)
def test_uv_writes_to_no_environment_of_another_tree(tmp_path, value, kept):
    old, new = tmp_path / "old", tmp_path / "new"
    (new / ".venv").mkdir(parents=True)
    given = {"UV_PROJECT_ENVIRONMENT": value.format(old=old)}
    moved = installed_packages.relocate_variables(given, old, new)
    assert moved.get("UV_PROJECT_ENVIRONMENT") == (kept and kept.format(new=new))
