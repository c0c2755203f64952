"""Runs in a sandbox: commits, hosts, limits, services, checks and hooks, and machines that have none."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from conftest import git, wait_for
from prunejuice.sandbox.programs.bwrap import Bubblewrap

pytestmark = pytest.mark.skipif(
    bool(Bubblewrap().find_problem(os.environ)[0]), reason="no sandbox can be made here"
)
EDIT = "Say two.\n\na.txt\n<<<<<<< SEARCH\none\n=======\ntwo\n>>>>>>> REPLACE\n"


@pytest.fixture
def shop(project):
    """A project, and a function that runs a script in a sandbox; the answer and the run."""

    def run(script, mode="files", *, allow=None, worktree=True, more="", code=0, args=()):
        step = {"name": "work", "script": script}
        command = {"sandbox": mode, "allow": allow or {}, "steps": [step]}
        if worktree:
            command["pre_steps"] = ["create-worktree"]
        project.command("t", yaml.safe_dump(command) + more)
        git(project.root, "add", ".prj")
        if git(project.root, "status", "--porcelain"):
            git(project.root, "commit", "-qm", "command")
        answer, made = project.run("t", *args)
        assert answer.code == code, (answer, made and project.log(made, "work"))
        return made

    run.project = project
    return run


def refused(made):
    return [(each["what"], each["target"]) for step in made["steps"] for each in step.get("refused", [])]


def log(shop, made, step="work"):
    return shop.project.log(made, step)


# -- git ------------------------------------------------------------------------------------------------


def test_a_step_commits_and_the_repository_stays_byte_for_byte(shop):
    root = shop.project.root
    (root / ".git/hooks").mkdir(exist_ok=True)
    (root / ".git/hooks/pre-push").write_text("#!/bin/sh\n")
    shop("true")
    names = ("config", "hooks/pre-push", "HEAD", "packed-refs", "info/exclude")
    before = {
        name: (root / ".git" / name).read_bytes() for name in names if (root / ".git" / name).is_file()
    }
    made = shop(
        "echo two > a.txt; git add -A; git commit -qm inside; git status --short; git log -1 --format=%an"
    )
    assert {name: (root / ".git" / name).read_bytes() for name in before} == before
    assert git(root, "log", "-1", "--format=%s %an", made["branch"]) == "inside tester"
    assert git(made["worktree"], "status", "--porcelain") == ""
    assert log(shop, made).strip() == "tester"
    git(root, "fsck", "--strict")
    assert shop.project.prj("merge", made["id"], "--no-check").code == 0
    assert (root / "a.txt").read_text() == "two\n"


@pytest.mark.parametrize(
    ("script", "subjects"),
    [
        ("for n in 1 2 3; do echo $n > f; git add f; git commit -qm c$n; done", ["c3", "c2", "c1"]),
        ("echo 1 > f; git add f; git commit -qm c1; echo 2 > f; git commit -qa --amend -m c2", ["c2"]),
        ("echo 1 > f; git add f; git commit -qm c1; git reset -q --hard HEAD~1", []),
        ("git checkout -q -b topic; echo 1 > f; git add f; git commit -qm c1", ["c1"]),
        ("git checkout -q --detach; echo 1 > f; git add f; git commit -qm c1", ["c1"]),
        ("echo 1 > f; git add f; git stash -q; git stash pop -q; git add f; git commit -qm c1", ["c1"]),
        ("git gc -q || true; echo 1 > f; git add f; git commit -qm c1; git repack -adq || true", ["c1"]),
        ("echo 1 > f; git add f; git commit -qm c1; echo 2 > f; git commit -qam c2; git rebase -q -x true HEAD~2",
         ["c2", "c1"]),
    ],
)  # fmt: skip
def test_commits_of_every_kind_are_taken_over(shop, script, subjects):
    made = shop(script)
    base = git(shop.project.root, "rev-parse", "main")
    assert git(made["worktree"], "log", "--format=%s", f"{base}..HEAD").splitlines() == subjects
    git(shop.project.root, "fsck", "--strict")
    assert refused(made) in ([], [("ref", "refs/stash")])


def test_a_branch_that_moved_meanwhile_is_not_moved_back(shop, tmp_path):
    go = tmp_path / "go"
    shop("true")
    script = f"echo 1 > f; git add f; git commit -qm inside; touch here; while ! test -e {go}; do sleep 0.05; done"
    shop.project.command(
        "t",
        yaml.safe_dump({
            "sandbox": "files", "allow": {"read": [str(tmp_path)]}, "pre_steps": ["create-worktree"],
            "steps": [{"name": "work", "script": script}],
        }),
    )  # fmt: skip
    running = shop.project.spawn("run", "t", "--json")
    worktrees = shop.project.root.parent / "shop-worktrees"
    [here] = wait_for(lambda: list(worktrees.glob("*/here")))
    other = git(here.parent, "commit-tree", "-m", "other", "-p", "HEAD", "HEAD^{tree}")
    git(here.parent, "update-ref", "HEAD", other)
    go.touch()
    made = json.loads(running.communicate()[0])
    assert running.returncode == 1
    assert "moved while a step committed" in made["error"]
    assert git(here.parent, "rev-parse", "HEAD") == other
    [kept] = git(
        shop.project.root, "for-each-ref", "--format=%(refname)", "refs/prunejuice/kept"
    ).splitlines()
    assert git(shop.project.root, "log", "-1", "--format=%s", kept) == "inside"


def test_a_commit_survives_the_death_of_the_driver(shop, tmp_path):
    first = shop("true")
    script = "echo 1 > f; git add f; git commit -qm inside; touch here; sleep 1.5; mkdir deep; echo evil > deep/.envrc"
    shop.project.command(
        "t",
        yaml.safe_dump({
            "sandbox": "files", "pre_steps": ["create-worktree"], "steps": [{"name": "work", "script": script}],
        }),
    )  # fmt: skip
    running = shop.project.spawn("run", "t", "--json")
    [here] = wait_for(lambda: list((shop.project.root.parent / "shop-worktrees").glob("*/here")))
    running.send_signal(signal.SIGKILL)
    running.communicate()
    [folder] = (path for path in (shop.project.home / "runs").iterdir() if path.name != first["id"])
    wait_for(lambda: list((folder / "temp").glob("*.outputs/*.exit")))
    run_id = folder.name
    assert shop.project.prj("resume", run_id).code == 0
    assert git(here.parent, "log", "-1", "--format=%s") == "inside"
    assert not (here.parent / "deep/.envrc").exists()
    git(shop.project.root, "fsck", "--strict")


def test_in_the_checkout_itself_git_is_read_only(shop):
    made = shop("git log -1 --format=%s; git add -A && echo added; echo two > b.txt", worktree=False)
    assert "added" not in log(shop, made)
    assert "Read-only" in log(shop, made)
    assert (shop.project.root / "b.txt").read_text() == "two\n"


# -- hosts ----------------------------------------------------------------------------------------------


class Server:
    """A web server of this machine: files by path, and what was posted."""

    def __init__(self, files):
        posted = self.posted = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                content = files.get(self.path.split("?")[0])
                self.send_response(200 if content is not None else 404)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def do_POST(self):
                if self.headers.get("Transfer-Encoding") == "chunked":
                    body = b""
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                else:
                    body = self.rfile.read(int(self.headers["Content-Length"]))
                posted.append((self.headers["Host"], body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("0.0.0.0", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def server(tmp_path):
    wheel = tmp_path / "greet-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("greet.py", "print('greetings')\n")
        archive.writestr(
            "greet-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: greet\nVersion: 1.0\n"
        )
        archive.writestr(
            "greet-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("greet-1.0.dist-info/RECORD", "")
    made = Server({
        "/simple/greet/": b'<a href="/greet-1.0-py3-none-any.whl">greet-1.0-py3-none-any.whl</a>',
        f"/{wheel.name}": wheel.read_bytes(),
        "/hello": b"hello\n",
    })
    yield made
    made.close()


def own_address():
    """The address of this machine that is not the loopback."""
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no other address than the loopback")
        return probe.getsockname()[0]


def test_packages_are_installed_from_an_allowed_index_and_no_other(shop, server):
    place = f"{own_address()}:{server.port}"
    pip = f"{sys.executable} -m pip --isolated --disable-pip-version-check install -q --no-cache-dir --target lib"
    index = f"--index-url http://{place}/simple --trusted-host {place} greet"
    script = f"{pip} {index}; {sys.executable} -c 'import sys; sys.path.insert(0, \"lib\"); import greet'"
    made = shop(script, "files+net", allow={"hosts": [place]})
    assert "greetings" in log(shop, made)
    assert not refused(made)
    made = shop(f"{pip} --retries 0 {index}", "files+net", code=1)
    assert refused(made) == [("host", place)]
    shown = shop.project.prj("show", made["id"]).out
    assert f"work: wanted {place} — allow it: prj allow host {place}" in shown
    assert "sandbox    files+net" in shown


def test_a_host_that_is_this_machine_is_reached_as_one_of_its_ports(shop, server):
    for host in ("127.0.0.1", "localhost"):
        script = f"curl -sf http://{host}:{server.port}/hello"
        made = shop(script, "files+net", allow={"hosts": [f"{host}:{server.port}"]})
        assert log(shop, made) == "hello\n"


def test_a_refused_host_is_said_in_the_answer(shop):
    made = shop(
        "curl -s http://files.example.org/x; curl -s https://files.example.org/x || true", "files+net"
    )
    assert "files.example.org is not allowed here; allow it: prj allow host files.example.org" in log(
        shop, made
    )
    assert refused(made) == [("host", "files.example.org")]


@pytest.mark.parametrize("header", ["", "-H 'Transfer-Encoding: chunked'", "-H 'Expect: 100-continue'"])
def test_bodies_pass_through_the_proxy(shop, server, tmp_path, header):
    place = f"{own_address()}:{server.port}"
    allow, url = {"hosts": [place]}, f"http://{place}"
    script = f"head -c 300000 /dev/zero | curl -sf {header} -H 'Host: other' --data-binary @- {url}/p"
    shop(f"{script}; curl -sf {url}/hello", "files+net", allow=allow)
    assert server.posted == [(place, b"\0" * 300_000)]


def test_under_files_the_network_is_as_it_is(shop, server):
    made = shop(f"curl -sf http://127.0.0.1:{server.port}/hello")
    assert log(shop, made) == "hello\n"


def test_a_port_of_a_service_is_reached(shop, server):
    script = f"curl -sf http://127.0.0.1:{server.port}/hello || echo refused"
    assert log(shop, shop(script, "files+net")) == "refused\n"
    made = shop(script, "files+net", allow={"services": [f"web:{server.port}"]})
    assert log(shop, made) == "hello\n"


def test_services_of_the_project_run_in_a_sandbox_too(shop, tmp_path):
    root = shop.project.root
    (root / ".prj").mkdir()
    ready = "curl -sf http://127.0.0.1:$PRUNEJUICE_PORT/a.txt"
    serve = f"echo evil > {tmp_path}/evil || true; exec {sys.executable} -m http.server $PRUNEJUICE_PORT --bind 127.0.0.1"
    (root / ".prj/config.yaml").write_text(yaml.safe_dump({"services": serve, "services_ready": ready}))
    for mode in ("files", "files+net"):
        made = shop("curl -sf http://127.0.0.1:$PRUNEJUICE_PORT/a.txt", mode)
        assert log(shop, made) == "one\n"
        assert not (tmp_path / "evil").exists()


# -- limits -----------------------------------------------------------------------------------------------


def test_a_leak_ends_the_step_and_not_the_machine(shop, monkeypatch):
    monkeypatch.setenv("PRUNEJUICE_LIMITS", "{memory: 150MiB}")
    leak = "x = []\nwhile len(x) < 400:\n    x.append(bytearray(4_000_000))\n    time.sleep(0.005)"
    made = shop(f"{sys.executable} -c 'import time\n{leak}'", code=5)
    assert "used more than 150 MiB of memory (limits: memory)" in made["error"]


def test_processes_are_counted(shop, monkeypatch):
    monkeypatch.setenv("PRUNEJUICE_LIMITS", "{processes: 20}")
    made = shop("for n in $(seq 40); do sleep 5 & done; wait", code=5 if not os.geteuid() else 1)
    assert os.geteuid() or "more than 20 (limits: processes)" in made["error"]


def test_a_file_and_the_time_of_a_process_are_limited(shop, monkeypatch):
    monkeypatch.setenv("PRUNEJUICE_LIMITS", "{disk: 1MiB, cpu: 1}")
    made = shop(
        "head -c 5000000 /dev/zero > big || echo stopped; (while :; do :; done) || echo ended; stat -c %s big"
    )
    assert "stopped" in log(shop, made)
    assert "ended" in log(shop, made)
    assert log(shop, made).endswith("1048576\n")


def test_a_step_in_a_sandbox_ends_in_order(shop, tmp_path, monkeypatch):
    monkeypatch.setenv("PRUNEJUICE_GRACE", "20")
    script = "trap 'echo ending; exit 3' TERM; echo began; while :; do sleep 0.05; done"
    shop.project.command(
        "t",
        yaml.safe_dump({"sandbox": "files", "steps": [{"name": "work", "script": script, "timeout": 1.5}]}),
    )
    began = time.monotonic()
    answer, made = shop.project.run("t")
    assert answer.code == 5
    assert log(shop, made).splitlines()[0] == "began"
    assert log(shop, made).splitlines()[-1] == "ending"
    assert time.monotonic() - began < 15


# -- places ---------------------------------------------------------------------------------------------


def test_ordinary_tools_work(shop):
    script = """
    echo x > /dev/shm/x; cat /dev/shm/x
    script -qec 'tty > /dev/null && echo terminal' /dev/null
    mktemp > /dev/null; echo t > $TMPDIR/t; cat /tmp/t
    echo y > ~/file; cat ~/file
    whoami
    python3 -c 'import multiprocessing as m; print(m.Pool(2).map(abs, [-1]))'
    """
    made = shop(script)
    lines = log(shop, made).replace("\r", "").splitlines()
    assert [lines[0], *lines[1:4], lines[5]] == ["x", "terminal", "t", "y", "[1]"]


def test_what_is_linked_into_the_home_folder_is_found(shop, surroundings, tmp_path, monkeypatch):
    real = tmp_path / "real home"
    shutil.move(surroundings, real)
    surroundings.symlink_to(real)
    (real / ".ssh").mkdir()
    (real / ".ssh/key").write_text("secret")
    made = shop("cat ~/.ssh/key || echo hidden; pwd; echo two > a.txt; git commit -qam inside")
    assert "hidden" in log(shop, made)
    assert git(made["worktree"], "log", "-1", "--format=%s") == "inside"


def test_a_project_in_the_home_folder(surroundings, shop, monkeypatch):
    inside = surroundings / "work" / "my shop: ü"
    inside.parent.mkdir()
    shutil.move(shop.project.root, inside)
    shop.project.root = inside
    monkeypatch.chdir(inside)
    (surroundings / ".netrc").write_text("secret")
    made = shop(
        "cat ~/.netrc || echo hidden; ls ..; echo two > a.txt; git commit -qam inside; git status --short"
    )
    assert "hidden" in log(shop, made)
    assert git(made["worktree"], "log", "-1", "--format=%s") == "inside"


def test_a_project_that_is_the_home_folder_is_refused_by_name(shop, monkeypatch):
    for name in ("name", "email"):
        git(shop.project.root, "config", f"user.{name}", "tester")
    monkeypatch.setenv("HOME", str(shop.project.root))
    made = shop("true", worktree=False, code=2)
    assert "your home folder with its keys is in it" in made["error"]


def test_a_virtual_environment_that_is_a_link_is_read_and_not_written(shop, tmp_path):
    outside = tmp_path / "environment"
    (outside / "bin").mkdir(parents=True)
    (outside / "bin/tool").write_text("#!/bin/sh\necho tool\n")
    (outside / "bin/tool").chmod(0o755)
    (outside / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (shop.project.root / ".gitignore").write_text(".venv\n")
    git(shop.project.root, "add", ".gitignore")
    (shop.project.root / ".venv").symlink_to(outside)
    made = shop(".venv/bin/tool; echo evil > .venv/bin/evil || echo kept")
    assert log(shop, made).splitlines()[0] == "tool"
    assert not (outside / "bin/evil").exists()


def test_caches_are_read_and_what_is_written_to_them_is_thrown_away(shop, surroundings):
    cache = surroundings / ".cache/go-build"
    cache.mkdir(parents=True)
    (cache / "old").write_text("old\n")
    made = shop(
        "cat ~/.cache/go-build/old; mkdir ~/.cache/go-build/00; echo new > ~/.cache/go-build/old; cat ~/.cache/go-build/old"
    )
    assert log(shop, made) == "old\nnew\n"
    assert [path.name for path in cache.iterdir()] == ["old"]
    assert (cache / "old").read_text() == "old\n"


@pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed")
def test_go_builds_with_a_cache_that_is_there(shop, surroundings):
    (surroundings / ".cache/go-build").mkdir(parents=True)
    (surroundings / "go").mkdir()
    (shop.project.root / "go.mod").write_text("module shop\n")
    (shop.project.root / "main.go").write_text('package main\n\nfunc main() { println("built") }\n')
    git(shop.project.root, "add", "-A")
    assert "built" in log(shop, shop("go run ."))
    assert not list((surroundings / ".cache/go-build").iterdir())


@pytest.mark.parametrize(
    ("allow", "script", "out"),
    [
        ({"read": ["~/.config/foo"]}, "cat ~/.config/foo/bar", "bar\n"),
        ({"write": ["~/.cache/made"]}, "echo new > ~/.cache/made/x; cat ~/.cache/made/x", "new\n"),
        ({"write": [".envrc"]}, "echo new > .envrc; cat .envrc", "new\n"),
        ({"read": ["~/nothing"]}, "ls ~/nothing || echo none", "none\n"),
    ],
)
def test_what_is_allowed_is_there(shop, surroundings, allow, script, out):
    for path, text in ((".config/foo/bar", "bar\n"), (".cache/made/old", "old\n")):
        (surroundings / path).parent.mkdir(parents=True)
        (surroundings / path).write_text(text)
    made = shop(f"{{ {script}; }} 2>/dev/null", allow=allow)
    assert log(shop, made) == out
    if ".envrc" in script:
        assert Path(made["worktree"], ".envrc").read_text() == "new\n"
        assert not refused(made)


def test_what_contradicts_itself_is_named_before_anything_runs(shop):
    shop.project.command(
        "t", "sandbox: files\nallow: {hosts: [example.org]}\nsteps: [{name: a, script: x}]\n"
    )
    answer = shop.project.prj("run", "t")
    assert answer.code == 2
    assert "t.yaml:2: allow: the sandbox `files` does not limit the network" in answer.err
    made = shop("true", allow={"write": ["~"]}, code=2)
    assert "your home folder with its keys is in it" in made["error"]


# -- checks, hooks, and machines without a sandbox --------------------------------------------------------


def fix(shop, monkeypatch, tmp_path, check):
    path = tmp_path / "answers.yaml"
    path.write_text(yaml.safe_dump({"answers": [{"text": EDIT}]}))
    monkeypatch.setenv("PRUNEJUICE_SCRIPT", str(path))
    return shop.project.codebot("implement", "a.txt", "--prompt", "say two", "--check", check)


def test_a_check_is_contained_although_nobody_asked(shop, monkeypatch, tmp_path):
    answer = fix(shop, monkeypatch, tmp_path, f"grep -q two a.txt && (echo evil > {tmp_path}/evil || true)")
    assert answer.code == 0, answer
    assert not (tmp_path / "evil").exists()
    monkeypatch.setenv("PRUNEJUICE_SANDBOX", "off")
    assert fix(shop, monkeypatch, tmp_path, f"grep -q two a.txt && echo evil > {tmp_path}/evil").code == 0
    assert (tmp_path / "evil").exists()


def test_without_a_sandbox_checks_say_so_and_steps_do_not_run(shop, monkeypatch, tmp_path):
    monkeypatch.setenv("PRUNEJUICE_SANDBOX_PROGRAM", "container")
    answer = fix(shop, monkeypatch, tmp_path, "grep -q two a.txt")
    assert answer.code == 0, answer
    assert "no sandbox can be made: no image is set, so checks run without one" in answer.err
    shop.project.command("t", "sandbox: files\nsteps: [{name: a, script: 'touch ran'}]\n")
    refused_run = shop.project.prj("run", "t")
    assert refused_run.code == 2
    assert "no sandbox can be made: no image is set" in refused_run.err
    assert "sandbox_image" in refused_run.err
    assert not (shop.project.root / "ran").exists()
    assert shop.project.prj("history", "--json").json["items"][0]["command"] == "implement"


def test_a_setup_hook_is_contained(shop, tmp_path):
    (shop.project.root / ".prj").mkdir()
    setup = f"echo evil > {tmp_path}/evil || echo refused; echo made > made.txt"
    (shop.project.root / ".prj/config.yaml").write_text(
        yaml.safe_dump({"setup": setup, "sandbox": "files"})
    )
    made = shop("cat made.txt", "files")
    assert log(shop, made) == "made\n"
    assert not (tmp_path / "evil").exists()


def test_the_setup_of_a_worktree_made_by_hand_is_contained(shop, tmp_path):
    (shop.project.root / ".prj").mkdir()
    setup = f"echo evil > {tmp_path}/evil; (echo evil > .git) || true; ls {shop.project.root}; echo made > made.txt"
    config = {"setup": setup, "sandbox": "files"}
    (shop.project.root / ".prj/config.yaml").write_text(yaml.safe_dump(config))
    shop.project.prj("trust")
    answer = shop.project.plum("create", "topic", "--json")
    assert answer.code == 0, answer
    assert Path(answer.json["path"], "made.txt").read_text() == "made\n"
    assert not (tmp_path / "evil").exists()
    assert git(answer.json["path"], "rev-parse", "--abbrev-ref", "HEAD")


def test_the_check_of_a_merge_is_contained(shop, tmp_path):
    made = shop("echo two > a.txt")
    check = f"grep -q two a.txt; echo evil > {tmp_path}/evil || true"
    assert shop.project.prj("merge", made["id"], "--check", check).code == 0
    assert not (tmp_path / "evil").exists()


def test_a_flag_is_the_last_word(shop, tmp_path):
    made = shop(f"echo evil > {tmp_path}/evil", args=("--sandbox", "off"))
    assert (tmp_path / "evil").exists()
    assert made["sandbox"] == "off"
    shop("true", "off")
    shop.project.command("t", f"steps: [{{name: work, script: 'echo evil > {tmp_path}/other'}}]\n")
    assert shop.project.prj("run", "t", "--sandbox", "files").code == 0
    assert not (tmp_path / "other").exists()
    assert "PRUNEJUICE_SANDBOX" not in os.environ


def test_a_command_used_by_a_contained_step_is_contained(shop, tmp_path):
    shop.project.command("inner", f"steps: [{{name: in, script: 'echo evil > {tmp_path}/evil'}}]\n")
    shop.project.command("t", "sandbox: files\nsteps: [{name: work, uses: inner}]\n")
    assert shop.project.prj("run", "t").code == 0
    assert not (tmp_path / "evil").exists()


# -- the command line -------------------------------------------------------------------------------------


def test_a_host_is_allowed_in_the_configuration_of_the_project(shop):
    shop("true", "files+net")
    answer = shop.project.prj("allow", "host", "files.example.org", "*.example.net:8443", "--json")
    assert answer.json["allow"] == {"hosts": ["files.example.org", "*.example.net:8443"]}
    answer = shop.project.prj("allow", "write", "~/.cache/x")
    assert answer.code == 0
    config = yaml.safe_load((shop.project.root / ".prj/config.yaml").read_text())
    assert config == {
        "allow": {"hosts": ["files.example.org", "*.example.net:8443"], "write": ["~/.cache/x"]}
    }
    shown = shop.project.prj("explain", "t").out
    assert "# sandbox: files+net; write ~/.cache/x; hosts files.example.org, *.example.net:8443" in shown
    assert shop.project.prj("run", "t").code == 0  # it is still trusted
    assert (
        shop.project.prj("explain", "t", "--json").json["sandbox"]["allow"]["hosts"][0]
        == "files.example.org"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("host", "*"), "every host"),
        (("host", "http://example.org"), "a rule is a host"),
        (("service", "postgres"), "is not a number"),
        (("hots", "example.org"), "hots"),
    ],
)
def test_what_cannot_be_allowed_is_not_written(shop, words, said):
    shop("true")
    answer = shop.project.prj("allow", *words)
    assert answer.code == 2
    assert said in answer.err
    assert not (shop.project.root / ".prj/config.yaml").exists()


def test_without_a_project_it_is_allowed_for_the_user(shop, surroundings):
    answer = shop.project.prj("allow", "read", "~/x")
    assert answer.code == 2
    assert "--user" in answer.err
    assert shop.project.prj("allow", "read", "~/x", "--user").code == 0
    assert yaml.safe_load((surroundings / "config/config.yaml").read_text()) == {"allow": {"read": ["~/x"]}}
    assert shop.project.prj("config", "get", "allow").out.strip() == '{"read":["~/x"]}'


def test_doctor_and_plans_say_what_contains(shop, monkeypatch):
    shop("true", "files+net", allow={"services": ["5432"]})
    doctor = {item["name"]: item for item in shop.project.prj("doctor", "--json").json["items"]}
    assert doctor["sandbox"]["ok"]
    assert doctor["sandbox"]["found"].startswith("bwrap works; files for checks")
    plan = shop.project.prj("run", "t", "--dry-run").out
    assert "sandbox      files+net; services 5432" in plan
    monkeypatch.setenv("PRUNEJUICE_SANDBOX", "files")
    monkeypatch.setenv("PRUNEJUICE_SANDBOX_PROGRAM", "container")
    doctor = shop.project.prj("doctor")
    assert doctor.code == 1
    assert "no sandbox can be made: no image is set" in doctor.out


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_it_works_for_an_ordinary_user(tmp_path):
    """Namespaces of a user: no capability of root helps. As nobody, with a check in an overlay too."""
    options = ("--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all")
    user = ["setpriv", *options, "env"]
    paths = os.pathsep.join(filter(None, sys.path))
    pythons = (sys.executable, f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}")
    probe = ["-c", "import prunejuice.cli.prj"]
    python = next(
        (each for each in pythons if not subprocess.run(
            [*user, each, *probe], cwd="/", env={"PYTHONPATH": paths}, capture_output=True, check=False).returncode),
        "",
    )  # fmt: skip
    if not python:
        pytest.skip("nobody may not read an interpreter of this version")
    place = Path(shutil.copytree(tmp_path, f"/var/tmp/prj-{os.getpid()}", dirs_exist_ok=True))
    try:
        shop = place / "shop"
        (shop / ".prj/commands").mkdir(parents=True)
        (shop / "a.txt").write_text("one\n")
        (shop / ".prj/commands/t.yaml").write_text(
            "sandbox: files\npre_steps: [create-worktree]\nsteps:\n  - name: work\n    script: |\n"
            "      echo two > a.txt; git commit -qam inside; ls -A ~; echo evil > ../evil\n"
        )
        (place / "answers.yaml").write_text(yaml.safe_dump({"answers": [{"text": EDIT}]}))
        (place / "home/.ssh").mkdir(parents=True)
        script = f"""
        set -e; cd {shop}; git init -q -b main; git config user.name n; git config user.email n@x
        git add -A; git commit -qm one; {python} -m prunejuice trust -y
        {python} -m prunejuice run t
        git log --all --format=%s | grep -x inside
        test ! -e {place}/evil; test ! -e {place}/shop-worktrees/evil
        {python} -c 'from prunejuice.cli.codebot import main; main()' implement a.txt --prompt x --apply \\
            --check 'grep -q two a.txt; (echo evil > {place}/evil2) 2>/dev/null || true'
        test ! -e {place}/evil2; cat a.txt
        """
        subprocess.run(["chown", "-R", "nobody:", place], check=True)
        env = {"PATH": os.environ["PATH"], "HOME": f"{place}/home", "PRUNEJUICE_HOME": f"{place}/state",
               "PRUNEJUICE_SCRIPT": f"{place}/answers.yaml", "PYTHONPATH": paths}  # fmt: skip
        ended = subprocess.run(
            [*user, "bash", "-c", script],
            env=env, cwd=place, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, (ended.stdout, ended.stderr)
        assert ended.stdout.endswith("two\n")
    finally:
        shutil.rmtree(place, ignore_errors=True)


# -- what a process leaves in git ---------------------------------------------------------------------------


def test_what_is_staged_can_be_committed_afterwards(shop, monkeypatch):
    monkeypatch.setenv("PRUNEJUICE_SNAPSHOTS", "false")
    made = shop(
        "echo v1 > s.txt; git add s.txt; echo v2 > s.txt; echo gone > t.txt; git add t.txt; rm t.txt"
    )
    assert git(made["worktree"], "show", ":s.txt") == "v1"
    assert git(made["worktree"], "show", ":t.txt") == "gone"
    git(made["worktree"], "commit", "-qm", "staged")
    git(shop.project.root, "gc", "-q")
    git(shop.project.root, "fsck", "--strict")


@pytest.mark.parametrize(
    ("script", "ref"),
    [
        ("echo precious > a.txt; git stash -q", "refs/stash"),
        (
            "git switch -qc aa; echo 1 > f; git add f; git commit -qm c1; git switch -qc bb main",
            "refs/heads/aa",
        ),
        (
            "echo 1 > f; git add f; git commit -qm c1; git tag v1; git reset -q --hard HEAD~1",
            "refs/tags/v1",
        ),
        ("git branch -f other $(git commit-tree -m moved HEAD^{tree})", "refs/heads/other"),
    ],
)
def test_commits_of_other_refs_are_kept(shop, script, ref):
    git(shop.project.root, "branch", "other")
    made = shop(script)
    assert ("ref", ref) in refused(made)
    kept = git(
        shop.project.root, "for-each-ref", "--format=%(refname)", "refs/prunejuice/kept"
    ).splitlines()
    assert [name for name in kept if name.endswith(ref.removeprefix("refs/"))]
    assert git(shop.project.root, "rev-parse", "other") == git(shop.project.root, "rev-parse", "other@{0}")
    git(shop.project.root, "fsck", "--strict")


def test_a_commit_that_changes_a_control_file_is_kept_and_not_taken_over(shop):
    script = (
        "blob=$(echo evil | git hash-object -w --stdin); git update-index --add --cacheinfo 100644,$blob,.envrc; "
        "git commit -qm harmless; git update-index --skip-worktree .envrc"
    )
    made = shop(script)
    assert ("ref", ".envrc") in refused(made)
    root = shop.project.root
    assert git(root, "log", "--format=%s", f"main..{made['branch']}") == ""
    assert git(root, "for-each-ref", "refs/prunejuice/kept") != ""
    allowed = shop(script, allow={"write": [".envrc"]})
    assert git(root, "log", "--format=%s", f"main..{allowed['branch']}") == "harmless"


def test_a_merge_that_brings_control_files_of_another_branch_is_taken_over(shop):
    root = shop.project.root
    git(root, "switch", "-qc", "feat")
    (root / ".gitattributes").write_text("*.bin binary\n")
    git(root, "add", ".gitattributes")
    git(root, "commit", "-qm", "attributes")
    git(root, "switch", "-q", "main")
    made = shop("git merge -q --no-ff -m merged feat; echo hi > hi.txt; git add -A; git commit -qm hi")
    assert git(root, "log", "--format=%s", "-2", "--first-parent", made["branch"]).splitlines() == [
        "hi",
        "merged",
    ]
    assert git(made["worktree"], "status", "--porcelain") == ""
    assert not refused(made)


@pytest.mark.parametrize(
    "script",
    [
        "rm $g/HEAD; mkfifo $g/HEAD",
        "rm -f $g/HEAD; ln -s /etc/passwd $g/HEAD",
        "rm $g/HEAD; mkdir $g/HEAD",
        "printf 'ref: refs/heads/x\\ny' > $g/HEAD",
        "echo 'ref: refs/heads/main' > $g/HEAD",
        "rm $g/index; mkfifo $g/index",
        "mkdir -p $g/logs; rm -f $g/logs/HEAD; ln -s /etc/passwd $g/logs/HEAD",
        "mkfifo $g/MERGE_HEAD; mkdir $g/COMMIT_EDITMSG",
    ],
)
def test_a_git_directory_that_was_tampered_with_is_put_right(shop, script):
    made = shop(f"g=$(git rev-parse --git-dir); {script}")
    assert git(made["worktree"], "rev-parse", "--abbrev-ref", "HEAD") == made["branch"]
    assert refused(made)
    (Path(made["worktree"]) / "a.txt").write_text("after\n")
    git(made["worktree"], "add", "a.txt")
    git(made["worktree"], "commit", "-qm", "after")


def test_a_rebase_that_was_left_half_done_runs_no_programs(shop, tmp_path):
    made = shop(
        "for n in 1 2; do echo $n > f$n; git add -A; git commit -qm c$n; done; git rebase -q -x false HEAD~1 || true; "
        f"echo 'exec touch {tmp_path}/evil' >> $(git rev-parse --git-dir)/rebase-merge/git-rebase-todo"
    )
    git(made["worktree"], "-c", "core.editor=true", "rebase", "--continue")
    assert not (tmp_path / "evil").exists()
    assert git(made["worktree"], "log", "-1", "--format=%s") == "c2"


def test_outputs_of_a_process_are_plain_files(shop, surroundings):
    (surroundings / ".profile").write_text("mine\n")
    made = shop(
        'rm -f "$PRUNEJUICE_OUTPUT"; ln -s ~/.profile "$PRUNEJUICE_OUTPUT"; mkfifo "${PRUNEJUICE_OUTPUT%.out}.origin"'
    )
    assert (surroundings / ".profile").read_text() == "mine\n"
    made = shop('echo answer=42 > "$PRUNEJUICE_OUTPUT"')
    assert next(step for step in made["steps"] if step["step"] == "work")["outputs"] == {"answer": "42"}


def test_the_user_s_own_rules_for_files_apply(shop, surroundings):
    (surroundings / ".config/git").mkdir(parents=True)
    (surroundings / ".config/git/ignore").write_text("*.secret\n")
    with (surroundings / ".gitconfig").open("a") as file:
        file.write(
            '[filter "up"]\n\tclean = tr a-z A-Z\n\tsmudge = cat\n[http]\n\textraheader = "key: secret"\n'
        )
    (shop.project.root / ".gitattributes").write_text("*.big filter=up\n")
    git(shop.project.root, "add", ".gitattributes")
    made = shop(
        "echo x > my.secret; echo low > x.big; git add -A; git commit -qm inside; git config --list"
    )
    assert git(made["worktree"], "show", "HEAD:x.big") == "LOW"
    assert "my.secret" not in git(made["worktree"], "ls-tree", "--name-only", "HEAD")
    assert "extraheader" not in log(shop, made)


def test_the_repository_may_ask_for_signed_commits(shop):
    git(shop.project.root, "config", "commit.gpgsign", "true")
    shop.project.command("t", yaml.safe_dump({"sandbox": "files", "pre_steps": ["create-worktree"], "steps": [
        {"name": "work", "script": "echo 1 > f; git add f; git commit -qm inside"}]}))  # fmt: skip
    answer, made = shop.project.run("t")
    assert answer.code == 0, (answer, log(shop, made))


def test_a_port_that_needs_rights_is_named(shop):
    made = shop("true", "files+net", allow={"services": [631]}, code=2)
    assert "a sandbox cannot show the port 631" in made["error"]
