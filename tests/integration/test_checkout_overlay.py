"""Processes see a tree at the path of its checkout, and write to a scratch folder, however they try."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from conftest import git, write_files
from prunejuice.environments import checkout_overlay
from prunejuice.environments.checkout_overlay import GitHead, find_namespace, open_overlay
from prunejuice.environments.place import Place
from prunejuice.system.process import ProcessSpec
from prunejuice.worktrees.git import open_git

pytestmark = pytest.mark.skipif(
    not find_namespace(Path(tempfile.gettempdir())), reason="no overlay can be mounted here"
)
PATH = os.environ["PATH"]


@pytest.fixture(params=checkout_overlay._NAMESPACES, ids=["root", "user"])
def namespace(request, monkeypatch):
    if request.param == checkout_overlay._NAMESPACES[0] and os.geteuid():
        pytest.skip("only root has this")
    monkeypatch.setattr(checkout_overlay, "find_namespace", lambda _parent: request.param)


class Shop:
    """A checkout with ignored files, and a tree that changes and lacks some of its files."""

    def __init__(self, checkout, tree, scratch, environ=None):
        self.checkout, self.tree, self.scratch = checkout, tree, scratch
        self.environ = environ or {}
        write_files(
            checkout,
            {
                "a.py": "A = 1\n",
                "d/b.py": "B = 1\n",
                "gone.py": "",
                ".gitignore": "out/\n",
            },
        )
        (checkout / "out").mkdir()
        (checkout / "out/made").write_text("made\n")
        git(checkout, "add", ".")
        git(checkout, "commit", "-qm", "shop")
        write_files(
            tree,
            {
                "a.py": "A = 2\n",
                "d/b.py": "B = 1\n",
                "new.py": "",
                ".gitignore": "out/\n",
            },
        )

    def open(self):
        located = open_git(str(self.checkout), dict(os.environ)).locate()
        files = git(self.checkout, "ls-files").splitlines()
        return open_overlay(self.tree, located, self.checkout, self.scratch, files, self.environ)

    def run(self, script, overlay=None, folder="."):
        place = Place(self.tree, self.checkout, self.scratch, overlay or self.open())
        call = ProcessSpec(["bash", "-c", script], self.tree / folder, {"PATH": PATH}, 60)
        done = place.capture_output(call, 1 << 20)
        return done.code, (done.stdout + done.stderr).decode()


@pytest.fixture
def shop(repository, tmp_path, namespace):
    (tmp_path / "tree").mkdir()
    (tmp_path / "scratch").mkdir()
    return Shop(repository, tmp_path / "tree", tmp_path / "scratch" / "s")


def read_all(root):
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and not path.is_symlink())
    return {str(path): (path.stat().st_mode, path.read_bytes()) for path in files}


@pytest.mark.parametrize(
    ("script", "shown"),
    [
        ("cat a.py", "A = 2\n"),
        ("cat d/b.py out/made", "B = 1\nmade\n"),
        ("ls", "a.py\nd\nnew.py\nout\n"),
        ("pwd", "{checkout}\n"),
        ("git status --short", " M a.py\n D gone.py\n?? new.py\n D a.txt\n"),
        ("git log --format=%s -1", "shop\n"),
        ("rm -r d && mkdir d && ls d", ""),
        ("id -u", f"{os.geteuid()}\n"),
        ("exit 7", ""),
    ],
)
def test_processes_see_the_tree(shop, script, shown):
    code, text = shop.run(script)
    assert code == (7 if "exit" in script else 0)
    assert sorted(text.splitlines()) == sorted(shown.format(checkout=shop.checkout).splitlines())


@pytest.mark.parametrize(
    "script",
    [
        "rm -rf out d a.py .git",
        "echo x >> out/made; echo x >> a.py; echo x > new",
        "mv out elsewhere; chmod 700 d; ln -sf /nowhere a.py",
        "git add -A && git -c user.name=a -c user.email=a@b commit -qm x && git tag t && git gc -q",
        "git config user.name other; git checkout -q -b other; git stash -q -u || true",
        "python3 -c \"import os; os.truncate('out/made', 0)\"",
        "mkfifo out/pipe; ln out/made out/hard; echo x > out/hard",
    ],
)
def test_writes_reach_neither_the_checkout_nor_the_tree(shop, script):
    before = read_all(shop.checkout), read_all(shop.tree)
    assert shop.run(script)[0] == 0
    assert (read_all(shop.checkout), read_all(shop.tree)) == before
    assert not shop.scratch.exists()
    assert shop.run("ls out; git log --format=%s -1")[1] == "made\nshop\n"


def test_a_folder_of_the_tree_is_where_the_program_runs(shop):
    assert shop.run("pwd; ls", folder="d") == (0, f"{shop.checkout}/d\nb.py\n")


@pytest.mark.parametrize("name", ["a b", "a:b,c", "it's", 'say "x"', "$HOME;x", "über"])
def test_any_name_is_a_name(repository, tmp_path, namespace, name):
    checkout, tree = tmp_path / name / "shop", tmp_path / f"tree {name}"
    checkout.parent.mkdir()
    tree.mkdir()
    repository.rename(checkout)
    (tmp_path / f"s {name}").mkdir()
    shop = Shop(checkout, tree, tmp_path / f"s {name}" / "s")
    assert shop.run("cat a.py; rm a.py; git status --short | wc -l")[1].split() == ["A", "=", "2", "4"]
    assert (checkout / "a.py").read_text() == "A = 1\n"


def test_git_says_another_head(shop, tmp_path):
    git(shop.checkout, "worktree", "add", "-q", "--detach", str(tmp_path / "other"))
    other = tmp_path / "other"
    (other / "a.py").write_text("A = 3\n")
    git(other, "rm", "-q", "gone.py")
    git(other, "commit", "-qam", "other")
    shop.tree = other
    head = GitHead(git(other, "rev-parse", "HEAD"), shop.checkout / ".git/worktrees/other/index")
    before = read_all(shop.checkout)
    for script, shown in (
        ("git log --format=%s -1; git status --short; cat a.py; ls", "other\nA = 3\na.py\na.txt\nd\nout\n"),
        ("git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x; git rev-parse main", None),
    ):
        code, text = shop.run(script, shop.open().with_head(head))
        assert code == 0
        assert text == (shown or f"{git(shop.checkout, 'rev-parse', 'main')}\n")
    assert read_all(shop.checkout) == before


def test_a_linked_worktree_has_its_git_directory_covered(shop, tmp_path):
    git(shop.checkout, "worktree", "add", "-q", str(tmp_path / "linked"), "-b", "linked")
    inner = Shop.__new__(Shop)
    inner.checkout, inner.tree, inner.scratch, inner.environ = (
        tmp_path / "linked",
        shop.tree,
        shop.scratch,
        {},
    )
    before = read_all(shop.checkout)
    script = "git branch --show-current; git -c user.name=a -c user.email=a@b commit -qam x && git log --format=%s -1"
    assert inner.run(script) == (0, "linked\nx\n")
    assert read_all(shop.checkout) == before
    # Also if the tree is a worktree itself, with a link of its own.
    git(shop.checkout, "worktree", "add", "-q", "--detach", str(tmp_path / "third"))
    inner.tree = tmp_path / "third"
    assert inner.run("git branch --show-current") == (0, "linked\n")


def test_an_active_environment_outside_is_covered(shop, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    shop.environ = {"VIRTUAL_ENV": str(tmp_path / "env")}
    before = read_all(tmp_path / "env")
    assert shop.run(f"rm -r {tmp_path}/env/lib; echo x >> {tmp_path}/env/bin/activate")[0] == 0
    assert read_all(tmp_path / "env") == before


def test_bytecode_of_the_checkout_is_not_that_of_the_tree(shop):
    subprocess.run([sys.executable, "-m", "compileall", "-q", "."], cwd=shop.checkout, check=True)
    stat = (shop.checkout / "a.py").stat()
    os.utime(shop.tree / "a.py", ns=(stat.st_atime_ns, stat.st_mtime_ns // 10**9 * 10**9 + 1))
    assert shop.run(f"{sys.executable} -c 'import a; print(a.A)'") == (0, "2\n")


def test_users_have_no_capabilities(shop):
    code, text = shop.run("grep CapEff /proc/self/status")
    assert code == 0
    assert os.geteuid() == 0 or int(text.split()[1], 16) == 0


def test_where_none_can_be_had_there_is_none(shop, monkeypatch):
    shop.scratch = shop.checkout / "out/s"
    assert shop.open() is None
    shop.scratch = shop.checkout / ".git/s"
    assert shop.open() is None
    monkeypatch.setattr(checkout_overlay, "_has_mounts", lambda folder: folder == shop.checkout)
    shop.scratch = shop.checkout.parent / "s"
    assert shop.open() is None


def test_files_of_others_cannot_be_covered_in_a_user_namespace(repository, tmp_path, monkeypatch):
    (tmp_path / "tree").mkdir()
    monkeypatch.setattr(checkout_overlay, "find_namespace", lambda _: checkout_overlay._NAMESPACES[1])
    shop = Shop(repository, tmp_path / "tree", tmp_path / "s")
    assert shop.open() is not None
    if os.geteuid() == 0:
        os.chown(repository / "out", 12345, 12345)
        assert shop.open() is None


@pytest.mark.parametrize("missing", ["unshare", "mount"])
def test_without_the_programs_there_is_none(tmp_path, monkeypatch, missing):
    (tmp_path / "bin").mkdir()
    for name in {"unshare", "setpriv", "mount", "xargs"} - {missing}:
        (tmp_path / "bin" / name).symlink_to("/bin/false")
    monkeypatch.setattr(checkout_overlay, "_SYSTEM_PATH", str(tmp_path / "bin"))
    assert find_namespace.__wrapped__(tmp_path) == ()


def test_a_kernel_that_refuses_is_believed(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    for name in ("unshare", "setpriv", "mount", "xargs"):
        (tmp_path / "bin" / name).symlink_to("/bin/false")
    monkeypatch.setattr(checkout_overlay, "_SYSTEM_PATH", str(tmp_path / "bin"))
    assert find_namespace.__wrapped__(tmp_path) == ()
    assert list(tmp_path.iterdir()) == [tmp_path / "bin"]


def test_a_link_of_the_tree_leads_to_no_deletion_outside(shop, tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/b.py").write_text("of the user")
    (shop.tree / "d/b.py").unlink()
    (shop.tree / "d").rmdir()
    (shop.tree / "d").symlink_to(tmp_path / "shared")
    assert shop.run("true")[0] == 0
    assert (tmp_path / "shared/b.py").read_text() == "of the user"


def test_a_folder_around_the_checkout_is_not_covered(shop, tmp_path):
    (tmp_path / "pyvenv.cfg").touch()
    shop.environ = {"VIRTUAL_ENV": str(tmp_path)}
    assert shop.open() is None


def test_a_deleted_folder_is_gone_with_its_caches(shop):
    write_files(shop.checkout, {"d/__pycache__/b.cpython-311.pyc": "", "kept/c.py": "", "kept/data": ""})
    git(shop.checkout, "add", "kept/c.py")
    (shop.tree / "d/b.py").unlink()
    (shop.tree / "d").rmdir()
    code, text = shop.run("ls; ls kept; python3 -c 'import d'")
    assert code == 1
    assert "ModuleNotFoundError" in text
    assert text.split()[:6] == ["a.py", "kept", "new.py", "out", "data", "Traceback"]


def test_an_environment_on_path_alone_is_covered(shop, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    shop.environ = {"PATH": f"{tmp_path}/env/bin:{PATH}"}
    before = read_all(tmp_path / "env")
    assert shop.run(f"rm -r {tmp_path}/env/lib")[0] == 0
    assert read_all(tmp_path / "env") == before


@pytest.mark.parametrize("name", ["-", "-P", "~", "a\nb"])
def test_any_folder_is_where_a_program_runs(shop, name):
    (shop.tree / name).mkdir()
    assert shop.run("pwd", folder=name) == (0, f"{shop.checkout}/{name}\n")
