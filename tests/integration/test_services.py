"""Services of a project: they run in the worktree of a run, beside its steps, on ports of their own."""

import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request

import pytest
import yaml

from conftest import git

SERVER = f"echo starting; exec {sys.executable} -m http.server $PRUNEJUICE_PORT --bind 127.0.0.1"
ASK = (
    f"{sys.executable} -c 'import os, urllib.request; "
    'urllib.request.urlopen("http://127.0.0.1:" + os.environ["PRUNEJUICE_PORT"] + "/a.txt", timeout=5)\''
)
TEXT = ASK.replace("urllib.request.urlopen", "print(urllib.request.urlopen").replace(
    ", timeout=5)'", ", timeout=5).read().decode())'"
)
EDIT = "Say two.\n\na.txt\n<<<<<<< SEARCH\none\n=======\ntwo\n>>>>>>> REPLACE\n"
COMMAND = """
description: Use a server
pre_steps: [create-worktree]
steps:
{steps}
"""


@pytest.fixture
def shop(project):
    """A project, and a function that configures its services and a command with some scripts."""

    def configure(*scripts, services=SERVER, ready=ASK, seconds=20.0, steps=""):
        settings = {"services": services, "services_ready": ready, "services_timeout": seconds}
        (project.root / ".prj").mkdir(exist_ok=True)
        (project.root / ".prj/config.yaml").write_text(yaml.safe_dump(settings))
        rows = [
            f"  - {{name: s{number}, script: {json.dumps(text)}}}" for number, text in enumerate(scripts)
        ]
        project.command("use", COMMAND.format(steps="\n".join([*rows, *filter(None, [steps])])))
        git(project.root, "add", ".")
        git(project.root, "commit", "-qm", "command")
        return project

    return configure


def is_served(port):
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).close()
    except urllib.error.URLError:
        return False
    return True


def test_steps_use_services_that_end_with_the_run(shop):
    project = shop(ASK, f"{ASK}; echo $PRUNEJUICE_PORT")
    answer, run = project.run("use")
    assert answer.code == 0, answer
    assert not is_served(int(project.prj("logs", run["id"], "s1").out.split()[-1]))
    log = project.home / "runs" / run["id"] / "logs/services.log"
    assert "starting" in log.read_text()


def test_runs_at_the_same_time_have_services_of_their_own(shop):
    project = shop(f"{ASK}; echo port=$PRUNEJUICE_PORT")
    started = [project.spawn("run", "use", "--json") for _ in range(3)]
    said = [process.communicate(timeout=60) for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said
    runs = [line["id"] for line in project.prj("history", "--json").json["items"]]
    assert len({project.prj("logs", run).out.split("port=")[-1].split()[0] for run in runs}) == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"services": "echo no database >&2; exit 3"}, "ended with exit code 3"),
        ({"services": "no-such-program"}, "ended with exit code 127"),
        ({"ready": "false", "seconds": 0.5}, "were not ready after 0.5 s"),
    ],
)
def test_services_that_cannot_be_used_fail_the_step(shop, options, said):
    project = shop("true", **options)
    answer, run = project.run("use")
    assert answer.code == 1
    [step] = [each for each in run["steps"] if each["step"] == "s0"]
    assert said in step["error"]
    assert "services.log" in step["fix"]
    if "services" in options:
        assert "no database" in step["error"] or "no-such-program" in step["error"]


def test_services_that_fail_later_fail_the_next_step(shop):
    project = shop(
        "touch gone; sleep 1",
        "true",
        services="until [ -e gone ]; do sleep 0.1; done; exit 4",
        ready="true",
    )
    _, run = project.run("use")
    assert [step["status"] for step in run["steps"] if step["step"].startswith("s")] == [
        "completed",
        "failed",
    ]
    assert "ended with exit code 4" in run["error"]


def test_services_may_detach(shop):
    assert shop("true", services="echo up", ready="").run("use")[0].code == 0


def test_checks_of_agents_and_merges_use_the_services(shop, tmp_path, monkeypatch):
    answers = tmp_path / "answers.yaml"
    answers.write_text(yaml.safe_dump({"answers": [{"text": EDIT}]}))
    monkeypatch.setenv("PRUNEJUICE_SCRIPT", str(answers))
    # The check is answered by services on the code that it judges, not on that of the worktree.
    args = {"files": ["a.txt"], "prompt": "say two", "check": f"{TEXT} | grep -q two"}
    project = shop(steps=f"  - {{name: work, agent: implement, args: {json.dumps(args)}}}")
    answer, run = project.run("use")
    assert answer.code == 0, answer
    merged = project.prj("merge", run["id"], "--check", f"{TEXT} | grep -q two")
    assert merged.code == 0, merged


def test_a_change_that_breaks_the_services_is_found(shop, tmp_path, monkeypatch):
    (tmp_path / "answers.yaml").write_text(yaml.safe_dump({"answers": [{"text": EDIT, "times": 0}]}))
    monkeypatch.setenv("PRUNEJUICE_SCRIPT", str(tmp_path / "answers.yaml"))
    args = {"files": ["a.txt"], "prompt": "say two", "check": "true"}
    project = shop(
        steps=f"  - {{name: work, agent: implement, args: {json.dumps(args)}}}",
        services=f"grep -q one a.txt || exit 7; {SERVER}",
    )
    answer, run = project.run("use")
    assert answer.code == 3, answer
    assert "on the code that is judged, the services ended with exit code 7" in run["error"]


def test_a_merge_on_which_services_do_not_start_is_refused(shop):
    project = shop("echo two > a.txt", services=f"grep -q one a.txt || exit 7; {SERVER}")
    answer, run = project.run("use")
    assert answer.code == 0, answer
    merged = project.prj("merge", run["id"], "--check", "true")
    assert merged.code == 3, merged
    assert "the services ended with exit code 7" in merged.err
    assert ".log" not in merged.err


def test_services_are_started_again_when_a_run_is_resumed(shop, tmp_path):
    wait = tmp_path / "wait"
    project = shop(
        f"{ASK}; echo $PRUNEJUICE_PORT > {tmp_path}/port; touch {wait}; until [ ! -e {wait} ]; do sleep 0.1; done; {ASK}"
    )
    started = project.spawn("run", "use", "--json")
    until = time.monotonic() + 30
    while not wait.exists() and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(started.pid, signal.SIGKILL)
    started.communicate()
    port = int((tmp_path / "port").read_text())
    [run] = project.prj("status", "--json").json["items"]
    assert run["status"] == "interrupted"
    assert not is_served(port), "they died with the run"
    resumed = project.spawn("resume", run["id"], "--json")
    while resumed.poll() is None:
        wait.unlink(missing_ok=True)
        time.sleep(0.05)
    resumed.communicate()
    assert resumed.returncode == 0
    assert not is_served(port)


def test_a_run_in_the_checkout_has_none(shop):
    project = shop("true", services="touch started; sleep 60", ready="false", seconds=0.2)
    assert project.prj("run", "use", "--no-worktree").code == 0
    assert not (project.root / "started").exists()
